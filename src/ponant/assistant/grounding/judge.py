"""How near texts are in meaning, asked of the embedder and remembered for a while."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from ponant.assistant.grounding.words import among, content_words, is_code, words
from ponant.kit import PonantError
from ponant.serving.port import InputKind, TextModel

_REMEMBERED = 4096

log = structlog.get_logger()


class Judge:
    """Compares texts by meaning; one for the process, so that nothing is embedded twice.

    Where no embedder answers, every comparison is None and callers go by words alone.
    """

    def __init__(self, embedder: TextModel | None) -> None:
        self._embedder = embedder
        self._known: OrderedDict[tuple[str, InputKind], NDArray[np.float32]] = OrderedDict()

    async def relevance(self, question: str, sentences: Sequence[str]) -> list[float] | None:
        """Cosines of a question with sentences, or None."""
        asked = await self._vectors([question], "query")
        told = await self._vectors(sentences, "passage")
        return None if asked is None or told is None else (told @ asked[0]).tolist()

    async def likeness(self, one: str, others: Sequence[str]) -> list[float] | None:
        """Cosines of a statement with other statements, or None."""
        vectors = await self._vectors([one, *others], "passage")
        return None if vectors is None else (vectors[1:] @ vectors[0]).tolist()

    async def nearest_words(self, wanted: Sequence[str], text: str) -> list[float] | None:
        """For each wanted word the cosine of the nearest word of ``text``; 1 for its own forms.

        A name with a digit means nothing to an embedder: where it is not there, nothing is near.
        """
        given, there = content_words(text), words(text)
        absent = [word for word in wanted if not among(word, there)]
        strange = [word for word in absent if not is_code(word)]
        if not given or not strange:
            return [0.0 if word in absent else 1.0 for word in wanted]
        mine, theirs = await self._vectors(strange, "query"), await self._vectors(given, "query")
        if mine is None or theirs is None:
            return None
        near = dict(zip(strange, (mine @ theirs.T).max(axis=1).tolist(), strict=True))
        return [near.get(word, 0.0 if word in absent else 1.0) for word in wanted]

    async def _vectors(self, texts: Sequence[str], kind: InputKind) -> NDArray[np.float32] | None:
        if self._embedder is None:
            return None
        fresh = list(dict.fromkeys(text for text in texts if (text, kind) not in self._known))
        if fresh:
            try:
                vectors = (await self._embedder.embed(fresh, kind)).vectors
            except PonantError as e:
                log.warning("embedder not answering", reason=e.message)
                return None
            self._known.update(
                ((text, kind), vector) for text, vector in zip(fresh, vectors, strict=True)
            )
        found = [self._known[text, kind] for text in texts]
        self._forget()
        return np.stack(found) if found else np.zeros((0, 1), dtype=np.float32)

    def _forget(self) -> None:
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
