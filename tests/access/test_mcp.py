"""Tools and resources at ``/mcp``, as the stock client of the protocol finds them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from ponant.accounts import Role
from tests.access.office import Office
from tests.patience import PATIENCE, tries

_FINANCE = frozenset({"group:Finance"})


@asynccontextmanager
async def _client(office: Office, name: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {office.people[name].key}"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE, verify=False) as http:
        transport = streamable_http_client(f"{office.url}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


async def _call(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def _refusal(client: Client, tool: str, **arguments: Any) -> str:
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return str(answer.content[0].text)


def test_tools_search_with_filters_and_name_libraries(office: Office) -> None:
    with office.http("admin") as http:
        library = http.post("/v1/libraries", json={"name": "Tools"}).json()["id"]
        for name, site in (("north", "north"), ("south", "south")):
            http.post(
                f"/v1/libraries/{library}/documents",
                files={"file": (f"{name}.md", f"The {name} gate opens at noon.".encode())},
                data={"attributes": f'{{"site": "{site}"}}'},
            )
    office.settle(library)

    async def use() -> None:
        async with _client(office, "eve") as client:
            named = await _call(client, "list_libraries")
            (one,) = [each for each in named["libraries"] if each["id"] == library]
            assert (one["name"], one["documents"], one["state"]) == ("Tools", 2, "in_step")
            filters = {"type": "eq", "key": "site", "value": "south"}
            found = await _call(
                client, "search", query="gate opens", library="Tools", filters=filters
            )
            (hit,) = found["results"]
            assert (hit["title"], hit["metadata"]) == ("south.md", {"site": "south"})
            assert (hit["source_id"], hit["version"]) == (None, 1)
            assert (hit["start"], hit["end"]) == (0, len(hit["text"]))
            assert hit["library_version"] > 0
            assert hit["as_of"]
            for tool, arguments, words in (
                ("search", {"query": "x", "limit": "many"}, "whole number"),
                ("search", {"query": "x", "filters": "site"}, "object"),
                ("search", {"query": "x", "filters": {"type": "no"}}, ""),
                ("no_tool", {}, "list_libraries"),
                ("query_table", {"sql": "SELECT 1", "limit": 0}, "from 1 to"),
                ("create_watch", {"question": " "}, "not empty"),
                ("create_watch", {"question": "x", "library": "None"}, "no library None"),
                ("watch_events", {"id": "watch_none"}, "no watch"),
            ):
                assert words in await _refusal(client, tool, **arguments)

    asyncio.run(use())


def test_documents_are_resources_of_those_who_may_read_them(office: Office) -> None:
    with office.http("admin") as http:
        library = http.post("/v1/libraries", json={"name": "Resources"}).json()["id"]
    secret = office.put(library, "closed", "closedword", _FINANCE)
    shown = office.put(library, "open", "openresource", None)
    office.settle(library)

    def address(one: Any) -> str:
        return f"ponant://libraries/{library}/documents/{one.id}"

    async def use() -> None:
        async with _client(office, "eve") as client:
            listed = {str(one.uri) for one in (await client.list_resources()).resources}
            assert address(shown) in listed
            assert address(secret) not in listed
            read = await client.read_resource(address(shown))
            assert "openresource" in read.contents[0].text
            for hidden in (address(secret), "ponant://libraries/x", "file:///etc/passwd"):
                with pytest.raises(MCPError):
                    await client.read_resource(hidden)
            templates = await client.list_resource_templates()
            assert len(templates.resource_templates) == 1
        async with _client(office, "ada") as client:
            read = await client.read_resource(address(secret))
            assert "closedword" in read.contents[0].text

    asyncio.run(use())


def test_a_watch_is_kept_by_its_owner_alone(office: Office) -> None:
    with office.http("admin") as http:
        library = http.post("/v1/libraries", json={"name": "Watched"}).json()["id"]
    office.put(library, "gate", "gateword", None)
    office.settle(library)
    office.add("vic", Role.VIEWER)

    async def use() -> None:
        async with _client(office, "eve") as client:
            made = await _call(
                client,
                "create_watch",
                question="gateword password",
                kind="search",
                library="Watched",
                name="Gate",
            )
            for _ in tries():
                shown = await _call(client, "watch_events", id=made["id"])
                if shown["events"]:
                    break
                await asyncio.sleep(0.05)
            assert shown["events"][0]["happening"] == "answered"
            assert shown["watch"]["answer"]["sources"][0]["title"] == "gate.md"
            listed = await _call(client, "list_watches")
            assert [one["id"] for one in listed["watches"]] == [made["id"]]
        async with _client(office, "ada") as client:
            assert (await _call(client, "list_watches"))["watches"] == []
            assert "no watch" in await _refusal(client, "watch_events", id=made["id"])
        async with _client(office, "vic") as client:
            assert "viewer" in await _refusal(client, "create_watch", question="anything")

    asyncio.run(use())


def test_live_tables_are_asked_in_sql(office: Office) -> None:
    async def use() -> None:
        async with _client(office, "ada") as client:
            assert (await _call(client, "list_tables"))["tables"] == []
            answer = await _call(client, "query_table", sql="SELECT ? + 1 AS two", parameters=[1])
            assert answer["rows"] == [[2]]
            assert [one["name"] for one in answer["columns"]] == ["two"]
            await _refusal(client, "query_table", sql="SELECT * FROM read_text('/etc/passwd')")

    asyncio.run(use())
