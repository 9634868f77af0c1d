"""Keywords by language: two tables that take turns, so that one answers while the next is made."""

import sqlalchemy as sa
from alembic import op

revision = "0007_words"
down_revision = "0006_spare"


def upgrade() -> None:
    op.add_column(
        "live_documents", sa.Column("language", sa.Text, nullable=False, server_default="")
    )
    op.add_column(
        "live_libraries", sa.Column("passages", sa.Integer, nullable=False, server_default="0")
    )
    # Those that are there were laid out by the first way, in live_keywords.
    op.add_column(
        "live_places", sa.Column("generation", sa.Integer, nullable=False, server_default="0")
    )
    op.create_table(
        "live_words",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column(
            "library_id",
            sa.Text,
            sa.ForeignKey("live_libraries.id", ondelete="CASCADE"),
            nullable=False,
            unique=True,
        ),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("languages", sa.JSON, nullable=False),
        # It stands before every term of its library, so a number is never given out twice.
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        _create_terms()


def _create_terms() -> None:
    for slot in ("live_terms_a", "live_terms_b"):
        # The terms are made elsewhere: what comes is split at spaces.
        op.execute(
            f"CREATE VIRTUAL TABLE {slot} USING fts5("
            "name, heading, body, tokenize = \"ascii tokenchars '_'\")"
        )
        op.execute(f"CREATE VIRTUAL TABLE {slot}_words USING fts5vocab({slot}, row)")
    _create_trigger()


def _create_trigger() -> None:
    op.execute(
        """
        CREATE TRIGGER live_passages_unworded AFTER DELETE ON live_passages BEGIN
            DELETE FROM live_terms_a WHERE rowid = old.id;
            DELETE FROM live_terms_b WHERE rowid = old.id;
        END
        """
    )
