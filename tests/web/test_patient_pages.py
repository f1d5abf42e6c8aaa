"""A patient's page: studies over time, what grew, and the curve, whose places are computed by hand."""

import re
from datetime import datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.keeping import Add
from web.history.opening import Store
from web.history.timeline import timeline
from web.history.worklist import study
from web.volume_curve import BOTTOM_PX, LEFT_PX, RIGHT_PX, TOP_PX, Curve, date_ticks, draw_curve, ml_ticks


@pytest.fixture
def client(history_app: Flask) -> FlaskClient:
    return history_app.test_client()


@pytest.fixture
def three(add: Add) -> tuple[int, int, int]:
    """Studies of one patient that were sent in another order: 10, 11 and 20 ml."""
    facts = {"patient_id": "P-1", "patient_name": "DOE^JANE"}
    third = add("hemorrhage", 20.0, uncertainty_ml=2.0, study_date="20261111", study_time="12", **facts)
    first = add("hemorrhage", 10.0, uncertainty_ml=1.0, study_date="20261101", study_time="12", **facts)
    second = add("hemorrhage", 11.0, study_date="20261106", study_time="12", **facts)
    return first, second, third


def curve_of(store: Store, number: int) -> Curve:
    return draw_curve(timeline(store.database, study(store.database, number).row.patient_number).points)


def test_studies_stand_oldest_first_with_what_changed(client: FlaskClient, three: tuple[int, int, int]) -> None:
    page = client.get("/patients/1/")
    assert [int(one) for one in re.findall(r'<li class="card [\w-]+" id="study-(\d+)"', page.text)] == list(three)
    assert re.findall(r'<span class="tag change-(\w+)">([^<]+)</span>', page.text) == [
        ("first", "First"), ("not_grown", "Not grown"), ("grown", "Grown"),
    ]  # fmt: skip
    assert "Grown: 11.0 ml before, 20.0 ml now." in page.text
    assert "Matched by patient ID; neither study states who issued it." in page.text
    compared = re.findall(r'<a class="button" href="/studies/(\d+)/">Compare with prior', page.text)
    assert [int(number) for number in compared] == list(three[1:])


def test_the_table_says_what_the_curve_shows(client: FlaskClient, three: tuple[int, int, int]) -> None:
    text = client.get("/patients/1/").text
    table = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert table is not None
    cells = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>(.*?)</tr>", table[1])]
    assert [[part for part in row.split("|") if part] for row in cells] == [
        ["2026-11-01 12:00", "10.0\xa0±\xa01.0\xa0ml", "First"],
        ["2026-11-06 12:00", "11.0\xa0ml", "Not grown"],
        ["2026-11-11 12:00", "20.0\xa0±\xa02.0\xa0ml", "Grown"],
    ]
    assert [int(number) for number in re.findall(r'class="dot dot-\w+" href="/studies/(\d+)/"', text)] == list(three)
    assert "style=" not in text


def test_points_lie_where_their_date_and_volume_are(store: Store, three: tuple[int, int, int]) -> None:
    curve = curve_of(store, three[0])
    first, second, third = curve.dots
    assert (first.x, second.x, third.x) == (LEFT_PX + 20, (LEFT_PX + RIGHT_PX) / 2, RIGHT_PX - 20)
    assert [tick.label for tick in curve.ml_ticks] == ["0", "5", "10", "15", "20", "25"]  # 22 ml is the largest
    height = BOTTOM_PX - TOP_PX
    assert third.y == pytest.approx(BOTTOM_PX - height * 20 / 25, abs=0.05)
    assert (third.top, third.bottom) == (
        pytest.approx(BOTTOM_PX - height * 22 / 25, abs=0.05),
        pytest.approx(BOTTOM_PX - height * 18 / 25, abs=0.05),
    )
    assert second.top is None
    assert [dot.word for dot in curve.dots] == ["", "", "Grown"]
    assert [tick.label for tick in curve.date_ticks] == ["2026-11-01", "2026-11-06", "2026-11-11"]


