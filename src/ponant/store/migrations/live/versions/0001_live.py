"""Tables of live knowledge: libraries, sources, documents, passages, keywords and vectors."""

import sqlalchemy as sa
from alembic import op

revision = "0001_live"
down_revision = None


def upgrade() -> None:
    _create_libraries()
    _create_documents()
    _create_passages()
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL came later, with 0009
        op.execute(
            "CREATE VIRTUAL TABLE live_keywords USING fts5("
            "library, name, heading, body, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        _create_triggers()


def _create_libraries() -> None:
    op.create_table(
        "live_roots",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("added_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "live_places",
        sa.Column("library_id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
    )
    op.create_table(
        "live_libraries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False, index=True),
        sa.Column("owner_id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "live_sources",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column(
            "library_id",
            sa.Text,
            sa.ForeignKey("live_libraries.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def _create_documents() -> None:
    op.create_table(
        "live_documents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column(
            "library_id",
            sa.Text,
            sa.ForeignKey("live_libraries.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column(
            "source_id", sa.Text, sa.ForeignKey("live_sources.id", ondelete="CASCADE"), index=True
        ),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
    )
    # Covers the counts of a library, so that they read no texts.
    op.create_index(
        "ix_live_documents_sizes", "live_documents", ["workspace_id", "library_id", "size"]
    )


def _create_passages() -> None:
    op.create_table(
        "live_passages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column(
            "library_id",
            sa.Text,
            sa.ForeignKey("live_libraries.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "document_id",
            sa.Text,
            sa.ForeignKey("live_documents.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("passage_id", sa.Text, nullable=False, unique=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("input_hash", sa.Text, nullable=False),
        sa.Column("embedded_by", sa.Text),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("heading", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        # A vector stays with the row id in memory, so an id is never given out twice.
        sqlite_autoincrement=True,
    )
    op.create_index("ix_live_passages_embedded", "live_passages", ["library_id", "embedded_by"])
    op.create_index("ix_live_passages_input", "live_passages", ["workspace_id", "input_hash"])
    op.create_table(
        "live_vectors",
        sa.Column("workspace_id", sa.Text, primary_key=True),
        sa.Column("input_hash", sa.Text, primary_key=True),
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "live_tombstones",
        sa.Column("passage_id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("library_id", sa.Text, nullable=False, index=True),
        sa.Column("document_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )


def _create_triggers() -> None:
    """Keywords go with their passage, and so does its vector where no other passage needs it."""
    op.execute(
        """
        CREATE TRIGGER live_passages_deleted AFTER DELETE ON live_passages BEGIN
            DELETE FROM live_keywords WHERE rowid = old.id;
            DELETE FROM live_vectors
            WHERE workspace_id = old.workspace_id AND input_hash = old.input_hash
            AND NOT EXISTS (
                SELECT 1 FROM live_passages
                WHERE workspace_id = old.workspace_id AND input_hash = old.input_hash
            );
        END
        """
    )
