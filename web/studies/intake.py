"""What was sent -> kept studies, and a job for each that can be read.

In: paths of files, folders and archives. Out: `TakenIn`: what became of each study and why files were left out. Each
study of each patient is kept on its own, with exactly its files, unpacked: the same study in another archive is the
same study.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hemoscope.errors import BadScan
from hemoscope.scan import ScanFacts
from hemoscope.studies import Candidate, File, LeftOut, Series, Study, read_studies, received
from web.history.arriving import keep_upload
from web.history.jobs import queue_first_job
from web.history.opening import Store
from web.history.records import KeptStudy, SeriesFacts, StudyFacts

log = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 4 * 2**20  # of one file while it is looked at; larger ones go through the disk
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class TakenStudy:
    """What became of one study.

    Attributes:
        number: by which the history knows it; None where it was not kept.
        new: whether it had not been sent before.
        job: the job that was queued for it; None where none was.
        sentence: the same for people.
    """

    number: int | None
    new: bool
    job: int | None
    sentence: str


@dataclass(frozen=True)
class TakenIn:
    """What became of all that was sent.

    Attributes:
        studies: in the order in which they first came.
        left_out: files that are not kept, or kept and not read, and why.
        notes: what holds for them together, in sentences.
    """

    studies: tuple[TakenStudy, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def take_in(
    store: Store, paths: Iterable[Path], model: str, series: str = "", names: Mapping[Path, str] | None = None
) -> TakenIn:
    """Keep the studies among some files and queue their readings.

    Args:
        paths: files, folders and archives.
        model: the name of the model that is to read.
        series: which series is wanted, by its key in what was sent or its UID; "" for those that the rules choose.
        names: what their sender calls the files, for messages.

    Raises:
        BadScan: where there are more files or bytes than any study has, or the wanted series cannot be read.
        BadRequest: where no series is called so.
    """
    with received(paths, names=names) as files:
        studies = read_studies(files)
        wanted = studies.pick(series) if series else None
        left_out = list(studies.left_out)
        taken = []
        for study in studies.studies:
            left_out += (one for series_ in _series_of(study) for one in series_.left_out)
            taken.append(_take(store, study, _to_read(study, wanted), model, left_out))
        return TakenIn(tuple(taken), tuple(left_out), studies.notes)


def nothing_kept(taken: TakenIn) -> str:
    """Why nothing at all was kept, in a sentence; "" where something was."""
    if any(one.number is not None for one in taken.studies):
        return ""
    reasons = [*(one.sentence for one in taken.studies), *(f"{one.name}: {one.reason}" for one in taken.left_out)]
    more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
    return (
        f"Nothing was kept, for there is no study that can be read. {reasons[0] if reasons else 'No files came.'}{more}"
    )


def _take(store: Store, study: Study, picked: Candidate | None, model: str, left_out: list[LeftOut]) -> TakenStudy:
    readable = [one for one in study.candidates if one.readable]
    if not readable:
        return TakenStudy(None, False, None, f"Not kept: no series of it can be read. {study.candidates[0].reason}")
    try:
        kept = keep_upload(
            store,
            _streams(study.files, left_out),
            study_facts((picked or readable[0]).series.facts),
            tuple(series_facts(one, chosen=one is picked) for one in study.candidates),
        )
    except BadScan as error:
        return TakenStudy(None, False, None, f"Not kept: {error}")
    except ValueError:
        return TakenStudy(None, False, None, "Not kept: none of its files could be unpacked as a whole.")
    except OSError as error:
        log.error("a study could not be kept: %s", error.strerror)
        return TakenStudy(None, False, None, "Not kept: the server could not write its files. Please tell us.")
    if picked is None:
        keys = ", ".join(one.key for one in readable)
        return TakenStudy(
            kept.number, kept.new, None,
            f"Kept, not read: no series was chosen by itself; {keys} can be picked on the page of the study.",
        )  # fmt: skip
    return _queued(store, kept, study, picked, model)


def _queued(store: Store, kept: KeptStudy, study: Study, picked: Candidate, model: str) -> TakenStudy:
    wanted = _name_when_kept(store, study, picked)
    if wanted is None:
        return TakenStudy(
            kept.number, kept.new, None,
            f"Kept, not read: stack {picked.key} is one of several in its series; pick it on the page of the study.",
        )  # fmt: skip
    job = queue_first_job(store.database, kept.number, model, wanted)
    before = "Kept" if kept.new else "Known since it was sent before"
    if job is None:
        return TakenStudy(kept.number, kept.new, None, f"{before}; it was read, or its reading waits or runs.")
    return TakenStudy(kept.number, kept.new, job, f"{before}; it waits to be read.")


def _to_read(study: Study, wanted: Candidate | None) -> Candidate | None:
    of_this = wanted is not None and any(one is wanted for one in study.candidates)
    return wanted if of_this else study.chosen


def _name_when_kept(store: Store, study: Study, picked: Candidate) -> str | None:
    """What picks the series among the kept files: keys count what came together and may be others there.

    None where a UID does not tell it.
    """
    if picked.chosen:
        return ""
    first = next(one for one in study.candidates if one.series is picked.series and one.readable)
    if first is not picked or not picked.series.uid:
        return None
    facts = series_facts(picked, chosen=True)
    return (facts if store.deidentifier is None else store.deidentifier.series_facts(facts)).series_uid


def _streams(files: Sequence[File], left_out: list[LeftOut]) -> Iterator[IO[bytes]]:
    """The files, one at a time; one whose packing is damaged is left out before any of it is kept."""
    for file in files:
        copy = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 (who keeps it closes it)
        try:
            with file.stream() as stream:
                shutil.copyfileobj(stream, copy, _PIECE_BYTES)
        except BadScan as error:
            copy.close()
            left_out.append(LeftOut(file.name, str(error)))
            continue
        copy.seek(0)
        yield copy


def study_facts(facts: ScanFacts) -> StudyFacts:
    """What a header states, as the history keeps it."""
    return StudyFacts(
        patient_id=facts.patient_id,
        patient_id_issuer=facts.patient_id_issuer,
        patient_name=facts.patient_name,
        patient_sex=facts.patient_sex,
        patient_age=facts.patient_age,
        study_uid=facts.study_uid,
        study_date=facts.study_date,
        study_time=facts.study_time,
        description=facts.study_description,
    )


def series_facts(candidate: Candidate, *, chosen: bool) -> SeriesFacts:
    """A series or a stack of it, as the history keeps it."""
    return SeriesFacts(
        series_uid=candidate.series.uid,
        series_number=candidate.series.series_number,
        description=candidate.series.facts.series_description,
        kernel=candidate.series.kernel,
        slices=0 if candidate.stack is None else len(candidate.stack.slices),
        chosen=chosen,
        reason=candidate.reason,
    )


def _series_of(study: Study) -> list[Series]:
    """The series of a study, each once: a candidate is a stack."""
    return list({id(one.series): one.series for one in study.candidates}.values())
