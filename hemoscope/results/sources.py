"""The headers of the files that were read, as far as DICOM objects made from them need them.

In: the bytes of DICOM files, whole or up to their pixels, or the slices of a volume. Out: `Sources`: small datasets
with patient, study, frame of reference and image plane, whose values obey the standard, one a slice, and for frames of
a multi-frame file which frame it is. Private elements and all else stay behind, so that nothing broken in a vendor's
header gets into what we make.
"""

import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
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
from hemoscope.readers.geometry import Geometry, geometry_of
from hemoscope.readers.quiet import quiet
from hemoscope.studies import Slice

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
    for keyword in (
        *("SpecificCharacterSet", "NumberOfFrames", *_REQUIRED, *_MAY_BE_EMPTY, *_OPTIONAL, *_PLANE),
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    )
]
_OF_FRAMES = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
Reference = tuple[str, str, list[int] | None]  # SOP class, SOP instance, numbers of frames from 1 where it has several


@dataclass(frozen=True)
class Sources:
    """The source images of one reading, in the order of its slices, whatever that order is.

    Attributes:
        datasets: one a slice, without pixels, text in UTF-8. Slices that are frames of one file share its UID; each has
            the plane of its frame, as a file of one slice would.
        frames: for each the number of its frame in the file, from 1; None where the file has one slice.
    """

    datasets: tuple[Dataset, ...]
    frames: tuple[int | None, ...]

    @property
    def first(self) -> Dataset:
        return self.datasets[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return len(self.datasets), int(self.first.Rows), int(self.first.Columns)

    @cached_property
    def place(self) -> dict[str, int]:
        """Which slice each image is: by `image_key`."""
        pairs = zip(self.datasets, self.frames, strict=True)
        return {image_key(one.SOPInstanceUID, frame): index for index, (one, frame) in enumerate(pairs)}

    def reference(self, index: int) -> Reference:
        """How an object refers to one slice."""
        return self.references([index])[0]

    def references(self, indices: Iterable[int]) -> list[Reference]:
        """How an object refers to several slices: each file once, with the frames that are meant."""
        found: dict[str, Reference] = {}
        for index in indices:
            one, frame = self.datasets[index], self.frames[index]
            new: Reference = (one.SOPClassUID, one.SOPInstanceUID, None if frame is None else [])
            numbers = found.setdefault(one.SOPInstanceUID, new)[2]
            if numbers is not None and frame is not None:
                numbers.append(frame)
        return list(found.values())

    def spacing_mm(self, index: int) -> tuple[float, float] | None:
        """Between rows and between columns, or None where the header does not say."""
        spacing = self.datasets[index].get("PixelSpacing")
        return None if spacing is None else (float(spacing[0]), float(spacing[1]))


def image_key(instance_uid: str, frame: int | None) -> str:
    """What tells an image from all others: the UID of its file, and its frame where the file has several."""
    return str(instance_uid) if frame is None else f"{instance_uid} frame {frame}"


def read_sources(files: Iterable[bytes]) -> Sources:
    """Read the headers of files that have one slice each.

    Args:
        files: one a slice, in the order of the masks; whole or up to their pixels.

    Raises:
        BadScan: where there is none, a header cannot be read, lacks its UIDs, is that of several frames, or the
            files are of several series or sizes, or one came twice.
    """
    headed = [_read(data) for data in files]
    if any(one.frames > 1 for one in headed):
        raise BadScan("A file has several frames: which of them is meant is not known.")
    return _joined([(one, 0) for one in headed])


def sources_of(slices: Sequence[Slice]) -> Sources:
    """Read the headers of a volume's slices, each file once.

    Raises:
        BadScan: as `read_sources`; files of several frames are read where the standard knows them (Enhanced CT).
    """
    files = {id(one.file): one.file for one in slices}
    headed = {key: _read(file.read()) for key, file in files.items()}
    return _joined([(headed[id(one.file)], one.frame) for one in slices])


@dataclass(frozen=True)
class _Headed:
    """The header of one file: what all its frames share, and their planes."""

    shared: Dataset
    frames: int
    geometry: Geometry

    def slice(self, frame: int) -> Dataset:
        """The dataset of one frame, counted from 0, with its plane."""
        clean, plane = deepcopy(self.shared), self.geometry
        places = None if plane.positions_mm is None else plane.positions_mm[frame]
        for keyword, numbers in zip(
            _PLANE, (plane.spacing_mm, plane.slice_thickness_mm, places, plane.orientation), strict=True
        ):
            if numbers is not None:
                setattr(clean, keyword, list(numbers) if isinstance(numbers, tuple) else numbers)
        return clean


def _joined(slices: Sequence[tuple[_Headed, int]]) -> Sources:
    if not slices:
        raise BadScan("There is no DICOM file to make a DICOM result of.")
    datasets = tuple(headed.slice(frame) for headed, frame in slices)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns"):
        if len({str(one.get(keyword)) for one in datasets}) > 1:
            raise BadScan(f"{keyword} differs between the slices: a DICOM result needs those of one series.")
    sources = Sources(datasets, tuple(None if headed.frames == 1 else frame + 1 for headed, frame in slices))
    if len(sources.place) < len(datasets):
        raise BadScan("SOPInstanceUID (0008,0018) is that of several slices: a DICOM result cannot refer to them.")
    return sources


def _read(data: bytes) -> _Headed:
    with quiet():
        try:
            header = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, force=True, specific_tags=_TAGS)
            frames = int((as_numbers(value_of(header, "NumberOfFrames"), 1) or (1.0,))[0])
            if frames != 1 and value_of(header, "SOPClassUID") not in _OF_FRAMES:
                raise BadScan("The file has several frames, but is of a kind that has one: no DICOM result is made.")
            return _Headed(_clean(header), frames, geometry_of(Header(header, "", "", True), frames))
        except BadScan:
            raise
        except Exception:
            # pydicom raises anything for damaged bytes, and its words quote values of the header.
            raise BadScan("The DICOM file's header cannot be followed: no DICOM result can be made of it.") from None


def _clean(header: Dataset) -> Dataset:
    """Patient, study and what else all frames share, as far as it obeys the standard."""
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
    return clean


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
