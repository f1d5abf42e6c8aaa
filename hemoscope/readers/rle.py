"""RLE Lossless, PS3.5 annex G: one frame of 16-bit words.

In: a frame whose header was examined. Out: little endian words, or `BadScan`. Written here because the compiled decoder
of pylibjpeg panics on damaged runs, with an exception that `except Exception` does not catch.
"""

import struct

import numpy as np

from hemoscope.errors import BadScan


def decode_rle(frame: bytes, pixels: int) -> bytes:
    """Decode the two byte planes of a frame.

    Args:
        frame: the header of 64 bytes and two segments, the high bytes first.
        pixels: rows times columns.

    Returns:
        2 * pixels bytes, little endian.

    Raises:
        BadScan: where a segment holds more or fewer bytes than there are pixels.
    """
    second = struct.unpack_from("<I", frame, 8)[0]
    words = np.empty((pixels, 2), np.uint8)
    words[:, 1] = np.frombuffer(_unpacked(frame[64:second], pixels), np.uint8)
    words[:, 0] = np.frombuffer(_unpacked(frame[second:], pixels), np.uint8)
    return words.tobytes()


def _unpacked(segment: bytes, size: int) -> bytes:
    """PackBits, annex G.3.2: a signed count, then that many bytes or one byte to repeat."""
    pieces, position, length = [], 0, 0
    while length < size:
        if position + 1 >= len(segment):
            raise BadScan("The compressed pixels (RLE) are cut off: a segment ends before its last pixel.")
        count = segment[position]
        if count < 128:
            piece = segment[position + 1 : position + 2 + count]
            position += 2 + count
        else:
            piece = segment[position + 1 : position + 2] * (257 - count) if count > 128 else b""
            position += 2 if count > 128 else 1
        pieces.append(piece)
        length += len(piece)
    if length > size or position > len(segment):
        raise BadScan("The compressed pixels (RLE) are damaged: a segment does not end at the last pixel.")
    return b"".join(pieces)
