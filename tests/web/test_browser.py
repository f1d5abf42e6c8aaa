"""The pages in a real browser: what a person does with mouse, keyboard and a phone."""

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from hemoscope.phantom import Bleed, make_phantom, sample_slice
from tests.web.browsing import NEEDS_CHROMIUM, one, resize, wait

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def phantom_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "head.dcm"
    file.write_bytes(sample_slice(True))
    return file


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    file = tmp_path / "list.dcm"
    file.write_text("milk, bread")
    return file


def read(browser: webdriver.Chrome, url: str, *files: Path) -> None:
    browser.get(url)
    one(browser, "#files").send_keys("\n".join(map(str, files)))
    one(browser, ".primary").click()
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))


def style(browser: webdriver.Chrome, selector: str, name: str) -> str:
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    value: str = browser.execute_script(script, selector, name)
    return value


def test_slice_is_read_and_its_layers_answer_to_the_keyboard(
    browser: webdriver.Chrome, url: str, phantom_file: Path
) -> None:
    read(browser, url, phantom_file)
    assert one(browser, ".headline").text == "Hemorrhage"
    assert browser.title == "Hemorrhage · Hemoscope"
    assert browser.switch_to.active_element.text == "Result"  # a screen reader hears where it is
    assert browser.execute_script("return document.querySelector('.base').naturalWidth") == 512

    assert style(browser, ".fill", "opacity") == "0.45"
    slider = one(browser, "[data-opacity]")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert style(browser, ".fill", "opacity") == "0.5"
    slider.send_keys(Keys.HOME)
    assert style(browser, ".fill", "opacity") == "0"
    assert one(browser, "output").text == "0 %"

    assert style(browser, ".outline", "visibility") == "visible"
    one(browser, ".show-outline").send_keys(Keys.SPACE)
    assert style(browser, ".outline", "visibility") == "hidden"
    one(browser, ".show-fill").send_keys(Keys.SPACE)
    assert style(browser, ".fill", "visibility") == "hidden"

    assert style(browser, ".heat-any", "visibility") == "hidden"
    one(browser, ".show-heat[value='']").send_keys(Keys.ARROW_RIGHT)
    assert style(browser, ".heat-any", "visibility") == "visible"
    one(browser, ".show-heat[value='any']").send_keys(Keys.ARROW_RIGHT)
    assert style(browser, ".heat-any", "visibility") == "hidden"
    assert style(browser, ".heat-epidural", "visibility") == "visible"


def test_result_without_a_mask_has_heat_maps_and_no_switch_of_a_mask(
    browser: webdriver.Chrome, url: str, bright_reader: Any, phantom_file: Path
) -> None:
    bright_reader.gives_mask = False
    resize(browser, 390)
    read(browser, url, phantom_file)
    assert one(browser, ".controls").text.startswith("This model gives no mask.")
    assert not browser.find_elements(By.CSS_SELECTOR, ".show-fill, [data-opacity]")
    assert [link.text for link in browser.find_elements(By.CSS_SELECTOR, ".downloads a")] == ["JSON"]
    one(browser, ".show-heat[value='']").send_keys(Keys.ARROW_RIGHT)
    assert style(browser, ".heat-any", "visibility") == "visible"
    assert browser.execute_script(OVERFLOW) <= 390
    assert browser.execute_script(CONTRASTS) == []


def test_layers_lie_exactly_over_the_slice(browser: webdriver.Chrome, url: str, phantom_file: Path) -> None:
    read(browser, url, phantom_file)
    boxes = [one(browser, selector).rect for selector in (".base", ".fill", ".outline", ".heat-any")]
    assert boxes == [boxes[0]] * 4
    assert boxes[0]["width"] == pytest.approx(boxes[0]["height"], abs=1)


def test_real_slice_is_read(browser: webdriver.Chrome, url: str, data_folder: Path) -> None:
    read(browser, url, data_folder / "dicom" / "rsna_samples" / "ID_0fe31b044.dcm")
    assert one(browser, ".facts").text.startswith("1 slice")
    assert "mm²" in one(browser, ".area").text


def test_json_can_be_downloaded(browser: webdriver.Chrome, url: str, phantom_file: Path, tmp_path: Path) -> None:
    read(browser, url, phantom_file)
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    one(browser, "a[download='head.json']").click()
    one(browser, "a[download='head-mask.png']").click()
    wait(browser, lambda _: (tmp_path / "head.json").exists() and (tmp_path / "head-mask.png").exists())
    made = json.loads((tmp_path / "head.json").read_text())
    assert (made["path"], made["finding"]) == ("head.dcm", "hemorrhage")
    assert (tmp_path / "head-mask.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_file_gets_a_card_beside_the_good_one(
    browser: webdriver.Chrome, url: str, phantom_file: Path, text_file: Path
) -> None:
    read(browser, url, text_file, phantom_file)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".card")) == 2
    assert one(browser, ".card-error h2").text == "list.dcm"
    assert len(browser.find_elements(By.CSS_SELECTOR, ".base")) == 1


