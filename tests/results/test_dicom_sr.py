"""`hemoscope.results.dicom_sr`: what the report says, to other programs too."""

import shutil
import subprocess
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import highdicom
import pydicom
import pytest

from hemoscope.labels import CLASSES
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import Segmented, Volume, report
from hemoscope.results.sources import read_sources
from tests.results.made import PROVENANCE, blood_of, files_of, findings_of, phantom, refuse_errors, shuffled


class Measured(NamedTuple):
    ml: float
    uncertainty_ml: float


VOLUMES: Mapping[str, Volume] = {
    "any": Measured(32.0, 3.0),
    "intraparenchymal": Measured(12.0, 1.256),
    "subdural": Measured(20.0, 2.0),
}


def made_of(by_subtype: bool, masked: bool = True) -> tuple[bytes, bytes | None]:
    """A report and the Segmentation that it refers to."""
    sources, blood = read_sources(files_of(phantom())), blood_of(phantom(), by_subtype=by_subtype)
    seg = segmentation(sources, blood, PROVENANCE)
    segmented = Segmented(blood, seg) if masked else None
    return report(sources, findings_of(blood), PROVENANCE, segmented, VOLUMES), seg


def numbers(group, meaning: str) -> list[float]:
    return [measured.value for measured in group.get_measurements() if measured.name.meaning == meaning]


@pytest.mark.parametrize(("by_subtype", "masked"), [(False, True), (True, True), (False, False)])
def test_dciodvfy_finds_no_error(by_subtype: bool, masked: bool, tmp_path: Path) -> None:
    refuse_errors([made_of(by_subtype, masked)[0]], tmp_path)


def test_every_class_has_its_probability_and_the_whole_its_finding_and_volume() -> None:
    sr = highdicom.sr.srread(BytesIO(made_of(by_subtype=True)[0]))
    groups = sr.content.get_image_measurement_groups()
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
    widths = [item.MeasuredValueSequence[0] for item in volume[0].ContentSequence]
    assert [(float(each.NumericValue), each.MeasurementUnitsCodeSequence[0].CodeValue) for each in widths] == [
        (1.26, "ml"),
        (1.26, "ml"),
    ]


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
    assert len(content.get_image_measurement_groups()) == 6
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
    assert '"Comment")="Research use. Not a medical device. A doubt."' in done.stdout
