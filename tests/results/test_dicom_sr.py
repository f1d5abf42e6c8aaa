"""`hemoscope.results.dicom_sr`: what the report says, to other programs too."""

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from hemoscope.labels import CLASSES
from hemoscope.measuring.values import Diameters, Lesion, MidlineShift, Volume
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import report
from hemoscope.results.dicom_sr_masks import Segmented
from hemoscope.results.on_images import LesionOnImages, MidlineOnImage, OnImages
from hemoscope.results.sources import read_sources
from tests.results.made import PROVENANCE, blood_of, files_of, findings_of, phantom, refuse_errors, shuffled

VOLUMES = {
    "any": Volume(32.0, 3.0),
    "intraparenchymal": Volume(12.0, 1.256),
    "subdural": Volume(20.0, 2.0),
}
LESION = Lesion(
    volume=Volume(19.5, 2.0),
    first_slice=2,
    last_slice=4,
    largest_slice=3,
    largest_area_mm2=700.0,
    diameters=Diameters(61.25, 14.0, ((10.0, 50.0), (24.0, 55.5))),
    abc2_ml=17.25,
    depth_mm=36.0,
    table_distance_mm=0.0,
    mean_hu=65.0,
    subtype="subdural",
    reaches_end=False,
)
SMALL = replace(LESION, depth_mm=None, subtype=None, volume=Volume(4.0, 0.5))
SKULL, BRAIN = ((5.0, 32.0), (40.0, 31.0)), ((5.0, 32.0), (22.0, 33.0), (40.0, 31.0))
MIDLINE = MidlineShift(3.25, 1.5, 1, 5, SKULL, BRAIN, (22.0, 33.0))
MEASURED = OnImages(
    VOLUMES,
    (
        LesionOnImages(LESION, (2, 3, 4), 3, LESION.diameters.ends_px),
        LesionOnImages(SMALL, (7,), 7, ((1.0, 2.0), (3.0, 4.0))),
    ),
    MidlineOnImage(MIDLINE, 5, MIDLINE.ideal_px, MIDLINE.midline_px),
    ("The midline is a guess.",),
)


def made_of(by_subtype: bool, masked: bool = True) -> tuple[bytes, bytes | None]:
    """A report and the Segmentation that it refers to."""
    sources, blood = read_sources(files_of(phantom())), blood_of(phantom(), by_subtype=by_subtype)
    seg = segmentation(sources, blood, PROVENANCE)
    segmented = Segmented(blood, seg) if masked else None
    return report(sources, findings_of(blood), PROVENANCE, segmented, MEASURED), seg


def numbers(group, meaning: str) -> list[float]:
    return [measured.value for measured in group.get_measurements() if measured.name.meaning == meaning]


@pytest.mark.parametrize(("by_subtype", "masked"), [(False, True), (True, True), (False, False)])
def test_dciodvfy_finds_no_error(by_subtype: bool, masked: bool, tmp_path: Path) -> None:
    refuse_errors([made_of(by_subtype, masked)[0]], tmp_path)


def test_every_class_has_its_probability_and_the_whole_its_finding_and_volume() -> None:
    sr = highdicom.sr.srread(BytesIO(made_of(by_subtype=True)[0]))
    groups = sr.content.get_image_measurement_groups()[: len(CLASSES)]
    assert [group.tracking_identifier for group in groups] == [f"{name}, scan" for name in CLASSES]
    assert [numbers(group, "Certainty of Finding") for group in groups] == [[93.75], *[[25.0]] * 5]
    whole = groups[0]
    assert whole.finding_type.value == "1386000"
    assert numbers(whole, "Volume") == [32.0]
    assert [each.value.meaning for each in whole.get_qualitative_evaluations()] == ["Present"]


