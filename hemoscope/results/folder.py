"""A folder of results of one study: what `hemoscope read --out` writes.

In: a volume whose files can still be read, its findings and measurements. Out: `result.json`, `report.pdf`,
`segmentation.dcm`, `report.dcm`, `captures/` with a DICOM file a slice, and `mask.nii.gz`; and for each that cannot be,
a sentence.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.findings import Findings
from hemoscope.measuring.values import Measurements
from hemoscope.results.blood import Blood
from hemoscope.results.dicom_seg import segmentation
from hemoscope.results.dicom_sr import report
from hemoscope.results.dicom_sr_masks import Segmented
from hemoscope.results.nifti_mask import nifti_mask
from hemoscope.results.on_images import OnImages
from hemoscope.results.pdf_report import pdf_report
from hemoscope.results.provenance import Provenance
from hemoscope.results.secondary_capture import secondary_capture
from hemoscope.results.sources import Sources, sources_of
from hemoscope.studies import Volume, decoded

RESULT, PAGE, SEGMENTATION, REPORT, CAPTURES, MASK = (
    "result.json", "report.pdf", "segmentation.dcm", "report.dcm", "captures", "mask.nii.gz",
)  # fmt: skip


def write_results(
    folder: Path,
    volume: Volume,
    findings: Findings,
    measured: Measurements,
    said: Mapping[str, object],
    made: datetime,
    notes: Sequence[str] = (),
) -> list[str]:
    """Write all forms that the study allows.

    Args:
        folder: where to; made if it is missing.
        volume: its files still open.
        findings, measured: of its scan.
        said: what `result.json` holds.
        made: when; part of the DICOM objects and said in the page.
        notes: of the studies that came together, for the page.

    Returns:
        what was not written and why, in sentences.

    Raises:
        OSError: where a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_bytes(pdf_report(volume, findings, measured, made, notes))
    missing = _write_nifti(folder, volume, findings)
    if volume.slices[0].kind != "dicom":
        return [*missing, f"The study is no DICOM: {SEGMENTATION}, {REPORT} and {CAPTURES} are not written."]
    try:
        sources = sources_of(volume.slices)
    except BadScan as error:
        return [*missing, f"{SEGMENTATION}, {REPORT} and {CAPTURES} are not written: {error}"]
    return missing + _write_dicom(folder, sources, volume, findings, measured, made)


def _write_nifti(folder: Path, volume: Volume, findings: Findings) -> list[str]:
    blood = Blood.of(findings)
    if blood is None:
        return [f"{findings.model} gives no mask: {SEGMENTATION}, {CAPTURES} and {MASK} are not written."]
    try:
        (folder / MASK).write_bytes(nifti_mask(blood.labels, volume.scan))
    except BadScan as error:
        return [f"{MASK} is not written: {error}"]
    return []


def _write_dicom(
    folder: Path,
    sources: Sources,
    volume: Volume,
    findings: Findings,
    measured: Measurements,
    made: datetime,
) -> list[str]:
    provenance = Provenance.of(findings, made)
    blood = Blood.of(findings, volume.on_slices)
    missing, segmented = [], None
    if blood is not None:
        try:
            data = segmentation(sources, blood, provenance)
        except BadScan as error:
            missing.append(f"{SEGMENTATION} is not written: {error}")
        else:
            (folder / SEGMENTATION).write_bytes(data)
            segmented = Segmented(blood, data)
    try:
        (folder / REPORT).write_bytes(report(sources, findings, provenance, segmented, OnImages.of(measured, volume)))
    except BadScan as error:
        missing.append(f"{REPORT} is not written: {error}")
    if blood is not None:
        (folder / CAPTURES).mkdir(exist_ok=True)
        for index, hu in _stored_hu(volume):
            data = secondary_capture(sources, index, hu, blood, provenance)
            (folder / CAPTURES / f"{index + 1:04d}.dcm").write_bytes(data)
    return missing


def _stored_hu(volume: Volume) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The slices as they are stored, one at a time, each with its place in the volume: frames come in their file's
    order, which is another."""
    places = {id(one): index for index, one in enumerate(volume.slices)}
    for one, scan in decoded(volume.slices):
        if isinstance(scan, BadScan):
            raise scan
        yield places[id(one)], scan.hu[0]
