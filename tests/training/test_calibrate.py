"""Calibration and thresholds on numbers that a hand can check."""

from dataclasses import replace
from math import log, nan
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadData, BadWeights
from hemoscope.labels import CLASSES
from hemoscope.postprocessing import Rule
from training.calibrate import (
    best_mask_threshold,
    decision_thresholds,
    fit_calibration,
    fit_rule,
    read_rule,
    validation_patients,
    write_rule,
)
from training.predictions import BINS, Predictions, judge

LN3 = log(3)


def quarter_and_three_quarters(low: float, high: float, each: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits at two places: of those at `low` a quarter is positive, of those at `high` three quarters are."""
    logits = np.repeat([low, high], each).astype(np.float32)
    truth = np.concatenate([np.arange(each) < each // 4, np.arange(each) < 3 * each // 4]).astype(np.float64)
    return logits[:, None], truth[:, None]


def predictions(
    labels: list[float], logits: list[float], pixels: dict[int, dict[str, dict[int, int]]] | None = None
) -> Predictions:
    """Slices of a network that knows `any` only; `pixels` is slice -> "blood" or "none" -> bin -> count."""
    count = len(labels)
    every = np.full((count, len(CLASSES)), nan)
    every[:, 0] = labels
    histograms = np.zeros((len(pixels or {}), 2, BINS), np.int32)
    for row, kinds in enumerate((pixels or {}).values()):
        for place, kind in enumerate(("none", "blood")):
            for at, number in kinds.get(kind, {}).items():
                histograms[row, place, at] = number
    return Predictions(
        classes=("any",),
        keys=np.array([f"set/images/{index}.png" for index in range(count)]),
        groups=np.array([f"set/{index // 2}" for index in range(count)]),
        sources=np.array(["set"] * count),
        labels=every,
        logits=np.array(logits, np.float32)[:, None],
        pixel_slices=np.array(list(pixels or {}), np.int64),
        pixels=histograms,
        skipped=0,
    )


def test_a_known_temperature_and_bias_are_found():
    # sigmoid((0 + b) / T) = 1/4 and sigmoid((4 ln 3 + b) / T) = 3/4 have one solution: T = 2, b = -2 ln 3.
    temperature, bias = fit_calibration(*quarter_and_three_quarters(0.0, 4 * LN3))
    assert temperature == pytest.approx(2.0, abs=0.01)
    assert bias[0] == pytest.approx(-2 * LN3, abs=0.01)


def test_each_class_gets_its_own_bias():
    logits, truth = quarter_and_three_quarters(-LN3, LN3)
    shifted, _ = quarter_and_three_quarters(-LN3 + 1, LN3 + 1)
    temperature, bias = fit_calibration(np.hstack([logits, shifted]), np.hstack([truth, truth]))
    assert temperature == pytest.approx(1.0, abs=0.01)
    assert bias == pytest.approx((0.0, -1.0), abs=0.01)


def test_a_class_without_known_labels_takes_over_the_bias_of_any():
    logits, truth = quarter_and_three_quarters(0.0, 4 * LN3)
    _, bias = fit_calibration(np.hstack([logits, logits - 7]), np.hstack([truth, np.full_like(truth, nan)]))
    assert bias[1] == pytest.approx(bias[0], abs=1e-6)


def test_two_positives_move_a_bias_less_than_two_hundred():
    logits, truth = quarter_and_three_quarters(-LN3, LN3)

    def second_bias(positives: int) -> float:
        extra = np.full((len(logits), 1), nan)
        extra[: 2 * positives, 0] = np.arange(2 * positives) % 2
        far = np.full_like(logits, -3.0)  # half of what is known is positive at -3: alone, that asks for a bias of 3
        return fit_calibration(np.hstack([logits, far]), np.hstack([truth, extra]))[1][1]

    assert 0.5 < second_bias(2) < 2.0
    assert second_bias(200) == pytest.approx(3.0, abs=0.1)


def test_unknown_labels_weigh_nothing():
    logits, truth = quarter_and_three_quarters(0.0, 4 * LN3)
    more = np.vstack([logits, np.full_like(logits, 30)]), np.vstack([truth, np.full_like(truth, nan)])
    assert fit_calibration(*more) == fit_calibration(logits, truth)


def test_logits_that_rank_backwards_keep_a_positive_temperature():
    temperature, bias = fit_calibration(*quarter_and_three_quarters(4.0, -4.0))
    assert temperature == pytest.approx(20.0)  # the end of the range: as good as no information
    assert bias[0] == pytest.approx(0.0, abs=1e-6)  # half of all are positive


def test_thresholds_of_ten_slices():
    truth = np.array([1, 1, 0, 1, 0, 1, 0, 0, 0, 0], bool)
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02])
    # 95 % of four positives are four: down to 0.3, halfway to 0.2. 95 % of six negatives are six: above 0.7.
    assert decision_thresholds(truth, score) == pytest.approx((0.25, 0.75))


def test_the_high_threshold_is_never_below_the_low_one():
    truth = np.array([1, 1] + [0] * 20, bool)
    score = np.array([0.9, 0.8, 0.5] + [0.1] * 19)
    # Specificity 0.95 allows the negative at 0.5, so 0.3 alone would do; sensitivity is reached at (0.8 + 0.5) / 2.
    assert decision_thresholds(truth, score) == pytest.approx((0.65, 0.65))


def test_a_negative_with_the_highest_score_puts_the_high_threshold_above_it():
    assert decision_thresholds(np.array([0, 1], bool), np.array([0.8, 0.4])) == pytest.approx((0.2, 0.9))


def test_the_mask_threshold_counts_a_hidden_mask_as_empty():
    sides = predictions(
        [1, 1, 0],
        [0, 0, 0],
        {0: {"blood": {600: 10}, "none": {300: 10}}, 1: {"blood": {1000: 5}}, 2: {"none": {900: 100}}},
    )
    threshold, dice = best_mask_threshold(sides, np.array([True, False, False]))
    assert 300 / BINS < threshold <= 600 / BINS
    assert dice == pytest.approx(2 * 10 / (10 + 15))  # the five hidden pixels are missed, the hundred not called
    threshold, dice = best_mask_threshold(sides, np.array([True, True, True]))
    assert 900 / BINS < threshold <= 1000 / BINS
    assert dice == pytest.approx(2 * 5 / (5 + 15))


def test_each_set_counts_alike_for_the_mask_threshold_however_large_its_bleeds():
    # Of the large bleeds nine tenths lie at 900 and as much is wrong at 500; of the small ones all lie at 500.
    sides = predictions(
        [1, 1], [0, 0], {0: {"blood": {900: 900, 500: 100}, "none": {500: 900}}, 1: {"blood": {500: 8}}}
    )
    sides = replace(sides, sources=np.array(["large", "small"]))
    threshold, dice = best_mask_threshold(sides, np.array([True, True]))
    assert 0 < threshold <= 500 / BINS  # all together 901 pixels of blood of 1008 would ask for more than 500
    assert dice == pytest.approx((2 * 1000 / (1900 + 1000) + 1) / 2)


def test_without_masks_the_mask_threshold_is_a_half_and_the_sentence_says_so():
    rule, sentence = fit_rule(predictions([1, 0, 1, 0], [2.0, -2.0, 1.0, -1.0]), validation_patients(3))
    assert rule.mask_threshold == 0.5
    assert "there is no mask to choose a mask threshold on" in sentence
    assert "fold 3 (2 patients, 2 slices with and 2 without hemorrhage, of set" in sentence


def test_a_rule_finds_all_of_the_validation_side_that_it_promises():
    labels, logits = [1, 1, 0, 1, 0, 1, 0, 0, 0, 0], [5.0, 4, 3, 2, 1, 0, -1, -2, -3, -4]
    side = predictions(labels, logits, {0: {"blood": {800: 4}, "none": {10: 96}}})
    rule, sentence = fit_rule(side, validation_patients(0))
    findings = judge(side, rule).findings
    # As in the ten slices above, the ends fall between the logits 0 and -1, and 4 and 3.
    assert findings.tolist() == [2, 2, 1, 1, 1, 1, 0, 0, 0, 0]
    assert 10 / BINS < rule.mask_threshold <= 800 / BINS
    assert "largest pooled Dice (1.000, mean over the masks of set)" in sentence


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_validation_side_of_one_kind_is_refused(label: float):
    with pytest.raises(BadData, match="Thresholds need slices with and without hemorrhage"):
        fit_rule(predictions([label] * 4, [0, 1, 2, 3]), validation_patients(0))


def test_a_rule_comes_back_as_it_was_written(tmp_path: Path):
    rule = Rule(("any", "subdural"), 1.5, (-0.25, 0.125), 0.1, 0.7, 0.375)
    write_rule(rule, "By hand.", tmp_path)
    assert read_rule(tmp_path) == rule


@pytest.mark.parametrize("text", [None, "{", "[]", '{"classes": ["any"]}', '{"thresholds_chosen": "", "x": 1}'])
def test_a_missing_or_garbled_rule_says_how_to_get_one(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "rule.json").write_text(text)
    with pytest.raises(BadWeights, match=r"python -m training\.evaluate"):
        read_rule(tmp_path)
