"""What models that embed or rerank in a worker of ours have in common."""

import msgspec

from ponant.engine import Usage
from ponant.kit.errors import ContextTooLong
from ponant.serving import wire
from ponant.serving.port import ModelCard
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.unusable import Refusing


class EncoderModel(Refusing):
    """A `TextModel` that reads texts and writes none.

    The worker holds the tokenizer, too: the one of a multilingual model takes 250 MB, and the
    process that asks stays small.

    Args:
        card: what is known of the model before it is loaded.
        worker: the process that holds it, started at the first request.
    """

    def __init__(self, card: ModelCard, worker: WorkerProcess) -> None:
        self._card = card
        self._worker = worker

    @property
    def card(self) -> ModelCard:
        loaded = self._worker.loaded
        return msgspec.structs.replace(
            self._card,
            state=self._worker.state,
            detail=self._worker.detail,
            context_length=loaded.max_tokens if loaded else self._card.context_length,
            dimension=(loaded.dimension if loaded else 0) or self._card.dimension,
        )

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()

    async def tokenize(self, text: str) -> list[int]:
        return await self._worker.tokenize(text)

    def too_long(self, told: str, param: str) -> ContextTooLong:
        """The refusal of a text that has, as is told, more tokens than the model reads."""
        return ContextTooLong(
            f"{told}, but {self._card.id} reads {self.card.context_length}. Split it into shorter "
            "pieces.",
            param=param,
        )


def usage_of(found: wire.Vectors | wire.Scores) -> Usage:
    """What was read; nothing is written."""
    return Usage(prompt_tokens=found.tokens, completion_tokens=0)