def test_a_segment_has_its_volume_in_ml_with_its_uncertainty() -> None:
    data, seg = made_of(by_subtype=True)
    groups = highdicom.sr.srread(BytesIO(data)).content.get_volumetric_roi_measurement_groups()
    assert [(group.tracking_identifier, *numbers(group, "Volume")) for group in groups] == [
        ("intraparenchymal", 12.0),
        ("subdural", 20.0),
    ]
    assert seg is not None
    stored = pydicom.dcmread(BytesIO(seg))
    assert [group.tracking_uid for group in groups] == [segment.TrackingUID for segment in stored.SegmentSequence]
    volume = groups[0].get_measurements()[0]
    assert volume.unit.value == "ml"
    widths = [item.MeasuredValueSequence[0] for item in volume[0].ContentSequence if item.ValueType == "NUM"]
    assert [(float(each.NumericValue), each.MeasurementUnitsCodeSequence[0].CodeValue) for each in widths] == [
        (1.26, "ml"),
        (1.26, "ml"),
    ]


def test_each_lesion_has_its_sizes_its_images_and_a_uid_of_its_own() -> None:
    sr = highdicom.sr.srread(BytesIO(made_of(by_subtype=True)[0]))
    first, second = sr.content.get_image_measurement_groups()[6:8]
    assert [each.tracking_identifier for each in (first, second)] == ["subdural, lesion 1", "any, lesion 2"]
    assert first.tracking_uid != second.tracking_uid
    assert [each.finding_type.meaning for each in (first, second)] == [
        "Subdural intracranial hemorrhage",
        "Intracranial hemorrhage",
    ]
    said = [(each.name.meaning, each.value, each.unit.value, method_of(each)) for each in first.get_measurements()]
    assert said == [
        ("Volume", 19.5, "ml", "Sum of segmented voxel method for volume"),
        ("Volume", 17.25, "ml", "ABC/2: half of length by width by height"),
        ("Long axis", 61.25, "mm", None),
        ("Perpendicular Axis", 14.0, "mm", None),
        ("Depth", 36.0, "mm", "Below the uppermost slice, along the normal"),
    ]
    assert len(second.get_measurements()) == 4  # its depth is not known
    sources = read_sources(files_of(phantom())).datasets
    assert [image.referenced_sop_instance_uid for image in first.source_images] == [
        sources[index].SOPInstanceUID for index in (2, 3, 4)
    ]


def method_of(measured: highdicom.sr.Measurement) -> str | None:
    return None if measured.method is None else measured.method.meaning


def lines_of(measured: highdicom.sr.Measurement) -> dict[str, tuple[list[list[float]], str]]:
    """By what it is: the points (column, row) of each line, and the image that it lies on."""
    return {
        item.name.meaning: (
            np.array(item.value).tolist(),
            item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
        )
        for item in measured[0].ContentSequence
        if item.ValueType == "SCOORD"
    }


def test_lines_lie_on_the_pixels_of_their_image() -> None:
    sr = highdicom.sr.srread(BytesIO(made_of(by_subtype=True)[0]))
    lesion, _, midline = sr.content.get_image_measurement_groups()[6:]
    sources = read_sources(files_of(phantom())).datasets
    # (row, column) from the centre of the first pixel become (column, row) from its corner.
    assert lines_of(lesion.get_measurements()[2]) == {
        "Source": ([[50.5, 10.5], [56.0, 24.5]], sources[3].SOPInstanceUID)
    }
    (shift,) = midline.get_measurements()
    assert lines_of(shift) == {
        "Middle line of the skull": ([[32.5, 5.5], [31.5, 40.5]], sources[5].SOPInstanceUID),
        "Middle line of the brain": ([[32.5, 5.5], [33.5, 22.5], [31.5, 40.5]], sources[5].SOPInstanceUID),
    }


def test_the_midline_shift_has_its_uncertainty_and_its_image() -> None:
    sr = highdicom.sr.srread(BytesIO(made_of(by_subtype=True)[0]))
    midline = sr.content.get_image_measurement_groups()[8]
    assert midline.tracking_identifier == "midline"
    (shift,) = midline.get_measurements()
    assert (shift.name.value, shift.name.scheme_designator) == ("midline_shift", "99HEMOSCOPE")
    assert (shift.value, shift.unit.value) == (3.25, "mm")
    widths = [item.MeasuredValueSequence[0] for item in shift[0].ContentSequence if item.ValueType == "NUM"]
    assert [(float(each.NumericValue), each.MeasurementUnitsCodeSequence[0].CodeValue) for each in widths] == [
        (1.5, "mm"),
        (1.5, "mm"),
    ]
    (image,) = midline.source_images
    assert image.referenced_sop_instance_uid == read_sources(files_of(phantom())).datasets[5].SOPInstanceUID


