"""The midline: shifts of phantoms that are known, what is refused and why, and a real head."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hemoscope.measuring.midline import midline_shift
from hemoscope.measuring.straightening import MIDDLE, straightened
from hemoscope.measuring.values import Unknown
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.scan import BRAIN
from hemoscope.studies import read_studies, read_volume, received
from tests.measuring.readings import scan_at

HEAD = {"slices": 11, "rows": 200, "columns": 200, "spacing_mm": 1.1, "slice_spacing_mm": 8.0}


def signed_shift_mm(found):
    """Positive to the right of the picture, where the patient's left is."""
    return found.shift_mm * found.towards_column


def masks_of(phantom):
    return list(phantom.labels > 0)


@pytest.mark.parametrize(
    ("bleeds", "asked_mm", "seed"),
    [
        ([], 0.0, 0),
        ([], -12.0, 1),
        ([], 6.0, 2),
        ([Bleed("subdural", 80, side="right")], 0.0, 3),
        ([Bleed("intraparenchymal", 60, edema=True)], 0.0, 4),
    ],
    ids=["none", "12 mm", "6 mm", "subdural", "intraparenchymal"],
)
def test_a_phantoms_shift_lies_within_the_stated_uncertainty(bleeds, asked_mm, seed):
    phantom = make_phantom(bleeds, **HEAD, midline_shift_mm=asked_mm, seed=seed)
    found = midline_shift(phantom.scan, masks_of(phantom))
    true_mm = phantom.midline_shift_mm(found.slice)
    assert abs(signed_shift_mm(found) - true_mm) < found.uncertainty_mm < 3.5
    assert found.shift_mm == pytest.approx(abs(true_mm), abs=2)


@pytest.mark.parametrize("drawn", [slice(0), slice(100, 200), slice(0, 200)], ids=["nothing", "the back", "all"])
def test_blood_along_the_skull_that_no_mask_shows_makes_no_shift(drawn):
    # The bleed pushes the midline by 6 mm to the left, and so much is taken back: there is no shift.
    phantom = make_phantom([Bleed("subdural", 60, side="right")], **HEAD, midline_shift_mm=-6.0)
    mask = np.zeros(phantom.labels.shape, bool)
    mask[:, drawn] = phantom.labels[:, drawn] > 0
    found = midline_shift(phantom.scan, list(mask))
    assert phantom.midline_shift_mm(found.slice) == 0
    assert found.shift_mm < 1


def test_blood_beside_the_midline_that_no_mask_shows_is_not_taken_for_a_shift():
    # Its push of 6 mm is taken back.
    phantom = make_phantom([Bleed("intraparenchymal", 60, side="right")], **HEAD, midline_shift_mm=-6.0, seed=1)
    assert isinstance(midline_shift(phantom.scan, []), Unknown)
    assert midline_shift(phantom.scan, masks_of(phantom)).shift_mm < 1


def test_a_tilted_gantry_does_not_change_the_shift():
    phantom = make_phantom(**HEAD, tilt_degrees=18, midline_shift_mm=8, seed=5)
    found = midline_shift(phantom.scan, [])
    assert signed_shift_mm(found) == pytest.approx(phantom.midline_shift_mm(found.slice), abs=2)


def test_a_head_turned_in_the_picture_has_the_same_shift():
    phantom = make_phantom(**HEAD, midline_shift_mm=-12)
    turn = cv2.getRotationMatrix2D((99.5, 99.5), 12, 1)
    hu = np.stack([cv2.warpAffine(plane, turn, (200, 200), borderValue=-1000.0) for plane in phantom.scan.hu])
    found = midline_shift(replace(phantom.scan, hu=hu), [])
    assert signed_shift_mm(found) == pytest.approx(phantom.midline_shift_mm(found.slice), abs=2)
    (top, left), (bottom, right) = found.ideal_px
    assert np.degrees(np.arctan2(right - left, bottom - top)) == pytest.approx(12, abs=3)


def test_the_line_begins_and_ends_where_the_ideal_midline_meets_the_skull():
    phantom = make_phantom(**HEAD, midline_shift_mm=-12)
    found = midline_shift(phantom.scan, [])
    assert np.array(found.midline_px)[[0, -1]] == pytest.approx(np.array(found.ideal_px), abs=1e-3)
    (top, left), (bottom, right) = found.ideal_px
    assert top < 40
    assert bottom > 160
    # In the picture, the curve's middle lies to the left of the straight line by the shift.
    row, column = found.farthest_px
    straight = left + (right - left) * (row - top) / (bottom - top)
    assert (straight - column) * 1.1 == pytest.approx(found.shift_mm, abs=0.1)
    assert found.towards_column == -1


