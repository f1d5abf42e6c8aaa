"""What some bytes are, by content and never by name.

In: the bytes of a file. Out: `dicom` or `picture`, or a refusal that says what they look like instead.
"""

import struct
import zlib
from typing import Literal

from hemoscope.errors import BadScan

Kind = Literal["dicom", "picture"]

READABLE = "DICOM (CT), PNG, JPEG, WebP, TIFF and BMP files can be read"

# The first bytes of what people drop by mistake. Offset, bytes, what it is and what to do.
_KNOWN_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a ZIP archive (or an Office document): unpack it and choose the slices"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive: unpack it and choose the slices"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it and choose the slices"),
    (257, b"ustar", "a tar archive: unpack it and choose the slices"),
    (0, b"%PDF", "a PDF document: export the slices as DICOM or PNG"),
    (0, b"GIF8", "a GIF picture: save it as PNG"),
    (4, b"ftypheic", "a HEIC photograph: a CT slice comes as DICOM or PNG"),
    (4, b"ftyp", "a video or HEIF file: a CT slice comes as DICOM or PNG"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture outside DICOM: save it as PNG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture outside DICOM: save it as PNG"),
    (0, b"NRRD0", "an NRRD volume: convert it to DICOM"),
)

# Value representations, PS3.5 section 6.2: what follows a tag where the syntax is explicit.
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def kind_of(data: bytes, name: str = "") -> Kind:
    """Say whether bytes are a DICOM file or a picture.

    Args:
        data: a whole file.
        name: the file's name, for the message only.

    Raises:
        BadScan: for anything else, and says what it looks like.
    """
    if not data:
        raise BadScan("The file is empty.")
    if data[128:132] == b"DICM":  # before TIFF: a file may be both (PS3.10 section 7.1), and the DICOM header says more
        return "dicom"
    if _is_picture(data):
        return "picture"
    if start_of_elements(data) is not None:
        return "dicom"
    raise BadScan(_refusal(data, name))


def is_explicit(data: bytes, start: int) -> bool:
    """Whether the data element at `start` names its value representation."""
    return data[start + 4 : start + 6] in _VRS


def start_of_elements(data: bytes) -> int | None:
    """Where the data elements of a DICOM file without preamble begin, or None where these are not DICOM.

    A program that strips the file meta information by a wrong length leaves the padding byte of its last value, so
    one stray byte in front is stepped over.
    """
    return next((start for start in (0, 1) if _looks_like_an_element(data, start)), None)


def _looks_like_an_element(data: bytes, start: int) -> bool:
    if len(data) < start + 16:
        return False
    for order in "<>":
        group, element = struct.unpack_from(order + "HH", data, start)
        if group in (0x0002, 0x0008) and element <= 0x2112:
            if is_explicit(data, start):
                return True
            (length,) = struct.unpack_from(order + "I", data, start + 4)
            if length % 2 == 0 and length <= 1024 and start + 8 + length < len(data):
                return True
    return False


def _is_picture(data: bytes) -> bool:
    return data.startswith(
        (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"BM")
    ) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _refusal(data: bytes, name: str) -> str:
    this = f"{name!r}" if name else "The file"
    for offset, magic, description in _KNOWN_OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return f"{this} is {description}. {READABLE}."
    if is_nifti(data):
        packed = "compressed " if is_gzip(data) else ""
        return f"{this} is a {packed}NIfTI volume, a whole study: `hemoscope read` reads it. {READABLE}."
    if is_gzip(data):
        return f"{this} is compressed with gzip: unpack it and choose the slices. {READABLE}."
    if _is_text(data[:4096]):
        return f"{this} is text, not an image. {READABLE}."
    return f"{this} is not a known kind of image: it starts with no DICOM or picture signature. {READABLE}."


def is_gzip(data: bytes) -> bool:
    return data[:2] == b"\x1f\x8b"


def is_nifti(data: bytes) -> bool:
    """Whether a file of these first bytes is a NIfTI volume, compressed with gzip or not."""
    head = _gunzipped_head(data) if is_gzip(data) else data
    # https://nifti.nimh.nih.gov/nifti-1 and nifti-2: the magic ends the header of 348 bytes, or follows its size of 540
    return head[344:348] in (b"n+1\x00", b"ni1\x00") or head[4:8] in (b"n+2\x00", b"ni2\x00")


def _gunzipped_head(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data[:65536], 352)
    except zlib.error:
        return b""


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character that the cut went through may be broken, nothing before it
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
