from dataclasses import replace

import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.measurement import area_mm2, area_px, measure
from hemoscope.measuring.values import Volume
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.scan import BRAIN, Scan
from tests.measuring.readings import findings_of, scan_at


def test_area_of_a_rectangle():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:7] = True
    assert area_px(mask) == 12
    assert area_mm2(mask, (0.5, 0.4)) == pytest.approx(12 * 0.2)


def test_area_without_spacing_is_unknown():
    assert area_mm2(np.ones((2, 2), bool), None) is None


def test_area_of_nothing_is_zero():
    assert area_mm2(np.zeros((2, 2), bool), (0.5, 0.5)) == 0


def test_areas_of_the_phantom_add_up_to_its_volume():
    phantom = make_phantom([Bleed("intraparenchymal", 20)], slices=8, rows=128, columns=128, spacing_mm=1.8)
    area = area_mm2(phantom.labels > 0, phantom.scan.spacing_mm)
    assert area * 5.0 / 1000 == pytest.approx(20, abs=0.5 * phantom.geometry.voxel_ml)


GRID = {"rows": 128, "columns": 128, "spacing_mm": 1.75, "noise_hu": 0}
THREE = [Bleed("intraparenchymal", 25), Bleed("epidural", 20, side="right"), Bleed("intraventricular", 6)]


def measured(phantom, keep=None):
    """What is measured of the phantom's own labels, of some of its slices."""
    kept = range(len(phantom.labels)) if keep is None else keep
    positions = tuple(phantom.scan.positions_mm[index] for index in kept)
    scan = replace(phantom.scan, hu=phantom.scan.hu[list(kept)], positions_mm=positions)
    labels = phantom.labels[list(kept)]
    return measure(scan, findings_of(labels > 0, subtype_maps=labels))


@pytest.mark.parametrize("tilt_degrees", [0, 20, -25])
def test_volumes_of_a_phantom_are_the_ones_that_were_drawn(tilt_degrees):
    found = measured(make_phantom(THREE, slices=28, **GRID, tilt_degrees=tilt_degrees))
    assert found.total.ml == pytest.approx(51, rel=0.002)
    for bleed in THREE:
        assert found.by_subtype[bleed.subtype].ml == pytest.approx(bleed.volume_ml, rel=0.002)
    assert found.by_subtype["subdural"].ml == 0
    # Blood in the ventricles may touch the bleed beside it or lie in pieces; the lens lies alone.
    (lens,) = [one for one in found.lesions if one.subtype == "epidural"]
    assert lens.volume.ml == pytest.approx(20, rel=0.002)


# Of a fine series every fourth slice, or ever fewer towards the top, as where blocks of a series differ.
EVEN, UNEVEN = range(0, 80, 4), [*range(0, 32, 2), *range(32, 50, 3), *range(50, 80, 4)]


@pytest.fixture(scope="module", params=[0, 20], ids=["upright", "tilted"])
def fine(request):
    bleeds = [Bleed("intraparenchymal", 25), Bleed("epidural", 20, side="right")]
    return make_phantom(bleeds, slices=80, slice_spacing_mm=1.25, tilt_degrees=request.param, **GRID)


@pytest.mark.parametrize("keep", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_volumes_are_right_within_3_percent_where_slices_are_far_or_unevenly_apart(fine, keep):
    found = measured(fine, keep)
    for subtype, true_ml in (("intraparenchymal", 25), ("epidural", 20)):
        assert found.by_subtype[subtype].ml == pytest.approx(true_ml, rel=0.03)
        assert abs(found.by_subtype[subtype].ml - true_ml) < found.by_subtype[subtype].uncertainty_ml
    assert found.total.ml == pytest.approx(45, rel=0.03)


def test_lesions_are_listed_by_size_and_know_where_they_lie():
    phantom = make_phantom(THREE[:2], slices=28, **GRID)
    large, small = measured(phantom).lesions
    assert (large.subtype, small.subtype) == ("intraparenchymal", "epidural")
    assert small.table_distance_mm == 0
    assert large.table_distance_mm > 10
    drawn = np.flatnonzero((phantom.labels == 2).any(axis=(1, 2)))
    assert (large.first_slice, large.last_slice) == (drawn[0], drawn[-1])
    assert large.depth_mm == pytest.approx(5.0 * (27 - large.largest_slice))
    assert large.mean_hu == pytest.approx(65, abs=3)


def test_abc_over_2_of_a_round_bleed_is_near_its_volume():
    (found,) = measured(make_phantom([Bleed("intraparenchymal", 25)], slices=30, slice_spacing_mm=3, **GRID)).lesions
    assert found.abc2_ml == pytest.approx(25, rel=0.35)  # of the literature's bleeds too


def test_specks_count_in_the_total_and_are_not_listed():
    phantom = make_phantom([Bleed("epidural", 20)], slices=28, **GRID)
    phantom.labels[2, 40, 60] = 1  # 1.75 mm x 1.75 mm x 5 mm
    found = measured(phantom)
    assert len(found.lesions) == 1
    assert found.smaller_pieces == 1
    assert found.total.ml == pytest.approx(20 + 0.0153, abs=0.0077)


def test_without_blood_there_is_nothing_for_sure():
    found = measured(make_phantom(slices=6, **GRID))
    assert found.total == Volume(0.0, 0.0)
    assert found.lesions == ()
    assert found.by_subtype["subdural"] == Volume(0.0, 0.0)


def test_a_model_without_a_mask_gives_no_volume():
    scan = scan_at([0, 5, 10])
    found = measure(scan, findings_of(None, slices=3))
    assert (found.total, found.by_subtype, found.lesions) == (None, None, ())
    assert found.volume_unknown == "The model gives no mask: no volume can be given."


def test_a_picture_has_no_volume_and_says_why():
    scan = Scan(np.zeros((1, 8, 8), np.float32), calibrated=False, window=BRAIN)
    found = measure(scan, findings_of(np.ones((1, 8, 8), bool)))
    assert (found.total, found.lesions, found.midline) == (None, (), None)
    assert found.volume_unknown == "The pixel spacing is unknown: no volume can be given."
    assert found.midline_unknown == "Without Hounsfield units and pixel spacing the midline cannot be measured."


def test_without_subtypes_by_pixel_there_are_no_volumes_by_subtype():
    assert measure(scan_at([0, 5]), findings_of(np.zeros((2, 20, 24), bool))).by_subtype is None


def test_blood_in_the_last_slice_is_told():
    masks = np.zeros((3, 20, 24), bool)
    masks[2, 2:18, 2:20] = True
    found = measure(scan_at([0, 5, 10]), findings_of(masks))
    assert found.notes == ("Blood reaches the first or the last slice: what lies beyond is not measured.",)


def test_slices_out_of_order_are_refused_for_a_model_without_a_mask_too():
    with pytest.raises(BadScan, match="after slice 2 they go back"):
        measure(scan_at([0, 5, 2]), findings_of(None, slices=3))


def test_findings_of_another_scan_are_refused():
    with pytest.raises(ValueError, match="findings of 2 slices for a scan of 3"):
        measure(scan_at([0, 5, 10]), findings_of(np.zeros((2, 20, 24), bool)))
