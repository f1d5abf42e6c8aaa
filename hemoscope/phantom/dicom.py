"""The phantom as DICOM CT Image Storage (PS3.3 A.3).

In: a `Phantom`. Out: the bytes of one file a slice, or files in a folder. UIDs come from the parameters, so the same
phantom gives the same bytes.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from hemoscope.phantom.bleeds import Bleed
from hemoscope.phantom.head import Phantom, make_phantom, uid

INTERCEPT_HU = -1024


def dicom_slices(phantom: Phantom) -> list[bytes]:
    """One DICOM file a slice, from the base up: 12 bits stored unsigned, 0 for -1024 HU."""
    return [_file(phantom, index) for index in range(len(phantom.labels))]


def write_dicom_series(phantom: Phantom, folder: Path) -> list[Path]:
    """Write the series as `001.dcm`, `002.dcm`, ... into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03d}.dcm" for number in range(1, len(phantom.labels) + 1)]
    for path, data in zip(paths, dicom_slices(phantom), strict=True):
        path.write_bytes(data)
    return paths


def sample_slice(with_blood: bool) -> bytes:
    """One DICOM file for the demo buttons: a slice at the ventricles, with a bleed on the left or without."""
    bleeds = (Bleed("intraparenchymal", 4.0, hu=68.0, edema=True),) if with_blood else ()
    return dicom_slices(make_phantom(bleeds, slices=1, seed=3))[0]


def _file(phantom: Phantom, index: int) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uid("instance", phantom.scan.facts.series_uid, index))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _patient_and_study(dataset, phantom)
    _series_and_equipment(dataset, phantom)
    _image(dataset, phantom, index)
    _pixels(dataset, phantom, index)
    data = BytesIO()
    pydicom.dcmwrite(data, dataset, enforce_file_format=True)
    return data.getvalue()


def _patient_and_study(dataset: Dataset, phantom: Phantom) -> None:
    facts = phantom.scan.facts
    dataset.PatientName = facts.patient_name
    dataset.PatientID = facts.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = facts.patient_sex
    dataset.StudyInstanceUID = facts.study_uid
    dataset.StudyDate = facts.study_date
    dataset.StudyTime = facts.study_time
    dataset.StudyID = "1"
    dataset.StudyDescription = facts.study_description
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""


def _series_and_equipment(dataset: Dataset, phantom: Phantom) -> None:
    facts = phantom.scan.facts
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = facts.series_uid
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = facts.series_description
    dataset.BodyPartExamined = "HEAD"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid("frame of reference", facts.series_uid)
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = facts.manufacturer
    dataset.ManufacturerModelName = "Phantom"


def _image(dataset: Dataset, phantom: Phantom, index: int) -> None:
    geometry = phantom.geometry
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.InstanceNumber = index + 1
    dataset.AcquisitionNumber = 1
    dataset.ContentDate, dataset.ContentTime = phantom.scan.facts.study_date, phantom.scan.facts.study_time
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP = 120
    dataset.ConvolutionKernel = phantom.scan.facts.convolution_kernel
    dataset.GantryDetectorTilt = _decimal(geometry.tilt_degrees)
    dataset.PixelSpacing = [_decimal(geometry.spacing_mm)] * 2
    dataset.SliceThickness = _decimal(geometry.slice_spacing_mm)
    dataset.ImageOrientationPatient = [_decimal(cosine) for cosine in geometry.orientation]
    dataset.ImagePositionPatient = [_decimal(part) for part in geometry.position_mm(index)]


def _pixels(dataset: Dataset, phantom: Phantom, index: int) -> None:
    hu = phantom.scan.hu[index]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = INTERCEPT_HU, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 80
    dataset.WindowCenterWidthExplanation = "BRAIN"
    dataset.PixelData = (hu - INTERCEPT_HU).astype(np.dtype("<u2")).tobytes()


def _decimal(value: float) -> str:
    """A decimal string of at most sixteen characters (PS3.5 6.2)."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
