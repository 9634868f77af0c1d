"""The one helper that says whose rows a statement may touch."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapped, Session, mapped_column

from ponant.store import Base, Database, Scope, ScopeKind, in_scope, scoped, scoped_text

ANNA = Scope("org_1", "ws_1", "person_anna")
BEN = Scope("org_1", "ws_1", "person_ben")


class Diary(Base):
    """A table of this test alone."""

    __tablename__ = "test_diary"
    __scope__ = ScopeKind.PERSON

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    person_id: Mapped[str]


@pytest.fixture
def session(memory: Database) -> Iterator[Session]:
    with memory.engine.begin() as connection:
        Diary.__table__.create(connection)  # type: ignore[attr-defined]
    with memory.write() as session:
        for number, (workspace, person) in enumerate(
            [("ws_1", "person_anna"), ("ws_1", "person_ben"), ("ws_2", "person_anna")]
        ):
            session.add(Diary(id=number, workspace_id=workspace, person_id=person))
    with memory.read() as session:
        yield session


def test_expressions_and_raw_sql_touch_the_same_rows(session: Session) -> None:
    by_mapper = session.scalars(select(Diary.id).where(in_scope(Diary, ANNA))).all()
    raw = scoped_text(
        "SELECT d.id FROM test_diary AS d WHERE {scope}", ANNA, ScopeKind.PERSON, alias="d"
    )
    assert by_mapper == session.scalars(raw).all() == [0]


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        (ScopeKind.ORGANISATION, Scope()),
        (ScopeKind.WORKSPACE, Scope("org_1")),
        (ScopeKind.PERSON, Scope("org_1", "ws_1")),
    ],
)
def test_a_scope_that_does_not_reach_the_table_is_refused(kind: ScopeKind, scope: Scope) -> None:
    with pytest.raises(LookupError):
        scoped_text("SELECT 1 WHERE {scope}", scope, kind)
    with pytest.raises(LookupError):
        in_scope(Diary, scope)


def test_raw_sql_must_say_where_the_scope_goes() -> None:
    with pytest.raises(ValueError, match=r"\{scope\}"):
        scoped_text("SELECT 1", ANNA, ScopeKind.WORKSPACE)


def test_a_statement_that_is_built_once_runs_only_with_a_scope(session: Session) -> None:
    statement = select(Diary.id).where(scoped(Diary))
    found = session.scalars(statement, ANNA.parameters(ScopeKind.PERSON)).all()
    other = session.scalars(statement, BEN.parameters(ScopeKind.PERSON)).all()
    assert (found, other) == ([0], [1])
    with pytest.raises(StatementError, match="scope_workspace_id"):
        session.scalars(statement)


def test_a_platform_table_needs_no_scope(session: Session) -> None:
    assert session.scalar(scoped_text("SELECT 1 WHERE {scope}", Scope(), ScopeKind.PLATFORM)) == 1


def test_the_parameters_keep_their_names_in_every_dialect() -> None:
    statement = select(Diary.id).where(in_scope(Diary, ANNA))
    for dialect in (sqlite.dialect(paramstyle="named"), postgresql.dialect()):
        compiled = statement.compile(dialect=dialect)
        assert compiled.params == {
            "scope_workspace_id": "ws_1",
            "scope_person_id": "person_anna",
        }


def test_ids_are_values_and_never_sql(session: Session) -> None:
    hostile = Scope("o", "ws_1' OR '1' = '1", "person_anna")
    raw = scoped_text("SELECT id FROM test_diary WHERE {scope}", hostile, ScopeKind.PERSON)
    assert session.scalars(raw).all() == []


def test_a_table_without_a_scope_is_no_table() -> None:
    with pytest.raises(TypeError, match="__scope__"):
        type("Bare", (Base,), {"__tablename__": "test_bare", "__module__": __name__})
