"""Uploaded files, what vector stores keep beside libraries, and who may change a library."""

import sqlalchemy as sa
from alembic import op

revision = "0007_files"
down_revision = "0006_watches"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_files_whose", "files", ["workspace_id", "person_id"])
    op.create_table(
        "vector_stores",
        sa.Column("library_id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "vector_store_files",
        sa.Column("library_id", sa.String(), primary_key=True),
        sa.Column("file_id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("document_id", sa.String(), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "vector_store_batches",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("library_id", sa.String(), nullable=False),
        sa.Column("file_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "library_shares",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("library_id", sa.String(), primary_key=True),
        sa.Column("entity_id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
    )


def downgrade() -> None:
    stores = ("vector_store_batches", "vector_store_files", "vector_stores")
    for table in ("library_shares", *stores, "files"):
        op.drop_table(table)
