"""Draw where an evaluated network fails: the worst misses, the worst false alarms, the masks with most wrong pixels.

    python -m training.failures NAME --data DIR --fold K [--count 24]

In: `runs/NAME/fold_K/` as `training.evaluate` leaves it, and the data. Out: `failures.html` there, which needs no other
file: a table of misses and false alarms by set and subtype, and the slices with the true and the predicted outline.
The page shows slices of patients, faces among them, from sets that may not be passed on: keep it to yourself.
"""

import html
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import keras
import numpy as np
from numpy.typing import NDArray

from hemoscope import render
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN
from training.calibrate import read_rule
from training.checkpoints import run_folder
from training.datasets.sample import BLOOD, IN_BOX, Sample
from training.evaluate import METRICS_FILE, read_split
from training.figures import parts
from training.folds import FOLDS
from training.predictions import Judged, Predictions, judge
from training.report import html_page
from training.saved import NETWORK_FILE, fingerprint, load_network, read_preprocess
from training.scans import FINDINGS
from training.slice_pages import STYLE, WARNING, figure, small_png

PAGE = "failures.html"
COUNT = 24
TRUTH, MARKED = (0, 214, 143), (255, 106, 0)  # a green and an orange that colour-blind people tell apart, and from grey


@dataclass(frozen=True)
class Tally:
    """The failures of one class on one set.

    Attributes:
        set: name of the set, or `all`.
        name: the class.
        slices: that have it.
        missed, unsure: of these, with the finding `none` and `uncertain`.
        alarms, doubts: slices without any hemorrhage with the finding `hemorrhage` and `uncertain`; of a subtype those
            that are said to be it more likely than another one. None for a subtype that the network does not assess.
    """

    set: str
    name: str
    slices: int
    missed: int
    unsure: int
    alarms: int | None
    doubts: int | None


def draw_failures(name: str, fold: int, data: Path, runs: Path, count: int = COUNT) -> Path:
    """Write the page and return its path.

    Args:
        name, fold: of an evaluated training.
        data, runs: folders.
        count: slices of each kind at most.

    Raises:
        BadData: if it was not trained and evaluated, or was trained again since, or the data are missing.
    """
    run = run_folder(runs, name, fold)
    if not (run / METRICS_FILE).is_file():
        raise BadData(f"Evaluate it first: python -m training.evaluate {name} --fold {fold}.")
    network, preprocess, rule = load_network(run / NETWORK_FILE), read_preprocess(run), read_rule(run)
    judged = judge(Predictions.read(run / "test.npz", fingerprint(run / NETWORK_FILE)), rule)
    samples = {sample.key: sample for sample in read_split(run, fold, data, runs).test}
    sections = {
        "Misses: slices with hemorrhage, the least suspected first": misses(judged)[:count],
        "False alarms: slices without, the most suspected first": false_alarms(judged)[:count],
        "Masks with the largest share of wrong pixels": wrong_masks(judged)[:count],
    }
    pictures = {}
    with click.progressbar(sorted({index for chosen in sections.values() for index in chosen}), file=sys.stderr) as bar:
        for index in bar:
            key = str(judged.predictions.keys[index])
            if key not in samples:
                raise BadData(f"{data} has no slice {key} any more: evaluate again.")
            pictures[index] = _picture(samples[key], network, preprocess, rule)
    body = [f"<p><strong>{WARNING}</strong></p>", _table(tallies(judged)), _legend(rule, network)]
    for title, chosen in sections.items():
        figures = "".join(_figure(judged, index, pictures[index]) for index in chosen) or "None."
        body.append(f"<h2>{title}</h2><div class='slices'>{figures}</div>")
    page = run / PAGE
    page.write_text(html_page(f"Failures of {name}, fold {fold}", "".join(body), STYLE), encoding="utf-8")
    return page


def misses(judged: Judged) -> list[int]:
    """Slices with hemorrhage whose finding is another, the smallest probability first."""
    return _sorted((_any_label(judged) == 1) & (judged.findings < 2), _any_probability(judged))


def false_alarms(judged: Judged) -> list[int]:
    """Slices without hemorrhage whose finding is not `none`, the largest probability first."""
    return _sorted((_any_label(judged) == 0) & (judged.findings > 0), -_any_probability(judged))


def wrong_masks(judged: Judged) -> list[int]:
    """Slices with wrong pixels in the mask that is shown, the largest share of the picture first."""
    wrong = judged.counts[:, 1:3].sum(1) / np.maximum(judged.counts.sum(1), 1)
    return judged.predictions.pixel_slices[_sorted(wrong > 0, -wrong)].tolist()