def test_an_error_bar_ends_at_nothing(store: Store, add: Add) -> None:
    dot = curve_of(store, add("hemorrhage", 1.0, uncertainty_ml=3.0, study_date="20261101")).dots[0]
    assert dot.bottom == BOTTOM_PX
    assert dot.top is not None
    assert dot.top >= TOP_PX


def test_a_single_study_stands_in_the_middle(store: Store, add: Add) -> None:
    curve = curve_of(store, add("hemorrhage", 5.0, study_date="20261101"))
    assert curve.dots[0].x == (LEFT_PX + RIGHT_PX) / 2
    assert [(tick.at, tick.label) for tick in curve.date_ticks] == [(337.0, "2026-11-01")]


def test_studies_without_a_date_or_volume_are_counted_not_drawn(client: FlaskClient, add: Add) -> None:
    for finding, volume, day in (("none", 0.0, "20261101"), ("none", 0.0, ""), ("none", None, "20261103")):
        add(finding, volume, study_date=day, patient_id="P-1")
    add(study_date="20261104", patient_id="P-1")
    page = client.get("/patients/1/")
    assert "not in the curve: 3." in page.text
    assert page.text.count('class="dot ') == 1
    assert page.text.count('<li class="card ') == 4


def test_without_any_volume_there_is_no_curve(client: FlaskClient, add: Add) -> None:
    add(study_date="20261104")
    page = client.get("/patients/1/")
    assert "<svg" not in page.text
    assert "No study of this patient has both a date and a measured volume." in page.text


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (0.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.1, [0, 0.5, 1.0, 1.5]),
        (9.9, [0, 2, 4, 6, 8, 10]),
        (10.0, [0, 2, 4, 6, 8, 10]),
        (10.1, [0, 5, 10, 15]),
        (130.0, [0, 50, 100, 150]),
        (499.0, [0, 100, 200, 300, 400, 500]),
    ],
)
def test_the_axis_has_round_numbers(largest: float, expected: list[float]) -> None:
    assert ml_ticks(largest) == pytest.approx(expected)


def test_the_hours_are_written_where_days_do_not_tell_studies_apart() -> None:
    written = [label for _, label in date_ticks(datetime(2026, 11, 1, 6), datetime(2026, 11, 1, 18))]
    assert written == ["11-01 06:00", "11-01 12:00", "11-01 18:00"]


def test_patients_of_one_name_are_never_mixed(client: FlaskClient, store: Store, add: Add) -> None:
    same = {"patient_name": "DOE^JANE", "study_date": "20261101"}
    numbers = [
        add("hemorrhage", 5.0, patient_id="P-1", **same),
        add("hemorrhage", 50.0, patient_id="P-2", **same),
        add("hemorrhage", 51.0, patient_id="P-1", patient_id_issuer="ELSEWHERE", **same),
        add("hemorrhage", 52.0, **same),
        add("hemorrhage", 53.0, **same),
    ]
    patients = [study(store.database, number).row.patient_number for number in numbers]
    assert len(set(patients)) == 5
    for number, patient in zip(numbers, patients, strict=True):
        text = client.get(f"/patients/{patient}/").text
        assert re.findall(r'id="study-(\d+)"', text) == [str(number)]
        assert set(re.findall(r'href="/studies/(\d+)/"', text)) == {str(number)}


def test_another_spelling_of_the_name_is_pointed_out(client: FlaskClient, add: Add) -> None:
    add("none", 0.0, patient_id="P-1", patient_name="DOE^JANE")
    add("none", 0.0, patient_id="P-1", patient_name="ROE^JANE")
    assert "name differs from that of the first study: check it" in client.get("/patients/1/").text


@pytest.mark.parametrize("number", [1, 2**31, 10**30])
def test_unknown_patients_are_not_found(client: FlaskClient, number: int) -> None:
    assert client.get(f"/patients/{number}/").status_code == 404


def test_the_title_names_nobody(client: FlaskClient, three: tuple[int, int, int]) -> None:
    assert "<title>Patient 1 · Hemoscope</title>" in client.get("/patients/1/").text
