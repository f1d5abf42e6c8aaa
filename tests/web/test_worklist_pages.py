"""The worklist as a page: order, filters, marks, deletion with its question, and what is said where nothing stands."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.keeping import Add
from web.history.jobs import JobState, cancel_job, fail_job, queue_job, take_job, tell_progress
from web.history.keeping import set_unread
from web.history.opening import Store
from web.history.worklist import study
from web.worklist_pages import progress_of


@pytest.fixture
def client(history_app: Flask) -> FlaskClient:
    return history_app.test_client()


def rows(page: Any) -> list[int]:
    """The numbers of the studies on a page, in its order."""
    return [int(number) for number in re.findall(r'<tr id="study-(\d+)"', page.text)]


def row(page: Any, number: int) -> str:
    """What stands in one row, without markup, and with plain spaces."""
    inside = re.search(rf'<tr id="study-{number}".*?</tr>', page.text, re.DOTALL)
    assert inside is not None
    return " ".join(re.sub(r"<[^>]+>", " ", inside[0]).split())


def test_urgent_studies_come_first_with_what_was_found(client: FlaskClient, add: Add) -> None:
    none = add("none", 0.0, any_probability=0.004)
    small = add("hemorrhage", 3.0)
    waiting = add()
    uncertain = add("uncertain", 0.4, any_probability=0.31)
    facts = {"patient_name": "DOE^JANE", "patient_id": "P-1", "patient_id_issuer": "WARD", "description": "CT head"}
    large = add("hemorrhage", 21.26, uncertainty_ml=2.5, study_date="20261121", study_time="2359", **facts)
    page = client.get("/worklist/")
    assert rows(page) == [large, small, uncertain, waiting, none]
    shown = row(page, large)
    for words in ("Hemorrhage", "unread", "21.3 ± 2.5 ml", "75 %", "DOE JANE", "P-1 (WARD)", "CT head"):
        assert words in shown
    assert "2026-11-21 23:59" in shown
    assert "Not read" in row(page, waiting)
    assert "0.0 ml &lt; 1 %" in row(page, none)
    assert f'href="/studies/{large}/"' in page.text
    assert "no patient ID" in row(page, small)


def test_times_of_arrival_are_in_utc_and_said_to_be(client: FlaskClient, store: Store, add: Add) -> None:
    number = add("none", 0.0)
    page = client.get("/worklist/")
    assert f"{study(store.database, number).row.received_at:%Y-%m-%d %H:%M}" in row(page, number)
    assert "Received (UTC)" in page.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("finding=hemorrhage", [1]),
        ("finding=not_read", [3]),
        ("unread=yes", [1, 3]),
        ("unread=no", [2]),
        ("first_date=2026-11-02&last_date=2026-11-03", [3, 2]),
        ("last_date=2026-11-01", [1]),
        ("text=doe", [1, 2]),
        ("text=+DOE%5EJOHN", [2]),
        ("text=doe+jane", [1]),  # as the page writes the name
        ("text=jane+cab", [1]),  # a word of the name, and one of the description
        ("text=%25", []),
        ("finding=&unread=&text=", [1, 3, 2]),
        ("finding=hemorrhage&text=john", []),
    ],
)
def test_filters_are_read_from_the_address(
    client: FlaskClient, store: Store, add: Add, query: str, expected: list[int]
) -> None:
    add("hemorrhage", 9.0, study_date="20261101", patient_name="DOE^JANE", description="Head after a cab accident")
    add("none", 0.0, study_date="20261103", patient_name="DOE^JOHN")
    add(study_date="20261102", patient_name="ROE^RITA")
    set_unread(store.database, 2, False)
    page = client.get(f"/worklist/?{query}")
    assert page.status_code == 200
    assert rows(page) == expected
    assert 'role="alert"' not in page.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("finding=shoes", "There is no choice &#39;shoes&#39;"),
        ("unread=perhaps", "There is no choice &#39;perhaps&#39;"),
        ("first_date=yesterday", "&#39;yesterday&#39; is no date"),
        ("last_date=2026-02-30", "&#39;2026-02-30&#39; is no date"),
        ("page=0", "Pages are counted from 1"),
        ("page=x", "Pages are counted from 1"),
        ("page=-1", "Pages are counted from 1"),
        ("page=" + "9" * 5000, "Pages are counted from 1"),
        ("page=%C2%B2", "Pages are counted from 1"),  # a raised 2: a digit, and no number
        ("first_date=2026-11-02&last_date=2026-11-01", "lies after the last"),
        ("finding=%3Cscript%3E", "&lt;script&gt;"),
        ("text=%00%ff", ""),
        ("text=" + "x+" * 65, "more than 128 letters"),
    ],
)
def test_wrong_values_get_the_page_with_a_sentence(client: FlaskClient, add: Add, query: str, sentence: str) -> None:
    add("none", 0.0)
    page = client.get(f"/worklist/?{query}")
    assert page.status_code == 200
    assert sentence in page.text
    assert "<script>" not in page.text


def test_a_wrong_filter_leaves_the_others_in_force(client: FlaskClient, add: Add) -> None:
    add("none", 0.0)
    bleeding = add("hemorrhage", 1.0)
    page = client.get("/worklist/?finding=hemorrhage&first_date=never")
    assert rows(page) == [bleeding]
    assert 'action="/studies/2/unread?page=1&amp;finding=hemorrhage"' in page.text  # what was wrong goes no further


def test_a_long_list_comes_in_pages_that_keep_the_filter(client: FlaskClient, add: Add) -> None:
    for volume in range(51):
        add("hemorrhage", float(volume), patient_name="DOE")
    first = client.get("/worklist/?text=doe")
    assert len(rows(first)) == 50
    assert "Page 1 of 2" in first.text
    assert 'rel="next" href="/worklist/?page=2&amp;text=doe"' in first.text
    assert 'rel="prev"' not in first.text
    for beyond in (2, 7):
        last = client.get(f"/worklist/?text=doe&page={beyond}")
        assert rows(last) == [1]
        assert "Page 2 of 2" in last.text
        assert 'rel="next"' not in last.text


def test_an_empty_history_says_how_to_send_a_study(client: FlaskClient) -> None:
    for address in ("/worklist/", "/worklist/?finding=hemorrhage"):
        page = client.get(address)
        assert "No study has been sent yet" in page.text
        assert 'href="/studies/demo/"' in page.text
        assert "<form" not in page.text


def test_where_none_fits_the_filters_can_be_cleared(client: FlaskClient, add: Add) -> None:
    add("none", 0.0)
    page = client.get("/worklist/?finding=hemorrhage")
    assert "No study fits these filters" in page.text
    assert '<a href="/worklist/">Clear filters</a>' in page.text


def test_what_a_header_holds_is_text_not_markup(client: FlaskClient, add: Add) -> None:
    number = add("none", 0.0, patient_name="<b>X", description="<i>", warnings=("<u>",), patient_id="<s>")
    for address in ("/worklist/", f"/studies/{number}/delete", "/patients/1/"):
        text = client.get(address).text
        assert not re.search(r"<[bius]>", text)
        assert "&lt;b&gt;X" in text


def test_the_unread_mark_is_taken_and_set(client: FlaskClient, store: Store, add: Add) -> None:
    number = add("none", 0.0)
    answer = client.post(f"/studies/{number}/unread?text=doe&page=3&more=x", data={"unread": "no"})
    assert answer.status_code == 303
    assert answer.location == f"/worklist/?text=doe&page=3#study-{number}"
    assert not study(store.database, number).row.unread
    assert "Mark unread" in client.get("/worklist/").text
    client.post(f"/studies/{number}/unread", data={"unread": "yes"})
    assert study(store.database, number).row.unread


@pytest.mark.parametrize("form", [{}, {"unread": "maybe"}])
def test_a_mark_that_says_nothing_is_refused(client: FlaskClient, add: Add, form: dict[str, str]) -> None:
    answer = client.post(f"/studies/{add('none', 0.0)}/unread", data=form)
    assert (answer.status_code, "yes or no" in answer.text) == (400, True)


def test_deletion_asks_first_and_says_what_goes(client: FlaskClient, store: Store, add: Add) -> None:
    facts = {"patient_id": "P-1", "patient_name": "DOE^JANE"}
    number, other = add("hemorrhage", 9.0, study_date="20261101", **facts), add("none", 0.0, **facts)
    page = client.get(f"/studies/{number}/delete?text=doe")
    for words in ("Delete this study?", "DOE JANE, ID P-1", "2026-11-01", "other study stays", "cannot be undone"):
        assert words in page.text
    assert f'action="/studies/{number}/delete?text=doe"' in page.text
    assert study(store.database, number).row.number == number  # asking deletes nothing
    answer = client.post(f"/studies/{number}/delete?text=doe")
    assert (answer.status_code, answer.location) == (303, f"/worklist/?text=doe&deleted={number}")
    listed = client.get(answer.location)
    assert rows(listed) == [other]
    assert f"Study {number} was deleted." in listed.text
    assert "and the patient" in client.get(f"/studies/{other}/delete").text


def test_a_study_that_still_exists_is_not_said_to_be_deleted(client: FlaskClient, add: Add) -> None:
    number = add("none", 0.0)
    for said in (number, 0, -1, 10**30, "x"):
        assert "was deleted" not in client.get(f"/worklist/?deleted={said}").text


@pytest.mark.parametrize("number", [99, 2**31 - 1, 2**31, 10**30])
def test_unknown_studies_are_not_found(client: FlaskClient, number: int) -> None:
    assert client.get(f"/studies/{number}/delete").status_code == 404
    refused = {404} if number < 2**31 else {404, 405}  # past what a column holds, no route takes it
    assert client.post(f"/studies/{number}/delete").status_code in refused
    assert client.post(f"/studies/{number}/unread", data={"unread": "no"}).status_code in refused


def test_where_a_reading_stands_is_said(client: FlaskClient, store: Store, add: Add) -> None:
    def listed() -> str:
        return row(client.get("/worklist/"), number)

    number = add()
    job = queue_job(store.database, number, "reader")
    assert "Waits to be read." in listed()
    take_job(store.database, "worker")
    assert "Is being read." in listed()
    assert "It is being read" in client.get(f"/studies/{number}/delete").text
    tell_progress(store.database, job, "worker", 12, 30)
    assert re.search(r"Is being read: 12 of 30 slices, about \d+ s left\.", listed())
    fail_job(store.database, job, "worker", "The slices lie too far apart.")
    assert "The slices lie too far apart." in listed()
    cancel_job(store.database, queue_job(store.database, number, "reader"))
    assert "The reading was cancelled." in listed()
    assert "too far" not in listed()


def test_time_left_is_told_at_the_pace_so_far() -> None:
    now = datetime.now(UTC)
    job = JobState(1, 1, "reader", "running", 10, 30, "", now, now - timedelta(seconds=5), None)
    assert progress_of(job, now) == "Is being read: 10 of 30 slices, about 10 s left."


def test_the_pages_are_kept_by_no_cache_and_marked_in_the_navigation(client: FlaskClient, add: Add) -> None:
    number = add("none", 0.0)
    for address, current in (("/worklist/", "page"), (f"/studies/{number}/delete", "true"), ("/patients/1/", "true")):
        page = client.get(address)
        assert page.headers["Cache-Control"] == "no-store"
        assert f'<a href="/worklist/" aria-current="{current}">Worklist</a>' in page.text
    assert '<a href="/worklist/">Worklist</a>' in client.get("/about").text