def test_other_measurements_make_another_report() -> None:
    sources, findings = read_sources(files_of(phantom())), findings_of(blood_of(phantom(), by_subtype=True))
    reports = [report(sources, findings, PROVENANCE, None, one) for one in (MEASURED, replace(MEASURED, midline=None))]
    assert len({pydicom.dcmread(BytesIO(data)).SOPInstanceUID for data in reports}) == 2


def test_a_frame_of_the_segmentation_has_its_area() -> None:
    data, seg = made_of(by_subtype=False)
    groups = highdicom.sr.srread(BytesIO(data)).content.get_planar_roi_measurement_groups()
    assert seg is not None
    stored = pydicom.dcmread(BytesIO(seg))
    # Pixels of 4 mm: each has 16 mm².
    assert [numbers(group, "Area")[0] for group in groups] == [16.0 * int(frame.sum()) for frame in stored.pixel_array]


def test_areas_are_those_of_the_right_slices_whatever_their_order() -> None:
    order = shuffled(10)
    files = [files_of(phantom())[index] for index in order]
    sources, blood = read_sources(files), blood_of(phantom(), by_subtype=False)
    mixed = type(blood)(blood.labels[order], False)
    seg = segmentation(sources, mixed, PROVENANCE)
    sr = pydicom.dcmread(BytesIO(report(sources, findings_of(mixed), PROVENANCE, Segmented(mixed, seg))))
    areas = {}
    for group in sr.ContentSequence[-2].ContentSequence:
        images = [item.ReferencedSOPSequence[0] for item in group.ContentSequence if item.ValueType == "IMAGE"]
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        if images:
            areas[images[1].ReferencedSOPInstanceUID] = float(numbers[0].MeasuredValueSequence[0].NumericValue)
    for one, label in zip(sources.datasets, mixed.labels, strict=True):
        assert areas.get(one.SOPInstanceUID, 0.0) == 16.0 * int(label.sum())


def test_the_report_lists_every_image_that_was_read() -> None:
    sr = pydicom.dcmread(BytesIO(made_of(by_subtype=False)[0]))
    library = next(item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028")
    images = [item for item in library.ContentSequence[0].ContentSequence if item.ValueType == "IMAGE"]
    sources = read_sources(files_of(phantom())).datasets
    assert [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in images] == [
        one.SOPInstanceUID for one in sources
    ]
    evidence = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in evidence) == len(sources) + 1  # with the Segmentation


def test_without_a_mask_the_report_has_probabilities_alone() -> None:
    content = highdicom.sr.srread(BytesIO(made_of(by_subtype=False, masked=False)[0])).content
    assert len(content.get_image_measurement_groups()) == 6 + 2 + 1  # the classes, the lesions, the midline
    assert not content.get_volumetric_roi_measurement_groups()
    assert not content.get_planar_roi_measurement_groups()


def test_the_same_input_gives_the_same_bytes() -> None:
    assert made_of(by_subtype=True) == made_of(by_subtype=True)


def test_dcmtk_reads_what_it_is_for_and_who_made_it(tmp_path: Path) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed (Debian's dcmtk)")
    path = tmp_path / "sr.dcm"
    path.write_bytes(made_of(by_subtype=True)[0])
    done = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert '"Algorithm Name")="Hemoscope reader"' in done.stdout
    assert '"Algorithm Version")="0.3.0"' in done.stdout
    assert '"Midline shift of the brain")="3.25" (mm,UCUM,"mm")' in done.stdout
    assert "(POLYLINE,50.5/10.5,56/24.5)" in done.stdout
    assert '"Comment")="Research use. Not a medical device. A doubt. The midline is a guess."' in done.stdout
