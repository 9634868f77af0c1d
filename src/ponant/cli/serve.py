"""``ponant serve``: one process that owns the database, the workers and the port."""

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import psutil
import typer
import uvicorn
import uvloop
from rich.console import Console

from ponant.accounts import FirstStart
from ponant.api.app import create_app
from ponant.api.gathering import GatheringProtocol
from ponant.api.platform import Platform
from ponant.cli.address import ServerAddress
from ponant.cli.home import require_home
from ponant.cli.platform import open_platform
from ponant.hub import Catalogue
from ponant.kit import Settings
from ponant.kit.errors import SetupError
from ponant.kit.lock import exclusive
from ponant.kit.log import configure_log
from ponant.kit.memory import keep_no_large_blocks
from ponant.serving.port import ModelCard


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
) -> None:
    """Serve the page, the API and live knowledge until interrupted."""
    given = {"host": host, "port": port}
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    configure_log(settings.log_level)
    require_home(settings)
    _require_models(settings)
    with exclusive(settings.home / "run" / "serve.lock") as alone:
        if not alone:
            raise SetupError(
                f"Another Ponant already serves {settings.home}. Stop it first, or set PONANT_HOME "
                "to another folder."
            )
        with _listening(settings) as listener:
            _serve(settings.model_copy(update={"port": listener.getsockname()[1]}), listener)


def _require_models(settings: Settings) -> None:
    if not Catalogue(settings.home).models():
        raise SetupError(
            f"There are no models in {settings.home}. Bring the starter with: ponant setup"
        )


def _serve(settings: Settings, listener: socket.socket) -> None:
    keep_no_large_blocks()
    services, first = open_platform(settings)
    file = settings.home / "run" / "server.json"
    started = psutil.Process().create_time()
    address = ServerAddress(_local_url(settings), os.getpid(), started)
    file.write_bytes(msgspec.json.encode(address))
    _greet(settings, services, first)
    _tell_models(services.models.survey())
    try:
        config = uvicorn.Config(
            create_app(services),
            http=GatheringProtocol,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Server(config, services).serve(sockets=[listener]))
    except KeyboardInterrupt:
        pass
    finally:
        file.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """A server that looks once through what stays as long as it does, and then no more.

    Some 200,000 objects are there once the models are. A search for garbage among them held up
    everybody for a tenth of a second, every few hundred requests.
    """

    def __init__(self, config: uvicorn.Config, services: Platform) -> None:
        super().__init__(config)
        self._services = services
        self._settled = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _keep_what_is_there()

    async def on_tick(self, counter: int) -> bool:
        if not self._settled and self._services.live.ready and not self._services.models.waiting():
            self._settled = True
            _keep_what_is_there()  # with what the models brought
        return await super().on_tick(counter)


def _keep_what_is_there() -> None:
    gc.collect()
    gc.freeze()


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    try:
        with socket.create_server(
            (settings.host, settings.port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
        ) as listener:
            # asyncio sets this only on sockets made with an explicit protocol; without it each
            # small answer waits 40 ms for the client's delayed acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield listener
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            raise SetupError(
                f"Port {settings.port} on {settings.host} is in use. Stop what uses it, or set "
                "PONANT_PORT to another port."
            ) from e
        if e.errno in {errno.EADDRNOTAVAIL, errno.EACCES} or isinstance(e, socket.gaierror):
            raise SetupError(
                f"Cannot listen on {settings.host}:{settings.port}: {e.strerror}. Set PONANT_HOST "
                "and PONANT_PORT to an address of this machine."
            ) from e
        raise


def _tell_models(found: list[tuple[ModelCard, str]]) -> None:
    """Say of each model what it takes and what runs it, before any is loaded."""
    console = Console(stderr=False, highlight=False, soft_wrap=True)
    for card, takes in found:
        if card.state == "failed":
            console.print(f"  model {card.id} cannot be used: {card.detail}", markup=False)
            continue
        line = f"  model {card.id} {takes} and runs on {card.backend}. {card.detail}"
        console.print(line.rstrip(), markup=False)


def _local_url(settings: Settings) -> str:
    """The address that commands on this machine reach the server under."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
    host = everywhere.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _greet(settings: Settings, services: Platform, first: FirstStart | None) -> None:
    console = Console(stderr=False, highlight=False, soft_wrap=True)
    console.print(f"[bold]Ponant[/bold] serves {settings.base_url}")
    console.print(f"  data in {settings.home}")
    link = services.accounts.create_link(services.accounts.administrator())
    console.print(f"  sign in: {settings.base_url}/sign-in#token={link}")
    console.print("  the link works once, for 15 minutes; `ponant link` prints a fresh one")
    if first is None:
        return
    if not settings.admin_key:
        console.print(f"  API key, shown this once: [bold]{first.key}[/bold]")
    for model in Catalogue(settings.home).models():
        console.print(f"  model {model.id}: {model.name}, from {model.origin}")
        console.print(f"    licence {model.licence}. {model.restrictions}")
