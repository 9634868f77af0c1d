"""Puts the services of one installation together."""

from dataclasses import dataclass
from typing import cast

from ponant.accounts import Accounts, FirstStart, Lookups
from ponant.accounts.signing import Signer
from ponant.api.platform import Platform
from ponant.assistant import Assistant
from ponant.assistant.watches import Watches
from ponant.billing import Ledger
from ponant.cli.home import open_database
from ponant.files import Files, Shelves
from ponant.hub import Catalogue
from ponant.kit import Settings, SystemClock
from ponant.kit.network import Network
from ponant.kit.sealing import Seal
from ponant.live import LiveClient
from ponant.live.pipelines.watching import Pipelines
from ponant.live.reranking import served_reranker
from ponant.live.served import served_embedder
from ponant.serving import Models, Upstreams


def open_platform(settings: Settings) -> tuple[Platform, FirstStart | None]:
    """Every service, not yet started, and the first accounts where this start made them."""
    clock = SystemClock()
    database = open_database(settings)
    accounts = Accounts(database, clock)
    key = settings.admin_key.get_secret_value() if settings.admin_key else None
    first = accounts.ensure_first(key)
    ledger = Ledger(database, clock)
    upstreams = Upstreams(database, clock, settings)
    catalogue = Catalogue(settings.home)
    models = Models(settings, catalogue, upstreams)
    live = LiveClient(settings, served_embedder(models, catalogue), served_reranker(models))
    assistant = Assistant(database, clock, models, live, ledger)
    live.notices("withdrawn", assistant.withdraw)
    network = Network(settings.source_networks)
    watches = Watches(
        database,
        Seal(settings.home, settings.given_secrets_key),
        clock,
        models,
        live,
        ledger,
        accounts,
        assistant.judging,
        network,
        assistant.arrangement,
    )
    owner = accounts.administrator().scope
    pipelines = Pipelines(settings.pipeline_files, settings.home, owner)
    return (
        Platform(
            settings=settings,
            clock=clock,
            database=database,
            accounts=accounts,
            lookups=Lookups(accounts),
            ledger=ledger,
            upstreams=upstreams,
            models=models,
            live=live,
            files=Files(settings.home, database, clock),
            shelves=Shelves(database, clock),
            signer=Signer(settings.home, clock),
            assistant=assistant,
            watches=watches,
            pipelines=pipelines,
        ),
        first,
    )


def describe_platform() -> Platform:
    """Services that are never started, for whoever only wants to know the routes."""
    settings = Settings()
    return cast("Platform", _Described(settings))


@dataclass(frozen=True)
class _Described:
    settings: Settings
