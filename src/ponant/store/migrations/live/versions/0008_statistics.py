"""Tell SQLite how the tables are shaped, so that few passages by id are never sought by workspace.

Without figures it takes an equal workspace for a better find than ten ids, and reads everything.
The shapes do not change with an installation, so they are stated here and not gathered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_statistics"
down_revision = "0007_words"

# Rows, then how many of them share the first column of an index, the first two, and so on.
_SHAPES = {
    ("live_passages", "sqlite_autoindex_live_passages_1"): "100000 1",
    ("live_passages", "ix_live_passages_document_id"): "100000 50",
    ("live_passages", "ix_live_passages_embedded"): "100000 50000 25000",
    ("live_passages", "ix_live_passages_input"): "100000 100000 1",
    ("live_documents", "sqlite_autoindex_live_documents_1"): "2000 1",
    ("live_documents", "ix_live_documents_library_id"): "2000 1000",
    ("live_documents", "ix_live_documents_source_id"): "2000 500",
    ("live_documents", "ix_live_documents_sizes"): "2000 2000 1000 500 2",
    ("live_documents", "ix_live_documents_access"): "2000 2000 500",
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE live_roots")  # makes the table of figures
    statement = sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :shape)")
    for (table, index), shape in _SHAPES.items():
        op.get_bind().execute(statement, {"table": table, "index": index, "shape": shape})
