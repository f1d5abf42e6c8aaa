"""The first tables: patient, study, series, reading, job."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(128), nullable=False),
        sa.Column("issuer", sa.String(128), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("sex", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="patient_pkey"),
        sqlite_autoincrement=True,
    )
    stated = sa.text("patient_id <> ''")
    op.create_index(
        "patient_identity",
        "patient",
        ["patient_id", "issuer"],
        unique=True,
        sqlite_where=stated,
        postgresql_where=stated,
    )
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_number", sa.Integer(), nullable=False),
        sa.Column("matched_by", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.String(128), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("study_time", sa.Time(), nullable=True),
        sa.Column("patient_age", sa.String(16), nullable=False),
        sa.Column("description", sa.String(128), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("unread", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("deidentified", sa.Boolean(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.CheckConstraint("state IN ('received', 'read', 'failed')", name=op.f("study_state")),
        _belongs_to("study", "patient_number", "patient"),
        sa.PrimaryKeyConstraint("id", name="study_pkey"),
        sa.UniqueConstraint("content_hash", name="study_content_hash_unique"),
        sqlite_autoincrement=True,
    )
    for column in ("patient_number", "study_uid", "received_at"):
        op.create_index(f"study_{column}_index", "study", [column])
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_number", sa.Integer(), nullable=False),
        sa.Column("series_uid", sa.String(128), nullable=False),
        sa.Column("series_number", sa.Integer(), nullable=True),
        sa.Column("description", sa.String(128), nullable=False),
        sa.Column("kernel", sa.String(128), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _belongs_to("series", "study_number", "study"),
        sa.PrimaryKeyConstraint("id", name="series_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("series_study_number_index", "series", ["study_number"])
    op.create_table(
        "reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("finding", sa.String(16), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("volume_ml", sa.Double(), nullable=True),
        sa.Column("uncertainty_ml", sa.Double(), nullable=True),
        sa.Column("subtype_volumes_ml", sa.JSON(), nullable=False),
        sa.Column("lesion_volumes_ml", sa.JSON(), nullable=False),
        sa.Column("key_slices", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.CheckConstraint("finding IN ('hemorrhage', 'uncertain', 'none')", name=op.f("reading_finding")),
        _belongs_to("reading", "study_number", "study"),
        sa.PrimaryKeyConstraint("id", name="reading_pkey"),
        sqlite_autoincrement=True,
    )
    for column in ("study_number", "finding"):
        op.create_index(f"reading_{column}_index", "reading", [column])
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("worker", sa.String(64), nullable=False),
        sa.Column("slices_done", sa.Integer(), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("queued_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("heard_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')", name=op.f("job_state")
        ),
        _belongs_to("job", "study_number", "study"),
        sa.PrimaryKeyConstraint("id", name="job_pkey"),
        sqlite_autoincrement=True,
    )
    for column in ("study_number", "state"):
        op.create_index(f"job_{column}_index", "job", [column])


def downgrade() -> None:
    for table in ("job", "reading", "series", "study", "patient"):
        op.drop_table(table)


def _belongs_to(table: str, column: str, owner: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{owner}.id"], name=f"{table}_{column}_fkey", ondelete="CASCADE")
