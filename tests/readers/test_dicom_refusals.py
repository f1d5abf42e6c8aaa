"""What is no CT slice is refused with the tag that says so, before pixels are decoded."""

import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from hemoscope.errors import BadScan
from hemoscope.readers import limits, read_bytes, read_file
from tests.readers.samples import dataset, dicom_bytes, encode, head
from tests.readers.test_dicom import enhanced

REFUSED = [
    ({"Modality": "MR", "SOPClassUID": MRImageStorage}, r"Modality \(0008,0060\) is MR"),
    ({"SOPClassUID": SecondaryCaptureImageStorage}, r"\(0008,0016\) is Secondary Capture Image Storage"),
    ({"SOPClassUID": "1.2.826.0.1.99"}, r"\(0008,0016\) is not a known class"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, r"Image Type \(0008,0008\) holds LOCALIZER"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "holds SCREEN SAVE: this is a secondary capture"),
    ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]}, "holds PERFUSION: this is a map"),
    ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, r"Photometric Interpretation \(0028,0004\) is RGB"),
    ({"SamplesPerPixel": 3}, r"Samples per Pixel \(0028,0002\) is 3"),
    ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, r"Bits Allocated \(0028,0100\) is 8"),
    ({"BitsStored": 8, "HighBit": 7}, r"Bits Stored \(0028,0101\) is 8"),
    ({"BitsStored": 12, "HighBit": 5}, r"High Bit \(0028,0102\) is 5"),
    ({"PixelRepresentation": 7}, r"Pixel Representation \(0028,0103\)"),
    ({"RescaleType": "MGML"}, r"Rescale Type \(0028,1054\) is MGML"),
    ({"RescaleSlope": None}, r"Rescale Slope \(0028,1053\) or Rescale Intercept \(0028,1052\) is missing"),
    ({"RescaleIntercept": None}, r"Rescale Intercept \(0028,1052\) is missing"),
    ({"RescaleSlope": "0"}, r"Rescale Slope \(0028,1053\) 0 and .* give no Hounsfield units"),
    ({"Rows": None}, r"Rows \(0028,0010\) or Columns \(0028,0011\) is missing"),
    ({"Rows": 4}, "has 4 rows and 40 columns: 16 to 8192"),
    ({"Rows": 60000}, "has 60000 rows"),
    ({"NumberOfFrames": 0}, "states 0 images"),
    ({"NumberOfFrames": 2000000000}, "states 2000000000 images"),
    ({"NumberOfFrames": 2}, r"Pixel Data \(7FE0,0010\) is cut off: 2 x 48 x 40 .* need 7680 bytes, it has 3840"),
    ({"Rows": 47}, r"Pixel Data \(7FE0,0010\) does not fit: .* need 3760 bytes, it has 3840"),
    ({"PixelData": None}, r"no Pixel Data \(7FE0,0010\)"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_other_object_is_refused_with_its_tag(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadScan, match=words):
        read_bytes(dicom_bytes(**change))


def test_modality_or_class_must_say_ct() -> None:
    slice_ = dataset(Modality=None)
    np.testing.assert_array_equal(read_bytes(encode(slice_)).hu[0], head())  # the class alone says it
    del slice_.SOPClassUID
    meta_free = encode(slice_)[132:]
    first = meta_free.index(b"\x08\x00\x08\x00")
    with pytest.raises(BadScan, match=r"Modality \(0008,0060\) is missing"):
        read_bytes(meta_free[first:])


def test_directory_is_refused() -> None:
    with pytest.raises(BadScan, match="DICOMDIR"):
        read_bytes(dicom_bytes(PixelData=None, DirectoryRecordSequence=[Dataset()]))


def test_localizer_among_enhanced_frames_is_refused() -> None:
    slice_ = enhanced(np.stack([head(), head()]))
    kind = Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    slice_.PerFrameFunctionalGroupsSequence[1].CTImageFrameTypeSequence = [kind]
    with pytest.raises(BadScan, match=r"Frame Type \(0008,9007\) of frame 2 holds LOCALIZER"):
        read_bytes(encode(slice_))


def test_frames_of_different_spacing_are_refused() -> None:
    slice_ = enhanced(np.stack([head(), head()]))
    measures = Dataset()
    measures.PixelSpacing = [0.7, 0.7]
    slice_.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [measures]
    with pytest.raises(BadScan, match="PixelSpacing changes from frame to frame"):
        read_bytes(encode(slice_))


@pytest.mark.parametrize("label", [1, 255])
def test_mask_stored_as_ct_is_refused(label: int) -> None:
    mask = np.where(head() > 0, label, 0).astype(np.int16)
    with pytest.raises(BadScan, match=rf"only 2 different values \(0, {label}\): this is a mask"):
        read_bytes(dicom_bytes(mask))


def test_label_map_stored_as_ct_is_refused() -> None:
    labels = (np.arange(48 * 40).reshape(48, 40) % 30).astype(np.int16)
    with pytest.raises(BadScan, match="only whole numbers from 0 to 29: this is a label map"):
        read_bytes(dicom_bytes(labels))


def test_empty_image_is_refused() -> None:
    with pytest.raises(BadScan, match=r"only 1 different value \(-1000\)"):
        read_bytes(dicom_bytes(np.full((48, 40), -1000, np.int16)))


def test_unsigned_pixels_without_intercept_are_refused() -> None:
    # Air at 24, brain at 1056: someone forgot the intercept of -1024.
    with pytest.raises(BadScan, match=r"Rescale Intercept \(0028,1052\) is 0 and no pixel is below 0 HU"):
        read_bytes(dicom_bytes((head() + 1024).astype(np.int16), PixelRepresentation=0))


def test_inverted_pixels_are_refused() -> None:
    with pytest.raises(BadScan, match="MONOCHROME1 and the border is as bright as bone"):
        read_bytes(dicom_bytes((1000 - head()).astype(np.int16), PhotometricInterpretation="MONOCHROME1"))


def test_pixels_beyond_any_scanner_are_refused() -> None:
    with pytest.raises(BadScan, match=r"% of the pixels are above 4000 HU"):
        read_bytes(dicom_bytes(RescaleIntercept="6000"))
    noise = np.random.default_rng(0).integers(-32768, 4000, (48, 40)).astype(np.int16)
    with pytest.raises(BadScan, match=r"corrupt: .* below -4200 HU"):
        read_bytes(dicom_bytes(noise))


@pytest.mark.parametrize("length", [133, 140, 200, 400, 700])
def test_cut_header_is_refused(length: int) -> None:
    with pytest.raises(BadScan):
        read_bytes(dicom_bytes()[:length])


@pytest.mark.parametrize("missing", [1, 2, 1000, 3839])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_cut_pixels_are_refused_and_never_padded(syntax: str, missing: int) -> None:
    with pytest.raises(BadScan, match=r"cut off: 1 x 48 x 40 pixels of 16 bits need 3840 bytes, it has"):
        read_bytes(dicom_bytes(syntax=syntax)[:-missing])


def test_cut_deflated_file_is_refused() -> None:
    with pytest.raises(BadScan, match="its deflated data set has no end"):
        read_bytes(dicom_bytes(syntax=DeflatedExplicitVRLittleEndian)[:-40])


def test_deflated_bomb_is_refused_without_inflating_it() -> None:
    data = dicom_bytes(syntax=DeflatedExplicitVRLittleEndian)
    start = data.index(b"1.2.840.10008.1.2.1.99") + 22  # the last element of the file meta information
    bomb = data[:start] + zlib.compress(bytes(80 * 2**20), wbits=-15)
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(BadScan, match="inflates to more than"):
            read_bytes(bomb, max_pixels=2**20)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_limit_on_pixels_is_the_callers_choice() -> None:
    assert read_bytes(dicom_bytes(), max_pixels=48 * 40).hu.size == 1920
    with pytest.raises(BadScan, match="more than the 1919 pixels"):
        read_bytes(dicom_bytes(), max_pixels=48 * 40 - 1)


def test_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.truncate(limits.MAX_BYTES + 1)  # sparse: takes no space
    with pytest.raises(BadScan, match="up to 512 MiB are read"):
        read_file(path)


def test_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScan, match="cannot be opened"):
        read_file(tmp_path / "missing.dcm")
    with pytest.raises(BadScan, match="cannot be opened"):
        read_file(tmp_path)


def test_refusals_tell_nothing_of_the_patient() -> None:
    for change, _ in REFUSED:
        with pytest.raises(BadScan) as refusal:
            read_bytes(dicom_bytes(**change))
        assert not any(secret in str(refusal.value) for secret in ("Doe", "P-17", "1.2.3"))


def test_malformed_values_leak_no_warnings_and_no_logs(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = (
        dicom_bytes()
        .replace(b"1.2.3.1\x00", b"1.02.xyz")
        .replace(b"P-17", b"P\xff\xfe7")
        .replace(b"0.5\\0.25", b"1,5\\0.25")
    )
    assert b"1.02.xyz" in data
    scan = read_bytes(data)
    assert scan.spacing_mm is None
    assert not recwarn.list
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
