"""Models that refuse: what they cannot do, or everything."""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from ponant.kit import PonantError
from ponant.kit.errors import Unavailable
from ponant.serving.port import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Embeddings,
    InputKind,
    ModelCard,
    Relevances,
)


class Refusing:
    """The methods of a `TextModel`, each of which raises `refusal`."""

    def refusal(self) -> PonantError:
        raise NotImplementedError

    def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        del request
        raise self.refusal()

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        del request
        raise self.refusal()

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        del texts, kind
        raise self.refusal()

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        del query, texts
        raise self.refusal()

    async def tokenize(self, text: str) -> list[int]:
        del text
        raise self.refusal()


class UnusableModel(Refusing):
    """A model that is on the disk and cannot be served; its card says why.

    Args:
        card: what is known of the model.
        reason: a sentence that says what to do.
    """

    def __init__(self, card: ModelCard, reason: str) -> None:
        self._card = msgspec.structs.replace(card, state="failed", detail=reason)

    @property
    def card(self) -> ModelCard:
        return self._card

    def refusal(self) -> Unavailable:
        return Unavailable(f"The model {self._card.id} cannot be used. {self._card.detail}")
