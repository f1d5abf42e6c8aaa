"""From outputs to findings, by hand: calibration, decisions at the edges, masks on the scan's own grid."""

from math import exp, log

import numpy as np
import pytest

from hemoscope.findings import SliceFindings
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.postprocessing import (
    Rule,
    class_logits,
    contradictions,
    largest_probabilities,
    pixel_subtypes,
    slice_findings,
)
from hemoscope.preprocessing import Placement

RULE = {
    "classes": CLASSES,
    "temperature": 1.0,
    "bias": (0.0,) * 6,
    "decision_low": 0.25,
    "decision_high": 0.75,
    "mask_threshold": 0.5,
}
# A scan of 20 x 30 pixels whose square of 16 x 16 pixels at (2, 10) the network saw in full resolution.
PLACEMENT = Placement(2, 10, 16, 16, 20, 30, 16)


def outputs(any_logit=3.0, mask=None):
    logits = np.full(6, -3, np.float32)
    logits[0] = any_logit
    if mask is None:
        mask = np.zeros((16, 16, 1), np.float32)
        mask[4:8, 5:10] = 0.9
    cams = np.zeros((2, 2, 6), np.float32)
    cams[0, 1, 0] = 4
    return {"mask": mask, "logits": logits, "cams": cams}


def test_probabilities_by_hand():
    rule = Rule(**RULE | {"temperature": 2.0, "bias": (1.0, 0.0, 0.0, 0.0, 0.0, -2 * log(3))})
    found = rule.probabilities(np.array([3, 0, 2 * log(3), -2, 1000, 0], np.float32))
    expected = [1 / (1 + exp(-2)), 0.5, 0.75, 1 / (1 + exp(1)), 1, 0.25]
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float64


def test_probabilities_of_many_slices_at_once():
    logits = np.zeros((5, 6), np.float32)
    assert Rule(**RULE).probabilities(logits).tolist() == [[0.5] * 6] * 5


@pytest.mark.parametrize(
    ("probability", "finding"),
    [
        (0.0, "none"),
        (0.2499, "none"),
        (0.25, "uncertain"),
        (0.5, "uncertain"),
        (0.7499, "uncertain"),
        (0.75, "hemorrhage"),
        (1.0, "hemorrhage"),
        (float("nan"), "uncertain"),
    ],
)
def test_decisions_at_the_edges(probability, finding):
    assert Rule(**RULE).decide(probability) == finding


def test_without_a_band_nothing_is_uncertain():
    rule = Rule(**RULE | {"decision_low": 0.5, "decision_high": 0.5})
    assert [rule.decide(p) for p in (0.4999, 0.5)] == ["none", "hemorrhage"]


@pytest.mark.parametrize(
    "change",
    [
        {"bias": (0.0,) * 5},
        {"classes": ("subdural",), "bias": (0.0,)},
        {"classes": ("any", "fracture"), "bias": (0.0, 0.0)},
        {"classes": ("subdural", "any"), "bias": (0.0, 0.0)},
        {"classes": ("any", "any"), "bias": (0.0, 0.0)},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"bias": (float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0)},
        {"decision_low": 0.8},
        {"decision_low": -0.1},
        {"decision_high": 1.1},
        {"decision_high": float("nan")},
        {"mask_threshold": 0.0},
        {"mask_threshold": 1.0},
    ],
)
def test_rules_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match=r"must|bias"):
        Rule(**RULE | change)


def test_a_mask_lies_on_the_scans_own_grid():
    found = slice_findings(outputs(), PLACEMENT, Rule(**RULE), (0.5, 0.4))
    expected = np.zeros((20, 30), bool)
    expected[6:10, 15:20] = True  # 4..8 and 5..10 of the square, which begins at (2, 10)
    assert (found.mask == expected).all()
    assert found.mask_probability[expected] == pytest.approx(0.9)
    assert found.area_px == 20
    assert found.area_mm2 == pytest.approx(20 * 0.5 * 0.4)
    assert found.finding == "hemorrhage"
    assert list(found.probabilities) == list(CLASSES)
    assert found.probabilities[ANY] == pytest.approx(1 / (1 + exp(-3)), abs=1e-6)


def test_a_pixel_at_the_threshold_is_blood():
    mask = np.full((16, 16, 1), 0.25, np.float32)
    mask[0, 0] = 0.5
    assert slice_findings(outputs(mask=mask), PLACEMENT, Rule(**RULE), None).area_px == 1


def test_without_spacing_there_is_no_area_in_mm2():
    assert slice_findings(outputs(), PLACEMENT, Rule(**RULE), None).area_mm2 is None


def test_what_is_marked_is_known_whatever_the_finding():
    found = slice_findings(outputs(any_logit=-3.0), PLACEMENT, Rule(**RULE), None)
    assert (found.finding, found.area_px) == ("none", 20)


def test_no_hemorrhage_means_an_empty_mask_but_its_probabilities_stay():
    found = slice_findings(outputs(any_logit=-3.0), PLACEMENT, Rule(**RULE), (1, 1)).shown
    assert found.finding == "none"
    assert not found.mask.any()
    assert (found.area_px, found.area_mm2) == (0, 0)
    assert found.mask_probability.max() == pytest.approx(0.9)


def test_an_uncertain_slice_shows_its_mask():
    found = slice_findings(outputs(any_logit=0.0), PLACEMENT, Rule(**RULE), None)
    assert (found.finding, found.area_px) == ("uncertain", 20)


def by_subtype():
    """The left half of the network's square says subdural, the right half epidural."""
    subtypes = np.full((16, 16, 5), 0.1, np.float32)
    subtypes[:, :7, SUBTYPES.index("subdural")] = 0.6
    subtypes[:, 7:, SUBTYPES.index("epidural")] = 0.6
    return outputs() | {"subtypes": subtypes}


