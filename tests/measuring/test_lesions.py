import numpy as np
import pytest

from hemoscope.labels import SUBTYPES
from hemoscope.measuring.lesions import abc2_ml, connected, lesion, volume_of
from hemoscope.measuring.slices import slice_geometry
from hemoscope.measuring.values import Diameters
from hemoscope.scan import BRAIN
from tests.measuring.readings import disc, scan_at, tilted_scan

UPRIGHT = [(0.0, 0.0)] * 9


def sizes(groups):
    return sorted(sum(int(piece.mask.sum()) for piece in group) for group in groups)


def test_pixels_that_touch_at_a_corner_belong_together():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 1, 1] = mask[0, 2, 2] = mask[0, 5, 5] = True
    assert sizes(connected(mask, [])) == [1, 2]


def test_neighbouring_slices_belong_together_where_pixels_lie_over_each_other_or_touch():
    masks = np.zeros((3, 12, 12), bool)
    masks[0, 2:4, 2:4] = True
    masks[1, 4:6, 4:6] = True  # at a corner of the piece below
    masks[2, 7:9, 7:9] = True  # one pixel away from it
    assert sizes(connected(masks, UPRIGHT)) == [4, 8]


def test_a_slice_between_keeps_lesions_apart():
    masks = np.zeros((3, 8, 8), bool)
    masks[0, 2:4, 2:4] = masks[2, 2:4, 2:4] = True
    assert sizes(connected(masks, UPRIGHT)) == [4, 4]


def test_two_branches_that_meet_in_a_later_slice_are_one_lesion():
    masks = np.zeros((4, 8, 12), bool)
    masks[0, 1, 1:3] = masks[0, 1, 8:10] = masks[0, 6, 1] = True
    masks[1] = masks[0]
    masks[2, 1, 1:10] = True
    assert sizes(connected(masks, UPRIGHT)) == [2, 17]


def test_of_a_tilted_gantry_the_shift_from_slice_to_slice_is_taken_out():
    # 5 mm of feed at 30 degrees are 5 pixels of 0.5 mm: what stands upright on the slices moves by so many rows.
    scan = tilted_scan((4, 40, 10), (0.5, 0.5), 5.0, 30)
    masks = np.zeros(scan.hu.shape, bool)
    for index in range(4):
        masks[index, 10 + 5 * index : 12 + 5 * index, 4:6] = True
    steps = slice_geometry(scan).steps_px
    assert sizes(connected(masks, steps)) == [16]
    assert sizes(connected(masks, UPRIGHT)) == [4, 4, 4, 4]


def test_what_moves_out_of_the_picture_is_no_neighbour():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 0:2, 0:2] = masks[1, 0:2, 0:2] = True
    assert sizes(connected(masks, [(6.0, -6.0)])) == [4, 4]


def test_abc_over_2_by_hand():
    # Kothari et al. 1996: slices above 75 % of the largest area count whole, from 25 % on half, the others not.
    found = abc2_ml(Diameters(40.0, 30.0, ((0, 0), (0, 0))), [240, 250, 751, 1000, 750], [5.0] * 5)
    assert found == pytest.approx(40 * 30 * (0 + 2.5 + 5 + 5 + 2.5) / 2 / 1000)


def test_abc_over_2_takes_each_slices_own_extent():
    found = abc2_ml(Diameters(20.0, 10.0, ((0, 0), (0, 0))), [900, 1000, 500], [4.0, 6.0, 2.0])
    assert found == pytest.approx(20 * 10 * (4 + 6 + 1) / 2 / 1000)


@pytest.fixture
def ball():
    """A ball of 9 mm in slices of 3 mm, of 60 HU in its upper and 50 in its lower half."""
    scan = scan_at(np.arange(10) * 3.0, rows=60, columns=60, thickness_mm=3.0)
    masks = np.zeros(scan.hu.shape, bool)
    for index in range(10):
        reach = 9.0**2 - (3 * index - 15) ** 2
        if reach > 0:
            masks[index] = disc(60, 60, (30, 30), reach**0.5 / 0.5)
    scan.hu[:5][masks[:5]] = 50
    scan.hu[5:][masks[5:]] = 60
    return scan, masks


def measured(scan, masks, maps=None):
    geometry = slice_geometry(scan)
    (group,) = connected(masks, geometry.steps_px)
    assert lesion(group, scan, geometry, maps).volume == volume_of(group, geometry)
    return lesion(group, scan, geometry, maps)


def test_a_ball_in_all_its_measures(ball):
    scan, masks = ball
    found = measured(scan, masks)
    # Discs of 9² - 0², twice 9² - 3² and twice 9² - 6², each 3 mm high.
    assert found.volume.ml == pytest.approx(np.pi * (81 + 2 * 72 + 2 * 45) * 3 / 1000, rel=0.015)
    assert (found.first_slice, found.last_slice, found.largest_slice) == (3, 7, 5)
    assert found.largest_area_mm2 == pytest.approx(np.pi * 81, rel=0.01)
    assert found.diameters.largest_mm == pytest.approx(18, abs=0.5)
    assert found.diameters.across_mm == pytest.approx(18, abs=0.5)
    assert found.depth_mm == pytest.approx(27 - 15)
    assert found.table_distance_mm is None
    assert found.subtype is None
    assert not found.reaches_end
    # Half of the middle slice's pixels and all above are of 60 HU.
    upper, lower = masks[5:].sum(), masks[:5].sum()
    assert found.mean_hu == pytest.approx((60 * upper + 50 * lower) / (upper + lower))


def test_of_a_picture_no_mean_is_given(ball):
    _, masks = ball
    shown = scan_at(np.arange(10) * 3.0, rows=60, columns=60, calibrated=False, window=BRAIN)
    assert measured(shown, masks).mean_hu is None


def test_the_subtype_is_that_of_most_pixels(ball):
    scan, masks = ball
    maps = np.where(masks, 1 + SUBTYPES.index("subdural"), 0).astype(np.uint8)
    maps[3:5][masks[3:5]] = 1 + SUBTYPES.index("epidural")
    assert measured(scan, masks, maps).subtype == "subdural"


def test_a_lesion_in_the_last_slice_may_go_on(ball):
    scan, masks = ball
    masks[8:] = masks[7]
    assert measured(scan, masks).reaches_end
