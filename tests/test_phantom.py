from io import BytesIO
from itertools import pairwise

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from hemoscope.errors import BadRequest
from hemoscope.labels import SUBTYPES
from hemoscope.phantom import Bleed, dicom_slices, make_phantom, sample_slice, write_dicom_series
from hemoscope.phantom.bleeds import first_voxels
from hemoscope.phantom.geometry import Geometry
from hemoscope.readers import read_bytes

SMALL = {"slices": 8, "rows": 160, "columns": 160, "spacing_mm": 1.4}
VOLUMES_ML = {
    "epidural": 30.0,
    "intraparenchymal": 25.0,
    "intraventricular": 6.0,
    "subarachnoid": 8.0,
    "subdural": 45.0,
}


@pytest.fixture(scope="module")
def bare():
    return make_phantom(**SMALL, noise_hu=0)


@pytest.fixture(scope="module", params=SUBTYPES)
def bled(request):
    return make_phantom([Bleed(request.param, VOLUMES_ML[request.param])], **SMALL, noise_hu=0)


def place_mm(phantom, mask):
    """x, y and z of the pixels of a mask in an untilted phantom, in millimetres."""
    slices, rows, columns = np.nonzero(mask)
    first = np.array(phantom.scan.positions_mm)[slices]
    spacing = phantom.geometry.spacing_mm
    return first[:, 0] + columns * spacing, first[:, 1] + rows * spacing, first[:, 2]


def test_volume_is_exact_to_half_a_voxel(bled):
    (bleed,) = bled.bleeds
    assert bled.volume_ml(bleed.subtype) == pytest.approx(bleed.volume_ml, abs=0.5001 * bled.geometry.voxel_ml)
    assert [bled.volume_ml(other) for other in SUBTYPES if other != bleed.subtype] == [0, 0, 0, 0]


def test_labels_carry_the_number_of_their_subtype(bled):
    assert set(np.unique(bled.labels)) == {0, 1 + SUBTYPES.index(bled.bleeds[0].subtype)}


def test_blood_lies_on_its_side_inside_the_skull(bled):
    x, _, _ = place_mm(bled, bled.labels > 0)
    subtype = bled.bleeds[0].subtype
    if subtype == "intraventricular":
        assert x.mean() > 5  # the side that fills first
    elif subtype == "subarachnoid":
        assert x.mean() > 20
    else:
        assert x.min() > 0
    assert x.max() < 72


