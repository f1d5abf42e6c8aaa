"""A patient's volume of blood over time, laid out for an SVG.

In: the points of a timeline. Out: a `Curve`, where everything already has its place in pixels, so that the template
only writes it down.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from web.wording import CHANGES, stated_moment, volume

if TYPE_CHECKING:
    from web.history.timeline import Point

WIDTH_PX, HEIGHT_PX = 640, 300
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 64, 610, 34, 250  # of the field; outside it are the ticks' labels
MOST_ML_TICKS, DATE_TICKS = 5, 3
SHORT = timedelta(days=3)  # within which the hours of the studies matter
NOON = time(12)  # stands for a time that is not stated
DATED, TIMED = "%Y-%m-%d", "%m-%d %H:%M"


@dataclass(frozen=True)
class Dot:
    """One study: its place, the ends of its error bar (`top` and `bottom`, None without one), and what to write."""

    number: int
    x: float
    y: float
    top: float | None
    bottom: float | None
    kind: str
    word: str
    title: str


@dataclass(frozen=True)
class Tick:
    """One mark of an axis: where it is along it, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """The curve; `left_out` counts the studies without a date or a volume, which have no place in it."""

    dots: tuple[Dot, ...]
    line: str
    ml_ticks: tuple[Tick, ...]
    date_ticks: tuple[Tick, ...]
    left_out: int


def draw_curve(points: Sequence["Point"]) -> Curve:
    """Lay the curve out; it has no dots where no study has both a date and a volume."""
    placed = [
        (point, datetime.combine(point.row.study_date, point.row.study_time or NOON), point.row.read.volume_ml)
        for point in points
        if point.row.study_date is not None and point.row.read is not None and point.row.read.volume_ml is not None
    ]
    left_out = len(points) - len(placed)
    if not placed:
        return Curve((), "", (), (), left_out)
    first, last = min(moment for _, moment, _ in placed), max(moment for _, moment, _ in placed)
    ticks_ml = ml_ticks(max(ml + _uncertainty(point) for point, _, ml in placed))

    def x_of(moment: datetime) -> float:
        share = (moment - first) / (last - first) if last > first else 0.5
        return round(LEFT_PX + 20 + share * (RIGHT_PX - LEFT_PX - 40), 1)

    def y_of(ml: float) -> float:
        return round(BOTTOM_PX - ml / ticks_ml[-1] * (BOTTOM_PX - TOP_PX), 1)

    dots = tuple(_dot(point, x_of(moment), ml, y_of) for point, moment, ml in placed)
    return Curve(
        dots=dots,
        line=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        ml_ticks=tuple(Tick(y_of(ml), f"{ml:g}") for ml in ticks_ml),
        date_ticks=tuple(Tick(x_of(moment), label) for moment, label in date_ticks(first, last)),
        left_out=left_out,
    )


def ml_ticks(largest_ml: float) -> list[float]:
    """Round numbers from 0 to the first that is not below the largest, at most five steps of 1, 2 or 5 times ten."""
    largest_ml = max(largest_ml, 1.0)
    ten = 10.0 ** math.floor(math.log10(largest_ml / MOST_ML_TICKS))
    step = next(ten * factor for factor in (1, 2, 5, 10) if largest_ml <= ten * factor * MOST_ML_TICKS)
    return [step * place for place in range(math.ceil(largest_ml / step) + 1)]


def date_ticks(first: datetime, last: datetime) -> list[tuple[datetime, str]]:
    """The first moment, the last and one between, with labels; a label that comes twice stands once."""
    written = TIMED if timedelta(0) < last - first < SHORT else DATED
    moments = [first + (last - first) * place / (DATE_TICKS - 1) for place in range(DATE_TICKS)]
    labelled = [(moment, moment.strftime(written)) for moment in moments]
    return [labelled[0], *(after for before, after in pairwise(labelled) if after[1] != before[1])]


def _dot(point: "Point", x: float, ml: float, y_of: Callable[[float], float]) -> Dot:
    row, off_by = point.row, _uncertainty(point)
    kind = point.change.kind
    return Dot(
        number=row.number,
        x=x,
        y=y_of(ml),
        top=y_of(ml + off_by) if off_by else None,
        bottom=y_of(max(0.0, ml - off_by)) if off_by else None,
        kind=kind,
        word=CHANGES[kind] if kind in ("new", "grown") else "",
        title=f"{stated_moment(row.study_date, row.study_time)}: {volume(ml, off_by or None)}, {CHANGES[kind].lower()}",
    )


def _uncertainty(point: "Point") -> float:
    return (point.row.read.uncertainty_ml or 0.0) if point.row.read is not None else 0.0
