"""How often a trained network takes what looks like blood for blood, and a sheet of what was drawn.

    python -m training.lookalike_alarms NAME --data DIR --fold K [--count 60]

In: `runs/NAME/fold_K/` as `training.evaluate` leaves it, and the data. Slices without hemorrhage of the validation side
are read as they are and with something drawn into them, see `datasets.lookalikes`; the test side is not read. Out:
`lookalikes.html` there, which needs no other file: a table by kind, and the first slices of each kind. The page shows
slices of patients from sets that may not be passed on: keep it to yourself.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from hemoscope import render
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.labels import ANY
from hemoscope.scan import BRAIN
from training.calibrate import read_rule
from training.checkpoints import run_folder
from training.datasets.lookalikes import KINDS, LookalikeSample, lookalike_samples
from training.datasets.sample import Sample
from training.evaluate import METRICS_FILE, read_split
from training.folds import FOLDS
from training.predictions import Judged, judge, predict
from training.report import html_page
from training.saved import NETWORK_FILE, load_network, read_preprocess
from training.slice_pages import LONGEST_SIDE_PX, STYLE, WARNING, figure, small_png

PAGE = "lookalikes.html"
COUNT = 60
SHOWN = 6  # slices of each kind on the page
SEED = 7


@dataclass(frozen=True)
class Alarms:
    """What is said of the same n slices before and after something was drawn.

    Attributes:
        kind: of `lookalikes.KINDS`, the first thing that was drawn.
        n: slices.
        hemorrhage, not_none: share with that finding, before and after; `not_none` is hemorrhage or uncertain.
        probability: the mean of `any`, before and after.
    """

    kind: str
    n: int
    hemorrhage: tuple[float, float]
    not_none: tuple[float, float]
    probability: tuple[float, float]


def lookalike_alarms(name: str, fold: int, data: Path, runs: Path, count: int = COUNT) -> tuple[list[Alarms], Path]:
    """What a fold's network says of lookalikes, kind by kind, and the page that shows them.

    Args:
        name, fold: of an evaluated training.
        data, runs: folders.
        count: slices of each kind.

    Raises:
        BadData: if it was not trained and evaluated, the data are missing, or there are no slices to draw into.
    """
    run = run_folder(runs, name, fold)
    if not (run / METRICS_FILE).is_file():
        raise BadData(f"Evaluate it first: python -m training.evaluate {name} --fold {fold}.")
    validation = read_split(run, fold, data, runs).validation
    drawn = lookalike_samples(validation, count * len(KINDS), SEED)
    if not drawn:
        raise BadData(f"Fold {fold} has no validation slice without hemorrhage that something could be drawn into.")
    of = {sample.image: sample for sample in validation}
    network, preprocess, rule = load_network(run / NETWORK_FILE), read_preprocess(run), read_rule(run)

    def judged(samples: Sequence[Sample], label: str) -> Judged:
        return judge(predict(network, preprocess, samples, label), rule)

    before, after = judged([of[one.image] for one in drawn], "Before"), judged(drawn, "After")
    found = [_alarms(kind, drawn, before, after) for kind in KINDS if any(one.kinds[0] == kind for one in drawn)]
    page = run / PAGE
    body = f"<p><strong>{WARNING}</strong></p>{_table(found)}{_sheet(drawn, of)}"
    page.write_text(html_page(f"Lookalikes, {name}, fold {fold}", body, STYLE), encoding="utf-8")
    return found, page


def _alarms(kind: str, drawn: Sequence[LookalikeSample], before: Judged, after: Judged) -> Alarms:
    rows = [row for row, one in enumerate(drawn) if one.kinds[0] == kind]
    column = before.predictions.classes.index(ANY)

    def both(values: Callable[[Judged], NDArray[Any]]) -> tuple[float, float]:
        return float(values(before)[rows].mean()), float(values(after)[rows].mean())

    return Alarms(
        kind,
        len(rows),
        hemorrhage=both(lambda judged: judged.findings == 2),
        not_none=both(lambda judged: judged.findings >= 1),
        probability=both(lambda judged: judged.probabilities[:, column]),
    )


def _table(found: Sequence[Alarms]) -> str:
    heads = ("Drawn", "Slices", "hemorrhage", "hemorrhage or uncertain", "mean probability")
    rows = [
        f"<tr><th scope='row'>{html.escape(one.kind)}</th><td class='number'>{one.n}</td>"
        + "".join(f"<td>{a:.2f} to {b:.2f}</td>" for a, b in (one.hemorrhage, one.not_none, one.probability))
        + "</tr>"
        for one in found
    ]
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    return (
        "<p>Slices without hemorrhage, before and after something was drawn into them; some have a second kind.</p>"
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _sheet(drawn: Sequence[LookalikeSample], of: dict[Path, Sample]) -> str:
    parts = []
    for kind in KINDS:
        shown = [one for one in drawn if one.kinds[0] == kind][:SHOWN]
        figures = "".join(_figure(of[one.image], one) for one in shown)
        parts.append(f"<h2>{html.escape(kind)}</h2><div class='slices'>{figures}</div>")
    return "".join(parts)


def _figure(host: Sample, one: LookalikeSample) -> str:
    picture = np.hstack([render.grey(sample.scan().hu[0], BRAIN) for sample in (host, one)])
    return figure(small_png(picture, 2 * LONGEST_SIDE_PX), [f"{host.key}: {', '.join(one.kinds)}"])


@click.command(help=__doc__)
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), default=0, show_default=True, help="The fold held out.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option("--count", type=click.IntRange(1), default=COUNT, show_default=True, help="Slices of each kind.")
def main(name: str, data: Path, fold: int, runs: Path, count: int) -> None:
    try:
        found, page = lookalike_alarms(name, fold, data, runs, count)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    for one in found:
        shares = f"{one.hemorrhage[0]:.2f} to {one.hemorrhage[1]:.2f}"
        doubts = f"{one.not_none[0]:.2f} to {one.not_none[1]:.2f}"
        mean = f"{one.probability[0]:.3f} to {one.probability[1]:.3f}"
        click.echo(f"{one.kind:32} n {one.n:3}  hemorrhage {shares}, or uncertain {doubts}, mean probability {mean}")
    click.echo(f"{page}\n{WARNING}")


if __name__ == "__main__":
    main()
