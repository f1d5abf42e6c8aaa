"""PNG, JPEG, WebP, TIFF and BMP -> an uncalibrated `Scan`.

In: the bytes of a picture of a CT slice, and the window that it was drawn in. Out: a `Scan` with
`hu = lowest + grey / largest grey * width`; or `BadScan` with a sentence that names the property.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hemoscope.errors import BadScan
from hemoscope.readers.border import without_border
from hemoscope.readers.limits import MAX_FRAMES, MAX_PIXELS, refuse_absurd_size
from hemoscope.readers.quiet import quiet
from hemoscope.scan import Scan, Window

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_GREY_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_SPREAD = 24  # of red, green and blue in one pixel, 0..255: JPEG's rounding of chroma stays below
_COLOURED = 0.001  # of the pixels may be coloured more
_FEW_VALUES = 4  # a mask, a drawing or nothing
_LARGEST_16_BIT = 65535
_DIM = 8192  # of 65535: a window has its white above it, 12-bit values and HU + 1024 end at 4095
_WHITE_IS_ZERO = 0  # TIFF tag 262, PhotometricInterpretation


def read_picture(data: bytes, window: Window, max_pixels: int = MAX_PIXELS) -> Scan:
    """Read a picture; the pages of a TIFF become slices in their order.

    Args:
        data: the file.
        window: level and width that the picture was drawn in.
        max_pixels: refuse more pixels than this, before decoding.

    Raises:
        BadScan: for damaged, coloured, animated, black-and-white or floating point pictures, absurd sizes, and 16-bit
            pictures that hold fewer bits.
    """
    with quiet():
        try:
            pages, notes = _pages(data, max_pixels)
        except BadScan:
            raise
        except Image.DecompressionBombError:
            raise BadScan(f"The picture states more than the {max_pixels} pixels that are read.") from None
        except Exception:
            # Pillow raises anything for damaged bytes.
            raise BadScan("The picture is damaged or cut off: it cannot be decoded.") from None
    unit, bordered = np.stack(pages), False
    for index, page in enumerate(unit):
        unit[index], found = without_border(page)
        bordered |= found
    hu = unit * np.float32(window.width) + np.float32(window.lowest_hu)
    drawn = f"The file is a picture: its grey values were read as the window {window} HU, and what lay outside is lost."
    if bordered:
        notes.append("The picture has a border of one grey, which was taken for air.")
    return Scan(hu=hu, calibrated=False, window=window, notes=(drawn, *notes))


def _pages(data: bytes, max_pixels: int) -> tuple[list[NDArray[np.float32]], list[str]]:
    with Image.open(BytesIO(data), formats=_FORMATS) as picture:
        count = count_images(picture)
        picture.seek(0)
        columns, rows = picture.size
        refuse_absurd_size(count, rows, columns, max_pixels)
        if count > 1 and picture.format != "TIFF":
            raise BadScan(f"The {picture.format} picture is animated, with {count} frames: a CT slice does not move.")
        pages, brightest = [], []
        for index in range(count):
            picture.seek(index)
            if picture.size != (columns, rows):
                raise BadScan(f"Page {index + 1} of the TIFF differs from page 1 in size: the pages are no stack.")
            pages.append(_unit_grey(picture))
            if picture.mode in _GREY_16_BIT:
                brightest.append(int(np.asarray(picture).max()))
        if len({page.shape for page in pages}) > 1:
            raise BadScan("The pages of the TIFF are turned differently: they are no stack.")
        _refuse_fewer_bits(brightest)
        lossy = picture.format == "JPEG" or picture.info.get("compression") == "jpeg"
    return pages, ["JPEG compression is lossy: it can blur or hide small and faint bleeds."] if lossy else []


def count_images(picture: Image.Image) -> int:
    """How many images a file holds. Asked for all of them, Pillow takes seconds for a TIFF of some ten thousand pages.

    Raises:
        BadScan: for a TIFF with more than are read, without counting on.
    """
    if picture.format != "TIFF":
        return int(getattr(picture, "n_frames", 1))
    for index in range(1, MAX_FRAMES + 1):
        try:
            picture.seek(index)
        except EOFError:
            return index
    raise BadScan(f"The TIFF has more than {MAX_FRAMES} pages: 1 to {MAX_FRAMES} are read.")


def _refuse_fewer_bits(brightest: list[int]) -> None:
    """Refuse 12-bit values in 16 bits: read as a window over all 16 bits they would be nearly black, and no blood.

    Args:
        brightest: the largest stored value of each 16-bit page; pages without a head may be dark.
    """
    if brightest and max(brightest) < _DIM:
        raise BadScan(
            f"The picture has 16 bits and nothing brighter than {max(brightest)} of {_LARGEST_16_BIT}: these look like "
            "12-bit values, not a window. Save it windowed to the full range, or choose the DICOM file."
        )


def _unit_grey(picture: Image.Image) -> NDArray[np.float32]:
    """One page as float32 (rows, columns) in 0..1, upright as its EXIF orientation says."""
    picture.load()
    if picture.mode == "1":
        raise BadScan("The picture has only black and white, without grey values.")
    if picture.mode == "F":
        raise BadScan("The picture has floating point values: 8 and 16 bit pictures are read.")
    wide = picture.mode in _GREY_16_BIT
    grey = _grey_16_bit(picture) if wide else _grey_8_bit(picture)
    values = np.unique(grey[::7, ::7])
    if len(values) <= _FEW_VALUES and len(np.unique(grey)) <= _FEW_VALUES:
        raise BadScan(
            f"The picture holds at most {_FEW_VALUES} different grey values: this is a mask or an empty image."
        )
    return grey.astype(np.float32) / np.float32(_LARGEST_16_BIT if wide else 255)


def _grey_16_bit(picture: Image.Image) -> NDArray[np.uint16]:
    grey = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int32)
    if grey.min() < 0 or grey.max() > _LARGEST_16_BIT:
        raise BadScan("The picture has values outside 0 to 65535: 8 and 16 bit pictures are read.")
    if getattr(picture, "tag_v2", {}).get(262) == _WHITE_IS_ZERO:
        grey = _LARGEST_16_BIT - grey
    return grey.astype(np.uint16)


def _grey_8_bit(picture: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(picture)
    transparent = upright.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in upright.info
    if upright.mode == "L" and not transparent:
        return np.asarray(upright, np.uint8)
    channels = np.asarray(upright.convert("RGBA" if transparent else "RGB"))
    # Channel by channel: along an axis of three numpy takes eight times as long.
    red, green, blue = (channels[..., place].astype(np.int16) for place in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    shown = channels[..., 3] if transparent else np.uint8(255)
    coloured = float(np.mean((spread > _SPREAD) & (shown > 0)))
    if coloured > _COLOURED:
        raise BadScan(
            f"The picture has colours: in {100 * coloured:.1f} % of its pixels red, green and blue differ. A CT slice "
            "is grey; save it without marks and colour maps."
        )
    # Transparent pixels are shown on black, which is air.
    grey = np.rint((red + green + blue) / 3 * (shown / 255.0))
    return np.asarray(grey, np.uint8)
