"""The page that compares: tables of figures with intervals, and curves as pictures.

In: `Result`s of a plan. Out: `results.md` and the pictures in the folder of its name beside it. No slice of a patient
is shown.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from hemoscope.labels import SUBTYPES
from hemoscope.manifest import Metric
from hemoscope.preprocessing import Preprocess
from training.measured import FEW
from training.papers import REPORTED
from training.plans import Plan
from training.results import Result

CLASS_SET, MASK_SET = "rsna", "ct_ich"
ALIGNMENT_SUFFIX = "_alignment.png"
DPI = 90
COLUMNS = 4
COLOURS = [*pyplot.get_cmap("tab10").colors]
STYLES = ("-", "--", ":")
NOTHING = "-"
MARK = "(!)"


def describe(preprocess: Preprocess) -> str:
    """A preparation in words."""
    frame = f"{preprocess.canvas_px} px canvas" if preprocess.canvas_px else preprocess.frame
    words = [f"{preprocess.size} px", frame, "windows " + ", ".join(str(window) for window in preprocess.windows)]
    if preprocess.neighbours:
        words.append(f"{preprocess.neighbours} adjacent slices to each side")
    if preprocess.intracranial:
        words.append("intracranial mask")
    if preprocess.equalise:
        words.append("equalised")
    if preprocess.stretch:
        words.append(f"stretched {preprocess.stretch[0]:g}-{preprocess.stretch[1]:g} %")
    if preprocess.clahe_clip:
        words.append(f"CLAHE {preprocess.clahe_clip:g}")
    return ", ".join(words)


def write_page(plan: Plan, results: Sequence[Result], page: Path) -> None:
    """Write the page and its pictures.

    Args:
        plan: what is compared; its order is the tables'.
        results: of what was done so far, in the plan's order.
        page: the Markdown file.
    """
    done = [result for result in results if result.metrics]
    missing = [name for name in (*plan.configurations, *plan.ensembles) if name not in {r.name for r in results}]
    classifiers = [result for result in done if result.metric(CLASS_SET, "AUC any")]
    masks = [result for result in done if result.metric(MASK_SET, "Dice pooled")]
    pictures = page.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# {plan.title}",
        "",
        "Made by `python -m training.compare`; do not edit it by hand. Research use, not a medical device.",
        "",
        f"All share one deal of patients and are judged on those of fold {plan.fold}, on whom nothing was trained; "
        "thresholds and calibration come from the validation side. On which data sets each was trained, and how many "
        "slices it saw, is in the table of what they cost. All start from random weights: what ImageNet weights would "
        "give is not shown. Figures of a few epochs say what a network learns from little, not what it could learn.",
        "",
        "Accuracy, F1, recall, precision and specificity are of the finding `hemorrhage`, at the upper threshold, "
        "which is chosen for few false alarms: what is uncertain counts as not found. AUC depends on no threshold.",
        "",
        "Intervals are 95 %, by bootstrap over patients. Most slices of RSNA name neither patient nor study and stand "
        "for a patient each: two of one patient may lie on two sides, unseen, and intervals on RSNA may be too narrow. "
        f"{MARK} marks figures from fewer than {FEW} slices with blood: they say next to nothing. The test side "
        "had been read before for the releases of `reader`, `unet` and `two_branch`; for the others it was read for "
        "this page.",
        "",
        *_leaks(done),
    ]
    lines += _section("Any hemorrhage, RSNA slices", _classifier_table(classifiers, CLASS_SET))
    lines += _section("The subtypes, RSNA slices: AUC", _subtype_table(classifiers))
    others = [result for result in done if result.metric(MASK_SET, "AUC any")]
    lines += _section("Any hemorrhage, CT-ICH slices", _classifier_table(others, MASK_SET))
    lines += _section("Masks, CT-ICH slices", _mask_table(masks))
    lines += _section("Ensembles against their best member", _ensemble_lines(done))
    lines += _section("What each was, and what it cost", _cost_table(done))
    lines += _section("What the reports say", _paper_table(done))
    lines += _section("Failed", [f"- `{result.name}`: {result.failure}" for result in results if result.failure])
    lines += _section("Not done yet", [f"- `{name}`" for name in missing])
    lines += _pictures(classifiers, masks, done, pictures)
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _leaks(results: Sequence[Result]) -> list[str]:
    leaking = ", ".join(f"`{result.name}`" for result in results if result.split == "slice")
    if not leaking:
        return []
    return [
        f"**The exception** is {leaking}, split by slice: slices of one patient stand on both sides of it. Its figures "
        "are there to show what such a split adds, and say nothing of new patients.",
        "",
    ]


def _section(title: str, body: list[str]) -> list[str]:
    return [f"## {title}", "", *body, ""] if body else []


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines] if lines else []


def _classifier_table(results: Sequence[Result], set_name: str) -> list[str]:
    header = ("configuration", "n (with blood)", "AUC", "accuracy", "F1", "recall", "precision", "specificity")
    names = ("accuracy any", "F1 any", "sensitivity any", "precision any", "specificity any")
    rows = []
    for result in results:
        auc = result.metric(set_name, "AUC any")
        each = [_with_interval(result.metric(set_name, name)) for name in names]
        rows.append((f"`{result.name}`", _count(auc), _with_interval(auc), *each))
    return _table(header, rows)


def _subtype_table(results: Sequence[Result]) -> list[str]:
    rows = [
        (f"`{result.name}`", *(_with_interval(result.metric(CLASS_SET, f"AUC {kind}")) for kind in SUBTYPES))
        for result in results
    ]
    found = [result.metric(CLASS_SET, f"AUC {kind}") for result in results[:1] for kind in SUBTYPES]
    counts = [f" ({metric.positives})" if metric else "" for metric in found] or [""] * len(SUBTYPES)
    return _table(("configuration", *(kind + n for kind, n in zip(SUBTYPES, counts, strict=True))), rows)


def _mask_table(results: Sequence[Result]) -> list[str]:
    names = ("pixel AUC", "IoU pooled", "Dice pooled", "Dice per slice")
    rows = [
        (
            f"`{result.name}`",
            _count(result.metric(MASK_SET, "Dice pooled")),
            *(_with_interval(result.metric(MASK_SET, name)) for name in names),
        )
        for result in results
    ]
    return _table(("configuration", "n (with blood)", *names), rows)


def _ensemble_lines(results: Sequence[Result]) -> list[str]:
    lines = []
    ensembles = [result for result in results if result.members]
    found = {result.name: metric for result in ensembles if (metric := result.metric(CLASS_SET, "AUC any"))}
    if found:
        best = max(found, key=lambda name: found[name].value)
        lines += [
            f"The best ensemble on RSNA slices is `{best}`: AUC {_with_interval(found[best])}. Which is the best, and "
            "which member is, was read off the test side itself.",
            "",
        ]
    for result in ensembles:
        for metric in result.metrics:
            if metric.name.startswith("AUC any minus") and metric.low is not None and metric.high is not None:
                verdict = "better" if metric.low > 0 else "worse" if metric.high < 0 else "not shown to be better"
                lines.append(
                    f"- `{result.name}` ({', '.join(result.members)}), {metric.set}: {metric.name} is "
                    f"{metric.value:+.3f} ({metric.low:+.3f} to {metric.high:+.3f}): **{verdict}**."
                )
    return lines


def _cost_table(results: Sequence[Result]) -> list[str]:
    header = (
        "configuration",
        "network",
        "preparation",
        "trained on",
        "slices seen",
        "minutes",
        "parameters",
        "ms a slice",
        "evaluated",
    )
    rows = [
        (
            f"`{result.name}`",
            " + ".join(result.members) or f"`{result.network}`",
            result.preparation or NOTHING,
            ", ".join(result.sets) or NOTHING,
            f"{result.slices_seen:,}" if result.slices_seen else NOTHING,
            f"{result.minutes:.0f}" if result.minutes else NOTHING,
            f"{result.parameters / 1e6:.1f} M",
            NOTHING if result.milliseconds is None else f"{result.milliseconds:.0f}",
            result.date or NOTHING,
        )
        for result in results
    ]
    return _table(header, rows)


def _paper_table(results: Sequence[Result]) -> list[str]:
    header = ("configuration", "ours", "the report", "why they differ")
    rows = []
    for result in results:
        for told in REPORTED.get(result.name, ()):
            rows.append((f"`{result.name}`", _ours(result), f"{told.report}: {told.figures}", told.why))
    return _table(header, rows)


def _ours(result: Result) -> str:
    pixels, overlap = result.metric(MASK_SET, "pixel AUC"), result.metric(MASK_SET, "IoU pooled")
    if pixels and overlap:
        return f"pixel AUC {pixels.value:.3f}, IoU {overlap.value:.3f}"
    names = {"AUC any": "AUC", "accuracy any": "accuracy", "F1 any": "F1", "sensitivity any": "recall"}
    found = [(short, result.metric(CLASS_SET, name)) for name, short in names.items()]
    return ", ".join(f"{short} {metric.value:.3f}" for short, metric in found if metric) or NOTHING


def _plain(metric: Metric | None) -> str:
    return NOTHING if metric is None else f"{metric.value:.3f}"


def _with_interval(metric: Metric | None) -> str:
    if metric is None or metric.low is None or metric.high is None:
        return _plain(metric)
    mark = f" {MARK}" if metric.positives < FEW else ""
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f}){mark}"


def _count(metric: Metric | None) -> str:
    return NOTHING if metric is None else f"{metric.n} ({metric.positives})"


def _pictures(
    classifiers: Sequence[Result], masks: Sequence[Result], done: Sequence[Result], folder: Path
) -> list[str]:
    lines: list[str] = []
    for key, title, labels in (
        ("roc", "ROC, any hemorrhage, RSNA", ("1 - specificity", "sensitivity")),
        ("precision_recall", "Precision and recall, any hemorrhage, RSNA", ("recall", "precision")),
    ):
        drawn = [(result.name, result.curves[CLASS_SET][key]) for result in classifiers if _has(result, key)]
        if drawn:
            _overlaid(drawn, title, labels, folder / f"{key}.png")
            lines += [f"![{title}]({folder.name}/{key}.png)", ""]
    for key, set_name, title, results in (
        ("findings", CLASS_SET, "Confusion matrices: what was said of RSNA slices with and without blood", classifiers),
        ("pixels", MASK_SET, "Confusion matrices: pixels of CT-ICH slices with and without blood", masks),
    ):
        panels = [(one.name, _matrix(one.curves[set_name][key])) for one in results if _has(one, key, set_name)]
        if panels:
            _grid(panels, folder / f"{key}.png")
            lines += [f"![{title}]({folder.name}/{key}.png)", ""]
    logs = [result for result in done if result.log]
    if logs:
        _grid([(result.name, _losses(result.log)) for result in logs], folder / "training.png")
        lines += [f"![Training curves: the loss by epoch]({folder.name}/training.png)", ""]
    for path in sorted(folder.glob(f"*{ALIGNMENT_SUFFIX}")):
        name = path.name.removesuffix(ALIGNMENT_SUFFIX)
        lines += [f"![What the transformer of {name} makes of a phantom's slices]({folder.name}/{path.name})", ""]
    return _section("Pictures", lines)


def _has(result: Result, key: str, set_name: str = CLASS_SET) -> bool:
    return bool(result.curves and key in result.curves.get(set_name, {}))


def _overlaid(drawn: Sequence[tuple[str, dict]], title: str, labels: tuple[str, str], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(9, 6.5))
    for number, (name, curve) in enumerate(drawn):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
        axes.plot(curve["x"], curve["y"], color=colour, linestyle=style, label=name, linewidth=1.5)
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _saved(figure, path)


def _grid(panels: Sequence[tuple[str, Callable[[Axes], None]]], path: Path) -> None:
    lines = -(-len(panels) // COLUMNS)
    figure, grid = pyplot.subplots(lines, COLUMNS, figsize=(3.2 * COLUMNS, 2.6 * lines), squeeze=False)
    for axes, (name, draw) in zip(grid.flat, panels, strict=False):
        draw(axes)
        axes.set_title(name, fontsize=10)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    _saved(figure, path)


def _matrix(findings: dict[str, dict[str, int]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        counts = np.array([list(row.values()) for row in findings.values()])
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.6 else "#222222"
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(counts.shape[1]), list(next(iter(findings.values()))), fontsize=8)
        axes.set_yticks(range(counts.shape[0]), ["blood", "none"], fontsize=8)

    return draw


def _losses(log: dict[str, list[float]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for column, label, colour in (("loss", "training", "#0072b2"), ("val_loss", "validation", "#d55e00")):
            axes.plot(log[column], color=colour, label=label)
        axes.legend(fontsize=7)
        axes.tick_params(labelsize=8)

    return draw


def _saved(figure: pyplot.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
