"""Tells webhooks of events: signed, again until they are taken, and for so long and no longer.

Signed as Standard Webhooks 1.0 says: HMAC-SHA256 over ``id.timestamp.body`` under the watch's
secret. An event is delivered at least once and always under the same id.
"""

import asyncio
import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from ponant.assistant.watches import withholding
from ponant.assistant.watches.bodies import event_body
from ponant.assistant.watches.port import Live, Owners
from ponant.assistant.watches.schemas import Delivery, Watch, WatchEvent
from ponant.assistant.watches.store import WatchStore
from ponant.kit import Clock, PonantError
from ponant.kit.errors import BadRequest, NotFound, Unauthorized
from ponant.kit.network import AddressRefused, Network
from ponant.kit.sealing import CannotOpen
from ponant.store import Scope

PAUSES = tuple(timedelta(seconds=one) for one in (5, 30, 120, 600, 3600, 21_600, 86_400))
"""What is waited after each failure; after the last, the delivery is dead."""

_LOCKED = timedelta(seconds=60)
_SECONDS = 10.0
_AT_ONCE = 8
_GONE = 410
_PORTS = {"http": 80, "https": 443}

log = structlog.get_logger()


class Webhooks:
    """The deliveries of an installation."""

    def __init__(
        self, store: WatchStore, clock: Clock, network: Network, live: Live, owners: Owners
    ) -> None:
        self._store = store
        self._clock = clock
        self._network = network
        self._live = live
        self._owners = owners
        self._due: dict[str, tuple[Scope, Delivery]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def check(self, url: str) -> None:
        """Refuse an address that no webhook may have.

        Raises:
            BadRequest: it is no address of the web.
            AddressRefused: it is inside this machine or its network.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            port = None
        if not parts.hostname or port is None or parts.scheme not in _PORTS:
            raise BadRequest(
                "The webhook is no address. Write one like https://example.org/hook.",
                param="webhook",
            )
        if parts.username or parts.password:
            raise BadRequest("Leave name and password out of the address.", param="webhook")
        await asyncio.to_thread(self._network.check, parts.hostname, port)

    async def load(self, owner: Scope) -> None:
        """Take up what was on its way to somebody's webhooks."""
        for delivery in await asyncio.to_thread(self._store.due, owner):
            self._due[delivery.event_id] = owner, delivery

    def add(self, owner: Scope, event: WatchEvent) -> None:
        """Deliver an event, which is stored as due."""
        delivery = Delivery(
            event_id=event.id, watch_id=event.watch_id, attempts=0, next_at=event.at
        )
        self._due[event.id] = owner, delivery

    @property
    def next_at(self) -> datetime | None:
        """When something is to be delivered."""
        waiting = (
            one.next_at for _, one in self._due.values() if one.event_id not in self._running
        )
        return min(waiting, default=None)

    @property
    def running(self) -> list["asyncio.Task[None]"]:
        """What is being delivered."""
        return list(self._running.values())

    def begin(self, now: datetime) -> None:
        """Deliver what is due, beside everything else."""
        for event_id, (owner, delivery) in list(self._due.items()):
            if delivery.next_at <= now and event_id not in self._running:
                task = asyncio.create_task(self._deliver(owner, delivery))
                self._running[event_id] = task
                task.add_done_callback(partial(self._ended, event_id))

    def _ended(self, event_id: str, _: "asyncio.Task[None]") -> None:
        self._running.pop(event_id, None)

    async def _deliver(self, owner: Scope, delivery: Delivery) -> None:
        async with self._turns:
            try:
                error, final = await self._post(owner, delivery)
            except NotFound:  # the watch was deleted
                self._due.pop(delivery.event_id, None)
                return
            except CannotOpen as e:  # no attempt: it waits for the key, however long that takes
                later = self._clock.now() + _LOCKED
                tried = msgspec.structs.replace(delivery, next_at=later, error=str(e))
            else:
                tried = self._judged(delivery, error, final=final)
            try:
                await asyncio.to_thread(self._store.note, owner, tried)
            except PonantError as e:
                log.warning("a delivery was not noted", reason=e.message)
        if tried.state == "due":
            self._due[tried.event_id] = owner, tried
        else:
            self._due.pop(tried.event_id, None)

    def _judged(self, delivery: Delivery, error: str, *, final: bool) -> Delivery:
        attempts, now = delivery.attempts + 1, self._clock.now()
        if not error:
            return msgspec.structs.replace(delivery, attempts=attempts, state="done", error="")
        if final or attempts > len(PAUSES):
            return msgspec.structs.replace(delivery, attempts=attempts, state="dead", error=error)
        next_at = now + PAUSES[attempts - 1]
        return msgspec.structs.replace(delivery, attempts=attempts, next_at=next_at, error=error)

    async def _post(self, owner: Scope, delivery: Delivery) -> tuple[str, bool]:
        """What went wrong, if anything, and whether trying again is of no use."""
        watch = await asyncio.to_thread(self._store.get, owner, delivery.watch_id)
        event = await asyncio.to_thread(self._store.event, owner, delivery.event_id)
        secret = await asyncio.to_thread(self._store.secret, owner, delivery.watch_id)
        url = watch.setup.webhook
        if url is None or event is None or secret is None:
            return "The watch has no webhook any more.", True
        try:
            event = await self._shown(owner, watch, event)
        except Unauthorized as e:
            return e.message, True
        except PonantError as e:
            return e.message, False
        body = msgspec.json.encode(
            {
                "type": f"watch.{event.happening}",
                "timestamp": event.at,
                "data": event_body(event) | {"query": watch.setup.query},
            }
        )
        headers = signed(secret, event.id, self._clock.now(), body)
        headers["content-type"] = "application/json"
        try:
            async with (
                self._network.client(timeout=_SECONDS) as client,
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        except AddressRefused as e:
            return e.message, True
        except (httpx.HTTPError, OSError, ValueError) as e:
            return f"{type(e).__name__}: {e}"[:300], False
        if response.is_success:
            return "", False
        return f"It answered {status}.", status == _GONE

    async def _shown(self, owner: Scope, watch: Watch, event: WatchEvent) -> WatchEvent:
        """An event as the watch's owner may see it now, however long it was on its way."""
        if event.happening != "changed":
            return event  # says nothing of documents
        caller = await asyncio.to_thread(self._owners.present, owner, watch.key_id)
        if caller is None:
            raise Unauthorized("Its owner may not read here any more.")
        (shown,) = await withholding.shown(self._live, caller.scope, [event])
        return shown


def signed(secret: str, event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that say what is sent, when, and that it is from us."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    said = b".".join((event_id.encode(), timestamp.encode(), body))
    mark = base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{mark}",
    }