@pytest.mark.parametrize("subtype", ["intraventricular", "subarachnoid"])
def test_labels_are_where_blood_was_drawn(bare, subtype):
    # Neither kind pushes the brain aside, so the bare head differs from it by the blood alone.
    bled = make_phantom([Bleed(subtype, VOLUMES_ML[subtype])], **SMALL, noise_hu=0)
    changed = np.abs(bled.scan.hu - bare.scan.hu) > 0
    near = np.stack([cv2.dilate((plane > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) for plane in bled.labels])
    assert not (changed & (near == 0)).any()
    assert changed[bled.labels > 0].all()
    assert np.median(bare.scan.hu[bled.labels > 0]) < 20  # where cerebrospinal fluid was


@pytest.mark.parametrize("subtype", ["epidural", "intraparenchymal", "subdural"])
def test_blood_has_the_hounsfield_units_that_were_asked(subtype):
    phantom = make_phantom([Bleed(subtype, 40, hu=72)], **SMALL, noise_hu=0)
    deep = np.stack([cv2.erode((plane > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) for plane in phantom.labels])
    assert deep.sum() > 50
    assert (phantom.scan.hu[deep > 0] == 72).all()


def test_epidural_bleed_stays_between_the_sutures_and_touches_the_bone():
    phantom = make_phantom([Bleed("epidural", 60)], **SMALL, noise_hu=0)
    x, y, _ = place_mm(phantom, phantom.labels > 0)
    assert y.min() > -28
    assert y.max() < 48
    touching = cv2.dilate((phantom.labels[4] > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (phantom.scan.hu[4][touching] > 700).sum() > 20
    assert x.min() > 12


def test_an_epidural_bleed_is_a_lens_and_a_subdural_one_a_crescent():
    deepest_mm = {}
    for subtype in ("epidural", "subdural"):
        phantom = make_phantom([Bleed(subtype, 30)], **SMALL)
        per_row = (phantom.labels[4] > 0).sum(axis=1)
        deepest_mm[subtype] = per_row.max() * 1.4
        _, y, _ = place_mm(phantom, phantom.labels > 0)
        deepest_mm[subtype, "length"] = np.ptp(y)
    assert deepest_mm["epidural"] > 1.6 * deepest_mm["subdural"]
    assert deepest_mm["subdural", "length"] > 1.3 * deepest_mm["epidural", "length"]


def test_a_large_epidural_bleed_tapers_off_towards_the_sutures():
    per_row = (make_phantom([Bleed("epidural", 80)], **SMALL).labels[4] > 0).sum(axis=1)
    filled = per_row[per_row > 0]
    assert filled[[0, -1]].max() < 0.45 * filled.max()


def test_subdural_blood_crosses_the_sutures_but_not_the_midline():
    phantom = make_phantom([Bleed("subdural", 80, side="right")], **SMALL)
    x, y, _ = place_mm(phantom, phantom.labels > 0)
    assert y.min() < -40
    assert x.max() < -3


def test_blood_in_the_ventricles_settles_at_the_back():
    phantom = make_phantom([Bleed("intraventricular", 3)], **SMALL)
    full = make_phantom([Bleed("intraventricular", 12)], **SMALL)
    _, back, _ = place_mm(phantom, phantom.labels > 0)
    _, all_over, _ = place_mm(full, full.labels > 0)
    assert back.min() > all_over.min() + 10
    assert ((full.labels > 0) >= (phantom.labels > 0)).all()


def test_the_patients_left_is_on_the_right_of_the_picture():
    left, right = (make_phantom([Bleed("subdural", 20, side=side)], **SMALL) for side in ("left", "right"))
    assert np.nonzero(left.labels)[2].min() >= 80
    assert np.nonzero(right.labels)[2].max() < 80


def test_a_bleed_pushes_the_midline_away():
    def ventricle_middle(phantom):
        middle = phantom.scan.hu[4, 60:100, 60:100]
        return np.nonzero(middle < 12)[1].mean()

    plain = ventricle_middle(make_phantom(**SMALL, noise_hu=0))
    pushed = ventricle_middle(make_phantom([Bleed("subdural", 80, side="left")], **SMALL, noise_hu=0))
    assert pushed < plain - 1


def test_edema_is_dark_and_is_not_blood():
    bleeds = [Bleed("intraparenchymal", 25, edema=edema) for edema in (False, True)]
    plain, rimmed = (make_phantom([bleed], **SMALL, noise_hu=0) for bleed in bleeds)
    assert (plain.labels == rimmed.labels).all()
    darker = rimmed.scan.hu < plain.scan.hu - 5
    assert darker.sum() * plain.geometry.voxel_ml > 5
    assert not (darker & (plain.labels > 0)).any()


def test_bleeds_of_several_kinds_keep_their_volumes():
    bleeds = [Bleed("intraparenchymal", 20), Bleed("intraventricular", 5), Bleed("subdural", 30, side="right")]
    phantom = make_phantom(bleeds, **SMALL)
    for bleed in bleeds:
        assert phantom.volume_ml(bleed.subtype) == pytest.approx(bleed.volume_ml, abs=0.02)


def test_tissues_have_their_hounsfield_units(bare):
    middle = bare.scan.hu[4]
    assert middle[0, 0] == -1000
    assert middle.max() > 1000
    inside = middle[40:120, 50:110]
    assert 25 < np.median(inside) < 40
    assert inside.min() < 10
    ring = middle[80, 20:40]  # through the temporal bone
    assert ring.max() > 700


def test_noise_has_the_asked_deviation(bare):
    noisy = make_phantom(**SMALL, noise_hu=5)
    difference = (noisy.scan.hu - bare.scan.hu)[:, 40:120, 50:110]
    assert difference.std() == pytest.approx(5, rel=0.03)
    assert difference.mean() == pytest.approx(0, abs=0.25)


def test_the_same_parameters_give_the_same_phantom_and_another_seed_another():
    grid = SMALL | {"slices": 2}
    bleeds = [Bleed("subarachnoid", 2)]
    first, again, other = (make_phantom(bleeds, **grid, seed=seed) for seed in (1, 1, 2))
    assert (first.scan.hu == again.scan.hu).all()
    assert (first.labels == again.labels).all()
    assert dicom_slices(first) == dicom_slices(again)
    assert (first.scan.hu != other.scan.hu).mean() > 0.5
    assert first.scan.facts.series_uid != other.scan.facts.series_uid


def test_whole_hounsfield_units_within_twelve_bits(bled):
    assert (bled.scan.hu == np.rint(bled.scan.hu)).all()
    assert bled.scan.hu.min() >= -1024
    assert bled.scan.hu.max() <= 3071


def test_positions_of_an_untilted_series_by_hand():
    geometry = Geometry(slices=3, rows=5, columns=7, spacing_mm=2.0, slice_spacing_mm=4.0, tilt_degrees=0)
    assert [geometry.position_mm(index) for index in range(3)] == [(-6, -4, 16), (-6, -4, 20), (-6, -4, 24)]
    assert geometry.orientation == (1, 0, 0, 0, 1, 0)
    assert geometry.voxel_ml == pytest.approx(0.016)


def test_tilted_planes_lie_closer_together():
    geometry = Geometry(slices=2, rows=3, columns=3, spacing_mm=1.0, slice_spacing_mm=5.0, tilt_degrees=30)
    assert geometry.voxel_ml == pytest.approx(0.005 * 3**0.5 / 2)
    # The rows run down and towards the feet: cos 30 along y and -sin 30 along z.
    assert geometry.orientation == pytest.approx((1, 0, 0, 0, 3**0.5 / 2, -0.5))
    assert geometry.position_mm(0) == pytest.approx((-1, -(3**0.5) / 2, 17.5 + 0.5))


def test_tilted_gantry_keeps_the_volume():
    phantom = make_phantom([Bleed("intraparenchymal", 25)], **SMALL, tilt_degrees=20)
    assert phantom.volume_ml("intraparenchymal") == pytest.approx(25, abs=phantom.geometry.voxel_ml)
    upright = make_phantom([Bleed("intraparenchymal", 25)], **SMALL)
    ratio = (phantom.labels > 0).sum() / (upright.labels > 0).sum()
    assert ratio == pytest.approx(1 / np.cos(np.radians(20)), rel=1e-3)


def test_one_slice_is_a_scan_of_its_own(bled):
    one = bled.slice(3)
    assert (one.hu == bled.scan.hu[3:4]).all()
    assert one.positions_mm == bled.scan.positions_mm[3:4]
    with pytest.raises(IndexError, match="slice 8 of 8"):
        bled.slice(8)


def test_more_blood_than_there_is_room_for_is_refused():
    with pytest.raises(BadRequest, match=r"room for \d+\.\d ml of intraventricular blood, not for 200 ml"):
        make_phantom([Bleed("intraventricular", 200)], **SMALL)


@pytest.mark.parametrize(
    ("bleed", "message"),
    [
        ({"subtype": "any", "volume_ml": 5}, "one of epidural"),
        ({"subtype": "subdural", "volume_ml": 0}, "volume"),
        ({"subtype": "subdural", "volume_ml": float("nan")}, "volume"),
        ({"subtype": "subdural", "volume_ml": 5, "side": "top"}, "left or right"),
        ({"subtype": "subdural", "volume_ml": 5, "hu": 300}, "HU"),
        ({"subtype": "subdural", "volume_ml": 5, "edema": True}, "edema"),
    ],
)
def test_bleeds_that_make_no_sense_are_refused(bleed, message):
    with pytest.raises(BadRequest, match=message):
        Bleed(**bleed)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"slices": 0}, "slices"),
        ({"rows": 8}, "rows"),
        ({"columns": 5000}, "columns"),
        ({"spacing_mm": 0}, "pixel spacing"),
        ({"slice_spacing_mm": -1}, "slice spacing"),
        ({"tilt_degrees": 45}, "tilt"),
        ({"midline_shift_mm": 25}, "midline shift"),
        ({"noise_hu": -1}, "noise"),
        ({"seed": -1}, "seed"),
    ],
)
def test_grids_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(BadRequest, match=message):
        make_phantom(**parameters)


