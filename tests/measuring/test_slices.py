import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.measuring.slices import slice_geometry
from hemoscope.measuring.values import Unknown
from tests.measuring.readings import scan_at, tilted_scan


def test_a_slice_stands_for_half_of_the_way_to_each_neighbour():
    geometry = slice_geometry(scan_at([0, 4, 6, 16]))
    # Outward the first and the last slice stand for as much as inward.
    assert geometry.extents_mm == pytest.approx((4, 3, 6, 10))


def test_the_last_slices_reach_no_farther_out_than_half_their_thickness():
    geometry = slice_geometry(scan_at([0, 4, 6, 16], thickness_mm=2.0))
    assert geometry.extents_mm == pytest.approx((1 + 2, 3, 6, 5 + 1))


def test_overlapping_slices_share_what_both_show():
    geometry = slice_geometry(scan_at([0, 2.5, 5, 7.5], thickness_mm=5.0))
    assert geometry.extents_mm == pytest.approx((2.5,) * 4)
    assert geometry.notes == ()


def test_slices_may_run_from_the_head_down():
    geometry = slice_geometry(scan_at([16, 6, 4, 0]))
    assert geometry.extents_mm == pytest.approx((10, 6, 3, 4))
    assert geometry.depths_mm == pytest.approx((0, 10, 12, 16))


def test_a_tilted_gantry_brings_slices_closer_than_their_first_pixels():
    geometry = slice_geometry(tilted_scan((3, 20, 20), (0.5, 0.5), 5.0, 30))
    assert geometry.extents_mm == pytest.approx((5 * 3**0.5 / 2,) * 3)
    # 5 mm along z are 2.5 mm up the columns, which lean towards the feet: 5 pixels.
    assert np.array(geometry.steps_px) == pytest.approx(np.array([[5, 0], [5, 0]]))


def test_an_upright_series_moves_no_pixel_from_slice_to_slice():
    assert slice_geometry(scan_at([0, 5, 10])).steps_px == ((0, 0), (0, 0))


def test_depth_is_counted_from_the_uppermost_slice():
    assert slice_geometry(scan_at([0, 5, 12])).depths_mm == pytest.approx((12, 7, 0))


def test_slices_that_are_not_axial_have_no_depth():
    coronal = scan_at([0, 5], orientation=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0), positions_mm=((0, 0, 0), (0, 5, 0)))
    assert slice_geometry(coronal).depths_mm is None


def test_a_gap_is_told():
    (note,) = slice_geometry(scan_at([0, 5, 10, 25])).notes
    assert "15.0 mm lie between slices 3 and 4, 5.0 mm between most" in note


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"positions_mm": None}, "The positions of the slices are unknown"),
        ({"orientation": None}, "The orientation of the slices is unknown"),
    ],
)
def test_without_positions_slices_are_taken_to_touch(change, lack):
    geometry = slice_geometry(scan_at([0, 5], thickness_mm=4.0, **change))
    assert geometry.extents_mm == (4, 4)
    assert geometry.depths_mm is None
    assert geometry.notes == (f"{lack}: volumes are areas times the stated slice thickness of 4 mm.",)


def test_a_slice_alone_stands_for_its_thickness():
    assert slice_geometry(scan_at([3], thickness_mm=5.0)).extents_mm == (5,)


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (scan_at([0, 5], spacing_mm=None), "The pixel spacing is unknown"),
        (scan_at([0, 5], positions_mm=None), "The positions of the slices are unknown, and no slice thickness"),
        (scan_at([0]), "The scan has one slice, and no slice thickness is stated"),
    ],
)
def test_what_is_not_known_is_said(scan, reason):
    unknown = slice_geometry(scan)
    assert isinstance(unknown, Unknown)
    assert unknown.reason.startswith(reason)


@pytest.mark.parametrize(
    ("z_mm", "message"),
    [
        ([0, 5, 5.005, 10], "Slices 2 and 3 lie at the same place"),
        ([0, 5, 10, 7], "after slice 3 they go back"),
        ([0, float("nan"), 10], "not a finite number"),
    ],
)
def test_positions_that_make_no_volume_are_refused(z_mm, message):
    with pytest.raises(BadScan, match=message):
        slice_geometry(scan_at(z_mm))


def test_slices_beside_each_other_in_one_plane_are_refused():
    with pytest.raises(BadScan, match="Slices 1 and 2 lie at the same place"):
        slice_geometry(scan_at([0, 0], positions_mm=((0, 0, 0), (30, 0, 0))))