def test_dropped_file_is_read_at_once(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    browser.execute_script(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], 'dropped.dcm'));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
        """,
        base64.b64encode(sample_slice(False)).decode(),
    )
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))
    assert one(browser, ".card h2").text == "dropped.dcm"


def drop(browser: webdriver.Chrome, *names: str) -> bool:
    """Drop a readable slice under each of these names; whether the page took the event from the browser."""
    return bool(
        browser.execute_script(
            """
            const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            for (const name of arguments[1]) dataTransfer.items.add(new File([bytes], name));
            const event = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
            return !document.body.dispatchEvent(event);
            """,
            base64.b64encode(sample_slice(False)).decode(),
            names,
        )
    )


def test_file_dropped_on_a_result_is_read_with_the_same_model_and_window(
    browser: webdriver.Chrome, url: str, phantom_file: Path
) -> None:
    browser.get(url)
    Select(one(browser, "#model")).select_by_value("unet")
    one(browser, "#window").clear()
    one(browser, "#window").send_keys("80/200")
    one(browser, "#files").send_keys(str(phantom_file))
    one(browser, ".primary").click()
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))
    assert drop(browser, "second.dcm")
    wait(browser, lambda page: one(page, ".card h2").text == "second.dcm")
    assert "read by unet" in one(browser, ".facts").text
    assert one(browser, ".again input[name=window]").get_attribute("value") == "80/200"


def test_page_without_a_form_says_where_files_are_dropped(browser: webdriver.Chrome, url: str) -> None:
    browser.get(f"{url}/about")
    assert drop(browser, "a.dcm")
    assert one(browser, ".told").text == "Files are read on the page “Read”: drop them there."


def drop_folder(browser: webdriver.Chrome, folder: Path) -> None:
    """With a drag of the browser's own, since a page cannot make one of a folder."""
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})


def test_dropped_folder_waits_in_the_form_of_whole_studies(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    (tmp_path / "series" / "deep").mkdir(parents=True)
    for name in ("1.dcm", "2.dcm", "deep/3.dcm"):
        (tmp_path / "series" / name).write_bytes(sample_slice(False)[:1000])
    browser.get(url)
    drop_folder(browser, tmp_path / "series")
    wait(browser, lambda page: one(page, "form.sending [role=status]").text.startswith("3 files, "))
    assert browser.switch_to.active_element.text == "Read the study"
    assert all(form.get_attribute("aria-busy") is None for form in browser.find_elements(By.CSS_SELECTOR, "form"))


def test_dropped_archive_waits_in_the_form_of_whole_studies(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    assert drop(browser, "study.zip")
    wait(browser, lambda page: one(page, "form.sending [role=status]").text.startswith("1 file, "))
    assert "study.zip" in one(browser, "form.sending .chosen").text


def test_folder_dropped_on_a_result_is_told_and_not_sent(
    browser: webdriver.Chrome, url: str, phantom_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "series").mkdir()
    read(browser, url, phantom_file)
    drop_folder(browser, tmp_path / "series")
    sentence = "series is a folder. Whole studies are sent from the page “Read”."
    wait(browser, lambda page: one(page, "form.upload [role=status]").text == sentence)
    assert one(browser, "form.upload").get_attribute("aria-busy") is None


def test_one_request_runs_at_a_time_and_can_be_cancelled(
    browser: webdriver.Chrome, url: str, models: Any, phantom_file: Path
) -> None:
    go, reader, scans = threading.Event(), models.readers["reader"], []
    answer = reader.read

    def slow(scan: Any) -> Any:
        scans.append(scan)
        assert go.wait(10)
        return answer(scan)

    reader.read = slow
    browser.get(url)
    one(browser, "#files").send_keys(str(phantom_file))
    one(browser, ".primary").click()
    wait(browser, lambda page: one(page, "[role=status]").text == "Reading the slice …")
    starters = browser.find_elements(By.CSS_SELECTOR, ".upload button:not([data-cancel])")
    assert [button.is_enabled() for button in starters] == [False] * 3
    assert style(browser, ".primary", "opacity") == "0.5"
    browser.execute_script("document.querySelector('form.upload').requestSubmit()")
    assert drop(browser, "second.dcm")
    assert one(browser, "[role=status]").text.startswith("Files are being read.")
    assert browser.switch_to.active_element.text == "Cancel"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait(browser, lambda page: one(page, "[role=status]").text == "Cancelled.")
    assert [button.is_enabled() for button in starters] == [True] * 3
    assert browser.switch_to.active_element.text == "Read"
    go.set()
    time.sleep(0.3)
    assert len(scans) == 1
    assert not browser.find_elements(By.CSS_SELECTOR, ".results-head")  # the answer to what was cancelled is not shown


def test_form_that_comes_back_keeps_files_and_goes_to_the_wrong_field(
    browser: webdriver.Chrome, url: str, phantom_file: Path
) -> None:
    browser.get(url)
    one(browser, "#files").send_keys(str(phantom_file))
    window = one(browser, "#window")
    window.clear()
    window.send_keys("40/0")  # has the form of a window, which is all that the browser looks at
    one(browser, ".primary").click()
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#problem"))
    assert browser.switch_to.active_element.get_attribute("id") == "window"
    assert browser.switch_to.active_element.get_attribute("value") == "40/0"
    assert [item.text.split()[0] for item in browser.find_elements(By.CSS_SELECTOR, ".chosen li")] == ["head.dcm"]
    assert style(browser, ".primary", "opacity") == "1"  # under the pointer, and to be used again
    below = one(browser, "#problem").rect["y"] - one(browser, "#window").rect["y"]
    assert 0 < below < 100
    assert browser.get_log("browser")  # the browser itself tells of the status 400
    assert browser.execute_script(CONTRASTS) == []


def test_sample_button_reads_and_back_returns_to_the_form(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    one(browser, "button[value='with-blood']").send_keys(Keys.ENTER)
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))
    assert one(browser, ".card h2").text == "phantom-with-blood.dcm"
    browser.back()
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".start form.upload"))


