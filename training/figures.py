"""The figures of a test side: numbers with intervals over patients, and the curves behind them.

In: `Judged` test slices. Out: `Metric`s as the manifest stores them, and curves as plain lists for the page and
`metrics.json`. Each set stands for itself; the sets together are given for the classes only, for their masks were made
in different ways. A figure that cannot be said (no positives, no masks) is left out, never 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.manifest import Metric
from hemoscope.metrics import (
    Counts,
    Curve,
    ScoreHistogram,
    auc,
    average_precision,
    basic_interval,
    bootstrap_interval,
    known,
    mean_dice,
    precision_recall_curve,
    reliability,
    roc_curve,
    specificity_at_sensitivity,
)
from training.predictions import BINS, Judged
from training.scans import FINDINGS, WHOLE_SCANS, Scans

ALL = "all"
FEW = 10  # positives; below it a figure says little, whatever its interval
RESAMPLES = 1000
SENSITIVITY = 0.95
CURVE_POINTS = 200
IN_CONTEXT = "in context"  # in the name of every figure of slices that were judged beside their neighbours
RANKED_IN_CONTEXT = ("AUC any", f"specificity at sensitivity {SENSITIVITY}", "ECE any")
LEFT_OUT_IN_CONTEXT = ("pixel AUC",)  # the pixels' scores are the same
PER_PATIENT = "per patient"  # in the name of every figure that counts patients and not slices

DECISIONS = ("sensitivity", "specificity", "precision", "f1", "accuracy")
TITLES = {name: name for name in DECISIONS} | {"f1": "F1"}


@dataclass(frozen=True)
class _Part:
    """The slices of one set (or of all) whose label of `any` or of another class is asked for."""

    set: str
    judged: Judged
    chosen: NDArray[np.bool_]

    @property
    def groups(self) -> NDArray[np.str_]:
        return self.judged.predictions.groups[self.chosen]

    @property
    def sources(self) -> NDArray[np.str_]:
        return self.judged.predictions.sources[self.chosen]

    def labels(self, name: str) -> NDArray[np.float64]:
        return self.judged.predictions.labels[self.chosen, CLASSES.index(name)]

    def probabilities(self, name: str) -> NDArray[np.float64]:
        return self.judged.probabilities[self.chosen, self.judged.predictions.classes.index(name)]

    def uncalibrated(self) -> NDArray[np.float64]:
        logits = self.judged.predictions.logits[self.chosen, self.judged.predictions.classes.index(ANY)]
        return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))


def figures(judged: Judged, resamples: int = RESAMPLES) -> tuple[Metric, ...]:
    """All figures, set by set and then over all sets.

    Args:
        judged: the test side of a fold, or of several.
        resamples: of the patients, for each interval.
    """
    found: list[Metric] = []
    for part in parts(judged):
        found += _class_figures(part, resamples)
        found += _decision_figures(part, resamples)
        if part.set != ALL:
            scans = judged.scans
            found += _patient_figures(part, resamples) if scans is None else scan_figures(scans, part.set, resamples)
            found += _pixel_figures(part, resamples)
            found += _subtype_figures(part, resamples)
            if judged.in_context is not None:
                found += _context_figures(part.set, judged.in_context, resamples)
    return tuple(found)


def parts(judged: Judged) -> list[_Part]:
    """One part a set, and all together where there are several."""
    sources = judged.predictions.sources
    names = np.unique(sources).tolist()
    found = [_Part(name, judged, sources == name) for name in names]
    return [*found, _Part(ALL, judged, np.ones(sources.size, np.bool_))] if len(names) > 1 else found


def curves(judged: Judged) -> dict[str, Any]:
    """What the page draws, by set: ROC a class, precision-recall, reliability, Dice a slice, confusion matrices."""
    found: dict[str, Any] = {}
    for part in parts(judged):
        entry: dict[str, Any] = {"roc": {}}
        for name in judged.predictions.classes:
            truth, score = known(part.labels(name), part.probabilities(name))
            if truth.any() and not truth.all():
                entry["roc"][name] = _points(roc_curve(truth, score))
        truth, score, raw, findings = known(
            part.labels(ANY), part.probabilities(ANY), part.uncalibrated(), judged.findings[part.chosen]
        )
        if truth.any():
            entry["precision_recall"] = _points(precision_recall_curve(truth, score))
        if truth.size:
            entry["reliability"] = _bins(truth, score)
            entry["reliability_before"] = _bins(truth, raw)
        entry["findings"] = {
            label: {finding: int((findings[side] == code).sum()) for code, finding in enumerate(FINDINGS)}
            for label, side in (("hemorrhage", truth), ("no hemorrhage", ~truth))
        }
        counts, _ = _slice_counts(part)
        if part.set != ALL and counts[:, (0, 2)].any():
            entry["pixels"] = dict(zip(("tp", "fp", "fn", "tn"), counts.sum(0).tolist(), strict=True))
            entry["dice_per_slice"] = [round(Counts(*row).dice, 4) for row in counts.tolist() if row[0] + row[2]]
        found[part.set] = entry
    return found


def _class_figures(part: _Part, resamples: int) -> Iterator[Metric]:
    for name in part.judged.predictions.classes:
        entry = (part.labels(name), part.probabilities(name), part.groups)
        yield from _ranked(part.set, f"AUC {name}", auc, *entry, resamples)
    yield from _mean_of_subtypes(part, resamples)
    entry = (part.labels(ANY), part.probabilities(ANY), part.groups)
    yield from _ranked(part.set, "average precision any", average_precision, *entry, resamples)

    def specificity(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
        return specificity_at_sensitivity(truth, score, SENSITIVITY)[0]

    yield from _ranked(part.set, f"specificity at sensitivity {SENSITIVITY}", specificity, *entry, resamples)
    raw = (part.labels(ANY), part.uncalibrated(), part.groups)
    for name, columns, note in (
        ("ECE any", entry, "15 bins"),
        ("ECE any before calibration", raw, "15 bins, plain sigmoid"),
    ):
        yield from _ranked(part.set, name, _calibration_error, *columns, resamples, note, basic_interval)


def _mean_of_subtypes(part: _Part, resamples: int) -> Iterator[Metric]:
    """The mean AUC of the subtypes that some slices have and others have not; nothing with fewer than two of them."""
    assessed = [name for name in SUBTYPES if name in part.judged.predictions.classes]
    if len(assessed) < 2:
        return
    labels = np.stack([part.labels(name) for name in assessed], axis=1)
    said = np.stack([part.probabilities(name) for name in assessed], axis=1)
    rows = ~np.isnan(labels).any(axis=1)
    truth = labels[rows] == 1
    ranked = [name for name, both in zip(assessed, _both_kinds(truth), strict=True) if both]
    if len(ranked) < 2:
        return
    note = f"of {', '.join(ranked)}; in resamples without one of them of the others"
    columns = (truth, said[rows])
    yield from _measured(
        part.set, "AUC mean of the subtypes", _mean_auc, columns, part.groups[rows], truth.any(1), resamples, note
    )


def _both_kinds(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kinds: NDArray[np.bool_] = truth.any(0) & ~truth.all(0)
    return kinds


def _mean_auc(truth: NDArray[np.bool_], said: NDArray[np.float64]) -> float:
    areas = [auc(truth[:, place], said[:, place]) for place in np.flatnonzero(_both_kinds(truth))]
    return float(np.mean(areas)) if areas else np.nan


def _decision_figures(part: _Part, resamples: int) -> Iterator[Metric]:
    truth, findings, groups = known(part.labels(ANY), part.judged.findings[part.chosen], part.groups)
    for suffix, lowest, note in (
        ("any", 2, "hemorrhage is the finding `hemorrhage` (decision_high)"),
        ("any at decision_low", 1, "hemorrhage is the finding `hemorrhage` or `uncertain` (decision_low)"),
    ):
        for figure in DECISIONS:

            def statistic(true: NDArray[np.bool_], said: NDArray[np.bool_], figure: str = figure) -> float:
                return float(getattr(Counts.of(true, said), figure))

            columns = (truth, findings >= lowest)
            yield from _measured(
                part.set, f"{TITLES[figure]} {suffix}", statistic, columns, groups, truth, resamples, note
            )

    def share(_: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> float:
        return float(uncertain.mean())

    yield from _measured(
        part.set, "abstain share", share, (truth, findings == 1), groups, truth, resamples, "the finding `uncertain`"
    )


def _patient_figures(part: _Part, resamples: int) -> Iterator[Metric]:
    labels, scores, groups = part.labels(ANY), part.probabilities(ANY), part.groups
    truth, scores, groups = known(labels, scores, groups)
    patients, place = np.unique(groups, return_inverse=True)
    if truth.size < WHOLE_SCANS * max(patients.size, 1):
        return
    bleeds, highest = np.zeros(patients.size, np.bool_), np.zeros(patients.size)
    np.logical_or.at(bleeds, place, truth)
    np.maximum.at(highest, place, scores)
    yield from _ranked(
        part.set, "AUC any per patient", auc, bleeds.astype(np.float64), highest, patients, resamples,
        note="the largest probability over a patient's slices; n is patients",
    )  # fmt: skip


def scan_figures(scans: Scans, set_name: str, resamples: int = RESAMPLES) -> Iterator[Metric]:
    """How well a set's whole scans are ranked and decided, patient by patient; nothing for a set without any."""
    chosen = (scans.sources == set_name) & ~np.isnan(scans.labels[:, CLASSES.index(ANY)])
    labels, groups = scans.labels[chosen, CLASSES.index(ANY)], scans.groups[chosen]
    note = "by the rule for whole scans; n is patients"
    yield from _ranked(
        set_name, "AUC any per patient", auc, labels, scans.probabilities[chosen], groups, resamples, note
    )
    truth, findings = labels == 1, scans.findings[chosen]
    for figure, lowest, suffix in (
        ("sensitivity", 2, ""), ("sensitivity", 1, " at decision_low"),
        ("specificity", 2, ""), ("specificity", 1, " at decision_low"),
    ):  # fmt: skip

        def statistic(true: NDArray[np.bool_], said: NDArray[np.bool_], figure: str = figure) -> float:
            return float(getattr(Counts.of(true, said), figure))

        columns, name = (truth, findings >= lowest), f"{figure} any per patient{suffix}"
        yield from _measured(set_name, name, statistic, columns, groups, truth, resamples, note)

    def share(_: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> float:
        return float(uncertain.mean())

    columns = (truth, findings == 1)
    yield from _measured(set_name, "abstain share per patient", share, columns, groups, truth, resamples, note)


def _context_figures(set_name: str, in_context: Judged, resamples: int) -> Iterator[Metric]:
    """How well the slices of a set's complete scans are told beside their neighbours; nothing for a set without any."""
    part = _Part(set_name, in_context, in_context.predictions.sources == set_name)
    if not part.chosen.any():
        return
    ranked = [metric for metric in _class_figures(part, resamples) if metric.name in RANKED_IN_CONTEXT]
    for metric in (*ranked, *_decision_figures(part, resamples), *_pixel_figures(part, resamples)):
        if metric.name not in LEFT_OUT_IN_CONTEXT:
            note = "; ".join(text for text in (metric.note, "each slice beside its neighbours") if text)
            yield replace(metric, name=f"{metric.name} {IN_CONTEXT}", note=note)


def _pixel_figures(part: _Part, resamples: int) -> Iterator[Metric]:
    counts, rows = _slice_counts(part)
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

    def measured(
        name: str, statistic: Callable[..., float], column: NDArray[Any], note: str, among: NDArray[np.bool_] = bleeds
    ) -> Iterator[Metric]:
        return _measured(part.set, name, statistic, (column,), patients, among, resamples, note)

    yield from measured("pixel AUC", _pixel_auc, histograms, f"{known_pixels}; before the threshold")
    yield from measured("IoU pooled", _pooled_iou, sums, as_shown)
    yield from measured("Dice pooled", _pooled_dice, sums, as_shown)
    yield from measured(
        "Dice pooled on positives", _pooled_dice, positive_sums, "slices with blood only", bleeds[bleeds]
    )
    surely = (
        "slices with a mask and all slices of patients without any hemorrhage; slices that lie beside a bleed are out"
    )
    for figure, statistic in (("Dice", _pooled_dice), ("IoU", _pooled_iou)):
        name = f"{figure} pooled, masks and hemorrhage-free patients"
        yield from measured(name, statistic, sure_sums, surely, bleeds[sure])
    lines = [Counts(*row) for row in counts[bleeds].tolist()]
    low, high = bootstrap_interval(
        lambda each: float(each.mean()), groups[bleeds], np.array([line.dice for line in lines]), resamples=resamples
    )
    positives = int(bleeds.sum())
    note = _note("the mean over slices with blood", positives)
    yield Metric(part.set, "Dice per slice", positives, positives, mean_dice(lines), low, high, note)


def _subtype_figures(part: _Part, resamples: int) -> Iterator[Metric]:
    """How well the mask tells the subtypes apart, and how often it says what the classes say."""
    side = part.judged.predictions
    if side.marked is None or side.subtype_pixels is None or not set(SUBTYPES) <= set(side.classes):
        return
    pixels, groups = side.subtype_pixels[part.chosen], part.groups
    for place, name in enumerate(SUBTYPES):
        known_slices = pixels[:, place].sum(1) > 0

        def share(lines: NDArray[np.int64], place: int = place) -> float:
            return float(lines[:, place].sum() / max(lines.sum(), 1))

        yield from _measured(
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
        yield from _measured(part.set, name, _mean, (column,), groups[among], truth, resamples, note)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def _bleeding_patients(part: _Part) -> NDArray[np.str_]:
    """The patients of whom a slice has hemorrhage, or may have."""
    return np.unique(part.groups[~(part.labels(ANY) == 0)])


def _slice_counts(part: _Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The mask's counts of the part's slices with known pixels, and their rows in `Judged.counts`."""
    rows = np.flatnonzero(part.chosen[part.judged.predictions.pixel_slices])
    return part.judged.counts[rows], rows


def _pixel_auc(histograms: NDArray[np.int64]) -> float:
    histogram = ScoreHistogram(BINS)
    histogram.negatives, histogram.positives = histograms.sum(0)
    return histogram.auc()


def _pooled_dice(sums: NDArray[np.int64]) -> float:
    return Counts(*sums.sum(0).tolist()).dice


def _pooled_iou(sums: NDArray[np.int64]) -> float:
    return Counts(*sums.sum(0).tolist()).iou


def _calibration_error(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    return reliability(truth, probability).error


def _ranked(
    set_name: str,
    name: str,
    statistic: Callable[..., float],
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    groups: NDArray[np.str_],
    resamples: int,
    note: str = "",
    interval: Callable[..., tuple[float, float]] = bootstrap_interval,
) -> Iterator[Metric]:
    truth, score, group = known(labels, scores, groups)
    yield from _measured(set_name, name, statistic, (truth, score), group, truth, resamples, note, interval)


def _measured(
    set_name: str,
    name: str,
    statistic: Callable[..., float],
    columns: tuple[NDArray[Any], ...],
    groups: NDArray[np.str_],
    truth: NDArray[np.bool_],
    resamples: int,
    note: str,
    interval: Callable[..., tuple[float, float]] = bootstrap_interval,
) -> Iterator[Metric]:
    """A metric with its interval over the groups; nothing where it cannot be said."""
    value = float(statistic(*columns)) if truth.size else np.nan
    if np.isnan(value):
        return
    low, high = interval(statistic, groups, *columns, resamples=resamples)
    positives = int(truth.sum())
    ends = [None if np.isnan(end) else end for end in (low, high)]
    yield Metric(set_name, name, int(truth.size), positives, value, *ends, _note(note, positives))


def _note(note: str, positives: int) -> str:
    few = f"not validated: fewer than {FEW} positives" if positives < FEW else ""
    return "; ".join(part for part in (few, note) if part)


def _points(curve: Curve) -> dict[str, list[float]]:
    chosen = np.unique(np.linspace(0, curve.x.size - 1, CURVE_POINTS).round().astype(np.int64))
    return {"x": curve.x[chosen].round(5).tolist(), "y": curve.y[chosen].round(5).tolist()}


def _bins(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, list[float]]:
    found = reliability(truth, probability)
    filled = found.entries > 0
    return {
        "said": found.said[filled].round(5).tolist(),
        "came": found.came[filled].round(5).tolist(),
        "entries": found.entries[filled].tolist(),
    }