def tallies(judged: Judged) -> list[Tally]:
    """How often each class is missed and falsely called, set by set and then over all sets."""
    labels, classes = judged.predictions.labels, judged.predictions.classes
    assessed = [name for name in SUBTYPES if name in classes]
    places = [classes.index(name) for name in assessed]
    likeliest = judged.probabilities[:, places].argmax(1) if places else np.full(len(labels), -1)
    found = []
    for part in parts(judged):
        free = part.chosen & (_any_label(judged) == 0)
        for name in CLASSES:
            has = part.chosen & (labels[:, CLASSES.index(name)] == 1)
            missed = [int((has & (judged.findings == one)).sum()) for one in (0, 1)]
            called: list[int | None] = [None, None]
            if name in classes:
                said = free if name == ANY else free & (likeliest == assessed.index(name))
                called = [int((said & (judged.findings == one)).sum()) for one in (2, 1)]
            found.append(Tally(part.set, name, int(has.sum()), *missed, *called))
    return found


def outlined(hu: NDArray[np.float32], target: NDArray[np.uint8], marked: NDArray[np.bool_] | None) -> render.Picture:
    """A slice with what is known of it in TRUTH and what the network marks in MARKED, RGB.

    Args:
        hu: (rows, columns).
        target: (rows, columns), see `Sample.target`; where only boxes are known, these are drawn.
        marked: (rows, columns), or None from a network without a mask.
    """
    picture = render.grey(hu, BRAIN)
    for known in (target == BLOOD, target == IN_BOX):
        picture = render.contour(picture, known, TRUTH)
    return picture if marked is None else render.contour(picture, marked, MARKED)


def _picture(sample: Sample, network: keras.Model, preprocess: Preprocess, rule: Rule) -> bytes:
    scan, place = sample.in_context(preprocess.neighbours)
    tensor, placement = preprocess.tensor(scan, place)
    outputs = network.predict_on_batch(tensor[None])
    marked = None
    if "mask" in outputs:
        marked = placement.inverse(np.asarray(outputs["mask"][0, :, :, 0], np.float32)) >= rule.mask_threshold
    picture = outlined(scan.hu[place], sample.target(placement.rows, placement.columns), marked)
    return small_png(picture)


def _any_label(judged: Judged) -> NDArray[np.float64]:
    return judged.predictions.labels[:, CLASSES.index(ANY)]


def _any_probability(judged: Judged) -> NDArray[np.float64]:
    return judged.probabilities[:, judged.predictions.classes.index(ANY)]


def _sorted(chosen: NDArray[np.bool_], order: NDArray[np.float64]) -> list[int]:
    places = np.flatnonzero(chosen)
    return places[np.argsort(order[places], kind="stable")].tolist()


def _table(rows: Iterable[Tally]) -> str:
    heads = (
        "Set", "Class", "Slices with it", "missed (none)", "uncertain",
        "Slices without any called hemorrhage", "called uncertain",
    )  # fmt: skip
    cells = "".join(f"<th scope='col'>{head}</th>" for head in heads)
    body = []
    for row in rows:
        numbers: Sequence[int | None] = (row.slices, row.missed, row.unsure, row.alarms, row.doubts)
        body.append(f"<tr><td>{html.escape(row.set)}</td><th scope='row'>{row.name}</th>")
        body += [f"<td class='number'>{'-' if number is None else number}</td>" for number in numbers]
        body.append("</tr>")
    return (
        "<p>Slices that are falsely called count for the subtype that is said to be the likeliest.</p>"
        f"<div class='scroll'><table><thead><tr>{cells}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _legend(rule: Rule, network: keras.Model) -> str:
    said = f"None below {rule.decision_low:.3f}, hemorrhage from {rule.decision_high:.3f} on, uncertain between."
    truth = f"<span style='color:rgb{TRUTH}'>&#9632;</span> true outline; without a mask, a box with blood in it"
    if "mask" not in network.output_names:
        return f"<p>{said} {truth}. This network marks no pixels.</p>"
    return (
        f"<p>{said} {truth}; <span style='color:rgb{MARKED}'>&#9632;</span> what the network marks, from a pixel "
        f"probability of {rule.mask_threshold:.3f} on. Where the finding is none, no mask is shown to a reader.</p>"
    )


def _figure(judged: Judged, index: int, picture: bytes) -> str:
    side = judged.predictions
    names = [name for name, label in zip(CLASSES[1:], side.labels[index, 1:], strict=True) if label == 1]
    label = side.labels[index, 0]
    truth = "unknown" if np.isnan(label) else "no hemorrhage" if label == 0 else ", ".join(names) or "hemorrhage"
    said = ", ".join(f"{name} {p:.3f}" for name, p in zip(side.classes, judged.probabilities[index], strict=True))
    lines = [str(side.keys[index]), f"truth: {truth}", f"{FINDINGS[judged.findings[index]]}: {said}"]
    row = np.flatnonzero(side.pixel_slices == index)
    if row.size:
        found, wrong, missed, _ = judged.counts[row[0]].tolist()
        lines.append(f"pixels: {found:,} found, {missed:,} missed, {wrong:,} wrong")
    return figure(picture, lines)


@click.command(help=__doc__)
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="The fold held out.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option("--count", type=click.IntRange(1), default=COUNT, show_default=True, help="Slices of each kind at most.")
def main(name: str, data: Path, fold: int, runs: Path, count: int) -> None:
    try:
        page = draw_failures(name, fold, data, runs, count)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{page}\n{WARNING}")


if __name__ == "__main__":
    main()