def test_first_voxels_takes_the_lowest_free_ones_and_breaks_ties_in_order():
    ranks = np.array([3, 1, 2, 2, 2, np.inf], np.float32)
    free = np.array([True, True, True, False, True, True])
    chosen, last = first_voxels(ranks, free, 2)
    assert chosen.tolist() == [False, True, True, False, False, False]
    assert last == 2
    with pytest.raises(ValueError, match="4 voxels are free, 5 are needed"):
        first_voxels(ranks, free, 5)


# Attributes that the modules of the CT Image IOD require with a value (PS3.3 A.3, type 1, and those of type 2 that
# readers rely on).
REQUIRED = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "PatientID",
    "PatientName",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "KVP",
    "InstanceNumber",
    "SeriesNumber",
    "WindowCenter",
    "WindowWidth",
]
# Type 2: present, maybe empty.
PRESENT = [
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "Manufacturer",
    "PositionReferenceIndicator",
    "AcquisitionNumber",
    "PatientPosition",
]


@pytest.fixture(scope="module")
def series():
    phantom = make_phantom([Bleed("subdural", 20)], **SMALL, tilt_degrees=15)
    return phantom, [pydicom.dcmread(BytesIO(data)) for data in dicom_slices(phantom)]


def test_dicom_has_what_ct_image_storage_requires(series):
    for dataset in series[1]:
        assert dataset.file_meta.MediaStorageSOPClassUID.name == "CT Image Storage"
        assert [name for name in REQUIRED if dataset.get(name) in (None, "")] == []
        assert [name for name in PRESENT if name not in dataset] == []
        assert list(dataset.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert dataset.PatientID == "PHANTOM"


def test_dicom_uids_are_valid_and_one_series(series):
    datasets = series[1]
    names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
    distinct = {name: {dataset[name].value for dataset in datasets} for name in names}
    assert [len(distinct[name]) for name in names] == [1, 1, 1, 8]
    everything = set().union(*distinct.values())
    assert len(everything) == 11
    assert all(UID(value).is_valid for value in everything)


def test_dicom_pixels_and_geometry_are_the_phantoms(series):
    phantom, datasets = series
    stored = np.stack([dataset.pixel_array.astype(np.float32) * 1 - 1024 for dataset in datasets])
    assert (stored == phantom.scan.hu).all()
    for first, second in pairwise(datasets):
        step = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient).astype(float)
        assert step == pytest.approx([0, 0, 5])
    assert np.array(datasets[0].ImageOrientationPatient, float) == pytest.approx(phantom.scan.orientation, abs=1e-6)
    assert float(datasets[0].GantryDetectorTilt) == 15


