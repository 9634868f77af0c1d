"""The models of upstream servers, listed now and then and kept for a moment."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from ponant.engine import Capabilities
from ponant.kit import PonantError
from ponant.serving.place import Place, place_of
from ponant.serving.port import ModelCard
from ponant.serving.provider import Provider
from ponant.serving.remote import RemoteModel
from ponant.serving.upstreams import Upstream, Upstreams
from ponant.store import Scope

_KEPT = 60.0  # seconds that a list of models is taken for true
_KEPT_FAILURE = 10.0
_CAPABILITIES = Capabilities(
    grammar=True, logit_bias=True, logprobs=True, penalties=True, min_tokens=True
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a server listed, or why it did not."""

    models: tuple[RemoteModel, ...]
    until: float
    failure: PonantError | None = None


class Remotes:
    """Upstream models, each organisation's its own."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._client = httpx.AsyncClient()
        self._listings: dict[Upstream, _Listing] = {}

    async def list(self, scope: Scope) -> list[RemoteModel]:
        """The models of every server that can be reached."""
        if scope.organisation_id is None:
            return []
        upstreams = await asyncio.to_thread(self._upstreams.list, scope)
        listings = await asyncio.gather(*map(self._listing, upstreams))
        return [model for listing in listings for model in listing.models]

    async def get(self, model_id: str, scope: Scope) -> RemoteModel | None:
        """The model whose id begins with a server's name; None where no server has that name.

        Raises:
            PonantError: the server cannot be reached.
        """
        name, slash, _ = model_id.partition("/")
        if not slash or scope.organisation_id is None:
            return None
        upstreams = await asyncio.to_thread(self._upstreams.list, scope)
        for upstream in upstreams:
            if upstream.name == name:
                listing = await self._listing(upstream)
                if listing.failure is not None:
                    raise listing.failure
                return next((m for m in listing.models if m.card.id == model_id), None)
        return None

    async def close(self) -> None:
        await self._client.aclose()

    async def _listing(self, upstream: Upstream) -> _Listing:
        known = self._listings.get(upstream)
        if known is not None and time.monotonic() < known.until:
            return known
        provider = Provider(upstream, self._client)
        try:
            cards = await list_models(upstream, self._client)
        except PonantError as e:
            _log.warning("An upstream lists no models.", upstream=upstream.name, reason=e.message)
            listing = _Listing((), time.monotonic() + _KEPT_FAILURE, e)
        else:
            models = tuple(RemoteModel(card, card.name, provider) for card in cards)
            listing = _Listing(models, time.monotonic() + _KEPT)
        self._listings[upstream] = listing
        return listing


async def list_models(upstream: Upstream, client: httpx.AsyncClient) -> list[ModelCard]:
    """The cards of a server's models, as it lists them now; a card's name is the id there.

    Raises:
        UpstreamFailed: it does not answer as it should.
    """
    place = await asyncio.to_thread(place_of, urlsplit(upstream.url).hostname or "")
    found = await Provider(upstream, client).models()
    return [_card(upstream, entry, place) for entry in found]


def _card(upstream: Upstream, entry: dict[str, Any], place: Place) -> ModelCard:
    """What a server's list says of a model; the wire format does not say what it can do."""
    name = str(entry["id"])
    embeds = "embed" in name.lower()
    length = entry.get("max_model_len") or entry.get("max_context_length") or 0
    created = entry.get("created")
    return ModelCard(
        id=f"{upstream.name}/{name}",
        name=name,
        origin=f"{upstream.name} ({upstream.url})",
        description="Leaves this machine." if place == "elsewhere" else "",
        place=place,
        backend="upstream",
        state="ready",
        context_length=length if isinstance(length, int) else 0,
        chat=not embeds,
        completion=not embeds,
        embedding=embeds,
        tools=not embeds,
        capabilities=_CAPABILITIES,
        created=created if isinstance(created, int) else 0,
    )
