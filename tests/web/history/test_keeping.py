"""Studies come in once, under the right patient, and go out without a trace."""

import io
import logging
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from web.history import keeping
from web.history.jobs import queue_job
from web.history.keeping import delete_study, keep_study, remove_expired, remove_strays, set_unread
from web.history.opening import Store
from web.history.readings import store_reading
from web.history.records import (
    KeptStudy,
    ReadingFacts,
    SeriesFacts,
    StudyFacts,
    UnknownStudy,
    parse_date,
    parse_time,
)
from web.history.tables import Base, Patient, Study
from web.history.timeline import timeline
from web.history.worklist import Filter, study, worklist

Keep = Callable[..., KeptStudy]


def rows(store: Store, table: type[Base]) -> int:
    with store.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_kept_study_comes_back_as_it_was_sent(store: Store) -> None:
    facts = StudyFacts(
        "4711", "HOSPITAL", "DOE^JANE", "F", "061Y", "1.2.3", "20261121", "143005.25", "CT head without contrast"
    )
    series = (
        SeriesFacts("1.2.3.1", 2, "5 mm", "H31s", 30, True, "Axial, soft kernel."),
        SeriesFacts("1.2.3.2", None, "", "", 1, False, "A localizer."),
    )
    streams = [io.BytesIO(b"one"), io.BytesIO(b"two!")]
    kept = keep_study(store.database, store.files, streams, facts, series, warnings=("Text.",))
    found = study(store.database, kept.number)
    row = found.row
    assert kept.new
    assert (row.patient_id, row.patient_id_issuer, row.patient_name) == ("4711", "HOSPITAL", "DOE^JANE")
    assert (row.study_uid, row.study_date, row.study_time) == ("1.2.3", date(2026, 11, 21), time(14, 30, 5, 250_000))
    assert (row.description, row.files, row.size_bytes) == ("CT head without contrast", 2, 7)
    assert (row.unread, row.state, row.read, row.warnings) == (True, "received", None, ("Text.",))
    assert timedelta(0) <= datetime.now(UTC) - row.received_at < timedelta(minutes=1)
    assert found.series == series
    assert len(store.files.files_of(row.content_hash)) == 2


def test_letters_that_no_database_takes_are_left_out(store: Store) -> None:
    odd = "A\0B\ud800\x1b"
    facts = StudyFacts("7", "H", odd, odd, odd, odd, odd, odd, odd)
    series = (SeriesFacts(odd, 1, odd, odd, 1, True, odd),)
    kept = keep_study(store.database, store.files, [io.BytesIO(b"1")], facts, series, warnings=(odd,))
    store_reading(store.database, kept.number, ReadingFacts(odd, odd, "none", {}, notes=(odd,)))
    found = study(store.database, kept.number)
    assert (found.row.patient_name, found.row.description, found.row.warnings) == ("AB", "AB", ("AB",))
    assert (found.row.study_date, found.row.study_time) == (None, None)
    assert (found.series[0].reason, found.row.read.model, found.row.read.notes) == ("AB", "AB", ("AB",))


def test_the_same_files_in_another_order_are_the_same_study(store: Store) -> None:
    facts = StudyFacts(patient_id="1")
    first = keep_study(store.database, store.files, [io.BytesIO(b"1"), io.BytesIO(b"2")], facts)
    again = keep_study(store.database, store.files, [io.BytesIO(b"2"), io.BytesIO(b"1")], StudyFacts(patient_id="9"))
    assert (again.number, again.new) == (first.number, False)
    assert rows(store, Study) == rows(store, Patient) == 1
    assert study(store.database, first.number).row.patient_id == "1"
    assert store.files.strays(-1) == ()


def test_threads_that_store_one_study_get_one_row(store: Store) -> None:
    results: list[KeptStudy] = []
    meet = threading.Barrier(4)

    def send() -> None:
        meet.wait()
        facts = StudyFacts(patient_id="1")
        results.append(keep_study(store.database, store.files, [io.BytesIO(b"slice")], facts))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.new for result in results) == [False, False, False, True]
    assert len({result.number for result in results}) == 1
    assert rows(store, Study) == rows(store, Patient) == 1
    assert len(store.files.files_of(results[0].content_hash)) == 1
    assert store.files.strays(-1) == ()


