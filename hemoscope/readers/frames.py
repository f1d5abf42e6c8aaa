"""Stored pixels: from Pixel Data to 16-bit words, frame by frame.

In: a parsed DICOM header with its raw Pixel Data. Out: one `Frame` an image, as stored, before rescaling. Nothing is
padded, cropped or guessed: what does not fit the header is refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.readers.codestream import Codestream, examine
from hemoscope.readers.jpeg_lossless import decode_jpeg_lossless
from hemoscope.readers.rle import decode_rle

_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True)
class Layout:
    """How pixels are stored: PS3.3 C.7.6.3 and PS3.5 section 8.

    Attributes:
        frames, rows, columns: the size of Pixel Data.
        bits_stored, high_bit, signed: where a sample lies within its 16-bit word.
        little_endian: the order of bytes of uncompressed words.
    """

    frames: int
    rows: int
    columns: int
    bits_stored: int
    high_bit: int
    signed: bool
    little_endian: bool


@dataclass(frozen=True)
class Frame:
    """One image as stored.

    Attributes:
        words: uint16 (rows, columns), as they lay in the file, junk in unused bits included.
        values: int16 or uint16 (rows, columns), the samples that the words hold.
        lossy: whether the stream is lossy.
        sign_from_stream: whether the JPEG 2000 stream says signed and the header unsigned.
    """

    words: NDArray[np.uint16]
    values: NDArray[np.int16] | NDArray[np.uint16]
    lossy: bool = False
    sign_from_stream: bool = False


def native_frames(pixel_data: bytes, layout: Layout) -> Iterator[Frame]:
    """Frames of uncompressed Pixel Data.

    Raises:
        BadScan: where there are fewer bytes than the header says, or at least a row too many.
    """
    pixels = layout.rows * layout.columns
    needed = layout.frames * pixels * 2
    size = f"{layout.frames} x {layout.rows} x {layout.columns} pixels of 16 bits"
    if len(pixel_data) < needed:
        raise BadScan(f"Pixel Data (7FE0,0010) is cut off: {size} need {needed} bytes, it has {len(pixel_data)}.")
    if len(pixel_data) >= needed + 2 * layout.columns:
        raise BadScan(f"Pixel Data (7FE0,0010) does not fit: {size} need {needed} bytes, it has {len(pixel_data)}.")
    stored = np.frombuffer(pixel_data, "<u2" if layout.little_endian else ">u2", layout.frames * pixels)
    for index in range(layout.frames):
        words = stored[index * pixels : (index + 1) * pixels].reshape(layout.rows, layout.columns)
        words = words.astype(np.uint16, copy=False)
        yield Frame(words, samples(words, layout.bits_stored, layout.high_bit, layout.signed))


def compressed_frames(pixel_data: bytes, layout: Layout) -> Iterator[Frame]:
    """Frames of encapsulated Pixel Data (PS3.5 annex A.4), whichever codec each stream is.

    Raises:
        BadScan: where the fragments or a stream are damaged, or a stream is not as large as the header says.
    """
    for stream in [examine(frame) for frame in _encapsulated(pixel_data, layout.frames)]:
        if stream.codec != "rle" and (stream.rows, stream.columns) != (layout.rows, layout.columns):
            raise BadScan(
                f"The compressed pixels are {stream.rows} x {stream.columns}, but Rows (0028,0010) and "
                f"Columns (0028,0011) are {layout.rows} x {layout.columns}."
            )
        if stream.codec == "jpeg":
            raise BadScan(
                "Pixel Data (7FE0,0010) is compressed with lossy JPEG, which is not read: export the study "
                "uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."
            )
        yield _decoded(stream, layout)


def samples(
    words: NDArray[np.uint16], bits_stored: int, high_bit: int, signed: bool
) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Take samples out of words: junk above the high bit and below the sample is dropped, the sign is extended."""
    if bits_stored == 16:
        return words.view(np.int16) if signed else words
    left, right = np.uint16(15 - high_bit), 16 - bits_stored
    aligned = words << left
    if signed:
        return aligned.view(np.int16) >> np.int16(right)
    return aligned >> np.uint16(right)


