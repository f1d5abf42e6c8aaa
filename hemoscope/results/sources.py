"""The headers of the files that were read, as far as DICOM objects made from them need them.

In: the bytes of DICOM files, whole or up to their pixels. Out: `Sources`: small datasets with patient, study, frame of
reference and image plane, whose values obey the standard. Private elements and all else stay behind, so that nothing
broken in a vendor's header gets into what we make.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from hemoscope.errors import BadScan
from hemoscope.readers.elements import Header, as_numbers, value_of
from hemoscope.readers.geometry import geometry_of
from hemoscope.readers.quiet import quiet

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
_DATE, _TIME = re.compile(r"\d{8}"), re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
# Attributes that may be empty (type 2), and what their values must look like; others become empty.
_MAY_BE_EMPTY = {
    "PatientID": re.compile(r".{1,64}"),
    "PatientName": re.compile(r".+"),
    "PatientBirthDate": _DATE,
    "PatientSex": re.compile("[MFO]"),
    "StudyID": re.compile(r".{1,16}"),
    "StudyDate": _DATE,
    "StudyTime": _TIME,
    "AccessionNumber": re.compile(r".{1,16}"),
    "ReferringPhysicianName": re.compile(r".+"),
}
_OPTIONAL = {
    "IssuerOfPatientID": re.compile(r".{1,64}"),
    "PatientAge": re.compile(r"\d{3}[DWMY]"),
    "StudyDescription": re.compile(r".{1,64}"),
    "FrameOfReferenceUID": re.compile(r"[0-9.]{1,64}"),
    "PositionReferenceIndicator": re.compile(r".{1,64}"),
}
_PLANE = ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient")
_TAGS: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in ("SpecificCharacterSet", "NumberOfFrames", *_REQUIRED, *_MAY_BE_EMPTY, *_OPTIONAL, *_PLANE)
]


@dataclass(frozen=True)
class Sources:
    """The source images of one reading, in the order of its slices, whatever that order is.

    Attributes:
        datasets: one a slice, without pixels, text in UTF-8.
    """

    datasets: tuple[Dataset, ...]

    @property
    def first(self) -> Dataset:
        return self.datasets[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return len(self.datasets), int(self.first.Rows), int(self.first.Columns)

    @cached_property
    def place(self) -> dict[str, int]:
        """Which slice has which SOP Instance UID."""
        return {str(one.SOPInstanceUID): index for index, one in enumerate(self.datasets)}

    def spacing_mm(self, index: int) -> tuple[float, float] | None:
        """Between rows and between columns, or None where the header does not say."""
        spacing = self.datasets[index].get("PixelSpacing")
        return None if spacing is None else (float(spacing[0]), float(spacing[1]))


def read_sources(files: Iterable[bytes]) -> Sources:
    """Read the headers of the slices' files.

    Args:
        files: one a slice, in the order of the masks; whole or up to their pixels.

    Raises:
        BadScan: where there is none, a header cannot be read, lacks its UIDs, is that of several frames, or the
            files are of several series or sizes, or one came twice.
    """
    datasets = tuple(_read(data) for data in files)
    if not datasets:
        raise BadScan("There is no DICOM file to make a DICOM result of.")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns"):
        if len({str(one.get(keyword)) for one in datasets}) > 1:
            raise BadScan(f"{keyword} differs between the slices: a DICOM result needs those of one series.")
    if len({str(one.SOPInstanceUID) for one in datasets}) < len(datasets):
        raise BadScan("SOPInstanceUID (0008,0018) is that of several slices: a DICOM result cannot refer to them.")
    return Sources(datasets)


def _read(data: bytes) -> Dataset:
    with quiet():
        try:
            header = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, force=True, specific_tags=_TAGS)
            return _clean(header)
        except BadScan:
            raise
        except Exception:
            # pydicom raises anything for damaged bytes, and its words quote values of the header.
            raise BadScan("The DICOM file's header cannot be followed: no DICOM result can be made of it.") from None


def _clean(header: Dataset) -> Dataset:
    frames = as_numbers(value_of(header, "NumberOfFrames"), 1) or (1.0,)
    if frames[0] != 1 or value_of(header, "SOPClassUID") in (
        EnhancedCTImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
    ):
        raise BadScan("The slices are frames of one file: DICOM results are made for files of one slice each.")
    clean = Dataset()
    clean.SpecificCharacterSet, clean.Modality = "ISO_IR 192", "CT"
    for keyword in _REQUIRED:
        value = value_of(header, keyword)
        if value is None:
            raise BadScan(f"{keyword} is missing in a slice: no DICOM result can refer to it.")
        setattr(clean, keyword, value)
    for keyword, pattern in (_MAY_BE_EMPTY | _OPTIONAL).items():
        text = _text(value_of(header, keyword))
        if pattern.fullmatch(text) and (pattern is not _DATE or _is_date(text)):
            setattr(clean, keyword, text)
        elif keyword in _MAY_BE_EMPTY:
            setattr(clean, keyword, "")
    plane = geometry_of(Header(header, "", "", True), 1)
    places = None if plane.positions_mm is None else plane.positions_mm[0]
    for keyword, numbers in zip(
        _PLANE, (plane.spacing_mm, plane.slice_thickness_mm, places, plane.orientation), strict=True
    ):
        if numbers is not None:
            setattr(clean, keyword, list(numbers) if isinstance(numbers, tuple) else numbers)
    return clean


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
