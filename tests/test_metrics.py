from math import isnan, nan
from time import perf_counter

import numpy as np
import pytest

from hemoscope.metrics import (
    Counts,
    ScoreHistogram,
    auc,
    average_precision,
    basic_interval,
    bootstrap_interval,
    known,
    mean_dice,
    mean_iou,
    pooled,
    precision_recall_curve,
    reliability,
    roc_curve,
    specificity_at_sensitivity,
)

# Six slices: scores from high to low 0.9+ 0.8- 0.7+ 0.7- 0.4+ 0.2-; of nine pairs the positives win
# 3 (0.9) + 1.5 (0.7: above 0.2, tied with 0.7, below 0.8) + 1 (0.4: above 0.2) = 5.5.
TRUTH = np.array([1, 0, 1, 0, 1, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.7, 0.4, 0.2])


def test_counts_of_masks():
    truth = np.array([[1, 1, 0], [0, 0, 0]], bool)
    predicted = np.array([[1, 0, 1], [1, 0, 0]], bool)
    assert Counts.of(truth, predicted) == Counts(1, 2, 1, 2)


def test_figures_from_counts():
    counts = Counts(true_positives=6, false_positives=2, false_negatives=4, true_negatives=8)
    assert counts.dice == counts.f1 == pytest.approx(12 / 18)
    assert counts.iou == pytest.approx(6 / 12)
    assert counts.sensitivity == pytest.approx(0.6)
    assert counts.specificity == pytest.approx(0.8)
    assert counts.precision == pytest.approx(0.75)
    assert counts.accuracy == pytest.approx(0.7)


def test_figures_without_a_denominator_are_nan():
    nothing = Counts()
    for figure in ("dice", "iou", "f1", "sensitivity", "specificity", "precision", "accuracy"):
        assert isnan(getattr(nothing, figure)), figure


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        Counts.of(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


def test_pooled_dice_sums_counts_before_dividing():
    slices = [Counts(1, 0, 1, 98), Counts(9, 1, 0, 90), Counts(0, 0, 0, 100)]
    assert pooled(slices) == Counts(10, 1, 1, 288)
    assert pooled(slices).dice == pytest.approx(20 / 22)


def test_empty_masks_count_as_agreement_or_are_left_out():
    slices = [Counts(1, 0, 1, 98), Counts(0, 0, 0, 100), Counts(0, 3, 0, 97)]  # Dice 2/3, both empty, 0
    assert mean_dice(slices) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert mean_dice(slices, both_empty=None) == pytest.approx((2 / 3 + 0) / 2)
    assert mean_iou(slices) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert isnan(mean_dice([]))


def test_auc_counts_ties_as_half():
    assert auc(TRUTH, SCORE) == pytest.approx(5.5 / 9)


@pytest.mark.parametrize(
    ("score", "area"), [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5, 0.5, 0.5, 0.5], 0.5)]
)
def test_auc_of_perfect_reversed_and_constant_scores(score, area):
    assert auc([0, 0, 1, 1], score) == area


@pytest.mark.parametrize("truth", [[1, 1], [0, 0], []])
def test_auc_of_one_class_is_nan(truth):
    assert isnan(auc(truth, np.linspace(0, 1, len(truth))))


def test_roc_curve_has_a_point_for_each_different_score():
    curve = roc_curve(TRUTH, SCORE)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.4, 0.2]
    assert curve.x == pytest.approx([0, 0, 1 / 3, 2 / 3, 2 / 3, 1])
    assert curve.y == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])


def test_area_under_the_roc_curve_equals_the_rank_statistic():
    random = np.random.default_rng(4)
    truth, score = random.random(500) < 0.3, random.integers(0, 40, 500) / 40
    curve = roc_curve(truth, score)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auc(truth, score), abs=1e-12)


def test_precision_recall_curve_and_average_precision():
    curve = precision_recall_curve(TRUTH, SCORE)
    assert curve.x == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert curve.y == pytest.approx([1, 1, 1 / 2, 2 / 4, 3 / 5, 3 / 6])
    assert average_precision(TRUTH, SCORE) == pytest.approx((1 + 1 / 2 + 3 / 5) / 3)


def test_average_precision_without_positives_is_nan():
    assert isnan(average_precision([0, 0], [0.1, 0.2]))


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "threshold"), [(0.3, 1.0, 0.9), (2 / 3, 1 / 3, 0.7), (0.9, 1 / 3, 0.4)]
)
def test_specificity_at_sensitivity(sensitivity, specificity, threshold):
    assert specificity_at_sensitivity(TRUTH, SCORE, sensitivity) == pytest.approx((specificity, threshold))


def test_specificity_at_sensitivity_of_one_class_is_nan():
    assert all(map(isnan, specificity_at_sensitivity([1, 1], [0.2, 0.3], 0.9)))


def test_reliability_by_hand():
    # Bins of 0.5: (0.1, 0.3 -> 0 of 2), (0.5, 0.8, 1.0 -> 2 of 3): gaps 0.2 and 0.1.
    curve = reliability([0, 0, 1, 0, 1], [0.1, 0.3, 0.5, 0.8, 1.0], bins=2)
    assert curve.entries.tolist() == [2, 3]
    assert curve.said == pytest.approx([0.2, 2.3 / 3])
    assert curve.came == pytest.approx([0, 2 / 3])
    assert curve.error == pytest.approx((2 * 0.2 + 3 * 0.1) / 5)


