"""`hemoscope.results.sources` and `blood`: what DICOM results take from the files, and from a reading."""

from io import BytesIO

import numpy as np
import pydicom
import pytest

from hemoscope.errors import BadScan
from hemoscope.readers.quiet import quiet
from hemoscope.results.blood import Blood
from hemoscope.results.sources import read_sources
from tests.conftest import without_mask
from tests.results.made import blood_of, files_of, findings_of, phantom


def changed(data: bytes, **changes: object) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def test_the_head_of_a_file_is_enough() -> None:
    data = files_of(phantom())[0]
    assert read_sources([data[: len(data) - 5000]]).datasets == read_sources([data]).datasets


def test_names_in_other_characters_are_kept() -> None:
    data = changed(files_of(phantom())[0], SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne")
    source = read_sources([data]).first
    assert (source.PatientName, source.SpecificCharacterSet) == ("Müller^Änne", "ISO_IR 192")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "X"),
        ("PatientBirthDate", "20261399"),
        ("StudyDate", "20260231"),
        ("StudyTime", "256199"),
        ("StudyTime", None),
        ("AccessionNumber", None),
    ],
)
def test_values_that_break_the_standard_become_empty(keyword: str, value: str | None) -> None:
    with quiet():
        file = changed(files_of(phantom())[0], **{keyword: value})
    source = read_sources([file]).first
    assert source[keyword].value == ""


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PixelSpacing", [0, 0]), ("SliceThickness", "0"), ("ImageOrientationPatient", [1, 0, 0, 0, 0, 0])],
)
def test_planes_that_make_no_sense_are_unknown(keyword: str, value: object) -> None:
    assert keyword not in read_sources([changed(files_of(phantom())[0], **{keyword: value})]).first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SOPInstanceUID": None}, "SOPInstanceUID is missing"),
        ({"SeriesInstanceUID": "1.2.3"}, "SeriesInstanceUID differs"),
        ({"Rows": 24}, "Rows differs"),
        ({"NumberOfFrames": 3}, "is of a kind that has one"),
        ({"NumberOfFrames": 3, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "which of them is meant is not known"),
    ],
)
def test_what_cannot_be_referred_to_is_refused(changes: dict[str, object], sentence: str) -> None:
    files = files_of(phantom())
    with pytest.raises(BadScan, match=sentence):
        read_sources([files[0], changed(files[1], **changes)])


def test_one_file_for_two_slices_and_none_at_all_are_refused() -> None:
    file = files_of(phantom())[0]
    with pytest.raises(BadScan, match="several slices"):
        read_sources([file, file])
    with pytest.raises(BadScan, match="no DICOM file"):
        read_sources([])


def test_bytes_that_are_no_dicom_are_refused() -> None:
    with pytest.raises(BadScan):
        read_sources([b"no DICOM at all, but long enough to be looked at" * 8])


@pytest.mark.parametrize("by_subtype", [False, True])
def test_blood_is_what_the_reading_has(by_subtype: bool) -> None:
    blood = blood_of(phantom(), by_subtype=by_subtype)
    read = Blood.of(findings_of(blood), lambda values: values[:, ::-1])
    assert read is not None and read.by_subtype == by_subtype
    np.testing.assert_array_equal(read.labels, blood.labels[:, ::-1])


def test_a_model_without_masks_has_no_blood_to_show() -> None:
    assert Blood.of(without_mask(findings_of(blood_of(phantom(), by_subtype=False)))) is None


def test_a_mask_without_subtypes_has_no_mask_of_one() -> None:
    blood = blood_of(phantom(), by_subtype=False)
    assert int(blood.mask("any").sum()) == int((phantom().labels > 0).sum())
    with pytest.raises(ValueError, match="do not tell subtypes apart"):
        blood.mask("subdural")
