"""Standing queries, and up to which version of each library they were matched."""

import sqlalchemy as sa
from alembic import op

revision = "0003_standing"
down_revision = "0002_sources"


def upgrade() -> None:
    op.create_table(
        "live_standing",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text),
        sa.Column("person_id", sa.Text),
        sa.Column("marks", sa.JSON, nullable=False),
        sa.Column("library_ids", sa.JSON, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("limit", sa.Integer, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("moved", sa.Boolean, nullable=False),
        sa.Column("state", sa.LargeBinary),
    )
    op.create_index("ix_live_standing_workspace_id", "live_standing", ["workspace_id"])
    op.create_table(
        "live_standing_matched",
        sa.Column("library_id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