def test_the_reader_gives_the_phantom_back(series):
    phantom, _ = series
    scan = read_bytes(dicom_slices(phantom)[2])
    expected = phantom.slice(2)
    assert (scan.hu == expected.hu).all()
    assert scan.calibrated
    assert scan.spacing_mm == expected.spacing_mm
    assert scan.slice_thickness_mm == expected.slice_thickness_mm
    assert np.array(scan.positions_mm) == pytest.approx(np.array(expected.positions_mm), abs=1e-5)
    assert scan.orientation == pytest.approx(expected.orientation, abs=1e-6)
    assert scan.facts == expected.facts


def test_a_series_is_written_in_order(tmp_path):
    phantom = make_phantom(slices=2, rows=64, columns=64, spacing_mm=3.6)
    paths = write_dicom_series(phantom, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["001.dcm", "002.dcm"]
    assert [path.read_bytes() for path in paths] == dicom_slices(phantom)


def test_sample_slices_differ_by_the_blood_on_the_left():
    with_blood, without = (pydicom.dcmread(BytesIO(sample_slice(blood))).pixel_array for blood in (True, False))
    assert with_blood.shape == without.shape == (512, 512)
    brighter = with_blood.astype(int) - without > 20
    brighter = cv2.morphologyEx(brighter.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    assert brighter.sum() * 0.45**2 == pytest.approx(800, rel=0.15)  # 4 ml in a slice of 5 mm
    assert np.nonzero(brighter)[1].min() > 256


def test_a_midline_can_be_shifted_without_a_bleed():
    plain, shifted = (make_phantom(**SMALL, noise_hu=0, midline_shift_mm=shift) for shift in (0, 9.8))
    assert plain.push_mm == 0
    # The slice's middle lies 22.5 mm above the origin, the skull's top 78 mm: 9.8 mm become 0.917 of that there.
    assert shifted.midline_shift_mm(4) == pytest.approx(9.8 * (1 - (22.5 / 78) ** 2))
    middle = plain.scan.hu[4, 70:90, 65:95]
    unlike = [np.abs(shifted.scan.hu[4, 70:90, 65 + px : 95 + px] - middle).mean() for px in range(12)]
    assert np.argmin(unlike) * 1.4 == pytest.approx(shifted.midline_shift_mm(4), abs=1.4)


def test_a_bleeds_push_and_an_asked_shift_add_up():
    pushed = make_phantom([Bleed("subdural", 20, side="left")], **SMALL, midline_shift_mm=-3)
    assert pushed.push_mm == pytest.approx(-5)


def test_only_an_asked_shift_changes_the_series():
    same, shifted = (make_phantom(**SMALL | {"slices": 1}, midline_shift_mm=shift) for shift in (0, 2))
    plain = make_phantom(**SMALL | {"slices": 1})
    assert same.scan.facts == plain.scan.facts
    assert shifted.scan.facts.series_uid != plain.scan.facts.series_uid
