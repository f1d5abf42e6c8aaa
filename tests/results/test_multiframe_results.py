"""Results of frames of one file (Enhanced CT): each refers to its frame and lies where that lies."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from hemoscope import render
from hemoscope.measurement import measure
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.folder import write_results
from hemoscope.results.sources import sources_of
from hemoscope.scan import BRAIN
from hemoscope.studies import read_studies, read_volume, received
from tests.results.made import PROVENANCE, enhanced, files_of, findings_of, phantom, refuse_errors, shuffled

KINDS = {"upright": (0.0, False), "tilted": (18.0, False), "flipped": (0.0, True), "tilted and flipped": (-18.0, True)}
ORDER = shuffled(10)  # the file's frame number i + 1 is slice ORDER[i] from the feet


class Made(NamedTuple):
    """The results of a multi-frame file that was read by truth; labels and units by frame, on the file's pixels."""

    folder: Path
    source: Dataset
    labels: np.ndarray
    hu: np.ndarray


def made_of(kind: str, folder: Path) -> Made:
    tilt_degrees, flipped = KINDS[kind]
    drawn = phantom(tilt_degrees)
    files = files_of(drawn, flipped=flipped)
    file = enhanced([files[index] for index in ORDER])
    (folder / "study").write_bytes(file)
    with received([folder / "study"]) as came:
        volume = read_volume(read_studies(came).pick())
        findings = findings_of(Blood(drawn.labels, True))
        measured = measure(volume.scan, findings)
        missing = write_results(folder / "out", volume, findings, measured, {}, PROVENANCE.made)
    assert missing == []
    across = slice(None, None, -1 if flipped else 1)
    return Made(
        folder / "out",
        pydicom.dcmread(BytesIO(file)),
        drawn.labels[ORDER][..., across],
        drawn.scan.hu[ORDER][..., across],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_mask_lies_over_its_frame_in_the_patient(kind: str, tmp_path: Path) -> None:
    made = made_of(kind, tmp_path)
    source, seg = made.source, pydicom.dcmread(made.folder / "segmentation.dcm")
    shared, seg_shared = (one.SharedFunctionalGroupsSequence[0] for one in (source, seg))
    assert seg_shared.PlaneOrientationSequence[0].ImageOrientationPatient == pytest.approx(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, abs=1e-6
    )
    measures = seg_shared.PixelMeasuresSequence[0]
    assert measures.PixelSpacing == shared.PixelMeasuresSequence[0].PixelSpacing
    found = np.zeros(made.labels.shape, int)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        index = int(image.ReferencedFrameNumber) - 1
        place = source.PerFrameFunctionalGroupsSequence[index].PlanePositionSequence[0].ImagePositionPatient
        assert group.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(place, abs=1e-4)
        found[index] += frame
    np.testing.assert_array_equal(found, made.labels > 0)
    (series,) = seg.ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == [source.SOPInstanceUID]


@pytest.mark.parametrize("kind", KINDS)
def test_highdicom_reads_the_same_voxels_for_every_frame(kind: str, tmp_path: Path) -> None:
    made = made_of(kind, tmp_path)
    seg = highdicom.seg.segread(made.folder / "segmentation.dcm")
    got = seg.get_pixels_by_source_frame(
        made.source.SOPInstanceUID,
        list(range(1, 11)),
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    blood = Blood(made.labels, True)
    np.testing.assert_array_equal(got, np.stack([blood.mask(name) for name in blood.names], axis=-1))


@pytest.mark.parametrize("kind", ["upright", "tilted and flipped"])
def test_a_capture_shows_the_frame_that_it_names(kind: str, tmp_path: Path) -> None:
    made = made_of(kind, tmp_path)
    paths = sorted((made.folder / "captures").iterdir())
    named = []
    for path in paths:
        capture = pydicom.dcmread(path)
        (image,) = capture.SourceImageSequence
        assert image.ReferencedSOPInstanceUID == made.source.SOPInstanceUID
        index = int(image.ReferencedFrameNumber) - 1
        named.append(ORDER[index])
        bare = made.labels[index] == 0
        shown = capture.pixel_array[: len(bare)]
        np.testing.assert_array_equal(shown[bare][:, 0], render.grey(made.hu[index], BRAIN)[bare])
        assert (shown[~bare][:, 0] != shown[~bare][:, 1]).all()
    assert named == list(range(10))  # the files are numbered from the feet


def test_the_report_gives_each_area_with_its_frame(tmp_path: Path) -> None:
    made = made_of("tilted", tmp_path)
    report = highdicom.sr.srread(made.folder / "report.dcm")
    areas = np.zeros(10)
    for group in report.content.get_planar_roi_measurement_groups():
        (image,) = group.referenced_segmentation_frame.source_image_for_segmentation.ReferencedSOPSequence
        assert image.ReferencedSOPInstanceUID == made.source.SOPInstanceUID
        areas[int(image.ReferencedFrameNumber) - 1] += group.get_measurements()[0].value
    # Pixels of 4 mm: each has 16 mm².
    np.testing.assert_array_equal(areas, 16.0 * (made.labels > 0).sum(axis=(1, 2)))
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in evidence) == 2  # the file and the Segmentation


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    made = made_of(kind, tmp_path)
    names = ["segmentation.dcm", "report.dcm", "captures/0001.dcm", "captures/0006.dcm"]
    refuse_errors([(made.folder / name).read_bytes() for name in names], tmp_path)


def test_a_volume_of_two_files_refers_to_the_frames_of_both(tmp_path: Path) -> None:
    files, labels = files_of(phantom()), phantom().labels
    truth = {}  # by file and number of the frame
    for part in (ORDER[:4], ORDER[4:]):
        file = enhanced([files[index] for index in part])
        uid = pydicom.dcmread(BytesIO(file), stop_before_pixels=True).SOPInstanceUID
        (tmp_path / uid).write_bytes(file)
        truth |= {(uid, number): labels[index] > 0 for number, index in enumerate(part, 1)}
    with received([tmp_path]) as came:
        volume = read_volume(read_studies(came).pick())
        sources = sources_of(volume.slices)
    seg = pydicom.dcmread(BytesIO(segmentation(sources, Blood((labels > 0).astype(np.uint8), False), PROVENANCE)))
    found = {}
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        found[image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber] = frame
    assert set(found) == {image for image, mask in truth.items() if mask.any()}
    for image, mask in found.items():
        np.testing.assert_array_equal(mask, truth[image])
    (series,) = seg.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence} == {uid for uid, _ in truth}


def test_an_enhanced_file_of_one_frame_needs_no_frame_number(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(enhanced(files_of(phantom())[:1]))
    with received([tmp_path]) as came:
        (candidate,) = read_studies(came).candidates
        assert candidate.stack is not None
        sources = sources_of(candidate.stack.slices)
    assert sources.frames == (None,)
    assert list(sources.first.ImagePositionPatient) == list(phantom().scan.positions_mm[0])
