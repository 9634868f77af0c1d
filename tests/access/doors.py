"""Every door through which somebody may hear of a document: each returns all that was said.

A door is asked by one person about one document; what it answers must hold the document's word or
name where the person may read it, and neither these nor its id's existence where not.
"""

import asyncio
import json
from collections.abc import Callable

import httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.access.office import Office, Secret, until
from tests.patience import PATIENCE

Door = Callable[[Office, str, Secret], str]


def search(office: Office, name: str, secret: Secret) -> str:
    """A search for the very word."""
    with office.http(name) as http:
        ask = {"query": f"{secret.word} password", "limit": 50}
        return _said(http.post(f"/v1/libraries/{secret.library}/search", json=ask))


def vector_store_search(office: Office, name: str, secret: Secret) -> str:
    with office.http(name) as http:
        ask = {"query": f"{secret.word} password", "max_num_results": 50}
        answer = http.post(f"/v1/vector_stores/{secret.library}/search", json=ask)
        return json.dumps(answer.json()["data"]) if answer.status_code == 200 else ""


def listing(office: Office, name: str, secret: Secret) -> str:
    with office.http(name) as http:
        return _said(http.get(f"/v1/libraries/{secret.library}/documents?page_size=1000"))


def vector_store_listing(office: Office, name: str, secret: Secret) -> str:
    with office.http(name) as http:
        return _said(http.get(f"/v1/vector_stores/{secret.library}/files?limit=1000"))


def document(office: Office, name: str, secret: Secret) -> str:
    """The document by its id, by every address that there is for one."""
    address = f"/v1/libraries/{secret.library}/documents/{secret.id}"
    with office.http(name) as http:
        answers = [http.get(address), http.get(f"{address}/status")]
        return _all_or_nothing(answers)


def text(office: Office, name: str, secret: Secret) -> str:
    with office.http(name) as http:
        library = f"/v1/libraries/{secret.library}/documents/{secret.id}/text_content"
        store = f"/v1/vector_stores/{secret.library}/files/{secret.id}"
        answers = [http.get(library), http.get(f"{store}/content"), http.get(store)]
        return _all_or_nothing(answers)


def original(office: Office, name: str, secret: Secret) -> str:
    """The file, by a signed address."""
    address = f"/v1/libraries/{secret.library}/documents/{secret.id}"
    said = ""
    with office.http(name) as http:
        for kind in ("signed-url", "extracted-text-signed-url"):
            answer = http.get(f"{address}/{kind}")
            assert answer.status_code in (200, 404)
            if answer.status_code == 200:
                said += http.get(answer.json(), headers={"Authorization": ""}).text
    return said


def mcp_search(office: Office, name: str, secret: Secret) -> str:
    return asyncio.run(_tool(office, name, "search", {"query": f"{secret.word} password"}))


def mcp_fetch(office: Office, name: str, secret: Secret) -> str:
    return asyncio.run(_tool(office, name, "fetch", {"id": secret.id}))


def conversation(office: Office, name: str, secret: Secret) -> str:
    """An answer from the library, by a model that repeats all it is shown; then its history."""
    body = {
        "inputs": f"Where is the {secret.word} password kept?",
        "model": "fake",
        "tools": [{"type": "document_library", "library_ids": [secret.library]}],
        "stream": False,
    }
    with office.http(name) as http:
        answer = http.post("/v1/conversations", json=body)
        if answer.status_code != 200:
            return ""
        made = answer.json()
        history = http.get(f"/v1/conversations/{made['conversation_id']}/history").json()
        outputs = [one["info"] for one in made["outputs"] + history["entries"] if "info" in one]
        answered = [one for one in made["outputs"] if one["type"] == "message.output"]
        return json.dumps([outputs, answered])


def table(office: Office, name: str, secret: Secret) -> str:
    """A live table by its name, by every address and in SQL; see `Office.put_table`."""
    sql = f"SELECT * FROM {secret.name}"
    with office.http(name) as http:
        asked = http.post("/v1/tables/query", json={"sql": sql})
        shown = http.get(f"/v1/tables/{secret.name}")
        assert asked.status_code in (200, 400), asked.text
        assert (asked.status_code, shown.status_code) in ((200, 200), (400, 404))
        said = _said(asked) + _said(shown) + _said(http.get("/v1/tables"))
        changes = http.get("/v1/tables/changes", params={"query": f"{secret.name}_kept"})
    return said + _said(changes)


def mcp_table(office: Office, name: str, secret: Secret) -> str:
    sql = f"SELECT * FROM {secret.name}"
    asked = asyncio.run(_tool(office, name, "query_table", {"sql": sql}))
    return asked + asyncio.run(_tool(office, name, "list_tables", {}))


def sql_watch(office: Office, name: str, secret: Secret) -> str:
    """A watch over the table; one is kept by those alone who may ask it."""
    body = {"kind": "sql", "query": f"SELECT * FROM {secret.name}"}
    with office.http(name) as http:
        made = http.post("/v1/watches", json=body)
        if made.status_code != 201:
            return ""
        address = f"/v1/watches/{made.json()['id']}"
        found = until(lambda: http.get(address).json(), lambda one: one["state"] != "answering")
        http.delete(address)
        return json.dumps(found["answer"])


TABLES: tuple[Door, ...] = (table, mcp_table, sql_watch)


def questions(office: Office, name: str, secret: Secret) -> str:
    with office.http(name) as http:
        return _said(http.get(f"/v1/libraries/{secret.library}/questions"))


ALWAYS: tuple[Door, ...] = (
    search,
    vector_store_search,
    listing,
    vector_store_listing,
    document,
    text,
    original,
    mcp_search,
    mcp_fetch,
    conversation,
)
SOMETIMES: tuple[Door, ...] = (questions,)  # show a choice of what may be read


def _said(answer: httpx.Response) -> str:
    return answer.text if answer.status_code == 200 else ""


def _all_or_nothing(answers: list[httpx.Response]) -> str:
    """What several answers said; where one knows of the document, all must."""
    assert len({one.status_code for one in answers}) == 1, [one.text for one in answers]
    assert answers[0].status_code in (200, 404)
    return "".join(_said(one) for one in answers)


async def _tool(office: Office, name: str, tool: str, arguments: dict[str, str]) -> str:
    headers = {"Authorization": f"Bearer {office.people[name].key}"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE, verify=False) as http:
        transport = streamable_http_client(f"{office.url}/mcp", http_client=http)
        async with Client(transport) as client:
            answer = await client.call_tool(tool, arguments)
    return "" if answer.is_error else json.dumps(answer.structured_content)
