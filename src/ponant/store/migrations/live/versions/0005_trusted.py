"""Sources remember whether the command line declared them, and so may reach inner networks."""

import sqlalchemy as sa
from alembic import op

revision = "0005_trusted"
down_revision = "0004_access"


def upgrade() -> None:
    op.add_column(
        "live_sources",
        sa.Column("trusted", sa.Boolean, nullable=False, server_default=sa.false()),
    )
