"""The rule for whole scans on slices whose logits a hand can set."""

from math import exp

import numpy as np
import pytest

from hemoscope.findings import SliceFindings
from hemoscope.labels import CLASSES
from hemoscope.scan_rule import ScanRule, evidence, scan_probabilities


def probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def slices(*logits: float) -> np.ndarray:
    """Slices of a model that knows one class."""
    return np.array([[probability(logit)] for logit in logits])


def slice_findings(any_logit: float, epidural: float | None = None) -> SliceFindings:
    probabilities = dict.fromkeys(CLASSES) | {"any": probability(any_logit), "epidural": epidural}
    mask = np.ones((2, 3), np.bool_)
    return SliceFindings(probabilities, "uncertain", mask, mask.astype(np.float32), {}, 6, 1.5, mask.astype(np.uint8))


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [(1, 5.0), (2, 3.0), (3, 7 / 3), (5, 1.4), (9, 1.4)],  # of five slices, nine neighbours are all five
)
def test_evidence_is_the_largest_mean_over_neighbours(neighbours: int, expected: float) -> None:
    assert evidence(slices(5.0, -5.0, 1.0, 2.0, 4.0), neighbours) == pytest.approx([expected])


def test_one_false_slice_weighs_less_than_a_bleed_over_three() -> None:
    alone, bleed = slices(-4, 3, -4, -4), slices(-4, 2, 2, 2)
    assert evidence(alone, 1) > evidence(bleed, 1)
    assert evidence(alone, 3) == pytest.approx([-5 / 3])
    assert evidence(bleed, 3) == pytest.approx([2.0])


def test_each_class_has_its_own_neighbours() -> None:
    both = np.concatenate([slices(4, 4, -2, -2), slices(-2, -2, 6, 0)], axis=1)
    assert evidence(both, 2) == pytest.approx([4.0, 3.0])


def test_a_certain_slice_has_finite_evidence() -> None:
    assert np.isfinite(evidence(np.array([[0.0], [1.0], [0.5]]), 2)).all()


def test_bias_and_temperature_follow_the_evidence() -> None:
    rule = ScanRule(1, 2.0, -1.0, 0.25, 0.75, "")
    assert rule.probabilities(slices(-3, 2, 0)) == pytest.approx([probability((2 - 1) / 2)])


@pytest.mark.parametrize(
    ("said", "finding"), [(0.0, "none"), (0.2499, "none"), (0.25, "uncertain"), (0.75, "hemorrhage"), (1, "hemorrhage")]
)
def test_the_band_decides(said: float, finding: str) -> None:
    assert ScanRule(1, 1.0, 0.0, 0.25, 0.75, "").decide(said) == finding


def test_a_class_that_is_not_assessed_stays_unknown() -> None:
    rule = ScanRule(1, 1.0, -1.0, 0.25, 0.75, "")
    said = scan_probabilities(rule, [slice_findings(1.0), slice_findings(2.0)])
    assert list(said) == list(CLASSES)
    assert said["any"] == pytest.approx(probability(1.0))
    assert said["epidural"] is None
    assert scan_probabilities(rule, [slice_findings(1.0, 0.5)])["epidural"] == pytest.approx(probability(-1.0))
