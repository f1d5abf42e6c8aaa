"""One A4 page that text cannot overflow: fonts, cut lines, pictures with lines over them.

In: texts, tables and pictures, with places in points from the page's upper left corner. Out: PDF bytes, the same for
the same input.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

from hemoscope.measuring.values import PlacePx
from hemoscope.render import Picture

WIDTH, HEIGHT = 595.28, 841.89  # A4, 210 x 297 mm
MARGIN = 42.0
INNER = WIDTH - 2 * MARGIN
REGULAR, BOLD = "Roboto", "RobotoMedium"
BLACK, GREY, PALE = 0.0, 0.35, 0.75
REPLACED = "?"  # for letters that the font does not have


class Page:
    """A page that is drawn on; places are (left, top), top growing downwards."""

    def __init__(self, title: str) -> None:
        from reportlab import rl_config
        from reportlab.pdfgen.canvas import Canvas

        # Pictures as bytes, not as ASCII letters: smaller and quicker. It is a setting of the whole library.
        rl_config.useA85 = 0

        _register()
        self._buffer = BytesIO()
        self._canvas: Any = Canvas(self._buffer, pagesize=(WIDTH, HEIGHT), invariant=1, lang="en")
        self._canvas.setTitle(title)
        self._canvas.setCreator("Hemoscope")
        self.replaced = False

    def text(
        self,
        left: float,
        top: float,
        text: str,
        width: float,
        size: float = 8.5,
        *,
        bold: bool = False,
        grey: float = BLACK,
        right: bool = False,
    ) -> None:
        """Write one line, cut with an ellipsis where it is wider than `width`; `top` is its baseline."""
        shown = self._cut(self._known(text), width, BOLD if bold else REGULAR, size)
        self._canvas.setFont(BOLD if bold else REGULAR, size)
        self._canvas.setFillGray(grey)
        draw = self._canvas.drawRightString if right else self._canvas.drawString
        draw(left + width if right else left, HEIGHT - top, shown)

    def lines(self, left: float, top: float, text: str, width: float, at_most: int, size: float = 8) -> int:
        """Write a paragraph in at most so many lines, the last one cut; gives how many there were."""
        broken = self._broken(self._known(text), width, size)
        kept = broken[:at_most]
        if len(broken) > at_most:
            kept[-1] = " ".join(broken[at_most - 1 :])
        for number, line in enumerate(kept):
            self.text(left, top + number * size * 1.25, line, width, size)
        return len(kept)

    def rule(self, top: float, left: float = MARGIN, width: float = INNER, grey: float = PALE) -> None:
        """A thin horizontal line."""
        self._canvas.setStrokeGray(grey)
        self._canvas.setLineWidth(0.5)
        self._canvas.line(left, HEIGHT - top, left + width, HEIGHT - top)

    def picture(self, left: float, top: float, width: float, height: float, picture: Picture) -> None:
        """Draw an RGB picture, stretched to the box."""
        from PIL import Image
        from reportlab.lib.utils import ImageReader

        image = ImageReader(Image.fromarray(picture))
        self._canvas.drawImage(image, left, HEIGHT - top - height, width, height)

    def path(self, places: Sequence[PlacePx], *, dashed: bool) -> None:
        """A white line with a dark edge through (left, top) places."""
        path = self._canvas.beginPath()
        path.moveTo(places[0][0], HEIGHT - places[0][1])
        for left, top in places[1:]:
            path.lineTo(left, HEIGHT - top)
        for grey, width in ((0.0, 2.0), (1.0, 0.9)):
            self._canvas.setStrokeGray(grey)
            self._canvas.setLineWidth(width)
            self._canvas.setDash([3, 2] if dashed else [])
            self._canvas.drawPath(path)
        self._canvas.setDash([])

    def bytes(self) -> bytes:
        """End the page and the file."""
        self._canvas.showPage()
        self._canvas.save()
        return self._buffer.getvalue()

    def _known(self, text: str) -> str:
        letters = _letters()
        kept = "".join(one if ord(one) in letters else REPLACED for one in " ".join(text.split()))
        self.replaced = self.replaced or kept != " ".join(text.split())
        return kept

    def _cut(self, text: str, width: float, font: str, size: float) -> str:
        text = text[: int(width)]  # no letter is narrower than a point; a name of a megabyte is not measured
        if self._canvas.stringWidth(text, font, size) <= width:
            return text
        while text and self._canvas.stringWidth(text + "…", font, size) > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def _broken(self, text: str, width: float, size: float) -> list[str]:
        lines = [""]
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self._canvas.stringWidth(longer, REGULAR, size) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


def _register() -> None:
    from font_roboto import font_files
    from reportlab.pdfbase.pdfmetrics import getRegisteredFontNames, registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    for name in (REGULAR, BOLD):
        if name not in getRegisteredFontNames():
            registerFont(TTFont(name, font_files[name]))


@cache
def _letters() -> frozenset[int]:
    """Unicode of all letters that both fonts have."""
    from reportlab.pdfbase.pdfmetrics import getFont

    return frozenset(getFont(REGULAR).face.charToGlyph) & frozenset(getFont(BOLD).face.charToGlyph)
