"""`hemoscope.results.dicom_seg`: read back by other libraries, the mask lies where the blood is in the patient."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK

from hemoscope.errors import BadScan
from hemoscope.labels import SUBTYPES
from hemoscope.readers.dicom import read_dicom
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import report
from hemoscope.results.dicom_sr_masks import Segmented
from hemoscope.results.secondary_capture import secondary_captures
from hemoscope.results.sources import Sources, read_sources
from tests.results.made import PROVENANCE, blood_of, files_of, findings_of, phantom, refuse_errors, shuffled

KINDS = {
    "upright": (0.0, False),
    "tilted": (18.0, False),
    "flipped": (0.0, True),
    "tilted and flipped": (-18.0, True),
}


def made_of(kind: str, by_subtype: bool) -> tuple[bytes, list[bytes], Blood]:
    """A Segmentation of shuffled files; with it the files and the masks, in the shuffled order."""
    tilt, flipped = KINDS[kind]
    files = files_of(phantom(tilt), flipped=flipped)
    blood = blood_of(phantom(tilt), by_subtype=by_subtype, flipped=flipped)
    order = shuffled(len(files))
    files, blood = [files[index] for index in order], Blood(blood.labels[order], by_subtype)
    return segmentation(read_sources(files), blood, PROVENANCE), files, blood


def points_mm(orientation, position, spacing, mask) -> np.ndarray:
    """Where the pixels of one plane's mask lie in the patient, to a tenth of a millimetre, sorted (n, 3)."""
    rows, columns = np.nonzero(mask)
    along, down = np.array(orientation[:3], float), np.array(orientation[3:], float)
    places = np.array(position, float) + np.outer(columns * spacing[1], along) + np.outer(rows * spacing[0], down)
    return np.array(sorted(map(tuple, np.round(places, 1) + 0.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_voxel_lies_in_the_patient_where_the_blood_does(kind: str) -> None:
    data, files, blood = made_of(kind, by_subtype=False)
    seg = pydicom.dcmread(BytesIO(data))
    sources = {}
    for file, label in zip(files, blood.labels, strict=True):
        source = pydicom.dcmread(BytesIO(file))
        sources[source.SOPInstanceUID] = (source, label)
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    frames = seg.pixel_array
    assert len(frames) == sum(label.any() for label in blood.labels)
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        source, label = sources[uid]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        truth = points_mm(source.ImageOrientationPatient, source.ImagePositionPatient, source.PixelSpacing, label)
        np.testing.assert_allclose(points_mm(orientation, position, spacing, frame), truth, atol=0.11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_subtype", [False, True])
def test_highdicom_reads_the_same_voxels_for_every_source(kind: str, by_subtype: bool) -> None:
    data, files, blood = made_of(kind, by_subtype)
    read = highdicom.seg.segread(BytesIO(data))
    uids = [pydicom.dcmread(BytesIO(file), stop_before_pixels=True).SOPInstanceUID for file in files]
    got = read.get_pixels_by_source_instance(uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
    expected = np.stack([blood.mask(name) for name in blood.names], axis=-1)
    np.testing.assert_array_equal(got, expected)
    assert [read.get_segment_description(number).tracking_id for number in read.segment_numbers] == list(blood.names)


@pytest.mark.parametrize("kind", ["upright", "flipped"])  # its images hold no shear: tilted ones lie wrong in them
def test_simpleitk_reads_the_same_voxels_in_the_same_places(kind: str, tmp_path: Path) -> None:
    data, files, blood = made_of(kind, by_subtype=False)
    path = tmp_path / "seg.dcm"
    path.write_bytes(data)
    image = SimpleITK.ReadImage(str(path))
    voxels = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
    got = [image.TransformIndexToPhysicalPoint(voxel.tolist()) for voxel in voxels]
    truth = []
    for file, label in zip(files, blood.labels, strict=True):
        source = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
        truth += [*points_mm(source.ImageOrientationPatient, source.ImagePositionPatient, source.PixelSpacing, label)]
    np.testing.assert_allclose(sorted(got), sorted(map(tuple, truth)), atol=0.11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_subtype", [False, True])
def test_dciodvfy_finds_no_error(kind: str, by_subtype: bool, tmp_path: Path) -> None:
    refuse_errors([made_of(kind, by_subtype)[0]], tmp_path)


def test_the_same_input_gives_the_same_bytes_and_another_mask_another_uid() -> None:
    sources, blood = read_sources(files_of(phantom())), blood_of(phantom(), by_subtype=True)
    once = segmentation(sources, blood, PROVENANCE)
    assert segmentation(sources, blood, PROVENANCE) == once
    other = segmentation(sources, Blood((blood.labels > 0).astype(np.uint8), False), PROVENANCE)
    uids = {pydicom.dcmread(BytesIO(data)).SOPInstanceUID for data in (once, other)}
    assert len(uids) == 2
    later = replace(PROVENANCE, made=PROVENANCE.made.replace(hour=5))
    assert pydicom.dcmread(BytesIO(segmentation(sources, blood, later))).SOPInstanceUID not in uids


def test_segments_say_what_they_are_and_who_made_them() -> None:
    seg = pydicom.dcmread(BytesIO(made_of("upright", by_subtype=True)[0]))
    assert seg.SegmentationType == "BINARY"
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == [
        "Cerebral hemorrhage",
        "Subdural intracranial hemorrhage",
    ]
    segment = seg.SegmentSequence[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "50960005"
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Brain"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Hemoscope reader", "0.3.0")
    assert "not a medical device" in seg.SeriesDescription
    assert seg.PatientName == "PHANTOM^HEAD"


def test_a_mask_without_blood_is_refused() -> None:
    empty = Blood(np.zeros_like(phantom().labels), False)
    with pytest.raises(BadScan, match="No blood was found"):
        segmentation(read_sources(files_of(phantom())), empty, PROVENANCE)


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "ImagePositionPatient", "PixelSpacing"])
def test_slices_of_unknown_place_are_refused(keyword: str) -> None:
    sources = read_sources(files_of(phantom()))
    del sources.datasets[3][keyword]
    with pytest.raises(BadScan, match=f"{keyword} is missing"):
        segmentation(sources, blood_of(phantom(), by_subtype=False), PROVENANCE)


def test_without_a_stated_thickness_it_is_the_distance_of_neighbours(tmp_path: Path) -> None:
    sources = read_sources(files_of(phantom(18.0)))
    for one in sources.datasets:
        del one.SliceThickness
    data = segmentation(sources, blood_of(phantom(18.0), by_subtype=False), PROVENANCE)
    measures = pydicom.dcmread(BytesIO(data)).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == pytest.approx(6.0 * np.cos(np.radians(18.0)), abs=1e-4)
    refuse_errors([data], tmp_path)


def test_slices_in_one_place_are_refused() -> None:
    sources = read_sources(files_of(phantom()))
    sources.datasets[3].ImagePositionPatient = sources.datasets[4].ImagePositionPatient
    with pytest.raises(BadScan, match="Two slices lie in the same place"):
        segmentation(sources, blood_of(phantom(), by_subtype=False), PROVENANCE)


def test_masks_of_another_grid_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="do not lie on the slices"):
        segmentation(read_sources(files_of(phantom())[1:]), blood_of(phantom(), by_subtype=False), PROVENANCE)


def test_a_real_tilted_series_in_any_order(data_folder: Path, tmp_path: Path) -> None:
    sources, hu, blood = real_ball(data_folder)
    data = segmentation(sources, blood, PROVENANCE)
    sr = report(sources, findings_of(blood), PROVENANCE, Segmented(blood, data))
    capture = next(secondary_captures(sources, hu, blood, PROVENANCE))
    refuse_errors([data, sr, capture], tmp_path)
    seg = pydicom.dcmread(BytesIO(data))
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    assert int(seg.pixel_array.sum()) == int(blood.labels.sum()) > 10_000
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        places = points_mm(orientation, group.PlanePositionSequence[0].ImagePositionPatient, spacing, frame)
        assert np.linalg.norm(places - [10, 0, 40], axis=1).max() < 30.2


def real_ball(data_folder: Path) -> tuple[Sources, list[np.ndarray], Blood]:
    """A real tilted series, shuffled, and in it a ball of 30 mm in the patient, drawn slice by slice by the headers."""
    paths = sorted((data_folder / "dicom" / "ge_head_tilt").glob("*.dcm"))
    files = [paths[index].read_bytes() for index in shuffled(len(paths))]
    sources = read_sources(files)
    labels = np.zeros(sources.shape, np.uint8)
    for index, one in enumerate(sources.datasets):
        along, down = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
        row, column = np.mgrid[: one.Rows, : one.Columns]
        steps = column[..., None] * along * one.PixelSpacing[1] + row[..., None] * down * one.PixelSpacing[0]
        labels[index] = np.linalg.norm(np.array(one.ImagePositionPatient, float) + steps - [10, 0, 40], axis=-1) < 30
    return sources, [read_dicom(data).hu[0] for data in files], Blood(labels, False)


def test_the_numbers_of_segments_have_no_gaps() -> None:
    blood = blood_of(phantom(), by_subtype=True)
    assert blood.names == ("intraparenchymal", "subdural")
    assert set(np.unique(blood.labels)) == {0, 1 + SUBTYPES.index("intraparenchymal"), 1 + SUBTYPES.index("subdural")}
    seg = pydicom.dcmread(BytesIO(made_of("upright", by_subtype=True)[0]))
    assert [segment.SegmentNumber for segment in seg.SegmentSequence] == [1, 2]
