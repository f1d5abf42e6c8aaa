"""Studies of phantoms for tests of the page of a study, all of one patient."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pydicom

from hemoscope.findings import SliceFindings
from hemoscope.phantom import Bleed, dicom_slices, make_phantom
from hemoscope.scan import Scan
from tests.conftest import BrightReader
from tests.studies.series import zipped

SLICES = 12
SPACING_MM = 12.0


class BleedReader(BrightReader):
    """The bright rule without the thin rim of the skull, so that one bleed is one lesion."""

    def _slice(self, scan: Scan, index: int) -> SliceFindings:
        found = super()._slice(scan, index)
        assert found.mask is not None
        opened = cv2.morphologyEx(found.mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
        area = int(opened.sum())
        return replace(
            found,
            mask=opened,
            heat={},
            area_px=area,
            finding="hemorrhage" if area else "none",
            probabilities=self._probabilities(area > 0),
        )


def head(volume_ml: float, date: str, lift_mm: float = 0.0) -> bytes:
    """A zip archive of a head with one bleed.

    Args:
        volume_ml: of the bleed.
        date: of the study, as DICOM writes it; its UIDs come from it.
        lift_mm: how much further up the table stood.
    """
    bleeds = [Bleed("intraparenchymal", volume_ml)]
    drawn = make_phantom(bleeds, slices=SLICES, rows=192, columns=192, spacing_mm=1.2, slice_spacing_mm=SPACING_MM)
    files = (_changed(data, date, lift_mm) for data in dicom_slices(drawn))
    return zipped({f"{number}.dcm": data for number, data in enumerate(files)})


def _changed(data: bytes, date: str, lift_mm: float) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.StudyDate, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = date, f"1.2.{date}", f"1.2.{date}.1"
    dataset.PatientAge, dataset.PatientSex = "045Y", "F"
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y, f"{float(z) + lift_mm:.3f}"]
    changed = io.BytesIO()
    dataset.save_as(changed, enforce_file_format=True)
    return changed.getvalue()
