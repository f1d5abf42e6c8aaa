"""The worker: one thread a process that takes the jobs of the history, one after the other, and does them.

In: jobs. Out: results on disk and readings in the history, or a sentence why not. Nothing half is left: results are
written aside and get their place before the job ends, and go again where it does not.
"""

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hemoscope.errors import BadScan, HemoscopeError
from web.engine import Engine, describe
from web.history.opening import History, Store
from web.settings import Settings

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.records import ReadingFacts

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0  # for jobs that other processes queued; our own wake us
DEAD_SECONDS = 60.0  # between two looks for jobs whose process died
TIDY_SECONDS = 3600.0
ALIVE_SECONDS = 10.0  # a job that is silent for a minute counts as dead
TOLD_SECONDS = 0.4  # between two notes of the progress: each is a transaction

LOST = "The files of this study are not on this server any more."
OUR_FAULT = "The reader failed on this study. That is our fault, not the study's; please tell us."


class Stopped(Exception):
    """The job was cancelled, given up as dead, or deleted with its study."""


class Worker:
    """Reads what is queued, in the background. Making it does nothing; `wake` starts its thread."""

    def __init__(self, history: History, engine: Engine, settings: Settings) -> None:
        self._history, self._engine, self._settings = history, engine, settings
        self._woken, self._ended = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Say that there may be a job."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="studies", daemon=True)
                self._thread.start()
        self._woken.set()

    def end(self) -> None:
        """Stop at the next slice and wait for it; the job then counts as interrupted by its silence."""
        self._ended.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def work(self) -> bool:
        """Do the job that has waited longest.

        Returns:
            Whether there was one.
        """
        from web.history.jobs import take_job

        store = self._history.store()
        job = take_job(store.database, store.worker)
        if job is None:
            return False
        with self._engine.turn():
            self._do(store, job)
        return True

    def _run(self) -> None:
        tidied = looked = -TIDY_SECONDS
        while not self._ended.is_set():
            self._woken.clear()  # before the look: who wakes us after it is not overheard
            try:
                if time.monotonic() - tidied >= TIDY_SECONDS:
                    tidied = time.monotonic()
                    self._history.tidy()
                if time.monotonic() - looked >= DEAD_SECONDS:
                    looked = time.monotonic()
                    self._look_for_dead()
                worked = self.work()
            except Exception as error:  # the database is away, the disk is full: the next look may find it mended
                log.error("the worker failed: %s", describe(error))
                worked = False
            if not worked:
                self._woken.wait(POLL_SECONDS)

    def _look_for_dead(self) -> None:
        from web.history.jobs import mark_interrupted

        mark_interrupted(self._history.store().database, datetime.now(UTC))

    def _do(self, store: Store, job: "JobState") -> None:
        from web.history.jobs import fail_job

        try:
            with store.files.draft() as folder:
                self._read(store, job, folder)
        except Stopped:
            pass
        except HemoscopeError as error:
            if error.status >= 500:
                log.error("job %d failed: %s", job.number, describe(error))
            fail_job(store.database, job.number, store.worker, str(error))
        except Exception as error:
            log.error("job %d failed: %s", job.number, describe(error))
            fail_job(store.database, job.number, store.worker, OUR_FAULT)

    def _read(self, store: Store, job: "JobState", folder: Path) -> None:
        from web.history.worklist import study
        from web.studies.reading import Asked, read_study

        content_hash = study(store.database, job.study_number).row.content_hash
        files = store.files.files_of(content_hash)
        if not files:
            raise BadScan(LOST)
        reader = self._engine.load(job.model)
        asked = Asked(job.study_number, files, job.series)
        with Teller(store, job.number, self._engine, self._ended) as teller:
            facts = read_study(asked, reader, folder, self._settings.max_study_pixels, teller)
        self._finish(store, job, folder, content_hash, facts)

    def _finish(self, store: Store, job: "JobState", folder: Path, content_hash: str, facts: "ReadingFacts") -> None:
        from web.history.jobs import finish_job

        results = store.files.results
        results.publish(folder, content_hash, job.number)
        finished = False
        try:
            finished = finish_job(store.database, job.number, store.worker, facts)
        finally:
            if not finished:
                results.remove(content_hash, [job.number])
        results.remove(content_hash, [earlier for earlier in results.jobs(content_hash) if earlier < job.number])


class Teller:
    """Notes the progress of a job now and then, and lets other readings of the process go between.

    While it is open it also says that the process lives where nothing is told for long, as when results are written.
    """

    def __init__(self, store: Store, job: int, engine: Engine, ended: threading.Event) -> None:
        self._store, self._job, self._engine, self._ended = store, job, engine, ended
        self._last = (0, 1, "")
        self._told = -TOLD_SECONDS
        self._ours = True
        self._closed = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="studies-alive", daemon=True)

    def __enter__(self) -> "Teller":
        self._beating.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._beating.join()

    def __call__(self, done: int, whole: int, message: str) -> None:
        """Note how many slices of how many are done.

        Raises:
            Stopped: where the job is not ours any more.
        """
        self._engine.give_way()
        self._last = (done, whole, message)
        if time.monotonic() - self._told >= TOLD_SECONDS or done == whole:
            self._told = time.monotonic()
            self._note()
        if not self._ours or self._ended.is_set():
            raise Stopped

    def _beat(self) -> None:
        while not self._closed.wait(ALIVE_SECONDS):
            try:
                self._note()
            except Exception as error:  # the next one may come through
                log.warning("the progress of job %d was not noted: %s", self._job, describe(error))

    def _note(self) -> None:
        from web.history.jobs import tell_progress

        self._ours = self._ours and tell_progress(self._store.database, self._job, self._store.worker, *self._last)
