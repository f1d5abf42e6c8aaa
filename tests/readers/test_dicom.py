"""A DICOM header becomes Hounsfield units, places and facts."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, ImplicitVRLittleEndian

from hemoscope.readers import read_bytes
from hemoscope.scan import Scan
from tests.readers.samples import NATIVE, dataset, dicom_bytes, encode, head


def stored(words: np.ndarray, **changes: object) -> Scan:
    """Read 16-bit words as they are under a changed header."""
    slice_ = dataset(head(*words.shape), **changes)
    slice_.PixelData = words.astype("<u2").tobytes()
    return read_bytes(encode(slice_))


def test_signed_pixels_are_hounsfield_units_where_slope_is_1() -> None:
    np.testing.assert_array_equal(read_bytes(dicom_bytes()).hu[0], head())


def test_rescale_is_applied() -> None:
    words = np.arange(40 * 40).reshape(40, 40)
    scan = stored(words, PixelRepresentation=0, RescaleSlope="0.5", RescaleIntercept="-1000")
    # Word 41 in row 1, column 1: 0.5 * 41 - 1000.
    assert scan.hu[0, 1, 1] == -979.5
    assert scan.hu[0, -1, -1] == 0.5 * 1599 - 1000


def test_negative_slope_is_applied() -> None:
    words = 3000 - (head() + 1024)
    scan = stored(words, PixelRepresentation=0, RescaleSlope="-1", RescaleIntercept="1976")
    np.testing.assert_array_equal(scan.hu[0], head())  # 1976 - (3000 - hu - 1024) = hu


def test_signed_12_bits_lose_the_junk_above_them() -> None:
    hu = head()
    words = (hu.astype(np.uint16) & 0x0FFF) | 0xA000
    assert hu[0, 0] < 0 < hu[24, 20]
    np.testing.assert_array_equal(stored(words, BitsStored=12, HighBit=11).hu[0], hu)


def test_unsigned_12_bits_lose_the_junk_above_them() -> None:
    words = ((head() + 1024).astype(np.uint16) & 0x0FFF) | 0xF000
    scan = stored(words, BitsStored=12, HighBit=11, PixelRepresentation=0, RescaleIntercept="-1024")
    np.testing.assert_array_equal(scan.hu[0], head())


def test_samples_may_lie_in_the_high_bits() -> None:
    words = (head() + 1024).astype(np.uint16) << 4 | 0x000A
    scan = stored(words, BitsStored=12, HighBit=15, PixelRepresentation=0, RescaleIntercept="-1024")
    np.testing.assert_array_equal(scan.hu[0], head())


def test_padding_is_air() -> None:
    hu = head()
    hu[:4] = -1500
    scan = read_bytes(dicom_bytes(hu, PixelPaddingValue=-1500))
    assert np.all(scan.hu[0, :4] == -1000)
    np.testing.assert_array_equal(scan.hu[0, 4:], hu[4:])
    assert scan.notes == ()


def test_padding_range_is_air() -> None:
    hu = head()
    hu[0], hu[1], hu[2] = -1050, -1030, -1020
    scan = read_bytes(dicom_bytes(hu, PixelPaddingValue=-1050, PixelPaddingRangeLimit=-1030))
    assert np.all(scan.hu[0, :2] == -1000)
    assert np.all(scan.hu[0, 2] == -1020)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, NATIVE[0]])
def test_padding_of_the_other_sign_is_understood(syntax: str) -> None:
    hu = head()
    hu[:4] = -2000
    slice_ = dataset(hu)
    slice_.add_new("PixelPaddingValue", "US", 63536)  # -2000 as an unsigned word
    assert np.all(read_bytes(encode(slice_, syntax)).hu[0, :4] == -1000)


def test_padding_above_the_stored_bits_is_air() -> None:
    words = (head() + 1024).astype(np.uint16)
    words[:4] = 0xF000  # its lower 12 bits are those of -1024 HU
    scan = stored(
        words, BitsStored=12, HighBit=11, PixelRepresentation=0, RescaleIntercept="-1024", PixelPaddingValue=0xF000
    )
    assert np.all(scan.hu[0, :4] == -1000)


def test_padding_with_a_value_of_tissue_stays_and_is_noted() -> None:
    hu = head()
    hu[20:24] = 0
    scan = read_bytes(dicom_bytes(hu, PixelPaddingValue=0))
    assert np.all(scan.hu[0, 20:24] == 0)
    assert any("(0028,0120) 0 is a value that tissue has" in note for note in scan.notes)


def test_pixels_outside_the_scanners_circle_are_air_and_noted() -> None:
    hu = head(rows=40, columns=40)
    hu[:10] = -3024
    scan = read_bytes(dicom_bytes(hu))
    assert np.all(scan.hu[0, :10] == -1000)
    assert scan.notes == (
        "25.0 % of the pixels are below -1100 HU, as outside the scanner's circle: they were taken as air.",
    )


def test_metal_stays_and_is_noted() -> None:
    hu = head(rows=40, columns=40)
    hu[20, 20:24] = 9000
    scan = read_bytes(dicom_bytes(hu))
    assert scan.hu.max() == 9000
    assert any(note.startswith("0.2 % of the pixels are above 4000 HU") for note in scan.notes)  # 4 of 1600


def test_monochrome1_does_not_touch_hounsfield_units() -> None:
    # PS3.3 C.7.6.3.1.2: it says how to show the lowest value, after the rescale.
    np.testing.assert_array_equal(read_bytes(dicom_bytes(PhotometricInterpretation="MONOCHROME1")).hu[0], head())


@pytest.mark.parametrize("syntax", NATIVE)
def test_native_syntax_is_read_exactly(syntax: str) -> None:
    np.testing.assert_array_equal(read_bytes(dicom_bytes(syntax=syntax)).hu[0], head())


@pytest.mark.parametrize("syntax", NATIVE[:3])
def test_missing_preamble_and_file_meta_are_guessed(syntax: str) -> None:
    data = dicom_bytes(syntax=syntax)
    first = data.index(b"\x00\x08\x00\x08" if syntax == NATIVE[2] else b"\x08\x00\x08\x00", 132)
    np.testing.assert_array_equal(read_bytes(data[first:]).hu[0], head())
    # With the padding byte that a wrong cut leaves in front.
    np.testing.assert_array_equal(read_bytes(b" " + data[first:]).hu[0], head())


def test_missing_preamble_before_file_meta_is_no_obstacle() -> None:
    np.testing.assert_array_equal(read_bytes(dicom_bytes()[132:]).hu[0], head())


def test_geometry_is_taken_from_the_header() -> None:
    scan = read_bytes(dicom_bytes())
    assert scan.spacing_mm == (0.5, 0.25)
    assert scan.pixel_area_mm2 == 0.125
    assert scan.positions_mm == ((-120, -110.5, 42),)
    assert scan.orientation == (1, 0, 0, 0, 1, 0)
    assert scan.slice_thickness_mm == 5


@pytest.mark.parametrize("spacing", [[0, 0.5], [-1, 1], [400, 400], [1]])
def test_senseless_spacing_is_unknown_and_noted(spacing: list[float]) -> None:
    scan = read_bytes(dicom_bytes(PixelSpacing=spacing))
    assert scan.spacing_mm is None
    assert any("Pixel Spacing (0028,0030)" in note for note in scan.notes)


def test_missing_geometry_is_unknown() -> None:
    missing = dict.fromkeys(["PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient"])
    scan = read_bytes(dicom_bytes(**missing))
    assert (scan.spacing_mm, scan.positions_mm, scan.orientation, scan.slice_thickness_mm) == (None, None, None, None)


def test_orientation_that_is_no_plane_is_unknown() -> None:
    assert read_bytes(dicom_bytes(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])).orientation is None


def test_coronal_slice_is_noted() -> None:
    scan = read_bytes(dicom_bytes(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
    assert any("not axial" in note for note in scan.notes)


def test_tilted_gantry_is_axial() -> None:
    # 30 degrees: cos 0.8660254, sin 0.5.
    assert read_bytes(dicom_bytes(ImageOrientationPatient=[1, 0, 0, 0, 0.8660254, -0.5])).notes == ()


def test_facts_are_taken_from_the_header() -> None:
    facts = read_bytes(dicom_bytes(StudyDescription="CT head\r\n", Manufacturer="ACME", PatientAge="052Y")).facts
    assert (facts.patient_id, facts.patient_name) == ("P-17", "Doe^Jane")
    assert (facts.study_uid, facts.series_uid) == ("1.2.3", "1.2.3.1")
    assert (facts.study_description, facts.manufacturer, facts.patient_age) == ("CT head", "ACME", "052Y")
    assert facts.study_date == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"LossyImageCompression": "01"}, "lossy compression"),
        ({"ContrastBolusAgent": "IOMERON"}, "Contrast medium"),
        ({"BodyPartExamined": "CHEST"}, "no part of the head"),
    ],
)
def test_header_gives_a_note(change: dict[str, str], words: str) -> None:
    assert any(words in note for note in read_bytes(dicom_bytes(**change)).notes)


def test_head_gives_no_note() -> None:
    assert (
        read_bytes(dicom_bytes(BodyPartExamined="HEAD", LossyImageCompression="00", ContrastBolusAgent="NONE")).notes
        == ()
    )


def group(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def enhanced(hu: np.ndarray) -> Dataset:
    """An enhanced CT of several frames: shared spacing, and a place and a rescale of its own for each frame."""
    slice_ = dataset(hu, SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=len(hu))
    for keyword in (
        *("RescaleSlope", "RescaleIntercept", "PixelSpacing", "SliceThickness"),
        *("ImagePositionPatient", "ImageOrientationPatient"),
    ):
        delattr(slice_, keyword)
    slice_.SharedFunctionalGroupsSequence = [
        group(
            PixelMeasuresSequence=[group(PixelSpacing=[0.4, 0.3], SliceThickness=2.5)],
            PlaneOrientationSequence=[group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        )
    ]
    slice_.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence=[group(ImagePositionPatient=[1, 2, 5 * index])],
            PixelValueTransformationSequence=[group(RescaleSlope=1, RescaleIntercept=-10 * index, RescaleType="HU")],
        )
        for index in range(len(hu))
    ]
    return slice_


@pytest.mark.parametrize("syntax", NATIVE)
def test_frames_of_enhanced_ct_become_slices(syntax: str) -> None:
    hu = np.stack([head(), head() + 1, head() + 2])
    scan = read_bytes(encode(enhanced(hu), syntax))
    assert scan.hu.shape == (3, 48, 40)
    for index in range(3):
        np.testing.assert_array_equal(scan.hu[index], hu[index] - 10 * index)
    assert scan.positions_mm == ((1, 2, 0), (1, 2, 5), (1, 2, 10))
    assert (scan.spacing_mm, scan.slice_thickness_mm) == ((0.4, 0.3), 2.5)
    assert scan.orientation == (1, 0, 0, 0, 1, 0)


def test_old_multi_frame_has_no_known_places() -> None:
    scan = read_bytes(dicom_bytes(np.stack([head(), head()]), NumberOfFrames=2))
    assert scan.hu.shape == (2, 48, 40)
    assert scan.positions_mm is None


def test_stated_syntax_that_the_pixels_contradict_is_noted() -> None:
    data = dicom_bytes().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    scan = read_bytes(data)
    np.testing.assert_array_equal(scan.hu[0], head())
    assert any("contradicts Pixel Data" in note for note in scan.notes)
