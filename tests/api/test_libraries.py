"""Libraries over HTTP: the stock Mistral client, events, roles and limits; and the MCP tools."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mistralai.client import Mistral

from ponant.accounts import Accounts, Lookups, Role
from ponant.api import documents, folders, libraries, mcp, passages, sources
from ponant.api.errors import install_error_handlers
from ponant.api.platform import Platform
from ponant.api.security import SecurityMiddleware
from ponant.kit import Settings, SystemClock
from ponant.live import LiveClient
from ponant.store import Database
from tests.fakes.accounts import add_organisation, key_of
from tests.fakes.embedder import FakeEmbedder
from tests.patience import PATIENCE
from tests.server import free_port


@dataclass(frozen=True)
class _Server:
    url: str
    root: Path
    admin: str
    viewer: str
    stranger: str

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.admin}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Server]:
    """The routes of live knowledge over a live process and a small embedder."""
    folder = tmp_path_factory.mktemp("live")
    root = folder / "root"
    root.mkdir()
    settings = Settings(home=folder / "home", live_roots=str(root), port=free_port())
    database = Database.at(settings.home / "ponant.db")
    database.migrate("ponant")
    accounts = Accounts(database, SystemClock())
    first = accounts.ensure_first(None)
    assert first is not None
    viewer = accounts.create_key(first.administrator, "viewer", Role.VIEWER).key
    stranger = key_of(accounts, add_organisation(database, SystemClock(), "Elsewhere"))
    services = cast(
        "Platform",
        SimpleNamespace(
            settings=settings,
            accounts=accounts,
            lookups=Lookups(accounts),
            live=LiveClient(settings, _embedder),
        ),
    )
    with _serving(services):
        yield _Server(settings.base_url, root, first.key, viewer, stranger)
    database.close()


async def _embedder() -> FakeEmbedder:
    return FakeEmbedder()


def _application(services: Platform) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await services.live.start()
        async with mcp.running(app):
            yield
        await services.live.close()

    app = FastAPI(lifespan=lifespan)
    app.state.platform = services
    install_error_handlers(app)
    for module in (libraries, sources, documents, folders, passages):
        app.include_router(module.router)
    mcp.mount(app)
    app.add_middleware(SecurityMiddleware, settings=services.settings)
    return app


class _serving:  # noqa: N801 - a context manager
    def __init__(self, services: Platform) -> None:
        config = uvicorn.Config(
            _application(services), port=services.settings.port, log_level="warning"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def _until(ask, fits, seconds: float = PATIENCE):
    deadline = time.monotonic() + seconds
    while not fits(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def test_the_stock_client_keeps_libraries(server: _Server) -> None:
    with Mistral(api_key=server.admin, server_url=server.url) as client:
        made = client.beta.libraries.create(name="Clients", description="Theirs")
        assert made.owner_type == "Workspace"
        assert made.id in [one.id for one in client.beta.libraries.list().data]
        changed = client.beta.libraries.update(library_id=made.id, name="Customers")
        assert (changed.name, changed.description) == ("Customers", "Theirs")
        documents = client.beta.libraries.documents
        file = {"file_name": "a.md", "content": b"# Bees\n\nBees dance."}
        document = documents.upload(library_id=made.id, file=file)
        _until(
            lambda: documents.status(library_id=made.id, document_id=document.id),
            lambda status: status.process_status == "done",
        )
        text = documents.text_content(library_id=made.id, document_id=document.id)
        assert text.text == "# Bees\n\nBees dance."
        listing = documents.list(library_id=made.id)
        assert [one.name for one in listing.data] == ["a.md"]
        assert listing.pagination.total_items == 1
        assert client.beta.libraries.get(library_id=made.id).nb_documents == 1
        documents.delete(library_id=made.id, document_id=document.id)
        client.beta.libraries.delete(library_id=made.id)
        assert made.id not in [one.id for one in client.beta.libraries.list().data]


def test_a_folder_is_followed_searched_and_heard_of(server: _Server) -> None:
    folder = server.root / "handbook"
    folder.mkdir()
    (folder / "desk.md").write_text("# Desk\n\nThe desk opens at 08:30.")
    with server.http() as http:
        library = http.post("/v1/libraries", json={"name": "Handbook"}).json()["id"]
        source = {"kind": "folder", "config": {"path": str(folder)}}
        with http.stream("GET", "/v1/libraries/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == ": listening"
            made = http.post(f"/v1/libraries/{library}/sources", json=source)
            assert made.status_code == 201
            told, progress = _changed(lines)
        followed = made.json()["id"]
        assert {one["id"] for one in progress} == {followed}
        assert (progress[-1]["seen"], progress[-1]["indexed"], progress[-1]["failed"]) == (1, 1, 0)
        assert progress[-1].keys() >= {"parsed", "embedded", "rate", "seconds_left"}
        assert told["library_id"] == library
        assert [one["change"] for one in told["documents"]] == ["added"]
        ask = {"query": "when does the desk open", "limit": 3}
        found = http.post(f"/v1/libraries/{library}/search", json=ask).json()
        (hit,) = found["data"]
        assert "08:30" in hit["text"]
        assert hit["source_id"] == followed
        assert (hit["document_name"], hit["document_version"]) == ("desk.md", 1)
        assert (hit["library_version"], hit["as_of"]) == (found["version"], found["as_of"])
        assert found["version"] == told["version"]
        shown = http.get(f"/v1/passages/{hit['passage_id']}?library_id={library}").json()
        assert shown["text"][shown["start"] : shown["end"]] == hit["text"]
        (folder / "desk.md").write_text("# Desk\n\nThe desk opens at 09:15.")
        passage = {"id": hit["passage_id"], "hash": hit["hash"], "library_id": library}
        _until(
            lambda: http.post("/v1/passages/check", json={"passages": [passage]}).json(),
            lambda answer: answer["data"][0]["state"] == "changed",
        )
        questions = http.get(f"/v1/libraries/{library}/questions").json()["data"]
        assert questions[0] == "When does the desk open?"
        shown = http.get(f"/v1/libraries/{library}/sources").json()["data"]
        assert [(one["seen"], one["indexed"]) for one in shown] == [(1, 1)]
        gone = http.delete(f"/v1/libraries/{library}/sources/{shown[0]['id']}")
        assert gone.status_code == 204
        assert http.post(f"/v1/libraries/{library}/search", json=ask).json()["data"] == []


def _changed(lines: Iterator[str]) -> tuple[dict, list[dict]]:
    """The first change that names a document, and what sources told until one was in step."""
    change, progress = None, []
    for line in lines:
        if line.startswith("data: "):
            told = json.loads(line.removeprefix("data: "))
            change = change or (told if told["documents"] else None)
            progress += told["sources"]
            if change and any(one["state"] == "in_step" and one["indexed"] for one in progress):
                return change, progress
    raise AssertionError("no change was told")


def test_who_may_declare_and_list_folders(server: _Server, tmp_path: Path) -> None:
    with server.http() as admin, server.http(server.viewer) as viewer:
        library = admin.post("/v1/libraries", json={"name": "Roots"}).json()["id"]
        inside = {"kind": "folder", "config": {"path": str(server.root)}}
        outside = {"kind": "folder", "config": {"path": str(tmp_path)}}
        trusted = outside | {"trusted": True}
        address = f"/v1/libraries/{library}/sources"
        assert viewer.post(address, json=inside).status_code == 403
        assert admin.post(address, json=outside).status_code == 403
        assert admin.post(address, json=trusted).status_code == 403
        assert admin.post(address, json={"kind": "s3", "config": {}}).status_code == 400
        assert viewer.get("/v1/folders").status_code == 403
        assert admin.get("/v1/folders").json()["roots"] == [str(server.root)]
        assert admin.get("/v1/folders", params={"path": "/etc"}).status_code == 403


def test_a_viewer_searches_and_changes_nothing(server: _Server) -> None:
    with server.http() as admin, server.http(server.viewer) as viewer:
        library = admin.post("/v1/libraries", json={"name": "Read"}).json()["id"]
        assert viewer.get(f"/v1/libraries/{library}").status_code == 200
        ask = {"query": "anything"}
        assert viewer.post(f"/v1/libraries/{library}/search", json=ask).status_code == 200
        file = {"file": ("a.md", b"x")}
        for answer in (
            viewer.post("/v1/libraries", json={"name": "Mine"}),
            viewer.post("/v1/libraries/sample"),
            viewer.put(f"/v1/libraries/{library}", json={"name": "Mine"}),
            viewer.delete(f"/v1/libraries/{library}"),
            viewer.post(f"/v1/libraries/{library}/documents", files=file),
        ):
            assert answer.status_code == 403


def test_a_refusal_says_what_to_do(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.http() as http:
        library = http.post("/v1/libraries", json={"name": "Refuse"}).json()["id"]
        address = f"/v1/libraries/{library}"
        for answer, status, words in (
            (http.post("/v1/libraries", json={"name": "  "}), 400, "needs a name"),
            (http.get("/v1/libraries/lib_none"), 404, "no library lib_none"),
            (http.post(f"{address}/search", json={"query": " "}), 400, "query is empty"),
            (http.post(f"{address}/search", json={"query": "a", "limit": 0}), 400, "limit"),
            (http.post(f"{address}/documents", files={"file": ("a.exe", b"MZ")}), 400, "kind"),
        ):
            assert answer.status_code == status
            assert words in answer.json()["message"]
        monkeypatch.setattr(documents, "LARGEST_FILE", 2**20)
        large = {"file": ("a.txt", b"x" * (2**20 + 1))}
        answer = http.post(f"{address}/documents", files=large)
        assert (answer.status_code, answer.json()["message"]) == (
            413,
            "The file is too large; the most is 1 MiB.",
        )


def test_a_stranger_finds_nothing(server: _Server) -> None:
    with server.http() as owner, server.http(server.stranger) as stranger:
        library = owner.post("/v1/libraries", json={"name": "Ours"}).json()["id"]
        file = {"file": ("a.md", b"Bees dance.")}
        document = owner.post(f"/v1/libraries/{library}/documents", files=file).json()["id"]
        assert library not in stranger.get("/v1/libraries").text
        for path in ("", "/sources", "/documents", f"/documents/{document}/text_content"):
            assert stranger.get(f"/v1/libraries/{library}{path}").status_code == 404
        assert httpx.get(f"{server.url}/v1/libraries").status_code == 401


def test_mcp_clients_search_and_fetch(server: _Server) -> None:
    with server.http() as http:
        library = http.post("/v1/libraries", json={"name": "Tools"}).json()["id"]
        file = {
            "file": ("boiler.md", b"# Boiler\n\nThe boiler is in the cellar.\n\n# Roof\n\nOld.")
        }
        http.post(f"/v1/libraries/{library}/documents", files=file)
        _until(
            lambda: http.get(f"/v1/libraries/{library}").json(),
            lambda answer: answer["freshness"]["version"] > 0,
        )
    asyncio.run(_use_tools(server))


async def _use_tools(server: _Server) -> None:
    async with _tools(server, server.viewer) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools][:2] == ["search", "fetch"]
        arguments = {"query": "where is the boiler", "limit": 2, "library": "Tools"}
        found = await client.call_tool("search", arguments)
        first = found.structured_content["results"][0]
        assert "cellar" in first["text"]
        fetched = await client.call_tool("fetch", {"id": first["id"]})
        assert "# Roof" in fetched.structured_content["text"]
        whole = await client.call_tool("fetch", {"id": first["document_id"]})
        assert whole.structured_content["text"] == fetched.structured_content["text"]
        for name, arguments, words in (
            ("search", {"query": " "}, "not empty"),
            ("search", {"query": "x", "library": "None"}, "no library None"),
            ("fetch", {"id": "psg_0"}, "not there"),
        ):
            refused = await client.call_tool(name, arguments)
            assert refused.is_error
            assert words in refused.content[0].text
    async with _tools(server, server.stranger) as client:
        found = await client.call_tool("search", {"query": "boiler"})
        assert found.structured_content == {"results": []}
        refused = await client.call_tool("fetch", {"id": first["id"]})
        assert refused.is_error


@asynccontextmanager
async def _tools(server: _Server, key: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        async with Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client:
            yield client


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer pnt_wrong"}])
def test_mcp_needs_a_key(server: _Server, headers: dict[str, str]) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = httpx.post(f"{server.url}/mcp", json=call, headers=headers)
    assert answer.status_code == 401
