"""The guard over the database driver catches what it is there to catch."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Delete, String, Update, delete, insert, select, text, update
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from ponant.store import Base, Database, Scope, ScopeKind, in_scope, scoped_text
from tests.scope_guard import OutOfScope, check, guarding

OURS = Scope("org_a", "ws_a", "person_a")
COLUMNS = {"notes": ("workspace_id",), "drafts": ("workspace_id", "person_id")}


class Notebook(Base):
    """A table of this test alone."""

    __tablename__ = "test_notebook"
    __scope__ = ScopeKind.WORKSPACE

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String)
    title: Mapped[str] = mapped_column(String)


@pytest.fixture(autouse=True)
def scope_guard() -> None:
    """Out of the way: these tests break the rule on purpose."""


@pytest.fixture
def session(empty: Database) -> Iterator[Session]:
    with empty.engine.begin() as connection:
        Notebook.__table__.create(connection)  # type: ignore[attr-defined]
    with empty.write() as session:
        session.add_all(
            [
                Notebook(id=1, workspace_id="ws_a", title="ours"),
                Notebook(id=2, workspace_id="ws_b", title="theirs"),
            ]
        )
    with empty.write() as session:
        yield session


def test_statements_inside_their_scope_pass_and_see_only_their_rows(session: Session) -> None:
    with guarding():
        notes = session.scalars(select(Notebook).where(in_scope(Notebook, OURS))).all()
        raw = scoped_text("SELECT title FROM test_notebook WHERE {scope}", OURS, Notebook.__scope__)
        other = aliased(Notebook)
        joined = session.execute(
            select(Notebook.title)
            .join(other, other.id == Notebook.id)
            .where(in_scope(Notebook, OURS), in_scope(other, OURS))
        ).all()
        session.execute(update(Notebook).where(in_scope(Notebook, OURS)).values(title="new"))
        session.execute(insert(Notebook).values(id=3, workspace_id="ws_a", title="more"))
        titles = session.scalars(raw).all()
    assert [note.id for note in notes] == [1]
    assert joined == [("ours",)]
    assert sorted(titles) == ["more", "new"]


@pytest.mark.parametrize(
    "statement",
    [
        select(Notebook),
        select(Notebook).where(Notebook.workspace_id == "ws_a"),
        update(Notebook).values(title="mine"),
        delete(Notebook),
        text("SELECT * FROM test_notebook"),
        text("SELECT * FROM \"test_notebook\" AS n WHERE n.workspace_id = 'ws_a'"),
        text("SELECT 1 FROM alembic_version, test_notebook"),
        text("INSERT INTO test_notebook (id, title) VALUES (9, 'x')"),
        text("INSERT INTO test_notebook VALUES (9, 'ws_a', 'x')"),
        text("WITH n AS (SELECT * FROM test_notebook) SELECT * FROM n"),
    ],
    ids=str,
)
def test_a_statement_without_its_scope_fails(session: Session, statement: Update | Delete) -> None:
    with pytest.raises(OutOfScope), guarding():
        session.execute(statement)


def test_lazy_statements_of_the_mapper_fail_too(session: Session) -> None:
    with pytest.raises(OutOfScope), guarding():
        session.get(Notebook, 2)


def test_a_join_needs_the_scope_of_both_sides(session: Session) -> None:
    other = aliased(Notebook)
    one_sided = (
        select(Notebook.id)
        .join(other, other.workspace_id == Notebook.workspace_id)
        .where(in_scope(Notebook, OURS))
    )
    with pytest.raises(OutOfScope), guarding():
        session.execute(one_sided)


def test_a_fault_that_the_code_swallows_still_fails_the_test(session: Session) -> None:
    def swallow() -> None:
        with suppress(AssertionError):
            session.execute(select(Notebook))

    with pytest.raises(OutOfScope), guarding():
        swallow()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT notes.id, notes.title FROM notes WHERE notes.workspace_id = :scope_workspace_id",
        "SELECT id FROM notes AS n WHERE n.workspace_id = %(scope_workspace_id)s",
        "SELECT 'from drafts' FROM notes WHERE workspace_id = :scope_workspace_id",
        "DELETE FROM notes WHERE workspace_id = :scope_workspace_id AND id IN (:a, :b)",
        "INSERT INTO notes (id, workspace_id) VALUES (1, 'ws_a') ON CONFLICT DO UPDATE SET id = 2",
        "PRAGMA table_info(notes)",
        "CREATE TABLE notes (id INTEGER)",
    ],
)
def test_right_statements_pass(statement: str) -> None:
    check(statement, {"scope_workspace_id": "ws_a"}, COLUMNS)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM drafts WHERE workspace_id = :scope_workspace_id",
        "SELECT * FROM notes n, drafts d WHERE n.workspace_id = :scope_workspace_id",
        "SELECT * FROM notes WHERE other_id = :scope_workspace_id",
        "SELECT * FROM notes WHERE workspace_id <> :scope_workspace_id",
        "DELETE FROM notes WHERE 1 IN (SELECT 1 FROM notes WHERE workspace_id=:scope_workspace_id)",
    ],
)
def test_half_scoped_statements_fail(statement: str) -> None:
    with pytest.raises(OutOfScope):
        check(statement, {"scope_workspace_id": "ws_a", "scope_person_id": "person_a"}, COLUMNS)
