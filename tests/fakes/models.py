"""Models that say what a test tells them to, through the whole contract of a `TextModel`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from ponant.engine import Capabilities, FinishReason, Usage
from ponant.kit.errors import NotFound, PonantError
from ponant.serving.port import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Embeddings,
    InputKind,
    ModelCard,
    Relevances,
    TextModel,
    TextToken,
)
from ponant.store import Scope

Script = Callable[[ChatRequest], str | PonantError]


class FakeModel:
    """Answers each request with the next text of its script, a few characters at a time.

    Args:
        says: texts in order, or a function from the request to a text; an error is raised.
        grammar: whether it claims to follow grammars. It follows none: what a server must hold
            even then is what tests look at.
        pause_after: characters after which it waits for `go_on`.
    """

    def __init__(
        self,
        says: Sequence[str | PonantError] | Script,
        *,
        name: str = "fake",
        grammar: bool = True,
        place: str = "here",
        context_length: int = 4096,
        pause_after: int | None = None,
    ) -> None:
        self.card = ModelCard(
            id=name,
            place="here" if place == "here" else "elsewhere",
            chat=True,
            documents=True,
            context_length=context_length,
            capabilities=Capabilities(grammar=grammar),
        )
        self.requests: list[ChatRequest] = []
        self.left_early = 0
        self.go_on = asyncio.Event()
        self._script: Script = says if callable(says) else self._in_turn(list(says))
        self._pause_after = pause_after

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        self.requests.append(request)
        text = self._script(request)
        if isinstance(text, PonantError):
            raise text
        last = request.messages[-1]
        if last.prefix:
            yield Delta(text=last.content)
        produced = 0
        try:
            for start in range(0, len(text), 3):
                if self._pause_after is not None and start >= self._pause_after:
                    await self.go_on.wait()
                piece = text[start : start + 3]
                produced += 1
                yield Delta(text=piece, tokens=(TextToken(text=piece, data=piece.encode()),))
                await asyncio.sleep(0)
        except GeneratorExit:
            self.left_early += 1
            raise
        prompt = sum(len(message.content) for message in request.messages)
        usage = Usage(prompt_tokens=prompt, completion_tokens=produced)
        yield Delta(finish=FinishReason.STOP, usage=usage)

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        raise NotImplementedError
        yield Delta()

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        raise NotImplementedError

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        raise NotImplementedError

    async def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def _in_turn(self, texts: list[str | PonantError]) -> Script:
        return lambda _: texts.pop(0)


class FakeEmbedder(FakeModel):
    """Embeds a text as the words it holds: texts with the same words are the same."""

    dimension = 512

    def __init__(self) -> None:
        super().__init__([], name="embed")

    async def embed(self, texts: Sequence[str], kind: InputKind = "passage") -> Embeddings:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.casefold().split():
                vectors[row, sum(word.strip(".,?!").encode()) % self.dimension] += 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(
            vectors=vectors / np.maximum(lengths, 1e-9),
            usage=Usage(prompt_tokens=len(texts), completion_tokens=0),
        )


class FakeModels:
    """Finds the models that a test gave it; there is no embedder unless one is given.

    Attributes:
        forgotten: the names that models were told to forget.
    """

    def __init__(self, *models: TextModel, embedder: TextModel | None = None) -> None:
        self.forgotten: list[str] = []
        self._models = {model.card.id: model for model in models}
        self._embedder = embedder

    async def get(self, model_id: str, scope: Scope) -> TextModel:
        if model_id not in self._models:
            raise NotFound(f"There is no model {model_id}.", param="model")
        return self._models[model_id]

    async def forget(self, names: Sequence[str]) -> None:
        self.forgotten += names

    async def embedder(self, model_id: str = "embed") -> TextModel:
        if self._embedder is None:
            raise NotFound("There is no embedding model.")
        return self._embedder
