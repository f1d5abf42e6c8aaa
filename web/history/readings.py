"""Readings -> rows. The last reading of a study is the one that counts; earlier ones stay.

In: `ReadingFacts`. Out: a row, and a study that counts as read and is unread again.
"""

from datetime import UTC, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from web.history.columns import plain
from web.history.database import Database
from web.history.records import ReadingFacts, UnknownStudy
from web.history.tables import LONG_STRING, LONGEST_SENTENCE, Reading, Study


def store_reading(database: Database, study_number: int, facts: ReadingFacts) -> None:
    """Store what a model found in a study.

    Raises:
        UnknownStudy: where there is no study of that number.
    """
    with database.writing() as session:
        add_reading(session, study_number, facts)


def add_reading(session: Session, study_number: int, facts: ReadingFacts) -> None:
    """Like `store_reading`, within a transaction that does more."""
    study = session.get(Study, study_number)
    if study is None:
        raise UnknownStudy("This study is not in the history, or no longer.")
    study.state, study.unread = "read", True
    session.add(
        Reading(
            study_number=study_number,
            model=plain(facts.model, LONG_STRING),
            version=plain(facts.version, LONG_STRING),
            finding=facts.finding,
            probabilities=dict(facts.probabilities),
            volume_ml=facts.volume_ml,
            uncertainty_ml=facts.uncertainty_ml,
            subtype_volumes_ml=dict(facts.subtype_volumes_ml or {}),
            lesion_volumes_ml=list(facts.lesion_volumes_ml),
            key_slices=list(facts.key_slices),
            seconds=facts.seconds,
            notes=[plain(note, LONGEST_SENTENCE) for note in facts.notes],
            made_at=datetime.now(UTC),
        )
    )


def last_readings() -> Select[int]:
    """Select the numbers of the readings that count: the last of each study."""
    return select(func.max(Reading.id)).group_by(Reading.study_number)
