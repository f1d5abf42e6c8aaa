"""One patient over time: what is new and what has grown, by the rule, against the right prior."""

from collections.abc import Callable

import pytest

from web.history.opening import Store
from web.history.readings import store_reading
from web.history.records import KeptStudy, ReadingFacts, UnknownPatient
from web.history.timeline import timeline
from web.history.worklist import study

Add = Callable[..., int]


@pytest.fixture
def add(store: Store, keep: Callable[..., KeptStudy]) -> Add:
    """Keep a study of patient 7 and the volume in it; `None` leaves it unread."""
    made = 0

    def added(
        volume_ml: float | None,
        day: str,
        *,
        hour: str = "12",
        finding: str | None = None,
        model: str = "reader",
        uncertainty_ml: float | None = None,
        read: bool = True,
        **facts: str,
    ) -> int:
        nonlocal made
        made += 1
        facts = {"patient_id": "7", "study_date": day and f"202611{day}", "study_time": hour} | facts
        number = keep(f"slice {made}".encode(), **facts).number
        if read:
            finding = finding or ("hemorrhage" if volume_ml else "none")
            reading = ReadingFacts(model, "1", finding, {}, volume_ml, uncertainty_ml)
            store_reading(store.database, number, reading)
        return number

    return added


def changes(store: Store) -> dict[int, tuple[str, int | None]]:
    found = timeline(store.database, study(store.database, 1).row.patient_number)
    return {point.row.number: (point.change.kind, point.change.prior_number) for point in found.points}


@pytest.mark.parametrize(
    ("before_ml", "now_ml", "kind"),
    [
        (0.0, 3.0, "new"),
        (9.0, 12.0, "not_grown"),  # by a third exactly
        (9.0, 12.1, "grown"),
        (30.0, 36.0, "not_grown"),  # by 6 ml exactly, 20 %
        (30.0, 36.1, "grown"),
        (30.0, 10.0, "not_grown"),
        (3.0, 0.0, "not_grown"),
        (0.0, 0.0, "not_grown"),
    ],
)
def test_growth_is_more_than_a_third_or_more_than_six_ml(
    store: Store, add: Add, before_ml: float, now_ml: float, kind: str
) -> None:
    first, second = add(before_ml, "01"), add(now_ml, "02")
    assert changes(store) == {first: ("first", None), second: (kind, first)}
    change = timeline(store.database, 1).points[1].change
    assert change.difference_ml == pytest.approx(now_ml - before_ml)


def test_studies_come_in_the_order_of_their_dates_not_of_their_arrival(store: Store, add: Add) -> None:
    third, first, second = add(3.0, "03"), add(1.0, "01"), add(2.0, "02")
    assert list(changes(store)) == [first, second, third]


def test_an_unread_study_is_no_prior(store: Store, add: Add) -> None:
    first, unread, second = add(10.0, "01"), add(None, "02", read=False), add(20.0, "03")
    found = changes(store)
    assert found[unread] == ("unknown", first)
    assert found[second] == ("grown", first)


def test_a_study_without_a_date_is_compared_with_none(store: Store, add: Add) -> None:
    undated, dated = add(1.0, ""), add(50.0, "01")
    assert changes(store) == {dated: ("first", None), undated: ("unknown", None)}


def test_of_one_day_without_times_no_order_is_made_up(store: Store, add: Add) -> None:
    add(1.0, "01", hour="")
    add(50.0, "01", hour="")
    assert [kind for kind, _ in changes(store).values()] == ["first", "unknown"]


def test_one_day_with_times_has_an_order(store: Store, add: Add) -> None:
    late, early = add(50.0, "01", hour="18"), add(1.0, "01", hour="06")
    assert changes(store) == {early: ("first", None), late: ("grown", early)}


def test_the_same_study_sent_with_other_files_is_not_its_own_prior(store: Store, add: Add) -> None:
    add(1.0, "01", study_uid="1.2.3")
    add(50.0, "01", hour="13", study_uid="1.2.3")
    assert [kind for kind, _ in changes(store).values()] == ["first", "first"]


def test_without_a_volume_new_blood_is_told_by_the_findings(store: Store, add: Add) -> None:
    first = add(None, "01", finding="none")
    second = add(None, "02", finding="hemorrhage")
    third = add(None, "03", finding="hemorrhage")
    assert changes(store) == {first: ("first", None), second: ("new", first), third: ("unknown", second)}


def test_other_models_and_the_measurements_uncertainty_are_said(store: Store, add: Add) -> None:
    add(10.0, "01", uncertainty_ml=3.0)
    add(14.0, "02", uncertainty_ml=4.0, model="unet")
    sentence = timeline(store.database, 1).points[1].change.sentence
    assert sentence.startswith("Grown: 10.0 ml before, 14.0 ml now.")
    assert "Different models" in sentence
    assert "±5.0 ml" in sentence


def test_doubtful_blood_is_not_called_bleeding(store: Store, add: Add) -> None:
    add(0.0, "01")
    add(0.5, "02", finding="uncertain")
    assert timeline(store.database, 1).points[1].change.sentence.startswith("Possible bleeding")


def test_another_patients_studies_are_not_in_it(store: Store, add: Add) -> None:
    own = add(1.0, "01")
    add(50.0, "02", patient_id="8")
    add(50.0, "02", patient_id="7", patient_id_issuer="ELSEWHERE")
    assert list(changes(store)) == [own]


def test_an_unknown_patient_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(UnknownPatient):
        timeline(store.database, 1)
