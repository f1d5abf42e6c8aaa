"""The studies of the history for the viewer, joined with the demo's.

In: a key: the number of a study, or one of the demo's. Out: a `Study` whose slices come from the folder of its last
reading, one at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import HemoscopeError
from web.history.opening import History, Store
from web.numbers import MOST_DIGITS
from web.studies.folder import OUT, read_band, read_heat, read_hu, read_mask, read_outline
from web.studies.protocol import Outline, Study, StudySource, UnknownStudy
from web.wording import person

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.timeline import Change
    from web.history.worklist import Row
    from web.studies.recorded import Recorded

HELD_OUTLINES = 16


class NotRead(HemoscopeError):
    """The study is known, but there is no reading of it to show."""

    status = 409


class StoredStudy:
    """A study as its last reading left it on disk.

    Attributes:
        folder: of the reading.
        outline: see `protocol.Study`.
        recorded: what the reading wrote down about it.
        band: the probabilities of any hemorrhage between which the reader did not decide.
    """

    def __init__(self, folder: Path, title: str, prior: str) -> None:
        self.folder = folder
        self.recorded, self.band = _recorded(folder), read_band(folder)
        seen = {"title": title, "prior": prior, "midline": self.recorded.midline}
        self.outline = Outline(**{**vars(_outline(folder)), **seen})

    def hu(self, index: int) -> NDArray[np.int16]:
        with _said_if_lost():
            return read_hu(self.folder, index, self.outline)

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        with _said_if_lost():
            return read_mask(self.folder, index, self.outline)

    def heat(self, index: int) -> NDArray[np.uint8] | None:
        with _said_if_lost():
            return read_heat(self.folder, index, self.outline)


class StoredStudies:
    """A `StudySource` of the history's studies; other keys are those of another source, the demo's."""

    def __init__(self, history: History, others: StudySource) -> None:
        self._history, self._others = history, others

    def study(self, key: str) -> Study:
        """The study of that key.

        Raises:
            UnknownStudy: if there is none.
            NotRead: if it was not read yet, or could not be; the sentence says which.
        """
        if not (key.isascii() and key.isdigit() and len(key) <= MOST_DIGITS):
            return self._others.study(key)
        from web.history.worklist import study

        store = self._history.store()
        try:
            row = study(store.database, int(key)).row
        except HemoscopeError as error:
            raise UnknownStudy(str(error)) from None
        return stored_study(store, row, change_of(store, row))


def stored_study(store: Store, row: "Row", change: "Change") -> StoredStudy:
    """A study of the history with its last reading.

    Raises:
        NotRead: if it was not read yet, or could not be; the sentence says which.
    """
    folder = results_folder(store, row)
    prior = "" if change.prior_number is None else str(change.prior_number)
    with _said_if_lost():
        return StoredStudy(folder, title_of(row), prior)


def change_of(store: Store, row: "Row") -> "Change":
    """What happened since the last earlier study of the same patient that was read.

    Raises:
        UnknownStudy: where the study was deleted meanwhile.
    """
    from web.history.timeline import timeline

    try:
        points = timeline(store.database, row.patient_number).points
    except HemoscopeError as error:
        raise UnknownStudy(str(error)) from None
    for point in points:
        if point.row.number == row.number:
            return point.change
    raise UnknownStudy("This study is not in the history, or no longer.")


def results_folder(store: Store, row: "Row") -> Path:
    """The folder of the last reading of a study.

    Raises:
        NotRead: if it has none; the sentence says why.
    """
    from web.history.jobs import latest_done_job, latest_job

    done = latest_done_job(store.database, row.number)
    if done is None:
        raise NotRead(_why_not(latest_job(store.database, row.number)))
    return store.files.results.folder_of(row.content_hash, done.number)


def downloads(folder: Path) -> tuple[str, ...]:
    """The names of the results that people download, as paths within `out/`; sorted."""
    out = folder / OUT
    return tuple(sorted(file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()))


def title_of(row: "Row") -> str:
    """What people call a study: the patient's name where it states one, and its date."""
    name = person(row.patient_name) or f"Study {row.number}"
    return name if row.study_date is None else f"{name}, {row.study_date:%Y-%m-%d}"


def _why_not(job: "JobState | None") -> str:
    if job is None:
        return "This study was kept, but no series of it was read yet. Pick one."
    return {
        "queued": "This study waits to be read.",
        "running": "This study is being read.",
        "cancelled": "The reading of this study was cancelled.",
    }.get(job.state, job.message or "This study could not be read.")


@contextmanager
def _said_if_lost() -> Iterator[None]:
    """Results can be removed between two looks, by a deletion or a newer reading."""
    try:
        yield
    except OSError:
        raise NotRead("The results of this study are not on this server any more. Read it again.") from None


@lru_cache(maxsize=HELD_OUTLINES)
def _outline(folder: Path) -> Outline:
    """What lies in a folder of a reading never changes; it names no patient."""
    return read_outline(folder)


@lru_cache(maxsize=HELD_OUTLINES)
def _recorded(folder: Path) -> "Recorded":
    from web.studies.recorded import read_recorded

    return read_recorded(folder)
