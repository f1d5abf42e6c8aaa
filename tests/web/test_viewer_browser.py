"""The viewer of a study in a real browser: mouse, keys, a phone, and what happens when a slice does not come."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask, Response, abort, request
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hemoscope.phantom import make_phantom
from tests.web.browsing import NEEDS_CHROMIUM, one, resize, wait
from web.engine import Engine
from web.settings import Settings
from web.studies.demo import DemoStudies
from web.studies.protocol import HeldStudy

BUNDLE = Path(__file__).parents[2] / "static" / "viewer" / "main.js"
pytestmark = [
    NEEDS_CHROMIUM,
    pytest.mark.skipif(not BUNDLE.exists(), reason="the viewer is not built: make static/viewer/main.js"),
]

SLICES = 12
Browser = webdriver.Chrome


@pytest.fixture
def app(app: Flask, models: Any) -> Flask:
    """The demo in twelve slices of 128 px; the rule that reads it finds blood in the middle of the stack."""
    app.extensions["studies"] = DemoStudies(Engine(Settings()), slices=SLICES, side_px=128)
    return app


@pytest.fixture
def suspicious(app: Flask) -> list[int]:
    outline = app.extensions["studies"].study("demo").outline
    return [number for number, one in enumerate(outline.slices, 1) if one.finding != "none"]


@pytest.fixture
def make_app(app: Flask) -> Any:
    """What `url` serves."""
    return lambda: app


def opened(browser: Browser, url: str, number: int) -> None:
    browser.get(f"{url}/studies/demo/?slice={number}")
    shows(browser, number)


def shows(browser: Browser, number: int, pane: int = 0) -> None:
    """Wait until the pane shows that slice."""
    wait(browser, lambda _: texts(browser, "[data-panes] [data-number]")[pane] == f"{number} / {SLICES}")


def texts(browser: Browser, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)] or [""]


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def window_is(browser: Browser, words: str) -> None:
    wait(browser, lambda _: texts(browser, "[data-window]")[0] == words)


# A copy is read, not the canvas itself: the browser warns of canvases that are read often.
READ = """
const canvas = document.querySelectorAll(arguments[0])[0];
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
"""


def grey(browser: Browser) -> float:
    """Mean grey of what the viewport drew."""
    script = READ + "return data.reduce((sum, value, at) => (at % 4 ? sum : sum + value), 0) / (data.length / 4)"
    mean: float = browser.execute_script(script, "canvas.cornerstone-canvas")
    return mean


def covered(browser: Browser) -> int:
    """How many pixels lie over the slice."""
    script = READ + "return data.reduce((count, value, at) => (at % 4 === 3 && value ? count + 1 : count), 0)"
    count: int = browser.execute_script(script, "[data-overlay]")
    return count


def test_wheel_and_keys_go_through_the_stack(browser: Browser, url: str) -> None:
    opened(browser, url, 2)
    press(browser, Keys.ARROW_DOWN)
    shows(browser, 3)
    press(browser, Keys.ARROW_LEFT)
    shows(browser, 2)
    press(browser, Keys.PAGE_DOWN)
    shows(browser, SLICES)
    press(browser, Keys.HOME)
    shows(browser, 1)
    origin = ScrollOrigin.from_element(one(browser, "[data-screen]"))
    ActionChains(browser).scroll_from_origin(origin, 0, 100).perform()
    shows(browser, 3)
    press(browser, Keys.END)
    shows(browser, SLICES)
    assert one(browser, "[data-strip]").get_attribute("aria-valuenow") == str(SLICES)


def test_number_keys_and_drags_change_the_window(browser: Browser, url: str) -> None:
    opened(browser, url, 6)
    window_is(browser, "Brain 40/80 HU")
    brain = grey(browser)
    for key, words in (("2", "Subdural 80/200 HU"), ("3", "Stroke 32/8 HU"), ("4", "Bone 600/2800 HU")):
        press(browser, key)
        window_is(browser, words)
    wait(browser, lambda _: grey(browser) < brain)  # in the bone window the brain is dark
    press(browser, "5")
    window_is(browser, "Soft tissue 40/380 HU")
    ActionChains(browser).drag_and_drop_by_offset(one(browser, "[data-screen]"), 40, 0).perform()
    wait(browser, lambda _: texts(browser, "[data-window]")[0].startswith("Own window 40/"))


def test_mask_contour_and_heat_map_are_switched(browser: Browser, url: str, suspicious: list[int]) -> None:
    opened(browser, url, suspicious[len(suspicious) // 2])
    wait(browser, lambda _: covered(browser) > 0)
    both = covered(browser)
    press(browser, "c")
    wait(browser, lambda _: 0 < covered(browser) < both)
    press(browser, "m")
    wait(browser, lambda _: covered(browser) == 0)
    press(browser, "g")
    wait(browser, lambda _: covered(browser) > 0)
    assert one(browser, "[data-act=heat]").get_attribute("aria-pressed") == "true"
    assert one(browser, "[data-act=contour]").get_attribute("aria-pressed") == "false"


BOX = """
const boxOf = (selector, inside) => {
  const canvas = document.querySelector(selector);
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const box = [width, height, 0, 0];
  for (let place = 0; place < width * height; place++) {
    if (!inside(data[place * 4], data[place * 4 + 3])) continue;
    const x = place % width, y = Math.floor(place / width);
    box.splice(0, 4, Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y));
  }
  return box;
};
return [boxOf('canvas.cornerstone-canvas', (red) => red > 90), boxOf('[data-overlay]', (red, alpha) => alpha > 0)];
"""


def test_mask_lies_on_what_it_marks_however_the_slice_is_turned(
    browser: Browser, url: str, app: Flask, bright_reader: Any
) -> None:
    """A square at 60 HU away from the middle of a slice of -1000, on pixels twice as high as they are wide."""
    head = make_phantom(slices=SLICES, rows=64, columns=64, spacing_mm=1.0, tilt_degrees=20).scan
    hu = np.full(head.hu.shape, -1000.0, np.float32)
    hu[:, 5:15, 40:60] = 60
    scan = replace(head, hu=hu, spacing_mm=(2.0, 1.0))
    app.extensions["studies"]._held["demo"] = HeldStudy("A square", scan, bright_reader.read(scan).slices, "bright")
    opened(browser, url, 3)
    seen = []
    for keys in ("c", "h", "v", "+"):
        press(browser, keys)
        wait(browser, lambda _: covered(browser) > 0 and browser.execute_script(BOX)[0] not in [one for one, _ in seen])
        square, mask = browser.execute_script(BOX)
        seen.append((square, mask))
        assert mask == pytest.approx(square, abs=8)  # the slice is smoothed when it is enlarged, the mask is not
    (left, top, right, bottom), _ = seen[0]
    assert (bottom - top) == pytest.approx(right - left, rel=0.15)  # 10 rows of 2 mm, 20 columns of 1 mm


def test_strip_and_key_jump_to_suspicious_slices(browser: Browser, url: str, suspicious: list[int]) -> None:
    opened(browser, url, 1)
    press(browser, "n")
    shows(browser, next(number for number in suspicious if number > 1))
    lines = browser.find_elements(By.CSS_SELECTOR, "[data-strip] i")
    assert [
        number for number, line in enumerate(lines, 1) if line.get_dom_attribute("data-finding") != "none"
    ] == suspicious
    lines[suspicious[-1] - 1].click()
    shows(browser, suspicious[-1])
    press(browser, "n")
    wait(browser, lambda _: "No further suspicious slice" in one(browser, "[data-said]").text)


def test_length_is_in_millimetres_and_the_probe_in_hounsfield_units(browser: Browser, url: str) -> None:
    opened(browser, url, 6)
    press(browser, "l")
    screen = one(browser, "[data-screen]")
    ActionChains(browser).move_to_element_with_offset(screen, -60, 0).click_and_hold().move_by_offset(
        60, 0
    ).move_by_offset(60, 0).release().perform()
    wait(browser, lambda _: any(text.endswith(" mm") for text in texts(browser, "[data-screen] svg text")))
    press(browser, "u")
    ActionChains(browser).move_to_element_with_offset(screen, 20, 80).click().perform()
    wait(browser, lambda _: any(text.endswith(" HU") for text in texts(browser, "[data-screen] svg text")))
    press(browser, Keys.DELETE)
    wait(browser, lambda _: texts(browser, "[data-screen] svg text") == [""])


def test_prior_follows_in_slice_and_window(browser: Browser, url: str) -> None:
    opened(browser, url, 5)
    press(browser, "2")
    one(browser, "[data-act=compare]").click()
    wait(browser, lambda _: len(texts(browser, "[data-panes] [data-number]")) == 2)
    shows(browser, 5, pane=1)
    press(browser, Keys.ARROW_DOWN)
    shows(browser, 6, pane=1)
    wait(browser, lambda _: texts(browser, "[data-window]") == ["Subdural 80/200 HU"] * 2)
    press(browser, "1")
    wait(browser, lambda _: texts(browser, "[data-window]") == ["Brain 40/80 HU"] * 2)
    shapes = browser.execute_script(
        "return [...document.querySelectorAll('canvas.cornerstone-canvas')]"
        ".map((canvas) => [canvas.width, canvas.clientWidth, canvas.height, canvas.clientHeight])"
    )
    assert all((width, height) == (shown, high) for width, shown, height, high in shapes)  # nothing is stretched


def test_slice_that_does_not_load_is_told_and_tried_again(browser: Browser, url: str, app: Flask) -> None:
    failing = True

    def fail() -> Response | None:
        if failing and request.path.endswith("/slices/8"):
            abort(503)
        return None

    app.before_request_funcs.setdefault(None, []).append(fail)
    opened(browser, url, 7)
    press(browser, Keys.ARROW_DOWN)
    wait(browser, lambda _: one(browser, "[data-trouble]").text.startswith("Slice 8 did not load."))
    assert texts(browser, "[data-panes] [data-number]") == [f"7 / {SLICES}"]
    failing = False
    one(browser, "[data-retry]").click()
    shows(browser, 8)
    assert not one(browser, "[data-trouble]").is_displayed()
    assert browser.get_log("browser")  # the browser itself tells of the status 503


def test_mask_that_does_not_load_is_told_and_tried_again(
    browser: Browser, url: str, app: Flask, suspicious: list[int]
) -> None:
    number, failing = suspicious[0], True

    def fail() -> Response | None:
        if failing and request.path.endswith(f"/masks/{number}"):
            abort(503)
        return None

    app.before_request_funcs.setdefault(None, []).append(fail)
    opened(browser, url, number)
    wait(browser, lambda _: "What was found on this slice did not load." in one(browser, "[data-trouble]").text)
    assert covered(browser) == 0
    failing = False
    one(browser, "[data-retry]").click()
    wait(browser, lambda _: covered(browser) > 0)
    assert browser.get_log("browser")  # the browser itself tells of the status 503


def test_keys_are_explained_and_typing_elsewhere_is_left_alone(browser: Browser, url: str) -> None:
    opened(browser, url, 3)
    press(browser, "?")
    wait(browser, lambda _: one(browser, "dialog").is_displayed())
    press(browser, Keys.ARROW_DOWN, Keys.ESCAPE)
    wait(browser, lambda _: not one(browser, "dialog").is_displayed())
    shows(browser, 3)


def test_viewer_fits_a_phone(browser: Browser, url: str) -> None:
    resize(browser, 390)
    opened(browser, url, 6)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert grey(browser) > 0


def test_without_scripts_each_slice_is_a_picture(browser: Browser, url: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{url}/studies/demo/?slice=4")
        one(browser, "a[rel=next]").click()
        wait(browser, lambda _: "Slice 5 of 12" in one(browser, ".plain figcaption").text)
        assert not one(browser, ".workstation").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
