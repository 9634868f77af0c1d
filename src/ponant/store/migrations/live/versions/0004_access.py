"""Who stands on which access list can be asked of the database, and counts need read no texts."""

import sqlalchemy as sa
from alembic import op

revision = "0004_access"
down_revision = "0003_standing"


def upgrade() -> None:
    op.create_table(
        "live_marks",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, primary_key=True),
        sa.Column(
            "access_id",
            sa.Integer,
            sa.ForeignKey("live_access.id", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
    op.drop_index("ix_live_documents_sizes", "live_documents")
    op.create_index(
        "ix_live_documents_sizes",
        "live_documents",
        ["workspace_id", "library_id", "access_id", "size"],
    )
