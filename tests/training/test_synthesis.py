"""Drawn bleeds: where each subtype lives, as bright as blood, with the truth beside them, in slices without any."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.scan import BRAIN, Scan
from tests.training.phantom_set import phantom_slice, write_two_slices
from training.datasets.sample import BLOOD, NO_BLOOD, SUBTYPE_BITS
from training.datasets.synthesis import FAINTEST_HU, SOURCE, draw_bleeds, find_head, synthetic_samples

SIDE = 256


@pytest.fixture(scope="module")
def scan():
    return phantom_slice()


@pytest.fixture(scope="module")
def head(scan):
    found = find_head(scan)
    assert found is not None
    return found


@pytest.fixture
def samples(scan, tmp_path):
    """Two slices, the second one with a bleed."""
    return write_two_slices(scan, tmp_path)


def drawn(head, kind, seeds=range(30)):
    """What could be drawn of this subtype: (hu, blood) of several seeds."""
    found = [draw_bleeds(head, [kind], np.random.default_rng(seed)) for seed in seeds]
    return [(hu, subtypes == SUBTYPE_BITS[kind]) for hu, subtypes in (one for one in found if one is not None)]


@pytest.mark.parametrize("kind", SUBTYPES)
def test_a_drawn_bleed_is_inside_the_skull_and_brighter_than_what_was_there(head, kind):
    bleeds = drawn(head, kind)
    assert len(bleeds) >= 5
    for hu, blood in bleeds:
        assert not blood[~head.inside].any()
        assert (hu - head.hu)[blood].mean() >= FAINTEST_HU
        far = cv2.dilate(blood.astype(np.uint8), np.ones((61, 61), np.uint8)) == 0
        assert np.abs(hu - head.hu)[far].max() < 0.5  # edema thins out


@pytest.mark.parametrize("kind", ["subdural", "epidural"])
def test_blood_outside_the_brain_lies_on_the_inner_table(head, kind):
    for _, blood in drawn(head, kind):
        assert head.depth_mm[blood].min() < 2.5
        assert head.depth_mm[blood].max() < 32


def test_a_lens_is_thicker_for_its_length_than_a_crescent(head):
    def thickness_for_length(kind):
        places = [blood for _, blood in drawn(head, kind)]
        return np.median([head.depth_mm[p].max() / np.ptp(np.unwrap(np.sort(head.angle[p]))) for p in places])

    assert thickness_for_length("epidural") > 2 * thickness_for_length("subdural")


def test_blood_in_the_brain_keeps_off_the_skull(head):
    for _, blood in drawn(head, "intraparenchymal"):
        assert head.depth_mm[blood].min() > 1


def test_blood_in_ventricles_and_sulci_replaces_fluid(head):
    for kind in ("intraventricular", "subarachnoid"):
        for _, blood in drawn(head, kind):
            assert np.median(head.smooth[blood]) < head.brain_hu - 5


def test_blood_in_ventricles_sinks_to_the_back(head):
    rows = [np.nonzero(blood)[0].mean() for _, blood in drawn(head, "intraventricular")]
    fluid = (head.smooth < 15) & (head.depth_mm > 22)
    assert np.mean(rows) > np.nonzero(fluid)[0].mean()


def test_the_same_seed_draws_the_same(samples):
    one, two = (synthetic_samples(samples, 5, seed=3) for _ in range(2))
    assert one == two
    assert np.array_equal(one[0].scan().hu, two[0].scan().hu)
    assert not np.array_equal(one[0].scan().hu, synthetic_samples(samples, 5, seed=4)[0].scan().hu)


def test_only_slices_without_hemorrhage_are_drawn_into_and_their_labels_say_what_was_drawn(samples):
    found = synthetic_samples(samples, 20, seed=1)
    assert len(found) >= 15
    assert {one.image.name for one in found} == {"a.png"}
    assert {one.source for one in found} == {SOURCE}
    assert {one.group for one in found} == {"synthetic/rsna/1"}
    assert len({one.key for one in found}) == len(found)
    assert {kind for one in found for kind in one.kinds} == set(SUBTYPES)
    for one in found:
        said = {name for name, label in zip(CLASSES, one.labels, strict=True) if label == 1}
        assert said == {ANY, *one.kinds}


def test_target_and_slice_belong_together(samples):
    before = samples[0].scan()
    for one in synthetic_samples(samples, 10, seed=2):
        scan, target = one.scan(), one.target(SIDE, SIDE)
        assert set(np.unique(target)) == {NO_BLOOD, BLOOD}
        assert scan.window == BRAIN
        assert BRAIN.lowest_hu <= scan.hu.min() and scan.hu.max() <= BRAIN.highest_hu
        rise = (scan.hu - before.hu)[0]
        assert rise[target == BLOOD].mean() > 5 > rise[target == NO_BLOOD].mean()
        candidates = one.candidates(target)
        assert ((candidates > 0) == (target == BLOOD)).all()
        assert set(np.unique(candidates)) - {0} <= {SUBTYPE_BITS[kind] for kind in one.kinds}


def test_a_slice_without_a_skull_is_not_drawn_into(samples):
    flat = Scan(np.full((1, 64, 64), 30, np.float32), calibrated=True)
    assert find_head(flat) is None
    cv2.imwrite(str(samples[0].image), np.tile(np.arange(64, dtype=np.uint8), (64, 1)))
    assert synthetic_samples(samples, 5, seed=1) == []


def test_a_file_that_cannot_be_read_is_passed_over(samples):
    broken = replace(samples[0], image=samples[0].image.with_name("missing.png"), patient="3")
    found = synthetic_samples([broken, *samples], 10, seed=1)
    assert found and {one.image.name for one in found} == {"a.png"}


def test_no_room_for_a_bleed_is_said(samples):
    one = replace(synthetic_samples(samples, 5, seed=1)[0], seed=7)
    cv2.imwrite(str(one.image), np.tile(np.arange(64, dtype=np.uint8), (64, 1)))
    with pytest.raises(BadData, match="encloses too little"):
        one.scan()
