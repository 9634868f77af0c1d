"""What PostgreSQL has in place of SQLite's search tables and triggers."""

from alembic import op

revision = "0009_postgres"
down_revision = "0008_statistics"

_MOST = 10_000  # as 0006 says of SQLite


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    _widen()
    _create_spare()
    _create_values()
    for slot in ("live_terms_a", "live_terms_b"):
        _create_terms(slot)


def _widen() -> None:
    """SQLite's numbers have 64 bits."""
    op.execute("ALTER TABLE live_passages ALTER COLUMN id TYPE BIGINT")
    op.execute("ALTER SEQUENCE live_passages_id_seq AS BIGINT")
    for column in ("size", "source_version"):
        op.execute(f"ALTER TABLE live_documents ALTER COLUMN {column} TYPE BIGINT")


def _create_spare() -> None:
    """Vectors stay a while after their last passage went; the longest unneeded go first."""
    op.execute(
        """
        CREATE TABLE live_spare (
            id BIGSERIAL PRIMARY KEY,
            workspace_id TEXT NOT NULL,
            input_hash TEXT NOT NULL,
            UNIQUE (workspace_id, input_hash)
        )
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION live_passages_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            newest BIGINT;
        BEGIN
            INSERT INTO live_spare (workspace_id, input_hash)
            SELECT DISTINCT gone.workspace_id, gone.input_hash FROM gone
            WHERE NOT EXISTS (
                SELECT 1 FROM live_passages
                WHERE live_passages.workspace_id = gone.workspace_id
                AND live_passages.input_hash = gone.input_hash
            )
            ON CONFLICT (workspace_id, input_hash) DO UPDATE SET id = excluded.id;
            SELECT max(id) INTO newest FROM live_spare;
            DELETE FROM live_vectors USING live_spare
            WHERE live_spare.id <= newest - {_MOST}
            AND live_vectors.workspace_id = live_spare.workspace_id
            AND live_vectors.input_hash = live_spare.input_hash
            AND NOT EXISTS (
                SELECT 1 FROM live_passages
                WHERE live_passages.workspace_id = live_vectors.workspace_id
                AND live_passages.input_hash = live_vectors.input_hash
            );
            DELETE FROM live_spare WHERE id <= newest - {_MOST};
            RETURN NULL;
        END
        $$
        """  # noqa: S608 - a number of ours
    )
    op.execute(
        """
        CREATE TRIGGER live_passages_deleted AFTER DELETE ON live_passages
        REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION live_passages_deleted()
        """
    )


def _create_values() -> None:
    """What SQLite's json_each says of a path."""
    op.execute(
        """
        CREATE FUNCTION live_values(metadata JSON, path TEXT) RETURNS TABLE (value TEXT, type TEXT)
        LANGUAGE sql IMMUTABLE AS $$
            SELECT one #>> '{}', CASE jsonb_typeof(one)
                WHEN 'string' THEN 'text'
                WHEN 'number' THEN 'real'
                WHEN 'boolean' THEN one #>> '{}'
                ELSE 'null'
            END
            FROM jsonb_path_query(CAST(metadata AS JSONB), CAST(path || '[*]' AS JSONPATH)) AS one
        $$
        """
    )


def _create_terms(slot: str) -> None:
    """A passage's terms, and beside them in how many passages each stands.

    Under a library's key alone (``7_``) stands how many terms all its passages have together.
    """
    op.execute(
        f"""
        CREATE TABLE {slot} (
            rowid BIGINT PRIMARY KEY REFERENCES live_passages (id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            terms TSVECTOR NOT NULL,
            length INTEGER NOT NULL
        )
        """
    )
    # A list of what is not yet in the index would be read in full by every search.
    op.execute(f"CREATE INDEX ix_{slot}_terms ON {slot} USING gin (terms) WITH (fastupdate = off)")
    op.execute(
        f'CREATE TABLE {slot}_words (term TEXT COLLATE "C" PRIMARY KEY, doc BIGINT NOT NULL)'
    )
    _create_counting(slot, "INSERT", "NEW", "+")
    _create_counting(slot, "DELETE", "OLD", "-")


def _create_counting(slot: str, event: str, which: str, sign: str) -> None:
    name = f"{slot}_{event.lower()}"
    # Words that stand in no passage any more go, or all that ever were would stay.
    forget = f"""
            DELETE FROM {slot}_words WHERE doc = 0 AND term IN (
                SELECT lexeme FROM moved, unnest(moved.terms)
            );
    """  # noqa: S608 - names of ours
    op.execute(
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO {slot}_words (term, doc)
            SELECT lexeme, {sign} count(*) FROM moved, unnest(moved.terms) GROUP BY lexeme
            UNION ALL
            SELECT key, {sign} sum(length) FROM moved GROUP BY key
            ORDER BY 1
            ON CONFLICT (term) DO UPDATE SET doc = {slot}_words.doc + excluded.doc;
            {forget if event == "DELETE" else ""}
            RETURN NULL;
        END
        $$
        """  # noqa: S608 - names of ours
    )
    op.execute(
        f"""
        CREATE TRIGGER {name} AFTER {event} ON {slot} REFERENCING {which} TABLE AS moved
        FOR EACH STATEMENT EXECUTE FUNCTION {name}()
        """
    )
