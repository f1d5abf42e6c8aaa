"""The tables on both databases: made by migrations, alike to the models, closed to what does not belong."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from web.history.columns import plain
from web.history.database import Database, parse_url
from web.history.tables import Base, Job, Patient, Study

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def a_study(**columns: object) -> Study:
    facts = {
        "patient": Patient(patient_id="", issuer="", name="", sex=""),
        "matched_by": "",
        "study_uid": "",
        "patient_age": "",
        "description": "",
        "content_hash": "a" * 64,
        "size_bytes": 1,
        "files": 1,
        "received_at": NOON,
        "unread": True,
        "state": "received",
        "deidentified": False,
        "warnings": [],
    }
    return Study(**(facts | columns))


def test_models_and_migrations_agree(database: Database) -> None:
    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_constraints_have_the_names_that_the_models_give_them(database: Database) -> None:
    with database.reading() as session:
        looked = inspect(session.connection())
        checks = {check["name"] for table in Base.metadata.tables for check in looked.get_check_constraints(table)}
        assert checks == {"study_state", "reading_finding", "job_state"}
        assert [key["name"] for key in looked.get_foreign_keys("job")] == ["job_study_number_fkey"]
        assert looked.get_foreign_keys("job")[0]["options"] == {"ondelete": "CASCADE"}
        indexes = {index["name"]: index for index in looked.get_indexes("patient")}
        assert indexes["patient_identity"]["unique"]
        options = indexes["patient_identity"]["dialect_options"]
        assert ["patient_id" in str(value) for name, value in options.items() if name.endswith("_where")] == [True]


def test_downgrade_leaves_no_table_and_upgrade_comes_back(database: Database) -> None:
    database.downgrade("base")
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == ["alembic_version"]
    database.upgrade()
    with database.reading() as session:
        assert set(Base.metadata.tables) < set(inspect(session.connection()).get_table_names())


def test_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        session.add(a_study())
    database.upgrade()
    with database.reading() as session:
        assert len(session.scalars(select(Study)).all()) == 1


def test_processes_that_start_together_upgrade_once(database_url: str) -> None:
    program = (
        "import sys; from web.history.database import Database, parse_url; "
        "database = Database(parse_url(sys.argv[1])); print('ready', flush=True); sys.stdin.read(1); database.upgrade()"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.stdout.readline()
    ends = []
    for worker in workers:
        worker.stdin.write("x")
        worker.stdin.flush()
    for worker in workers:
        ends.append((worker.communicate(timeout=60)[1], worker.returncode))
    assert ends == [("", 0)] * 3
    database = Database(parse_url(database_url))
    with database.reading() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["0002"]
    database.close()


def test_a_migration_that_fails_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    made = op.create_index

    def fail_late(name: str, *arguments: object, **options: object) -> None:
        if name == "job_state_index":
            raise RuntimeError("the power failed")
        made(name, *arguments, **options)

    monkeypatch.setattr(op, "create_index", fail_late)
    database = Database(parse_url(database_url))
    with pytest.raises(RuntimeError, match="power"):
        database.upgrade()
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == []
    database.close()


def test_moments_come_back_aware_and_in_utc(database: Database) -> None:
    with database.writing() as session:
        session.add(a_study(received_at=datetime(2026, 11, 22, 13, 30, tzinfo=timezone(timedelta(hours=2)))))
    with database.reading() as session:
        moment = session.scalars(select(Study.received_at)).one()
    assert (moment, moment.tzinfo) == (datetime(2026, 11, 22, 11, 30, tzinfo=UTC), UTC)


def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"), database.writing() as session:
        session.add(a_study(received_at=datetime(2026, 11, 22)))


def test_a_row_that_belongs_to_nothing_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(a_study(patient=None, patient_number=77))


def test_an_unknown_state_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(a_study(state="lost"))


def test_errors_of_the_database_name_no_patient(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.writing() as session:
        session.add(Patient(patient_id="ID-4711", issuer="A", name="DOE^JANE", sex="F"))
        session.flush()
        session.add(a_study(state="lost", description="DOE^JANE"))
    statement = str(caught.value).split("[SQL:")
    assert "[SQL parameters hidden" in str(caught.value)
    assert "DOE" not in statement[-1]


def test_numbers_are_not_given_twice(database: Database) -> None:
    numbers = []
    for _ in range(2):
        with database.writing() as session:
            study = a_study()
            session.add(study)
            session.flush()
            numbers.append(study.id)
            session.delete(study)
    assert numbers == [1, 2]


def test_a_writer_does_not_stop_readers(database: Database) -> None:
    with database.writing() as writer:
        writer.add(a_study())
        writer.flush()
        with database.reading() as reader:
            assert reader.scalars(select(Study)).all() == []


def test_jobs_go_with_their_study(database: Database) -> None:
    with database.writing() as session:
        study = a_study()
        session.add(study)
        session.flush()
        session.add(
            Job(study_number=study.id, model="m", state="queued", worker="", slices_done=0, message="", queued_at=NOON)
        )
    with database.writing() as session:
        session.execute(text("DELETE FROM study"))
    with database.reading() as session:
        assert session.scalars(select(Job)).all() == []


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg"),
        ("postgresql://u:p@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg"),
        ("sqlite:////tmp/x.sqlite", "sqlite"),
    ],
)
def test_the_spellings_of_hosts_are_understood(written: str, driver: str) -> None:
    assert parse_url(written).drivername == driver


@pytest.mark.parametrize("written", ["mysql://u:secret@h/d", "secret", "sqlite://", "sqlite:///:memory:", ""])
def test_other_databases_are_refused_without_quoting_the_password(written: str) -> None:
    with pytest.raises(ValueError, match="database") as caught:
        parse_url(written)
    assert "secret" not in str(caught.value)


def test_text_is_stored_without_control_characters_and_not_too_long() -> None:
    assert plain(" a\0b\nc\x1b ", 99) == "abc"
    assert plain("Müller^Jörg", 6) == "Müller"
