"""Watches, what happened to them, and what is on its way to webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0006_watches"
down_revision = "0005_groups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watch_owners",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("person_id", sa.String(), primary_key=True),
        sa.Column("organisation_id", sa.String(), nullable=False),
    )
    op.create_table(
        "watches",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("secret", sa.String(), nullable=True),
    )
    op.create_index("ix_watches_workspace_id_person_id", "watches", ["workspace_id", "person_id"])
    op.create_table(
        "watch_events",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(), nullable=False, unique=True),
        sa.Column("watch_id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sqlite_autoincrement=True,  # a number is not used again, so that readers miss nothing
    )
    op.create_index("ix_watch_events_watch_id", "watch_events", ["watch_id"])
    op.create_index(
        "ix_watch_events_workspace_id_person_id_number",
        "watch_events",
        ["workspace_id", "person_id", "number"],
    )
    op.create_table(
        "watch_deliveries",
        sa.Column("event_id", sa.String(), primary_key=True),
        sa.Column("watch_id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
    )
    op.create_index("ix_watch_deliveries_watch_id", "watch_deliveries", ["watch_id"])
