"""Runs the migrations on the connection, and in the transaction, that `Database.migrate` opened."""

from alembic import context
from sqlalchemy import MetaData

from ponant.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.get_main_option("version_table"),
    # Only the naming of constraints: a migration must not depend on today's tables.
    target_metadata=MetaData(naming_convention=Base.metadata.naming_convention),
)
with context.begin_transaction():
    context.run_migrations()
