"""Vectors stay a while after their last passage went, so that an undo computes nothing again."""

from alembic import op

revision = "0006_spare"
down_revision = "0005_trusted"

_MOST = 10_000  # vectors that no passage needs; the longest unneeded go first


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    # AUTOINCREMENT, since the ids tell the order in which vectors were left.
    op.execute(
        """
        CREATE TABLE live_spare (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            workspace_id TEXT NOT NULL,
            input_hash TEXT NOT NULL,
            UNIQUE (workspace_id, input_hash)
        )
        """
    )
    op.execute("DROP TRIGGER live_passages_deleted")
    op.execute(
        """
        CREATE TRIGGER live_passages_deleted AFTER DELETE ON live_passages BEGIN
            DELETE FROM live_keywords WHERE rowid = old.id;
            INSERT OR REPLACE INTO live_spare (workspace_id, input_hash)
            SELECT old.workspace_id, old.input_hash WHERE NOT EXISTS (
                SELECT 1 FROM live_passages
                WHERE workspace_id = old.workspace_id AND input_hash = old.input_hash
            );
        END
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER live_spare_added AFTER INSERT ON live_spare BEGIN
            DELETE FROM live_vectors
            WHERE (workspace_id, input_hash) IN (
                SELECT workspace_id, input_hash FROM live_spare WHERE id <= new.id - {_MOST}
            )
            AND NOT EXISTS (
                SELECT 1 FROM live_passages
                WHERE live_passages.workspace_id = live_vectors.workspace_id
                AND live_passages.input_hash = live_vectors.input_hash
            );
            DELETE FROM live_spare WHERE id <= new.id - {_MOST};
        END
        """  # noqa: S608 - a number of ours
    )