def test_form_tells_of_missing_and_too_many_files_without_sending(
    browser: webdriver.Chrome, make_app: Callable[..., Flask], url: str, phantom_file: Path, text_file: Path
) -> None:
    browser.get(url)
    one(browser, ".primary").click()
    assert one(browser, "[role=status]").text == "Choose a file first, or drop one here."
    browser.execute_script("document.querySelector('form.upload').dataset.maxFiles = 1")
    one(browser, "#files").send_keys(f"{phantom_file}\n{text_file}")
    assert one(browser, "[role=status]").text == "Only 1 files are read at a time; 2 were chosen."
    assert [item.text.split()[0] for item in browser.find_elements(By.CSS_SELECTOR, ".chosen li")] == [
        "head.dcm",
        "list.dcm",
    ]


def test_progress_is_told_while_the_server_reads(
    browser: webdriver.Chrome, url: str, models: Any, phantom_file: Path
) -> None:
    go, reader = threading.Event(), models.readers["reader"]
    answer = reader.read
    reader.read = lambda scan: answer(scan) if go.wait(10) else None
    browser.get(url)
    one(browser, "#files").send_keys(str(phantom_file))
    one(browser, ".primary").click()
    wait(browser, lambda page: one(page, "[role=status]").text == "Reading the slice …")
    assert one(browser, "[data-progress]").is_displayed()
    assert one(browser, "form.upload").get_attribute("aria-busy") == "true"
    go.set()
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))


def test_slices_of_one_file_are_shown_one_at_a_time(
    browser: webdriver.Chrome, url: str, monkeypatch: pytest.MonkeyPatch, phantom_file: Path
) -> None:
    head = make_phantom([Bleed("subdural", 40)], slices=4, rows=96, columns=96, spacing_mm=2.4)
    monkeypatch.setattr("hemoscope.readers.read_bytes", lambda *_, **__: head.scan)
    read(browser, url, phantom_file)
    frames = browser.find_elements(By.CSS_SELECTOR, ".frame")
    assert [frame.is_displayed() for frame in frames] == [True, False, False, False]
    links = browser.find_elements(By.CSS_SELECTOR, ".strip a")
    links[1].click()
    assert "Slice 2 of 4" in one(browser, ".frame:not([hidden]) figcaption").text
    links[1].send_keys(Keys.ARROW_RIGHT)
    assert "Slice 3 of 4" in one(browser, ".frame:not([hidden]) figcaption").text
    assert browser.switch_to.active_element == links[2]
    resize(browser, 390)
    one(browser, "summary").click()
    assert browser.execute_script(OVERFLOW) <= 390  # the strip and the table scroll by themselves


