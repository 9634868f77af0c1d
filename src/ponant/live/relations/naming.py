"""Which tables a SELECT reads, by DuckDB's own parse of it, and nothing that it should not ask.

A caller's SQL may name tables and a few functions that make rows; what reads DuckDB's catalogue,
files or other names at run time is refused, since each would tell of tables that are not theirs.
"""

from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec

from ponant.kit.errors import BadRequest
from ponant.live.relations import sql
from ponant.live.relations.shaping import plain

# Everything else that stands where a table does reads the catalogue, files, or what SQL names late.
_ROW_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
# Scalar functions and macros that look into the catalogue, the settings or what others asked.
_CLOSED_FUNCTIONS = frozenset(
    {"current_query", "current_setting", "currval", "format_type", "get_block_size", "getvariable"}
    | {"json_serialize_plan", "nextval", "pg_get_constraintdef", "pg_get_viewdef", "setval"}
    | {"write_log"}
)
_MAIN = ("", "main")


def tables_in(connection: duckdb.DuckDBPyConnection, select: str) -> set[str]:
    """The names of tables and views that a SELECT reads itself, in lower case.

    Raises:
        BadRequest: it is no SELECT, or asks something that is no table.
    """
    try:
        encoded = sql.value(connection, "SELECT json_serialize_sql(?)", select)
    except duckdb.Error as e:
        raise BadRequest(f"The SQL cannot be read: {sql.first_line(e)}", param="sql") from e
    tree = msgspec.json.decode(encoded)
    if tree.get("error"):
        raise BadRequest(f"The SQL cannot be read: {tree.get('error_message')}", param="sql")
    return set(_names(tree["statements"], frozenset()))


def _names(node: Any, known: frozenset[str]) -> Iterator[str]:
    """Names of tables below a node of the tree.

    Args:
        known: names that WITH gave to queries around it, which are no tables. A name counts as
            given only where DuckDB is sure to take it so: else it must be a table that is theirs.
    """
    if isinstance(node, list):
        for one in node:
            yield from _names(one, known)
        return
    if not isinstance(node, dict):
        return
    _check(node)
    kind = node.get("type")
    if kind == "BASE_TABLE":
        yield from _base(node, known)
    given = known
    for one in (node.get("cte_map") or {}).get("map", ()):
        if plain(one["key"]) in given:  # which of the two DuckDB takes is not for us to guess
            raise BadRequest(f"Two WITH say {one['key']}. Name one otherwise.", param="sql")
        yield from _names(one["value"], given)
        given |= {plain(one["key"])}
    for name, value in node.items():
        if name == "cte_map":
            continue
        inner = given
        if kind == "RECURSIVE_CTE_NODE" and name == "right":
            inner |= {plain(node["cte_name"])}
        yield from _names(value, inner)


def _base(node: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    name, schema = plain(node["table_name"]), plain(node["schema_name"])
    if not node["catalog_name"] and not schema and name in known:
        return
    if node["catalog_name"] or schema not in _MAIN:
        raise missing(f"{node['schema_name'] or node['catalog_name']}.{node['table_name']}")
    yield name


def _check(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = (node.get("function") or {}).get("function_name", "").casefold()
        if name not in _ROW_FUNCTIONS:
            raise BadRequest(f"A query may not call {name}(): ask tables.", param="sql")
    elif kind == "SHOW_REF" and node.get("query") is None:
        raise BadRequest("List the tables rather than ask for them in SQL.", param="sql")
    elif node.get("function_name", "").casefold() in _CLOSED_FUNCTIONS:
        raise BadRequest(f"A query may not call {node['function_name']}().", param="sql")


def missing(name: str) -> BadRequest:
    """What is said of a table that is not there, and of one that is not the caller's to see."""
    return BadRequest(f"There is no table {name}. List the tables to see which exist.", param="sql")
