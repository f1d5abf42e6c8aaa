"""A border of one grey round a picture: the page or the viewer that it was taken from, no tissue.

In: a picture's grey. Out: the same with the border black, which is air. A grey border is as bright as brain or blood:
the head would be looked for in it (docs/experiments.md).
"""

import numpy as np
from numpy.typing import NDArray

DARK = 0.1  # of white: darker is air or nearly so
ALIKE = 0.03  # grey that differs by less is one grey; JPEG's noise stays below
ALIKE_SHARE = 0.9  # of a line's pixels, so that a few letters do not hide a border
NARROWEST = 2  # lines
SOFT_LINES = 2  # between border and picture, where it was scaled or compressed
AIR_SHARE = 0.5  # of the edge of what is framed: round a head there is air
WIDEST = 0.45  # of a side: more than that is no border


def without_border(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Take a border for air.

    Args:
        grey: float32 (rows, columns), 0..1.

    Returns:
        the picture, and whether there was a border on any side; without one the array itself.
    """
    sides = [_border_lines(side) for side in (grey, grey[::-1], grey.T, grey.T[::-1])]
    if not any(sides):
        return grey, False
    top, bottom, left, right = sides
    rows, columns = grey.shape
    inside = slice(top, rows - bottom), slice(left, columns - right)
    framed = grey[inside]
    edge = np.concatenate([framed[0], framed[-1], framed[:, 0], framed[:, -1]])
    if np.mean(edge < DARK) < AIR_SHARE:
        return grey, False
    inner = np.zeros_like(grey)
    inner[inside] = framed
    return inner, True


def _border_lines(side: NDArray[np.float32]) -> int:
    """How many lines from the first on are of the border; 0 where there is none."""
    border = float(np.median(side[0]))
    if border < DARK:
        return 0
    for number, line in enumerate(side[: int(WIDEST * len(side))]):
        if np.mean(np.abs(line - border) <= ALIKE) < ALIKE_SHARE:
            return number + SOFT_LINES if number >= NARROWEST else 0
    return 0
