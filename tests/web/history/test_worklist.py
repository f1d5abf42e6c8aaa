"""The worklist: the urgent first, filtered and in pages."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from web.history.keeping import set_unread
from web.history.opening import Store
from web.history.readings import store_reading
from web.history.records import KeptStudy, ReadingFacts, UnknownStudy
from web.history.tables import Study
from web.history.worklist import Filter, study, worklist

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
Add = Callable[..., int]


@pytest.fixture
def add(store: Store, keep: Callable[..., KeptStudy]) -> Add:
    """Keep a study and what was found in it; later ones were received an hour later each."""
    made = 0

    def added(finding: str | None = None, volume_ml: float | None = None, **facts: str) -> int:
        nonlocal made
        number = keep(f"slice {made}".encode(), **facts).number
        with store.database.writing() as session:
            when = NOON + timedelta(hours=made)
            session.execute(update(Study).where(Study.id == number).values(received_at=when))
        if finding is not None:
            store_reading(store.database, number, ReadingFacts("reader", "1", finding, {"any": 0.5}, volume_ml))
        made += 1
        return number

    return added


def listed(store: Store, **wanted: object) -> list[int]:
    return [row.number for row in worklist(store.database, Filter(**wanted)).rows]


def test_hemorrhage_comes_first_then_uncertain_then_not_read(store: Store, add: Add) -> None:
    none, waiting, uncertain = add("none", 0.0), add(), add("uncertain", 0.3)
    small, large, unknown = add("hemorrhage", 2.0), add("hemorrhage", 40.0), add("hemorrhage", None)
    assert listed(store) == [large, small, unknown, uncertain, waiting, none]


def test_of_equal_volumes_the_last_received_comes_first(store: Store, add: Add) -> None:
    numbers = [add("hemorrhage", 5.0) for _ in range(3)]
    assert listed(store) == numbers[::-1]


def test_the_last_reading_counts(store: Store, add: Add) -> None:
    first, second = add("hemorrhage", 5.0), add("hemorrhage", 1.0)
    store_reading(store.database, first, ReadingFacts("unet", "2", "none", {"any": 0.0}, 0.0))
    assert listed(store) == [second, first]
    assert listed(store, finding="hemorrhage") == [second]
    assert study(store.database, first).row.read.model == "unet"


def test_filters_by_finding_and_unread(store: Store, add: Add) -> None:
    bleed, none, waiting = add("hemorrhage", 1.0), add("none"), add()
    set_unread(store.database, bleed, False)
    assert listed(store, finding="none") == [none]
    assert listed(store, finding="not_read") == [waiting]
    assert listed(store, finding="uncertain") == []
    assert listed(store, unread=True) == [waiting, none]
    assert listed(store, unread=False) == [bleed]
    assert listed(store, unread=False, finding="none") == []


def test_filters_by_date_include_both_ends(store: Store, add: Add) -> None:
    first, second, _ = add(study_date="20261101"), add(study_date="20261102"), add()
    assert listed(store, first_date=date(2026, 11, 1), last_date=date(2026, 11, 1)) == [first]
    assert listed(store, first_date=date(2026, 11, 2)) == [second]
    assert listed(store, last_date=date(2026, 11, 2)) == [second, first]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("doe", True),
        ("4711", True),
        ("100%", True),
        ("1000", False),
        ("  head ", True),
        ("d_e", False),
        ("\\", False),
        ("'; DROP TABLE study; --", False),
        ("\0doe", True),
    ],
)
def test_text_is_found_as_it_is_written_whatever_the_case(store: Store, add: Add, text: str, found: bool) -> None:
    add(patient_name="DOE^JANE", patient_id="ID4711", description="CT Head 100%")
    assert bool(listed(store, text=text)) is found


def test_pages_hold_their_rows_and_know_how_many_there_are(store: Store, add: Add) -> None:
    numbers = [add("none") for _ in range(5)][::-1]
    page = worklist(store.database, Filter(), page=2, rows_a_page=2)
    assert ([row.number for row in page.rows], page.number, page.pages, page.studies) == (numbers[2:4], 2, 3, 5)
    last = worklist(store.database, Filter(), page=99, rows_a_page=2)
    assert ([row.number for row in last.rows], last.number) == (numbers[4:], 3)
    empty = worklist(store.database, Filter(finding="hemorrhage"))
    assert (empty.rows, empty.number, empty.pages, empty.studies) == ((), 1, 1, 0)


@pytest.mark.parametrize(("page", "rows_a_page"), [(0, 10), (-1, 10), (1, 0), (1, 501)])
def test_impossible_pages_are_refused(store: Store, page: int, rows_a_page: int) -> None:
    with pytest.raises(ValueError, match="pages count from 1"):
        worklist(store.database, Filter(), page, rows_a_page)


def test_a_reading_comes_back_as_it_was_stored(store: Store, add: Add) -> None:
    number = add()
    facts = ReadingFacts(
        model="reader",
        version="0.3.0",
        finding="hemorrhage",
        probabilities={"any": 0.97, "subdural": None},
        volume_ml=12.25,
        uncertainty_ml=1.5,
        subtype_volumes_ml={"subdural": 12.25},
        lesion_volumes_ml=(10.0, 2.25),
        key_slices=(14, 3),
        seconds=2.5,
        notes=("Thick slices.",),
    )
    store_reading(store.database, number, facts)
    read = study(store.database, number).row.read
    assert {name: getattr(read, name) for name in facts.__dataclass_fields__} == vars(facts)
    assert read.made_at.tzinfo is UTC


def test_an_unknown_study_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(UnknownStudy):
        study(store.database, 1)
    with pytest.raises(UnknownStudy):
        store_reading(store.database, 1, ReadingFacts("reader", "1", "none", {}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "maybe"},
        {"probabilities": {"any": 1.5}},
        {"probabilities": {"any": float("nan")}},
        {"probabilities": {"stroke": 0.5}},
        {"volume_ml": -1.0},
        {"volume_ml": float("inf")},
        {"lesion_volumes_ml": (float("nan"),)},
        {"subtype_volumes_ml": {"any": 1.0}},
        {"key_slices": (-1,)},
        {"seconds": -1.0},
    ],
)
def test_what_no_reading_can_say_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        ReadingFacts(**({"model": "m", "version": "1", "finding": "none", "probabilities": {}} | wrong))
