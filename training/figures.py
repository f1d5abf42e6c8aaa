"""The figures of a test side: numbers with intervals over patients, and the curves behind them.

In: `Judged` test slices. Out: `Metric`s as the manifest stores them, and curves as plain lists for the page and
`metrics.json`. Each set stands for itself; the sets together are given for the classes only, for their masks were made
in different ways. A figure that cannot be said (no positives, no masks) is left out, never 0.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.manifest import Metric
from hemoscope.metrics import (
    Counts,
    Curve,
    auc,
    average_precision,
    basic_interval,
    known,
    precision_recall_curve,
    reliability,
    roc_curve,
    specificity_at_sensitivity,
)
from training.measured import Part, measured, ranked
from training.pixel_figures import pixel_figures, slice_counts, subtype_figures
from training.predictions import Judged
from training.scans import FINDINGS, WHOLE_SCANS, Scans

ALL = "all"
RESAMPLES = 1000
SENSITIVITY = 0.95
CURVE_POINTS = 200
IN_CONTEXT = "in context"  # in the name of every figure of slices that were judged beside their neighbours
RANKED_IN_CONTEXT = ("AUC any", f"specificity at sensitivity {SENSITIVITY}", "ECE any")
LEFT_OUT_IN_CONTEXT = ("pixel AUC",)  # the pixels' scores are the same
PER_PATIENT = "per patient"  # in the name of every figure that counts patients and not slices

DECISIONS = ("sensitivity", "specificity", "precision", "f1", "accuracy")
TITLES = {name: name for name in DECISIONS} | {"f1": "F1"}


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
            found += pixel_figures(part, resamples)
            found += subtype_figures(part, resamples)
            if judged.in_context is not None:
                found += _context_figures(part.set, judged.in_context, resamples)
    return tuple(found)


def parts(judged: Judged) -> list[Part]:
    """One part a set, and all together where there are several."""
    sources = judged.predictions.sources
    names = np.unique(sources).tolist()
    found = [Part(name, judged, sources == name) for name in names]
    return [*found, Part(ALL, judged, np.ones(sources.size, np.bool_))] if len(names) > 1 else found


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
        counts, _ = slice_counts(part)
        if part.set != ALL and counts[:, (0, 2)].any():
            entry["pixels"] = dict(zip(("tp", "fp", "fn", "tn"), counts.sum(0).tolist(), strict=True))
            entry["dice_per_slice"] = [round(Counts(*row).dice, 4) for row in counts.tolist() if row[0] + row[2]]
        found[part.set] = entry
    return found


def _class_figures(part: Part, resamples: int) -> Iterator[Metric]:
    for name in part.judged.predictions.classes:
        entry = (part.labels(name), part.probabilities(name), part.groups)
        yield from ranked(part.set, f"AUC {name}", auc, *entry, resamples)
    yield from _mean_of_subtypes(part, resamples)
    entry = (part.labels(ANY), part.probabilities(ANY), part.groups)
    yield from ranked(part.set, "average precision any", average_precision, *entry, resamples)

    def specificity(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
        return specificity_at_sensitivity(truth, score, SENSITIVITY)[0]

    yield from ranked(part.set, f"specificity at sensitivity {SENSITIVITY}", specificity, *entry, resamples)
    raw = (part.labels(ANY), part.uncalibrated(), part.groups)
    for name, columns, note in (
        ("ECE any", entry, "15 bins"),
        ("ECE any before calibration", raw, "15 bins, plain sigmoid"),
    ):
        yield from ranked(part.set, name, _calibration_error, *columns, resamples, note, basic_interval)


def _mean_of_subtypes(part: Part, resamples: int) -> Iterator[Metric]:
    """The mean AUC of the subtypes that some slices have and others have not; nothing with fewer than two of them."""
    assessed = [name for name in SUBTYPES if name in part.judged.predictions.classes]
    if len(assessed) < 2:
        return
    labels = np.stack([part.labels(name) for name in assessed], axis=1)
    said = np.stack([part.probabilities(name) for name in assessed], axis=1)
    rows = ~np.isnan(labels).any(axis=1)
    truth = labels[rows] == 1
    several = [name for name, both in zip(assessed, _both_kinds(truth), strict=True) if both]
    if len(several) < 2:
        return
    note = f"of {', '.join(several)}; in resamples without one of them of the others"
    columns = (truth, said[rows])
    yield from measured(
        part.set, "AUC mean of the subtypes", _mean_auc, columns, part.groups[rows], truth.any(1), resamples, note
    )


def _both_kinds(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kinds: NDArray[np.bool_] = truth.any(0) & ~truth.all(0)
    return kinds


def _mean_auc(truth: NDArray[np.bool_], said: NDArray[np.float64]) -> float:
    areas = [auc(truth[:, place], said[:, place]) for place in np.flatnonzero(_both_kinds(truth))]
    return float(np.mean(areas)) if areas else np.nan


def _decision_figures(part: Part, resamples: int) -> Iterator[Metric]:
    truth, findings, groups = known(part.labels(ANY), part.judged.findings[part.chosen], part.groups)
    for suffix, lowest, note in (
        ("any", 2, "hemorrhage is the finding `hemorrhage` (decision_high)"),
        ("any at decision_low", 1, "hemorrhage is the finding `hemorrhage` or `uncertain` (decision_low)"),
    ):
        for figure in DECISIONS:

            def statistic(true: NDArray[np.bool_], said: NDArray[np.bool_], figure: str = figure) -> float:
                return float(getattr(Counts.of(true, said), figure))

            columns = (truth, findings >= lowest)
            yield from measured(
                part.set, f"{TITLES[figure]} {suffix}", statistic, columns, groups, truth, resamples, note
            )

    def share(_: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> float:
        return float(uncertain.mean())

    yield from measured(
        part.set, "abstain share", share, (truth, findings == 1), groups, truth, resamples, "the finding `uncertain`"
    )


def _patient_figures(part: Part, resamples: int) -> Iterator[Metric]:
    labels, scores, groups = part.labels(ANY), part.probabilities(ANY), part.groups
    truth, scores, groups = known(labels, scores, groups)
    patients, place = np.unique(groups, return_inverse=True)
    if truth.size < WHOLE_SCANS * max(patients.size, 1):
        return
    bleeds, highest = np.zeros(patients.size, np.bool_), np.zeros(patients.size)
    np.logical_or.at(bleeds, place, truth)
    np.maximum.at(highest, place, scores)
    yield from ranked(
        part.set, "AUC any per patient", auc, bleeds.astype(np.float64), highest, patients, resamples,
        note="the largest probability over a patient's slices; n is patients",
    )  # fmt: skip


def scan_figures(scans: Scans, set_name: str, resamples: int = RESAMPLES) -> Iterator[Metric]:
    """How well a set's whole scans are ranked and decided, patient by patient; nothing for a set without any."""
    chosen = (scans.sources == set_name) & ~np.isnan(scans.labels[:, CLASSES.index(ANY)])
    labels, groups = scans.labels[chosen, CLASSES.index(ANY)], scans.groups[chosen]
    note = "by the rule for whole scans; n is patients"
    yield from ranked(
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
        yield from measured(set_name, name, statistic, columns, groups, truth, resamples, note)

    def share(_: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> float:
        return float(uncertain.mean())

    columns = (truth, findings == 1)
    yield from measured(set_name, "abstain share per patient", share, columns, groups, truth, resamples, note)


def _context_figures(set_name: str, in_context: Judged, resamples: int) -> Iterator[Metric]:
    """How well the slices of a set's complete scans are told beside their neighbours; nothing for a set without any."""
    part = Part(set_name, in_context, in_context.predictions.sources == set_name)
    if not part.chosen.any():
        return
    kept = [metric for metric in _class_figures(part, resamples) if metric.name in RANKED_IN_CONTEXT]
    for metric in (*kept, *_decision_figures(part, resamples), *pixel_figures(part, resamples)):
        if metric.name not in LEFT_OUT_IN_CONTEXT:
            note = "; ".join(text for text in (metric.note, "each slice beside its neighbours") if text)
            yield replace(metric, name=f"{metric.name} {IN_CONTEXT}", note=note)


def _calibration_error(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    return reliability(truth, probability).error


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
