"""Runs the migrations of live.db on the connection that `Database.migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.get_main_option("version_table"),
)
context.run_migrations()
