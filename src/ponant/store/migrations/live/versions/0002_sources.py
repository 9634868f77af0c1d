"""Sources remember where they go on; documents bring metadata, an address and who may read them."""

import sqlalchemy as sa
from alembic import op

revision = "0002_sources"
down_revision = "0001_live"


def upgrade() -> None:
    op.add_column(
        "live_sources", sa.Column("secrets", sa.JSON, nullable=False, server_default="{}")
    )
    op.add_column("live_sources", sa.Column("cursor", sa.JSON))
    op.create_table(
        "live_access",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("marks", sa.JSON, nullable=False),
        sa.UniqueConstraint("workspace_id", "name"),
    )
    op.add_column("live_documents", sa.Column("url", sa.Text))
    op.add_column(
        "live_documents", sa.Column("metadata", sa.JSON, nullable=False, server_default="{}")
    )
    op.add_column("live_documents", sa.Column("access_id", sa.Integer))
    op.add_column(
        "live_documents",
        sa.Column("access_by_hand", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.add_column("live_documents", sa.Column("source_version", sa.Integer))
    op.create_index("ix_live_documents_access", "live_documents", ["workspace_id", "access_id"])