def test_empty_bins_are_nan_and_do_not_count():
    curve = reliability([1, 1], [0.95, 0.95], bins=10)
    assert np.isnan(curve.came[:9]).all()
    assert curve.error == pytest.approx(0.05)


def test_probabilities_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        reliability([1, 0], [1.2, 0.1])


def test_known_takes_out_unknown_labels_everywhere():
    truth, score, patient = known([1.0, nan, 0.0], [0.9, 0.8, 0.1], ["a", "b", "c"])
    assert truth.tolist() == [True, False]
    assert score.tolist() == [0.9, 0.1]
    assert patient.tolist() == ["a", "c"]


def test_unknown_labels_are_refused_by_the_figures():
    with pytest.raises(ValueError, match="known"):
        auc([1.0, nan, 0.0], [0.9, 0.8, 0.1])


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="numbers"):
        auc([1, 0], [0.5, nan])


def test_bootstrap_draws_whole_groups():
    # Two patients: whichever are drawn, the mean is 0, 1 or, with one of each, (0 + 1 + 1 + 1) / 4.
    seen = set()

    def mean(values):
        seen.add(float(values.mean()))
        return values.mean()

    low, high = bootstrap_interval(mean, ["a", "b", "b", "b"], [0.0, 1.0, 1.0, 1.0], resamples=200)
    assert seen == {0.0, 0.75, 1.0}
    assert (low, high) == (0.0, 1.0)


def test_bootstrap_keeps_columns_together():
    first = np.arange(12.0)
    bootstrap_interval(
        lambda a, b: float(np.testing.assert_array_equal(b, 10 * a) or 0), first // 3, first, 10 * first, resamples=50
    )


def test_bootstrap_interval_agrees_with_theory():
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap_interval(np.mean, np.arange(400), values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.015)


def test_bootstrap_is_repeatable_and_follows_its_seed():
    values, groups = np.random.default_rng(1).random(60), np.arange(60) // 2
    first = bootstrap_interval(np.mean, groups, values, seed=5)
    assert first == bootstrap_interval(np.mean, groups, values, seed=5)
    assert first != bootstrap_interval(np.mean, groups, values, seed=6)


def test_bootstrap_leaves_out_what_cannot_be_said():
    low, high = bootstrap_interval(auc, ["a", "b"], [1, 0], [0.9, 0.1], resamples=100)
    assert (low, high) == (1.0, 1.0)
    assert all(map(isnan, bootstrap_interval(auc, ["a", "b"], [1, 1], [0.9, 0.1], resamples=10)))


def test_bootstrap_of_seven_thousand_slices_takes_seconds():
    random = np.random.default_rng(2)
    truth, patients = random.random(7000) < 0.3, random.integers(0, 400, 7000)
    score = random.random(7000) + 0.5 * truth
    start = perf_counter()
    low, high = bootstrap_interval(auc, patients, truth, score)
    assert perf_counter() - start < 20
    assert low < auc(truth, score) < high


def test_the_basic_interval_of_the_calibration_error_holds_its_value():
    random = np.random.default_rng(4)
    said = random.random(500)
    truth = random.random(500) < said  # perfectly calibrated: what error is found is chance

    def error(labels, probabilities):
        return reliability(labels, probabilities).error

    low, high = basic_interval(error, np.arange(500), truth, said, resamples=200)
    value = error(truth, said)
    assert 0 <= low < value < high < 2 * value
    assert bootstrap_interval(error, np.arange(500), truth, said, resamples=200)[0] > 0.9 * value


def test_the_basic_interval_mirrors_the_percentiles_at_the_value():
    values, groups = np.random.default_rng(5).random(60) + 3, np.arange(60) // 2
    low, high = bootstrap_interval(np.mean, groups, values)
    mirrored = (2 * values.mean() - high, 2 * values.mean() - low)
    assert basic_interval(np.mean, groups, values) == pytest.approx(mirrored)


def test_histogram_auc_equals_the_exact_one_on_bin_edges():
    random = np.random.default_rng(3)
    truth, score = random.random((40, 50)) < 0.2, random.integers(0, 64, (40, 50)) / 64
    histogram = ScoreHistogram(64)
    histogram.add(truth[:20], score[:20])
    histogram.add(truth[20:], score[20:])
    assert histogram.auc() == pytest.approx(auc(truth.ravel(), score.ravel()), abs=1e-12)


def test_histogram_counts_at_a_threshold():
    histogram = ScoreHistogram(10)
    histogram.add(np.array([True, True, False, False]), np.array([0.95, 0.25, 0.55, 0.15]))
    assert histogram.counts(0.5) == Counts(1, 1, 1, 1)
    assert histogram.counts(0.0) == Counts(2, 2, 0, 0)


def test_histogram_gives_dice_by_threshold():
    # Positives at 0.95, 0.85, 0.25; negatives at 0.55 and 0.35: two of three found without an error is 4/5,
    # all three with both negatives is 6/8.
    histogram = ScoreHistogram(10)
    histogram.add(np.array([1, 1, 1, 0, 0], bool), np.array([0.95, 0.85, 0.25, 0.55, 0.35]))
    dice = histogram.dice()
    assert dice[[0, 3, 6, 9]] == pytest.approx([0.75, 4 / 7, 0.8, 0.5])
    assert np.argmax(dice) == 6


def test_histogram_without_positives_says_nan():
    histogram = ScoreHistogram()
    histogram.add(np.zeros(4, bool), np.full(4, 0.5, np.float32))
    assert isnan(histogram.auc())
    assert np.isnan(histogram.dice()).all()
