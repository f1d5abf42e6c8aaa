"""The figures of the mask: how well it covers the blood, and how well it tells the subtypes apart.

In: the `Part` of a test side that is one set. Out: `Metric`s over the slices whose every pixel is known; none for a
network without a mask.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.manifest import Metric
from hemoscope.metrics import Counts, ScoreHistogram, bootstrap_interval, mean_dice
from training.measured import Part, measured, with_remark
from training.predictions import BINS


def pixel_figures(part: Part, resamples: int) -> Iterator[Metric]:
    """How well the mask covers the blood; nothing for a set without masks."""
    counts, rows = slice_counts(part)
    bleeds = counts[:, 0] + counts[:, 2] > 0
    if not bleeds.any():
        return
    groups = part.judged.predictions.groups[part.judged.predictions.pixel_slices[rows]]
    patients, place = np.unique(groups, return_inverse=True)
    # A patient's pixels are summed once: resampling patients then costs next to nothing.
    histograms = np.zeros((patients.size, 2, BINS), np.int64)
    np.add.at(histograms, place, part.judged.predictions.pixels[rows])
    sums, positive_sums, sure_sums = np.zeros((3, patients.size, 4), np.int64)
    np.add.at(sums, place, counts)
    np.add.at(positive_sums, place[bleeds], counts[bleeds])
    sure = bleeds | ~np.isin(groups, _bleeding_patients(part))
    np.add.at(sure_sums, place[sure], counts[sure])
    known_pixels = "slices with a mask and slices without hemorrhage, on the image's own grid"
    as_shown = f"{known_pixels}; the mask as it is shown (empty where the finding is `none`)"

    def pooled(
        name: str, statistic: Callable[..., float], column: NDArray[Any], note: str, among: NDArray[np.bool_] = bleeds
    ) -> Iterator[Metric]:
        return measured(part.set, name, statistic, (column,), patients, among, resamples, note)

    yield from pooled("pixel AUC", _pixel_auc, histograms, f"{known_pixels}; before the threshold")
    yield from pooled("IoU pooled", _pooled_iou, sums, as_shown)
    yield from pooled("Dice pooled", _pooled_dice, sums, as_shown)
    yield from pooled("Dice pooled on positives", _pooled_dice, positive_sums, "slices with blood only", bleeds[bleeds])
    surely = (
        "slices with a mask and all slices of patients without any hemorrhage; slices that lie beside a bleed are out"
    )
    for figure, statistic in (("Dice", _pooled_dice), ("IoU", _pooled_iou)):
        name = f"{figure} pooled, masks and hemorrhage-free patients"
        yield from pooled(name, statistic, sure_sums, surely, bleeds[sure])
    lines = [Counts(*row) for row in counts[bleeds].tolist()]
    low, high = bootstrap_interval(
        lambda each: float(each.mean()), groups[bleeds], np.array([line.dice for line in lines]), resamples=resamples
    )
    positives = int(bleeds.sum())
    note = with_remark("the mean over slices with blood", positives)
    yield Metric(part.set, "Dice per slice", positives, positives, mean_dice(lines), low, high, note)


def subtype_figures(part: Part, resamples: int) -> Iterator[Metric]:
    """How well the mask tells the subtypes apart, and how often it says what the classes say."""
    side = part.judged.predictions
    if side.marked is None or side.subtype_pixels is None or not set(SUBTYPES) <= set(side.classes):
        return
    pixels, groups = side.subtype_pixels[part.chosen], part.groups
    for place, name in enumerate(SUBTYPES):
        known_slices = pixels[:, place].sum(1) > 0

        def share(lines: NDArray[np.int64], place: int = place) -> float:
            return float(lines[:, place].sum() / max(lines.sum(), 1))

        yield from measured(
            part.set, f"share of {name} pixels called so", share, (pixels[known_slices, place],), groups[known_slices],
            np.ones(int(known_slices.sum()), np.bool_), resamples,
            "of the blood on slices whose mask is of this subtype alone, or lies in its boxes; before the threshold",
        )  # fmt: skip
    labels = side.labels[part.chosen][:, [CLASSES.index(name) for name in SUBTYPES]]
    marked = side.marked[part.chosen].argmax(1)
    named = part.judged.probabilities[part.chosen][:, [side.classes.index(name) for name in SUBTYPES]].argmax(1)
    found = part.judged.findings[part.chosen] > 0
    single = (labels == 1).sum(1) == 1
    true = np.where(single, (labels == 1).argmax(1), -1)
    for name, right, among, note in (
        ("mask's main subtype is the most probable one", marked == named, found, "slices with a finding"),
        ("mask's main subtype is the true one", marked == true, single, "slices with blood of one subtype"),
        ("most probable subtype is the true one", named == true, single, "slices with blood of one subtype"),
    ):
        column = right[among].astype(np.float64)
        truth = part.labels(ANY)[among] == 1
        yield from measured(part.set, name, _mean, (column,), groups[among], truth, resamples, note)


def slice_counts(part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The mask's counts of the part's slices with known pixels, and their rows in `Judged.counts`."""
    rows = np.flatnonzero(part.chosen[part.judged.predictions.pixel_slices])
    return part.judged.counts[rows], rows


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def _bleeding_patients(part: Part) -> NDArray[np.str_]:
    """The patients of whom a slice has hemorrhage, or may have."""
    return np.unique(part.groups[~(part.labels(ANY) == 0)])


def _pixel_auc(histograms: NDArray[np.int64]) -> float:
    histogram = ScoreHistogram(BINS)
    histogram.negatives, histogram.positives = histograms.sum(0)
    return histogram.auc()


def _pooled_dice(sums: NDArray[np.int64]) -> float:
    return Counts(*sums.sum(0).tolist()).dice


def _pooled_iou(sums: NDArray[np.int64]) -> float:
    return Counts(*sums.sum(0).tolist()).iou