def test_everything_works_without_scripts(browser: webdriver.Chrome, url: str, phantom_file: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(url)
        assert "drop" not in one(browser, ".drop-title").text
        one(browser, "#files").send_keys(str(phantom_file))
        one(browser, ".primary").click()
        wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".results-head"))
        assert not one(browser, "[data-opacity]").is_displayed()
        assert one(browser, ".fill").value_of_css_property("visibility") == "visible"
        assert one(browser, ".fill").value_of_css_property("opacity") == "0.45"
        one(browser, ".show-fill").click()
        assert one(browser, ".fill").value_of_css_property("visibility") == "hidden"
        one(browser, ".show-heat[value='subdural']").find_element(By.XPATH, "..").click()
        assert one(browser, ".heat-subdural").value_of_css_property("visibility") == "visible"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


OVERFLOW = "return document.documentElement.scrollWidth"

# Every visible piece of text against the ground that it lies on.
CONTRASTS = """
const luminance = (rgb) => rgb.map((value) => value / 255)
  .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const groundOf = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const [red, green, blue, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
    if (alpha > 0) return [red, green, blue];
  }
  return [255, 255, 255];
};
const low = [];
for (const element of document.querySelectorAll('body *')) {
  const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
  const colours = [parse(getComputedStyle(element).color).slice(0, 3), groundOf(element)];
  const [dark, light] = colours.map(luminance).sort((one, other) => one - other);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) low.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${contrast.toFixed(2)}`);
}
return low;
"""


@pytest.mark.parametrize("path", ["/", "/models", "/about", "/contact"])
def test_pages_fit_a_phone_and_can_be_read(browser: webdriver.Chrome, url: str, path: str) -> None:
    for width in (390, 1440):
        resize(browser, width)
        browser.get(url + path)
        assert browser.execute_script(OVERFLOW) <= width
        assert browser.execute_script(CONTRASTS) == []


def test_result_fits_a_phone_and_can_be_read(
    browser: webdriver.Chrome, url: str, phantom_file: Path, tmp_path: Path
) -> None:
    long_name = tmp_path / f"{'a_rather_long_name_without_a_break_' * 4}.dcm"
    long_name.write_bytes(phantom_file.read_bytes())
    resize(browser, 390)
    read(browser, url, long_name, phantom_file)
    assert browser.execute_script(OVERFLOW) <= 390
    assert browser.execute_script(CONTRASTS) == []
    decision, picture, bars = (one(browser, name).rect["y"] for name in (".decision", ".stack", ".bars"))
    assert decision < picture < bars


def tab_stops(browser: webdriver.Chrome) -> list[tuple[str, str, float]]:
    """Class, outline and height on the screen of each element that the tab key reaches from where the focus is."""
    where = """
        const at = document.activeElement;
        const shown = at.closest('.chip') ?? at;
        return [at.className || at.tagName, getComputedStyle(shown).outlineStyle, shown.getBoundingClientRect().top];
    """
    stops = []
    ActionChains(browser).send_keys(Keys.TAB).perform()
    while browser.execute_script("return document.activeElement !== document.body") and len(stops) < 40:
        stops.append(tuple(browser.execute_script(where)))
        ActionChains(browser).send_keys(Keys.TAB).perform()
    return stops


def test_first_stop_of_the_tab_key_skips_to_the_content(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    stops = tab_stops(browser)
    assert stops[0][0] == "skip"
    assert stops[0][2] >= 0  # it comes into view
    assert {"brand", "primary", "INPUT", "SELECT"} <= {name for name, _, _ in stops}
    assert {outline for _, outline, _ in stops} == {"solid"}
    one(browser, ".skip").send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.tag_name == "main"


def test_every_stop_of_the_tab_key_in_a_result_can_be_seen(
    browser: webdriver.Chrome, url: str, phantom_file: Path
) -> None:
    read(browser, url, phantom_file)
    stops = tab_stops(browser)
    assert [name for name, _, _ in stops] == [
        "button",
        "A",
        "A",
        "A",
        "show-fill",
        "show-outline",
        "INPUT",
        "show-heat",
        "INPUT",
        "primary",
    ]
    assert {outline for _, outline, _ in stops} == {"solid"}


def test_no_motion_where_less_is_wished(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    assert style(browser, ".drop", "transitionDuration") != "0s"
    wish = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    assert style(browser, ".drop", "transitionDuration") == "0s"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_unreachable_server_is_told_and_the_form_stays(browser: webdriver.Chrome, url: str, phantom_file: Path) -> None:
    browser.get(url)
    browser.execute_script("document.querySelector('form.upload').action = 'http://127.0.0.1:9/read'")
    one(browser, "#files").send_keys(str(phantom_file))
    one(browser, ".primary").click()
    wait(browser, lambda page: "could not be reached" in one(page, "[role=status]").text)
    assert not one(browser, "[data-progress]").is_displayed()
    time.sleep(0.1)
    assert browser.get_log("browser")  # the browser itself tells of the failed connection
