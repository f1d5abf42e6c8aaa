"""How many pixels this server reads, told before a file is decoded and in words that a person can act on.

In: the bytes of a file. Out: nothing, or `BadScan`. A file whose size cannot be read here passes: the readers, which
hold the same limit, say what is wrong with it.
"""

from io import BytesIO

from hemoscope.errors import BadScan
from web.settings import PLAIN_PX, PLAIN_SIDE, Settings


def refuse_too_many_pixels(data: bytes, settings: Settings) -> None:
    """Refuse a file with a slice, or with slices together, of more pixels than the settings allow.

    Raises:
        BadScan: says how many slices and pixels came and how many are read.
    """
    slices, rows, columns = _size_of(data)
    of_a_slice, of_all = rows * columns, slices * rows * columns
    if of_a_slice > settings.max_slice_pixels:
        side = int(settings.max_slice_pixels**0.5)
        raise BadScan(
            f"A slice has {columns} x {rows} pixels, {_millions(of_a_slice)}. This server reads up to "
            f"{_millions(settings.max_slice_pixels)} a slice, for example {side} x {side}: make the picture smaller."
        )
    if of_all > settings.max_pixels:
        raise BadScan(
            f"The file has {slices} slices of {columns} x {rows} pixels, {_millions(of_all)} together. This server "
            f"reads up to {_millions(settings.max_pixels)} of a file, for example {settings.max_pixels // PLAIN_PX} "
            f"slices of {PLAIN_SIDE} x {PLAIN_SIDE}: send fewer slices in a file."
        )


def _size_of(data: bytes) -> tuple[int, int, int]:
    """Slices, rows and columns as the header states them; zeros where it cannot be read."""
    from hemoscope.readers.kinds import kind_of
    from hemoscope.readers.quiet import quiet

    with quiet():
        try:
            return _dicom_size(data) if kind_of(data) == "dicom" else _picture_size(data)
        except Exception:  # of damaged bytes pydicom and Pillow raise anything; the readers tell of it
            return 0, 0, 0


def _dicom_size(data: bytes) -> tuple[int, int, int]:
    from hemoscope.readers.elements import parse

    header = parse(data, len(data))
    return header.integer("NumberOfFrames") or 1, header.integer("Rows") or 0, header.integer("Columns") or 0


def _picture_size(data: bytes) -> tuple[int, int, int]:
    from PIL import Image

    from hemoscope.readers.picture import count_images

    with Image.open(BytesIO(data)) as picture:
        columns, rows = picture.size
        return count_images(picture), rows, columns


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:.1f} million" if pixels >= 1e6 else f"{pixels:,}"
