"""`hemoscope.results.secondary_capture`: the picture that a PACS without Segmentations shows."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from hemoscope import render
from hemoscope.labels import COLOURS
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import report
from hemoscope.results.dicom_sr_masks import Segmented
from hemoscope.results.secondary_capture import OPACITY, captured, secondary_captures
from hemoscope.results.sources import read_sources
from hemoscope.scan import BRAIN
from tests.results.made import PROVENANCE, blood_of, files_of, findings_of, phantom, refuse_errors


def captures(by_subtype: bool, flipped: bool = False) -> list[bytes]:
    made = phantom()
    hu = made.scan.hu[..., ::-1] if flipped else made.scan.hu
    sources = read_sources(files_of(made, flipped=flipped))
    blood = blood_of(made, by_subtype=by_subtype, flipped=flipped)
    return list(secondary_captures(sources, hu, blood, PROVENANCE))


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    refuse_errors([*captures(by_subtype=True)[:2], *captures(by_subtype=False)[4:6]], tmp_path)


@pytest.mark.parametrize(("flipped", "letters"), [(False, ["L", "P"]), (True, ["R", "P"])])
def test_the_mask_lies_over_the_pixels_of_its_slice(flipped: bool, letters: list[str]) -> None:
    made, blood = phantom(), blood_of(phantom(), by_subtype=False, flipped=flipped)
    for index, data in enumerate(captures(by_subtype=False, flipped=flipped)):
        read = pydicom.dcmread(BytesIO(data))
        hu = made.scan.hu[index][:, ::-1] if flipped else made.scan.hu[index]
        grey = render.grey(hu, BRAIN)
        expected = render.overlay(grey, blood.labels[index] > 0, COLOURS["any"], OPACITY)
        np.testing.assert_array_equal(read.pixel_array[: len(grey)], expected)
        assert read.PatientOrientation == letters


def test_words_stand_below_the_slice_and_cover_nothing() -> None:
    blood = blood_of(phantom(), by_subtype=True)
    picture = captured(np.zeros((48, 64), np.uint8), blood, 0, PROVENANCE)
    strip = picture[48:]
    assert len(strip) >= 4 * 8  # two lines of words, two subtypes
    assert strip.max() > 100
    assert picture[:48][blood.labels[0] == 0].max() == 0


def test_each_names_its_source_and_that_something_is_burnt_in() -> None:
    files = files_of(phantom())
    for number, (data, file) in enumerate(zip(captures(by_subtype=False), files, strict=True), 1):
        read, source = pydicom.dcmread(BytesIO(data)), pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
        assert read.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert read.StudyInstanceUID == source.StudyInstanceUID
        assert read.InstanceNumber == number
        assert read.BurnedInAnnotation == "YES"
        assert list(read.PixelSpacing) == list(source.PixelSpacing)
        assert "not a medical device" in read.SeriesDescription


def test_the_same_input_gives_the_same_bytes_and_each_slice_its_own_uid() -> None:
    once = captures(by_subtype=True)
    assert once == captures(by_subtype=True)
    assert len({pydicom.dcmread(BytesIO(data)).SOPInstanceUID for data in once}) == len(once)
    assert len({pydicom.dcmread(BytesIO(data)).SeriesInstanceUID for data in once}) == 1


def test_nothing_is_logged_or_warned(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    sources, blood = read_sources(files_of(phantom())), blood_of(phantom(), by_subtype=True)
    with caplog.at_level("DEBUG"):
        seg = segmentation(sources, blood, PROVENANCE)
        report(sources, findings_of(blood), PROVENANCE, Segmented(blood, seg))
        next(secondary_captures(sources, phantom().scan.hu, blood, PROVENANCE))
    assert not caplog.records
    assert not recwarn.list
