"""A whole study in a real browser: sent as an archive, followed, opened in the viewer."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from selenium.webdriver.common.by import By

from app import create_app
from hemoscope.phantom import Bleed, dicom_slices, make_phantom
from tests.studies.series import zipped
from tests.web.browsing import NEEDS_CHROMIUM, one, wait

BUNDLE = Path(__file__).parents[2] / "static" / "viewer" / "main.js"
pytestmark = [
    NEEDS_CHROMIUM,
    pytest.mark.skipif(not BUNDLE.exists(), reason="the viewer is not built: make static/viewer/main.js"),
]
SLICES = 6


@pytest.fixture
def make_app(models: Any, tmp_path: Path) -> Any:
    """The application behind `url`, with a history of its own and a reader that takes its time."""
    reader = models.readers["reader"]
    read = reader.read

    def read_slowly(scan: Any, progress: Callable[[int, int], object]) -> Any:
        for index in range(len(scan.hu)):
            progress(index + 1, len(scan.hu))
            time.sleep(0.3)
        return read(scan)

    reader.read = read_slowly
    made: list[Flask] = []

    def make() -> Flask:
        places = {"database_url": f"sqlite:///{tmp_path}/history.sqlite", "studies_folder": f"{tmp_path}/studies"}
        made.append(create_app({"warm_up": False} | places))
        return made[-1]

    yield make
    for app in made:
        app.extensions["worker"].end()
        app.extensions["history"].close()


def test_a_study_is_sent_followed_and_opened(browser: Any, url: str, tmp_path: Path) -> None:
    head = make_phantom(
        [Bleed("subdural", 30)], slices=SLICES, rows=128, columns=128, spacing_mm=1.8, slice_spacing_mm=25
    )
    archive = tmp_path / "head.zip"
    archive.write_bytes(zipped({f"{number}.dcm": data for number, data in enumerate(dicom_slices(head))}))
    browser.get(url)
    one(browser, "#study-files").send_keys(str(archive))
    assert "1 file" in one(browser, ".sending [data-status]").text
    one(browser, ".sending button.primary").click()
    wait(browser, lambda page: page.current_url.endswith("/studies/1/"))
    seen: list[float] = []

    def opened(page: Any) -> bool:
        for bar in page.find_elements(By.CSS_SELECTOR, "[data-waiting] progress"):
            seen.append(float(bar.get_attribute("value") or 0))
        return bool(page.find_elements(By.CSS_SELECTOR, "[data-study]"))

    wait(browser, opened)
    assert seen == sorted(seen)
    assert any(0 < share < 1 for share in seen)
    assert one(browser, "h1").text == "PHANTOM HEAD, 2026-01-01"
    assert f"{SLICES} slices" in one(browser, ".facts").text
    wait(browser, lambda page: one(page, "[data-plain]").get_attribute("hidden") is not None)
    browser.get("about:blank")  # before the server ends, which the viewer would tell
