"""JPEG Lossless, ITU-T T.81 annex H: one frame with one component, Huffman coded.

In: a frame whose markers were examined. Out: uint16 samples, or `BadScan`. Written here because the only free decoder,
GDCM, fills what is missing or damaged with zeros and says so to nobody, and its own copy of zlib breaks Python's.

The walk from code to code cannot be vectorised, but the length of the code that would start at each bit can: a table
gives it for every bit of a chunk, and the walk becomes one addition a pixel (about 40 ms for 512 x 512).
"""

import re
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan

CHUNK_BYTES = 2**15  # bytes whose bits are looked up at once; bounds the memory
_NO_CODE = 255
_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)


@dataclass
class _Scan:
    """What the markers before the coded data say."""

    precision: int = 0
    rows: int = 0
    columns: int = 0
    predictor: int = 0
    restart_interval: int = 0
    table: int = 0
    tables: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = field(default_factory=dict)
    data_start: int = 0


def decode_jpeg_lossless(frame: bytes) -> NDArray[np.uint16]:
    """Decode a frame to uint16 (rows, columns).

    Raises:
        BadScan: where the stream is cut off, damaged, or holds more than its pixels.
    """
    scan = _markers(frame)
    if scan.table not in scan.tables or not 2 <= scan.precision <= 16 or not 1 <= scan.predictor <= 7:
        raise _damaged("its headers are incomplete")
    lengths, categories = scan.tables[scan.table]
    rows_each = scan.rows
    if scan.restart_interval:
        rows_each, rest = divmod(scan.restart_interval, scan.columns)
        if rest or not rows_each:
            raise BadScan("The JPEG Lossless stream restarts within a row, which is not read.")
    parts = _entropy_coded(frame, scan.data_start)
    if len(parts) != -(-scan.rows // rows_each):
        raise _damaged("parts are missing")
    image = np.empty((scan.rows, scan.columns), np.uint16)
    for index, part in enumerate(parts):
        rows = image[index * rows_each : (index + 1) * rows_each]
        differences = _differences(part, rows.size, lengths, categories).reshape(rows.shape)
        _predict(differences, scan.predictor, 1 << (scan.precision - 1), rows)
    return image


def _markers(frame: bytes) -> _Scan:
    scan, position = _Scan(), 2
    while True:
        while frame[position + 1] == 0xFF:  # fill bytes
            position += 1
        marker = frame[position + 1]
        (length,) = struct.unpack_from(">H", frame, position + 2)
        segment = frame[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xC3:
            scan.precision, scan.rows, scan.columns = struct.unpack_from(">BHH", segment)
        elif marker == 0xC4:
            _add_tables(segment, scan)
        elif marker == 0xDD:
            (scan.restart_interval,) = struct.unpack_from(">H", segment)
        elif marker == 0xDA:
            scan.table, scan.predictor = segment[2] >> 4, segment[3]
            if segment[5] & 0x0F:
                raise BadScan("The JPEG Lossless stream has a point transform: its values were made coarser.")
            scan.data_start = position
            return scan


def _add_tables(segment: bytes, scan: _Scan) -> None:
    """Annex C: counts of codes by length, then the categories in order of their codes."""
    while segment:
        counts, total = segment[1:17], sum(segment[1:17])
        values = segment[17 : 17 + total]
        if len(values) < total or any(category > 16 for category in values):
            raise _damaged("a Huffman table is wrong")
        lengths = np.full(65536, _NO_CODE, np.uint8)
        categories = np.zeros(65536, np.uint8)
        code = start = 0
        for length, count in enumerate(counts, start=1):
            for category in values[start : start + count]:
                first, last = code << (16 - length), (code + 1) << (16 - length)
                if last > 65536:
                    raise _damaged("a Huffman table is wrong")
                lengths[first:last], categories[first:last] = length, category
                code += 1
            start += count
            code <<= 1
        scan.tables[segment[0] & 0x0F] = lengths, categories
        segment = segment[17 + total :]


def _entropy_coded(frame: bytes, start: int) -> list[bytes]:
    """The coded data between restart markers, without stuffed zero bytes, up to the end of the image."""
    parts: list[bytes] = []
    for found in _MARKER.finditer(frame, start):
        parts.append(frame[start : found.start()].replace(b"\xff\x00", b"\xff"))
        marker, start = frame[found.end() - 1], found.end()
        if marker == 0xD9:
            return parts
        if marker != 0xD0 + (len(parts) - 1) % 8:
            raise _damaged("a marker stands within the pixels")
    raise BadScan("The compressed pixels are cut off: the stream in Pixel Data (7FE0,0010) has no end marker.")


def _differences(
    part: bytes, count: int, lengths: NDArray[np.uint8], categories: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Decode `count` differences from coded bytes: each a Huffman code for a category, then as many bits (H.1.2.2)."""
    steps = np.where(lengths == _NO_CODE, _NO_CODE, lengths + np.where(categories < 16, categories, 0)).astype(np.uint8)
    padded = np.frombuffer(part + bytes(16), np.uint8)
    decoded = np.empty(count, np.int32)
    done = bit = 0
    while done < count:
        first = bit // 8
        if first >= len(part):
            raise BadScan("The compressed pixels (jpeg-lossless) are cut off: they end before the last pixel.")
        window = padded[first : first + CHUNK_BYTES + 8].astype(np.uint64)
        # 40 bits from each byte on: enough for any code of up to 16 bits and its 15 bits after, from any of its bits.
        words = np.zeros(len(window) - 4, np.uint64)
        for byte in range(5):
            words |= window[byte : len(words) + byte] << np.uint64(32 - 8 * byte)
        shifts = np.arange(24, 16, -1, dtype=np.uint64)
        codes = ((words[:, None] >> shifts) & np.uint64(0xFFFF)).astype(np.uint16).ravel()
        step = steps[codes].tobytes()
        places: list[int] = []
        place, end = bit - 8 * first, 8 * min(CHUNK_BYTES, len(part) - first)
        left = count - done
        while place < end and len(places) < left:
            places.append(place)
            place += step[place]
        found = np.array(places, np.int64)
        code = codes[found]
        if np.any(lengths[code] == _NO_CODE):
            raise _damaged("it holds a code that its Huffman table lacks")
        decoded[done : done + len(found)] = _values(words, found + lengths[code], categories[code])
        done += len(found)
        bit = 8 * first + place
    if bit > 8 * len(part):
        raise BadScan("The compressed pixels (jpeg-lossless) are cut off: they end before the last pixel.")
    if 8 * len(part) - bit >= 16:
        raise _damaged("it holds more than its pixels")
    return decoded


def _values(words: NDArray[np.uint64], places: NDArray[np.int64], categories: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The difference that follows each code: `category` bits, whose first says the sign; 32768 for category 16."""
    size = np.where(categories < 16, categories, 0).astype(np.uint64)
    shift = np.uint64(40) - (places % 8).astype(np.uint64) - size
    bits = ((words[places // 8] >> shift) & ((np.uint64(1) << size) - np.uint64(1))).astype(np.int32)
    power = np.int32(1) << size.astype(np.int32)
    values = np.where(2 * bits < power, bits - power + 1, bits)
    return np.where(categories == 16, 32768, np.where(categories == 0, 0, values)).astype(np.int32)


def _predict(differences: NDArray[np.int32], predictor: int, start: int, out: NDArray[np.uint16]) -> None:
    """Add differences to predictions (table H.1), modulo 65536: a first row from its left, first pixels from above."""
    first = differences[0].astype(np.int64)
    first[0] += start
    out[0] = np.cumsum(first) & 0xFFFF
    for row in range(1, len(out)):
        above, added = out[row - 1].astype(np.int64), differences[row].astype(np.int64)
        out[row] = _predicted_row(above, added, predictor) & 0xFFFF


def _predicted_row(above: NDArray[np.int64], added: NDArray[np.int64], predictor: int) -> NDArray[np.int64]:
    added[0] += above[0]
    if predictor == 1:
        return np.cumsum(added)
    if predictor in (2, 3):
        added[1:] += above[1:] if predictor == 2 else above[:-1]
        return added
    if predictor in (4, 5):
        slope = np.diff(above)
        added[1:] += slope if predictor == 4 else slope >> 1
        return np.cumsum(added)
    left, row = int(added[0]) & 0xFFFF, added.tolist()
    up = above.tolist()
    for column in range(1, len(row)):
        half = up[column] + ((left - up[column - 1]) >> 1) if predictor == 6 else (left + up[column]) >> 1
        left = row[column] = (row[column] + half) & 0xFFFF
    return np.array(row, np.int64)


def _damaged(how: str) -> BadScan:
    return BadScan(f"The compressed pixels (jpeg-lossless) are damaged: {how}.")
