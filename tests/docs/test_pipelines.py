"""The worked examples of pipelines do what their pages say, against real servers."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ponant.kit import PonantError
from ponant.live.relations.port import Changed
from tests.live.pipelines.conftest import SCOPE, Workshop, eventually
from tests.live.pipelines.conftest import workshop as workshop  # noqa: PLC0414 - a fixture
from tests.patience import PATIENCE
from tests.server import home_with_models, serving
from tests.servers import dovecot, kafka, postgres

_GUIDE = Path(__file__).parents[2] / "docs" / "guide"
_EXAMPLES = _GUIDE / "examples"
_NAMES = ("summaries", "orders", "clicks", "hooks", "digest")


@pytest.mark.parametrize("name", _NAMES)
def test_a_page_shows_the_file_that_is_tested(name: str) -> None:
    page = (_GUIDE / f"pipeline-{name}.md").read_text()
    assert (_EXAMPLES / f"{name}.py").read_text() in page
    assert f"pipeline-{name}.md" in (_GUIDE / "pipelines.md").read_text()


def _use(here: Workshop, name: str) -> None:
    shutil.copy(_EXAMPLES / f"{name}.py", here.file)


async def _rows(here: Workshop, sql: str) -> Any:
    try:
        return await here.rows(sql)
    except PonantError as e:
        return e.message


async def _change(here: Workshop, query: str, after: int = 0) -> Changed:
    found = await here.live.relations.changes(SCOPE, after, query, wait=PATIENCE)
    return found[0]


def test_outlines_follow_their_handbooks(workshop: Any) -> None:
    async def check() -> None:
        async with workshop() as here:
            here.write(
                "handbooks/lamp.md", "# Lamp\n\nIt turns. It shines.\n\n# Oil\n\nSix litres.\n"
            )
            here.write("handbooks/door.md", "# Door\n\nIt is shut.\n")
            _use(here, "summaries")
            async with here.running():
                await eventually(lambda: _outlines(here), {"outlines/lamp.md", "outlines/door.md"})
                assert "Oil: Six litres." in (await here.texts("Outlines"))["outlines/lamp.md"]
                (here.folder / "handbooks/door.md").unlink()
                await eventually(lambda: _outlines(here), {"outlines/lamp.md"})

    asyncio.run(check())


async def _outlines(here: Workshop) -> set[str]:
    return set(await here.texts("Outlines"))


def test_orders_are_joined_with_customers(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(server: postgres.Postgres) -> None:
        async with workshop() as here:
            here.write("customers.csv", "id,country\n1,France\n2,Chile\n")
            _use(here, "orders")
            async with here.running():
                sales = "SELECT country, orders, amount FROM sales ORDER BY country"
                before = [["Chile", 1, 50], ["France", 2, 900]]
                await eventually(lambda: _numbers(here, sales), before, 30)
                assert await _numbers(here, "SELECT count(*) FROM sales WHERE amount > 1000") == [
                    [0]
                ]
                server.run("INSERT INTO orders VALUES (4, 1, 200)")
                change = await _change(here, "large_markets")
                assert [row["country"] for row in change.added] == ["France"]
                here.write("customers.csv", "id,country\n1,Chile\n2,Chile\n")
                await eventually(lambda: _numbers(here, sales), [["Chile", 4, 1150]])
                server.run("DELETE FROM orders WHERE id = 4")
                await eventually(lambda: _numbers(here, sales), [["Chile", 3, 950]])

    with postgres.running() as server:
        server.run(
            "CREATE TABLE orders (id INT PRIMARY KEY, customer INT, amount NUMERIC)",
            "INSERT INTO orders VALUES (1, 1, 400), (2, 1, 500), (3, 2, 50)",
        )
        monkeypatch.setenv("ORDERS_HOST", server.host)
        monkeypatch.setenv("ORDERS_PORT", str(server.port))
        monkeypatch.setenv("ORDERS_DATABASE", server.database)
        monkeypatch.setenv("ORDERS_USER", server.user)
        monkeypatch.setenv("ORDERS_PASSWORD", server.password)
        asyncio.run(check(server))


async def _numbers(here: Workshop, sql: str) -> Any:
    """Rows with sums as plain numbers."""
    rows = await _rows(here, sql)
    if isinstance(rows, str):
        return rows
    return [[_number(value) for value in row] for row in rows]


def _number(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def test_late_clicks_correct_their_window(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def click(number: int, second: int) -> dict[str, Any]:
        moment = f"2026-03-01T12:{second // 60:02}:{second % 60:02}+00:00"
        return {"id": number, "page": "home", "person": number % 2, "clicked_at": moment}

    async def check(cluster: kafka.Kafka) -> None:
        async with workshop() as here:
            _use(here, "clicks")
            async with here.running():
                counts = "SELECT clicks, people FROM clicks_per_10s ORDER BY window_start"
                await eventually(lambda: _rows(here, counts), [[2, 2], [1, 1]], 30)
                cluster.send("clicks", None, click(4, 8))  # late by four seconds
                cluster.flush()
                await eventually(lambda: _rows(here, counts), [[3, 2], [1, 1]])
                change = await _change(here, "busy_pages")
                assert [row["clicks"] for row in change.added] == [3]
                for late in (click(5, 70), click(6, 9)):
                    cluster.send("clicks", None, late, partition=0)
                    cluster.flush()
                    await eventually(
                        lambda late=late: _rows(
                            here, f"SELECT count(*) FROM clicks WHERE id = {late['id']}"
                        ),
                        [[1]],
                    )
                await eventually(lambda: _rows(here, counts), [[3, 2], [1, 1], [1, 1]])
                assert (await here.live.relations.describe(SCOPE, "clicks")).late == 1

    with kafka.running() as cluster:
        cluster.topic("clicks")
        monkeypatch.setenv("KAFKA_SERVERS", cluster.servers)
        monkeypatch.setenv("KAFKA_SECURITY", "plaintext")
        for number, second in ((1, 1), (2, 2), (3, 12)):
            cluster.send("clicks", None, click(number, second))
        cluster.flush()
        asyncio.run(check(cluster))


@pytest.mark.timeout(600)
def test_a_mailbox_tells_who_waits(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(server: dovecot.Dovecot) -> None:
        async with workshop() as here:
            _use(here, "digest")
            async with here.running():
                threads = "SELECT thread FROM mail ORDER BY message"
                await eventually(lambda: _rows(here, threads), [["the lamp"], ["oil"]])
                await eventually(lambda: _waiting(here), ["oil", "the lamp"])
                server.deliver("Re: Oil", "It comes today.", From="us@example.org")
                await eventually(lambda: _waiting(here), ["the lamp"])
                assert len(await here.texts("Mail")) == 3

    with dovecot.running() as server:
        server.deliver("The lamp", "It flickers.", From="ada@elsewhere.net")
        server.deliver("Oil", "When does it come?", From="grace@elsewhere.net")
        monkeypatch.setenv("MAIL_HOST", server.host)
        monkeypatch.setenv("MAIL_PORT", str(server.port))
        monkeypatch.setenv("MAIL_USER", server.user)
        monkeypatch.setenv("MAIL_PASSWORD", server.password)
        monkeypatch.setenv("MAIL_CA", server.ca)
        asyncio.run(check(server))


async def _waiting(here: Workshop) -> Any:
    try:
        found = await here.live.relations.result(SCOPE, "waiting")
    except PonantError as e:
        return e.message
    return [row["thread"] for row in found]


@pytest.mark.model
def test_issues_are_pushed_to_a_pipeline_of_the_server(tmp_path: Path, models_home: Path) -> None:
    home = home_with_models(tmp_path / "home", models_home)
    example = str(_EXAMPLES / "hooks.py")
    with serving(home, {"PONANT_PIPELINES": example}) as server, server.client() as client:
        items = [
            {"number": 7, "title": "The lamp flickers", "body": "Since noon.", "open": True},
            {"number": 8, "title": "The door is stuck", "open": True},
            {"title": "without a number"},
        ]
        _until(lambda: client.post("/v1/inboxes/issues", json={"items": items}).status_code, 202)
        sql = {"sql": "SELECT number, open FROM issues ORDER BY number"}
        _until(lambda: _asked(client, sql), [[7, True], [8, True]])
        library = _until_found(client)
        found = client.post(f"/v1/libraries/{library}/search", json={"query": "lamp flickers"})
        assert "Since noon." in found.json()["data"][0]["text"]
        items = [{"number": 7, "title": "The lamp flickers", "open": False}]
        items.append({"number": 8, "_deleted": True})
        assert client.post("/v1/inboxes/issues", json={"items": items}).status_code == 202
        _until(lambda: _asked(client, sql), [[7, False]])
        _until(lambda: _names(client, library), ["#7 The lamp flickers"])
        (pipeline,) = client.get("/v1/pipelines").json()["data"]
        assert pipeline["state"] == "running"
        (failure,) = pipeline["failures"]
        assert failure["source"] == "issues"
        assert "no value in its key, number. Give it one" in failure["reason"]
        assert "ponant live replay hooks" in pipeline["mend"]
        assert client.post("/v1/inboxes/unknown", json={"items": []}).status_code == 404
        with httpx.Client(base_url=server.url) as stranger:
            for path in ("/v1/tables", "/v1/pipelines", "/v1/tables/issues"):
                assert stranger.get(path).status_code == 401
            assert stranger.post("/v1/tables/query", json=sql).status_code == 401
            assert stranger.post("/v1/inboxes/issues", json={"items": []}).status_code == 401
        refused = client.post("/v1/tables/query", json={"sql": "DROP TABLE issues"})
        assert refused.status_code == 400
        assert "one SELECT" in refused.json()["message"]


def _asked(client: httpx.Client, body: dict[str, Any]) -> Any:
    answer = client.post("/v1/tables/query", json=body).json()
    return answer.get("rows", answer)


def _until_found(client: httpx.Client) -> str:
    def ids() -> list[str]:
        found = client.get("/v1/libraries").json()["data"]
        return [one["id"] for one in found if one["name"] == "Issues"]

    _until(lambda: len(ids()), 1)
    library = ids()[0]
    _until(lambda: len(_names(client, library)), 2)
    return library


def _names(client: httpx.Client, library: str) -> list[str]:
    found = client.get(f"/v1/libraries/{library}/documents").json()["data"]
    return sorted(one["name"] for one in found if one["process_status"] == "done")


def _until(ask: Any, expected: Any, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while (found := ask()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
