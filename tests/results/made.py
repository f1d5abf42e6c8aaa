"""What the tests of DICOM and NIfTI results share: a small phantom as files, its reading, and Debian's dciodvfy."""

import random
import shutil
import subprocess
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from hemoscope.findings import Findings, SliceFindings, Timings
from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, Phantom, dicom_slices, make_phantom
from hemoscope.results.blood import Blood
from hemoscope.results.provenance import Provenance

PROVENANCE = Provenance("reader", "0.3.0", datetime(2026, 11, 22, 1, 2, 3))


@cache
def phantom(tilt_degrees: float = 0.0) -> Phantom:
    """Ten coarse slices with blood of two kinds in some of them."""
    return make_phantom(
        (Bleed("intraparenchymal", 12.0), Bleed("subdural", 20.0)),
        slices=10,
        rows=48,
        columns=64,
        spacing_mm=4.0,
        slice_spacing_mm=6.0,
        tilt_degrees=tilt_degrees,
    )


def files_of(made: Phantom, *, flipped: bool = False) -> list[bytes]:
    """Its DICOM files; flipped: columns from the patient's left to the right, as some feet-first series have them."""
    return [_flipped(data) for data in dicom_slices(made)] if flipped else dicom_slices(made)


def enhanced(files: Sequence[bytes]) -> bytes:
    """One Enhanced CT whose frames are the slices of these files, in their order."""
    slices = [pydicom.dcmread(BytesIO(data)) for data in files]
    made = deepcopy(slices[0])
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    made.NumberOfFrames = len(slices)
    made.PixelData = b"".join(one.PixelData for one in slices)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(made, keyword)
    measures = _group("PixelMeasuresSequence", slices[0], "PixelSpacing", "SliceThickness")
    measures.update(_group("PlaneOrientationSequence", slices[0], "ImageOrientationPatient"))
    made.SharedFunctionalGroupsSequence = [measures]
    made.PerFrameFunctionalGroupsSequence = [
        _group("PlanePositionSequence", one, "ImagePositionPatient") for one in slices
    ]
    out = BytesIO()
    made.save_as(out)
    return out.getvalue()


def _group(name: str, source: Dataset, *keywords: str) -> Dataset:
    inner, group = Dataset(), Dataset()
    for keyword in keywords:
        setattr(inner, keyword, source[keyword].value)
    setattr(group, name, [inner])
    return group


def shuffled(count: int) -> list[int]:
    order = list(range(count))
    random.Random(5).shuffle(order)
    return order


def blood_of(made: Phantom, *, by_subtype: bool, flipped: bool = False) -> Blood:
    labels = made.labels if by_subtype else (made.labels > 0).astype(np.uint8)
    return Blood(np.ascontiguousarray(labels[..., ::-1]) if flipped else labels, by_subtype)


def findings_of(blood: Blood) -> Findings:
    """A reading with these masks."""
    slices = tuple(
        SliceFindings(
            probabilities=dict.fromkeys(CLASSES, 0.5),
            finding="hemorrhage" if label.any() else "none",
            mask=label > 0,
            mask_probability=(label > 0).astype(np.float32),
            heat={},
            area_px=int((label > 0).sum()),
            area_mm2=None,
            subtype_map=label if blood.by_subtype else None,
        )
        for label in blood.labels
    )
    probabilities = {"any": 0.9375} | dict.fromkeys(CLASSES[1:], 0.25)
    return Findings("reader", "0.3.0", slices, probabilities, "hemorrhage", 1, None, Timings(0, 0, 0), ("A doubt.",))


def refuse_errors(files: Sequence[bytes], folder: Path) -> None:
    """Check files with dciodvfy of dicom3tools; the test skips where there is none."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian's dicom3tools)")
    for number, data in enumerate(files):
        path = folder / f"{number}.dcm"
        path.write_bytes(data)
        said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, timeout=60)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
        assert not errors, errors


def _flipped(data: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    width_mm = (dataset.Columns - 1) * dataset.PixelSpacing[1]
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x + width_mm, y, z]
    dataset.ImageOrientationPatient = [-1, 0, 0, *dataset.ImageOrientationPatient[3:]]
    dataset.PixelData = np.ascontiguousarray(dataset.pixel_array[:, ::-1]).tobytes()
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()
