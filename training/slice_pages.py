"""Pages that show slices of patients: what they warn of, how they look, and a slice with its caption.

In: pictures and lines of text. Out: HTML that needs no other file.
"""

import base64
import html
from collections.abc import Sequence

import cv2

from hemoscope import render

LONGEST_SIDE_PX = 384  # of a slice
STYLE = ".slices{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}figure{margin:0}"
WARNING = (
    "Research use, not a medical device. This page shows slices of patients: never publish it or pass it on. Faces can "
    "be recognised, and the licences of the data do not allow it."
)


def small_png(picture: render.Picture, longest_px: int = LONGEST_SIDE_PX) -> bytes:
    """The picture as PNG, no side of it longer than that."""
    scale = min(1.0, longest_px / max(picture.shape))
    return render.png(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def figure(png: bytes, lines: Sequence[str]) -> str:
    """A picture with its caption; the first line stands in for it where it cannot be seen."""
    caption = "<br>".join(html.escape(line) for line in lines)
    return (
        f"<figure><img src='data:image/png;base64,{base64.b64encode(png).decode()}' "
        f"alt='{html.escape(lines[0], quote=True)}'><figcaption>{caption}</figcaption></figure>"
    )
