"""Groups of people, which access lists name, and a log of who changed what anybody may read."""

import sqlalchemy as sa
from alembic import op

revision = "0005_groups"
down_revision = "0004_conversations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column(
            "organisation_id",
            sa.String(),
            sa.ForeignKey("organisations.organisation_id"),
            nullable=False,
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("organisation_id", "name"),
    )
    op.create_table(
        "group_members",
        sa.Column("organisation_id", sa.String(), nullable=False),
        sa.Column("group_id", sa.String(), sa.ForeignKey("groups.id"), primary_key=True),
        sa.Column(
            "person_id", sa.String(), sa.ForeignKey("people.id"), primary_key=True, index=True
        ),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("organisation_id", sa.String(), nullable=False, index=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )


def downgrade() -> None:
    for table in ("audit_log", "group_members", "groups"):
        op.drop_table(table)
