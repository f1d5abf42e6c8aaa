"""The arithmetic of ensembles, by hand."""

from math import exp, log

import numpy as np
import pytest

from hemoscope.ensemble import Ensemble, MeanMaps
from hemoscope.findings import SliceFindings
from hemoscope.labels import ANY, CLASSES
from hemoscope.postprocessing import Rule

THIRDS = (1 / 3,) * 3
ALL_CLASSES = Rule(CLASSES, 1.0, (0.0,) * 6, 0.25, 0.75, 0.5)
ONLY_ANY = Rule((ANY,), 1.0, (0.0,), 0.25, 0.75, 0.5)


def member(any_probability=0.5, mask_probability=None, heat=None, **subtypes):
    """What a member says; of the subtypes it assesses those that are given."""
    known = dict.fromkeys(CLASSES) | {ANY: any_probability} | subtypes
    pixels = None if mask_probability is None else np.array(mask_probability, np.float32)
    mask = None if pixels is None else pixels >= 0.5
    return SliceFindings(known, "none", mask, pixels, heat or {}, None, None)


@pytest.mark.parametrize(
    ("combination", "weights", "members", "expected"),
    [
        ("average", THIRDS, [0.2, 0.5, 0.8], 0.5),
        ("average", (0.5, 0.5), [0.9, 0.2], 0.55),
        ("weighted", (0.5, 0.3, 0.2), [0.2, 0.5, 0.8], 0.1 + 0.15 + 0.16),
        ("vote", THIRDS, [0.2, 0.5, 0.8], 2 / 3),  # a half is a vote
        ("vote", THIRDS, [0.4999, 0.1, 0.0], 0.0),
        ("vote", THIRDS, [0.6, 0.7, 1.0], 1.0),
        ("average", THIRDS, [0.2, None, 0.8], 0.5),  # who does not assess the class does not count
        ("weighted", (0.5, 0.3, 0.2), [None, 0.5, 0.8], (0.15 + 0.16) / 0.5),
        ("vote", THIRDS, [None, 0.6, 0.4], 0.5),
    ],
)
def test_probabilities_are_combined_by_hand(combination, weights, members, expected):
    assert Ensemble(combination, weights).probability(members) == pytest.approx(expected)


def test_a_class_that_no_member_assesses_has_no_probability():
    assert Ensemble("average", THIRDS).probability([None] * 3) is None


def test_many_slices_are_combined_at_once():
    found = Ensemble("weighted", (0.75, 0.25)).probability([np.array([0.0, 0.4]), np.array([1.0, 0.8])])
    assert found == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize("combination", ["average", "vote", "weighted"])
def test_what_is_not_a_number_stays_visible(combination):
    assert np.isnan(Ensemble(combination, (0.5, 0.5)).probability([0.9, float("nan")]))


def test_the_logit_of_a_mean_is_finite_at_certainty():
    found = Ensemble("average", THIRDS).logits(np.array([0.0, 0.5, 0.75, 1.0]))
    assert found == pytest.approx([-log(999_999), 0, log(3), log(999_999)], rel=1e-4)
    assert found.dtype == np.float32


def test_unanimous_votes_lie_half_a_vote_from_certainty():
    found = Ensemble("vote", THIRDS).logits(np.array([0, 1 / 3, 2 / 3, 1]))
    assert found == pytest.approx([-log(5), -log(2), log(2), log(5)], rel=1e-5)  # 1/6 and 5/6 are odds of 1 and 5


def test_masks_are_averaged_over_the_members_that_have_one():
    ensemble = Ensemble("weighted", (0.5, 0.3, 0.2))
    found = ensemble.mask_probability([None, np.array([[0.5, 1.0]], np.float32), np.array([[0.0, 1.0]], np.float32)])
    assert found.tolist() == [[pytest.approx(0.3), 1.0]]
    assert found.dtype == np.float32
    assert ensemble.mask_probability([None] * 3) is None


def test_a_vote_on_classes_averages_pixels():
    found = Ensemble("vote", (0.5, 0.5)).mask_probability([np.full((1, 1), 0.4, np.float32), np.ones((1, 1))])
    assert found[0, 0] == pytest.approx(0.7)


def test_heat_is_the_mean_over_the_members_with_a_class_head():
    maps = [{ANY: np.array([[1.0, 0.0]], np.float32)}, {}, {ANY: np.array([[0.5, 0.5]], np.float32)}]
    found = MeanMaps(maps)
    assert list(found) == [ANY]
    assert found[ANY].tolist() == [[0.75, 0.25]]
    assert found[ANY].dtype == np.float32
    with pytest.raises(KeyError):
        found["subdural"]


def test_the_ensembles_own_rule_works_on_the_logit_of_the_combined_probability():
    rule = Rule((ANY,), 2.0, (1.0,), 0.25, 0.75, 0.5)
    found = Ensemble("average", (0.5, 0.5)).findings([member(0.9), member(0.6)], rule, None)
    # The mean 0.75 has the logit log 3; with the bias 1 and the temperature 2 that is (log 3 + 1) / 2.
    assert found.probabilities[ANY] == pytest.approx(1 / (1 + exp(-(log(3) + 1) / 2)), abs=1e-6)
    assert found.probabilities["subdural"] is None


def test_findings_of_classifiers_have_no_mask_and_each_class_its_own_members():
    subtypes = dict.fromkeys(CLASSES[1:], 0.2)
    found = Ensemble("average", (0.5, 0.5)).findings([member(0.6, **subtypes), member(1.0)], ALL_CLASSES, (1, 1))
    assert found.probabilities == dict.fromkeys(CLASSES[1:], pytest.approx(0.2)) | {ANY: pytest.approx(0.8)}
    assert (found.finding, found.mask, found.mask_probability, found.area_px) == ("hemorrhage", None, None, None)


def test_a_mask_has_the_ensembles_threshold_and_area():
    members = [member(0.9, [[0.9, 0.7, 0.0]]), member(0.9, [[0.5, 0.1, 0.0]]), member(0.9)]
    found = Ensemble("average", THIRDS).findings(members, ONLY_ANY, (0.5, 0.4))
    assert found.mask_probability == pytest.approx(np.array([[0.7, 0.4, 0.0]]))
    assert found.mask.tolist() == [[True, False, False]]
    assert (found.area_px, found.area_mm2) == (1, pytest.approx(0.2))


def test_no_finding_means_an_empty_mask_and_no_missing_one():
    found = Ensemble("average", (0.5, 0.5)).findings([member(0.1, [[0.9]]), member(0.1)], ONLY_ANY, (1, 1)).shown
    assert (found.finding, found.mask.any(), found.area_px) == ("none", np.False_, 0)


@pytest.mark.parametrize(
    ("combination", "weights", "message"),
    [
        ("median", THIRDS, "must be one of average, vote, weighted"),
        ("average", (1.0,), "at least two members"),
        ("weighted", (0.5, 0.4), "sum to 1"),
        ("weighted", (1.5, -0.5), "above 0"),
        ("weighted", (1.0, 0.0), "above 0"),
        ("weighted", (float("nan"), 1.0), "above 0"),
        ("vote", (0.6, 0.4), "weigh the same"),
    ],
)
def test_ensembles_that_make_no_sense_are_refused(combination, weights, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(combination, weights)
