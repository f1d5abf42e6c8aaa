"""Whole scans among a side's slices: whose they are, what is true of them, and what a `ScanRule` says.

In: a network's `Predictions`. Out: for each patient with a whole scan the rows of the slices in their order, and
`Scans`. A set counts whose patients have WHOLE_SCANS slices or more on average: CT-ICH with all slices in order, and
PHE-SICH, which is thinned away from the bleeds and lacks the slices beside them, so that neighbours in its table are
not always neighbours in the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import ANY
from hemoscope.postprocessing import Rule
from hemoscope.scan_rule import FEWEST_SLICES, ScanRule, evidence

if TYPE_CHECKING:
    from training.predictions import Predictions

THINNED = {"phe_sich"}  # of their scans slices are missing, so what is next in the table may lie elsewhere in the head
WHOLE_SCANS = 5  # slices a patient on average; below it a set shows single slices, and a patient's figure means nothing
FINDINGS = ("none", "uncertain", "hemorrhage")


@dataclass(frozen=True)
class Scans:
    """What a rule says of n patients' scans.

    Attributes:
        groups, sources: str (n,), see `Sample`.
        labels: float64 (n, 6), 1 where a slice has the class, 0 where none has, NaN where that is not known.
        probabilities: float64 (n,), of `any`.
        findings: int8 (n,), places in FINDINGS.
    """

    groups: NDArray[np.str_]
    sources: NDArray[np.str_]
    labels: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    findings: NDArray[np.int8]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several folds' scans as one."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("groups", "sources", "labels", "probabilities", "findings")
            )
        )


def rows_of_scans(predictions: "Predictions") -> list[NDArray[np.int64]]:
    """The rows of each whole scan's slices, in the order of their table, which is that of the scan."""
    found = []
    for source in np.unique(predictions.sources):
        rows = np.flatnonzero(predictions.sources == source)
        patients, place = np.unique(predictions.groups[rows], return_inverse=True)
        if rows.size >= WHOLE_SCANS * patients.size:
            found += [rows[place == number] for number in range(patients.size)]
    return [rows for rows in found if rows.size >= FEWEST_SLICES]


def rows_of_complete_scans(predictions: "Predictions") -> list[NDArray[np.int64]]:
    """The same for the scans that no slice was taken out of."""
    return [rows for rows in rows_of_scans(predictions) if predictions.sources[rows[0]] not in THINNED]


def labels_of_scan(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The labels (6,) of a scan from those of its slices (slices, 6)."""
    with_it = (labels == 1).any(axis=0)
    known: NDArray[np.float64] = np.where(with_it, 1.0, np.where(np.isnan(labels).any(axis=0), np.nan, 0.0))
    return known


def evidence_of_scans(
    predictions: "Predictions", rule: Rule, rows: Sequence[NDArray[np.int64]], neighbours: int
) -> NDArray[np.float64]:
    """The evidence (scans,) for `any`, see `scan_rule.evidence`; `rule` calibrates the slices."""
    place = rule.classes.index(ANY)
    slices = rule.probabilities(predictions.logits)[:, place : place + 1]
    return np.array([evidence(slices[each], neighbours)[0] for each in rows], np.float64)


def judge_scans(predictions: "Predictions", rule: Rule, scan_rule: ScanRule) -> Scans:
    """What serving says of each whole scan with these rules."""
    rows, place = rows_of_scans(predictions), rule.classes.index(ANY)
    slices = rule.probabilities(predictions.logits)
    said = [float(scan_rule.probabilities(slices[each])[place]) for each in rows]
    return Scans(
        groups=np.array([predictions.groups[each[0]] for each in rows], np.str_),
        sources=np.array([predictions.sources[each[0]] for each in rows], np.str_),
        labels=np.array([labels_of_scan(predictions.labels[each]) for each in rows]).reshape(len(rows), -1),
        probabilities=np.array(said, np.float64),
        findings=np.array([FINDINGS.index(scan_rule.decide(one)) for one in said], np.int8),
    )