def test_each_pixel_of_the_mask_has_its_most_probable_subtype():
    found = slice_findings(by_subtype(), PLACEMENT, Rule(**RULE), None)
    expected = np.zeros((20, 30), np.uint8)
    expected[6:10, 15:17] = 1 + SUBTYPES.index("subdural")  # columns 5 and 6 of the square
    expected[6:10, 17:20] = 1 + SUBTYPES.index("epidural")
    assert (found.subtype_map == expected).all()
    assert found.subtype_areas_px == dict.fromkeys(SUBTYPES, 0) | {"subdural": 8, "epidural": 12}


def test_what_the_classes_say_of_the_slice_weighs_what_its_pixels_say():
    logits = np.zeros(6, np.float32)
    logits[CLASSES.index("epidural")] = -2.197225  # 0.1, the others a half
    joint = pixel_subtypes(by_subtype() | {"logits": logits})
    # The right half: 0.6 * 0.1 for epidural against 0.1 * 0.5 for each of the others.
    assert joint[0, 9, SUBTYPES.index("epidural")] == pytest.approx(0.06 / (0.06 + 4 * 0.05), abs=1e-5)
    assert joint.sum(axis=-1) == pytest.approx(1.0)
    silent = {"subtypes": by_subtype()["subtypes"]}
    assert pixel_subtypes(silent) is silent["subtypes"]


def test_an_empty_mask_has_no_subtypes_and_a_network_that_does_not_say_gives_no_map():
    none = slice_findings(by_subtype() | outputs(any_logit=-3.0), PLACEMENT, Rule(**RULE), None).shown
    assert none.subtype_areas_px == dict.fromkeys(SUBTYPES, 0)
    silent = slice_findings(outputs(), PLACEMENT, Rule(**RULE), None)
    assert silent.subtype_map is None and silent.subtype_areas_px is None


@pytest.mark.parametrize(
    ("named", "sentences"),
    [("epidural", []), ("subdural", ["Most of the mask is coloured epidural, but the most probable subtype is sub"])],
)
def test_a_mask_that_contradicts_the_classes_is_told(named, sentences):
    found = slice_findings(by_subtype(), PLACEMENT, Rule(**RULE), None)
    probabilities = dict.fromkeys(CLASSES, 0.2) | {named: 0.7, "any": 0.9}
    told = contradictions([found], probabilities)
    assert [sentence[: len(start)] for sentence, start in zip(told, sentences, strict=True)] == sentences


def test_nothing_is_contradicted_where_one_of_both_is_silent():
    silent = slice_findings(outputs(), PLACEMENT, Rule(**RULE), None)
    assert contradictions([silent], dict.fromkeys(CLASSES, 0.5)) == []
    marked = slice_findings(by_subtype(), PLACEMENT, Rule(**RULE), None)
    assert contradictions([marked], dict.fromkeys(CLASSES) | {"any": 0.9}) == []


def test_heat_comes_by_class_where_there_is_a_class_head():
    found = slice_findings(outputs(), PLACEMENT, Rule(**RULE), None)
    assert list(found.heat) == list(CLASSES)
    assert found.heat[ANY].shape == (20, 30)


def test_a_network_without_a_mask_gives_none_and_no_area_but_its_heat():
    only_classes = {name: values for name, values in outputs().items() if name != "mask"}
    for any_logit in (3.0, -3.0):
        only_classes["logits"][0] = any_logit
        found = slice_findings(only_classes, PLACEMENT, Rule(**RULE), (0.5, 0.4))
        assert (found.mask, found.mask_probability, found.area_px, found.area_mm2) == (None,) * 4
        assert found.probabilities[ANY] == pytest.approx(1 / (1 + exp(-any_logit)), abs=1e-6)
        assert found.heat[ANY].shape == (20, 30)


def test_a_network_without_a_class_head_answers_for_any_alone():
    mask = np.full((50, 50, 1), 0.1, np.float32)
    mask[0, :5, 0] = 0.75  # the strongest 0.2 % of 2500 pixels are five
    assert class_logits({"mask": mask}) == pytest.approx([log(3)], abs=1e-5)
    rule = Rule(**RULE | {"classes": (ANY,), "bias": (0.0,)})
    found = slice_findings({"mask": mask}, Placement(0, 0, 50, 50, 50, 50, 50), rule, None)
    assert found.probabilities == {ANY: pytest.approx(0.75, abs=1e-5)} | dict.fromkeys(CLASSES[1:])
    assert dict(found.heat) == {}


def test_a_mask_of_zeros_and_ones_gives_finite_logits():
    for value in (0, 1):
        assert np.isfinite(class_logits({"mask": np.full((16, 16, 1), value, np.float32)})).all()


def test_the_strongest_pixels_are_at_least_one():
    mask = np.full((16, 16, 1), 0.5, np.float32)  # 0.2 % of 256 pixels are half a pixel
    mask[3, 3] = 0.75
    assert class_logits({"mask": mask}) == pytest.approx([log(3)], abs=1e-5)


def test_the_largest_probability_over_the_slices_counts():
    def one(**probabilities):
        empty = np.zeros((1, 1), bool)
        known = {name: probabilities.get(name) for name in CLASSES}
        return SliceFindings(known, "none", empty, empty.astype(np.float32), {}, 0, None)

    found = largest_probabilities([one(any=0.2, subdural=0.7), one(any=0.6, subdural=0.1), one(any=0.3)])
    assert found == dict.fromkeys(CLASSES) | {"any": 0.6, "subdural": 0.7}
