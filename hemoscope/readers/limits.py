"""How large a file may be: what is refused before any pixel is decoded.

In: sizes that a header states. Out: nothing, or `BadScan`. A few kilobytes can state gigabytes of pixels.
"""

from hemoscope.errors import BadScan

MAX_BYTES = 512 * 2**20  # of a file
MAX_PIXELS = 2**26  # of a scan: 256 slices of 512 x 512, 256 MiB as float32
MAX_FRAMES = 2048
MIN_SIDE = 16
MAX_SIDE = 8192


def refuse_absurd_size(frames: int, rows: int, columns: int, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse images that are too small to show anything or too large to hold.

    Raises:
        BadScan: names the size and the limit.
    """
    if not (MIN_SIDE <= rows <= MAX_SIDE and MIN_SIDE <= columns <= MAX_SIDE):
        raise BadScan(f"The image has {rows} rows and {columns} columns: {MIN_SIDE} to {MAX_SIDE} of each are read.")
    if not 1 <= frames <= MAX_FRAMES:
        raise BadScan(f"The file states {frames} images: 1 to {MAX_FRAMES} are read.")
    if frames * rows * columns > max_pixels:
        raise BadScan(f"{frames} images of {rows} x {columns} are more than the {max_pixels} pixels that are read.")
