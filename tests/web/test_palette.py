"""The colours of the style sheet against WCAG 2.2: text 4.5 to 1 (1.4.3), what is not text 3 to 1 (1.4.11)."""

import re
from pathlib import Path

import pytest

from hemoscope.labels import COLOURS

STATIC = Path(__file__).parents[2] / "static"
STYLE = (STATIC / "hemoscope.css").read_text("utf-8")
GROUNDS = ("ground", "surface", "raised")
TEXTS = ("text", "muted", "link", "bleed", "doubt", "clear", "error")


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


ROOTS = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
SCREEN = tokens(ROOTS[0])
PRINT = SCREEN | tokens(ROOTS[1])


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_computed_as_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize("palette", [SCREEN, PRINT], ids=["screen", "print"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_can_be_read_on_every_ground(palette: dict[str, str], text: str, ground: str) -> None:
    assert contrast(palette[text], palette[ground]) >= 4.5


@pytest.mark.parametrize("palette", [SCREEN, PRINT], ids=["screen", "print"])
def test_text_on_an_action_can_be_read(palette: dict[str, str]) -> None:
    assert contrast(palette["on-action"], palette["action"]) >= 4.5


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("mark", ["edge", "focus", "action"])
def test_edges_of_controls_and_the_focus_stand_out(mark: str, ground: str) -> None:
    assert contrast(SCREEN[mark], SCREEN[ground]) >= 3


@pytest.mark.parametrize("name", COLOURS)
def test_bars_stand_out_from_the_ground_they_lie_on(name: str) -> None:
    colour = "#{:02x}{:02x}{:02x}".format(*COLOURS[name])
    assert contrast(colour, SCREEN["line"]) >= 3
    assert contrast(colour, SCREEN["surface"]) >= 3


def test_the_undecided_band_stands_out_from_its_bar() -> None:
    assert contrast(SCREEN["band"], SCREEN["line"]) >= 1.8  # its ends also stand in words beside it


@pytest.mark.parametrize("sheet", ["hemoscope.css", "history.css"])
def test_no_colour_is_used_past_the_tokens(sheet: str) -> None:
    """Black behind the slice is the one exception."""
    style = (STATIC / sheet).read_text("utf-8")
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s])", rules)) <= {"#000"}
    assert not re.findall(r"\b(?:rgb|hsl)a?\(", rules)
    assert set(re.findall(r"var\(--([\w-]+)\)", style)) <= set(SCREEN) | {"radius", "gap", "mask-opacity"}
