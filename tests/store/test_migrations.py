"""The migrations make the tables that the code declares, in one line of steps."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, text

import ponant
from ponant.store import Base, Database
from ponant.store import migrations as migrations_package
from tests.scope_guard import scoped_columns

_NAMES = ("ponant", "live")
_LIVE_PACKAGE = "ponant.live."


def declared(name: str) -> MetaData:
    """The tables of one database: those of `ponant.live` are live.db's, all others ponant.db's."""
    for module in pkgutil.walk_packages(ponant.__path__, "ponant."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    found = MetaData(naming_convention=Base.metadata.naming_convention)
    for mapper in Base.registry.mappers:
        module_name = mapper.class_.__module__
        is_live = module_name.startswith(_LIVE_PACKAGE)
        if module_name.startswith("ponant.") and is_live == (name == "live"):
            mapper.local_table.to_metadata(found)  # type: ignore[attr-defined]
    return found


def config(name: str) -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(migrations_package.__path__[0]) / name))
    return found


def _is_compared(_item: Any, _name: Any, kind: str, *_: Any) -> bool:
    # How rows are found fast is the migrations' business alone.
    return kind not in {"index", "unique_constraint"}


def _differ(_context: Any, _i: Any, _c: Any, inspected: Any, declared_type: Any) -> bool:
    # SQLite keeps TEXT and VARCHAR alike.
    return inspected._type_affinity is not declared_type._type_affinity


@pytest.mark.parametrize("name", _NAMES)
def test_the_migrated_tables_are_the_declared_ones(empty: Database, name: str) -> None:
    empty.migrate(name)
    tables = declared(name)
    assert tables.tables
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": _differ,
                # Search indexes of SQLite are no tables of the mapper's.
                "include_object": _is_compared,
                "include_name": lambda found, kind, _: kind != "table" or found in tables.tables,
            },
        )
        assert compare_metadata(context, tables) == []


@pytest.mark.parametrize("name", _NAMES)
def test_the_steps_stand_in_one_line(name: str) -> None:
    steps = list(ScriptDirectory.from_config(config(name)).walk_revisions())
    names = [step.revision for step in reversed(steps)]
    assert names == sorted(names)
    assert all(not step.is_branch_point and not step.is_merge_point for step in steps)


@pytest.mark.parametrize("name", _NAMES)
def test_every_table_carries_the_columns_of_its_scope(name: str) -> None:
    tables = declared(name).tables
    for table, columns in scoped_columns().items():
        if table in tables:
            assert set(columns) <= set(tables[table].columns.keys()), table


@pytest.mark.parametrize("name", _NAMES)
def test_a_database_that_is_up_to_date_needs_no_migrating(name: str, tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    database = Database.at(path)
    database.migrate(name)
    database.close()
    program = (
        "import sys\nfrom pathlib import Path\nfrom ponant.store import Database\n"
        "Database.at(Path(sys.argv[1])).migrate(sys.argv[2])\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path), name], check=True)


def test_who_makes_the_tables_knows_their_statistics(tmp_path: Path) -> None:
    """Without them SQLite seeks a few passages by their workspace, which reads all there are."""
    database = Database.at(tmp_path / "live.db")
    database.migrate("live")
    few = ", ".join(map(str, range(32)))
    asked = text(
        "EXPLAIN QUERY PLAN SELECT id FROM live_passages "
        f"WHERE id IN ({few}) AND library_id = 'a' AND workspace_id = 'b'"
    )
    for opened in (database.read, database.write):
        with opened() as session:
            plan = " ".join(row.detail for row in session.execute(asked))
        assert "INTEGER PRIMARY KEY" in plan
    database.close()
