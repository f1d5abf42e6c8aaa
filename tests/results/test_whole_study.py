"""From a zip with shuffled files to results: what intake, reading and measuring give fits into the DICOM objects."""

import zipfile
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pytest
from numpy.typing import NDArray

from hemoscope.findings import Findings
from hemoscope.measurement import measure
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import report
from hemoscope.results.dicom_sr_masks import Segmented
from hemoscope.results.on_images import OnImages
from hemoscope.results.provenance import Provenance
from hemoscope.results.sources import Sources, read_sources
from hemoscope.studies import Volume, read_studies, read_volume, received
from tests.results.made import PROVENANCE, files_of, findings_of, phantom, refuse_errors, shuffled


def taken_in(folder: Path, tilt_degrees: float, flipped: bool) -> tuple[Volume, Sources]:
    files = files_of(phantom(tilt_degrees), flipped=flipped)
    path = folder / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, index in enumerate(shuffled(len(files))):
            archive.writestr(f"IM{name:03d}", files[index])
    with received([path]) as came:
        volume = read_volume(read_studies(came).pick())
        return volume, read_sources(one.file.read() for one in volume.slices)


def read_by_truth(volume: Volume, tilt_degrees: float) -> tuple[Findings, NDArray[np.uint8]]:
    """A reading that finds just what was drawn; intake has sorted and turned the pictures back by then."""
    labels = phantom(tilt_degrees).labels
    np.testing.assert_array_equal(volume.scan.hu, phantom(tilt_degrees).scan.hu)
    return findings_of(Blood(labels, True)), labels


@pytest.mark.parametrize(("tilt_degrees", "flipped"), [(0.0, False), (18.0, False), (-18.0, True)])
def test_masks_and_volumes_of_a_study_arrive_in_the_results(tilt_degrees: float, flipped: bool, tmp_path: Path) -> None:
    volume, sources = taken_in(tmp_path, tilt_degrees, flipped)
    findings, labels = read_by_truth(volume, tilt_degrees)
    blood = Blood.of(findings, volume.on_slices)
    assert blood is not None
    stored = labels[..., ::-1] if flipped else labels
    np.testing.assert_array_equal(blood.labels, stored)

    provenance = Provenance.of(findings, PROVENANCE.made)
    seg = segmentation(sources, blood, provenance)
    uids = [one.SOPInstanceUID for one in sources.datasets]
    read = highdicom.seg.segread(BytesIO(seg)).get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(read.any(axis=-1), stored > 0)

    measured = measure(volume.scan, findings)
    sr = report(sources, findings, provenance, Segmented(blood, seg), OnImages.of(measured, volume))
    groups = highdicom.sr.srread(BytesIO(sr)).content.get_volumetric_roi_measurement_groups()
    said = {group.tracking_identifier: group.get_measurements()[0].value for group in groups}
    # Drawn were 12 and 20 ml; a voxel has 0.1 ml.
    assert said == pytest.approx({"intraparenchymal": 12.0, "subdural": 20.0}, rel=0.03)
    refuse_errors([seg, sr], tmp_path)
