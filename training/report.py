"""An evaluation as a page that needs no other file: figures in tables, curves as pictures.

In: metrics, curves and the training's log. Out: `report.html`, with its pictures inside, and the same pictures as
`report/*.png`. No slice of a patient is shown.
"""

import base64
import csv
import html
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from hemoscope.labels import COLOURS
from hemoscope.manifest import Metric

REPORT_FILE, PICTURES = "report.html", "report"
DPI = 110
INK, PAPER_TINT = "#222222", "Blues"

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;margin:0 0 2rem}
th,td{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #d0d0d0;vertical-align:top}
td.number{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:0 0 2rem}img{max-width:100%;height:auto}.scroll{overflow-x:auto}
"""


def write_report(
    title: str,
    metrics: Sequence[Metric],
    curves: Mapping[str, Any],
    thresholds_chosen: str,
    log: Path | None,
    folder: Path,
) -> Path:
    """Write the page and its pictures.

    Args:
        title: of the page.
        metrics: the tables.
        curves: see `figures.curves`.
        thresholds_chosen: how and on what.
        log: the training's `log.csv`, or None; without the file there are no training curves.
        folder: where to; pictures go to its `report/`.

    Returns:
        the page's path.
    """
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    drawn: list[tuple[str, str]] = []
    if log is not None and log.is_file():
        drawn.append(_picture(pictures, "training", "Training curves", *_training(log)))
    for set_name, entry in curves.items():
        panels = _panels(entry)
        if panels:
            caption = f"Test side, {set_name}: {', '.join(label for label, _ in panels)}"
            drawn.append(_picture(pictures, set_name, caption, len(panels), [draw for _, draw in panels]))
    page = folder / REPORT_FILE
    page.write_text(_page(title, metrics, thresholds_chosen, drawn), encoding="utf-8")
    return page


def _page(title: str, metrics: Sequence[Metric], thresholds_chosen: str, drawn: Sequence[tuple[str, str]]) -> str:
    by_set: dict[str, list[Metric]] = defaultdict(list)
    for metric in metrics:
        by_set[metric.set].append(metric)
    body = ["<p><strong>Research use, not a medical device.</strong> Figures are of the test "]
    body.append("side, on which nothing was trained; intervals are 95 % over patients.</p>")
    body.append(f"<p>{html.escape(thresholds_chosen)}</p>")
    for set_name, rows in by_set.items():
        body.append(f"<h2>{html.escape(set_name)}</h2><div class='scroll'><table><thead><tr>")
        body += [
            f"<th scope='col'>{head}</th>" for head in ("Figure", "Value", "95 % interval", "n", "Positives", "Note")
        ]
        body += ["</tr></thead><tbody>", *(_row(metric) for metric in rows), "</tbody></table></div>"]
    body += [
        f"<figure><img src='data:image/png;base64,{data}' alt='{html.escape(caption, quote=True)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, data in drawn
    ]
    return html_page(title, "".join(body))


def html_page(title: str, body: str, style: str = "") -> str:
    """A page that needs no other file; `style` is added to that of all these pages."""
    name = html.escape(title)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{name}</title>"
        f"<meta name='viewport' content='width=device-width,initial-scale=1'><style>{STYLE}{style}</style></head>"
        f"<body><h1>{name}</h1>{body}</body></html>"
    )


def _row(metric: Metric) -> str:
    interval = "" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
    positives = "" if metric.positives is None else str(metric.positives)
    numbers = (f"{metric.value:.3f}", interval, str(metric.n), positives)
    cells = "".join(f"<td class='number'>{number}</td>" for number in numbers)
    return f"<tr><th scope='row'>{html.escape(metric.name)}</th>{cells}<td>{html.escape(metric.note)}</td></tr>"


Draw = Callable[[Axes], None]


def _picture(folder: Path, name: str, caption: str, count: int, draws: Sequence[Draw]) -> tuple[str, str]:
    """Draw the panels in rows of three, write the PNG, and return (caption, base64)."""
    columns = min(count, 3)
    lines = -(-count // columns)
    figure, grid = pyplot.subplots(lines, columns, figsize=(4.6 * columns, 4.2 * lines), squeeze=False)
    for axes, draw in zip(grid.flat, draws, strict=False):
        draw(axes)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    figure.tight_layout()
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
    return caption, base64.b64encode(path.read_bytes()).decode()


def _panels(entry: Mapping[str, Any]) -> list[tuple[str, Draw]]:
    panels: list[tuple[str, Draw]] = []
    if entry["roc"]:
        panels.append(("ROC", lambda axes: _roc(axes, entry["roc"])))
    if "precision_recall" in entry:
        panels.append(("precision and recall", lambda axes: _precision_recall(axes, entry["precision_recall"])))
    if "reliability" in entry:
        panels.append(("reliability", lambda axes: _reliability(axes, entry)))
    panels.append(("findings", lambda axes: _findings(axes, entry["findings"])))
    if "pixels" in entry:
        panels.append(("pixels", lambda axes: _pixels(axes, entry["pixels"])))
        panels.append(("Dice of slices with blood", lambda axes: _dice(axes, entry["dice_per_slice"])))
    return panels


def _training(log: Path) -> tuple[int, list[Draw]]:
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}
    epochs = columns.pop("epoch", [])
    kinds = [name for name in columns if not name.startswith("val_")]

    def one(name: str) -> Draw:
        def draw(axes: Axes) -> None:
            axes.plot(epochs, columns[name], label="training", color="#0072b2", marker=".")
            if f"val_{name}" in columns:
                axes.plot(epochs, columns[f"val_{name}"], label="validation", color="#d55e00", marker=".")
                axes.legend()
            axes.set(title=name.replace("_", " "), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)

        return draw

    return len(kinds), [one(name) for name in kinds]


def _roc(axes: Axes, curves: Mapping[str, Any]) -> None:
    for name, curve in curves.items():
        area = np.trapezoid(curve["y"], curve["x"])
        colour = [value / 255 for value in COLOURS[name]]
        axes.plot(curve["x"], curve["y"], color=colour, label=f"{name} {area:.2f}", linewidth=2)
    axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=":")
    axes.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity")
    axes.legend(loc="lower right", fontsize=8)


def _precision_recall(axes: Axes, curve: Mapping[str, Any]) -> None:
    axes.plot(curve["x"], curve["y"], color="#0072b2", linewidth=2)
    axes.set(title="Precision and recall, any", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))


def _reliability(axes: Axes, entry: Mapping[str, Any]) -> None:
    axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=":")
    for key, label, colour in (("reliability_before", "before", "#999999"), ("reliability", "calibrated", "#0072b2")):
        bins = entry[key]
        axes.plot(bins["said"], bins["came"], color=colour, label=label)
        sizes = np.clip(np.sqrt(bins["entries"]) * 4, 6, 200)
        axes.scatter(bins["said"], bins["came"], s=sizes, color=colour)
    axes.set(title="Reliability, any", xlabel="probability said", ylabel="share with hemorrhage")
    axes.legend(fontsize=8)


def _findings(axes: Axes, table: Mapping[str, Mapping[str, int]]) -> None:
    _matrix(
        axes, "Slices", [list(row.values()) for row in table.values()], list(table), list(next(iter(table.values())))
    )


def _pixels(axes: Axes, counts: Mapping[str, int]) -> None:
    rows = [[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]]
    _matrix(axes, "Pixels", rows, ["blood", "no blood"], ["blood", "no blood"])


def _matrix(axes: Axes, title: str, rows: list[list[int]], truth: list[str], said: list[str]) -> None:
    shares = np.array([[value / max(sum(row), 1) for value in row] for row in rows])
    axes.imshow(shares, cmap=PAPER_TINT, vmin=0, vmax=1, aspect="auto")
    for (line, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else INK
        text = f"{rows[line][column]:,}\n{share:.1%}"
        axes.text(column, line, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(said)), said)
    axes.set_yticks(range(len(truth)), truth, rotation=90, va="center")
    axes.set(title=title, xlabel="said", ylabel="truth")


def _dice(axes: Axes, values: Sequence[float]) -> None:
    axes.hist(values, bins=np.linspace(0, 1, 21), color="#0072b2", edgecolor="white")
    axes.axvline(float(np.median(values)), color="#d55e00", label=f"median {np.median(values):.2f}")
    axes.set(title="Dice of slices with blood", xlabel="Dice", ylabel="slices")
    axes.legend(fontsize=8)
