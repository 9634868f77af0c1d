"""An organisation of people and groups, whose documents are for some of them, over every route."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import uvicorn

from ponant.accounts import Accounts, Lookups, Principal, Role
from ponant.accounts.signing import Signer
from ponant.api.app import create_app
from ponant.api.platform import Platform
from ponant.assistant import Assistant
from ponant.assistant.watches import Watches
from ponant.billing import Ledger
from ponant.files import Files, Shelves
from ponant.kit import Settings, SystemClock
from ponant.kit.sealing import Seal
from ponant.live import LiveClient
from ponant.store import Database
from tests.fakes.accounts import add_organisation, key_of
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.models import FakeModel, FakeModels
from tests.patience import PATIENCE
from tests.server import free_port


@dataclass(frozen=True)
class Member:
    """Somebody with a key, and what access lists call them."""

    name: str
    key: str
    principal: Principal


@dataclass(frozen=True)
class Secret:
    """A document with a word that stands in no other; ``marks`` None is everybody."""

    name: str
    word: str
    id: str
    library: str
    marks: frozenset[str] | None


@dataclass
class Office:
    """A running installation; `requests` is what its model was asked."""

    url: str
    home: Path
    folder: Path
    accounts: Accounts
    model: FakeModel
    people: dict[str, Member] = field(default_factory=dict)

    def http(self, name: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.people[name].key}"}
        # Without the certificates of the world, which take longer to load than a test to run.
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, verify=False)

    def marks(self, name: str) -> frozenset[str]:
        """What lists may call somebody now, from the key that they send."""
        return frozenset(self.accounts.principal_for_key(self.people[name].key).marks)

    def add(self, name: str, role: Role, *groups: str, email: str | None = None) -> None:
        """A member of the first workspace, in those groups."""
        admin = self.people["admin"].principal
        directory = self.accounts.directory
        made = directory.add_person(admin, name, email, role)
        for group in groups:
            directory.join(admin, group, made.id)
        principal = directory.act_as(admin, made.id)
        key = self.accounts.issue_key(admin, principal, "test").key
        self.people[name] = Member(name, key, principal)

    def put(
        self,
        library: str,
        name: str,
        word: str,
        marks: frozenset[str] | None,
        by: str = "admin",
        *,
        at_once: bool = True,
    ) -> Secret:
        """A document about a word.

        Args:
            at_once: closed from its first moment; else once it is there.
        """
        text = f"# About {word}\n\nThe {word} password is kept in the {word} drawer."
        form = {}
        if at_once and marks is not None:
            form["access"] = json.dumps(sorted(marks))
        with self.http(by) as http:
            file = {"file": (f"{name}.md", text.encode())}
            made = http.post(f"/v1/libraries/{library}/documents", files=file, data=form)
            assert made.status_code == 201, made.text
            found = Secret(name, word, made.json()["id"], library, marks)
            if not at_once:
                self.close(found, marks, by)
        return found

    def put_table(self, name: str, word: str, marks: frozenset[str] | None) -> Secret:
        """A live table with a word in its row, its view and its standing query's last change."""
        scope = self.people["admin"].principal.scope
        access = None if marks is None else sorted(marks)

        async def put() -> None:
            live = LiveClient(Settings(home=self.home))
            await live.connect()
            try:
                tables = live.relations
                await tables.declare_readers(scope, name, access)
                await tables.put_rows(scope, name, ["id"], [{"id": 1, "word": "none"}])
                await tables.put_query(scope, f"{name}_kept", f"SELECT word FROM {name}")
                await tables.put_rows(scope, name, ["id"], [{"id": 1, "word": word}])
                for _ in range(600):
                    told = await tables.all_changes(scope, 0, 1000)
                    if any(one.query == f"{name}_kept" for one in told):
                        return
                    await asyncio.sleep(0.05)
                raise AssertionError("the standing query was not asked again")
            finally:
                await live.close()

        asyncio.run(put())
        return Secret(name, word, name, "", marks)

    def close(self, secret: Secret, marks: frozenset[str] | None, by: str = "admin") -> Secret:
        """Let others read a document."""
        body = {"access": None if marks is None else sorted(marks)}
        address = f"/v1/libraries/{secret.library}/documents/{secret.id}/access"
        with self.http(by) as http:
            answer = http.put(address, json=body)
            assert answer.status_code == 200, answer.text
        return Secret(secret.name, secret.word, secret.id, secret.library, marks)

    def settle(self, library: str) -> None:
        """Wait until every document is read and found by meaning."""
        with self.http("admin") as http:
            until(
                lambda: http.get(f"/v1/libraries/{library}").json()["freshness"],
                lambda fresh: fresh["state"] == "in_step" and not fresh["pending"],
            )


@contextmanager
def open_office(home: Path) -> Iterator[Office]:
    """An installation with its first administrator, without models but one that quotes."""
    home.mkdir()
    folder = home.parent / "shared"
    folder.mkdir()
    settings = Settings(home=home, live_roots=str(folder), port=free_port())
    database, clock = Database.at(home / "ponant.db"), SystemClock()
    database.migrate("ponant")
    accounts = Accounts(database, clock)
    first = accounts.ensure_first(None)
    assert first is not None
    model = FakeModel(_quote)
    live = LiveClient(settings, _embedder)
    ledger, models = Ledger(database, clock), FakeModels(model)
    assistant = Assistant(database, clock, models, live, ledger)
    services = SimpleNamespace(
        settings=settings,
        clock=clock,
        database=database,
        accounts=accounts,
        lookups=Lookups(accounts),
        ledger=ledger,
        live=live,
        files=Files(home, database, clock),
        shelves=Shelves(database, clock),
        signer=Signer(home, clock),
        assistant=assistant,
        watches=Watches(
            database, Seal(home), clock, models, live, ledger, accounts, assistant.judging
        ),
    )

    async def start() -> None:
        await live.start()
        await services.watches.start()

    async def close() -> None:
        await services.watches.close()
        await assistant.close()
        await live.close()

    services.start, services.close = start, close
    office = Office(settings.base_url, home, folder, accounts, model)
    office.people["admin"] = Member("admin", first.key or "", first.administrator)
    stranger = add_organisation(database, clock, "Elsewhere")
    office.people["stranger"] = Member("stranger", key_of(accounts, stranger), stranger)
    with _serving(cast("Platform", services)):
        yield office
    ledger.close()
    database.close()


@contextmanager
def _serving(services: Platform) -> Iterator[None]:
    config = uvicorn.Config(create_app(services), port=services.settings.port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, bool, seconds=PATIENCE)
        yield
    finally:
        server.should_exit = True
        thread.join()


def until(ask: Callable[[], Any], fits: Callable[[Any], bool], seconds: float = PATIENCE) -> Any:
    """The first answer that fits."""
    deadline = time.monotonic() + seconds
    while not fits(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def _quote(request: Any) -> str:
    """What a model says that repeats all it was shown."""
    if not request.passages:
        return "The documents do not say."
    return " ".join(f"{one.text} [{number}]" for number, one in enumerate(request.passages, 1))


async def _embedder() -> FakeEmbedder:
    await asyncio.sleep(0)
    return FakeEmbedder()
