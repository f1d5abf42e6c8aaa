"""The worklist and a patient's page in a real browser: filter, marks, deletion, growth, keyboard, a phone."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.web.browsing import NEEDS_CHROMIUM, one, resize, wait
from tests.web.keeping import Add
from web.history.opening import Store
from web.history.worklist import Filter, worklist

pytestmark = NEEDS_CHROMIUM
Browser = webdriver.Chrome


@pytest.fixture
def make_app(history_app: Flask) -> Any:
    """What `url` serves."""
    return lambda: history_app


@pytest.fixture
def filled(add: Add) -> None:
    """Studies 1 to 3 are of one patient, and the third has grown; in 4 there is nothing, 5 is not read."""
    jane = {"patient_id": "4711", "patient_name": "DOE^JANE", "description": "CT head"}
    add("hemorrhage", 9.1, uncertainty_ml=1.2, study_date="20261101", **jane)
    add("hemorrhage", 9.8, uncertainty_ml=1.3, study_date="20261104", **jane)
    add("hemorrhage", 24.3, uncertainty_ml=2.9, study_date="20261109", **jane)
    add("none", 0.0, study_date="20261120", patient_id="99", patient_name="ROE^RITA")
    add(study_date="20261121", warnings=("The files state text that is burnt into the pictures.",))


def listed(browser: Browser) -> list[str]:
    return [row.get_attribute("id") or "" for row in browser.find_elements(By.CSS_SELECTOR, ".worklist tbody tr")]


def lists(browser: Browser, *numbers: int) -> None:
    """Wait until the list holds these studies in this order."""
    wait(browser, lambda _: listed(browser) == [f"study-{number}" for number in numbers])


def overflow_px(browser: Browser) -> int:
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    wider: int = browser.execute_script(script)
    return wider


def test_the_list_is_filtered_and_the_filter_can_be_cleared(browser: Browser, url: str, filled: None) -> None:
    browser.get(f"{url}/worklist/")
    lists(browser, 3, 2, 1, 5, 4)
    Select(one(browser, "#finding")).select_by_visible_text("Hemorrhage")
    one(browser, "#text").send_keys("jane", Keys.ENTER)
    lists(browser, 3, 2, 1)
    assert "finding=hemorrhage" in browser.current_url
    assert Select(one(browser, "#finding")).first_selected_option.text == "Hemorrhage"
    browser.find_element(By.LINK_TEXT, "Clear filters").click()
    lists(browser, 3, 2, 1, 5, 4)


def test_the_unread_mark_is_taken_where_the_study_stands(
    browser: Browser, url: str, history_app: Flask, filled: None
) -> None:
    posted: list[str | None] = []
    history_app.before_request_funcs.setdefault(None, []).append(
        lambda: posted.append(request.headers.get("Origin")) if request.method == "POST" else None
    )
    browser.get(f"{url}/worklist/?unread=yes&text=doe")
    one(browser, "#study-2 button").click()
    lists(browser, 3, 1)
    assert urlsplit(browser.current_url).fragment == "study-2"
    assert posted == [url]  # a browser that sends no Sec-Fetch-Site is told from other sites by this
    browser.get(f"{url}/worklist/")
    assert "unread" not in one(browser, "#study-2 .cell-finding").text
    assert one(browser, "#study-2 button").text.startswith("Mark unread")
    assert "unread" in one(browser, "#study-3 .cell-finding").text


def test_a_study_is_deleted_only_after_the_question(browser: Browser, url: str, store: Store, filled: None) -> None:
    browser.get(f"{url}/worklist/?text=doe")
    one(browser, "#study-1 .cell-acts a").click()
    wait(browser, lambda _: "Delete this study?" in one(browser, "h1").text)
    browser.find_element(By.LINK_TEXT, "Keep it").click()
    lists(browser, 3, 2, 1)
    one(browser, "#study-1 .cell-acts a").click()
    wait(browser, lambda _: one(browser, ".danger")).click()
    lists(browser, 3, 2)
    assert one(browser, "[role=status].said-once").text == "Study 1 was deleted."
    assert [row.number for row in worklist(store.database, Filter()).rows] == [3, 2, 5, 4]


def test_the_patients_page_shows_what_has_grown(browser: Browser, url: str, filled: None) -> None:
    browser.get(f"{url}/worklist/")
    one(browser, "#study-3 .cell-patient a").click()
    wait(browser, lambda _: one(browser, "h1").text == "DOE JANE")
    marks = [mark.text for mark in browser.find_elements(By.CSS_SELECTOR, ".timeline .tags .tag:nth-of-type(3)")]
    assert marks == ["First", "Not grown", "Grown"]
    dots = browser.find_elements(By.CSS_SELECTOR, ".curve .dot circle:not(.reach)")
    heights = [dot.location["y"] for dot in dots]
    assert heights[2] < heights[1] < heights[0]
    grown, mark = one(browser, ".curve .dot-grown"), one(browser, ".timeline .change-grown")
    assert grown.value_of_css_property("color") == mark.value_of_css_property("color")
    assert grown.get_dom_attribute("href") == "/studies/3/"
    assert "24.3" in (one(browser, ".curve .dot-grown title").get_attribute("textContent") or "")


def test_the_list_is_worked_with_keys(browser: Browser, url: str, filled: None) -> None:
    browser.get(f"{url}/worklist/?text=rita")
    plain = one(browser, "#study-4 td").value_of_css_property("background-color")
    browser.execute_script("document.querySelector('.filter-buttons a').focus()")
    reached = []
    for _ in range(4):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        reached.append(focused.get_dom_attribute("href") or focused.get_dom_attribute("name"))
        assert one(browser, "#study-4 td").value_of_css_property("background-color") != plain
    assert reached == ["/patients/2/", "/studies/4/", "unread", "/studies/4/delete?page=1&text=rita"]
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait(browser, lambda _: "Delete this study?" in one(browser, "h1").text)


@pytest.mark.parametrize("width", [390, 840, 1100, 1440])
@pytest.mark.parametrize(
    "path", ["/worklist/", "/worklist/?finding=x&text=nobody", "/patients/1/", "/studies/1/delete"]
)
def test_no_page_is_wider_than_the_screen(browser: Browser, url: str, filled: None, path: str, width: int) -> None:
    resize(browser, width)
    browser.get(url + path)
    assert overflow_px(browser) == 0


def test_on_a_phone_studies_are_cards_that_name_their_facts(browser: Browser, url: str, filled: None) -> None:
    resize(browser, 390)
    browser.get(f"{url}/worklist/")
    cards = browser.find_elements(By.CSS_SELECTOR, ".worklist tbody tr")
    assert all(card.size["width"] > 300 for card in cards)
    assert cards[1].location["y"] > cards[0].location["y"] + cards[0].size["height"]
    script = "return getComputedStyle(document.querySelector('#study-3 td:nth-child(2)'), '::before').content"
    assert browser.execute_script(script) == '"Blood"'
