"""Studies come in and go out: files and rows together, or neither.

In: streams and facts, or a study's number. Out: `KeptStudy`, `Removed`. The files take and leave their place inside the
transaction that writes the row, under a lock for that content, so that two senders of one study get one row, and a
deletion beside them takes nothing from under it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import IO

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from web.history.columns import plain
from web.history.database import Database
from web.history.files import Arrived, StudyFiles
from web.history.records import KeptStudy, Removed, SeriesFacts, StudyFacts, UnknownStudy, parse_date, parse_time
from web.history.tables import LONG_STRING, LONGEST_SENTENCE, PERSON_NAME, UID, Job, Patient, Series, Study

STRAY_SECONDS = 24 * 3600.0  # no upload takes as long: what is older was left by a process that died
_KEEP_RESULTS = ("done", "running")  # a running job may be about to end with what it wrote
_TRIES = 3  # two senders of a patient's first studies can meet once; then the patient is there


def keep_study(
    database: Database,
    files: StudyFiles,
    streams: Iterable[IO[bytes]],
    facts: StudyFacts,
    series: tuple[SeriesFacts, ...] = (),
    *,
    deidentified: bool = False,
    warnings: tuple[str, ...] = (),
) -> KeptStudy:
    """Keep a study; one that was sent before is found again and left as it is.

    Args:
        streams: of its files, in any order; each is closed.
        facts: of the files as they are kept.
        deidentified: whether `streams` give files without the patient's identity.
        warnings: sentences that the pages show.

    Raises:
        ValueError: where there is no file.
        OSError: where the folder cannot be written.
    """
    return keep_arrived(
        database, files, files.receive(streams), facts, series, deidentified=deidentified, warnings=warnings
    )


def keep_arrived(
    database: Database,
    files: StudyFiles,
    arrived: Arrived,
    facts: StudyFacts,
    series: tuple[SeriesFacts, ...] = (),
    *,
    deidentified: bool = False,
    warnings: tuple[str, ...] = (),
) -> KeptStudy:
    """Like `keep_study`, for files that were received before; their folder is gone afterwards, whatever happens."""
    try:
        for attempt in range(_TRIES):
            try:
                return _keep(database, files, arrived, facts, series, deidentified, warnings)
            except IntegrityError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")
    finally:
        files.discard(arrived)


def delete_study(database: Database, files: StudyFiles, number: int) -> Removed:
    """Delete a study for good: its files, its results, its rows, and its patient where no other study is left.

    Raises:
        UnknownStudy: where there is none of that number.
        OSError: where files cannot be removed; `remove_strays` tries again.
    """
    with database.reading() as session:
        content_hash = session.scalar(select(Study.content_hash).where(Study.id == number))
    if content_hash is None:
        raise UnknownStudy("This study is not in the history, or no longer.")
    aside = None
    try:
        with database.writing(lock=content_hash) as session:
            study = session.get(Study, number)
            if study is None:
                raise UnknownStudy("This study is not in the history, or no longer.")
            removed = Removed(study.id, study.received_at, study.size_bytes)
            patient = study.patient_number
            session.execute(delete(Study).where(Study.id == number))
            others = select(Study.id).where(Study.patient_number == patient)
            session.execute(delete(Patient).where(Patient.id == patient, ~others.exists()))
            aside = files.set_aside(content_hash)
    except BaseException:
        if aside is not None:
            files.put_back(aside, content_hash)
        raise
    if aside is not None:
        files.remove(aside)
    files.results.remove(content_hash, files.results.jobs(content_hash))
    database.forget_freed()
    return removed


def remove_expired(database: Database, files: StudyFiles, days: int, now: datetime) -> tuple[Removed, ...]:
    """Delete every study that was received more than `days` ago; 0 keeps all.

    Returns:
        What was removed, the oldest first.
    """
    if days == 0:
        return ()
    with database.reading() as session:
        old = select(Study.id).where(Study.received_at < now - timedelta(days=days)).order_by(Study.received_at)
        numbers = session.scalars(old).all()
    removed = []
    for number in numbers:
        try:
            removed.append(delete_study(database, files, number))
        except UnknownStudy:  # somebody else deleted it meanwhile
            continue
    return tuple(removed)


def remove_strays(database: Database, files: StudyFiles, older_than_seconds: float = STRAY_SECONDS) -> int:
    """Remove files that belong to no study, as a process leaves them that dies between two steps.

    Returns:
        How many folders were removed.
    """
    strays = list(files.strays(older_than_seconds))
    for content_hash in files.hashes(older_than_seconds):
        with database.writing(lock=content_hash) as session:
            if session.scalar(select(Study.id).where(Study.content_hash == content_hash)) is None:
                aside = files.set_aside(content_hash)
                strays += [aside] if aside is not None else []
    for folder in strays:
        files.remove(folder)
    return len(strays) + _remove_stray_results(database, files, older_than_seconds)


def set_unread(database: Database, number: int, unread: bool) -> None:
    """Mark a study as unread or read.

    Raises:
        UnknownStudy: where there is none of that number.
    """
    with database.writing() as session:
        study = session.get(Study, number)
        if study is None:
            raise UnknownStudy("This study is not in the history, or no longer.")
        study.unread = unread


def _remove_stray_results(database: Database, files: StudyFiles, older_than_seconds: float) -> int:
    """Remove results whose study is gone, or whose job did not end with them."""
    removed = 0
    for content_hash in files.results.hashes(older_than_seconds):
        with database.reading() as session:
            ended = select(Job.id).join(Study, Job.study_number == Study.id)
            kept = set(session.scalars(ended.where(Study.content_hash == content_hash, Job.state.in_(_KEEP_RESULTS))))
        strays = set(files.results.jobs(content_hash)) - kept
        files.results.remove(content_hash, strays)
        removed += len(strays)
    return removed


def _keep(
    database: Database,
    files: StudyFiles,
    arrived: Arrived,
    facts: StudyFacts,
    series: tuple[SeriesFacts, ...],
    deidentified: bool,
    warnings: tuple[str, ...],
) -> KeptStudy:
    with database.writing(lock=arrived.content_hash) as session:
        known = session.scalar(select(Study).where(Study.content_hash == arrived.content_hash))
        if known is not None:
            return KeptStudy(known.id, False, known.content_hash, tuple(known.warnings))
        patient, matched_by = _patient_of(session, facts)
        study = Study(
            patient=patient,
            matched_by=matched_by,
            study_uid=plain(facts.study_uid, UID),
            study_date=parse_date(facts.study_date),
            study_time=parse_time(facts.study_time),
            patient_age=plain(facts.patient_age, 16),
            description=plain(facts.description, LONG_STRING),
            content_hash=arrived.content_hash,
            size_bytes=arrived.size_bytes,
            files=arrived.files,
            received_at=datetime.now(UTC),
            unread=True,
            state="received",
            deidentified=deidentified,
            warnings=[plain(warning, LONGEST_SENTENCE) for warning in warnings],
            series=[_series_of(one) for one in series],
        )
        session.add(study)
        session.flush()
        files.publish(arrived)
        return KeptStudy(study.id, True, study.content_hash, tuple(warnings))


def _patient_of(session: Session, facts: StudyFacts) -> tuple[Patient, str]:
    """The patient of a study, by ID and issuer, and in a sentence what matched."""
    patient_id, issuer = facts.patient_id.strip(), facts.patient_id_issuer.strip()
    storable = (patient_id, issuer) == (plain(patient_id, LONG_STRING), plain(issuer, LONG_STRING))
    if not storable:  # cut to what can be stored, two patients' IDs could become one
        patient_id, issuer = "", ""
    name = plain(facts.patient_name, PERSON_NAME)
    made = Patient(patient_id=patient_id, issuer=issuer, name=name, sex=plain(facts.patient_sex, 16))
    if not storable:
        return made, "The study's patient ID is no valid one: it is matched with no other study."
    if not patient_id:
        return made, "The study states no patient ID: it is matched with no other study."
    same = select(Patient).where(Patient.patient_id == patient_id, Patient.issuer == issuer)
    by = "patient ID and issuer" if issuer else "patient ID; neither study states who issued it"
    known = session.scalar(same)
    if known is None:
        return made, f"The first study of this {'patient ID and issuer' if issuer else 'patient ID without issuer'}."
    if _letters(known.name) != _letters(name):
        return known, f"Matched by {by}. The patient's name differs from that of the first study: check it."
    return known, f"Matched by {by}."


def _letters(name: str) -> str:
    """A name without what spellings differ in: case, `^` and spaces."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _series_of(facts: SeriesFacts) -> Series:
    return Series(
        series_uid=plain(facts.series_uid, UID),
        series_number=facts.series_number,
        description=plain(facts.description, LONG_STRING),
        kernel=plain(facts.kernel, LONG_STRING),
        slices=facts.slices,
        chosen=facts.chosen,
        reason=plain(facts.reason, LONGEST_SENTENCE),
    )
