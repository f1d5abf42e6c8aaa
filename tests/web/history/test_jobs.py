"""Jobs change their state once, whoever asks, and say so after a restart."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from web.history.database import Database, parse_url
from web.history.jobs import (
    INTERRUPTED,
    JobState,
    UnknownJob,
    cancel_job,
    fail_job,
    finish_job,
    job_state,
    latest_done_job,
    latest_job,
    latest_jobs,
    mark_interrupted,
    queue_first_job,
    queue_job,
    take_job,
    tell_progress,
)
from web.history.keeping import delete_study, set_unread
from web.history.opening import Store
from web.history.records import KeptStudy, ReadingFacts, UnknownStudy
from web.history.worklist import study

FACTS = ReadingFacts("reader", "0.3.0", "hemorrhage", {"any": 0.9}, 12.5)


@pytest.fixture
def job(store: Store, keep: Callable[..., KeptStudy]) -> int:
    return queue_job(store.database, keep().number, "reader")


def test_a_job_goes_from_queued_to_done(store: Store, job: int) -> None:
    database = store.database
    assert (job_state(database, job).state, job_state(database, job).slices) == ("queued", None)
    taken = take_job(database, "a")
    assert (taken.number, taken.state, taken.model) == (job, "running", "reader")
    assert take_job(database, "b") is None
    assert tell_progress(database, job, "a", 10, 30)
    now = job_state(database, job)
    assert (now.slices_done, now.slices) == (10, 30)
    assert finish_job(database, job, "a", FACTS)
    ended = job_state(database, job)
    assert (ended.state, ended.slices_done, ended.slices) == ("done", 30, 30)
    row = study(database, ended.study_number).row
    assert (row.state, row.unread, row.read.finding, row.read.volume_ml) == ("read", True, "hemorrhage", 12.5)


def test_the_state_outlives_the_process(store: Store, database_url: str, job: int) -> None:
    take_job(store.database, "a")
    tell_progress(store.database, job, "a", 3, 30)
    another = Database(parse_url(database_url))
    assert (job_state(another, job).state, job_state(another, job).slices_done) == ("running", 3)
    another.close()


def test_jobs_are_taken_in_the_order_they_came_and_each_once(store: Store, keep: Callable[..., KeptStudy]) -> None:
    number = keep().number
    queued = [queue_job(store.database, number, "reader") for _ in range(6)]
    taken: list[JobState | None] = []
    meet = threading.Barrier(3)

    def work() -> None:
        meet.wait()
        taken.extend(take_job(store.database, "a") for _ in range(2))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in taken if one) == queued
    assert take_job(store.database, "a") is None


@pytest.mark.parametrize("running", [False, True])
def test_a_cancelled_job_stays_cancelled(store: Store, job: int, running: bool) -> None:
    database = store.database
    if running:
        take_job(database, "a")
    assert cancel_job(database, job)
    assert not cancel_job(database, job)
    assert take_job(database, "a") is None
    assert not tell_progress(database, job, "a", 1, 30)
    assert not finish_job(database, job, "a", FACTS)
    assert not fail_job(database, job, "a", "Too late.")
    assert job_state(database, job).state == "cancelled"
    assert study(database, 1).row.read is None


def test_a_failed_job_says_why(store: Store, job: int) -> None:
    take_job(store.database, "a")
    assert fail_job(store.database, job, "a", "The slices have no positions.")
    assert (job_state(store.database, job).state, job_state(store.database, job).message) == (
        "failed",
        "The slices have no positions.",
    )
    assert study(store.database, 1).row.state == "failed"


def test_a_study_that_was_read_stays_read_when_a_later_job_fails(store: Store, job: int) -> None:
    take_job(store.database, "a")
    finish_job(store.database, job, "a", FACTS)
    later = queue_job(store.database, 1, "unet")
    take_job(store.database, "a")
    fail_job(store.database, later, "a", "No.")
    assert study(store.database, 1).row.state == "read"


def test_a_job_whose_process_died_is_marked_and_one_that_lives_is_not(
    store: Store, keep: Callable[..., KeptStudy]
) -> None:
    database, now = store.database, datetime.now(UTC)
    dead, waiting = (queue_job(database, keep().number, "reader") for _ in range(2))
    take_job(database, "a")
    assert mark_interrupted(database, now + timedelta(seconds=30)) == 0
    assert mark_interrupted(database, now + timedelta(seconds=90)) == 1
    assert (job_state(database, dead).state, job_state(database, dead).message) == ("interrupted", INTERRUPTED)
    assert job_state(database, waiting).state == "queued"
    assert not tell_progress(database, dead, "a", 4, 30)  # it was slow, not dead: it stops


def test_another_process_cannot_end_a_job(store: Store, job: int) -> None:
    take_job(store.database, "a")
    assert not finish_job(store.database, job, "b", FACTS)
    assert not fail_job(store.database, job, "b", "No.")
    assert not tell_progress(store.database, job, "b", 1, 2)
    assert job_state(store.database, job).state == "running"


def test_a_job_goes_with_its_study(store: Store, job: int) -> None:
    take_job(store.database, "a")
    delete_study(store.database, store.files, 1)
    assert not tell_progress(store.database, job, "a", 1, 2)
    assert not finish_job(store.database, job, "a", FACTS)
    with pytest.raises(UnknownJob):
        job_state(store.database, job)


def test_a_job_needs_a_study(store: Store) -> None:
    with pytest.raises(UnknownStudy):
        queue_job(store.database, 4711, "reader")


def test_a_new_reading_makes_a_study_unread_again(store: Store, job: int) -> None:
    set_unread(store.database, 1, False)
    assert not study(store.database, 1).row.unread
    take_job(store.database, "a")
    finish_job(store.database, job, "a", FACTS)
    assert study(store.database, 1).row.unread


def test_the_time_left_follows_the_pace_so_far() -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    state = JobState(1, 1, "reader", "running", 10, 40, "", start, start, None)
    assert state.seconds_left(start + timedelta(seconds=2)) == pytest.approx(6.0)
    assert JobState(1, 1, "reader", "running", 0, 40, "", start, start, None).seconds_left(start) is None
    assert JobState(1, 1, "reader", "done", 40, 40, "", start, start, start).seconds_left(start) is None


def test_the_last_job_of_each_study_is_found(store: Store, keep: Callable[..., KeptStudy]) -> None:
    one, two, three = (keep(content).number for content in (b"a", b"b", b"c"))
    cancel_job(store.database, queue_job(store.database, one, "reader"))
    again = queue_job(store.database, one, "unet")
    other = queue_job(store.database, two, "reader")
    found = latest_jobs(store.database, [one, two, three])
    assert {number: (job.number, job.state) for number, job in found.items()} == {
        one: (again, "queued"), two: (other, "queued"),
    }  # fmt: skip
    assert latest_jobs(store.database, []) == {}


def test_a_job_knows_the_series_that_it_reads(store: Store, job: int) -> None:
    picked = queue_job(store.database, 1, "reader", "1.2.840.3")
    assert (job_state(store.database, job).series, job_state(store.database, picked).series) == ("", "1.2.840.3")


def test_the_latest_job_and_the_latest_reading_of_a_study_are_known(store: Store, job: int) -> None:
    database = store.database
    assert latest_done_job(database, 1) is None
    take_job(database, "a")
    finish_job(database, job, "a", FACTS)
    again = queue_job(database, 1, "unet")
    assert (latest_job(database, 1).number, latest_job(database, 1).state) == (again, "queued")
    assert latest_done_job(database, 1).number == job
    assert latest_job(database, 4711) is None


def test_a_study_that_is_sent_again_is_not_queued_again_unless_its_reading_failed(
    store: Store, keep: Callable[..., KeptStudy]
) -> None:
    database, number = store.database, keep().number
    first = queue_first_job(database, number, "reader")
    assert queue_first_job(database, number, "reader") is None
    take_job(database, "a")
    assert queue_first_job(database, number, "reader") is None
    fail_job(database, first, "a", "No.")
    second = queue_first_job(database, number, "reader", "2")
    assert job_state(database, second).series == "2"
    take_job(database, "a")
    finish_job(database, second, "a", FACTS)
    assert queue_first_job(database, number, "reader") is None
    with pytest.raises(UnknownStudy):
        queue_first_job(database, 4711, "reader")


def test_progress_says_what_is_done_until_the_job_ends(store: Store, job: int) -> None:
    take_job(store.database, "a")
    tell_progress(store.database, job, "a", 1, 30, "Opening the slices.")
    assert job_state(store.database, job).message == "Opening the slices."
    finish_job(store.database, job, "a", FACTS)
    assert job_state(store.database, job).message == ""