def test_threads_that_store_two_studies_of_a_new_patient_get_one_patient(store: Store) -> None:
    meet = threading.Barrier(3)

    def send(content: bytes) -> None:
        meet.wait()
        keep_study(store.database, store.files, [io.BytesIO(content)], StudyFacts(patient_id="1"))

    threads = [threading.Thread(target=send, args=(content,)) for content in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (rows(store, Study), rows(store, Patient)) == (3, 1)


@pytest.mark.parametrize(
    ("other", "together"),
    [
        ({"patient_id": "7", "patient_id_issuer": "A"}, True),
        ({"patient_id": " 7 ", "patient_id_issuer": "A"}, True),  # spaces around are not significant (PS3.5 6.2, LO)
        ({"patient_id": "7", "patient_id_issuer": "B"}, False),
        ({"patient_id": "7"}, False),
        ({"patient_id": "07", "patient_id_issuer": "A"}, False),
        ({"patient_id_issuer": "A"}, False),
        ({}, False),
    ],
)
def test_patients_are_matched_by_id_and_issuer(store: Store, keep: Keep, other: dict[str, str], together: bool) -> None:
    keep(b"1", patient_id="7", patient_id_issuer="A")
    keep(b"2", **other)
    assert rows(store, Patient) == (1 if together else 2)


def test_studies_without_a_patient_id_stay_apart(store: Store, keep: Keep) -> None:
    numbers = [keep(content, patient_name="DOE^JANE").number for content in (b"1", b"2")]
    found = [study(store.database, number).row for number in numbers]
    assert found[0].patient_number != found[1].patient_number
    assert found[1].matched_by == "The study states no patient ID: it is matched with no other study."


def test_ids_that_would_have_to_be_cut_match_nothing(store: Store, keep: Keep) -> None:
    for number, patient_id in enumerate(["x" * 200 + "1", "x" * 200 + "2", "A\0B", "AB"]):
        keep(bytes([number]), patient_id=patient_id)
    assert rows(store, Patient) == 4


def test_what_matched_is_stored(store: Store, keep: Keep) -> None:
    keep(b"1", patient_id="7", patient_id_issuer="A", patient_name="DOE^JANE")
    same = keep(b"2", patient_id="7", patient_id_issuer="A", patient_name="Doe^Jane^")
    differs = keep(b"3", patient_id="7", patient_id_issuer="A", patient_name="ROE^RICHARD")
    assert study(store.database, same.number).row.matched_by == "Matched by patient ID and issuer."
    assert "name differs" in study(store.database, differs.number).row.matched_by


def test_a_study_that_cannot_be_written_leaves_no_files(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IntegrityError("", {}, Exception())

    monkeypatch.setattr(keeping, "_patient_of", fail)
    with pytest.raises(IntegrityError):
        keep(b"1")
    assert rows(store, Study) == 0
    assert store.files.hashes(-1) == store.files.strays(-1) == ()


def test_a_study_whose_files_cannot_take_their_place_gets_no_row(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(type(store.files), "publish", fail)
    with pytest.raises(OSError, match="space"):
        keep(b"1")
    assert rows(store, Study) == rows(store, Patient) == 0


def test_deletion_removes_files_rows_and_the_last_studys_patient(store: Store, keep: Keep) -> None:
    first, second = keep(b"1", patient_id="7"), keep(b"2", patient_id="7")
    for kept in (first, second):
        queue_job(store.database, kept.number, "reader")
        store_reading(store.database, kept.number, ReadingFacts("reader", "1", "none", {}))
    removed = delete_study(store.database, store.files, first.number)
    assert (removed.number, removed.size_bytes) == (first.number, 1)
    assert store.files.files_of(first.content_hash) == ()
    assert rows(store, Patient) == 1
    delete_study(store.database, store.files, second.number)
    assert [rows(store, mapper.class_) for mapper in Base.registry.mappers] == [0, 0, 0, 0, 0]
    assert [path for path in store.files.root.rglob("*") if path.is_file()] == []


def test_what_was_deleted_is_in_no_file_of_sqlite(store: Store, keep: Keep, tmp_path: Path) -> None:
    if not store.database.on_sqlite:
        pytest.skip("PostgreSQL's files are its own")
    kept = keep(b"1", patient_id="ID-4711", patient_name="UNFORGETTABLE^NAME")
    store_reading(store.database, kept.number, ReadingFacts("reader", "1", "none", {}, notes=("UNFORGETTABLE",)))
    assert any(b"UNFORGETTABLE" in file.read_bytes() for file in tmp_path.glob("history.sqlite*"))
    delete_study(store.database, store.files, kept.number)
    for file in tmp_path.glob("history.sqlite*"):
        assert b"UNFORGETTABLE" not in file.read_bytes()
        assert b"ID-4711" not in file.read_bytes()


def test_sqlite_has_the_pragmas_that_deletion_and_waiting_need(store: Store) -> None:
    if not store.database.on_sqlite:
        pytest.skip("pragmas are SQLite's")
    with store.database.reading() as session:
        names = ("foreign_keys", "journal_mode", "secure_delete", "busy_timeout")
        values = [session.execute(text(f"PRAGMA {name}")).scalar() for name in names]
    assert values == [1, "wal", 1, 30_000]


def test_a_deletion_that_fails_changes_nothing(store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep(b"1", patient_id="7")

    def fail(*_: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(type(store.files), "set_aside", fail)
    with pytest.raises(OSError, match="read-only"):
        delete_study(store.database, store.files, kept.number)
    assert rows(store, Study) == rows(store, Patient) == 1
    assert len(store.files.files_of(kept.content_hash)) == 1


def test_an_unknown_study_can_be_neither_deleted_nor_marked(store: Store) -> None:
    with pytest.raises(UnknownStudy):
        delete_study(store.database, store.files, 3)
    with pytest.raises(UnknownStudy):
        set_unread(store.database, 3, False)


def test_a_deleted_study_can_be_sent_again(store: Store, keep: Keep) -> None:
    first = keep(b"1")
    delete_study(store.database, store.files, first.number)
    again = keep(b"1")
    assert again.new
    assert again.number > first.number
    assert len(store.files.files_of(again.content_hash)) == 1


def test_senders_and_deleters_at_once_leave_rows_with_files(store: Store, keep: Keep) -> None:
    def send_and_delete() -> None:
        for _ in range(5):
            kept = keep(b"1", patient_id="7")
            try:
                delete_study(store.database, store.files, kept.number)
            except UnknownStudy:
                continue

    threads = [threading.Thread(target=send_and_delete) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(store, Study) == len(store.files.hashes(-1)) == 0
    kept = keep(b"1", patient_id="7")
    assert len(store.files.files_of(kept.content_hash)) == 1


def test_retention_removes_what_is_too_old_and_says_what(store: Store, keep: Keep) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    kept = [keep(bytes([days]) * 10, patient_id=str(days)) for days in (29, 31, 40)]
    with store.database.writing() as session:
        for one, days in zip(kept, (29, 31, 40), strict=True):
            moved = update(Study).where(Study.id == one.number).values(received_at=now - timedelta(days=days))
            session.execute(moved)
    assert remove_expired(store.database, store.files, 0, now) == ()
    removed = remove_expired(store.database, store.files, 30, now)
    assert [one.number for one in removed] == [kept[2].number, kept[1].number]
    assert [(now - one.received_at).days for one in removed] == [40, 31]
    assert [row.number for row in worklist(store.database, Filter()).rows] == [kept[0].number]


def test_files_without_a_row_are_removed_and_others_stay(store: Store, keep: Keep) -> None:
    kept = keep(b"1")
    orphan, halfway = store.files.receive([io.BytesIO(b"2")]), store.files.receive([io.BytesIO(b"3")])
    store.files.publish(orphan)
    assert remove_strays(store.database, store.files) == 0  # they may be on their way
    assert remove_strays(store.database, store.files, older_than_seconds=-1) == 2
    assert store.files.hashes(-1) == (kept.content_hash,)
    assert not halfway.folder.exists()


def test_nothing_of_a_patient_is_logged(store: Store, keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kept = keep(b"1", patient_id="ID-4711", patient_name="UNFORGETTABLE^NAME", study_uid="1.2.3.4711")
    keep(b"1", patient_id="ID-4711")
    timeline(store.database, study(store.database, kept.number).row.patient_number)
    delete_study(store.database, store.files, kept.number)
    assert not [record for record in caplog.records if "4711" in record.getMessage() or "UNFORG" in record.getMessage()]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("20260229", None),
        ("20240229", date(2024, 2, 29)),
        ("2024.02.29", None),
        ("", None),
        ("2024022\N{FULLWIDTH DIGIT NINE}", None),
        (" 20261122 ", date(2026, 11, 22)),
    ],
)
def test_dates_are_read_as_dicom_writes_them(written: str, read: date | None) -> None:
    assert parse_date(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("14", time(14)),
        ("1430", time(14, 30)),
        ("143005", time(14, 30, 5)),
        ("143005.5", time(14, 30, 5, 500_000)),
        ("250000", None),
        ("14:30", None),
        ("143", None),
        ("", None),
    ],
)
def test_times_are_read_as_dicom_writes_them(written: str, read: time | None) -> None:
    assert parse_time(written) == read
