"""How good a reading is: overlap, ranking, calibration and how sure those figures are.

In: truth and predictions as arrays of one entry a slice (or a pixel). Out: numbers and curves. What cannot be said is
NaN, never 0: a sensitivity without positives, an AUC with one class only. Unknown labels are NaN and are taken out with
`known` before anything here; a NaN that still comes in is an error.

Two empty masks: pooled figures come from summed counts, so a slice where truth and prediction are both empty adds
nothing. Figures a slice count it as `BOTH_EMPTY` (1, full agreement) or, on request, leave it out. A slice where only
one of the two is empty counts 0.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOTH_EMPTY = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """A confusion matrix of two classes: true and false positives and negatives. Counts add up with `+`."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0

    @classmethod
    def of(cls, truth: ArrayLike, predicted: ArrayLike) -> "Counts":
        """Count two boolean arrays of the same shape, masks or decisions."""
        true, said = np.asarray(truth, np.bool_), np.asarray(predicted, np.bool_)
        if true.shape != said.shape:
            raise ValueError(f"truth {true.shape} and prediction {said.shape} differ in shape")
        both, positives, called = int((true & said).sum()), int(true.sum()), int(said.sum())
        return cls(both, called - both, positives - both, true.size - positives - called + both)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )

    @property
    def empty(self) -> bool:
        """Whether neither truth nor prediction has a positive."""
        return self.true_positives + self.false_positives + self.false_negatives == 0

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN where `empty`."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), the Jaccard index; NaN where `empty`."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)

    @property
    def sensitivity(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and sensitivity, which is Dice under its other name."""
        return self.dice

    @property
    def accuracy(self) -> float:
        right = self.true_positives + self.true_negatives
        return _ratio(right, right + self.false_positives + self.false_negatives)


def pooled(counts: Iterable[Counts]) -> Counts:
    """The sum of the counts of many slices."""
    return sum(counts, Counts())


def mean_dice(counts: Iterable[Counts], both_empty: float | None = BOTH_EMPTY) -> float:
    """The mean Dice a slice; NaN without slices.

    Args:
        counts: one entry a slice.
        both_empty: what a slice without true and predicted blood counts as; None leaves such slices out.
    """
    return _mean([count.dice if not count.empty else both_empty for count in counts])


def mean_iou(counts: Iterable[Counts], both_empty: float | None = BOTH_EMPTY) -> float:
    """The mean intersection over union a slice; arguments as for `mean_dice`."""
    return _mean([count.iou if not count.empty else both_empty for count in counts])


def known(truth: ArrayLike, *others: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Take out the entries whose label is unknown (NaN).

    Args:
        truth: 1, 0 or NaN, (entries,).
        others: arrays with the same first axis: scores, groups.

    Returns:
        truth as bool, then the others, all without the unknown entries.
    """
    labels = np.asarray(truth, np.float64)
    keep = ~np.isnan(labels)
    return (labels[keep] > 0.5, *(np.asarray(other)[keep] for other in others))


@dataclass(frozen=True)
class Curve:
    """A curve over all thresholds, from the strictest to none.

    Attributes:
        x, y: float64 (points,): false positive rate and sensitivity, or recall and precision.
        thresholds: float64 (points,): an entry counts as positive from this score on; infinite at the first point.
    """

    x: Floats
    y: Floats
    thresholds: Floats


def roc_curve(truth: ArrayLike, score: ArrayLike) -> Curve:
    """False positive rate (x) against sensitivity (y), one point for each different score, from (0, 0) to (1, 1)."""
    called_true, called_false, thresholds = _cumulative(*_checked(truth, score))
    return Curve(_share(called_false), _share(called_true), thresholds)


def precision_recall_curve(truth: ArrayLike, score: ArrayLike) -> Curve:
    """Recall (x) against precision (y), one point for each different score; precision is 1 where nothing is called."""
    called_true, called_false, thresholds = _cumulative(*_checked(truth, score))
    called = called_true + called_false
    precision = np.divide(called_true, called, out=np.ones_like(called_true), where=called > 0)
    return Curve(_share(called_true), precision, thresholds)


def auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counted as half.

    Args:
        truth: bool or 0/1, (entries,).
        score: higher means more likely positive, (entries,).

    Returns:
        0..1, or NaN where one class is missing (Mann and Whitney, Ann Math Stat 1947;18:50-60).
    """
    labels, values = _checked(truth, score)
    positives, negatives = values[labels], np.sort(values[~labels])
    if not positives.size or not negatives.size:
        return nan
    below = np.searchsorted(negatives, positives, "left").sum()
    not_above = np.searchsorted(negatives, positives, "right").sum()
    return float(below + not_above) / (2.0 * positives.size * negatives.size)


def average_precision(truth: ArrayLike, score: ArrayLike) -> float:
    """The mean of the precisions at each step of recall, without interpolation; NaN without positives."""
    curve = precision_recall_curve(truth, score)
    return float((np.diff(curve.x) * curve.y[1:]).sum())


def specificity_at_sensitivity(truth: ArrayLike, score: ArrayLike, sensitivity: float) -> tuple[float, float]:
    """The specificity at the strictest threshold that reaches a sensitivity, and that threshold.

    Returns:
        (specificity, threshold): an entry counts as positive from the threshold on. NaN where one class is missing.
    """
    curve = roc_curve(truth, score)
    if np.isnan(curve.x).any() or np.isnan(curve.y).any():
        return nan, nan
    first = int(np.argmax(curve.y >= sensitivity - 1e-12))
    return float(1 - curve.x[first]), float(curve.thresholds[first])


@dataclass(frozen=True)
class Reliability:
    """How often what was said with a probability came true, in equally wide bins over 0..1.

    Attributes:
        edges: float64 (bins + 1,); a bin holds its lower edge, the last also 1.
        entries: int64 (bins,).
        said, came: float64 (bins,): mean probability and share of positives; NaN in empty bins.
    """

    edges: Floats
    entries: NDArray[np.int64]
    said: Floats
    came: Floats

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of |said - came| over the entries; NaN without entries."""
        filled = self.entries > 0
        gaps = np.abs(self.said - self.came)[filled] * self.entries[filled]
        return _ratio(float(gaps.sum()), int(self.entries.sum()))


def reliability(truth: ArrayLike, probability: ArrayLike, bins: int = 15) -> Reliability:
    """The reliability curve; `reliability(...).error` is the expected calibration error (ECE).

    Args:
        truth: bool or 0/1, (entries,).
        probability: 0..1, (entries,).
        bins: of equal width (Guo et al., ICML 2017, use 15).
    """
    labels, values = _checked(truth, probability)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"probabilities must be 0..1, got {values.min()}..{values.max()}")
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    entries = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        said = np.bincount(place, values, minlength=bins) / entries
        came = np.bincount(place, labels.astype(np.float64), minlength=bins) / entries
    return Reliability(np.linspace(0, 1, bins + 1), entries, said, came)


