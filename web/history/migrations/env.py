"""Runs migrations on the connection that `web.history.database` gives, inside its transaction."""

from alembic import context

from web.history.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
