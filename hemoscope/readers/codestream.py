"""What a compressed frame says about itself, read before any decoder sees it.

In: the bytes of one frame from encapsulated Pixel Data. Out: its size, precision and kind, or a refusal. A decoder
trusts these numbers with its memory, so they are compared with the DICOM header first.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from hemoscope.errors import BadScan

Codec = Literal["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "rle"]

MAX_TILES = 4096
MAX_LAYERS = 256  # OpenJPEG keeps room for every layer of every code block; real files have 1 to 20

_J2K_START = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000; none of the three can hold it inside its coded data


@dataclass(frozen=True)
class Codestream:
    """One compressed frame.

    Attributes:
        codec: which decoder it needs.
        data: the bytes for that decoder.
        rows, columns, precision: as the stream states them; 0 for RLE, which states none.
        signed: whether the stream says that its samples are signed (JPEG 2000 only).
        lossy: whether values were changed by compressing.
    """

    codec: Codec
    data: bytes
    rows: int = 0
    columns: int = 0
    precision: int = 0
    signed: bool = False
    lossy: bool = False


def examine(frame: bytes) -> Codestream:
    """Read the headers of one compressed frame.

    Args:
        frame: all fragments of one frame, joined.

    Raises:
        BadScan: where it is no known codestream, is cut off, has several components, or would need absurd memory.
    """
    try:
        if frame[:2] == b"\xff\xd8":
            return _examine_jpeg(frame)
        start = frame.find(_J2K_START, 0, 65536)
        # A JP2 file header in front of the codestream breaks PS3.5 A.4.4, but some devices write it.
        if start == 0 or (start > 0 and frame[4:8] == b"jP  "):
            return _examine_jpeg_2000(frame[start:])
        return _examine_rle(frame)
    except (struct.error, IndexError):
        raise BadScan("The compressed pixels are cut off within their header.") from None


def _examine_jpeg(frame: bytes) -> Codestream:
    """Markers of ITU-T T.81 table B.1 and T.87 annex C: find the frame header, then the scan header."""
    position, stream = 2, None
    while position < len(frame):
        if frame[position] != 0xFF:
            break
        marker = frame[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", frame, position + 2)
        if length < 2:
            break
        segment = frame[position + 4 : position + 2 + length]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            stream = _frame_header(frame, marker, segment)
        elif marker == 0xDA and stream is not None:
            _require_end(frame, position)
            near = segment[3] if stream.codec == "jpeg-ls" else 0
            return stream if near == 0 else Codestream(**(vars(stream) | {"lossy": True}))
        position += 2 + length
    raise BadScan("The compressed pixels are damaged: the JPEG stream has no frame and scan header.")


def _frame_header(frame: bytes, marker: int, segment: bytes) -> Codestream:
    precision, rows, columns, components = struct.unpack_from(">BHHB", segment)
    if components != 1:
        raise BadScan(f"The JPEG stream in Pixel Data (7FE0,0010) has {components} components, a CT slice has 1.")
    codec: Codec = "jpeg-ls" if marker == 0xF7 else "jpeg-lossless" if marker == 0xC3 else "jpeg"
    return Codestream(codec, frame, rows, columns, precision, lossy=codec == "jpeg")


def _examine_jpeg_2000(frame: bytes) -> Codestream:
    """SIZ and COD of ITU-T T.800 A.5.1 and A.6.1."""
    x1, y1, x0, y0, tile_width, tile_height, _, _, components = struct.unpack_from(">8IH", frame, 8)
    depth, step_x, step_y = frame[42], frame[43], frame[44]
    if components != 1 or (step_x, step_y) != (1, 1):
        raise BadScan(f"The JPEG 2000 stream in Pixel Data (7FE0,0010) has {components} components, a CT slice has 1.")
    if x1 <= x0 or y1 <= y0 or 0 in (tile_width, tile_height):
        raise BadScan("The compressed pixels are damaged: the JPEG 2000 stream states no size.")
    tiles = -(-x1 // tile_width) * -(-y1 // tile_height)
    if tiles > MAX_TILES:
        raise BadScan(f"The JPEG 2000 stream has {tiles} tiles, at most {MAX_TILES} are read.")
    position, lossy = 2, False
    while frame[position : position + 2] != b"\xff\x90":  # start of the first tile part
        marker, length = struct.unpack_from(">HH", frame, position)
        if marker < 0xFF4F or length < 2:
            raise BadScan("The compressed pixels are damaged: the JPEG 2000 main header cannot be followed.")
        if marker == 0xFF52:
            (layers,) = struct.unpack_from(">H", frame, position + 6)
            if layers > MAX_LAYERS:
                raise BadScan(f"The JPEG 2000 stream has {layers} layers, at most {MAX_LAYERS} are read.")
            lossy = frame[position + 13] == 0  # the 9-7 irreversible wavelet
        position += 2 + length
    _require_whole_tiles(frame, position, tiles)
    return Codestream("jpeg-2000", frame, y1 - y0, x1 - x0, (depth & 0x7F) + 1, bool(depth & 0x80), lossy)


def _examine_rle(frame: bytes) -> Codestream:
    """The header of PS3.5 annex G.5: the number of segments and the offset of each."""
    count, *offsets = struct.unpack_from("<16I", frame)
    if not 1 <= count <= 15 or offsets[0] != 64:
        raise BadScan("The compressed pixels are no known stream: neither JPEG, JPEG-LS, JPEG 2000 nor RLE.")
    if count != 2:
        raise BadScan(f"The RLE frame in Pixel Data (7FE0,0010) has {count} segments, 16-bit grey pixels have 2.")
    if not 64 < offsets[1] < len(frame):
        raise BadScan("The compressed pixels are cut off: an RLE segment starts after the frame's end.")
    return Codestream("rle", frame)


def _require_whole_tiles(frame: bytes, position: int, tiles: int) -> None:
    """Follow the tile parts (A.4.2) to the end marker: OpenJPEG fills what is missing without a word."""
    found = set()
    while frame[position : position + 2] == b"\xff\x90":
        number, length = struct.unpack_from(">HI", frame, position + 4)
        found.add(number)
        if length == 0:  # the last part may leave it open
            position = frame.find(_END, position)
        elif length < 14:
            break
        else:
            position += length
    if position < 0 or frame[position : position + 2] != _END:
        raise BadScan("The compressed pixels are cut off: the tile parts of the JPEG 2000 stream do not add up.")
    if len(found) != tiles:
        raise BadScan(f"The compressed pixels are damaged: {len(found)} of the {tiles} tiles of JPEG 2000 are there.")


def _require_end(frame: bytes, position: int) -> None:
    if frame.find(_END, position) < 0:
        raise BadScan("The compressed pixels are cut off: the stream in Pixel Data (7FE0,0010) has no end marker.")