def test_an_upside_down_series_has_the_same_shift():
    phantom = make_phantom(**HEAD, midline_shift_mm=8)
    turned = replace(phantom.scan, hu=phantom.scan.hu[::-1].copy(), positions_mm=phantom.scan.positions_mm[::-1])
    found, other = midline_shift(phantom.scan, []), midline_shift(turned, [])
    assert other.slice == 10 - found.slice
    assert signed_shift_mm(other) == pytest.approx(signed_shift_mm(found), abs=0.5)


def test_slices_are_straightened_onto_one_grid_of_the_patient():
    phantom = make_phantom(**HEAD, tilt_degrees=18)
    slices = straightened(phantom.scan, [])
    assert len(slices) >= 5
    # The grid's middle is one line through the patient: half of the shift from slice to slice is taken out.
    places = np.array([one.place_px(MIDDLE, MIDDLE) for one in slices])
    moved = np.diff(places[:, 0]) * 1.1
    assert moved == pytest.approx(np.full(len(moved), 8 * np.sin(np.radians(18))), abs=0.01)


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (scan_at([0], calibrated=False, window=BRAIN, spacing_mm=None), "Without Hounsfield units"),
        (scan_at([0, 5], positions_mm=None), "The positions of the slices are unknown"),
        (
            scan_at([0, 5], orientation=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0), positions_mm=((0, 0, 0), (0, 5, 0))),
            "The slices are not axial",
        ),
        (scan_at(range(0, 40, 5)), "Too few slices show a whole skull"),
    ],
    ids=["picture", "no positions", "coronal", "no skull"],
)
def test_where_there_is_nothing_to_find_the_reason_is_told(scan, reason):
    found = midline_shift(scan, [])
    assert isinstance(found, Unknown)
    assert found.reason.startswith(reason)


def test_above_the_ventricles_the_midline_is_not_given():
    phantom = make_phantom(**HEAD | {"slices": 20, "slice_spacing_mm": 5.0})
    high = slice(13, 20)
    scan = replace(phantom.scan, hu=phantom.scan.hu[high], positions_mm=phantom.scan.positions_mm[high])
    found = midline_shift(scan, [])
    assert isinstance(found, Unknown)
    assert "lateral ventricles" in found.reason or "whole skull" in found.reason


def test_without_the_top_of_the_head_the_level_of_the_ventricles_is_not_known():
    phantom = make_phantom(**HEAD)
    low = slice(0, 6)
    scan = replace(phantom.scan, hu=phantom.scan.hu[low], positions_mm=phantom.scan.positions_mm[low])
    found = midline_shift(scan, [])
    assert isinstance(found, Unknown)
    assert found.reason.startswith("The scan does not reach the top of the head")


def test_a_head_that_the_picture_cuts_in_half_has_no_midline():
    phantom = make_phantom(**HEAD)
    found = midline_shift(replace(phantom.scan, hu=phantom.scan.hu[:, :, :110].copy()), [])
    assert isinstance(found, Unknown)


def test_a_head_too_small_to_be_one_has_no_midline():
    phantom = make_phantom(**HEAD)
    found = midline_shift(replace(phantom.scan, spacing_mm=(0.4, 0.4)), [])
    assert found == Unknown("Too few slices show a whole skull around the brain: the midline was not looked for.")


def test_the_top_of_the_head_is_found_from_the_slices_below():
    phantom = make_phantom(**HEAD)
    depths = {one.index: one.below_vertex_mm for one in straightened(phantom.scan, [])}
    # The skull's inside ends 78 mm above the origin, where the middle slice lies at 20 mm.
    assert depths[5] == pytest.approx(58, abs=5)
    assert depths[3] - depths[5] == pytest.approx(16)


def test_a_brain_of_nothing_but_noise_has_no_midline():
    phantom = make_phantom(**HEAD)
    noise = np.random.default_rng(0).normal(25, 12, phantom.scan.hu.shape).astype(np.float32)
    hu = np.where(phantom.scan.hu < 200, np.where(phantom.scan.hu > -100, noise, phantom.scan.hu), phantom.scan.hu)
    assert isinstance(midline_shift(replace(phantom.scan, hu=hu), []), Unknown)


def test_a_real_head_without_a_shift(data_folder):
    with received([data_folder / "dicom" / "ge_head_tilt"]) as files:
        found = midline_shift(read_volume(read_studies(files).pick()).scan, [])
    assert found.shift_mm < min(found.uncertainty_mm, 2)
    # A head turned by 10 degrees: the front end of the line lies to the left of its back end.
    (top, left), (bottom, right) = found.ideal_px
    assert np.degrees(np.arctan2(right - left, bottom - top)) == pytest.approx(9.5, abs=2.5)
