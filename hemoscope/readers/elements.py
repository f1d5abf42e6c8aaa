"""DICOM elements: from bytes to values of known types.

In: the bytes of a DICOM file, with or without preamble and file meta information, in any syntax. Out: a `Header` whose
accessors never raise: a value that is missing, empty or malformed is None or "".
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

from hemoscope.errors import BadScan
from hemoscope.readers.kinds import is_explicit, start_of_elements

DEFLATED = "1.2.840.10008.1.2.1.99"
_UNDEFINED_LENGTH = 0xFFFFFFFF

# Only these are parsed: broken private elements of a vendor cannot spoil a file, and parsing is faster.
_KEYWORDS = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "StudyDate", "Modality", "Manufacturer", "StudyDescription"),
    *("SeriesDescription", "PatientName", "PatientID", "PatientSex", "PatientAge", "ContrastBolusAgent"),
    *("BodyPartExamined", "SliceThickness", "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope"),
    *("SOPInstanceUID", "FrameOfReferenceUID", "SeriesNumber", "AcquisitionNumber"),
    *("IssuerOfPatientID", "StudyTime", "ContrastBolusAgentSequence"),
    *("RescaleType", "LossyImageCompression", "DirectoryRecordSequence", "SharedFunctionalGroupsSequence"),
    *("PerFrameFunctionalGroupsSequence", "FloatPixelData", "DoubleFloatPixelData", "PixelData"),
)
_FIRST_OF_PIXELS = Tag("FloatPixelData")  # (7FE0,0008); Pixel Data is (7FE0,0010)
_TAGS: list[BaseTag | int] = [Tag(keyword) for keyword in _KEYWORDS]


@dataclass(frozen=True)
class Header:
    """The elements of one DICOM file that matter here.

    Attributes:
        dataset: the parsed elements; Pixel Data stays raw in it.
        syntax: the transfer syntax UID that the file meta information states, or "".
        media_class: the media storage SOP class UID of the file meta information, or "".
        little_endian: the order of bytes.
    """

    dataset: Dataset
    syntax: str
    media_class: str
    little_endian: bool

    def has(self, keyword: str) -> bool:
        return keyword in self.dataset

    def text(self, keyword: str) -> str:
        """A value as one line of at most 200 printable characters; "" where there is none."""
        value = value_of(self.dataset, keyword)
        if value is None:
            return ""
        line = "".join(character for character in str(value) if character.isprintable())
        return line.strip()[:200]

    def words(self, keyword: str) -> tuple[str, ...]:
        """The values of a code string, in capitals."""
        value = value_of(self.dataset, keyword)
        values = () if value is None else (value,) if isinstance(value, str) else tuple(value)
        return tuple(str(word).strip().upper()[:64] for word in values)

    def integer(self, keyword: str) -> int | None:
        numbers = as_numbers(value_of(self.dataset, keyword), 1)
        return int(numbers[0]) if numbers and numbers[0] == int(numbers[0]) else None

    def frame_numbers(self, index: int, group: str, keyword: str, count: int) -> tuple[float, ...] | None:
        """Numbers that hold for one frame: its own functional group, then the shared one, then the dataset itself.

        Args:
            index: which frame.
            group: keyword of the functional group sequence, for example `PlanePositionSequence`.
            keyword: the attribute within it.
            count: how many values it has.

        Returns:
            Finite numbers, or None where they are missing, malformed or of another count.
        """
        for item in (*self._groups(index, group), self.dataset):
            numbers = as_numbers(value_of(item, keyword), count)
            if numbers is not None:
                return numbers
        return None

    def frame_words(self, index: int, group: str, keyword: str) -> tuple[str, ...]:
        """The values of a code string in a frame's functional group; empty where there is none."""
        for item in self._groups(index, group):
            words = Header(item, "", "", True).words(keyword)
            if words:
                return words
        return ()

    def pixel_data(self) -> tuple[bytes, bool]:
        """The bytes of Pixel Data, and whether they are encapsulated (compressed)."""
        element: Any = self.dataset.get_item(Tag("PixelData"))
        value = bytes(element.value or b"")
        # A raw element knows its length; an encapsulated value has none (PS3.5 annex A.4).
        return value, getattr(element, "length", 0) == _UNDEFINED_LENGTH

    def _groups(self, index: int, group: str) -> list[Dataset]:
        found = []
        for keyword, item in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
            items = value_of(self.dataset, keyword)
            if items is not None and item < len(items):
                inner = value_of(items[item], group)
                if inner:
                    found.append(inner[0])
        return found


