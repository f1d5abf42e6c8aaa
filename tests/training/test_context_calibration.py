"""The rule for slices beside their neighbours: fitted on, and judged by, scans whose logits a hand can set."""

import json
from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from hemoscope.context_rule import ContextRule
from hemoscope.errors import BadWeights
from tests.training.test_scan_rule import RULE, Scan, predictions
from training.context_calibration import ENOUGH, fit_context_rule
from training.figures import figures
from training.fitted_rules import CONTEXT_RULE_FILE, read_context_rule, write_context_rule
from training.predictions import BINS, Judged, join, judge


def flat(label: int, logit: float, slices: int = 5, of: str = "ct_ich") -> Scan:
    """A scan whose slices are all alike: beside their neighbours they say what they say alone."""
    return of, [label] * slices, [logit] * slices


def test_temperature_and_bias_are_those_of_the_averaged_logits() -> None:
    # At logit 0 a quarter bleeds, at 4 ln 3 three quarters: temperature 2, bias -2 ln 3.
    high, few = 4 * log(3), 40
    scans = [flat(1, high)] * (3 * few) + [flat(0, high)] * few + [flat(1, 0.0)] * few + [flat(0, 0.0)] * (3 * few)
    rule = fit_context_rule(predictions(*scans), RULE, "these")
    assert rule is not None
    assert (rule.temperature, rule.bias) == (pytest.approx(2, rel=0.02), pytest.approx(-2 * log(3), rel=0.02))
    assert "On these (320 complete scans, 800 slices with and 800 without hemorrhage, of ct_ich)" in rule.chosen
    assert "each slice's logit counts 0.5, that of each slice beside it 0.25" in rule.chosen


def test_the_thresholds_are_those_of_slices_in_context() -> None:
    # A lone false slice at 3 between two at -3 is 0 beside them, below the bleeds at 2.
    lone: Scan = ("ct_ich", [0] * 5, [-3, -3, 3, -3, -3])
    rule = fit_context_rule(predictions(*[flat(1, 2.0)] * 10, *[lone] * 10), RULE, "these")
    assert rule is not None
    bled, false = ((logit + rule.bias) / rule.temperature for logit in (2.0, 0.0))
    between = (1 / (1 + exp(-bled)) + 1 / (1 + exp(-false))) / 2
    assert rule.decision_low == rule.decision_high == pytest.approx(between)


def test_sets_with_slices_missing_and_too_few_slices_give_no_rule() -> None:
    thinned = [flat(1, 2.0, of="phe_sich"), flat(0, -2.0, of="phe_sich")] * ENOUGH
    assert fit_context_rule(predictions(*thinned), RULE, "") is None
    assert fit_context_rule(predictions(flat(1, 2.0), *[flat(0, -2.0)] * ENOUGH), RULE, "") is None
    assert fit_context_rule(predictions(("rsna", [1], [2.0]), ("rsna", [0], [0.0])), RULE, "") is None


def test_the_rule_survives_its_file_and_a_garbled_one_is_named(tmp_path: Path) -> None:
    assert read_context_rule(tmp_path) is None  # a run that was evaluated before there were such rules
    write_context_rule(None, tmp_path)
    assert json.loads((tmp_path / CONTEXT_RULE_FILE).read_text()) is None
    assert read_context_rule(tmp_path) is None
    write_context_rule(BY_HAND, tmp_path)
    assert read_context_rule(tmp_path) == BY_HAND
    (tmp_path / CONTEXT_RULE_FILE).write_text('{"share": 2}')
    with pytest.raises(BadWeights, match=r"context_rule\.json cannot be read"):
        read_context_rule(tmp_path)


BY_HAND = ContextRule(0.5, 1.0, 0.0, 0.5, 0.5, "By hand.")
# A bleed whose middle slice is missed by itself, and a lone false slice.
SCANS: tuple[Scan, ...] = (
    ("rsna", [1], [3.0]),
    ("ct_ich", [0, 1, 1, 1, 0], [-9, 3, -2, 3, -9]),
    ("ct_ich", [0] * 5, [-9, -9, 1, -9, -9]),
)


def judged() -> Judged:
    """Both scans; the missed slice has a mask of four pixels, all marked, the false one four pixels marked of none."""
    side = predictions(*SCANS)
    pixels = np.zeros((2, 2, BINS), np.int32)
    pixels[0, 1, -1] = pixels[1, 0, -1] = 4
    return judge(replace(side, pixel_slices=np.array([3, 8]), pixels=pixels), RULE, None, BY_HAND)


def test_only_slices_of_complete_scans_are_judged_beside_their_neighbours() -> None:
    found = judged().in_context
    assert found is not None
    assert found.predictions.keys.tolist() == [f"ct_ich/{patient}/{at}" for patient, at in _places()]
    # Means: (-18 + 3) / 3, (6 - 2 - 9) / 4, (-4 + 6) / 4 = 0.5, and the same back; the lone slice (2 - 18) / 4.
    assert found.findings.tolist() == [0, 0, 2, 0, 0] + [0] * 5
    assert judged().findings.tolist() == [2, 0, 2, 0, 2, 0, 0, 0, 2, 0, 0]


def _places() -> list[tuple[int, int]]:
    return [(1, at) for at in range(1, 6)] + [(2, at) for at in range(6, 11)]


def test_masks_are_shown_by_the_finding_in_context() -> None:
    alone, beside = judged(), judged().in_context
    assert beside is not None
    assert alone.counts.tolist() == [[0, 0, 4, 0], [0, 4, 0, 0]]  # missed, and marked for nothing
    assert beside.counts.tolist() == [[4, 0, 0, 0], [0, 0, 0, 4]]


def test_figures_in_context_stand_beside_those_of_single_slices() -> None:
    found = {one.name: one for one in figures(judged(), resamples=20) if one.set == "ct_ich"}
    assert found["sensitivity any"].value == pytest.approx(2 / 3)
    assert found["sensitivity any in context"].value == pytest.approx(1 / 3)
    assert (found["specificity any"].value, found["specificity any in context"].value) == (pytest.approx(6 / 7), 1.0)
    assert found["AUC any in context"].value == 1.0  # -1.25, 0.5 and -1.25 against -4 and less
    assert (found["Dice pooled"].value, found["Dice pooled in context"].value) == (0.0, 1.0)
    assert found["AUC any in context"].note.endswith("each slice beside its neighbours")
    assert not any("in context" in one.name for one in figures(judged(), resamples=20) if one.set != "ct_ich")


def test_folds_are_pooled_with_what_both_have() -> None:
    both = join([judged(), judged()]).in_context
    assert both is not None
    assert (both.findings.size, both.counts.tolist()) == (20, [[4, 0, 0, 0], [0, 0, 0, 4]] * 2)
    assert join([judged(), judge(predictions(*SCANS), RULE)]).in_context is None