def bootstrap_interval(
    statistic: Callable[..., float],
    groups: ArrayLike,
    *columns: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """A percentile interval of a statistic, resampling whole groups: slices of one patient are not independent.

    Args:
        statistic: takes the columns, resampled along their first axis, and returns a number.
        groups: (entries,) patient of each entry; text or numbers.
        columns: arrays with one entry each along their first axis, for example truth and score.
        resamples: how many times as many groups as there are get drawn with replacement.
        seed: the same seed gives the same interval.
        level: of the interval.

    Returns:
        (low, high). Resamples whose statistic is NaN are left out; (NaN, NaN) where all are, or without entries.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    arrays = [np.asarray(column) for column in columns]
    if any(len(array) != group.size for array in arrays):
        raise ValueError(f"{group.size} groups for columns of {[len(array) for array in arrays]} entries")
    if not group.size:
        return nan, nan
    order, sizes = np.argsort(group, kind="stable"), np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    random = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = random.integers(0, sizes.size, sizes.size)
        lengths = sizes[drawn]
        # Each drawn group's run of entries: its start, plus 0, 1, 2, ... within the run.
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        chosen = order[np.repeat(starts[drawn], lengths) + within]
        values.append(statistic(*(array[chosen] for array in arrays)))
    said = np.array(values, np.float64)
    said = said[~np.isnan(said)]
    if not said.size:
        return nan, nan
    low, high = np.quantile(said, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def basic_interval(
    statistic: Callable[..., float], groups: ArrayLike, *columns: ArrayLike, resamples: int = 1000
) -> tuple[float, float]:
    """The interval of a statistic of 0 or more that resampling shifts, such as the expected calibration error.

    Doubled entries look like miscalibration, so every resample's error is too high, and a percentile interval lies
    above the value itself. The basic interval mirrors it at the value (Davison and Hinkley, Bootstrap Methods, 1997,
    5.2). Arguments as for `bootstrap_interval`; low is not below 0.
    """
    low, high = bootstrap_interval(statistic, groups, *columns, resamples=resamples)
    value = statistic(*map(np.asarray, columns))
    return max(2 * value - high, 0.0), max(2 * value - low, 0.0)


class ScoreHistogram:
    """Millions of pixels at the price of two histograms: AUC and counts at any threshold, to 1/bins.

    Scores 0..1 fall into equal bins; those of one bin count as ties.
    """

    def __init__(self, bins: int = 1024) -> None:
        self.positives: NDArray[np.int64] = np.zeros(bins, np.int64)
        self.negatives: NDArray[np.int64] = np.zeros(bins, np.int64)

    def add(self, truth: NDArray[np.bool_], score: NDArray[np.floating[Any]]) -> None:
        """Count pixels, arrays of one shape; unknown pixels are left out by the caller."""
        if truth.shape != score.shape:
            raise ValueError(f"truth {truth.shape} and score {score.shape} differ in shape")
        if not np.isfinite(score).all():
            raise ValueError("scores must be finite numbers")
        bins = self.positives.size
        place = np.clip((score * bins).astype(np.int64), 0, bins - 1).ravel()
        # One pass for both classes: negatives in the first half, positives in the second.
        both = np.bincount(place + bins * truth.ravel(), minlength=2 * bins)
        self.negatives += both[:bins]
        self.positives += both[bins:]

    def auc(self) -> float:
        """Area under the ROC curve of all pixels, pixels of one bin tied; NaN where one class is missing."""
        below = np.cumsum(self.negatives) - self.negatives
        wins = float((self.positives * (below + self.negatives / 2)).sum())
        return _ratio(wins, float(self.positives.sum()) * float(self.negatives.sum()))

    def counts(self, threshold: float) -> Counts:
        """The confusion matrix at a threshold, rounded to the nearest bin edge; positive from the threshold on."""
        edge = int(np.clip(round(threshold * self.positives.size), 0, self.positives.size))
        return Counts(
            int(self.positives[edge:].sum()),
            int(self.negatives[edge:].sum()),
            int(self.positives[:edge].sum()),
            int(self.negatives[:edge].sum()),
        )

    def dice(self) -> Floats:
        """The pooled Dice (bins,) of calling positive from each bin's lower edge on; NaN without positive pixels."""
        called_true = np.cumsum(self.positives[::-1])[::-1]
        called = called_true + np.cumsum(self.negatives[::-1])[::-1]
        if not called_true[0]:
            return np.full(self.positives.size, nan)
        pooled: Floats = 2 * called_true / (called + called_true[0])
        return pooled


def _checked(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    labels, values = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"truth {labels.shape} and score {values.shape} must be one list each, of one length")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("truth must be 0 or 1; take unknown labels out with `known`")
    if np.isnan(values).any():
        raise ValueError("scores must be numbers")
    return labels > 0.5, values


def _cumulative(labels: NDArray[np.bool_], values: Floats) -> tuple[Floats, Floats, Floats]:
    """Positives and negatives called at each different score, from the strictest threshold (nothing called) down."""
    order = np.argsort(-values, kind="stable")
    labels, values = labels[order], values[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True)) if values.size else np.zeros(0, np.int64)
    called_true = np.cumsum(labels)[last].astype(np.float64)
    called_false = np.cumsum(~labels)[last].astype(np.float64)
    start = np.zeros(1)
    return (
        np.concatenate([start, called_true]),
        np.concatenate([start, called_false]),
        np.concatenate([start + np.inf, values[last]]),
    )


def _share(called: Floats) -> Floats:
    share: Floats = called / called[-1] if called[-1] else np.full_like(called, nan)
    return share


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else nan


def _mean(values: list[float | None]) -> float:
    counted = [value for value in values if value is not None]
    return _ratio(sum(counted), len(counted))