def _encapsulated(pixel_data: bytes, frames: int) -> list[bytes]:
    table, fragments, starts = _fragments(pixel_data)
    if frames == 1 and fragments:
        return [b"".join(fragments)]
    if len(fragments) == frames:
        return fragments
    if len(table) != frames or not set(table) <= set(starts):
        raise BadScan(f"Pixel Data (7FE0,0010) has {len(fragments)} fragments for {frames} frames and no offset table.")
    firsts = [starts.index(offset) for offset in table]
    return [b"".join(fragments[i:j]) for i, j in zip(firsts, [*firsts[1:], len(fragments)], strict=True)]


def _fragments(pixel_data: bytes) -> tuple[list[int], list[bytes], list[int]]:
    """The basic offset table, the fragments, and where each starts from the end of the table."""
    items: list[bytes] = []
    starts: list[int] = []
    position = 0
    while position + 8 <= len(pixel_data) and pixel_data[position : position + 4] == _ITEM:
        (length,) = struct.unpack_from("<I", pixel_data, position + 4)
        if position + 8 + length > len(pixel_data):
            raise BadScan("Pixel Data (7FE0,0010) is cut off within a fragment.")
        starts.append(position)
        items.append(pixel_data[position + 8 : position + 8 + length])
        position += 8 + length
    if not items or any(pixel_data[position:]):
        raise BadScan("Pixel Data (7FE0,0010) is damaged: its fragments cannot be followed.")
    table = [int(offset) for offset in np.frombuffer(items[0][: len(items[0]) // 4 * 4], "<u4")]
    return table, items[1:], [start - starts[1] for start in starts[1:]] if len(starts) > 1 else []


def _decoded(stream: Codestream, layout: Layout) -> Frame:
    try:
        buffer = _decode(stream, layout)
    except BadScan:
        raise
    except Exception:
        # The decoders raise anything, with words that help nobody who sent a damaged file.
        raise BadScan(f"The compressed pixels ({stream.codec}) are damaged: they cannot be decoded.") from None
    width = 1 if stream.codec in ("jpeg-ls", "jpeg-2000") and stream.precision <= 8 else 2
    if len(buffer) != layout.rows * layout.columns * width or stream.precision > 16:
        raise BadScan(
            f"The compressed pixels ({stream.codec}) are damaged or not of 16 bits: they give {len(buffer)} bytes for "
            f"{layout.rows} x {layout.columns} pixels."
        )
    words = np.frombuffer(buffer, np.uint8 if width == 1 else "<u2").astype(np.uint16, copy=False)
    words = words.reshape(layout.rows, layout.columns)
    if stream.signed:  # already sign-extended by the decoder
        signed8 = words.astype(np.uint8).view(np.int8).astype(np.int16).view(np.uint16) if width == 1 else words
        return Frame(signed8, signed8.view(np.int16), stream.lossy, sign_from_stream=not layout.signed)
    if stream.codec == "rle":
        return Frame(words, samples(words, layout.bits_stored, layout.high_bit, layout.signed))
    bits = min(stream.precision, layout.bits_stored)
    return Frame(words, samples(words, bits, bits - 1, layout.signed), stream.lossy)


def _decode(stream: Codestream, layout: Layout) -> Any:
    # Imported where a file needs them: together they take longer to load than most answers take.
    if stream.codec == "rle":
        return decode_rle(stream.data, layout.rows * layout.columns)
    if stream.codec == "jpeg-2000":
        import openjpeg.utils

        return openjpeg.utils.decode_pixel_data(stream.data, version=2)
    if stream.codec == "jpeg-ls":
        import jpeg_ls  # type: ignore[import-untyped]

        return jpeg_ls.decode_pixel_data(stream.data)[0]
    return decode_jpeg_lossless(stream.data).tobytes()