def parse_head(head: bytes) -> Header | None:
    """Parse the beginning of a DICOM file, up to its pixels.

    Args:
        head: the first bytes of the file.

    Returns:
        The elements before the pixels, and in place of the pixels an element without a value: `has` and
        `refuse_other_objects` answer as for the whole file. None where the beginning does not tell, because it ends
        before the pixels do begin, is deflated, or cannot be followed: then the whole file must be parsed.
    """
    reached: list[BaseTag] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag >= _FIRST_OF_PIXELS:
            reached.append(tag)
        return bool(reached)

    try:
        header = _parsed(head, 0, at_pixels)
    except Exception:
        return None  # pydicom raises anything where bytes end early
    if header.syntax == DEFLATED or not reached or reached[0].group != _FIRST_OF_PIXELS.group:
        return None
    header.dataset.add_new(reached[0], "OW", b"")
    return header


def parse(data: bytes, max_bytes: int) -> Header:
    """Parse a DICOM file.

    Args:
        data: the file.
        max_bytes: how large a deflated file may become.

    Raises:
        BadScan: where the file is cut off, or inflates to more than `max_bytes`.
        Exception: whatever pydicom raises for damaged bytes.
    """
    return _parsed(data, max_bytes, None)


def _parsed(data: bytes, max_bytes: int, stop_when: Callable[[BaseTag, str | None, int], bool] | None) -> Header:
    start = 132 if data[128:132] == b"DICM" else start_of_elements(data) or 0
    stream = BytesIO(data)
    stream.seek(start)
    meta = Dataset()
    if data[start : start + 2] == b"\x02\x00":
        implicit = not is_explicit(data, start)
        meta = read_dataset(stream, implicit, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    file_meta = Header(meta, "", "", True)
    syntax = file_meta.text("TransferSyntaxUID")
    start = stream.tell()
    if syntax == DEFLATED:
        stream, start = BytesIO(_inflated(data[start:], max_bytes)), 0
    head = stream.getvalue()[start : start + 6] if syntax == DEFLATED else data[start : start + 6]
    if len(head) < 6:
        raise BadScan("The DICOM file is cut off: no data element follows the file meta information.")
    # By content, whatever the syntax says: groups are small numbers, so the zero byte shows the order.
    little_endian = not (head[0] == 0 and head[1] != 0)
    dataset = read_dataset(stream, not is_explicit(head, 0), little_endian, stop_when=stop_when, specific_tags=_TAGS)
    if not dataset:
        raise BadScan("The DICOM file is cut off or damaged: its data elements cannot be followed.")
    return Header(dataset, syntax, file_meta.text("MediaStorageSOPClassUID"), little_endian)


def _inflated(deflated: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = decompressor.decompress(deflated, max_bytes)
    except zlib.error:
        raise BadScan("The DICOM file is damaged: its deflated data set cannot be inflated.") from None
    if decompressor.unconsumed_tail:
        raise BadScan(f"The deflated DICOM file inflates to more than {max_bytes // 2**20} MiB.")
    if not decompressor.eof:
        raise BadScan("The DICOM file is cut off: its deflated data set has no end.")
    return inflated


def value_of(dataset: Dataset, keyword: str) -> Any:
    """A value, or None where it is missing, empty or malformed."""
    try:
        value = dataset.get(keyword)
    except Exception:
        return None  # pydicom converts on access and raises anything for malformed values
    return None if value is None or value == "" else value


def as_numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers, or None."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        numbers = tuple(float(number) for number in (value if hasattr(value, "__iter__") else (value,)))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
