"""What looks like blood and is none: where each kind lies, with no blood as its truth, in slices without any."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.scan import BRAIN
from tests.training.phantom_set import phantom_slice, write_two_slices
from training.datasets.lookalikes import KINDS, SOURCE, VISIBLE_HU, draw_lookalikes, lookalike_samples
from training.datasets.sample import NO_BLOOD
from training.datasets.synthesis import find_head

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


def brighter(head, kind, seeds=range(20)):
    """Where each of several drawings is brighter than the slice."""
    drawn = [draw_lookalikes(head, [kind], np.random.default_rng(seed)) for seed in seeds]
    return [hu - head.hu > VISIBLE_HU for hu in drawn if hu is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_seen_and_lies_inside_the_skull(head, kind):
    places = brighter(head, kind)
    assert len(places) >= 5
    around = cv2.dilate(head.inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0  # the rim's partial volume
    for place in places:
        assert place.any()
        assert not place[~around].any()


def test_the_falx_is_a_thin_line_in_the_midline(head):
    columns = np.nonzero(head.inside)[1]
    for place in brighter(head, "falx"):
        rows, across = np.nonzero(place)
        assert np.abs(across - columns.mean()).max() < 10 * head.mm
        assert place.sum() / np.ptp(rows) < 8 * head.mm


def test_the_basal_ganglia_are_dense_on_both_sides(head):
    middle = round(np.nonzero(head.inside)[1].mean())
    both = [place[:, :middle].any() and place[:, middle:].any() for place in brighter(head, "basal ganglia")]
    assert np.mean(both) > 0.6


@pytest.mark.parametrize("kind", ["venous sinus", "partial volume"])
def test_what_lies_along_the_skull_keeps_to_it(head, kind):
    for place in brighter(head, kind):
        assert np.median(head.depth_mm[place & head.inside]) < 8


def test_a_sample_has_no_blood_and_differs_from_its_slice(samples):
    (one,) = lookalike_samples(samples, 1, seed=3)
    assert one.source == SOURCE
    assert one.group.endswith("rsna/1")
    assert one.labels == (0.0,) * len(CLASSES)
    hu = one.scan().hu[0]
    assert (hu - samples[0].scan().hu[0] > VISIBLE_HU).any()
    assert BRAIN.lowest_hu <= hu.min()
    assert hu.max() <= BRAIN.highest_hu
    target = one.target(*hu.shape)
    assert (target == NO_BLOOD).all()
    assert not one.candidates(target).any()


def test_every_kind_comes_as_often_and_the_same_seed_gives_the_same_slices(samples):
    found = lookalike_samples(samples, 12, seed=5, fits=lambda _: True)
    assert [one.kinds[0] for one in found] == [*KINDS, *KINDS]
    again = lookalike_samples(samples, 12, seed=5, fits=lambda _: True)
    assert [one.key for one in again] == [one.key for one in found]
    assert len({one.key for one in found}) == 12


def test_nothing_is_drawn_into_slices_that_bleed_or_have_no_head(samples, tmp_path):
    assert lookalike_samples(samples[1:], 5, seed=1) == []
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    assert lookalike_samples([replace(samples[0], image=tmp_path / "ramp.png")], 2, seed=1) == []


def test_neighbours_are_refused(samples):
    (one,) = lookalike_samples(samples, 1, seed=3)
    assert one.in_context(0)[1] == 0
    with pytest.raises(BadData, match="lookalikes=0"):
        one.in_context(1)
