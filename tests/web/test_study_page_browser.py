"""The page of a kept study in a real browser: the viewer with its facts, the prior, and what is downloaded."""

import io
import json
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from werkzeug.serving import make_server

from app import create_app
from tests.studies.series import zipped
from tests.web.browsing import NEEDS_CHROMIUM, QuietHandler, one, resize, wait
from tests.web.conftest import FakeModels
from tests.web.study_pages import SLICES, BleedReader, head
from web.history.worklist import study
from web.studies.working import Worker

BUNDLE = Path(__file__).parents[2] / "static" / "viewer" / "main.js"
pytestmark = [
    NEEDS_CHROMIUM,
    pytest.mark.skipif(not BUNDLE.exists(), reason="the viewer is not built: make static/viewer/main.js"),
]

Browser = webdriver.Chrome
LIFT_MM = 36.0  # three slices


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with two studies of a patient, the later with more blood and the table higher; `worker` reads more."""
    folder = tmp_path_factory.mktemp("studies")
    settings = {"database_url": f"sqlite:///{folder}/history.sqlite", "studies_folder": f"{folder}/kept"}
    with pytest.MonkeyPatch.context() as patch:
        models = FakeModels(BleedReader())
        patch.setitem(sys.modules, "model", models)
        patch.setattr(Worker, "wake", lambda self: None)
        app = create_app({"warm_up": False} | settings)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        worker = app.extensions["worker"]
        client = app.test_client()
        for data in (head(5, "20260101"), head(40, "20260102", LIFT_MM)):
            client.post("/studies/", data={"files": (io.BytesIO(data), "head.zip")})
            assert worker.work()
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{server.port}", app=app, worker=worker, models=models,
            store=app.extensions["history"].store(),
        )  # fmt: skip
        server.shutdown()
        thread.join(10)
        server.server_close()
        worker.end()
        app.extensions["history"].close()


@pytest.fixture(autouse=True)
def left(browser: Browser) -> Iterator[None]:
    """The page is left before the next test: it fetches slices ahead."""
    yield
    browser.get("about:blank")


def opened(browser: Browser, place: Any, number: int = 6) -> None:
    browser.get(f"{place.url}/studies/2/?slice={number}")
    shows(browser, number)


def shows(browser: Browser, number: int, pane: int = 0) -> None:
    wait(browser, lambda _: numbers(browser)[pane:][:1] == [f"{number} / {SLICES}"])


def numbers(browser: Browser) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, "[data-panes] [data-number]")]


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def pixels(browser: Browser, colour: list[int]) -> int:
    """How many pixels of that colour lie over the slice."""
    script = """
    const canvas = document.querySelector('[data-overlay]');
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let place = 0; place < data.length; place += 4) {
      const near = [0, 1, 2].every((part) => Math.abs(data[place + part] - arguments[0][part]) < 12);
      if (near && data[place + 3] > 200) count++;
    }
    return count;"""
    count: int = browser.execute_script(script, colour)
    return count


def test_wheel_and_presets_work_on_a_kept_study(browser: Browser, place: Any) -> None:
    opened(browser, place)
    origin = ScrollOrigin.from_element(one(browser, "[data-screen]"))
    ActionChains(browser).scroll_from_origin(origin, 0, 50).perform()
    shows(browser, 7)
    press(browser, "4")
    wait(browser, lambda _: one(browser, "[data-window]").text == "Bone 600/2800 HU")


def test_opacity_of_the_mask_is_dragged_and_switched(browser: Browser, place: Any) -> None:
    number = int(re.findall(r"\d+", one_opened(browser, place, ".below [data-jump]").text)[-1])
    opened(browser, place, number)
    press(browser, "c")
    orange = [230, 159, 0]
    browser.execute_script(
        "const bar = document.querySelector('[data-opacity]'); bar.value = 100; bar.dispatchEvent(new Event('input'))"
    )
    wait(browser, lambda _: pixels(browser, orange) > 0)
    press(browser, "m")
    wait(browser, lambda _: pixels(browser, orange) == 0)


def one_opened(browser: Browser, place: Any, selector: str) -> Any:
    opened(browser, place)
    return one(browser, selector)


def test_midline_is_drawn_on_its_slice_and_switched(browser: Browser, place: Any) -> None:
    link = one_opened(browser, place, "#midline ~ p a[data-jump]")
    link.click()
    shows(browser, int(link.get_attribute("data-jump")))
    green = [0x66, 0xFF, 0x66]
    wait(browser, lambda _: pixels(browser, green) > 50)
    assert "midline shift" in one(browser, "[data-finding]").text
    press(browser, "i")
    wait(browser, lambda _: pixels(browser, green) == 0)
    assert one(browser, "[data-act=midline]").get_attribute("aria-pressed") == "false"
    press(browser, "i", Keys.ARROW_DOWN)
    shows(browser, int(link.get_attribute("data-jump")) + 1)
    assert pixels(browser, green) == 0


def test_links_to_slices_jump_in_the_viewer(browser: Browser, place: Any) -> None:
    opened(browser, place, 1)
    address = browser.current_url
    for selector in (".jumps a", ".below [data-jump]"):
        link = one(browser, selector)
        link.click()
        shows(browser, int(link.get_attribute("data-jump")))
        press(browser, Keys.HOME)  # the viewer has the keys again
        shows(browser, 1)
    assert browser.current_url == address


def test_arrows_scroll_the_page_where_the_facts_have_the_focus(browser: Browser, place: Any) -> None:
    opened(browser, place)
    browser.execute_script("document.querySelector('.below .scroll').focus({ preventScroll: true })")
    press(browser, Keys.PAGE_DOWN)
    wait(browser, lambda _: browser.execute_script("return scrollY") > 0)
    assert numbers(browser) == [f"6 / {SLICES}"]


def test_prior_follows_along_the_head_wherever_its_table_stood(browser: Browser, place: Any) -> None:
    opened(browser, place)
    assert one(browser, "[data-growth]").text.startswith("Grown: ")
    one(browser, "[data-act=compare]").click()
    shows(browser, 6, pane=1)
    wait(browser, lambda _: "Linked by the shape of the head, 36 mm apart" in one(browser, "[data-panes]").text)
    press(browser, Keys.ARROW_DOWN)
    shows(browser, 7)
    shows(browser, 7, pane=1)
    assert "2026-01-01" in one(browser, "[data-panes] .pane:last-child").text


def fetched(browser: Browser, name: str) -> bytes:
    link = next(each for each in browser.find_elements(By.CSS_SELECTOR, ".offers a") if each.text == name)
    assert link.get_attribute("download") is not None
    with urllib.request.urlopen(str(link.get_attribute("href"))) as answer:
        data: bytes = answer.read()
    return data


def test_report_and_segmentation_are_downloaded(browser: Browser, place: Any, tmp_path: Path) -> None:
    opened(browser, place)
    assert fetched(browser, "Report (PDF)").startswith(b"%PDF")
    segmentation = pydicom.dcmread(io.BytesIO(fetched(browser, "DICOM SEG")))
    assert (segmentation.Modality, segmentation.StudyInstanceUID) == ("SEG", "1.2.20260102")
    assert json.loads(fetched(browser, "JSON"))["finding"] == "hemorrhage"
    browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    one(browser, ".offers a").click()
    saved = tmp_path / "study-2-report.pdf"
    wait(browser, lambda _: saved.exists() and saved.read_bytes().startswith(b"%PDF"))


def test_decision_is_on_the_screen_beside_a_large_viewer(browser: Browser, place: Any) -> None:
    opened(browser, place)
    screen = one(browser, "[data-screen]").rect
    headline = one(browser, ".decision .headline")
    assert (headline.text, headline.rect["y"] + headline.rect["height"] < 900) == ("Hemorrhage", True)
    assert screen["width"] > 850
    assert screen["y"] + screen["height"] <= 900


def test_decision_comes_first_on_a_phone(browser: Browser, place: Any) -> None:
    resize(browser, 390)
    opened(browser, place)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert one(browser, ".decision").rect["y"] < one(browser, "[data-panes]").rect["y"]
    assert one(browser, "[data-panes]").rect["y"] < one(browser, ".panel").rect["y"]


def test_everything_can_be_reached_by_tab_and_shows_its_focus(browser: Browser, place: Any) -> None:
    opened(browser, place)
    script = """
    const wanted = [...document.querySelectorAll('main :is(a[href], button, select, input, summary, [tabindex="0"])')]
      .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled);
    return wanted.filter((each) => {
      each.focus();
      return document.activeElement !== each || each.tabIndex < 0;
    }).map((each) => each.outerHTML)"""
    assert browser.execute_script(script) == []
    browser.execute_script("document.querySelector('.jumps a').focus()")
    press(browser, Keys.TAB)
    style = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(style) == "solid"


def test_without_scripts_the_page_is_whole(browser: Browser, place: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{place.url}/studies/2/")
        link = one(browser, ".below [data-jump]")
        number = link.get_dom_attribute("data-jump")
        link.click()
        wait(browser, lambda _: f"Slice {number} of {SLICES}" in one(browser, ".plain figcaption").text)
        assert one(browser, ".headline").text == "Hemorrhage"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_opening_reads_the_slices_one_after_the_other_not_all_at_once(
    browser: Browser, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from web.studies import stored

    read, running, most = stored.read_hu, [0], [0]

    def counted(*asked: Any) -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            return read(*asked)
        finally:
            running[0] -= 1

    monkeypatch.setattr(stored, "read_hu", counted)
    place.app.test_client().get("/studies/2/")
    place.app.test_client().get("/studies/2/study.json")
    assert most == [0]
    opened(browser, place)
    press(browser, Keys.END)
    shows(browser, SLICES)
    assert 1 <= most[0] <= 4  # three ahead, and the one that is asked for


def choose(browser: Browser, place: Any, tmp_path: Path, name: str, data: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    browser.get(place.url)
    one(browser, "#study-files").send_keys(str(file))
    one(browser, ".sending button.primary").click()


def test_a_tilted_study_under_shuffled_names_opens_in_order(
    browser: Browser, place: Any, tmp_path: Path, data_folder: Path
) -> None:
    files = sorted(file for file in (data_folder / "dicom" / "ge_head_tilt").rglob("*") if file.is_file())
    order = np.random.default_rng(5).permutation(len(files))
    archive = zipped({f"IM{name:04}": files[number].read_bytes() for name, number in enumerate(order)})
    choose(browser, place, tmp_path, "tilt.zip", archive)
    number = wait(browser, lambda page: re.findall(r"/studies/(\d+)/", one(page, "main").get_attribute("innerHTML")))[0]
    assert place.worker.work()
    browser.get(f"{place.url}/studies/{number}/?slice=28")
    wait(browser, lambda _: numbers(browser) == ["28 / 28"])
    said = one(browser, "#geometry + dl").text.replace("\n", " ")
    assert "Slices 28" in said
    assert "Spacing 4.22, 1.14, 7.38 mm, changing" in said
    assert "Tilt +18.5°" in said
    with urllib.request.urlopen(f"{place.url}/studies/{number}/study.json") as answer:
        heights = [one["position_mm"][2] for one in json.load(answer)["slices"]]
    assert heights == sorted(heights)


def test_slices_follow_the_keys_within_a_moment(browser: Browser, place: Any) -> None:
    """A hundred steps there and back: some 20 ms each; a tenth of a second leaves room for a busy machine."""
    opened(browser, place, 1)
    press(browser, Keys.END)
    shows(browser, SLICES)
    script = """
    const done = arguments[0];
    const shown = document.querySelector('[data-number]');
    const frame = () => new Promise(requestAnimationFrame);
    (async () => {
      const began = performance.now();
      for (let step = 0; step < 100; step++) {
        const down = Math.floor(step / 10) % 2;
        const before = shown.textContent;
        const key = down ? 'ArrowDown' : 'ArrowUp';
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        while (shown.textContent === before) await frame();
      }
      done((performance.now() - began) / 100);
    })();"""
    assert browser.execute_async_script(script) < 100


@pytest.mark.parametrize("name", ["letter.txt", "letters.zip"])
def test_a_wrong_file_is_told_and_nothing_is_lost(browser: Browser, place: Any, tmp_path: Path, name: str) -> None:
    data = b"Dear colleague, " * 50
    choose(browser, place, tmp_path, name, zipped({"letter.txt": data}) if name.endswith("zip") else data)
    alert = wait(browser, lambda page: one(page, "main .alert"))
    assert alert.text.startswith("Nothing was kept, for there is no study that can be read.")
    assert browser.get_log("browser")  # the browser itself tells of the status 422
    assert study(place.store.database, 2).row.read is not None


def test_a_running_reading_outlives_a_reload_and_can_be_cancelled(browser: Browser, place: Any, tmp_path: Path) -> None:
    reader, go_on = place.models.readers["reader"], threading.Event()
    read = reader.read

    def held(scan: Any, progress: Any) -> Any:
        progress(1, len(scan.hu))
        while not go_on.wait(0.3):
            progress(2, len(scan.hu))  # raises where the reading was cancelled
        return read(scan, progress)

    reader.read = held
    choose(browser, place, tmp_path, "third.zip", head(20, "20260103"))
    number = int(wait(browser, lambda page: re.search(r"/studies/(\d+)/$", page.current_url))[1])
    working = threading.Thread(target=place.worker.work)
    working.start()
    try:
        for _ in range(2):
            wait(browser, lambda page: "Reading slice" in one(page, "[data-waiting-said]").text)
            browser.refresh()
        assert study(place.store.database, number).row.unread
        one(browser, "[data-waiting] button").click()
        wait(browser, lambda page: "was cancelled" in one(page, "main .alert").text)
        working.join(10)
        assert not working.is_alive()
    finally:
        go_on.set()
        working.join(10)
        reader.read = read
    one(browser, "button.primary").click()
    wait(browser, lambda page: "waits to be read" in one(page, "[data-waiting-said]").text)
    assert place.worker.work()
    wait(browser, lambda page: one(page, ".decision .headline").text == "Hemorrhage")
