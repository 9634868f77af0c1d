"""A model that answers by quoting: the sentences of its passages that hold what was asked."""

import re

from ponant.assistant.grounding import words
from ponant.assistant.grounding.prompt import documents_do_not_say
from ponant.assistant.grounding.sentences import split
from ponant.serving.port import ChatRequest
from tests.fakes.models import FakeModel

_MOST = 3
_NUMBER = re.compile(r"\d")


class Extractor(FakeModel):
    """Quotes what its passages say of a question, in their order, each with its number.

    It knows no more than a careful reader of the passages: a sentence answers when it has every
    telling word of the question; where none does, the documents do not say.

    Attributes:
        calls: how many times it was asked.
    """

    def __init__(self, name: str = "extractor") -> None:
        super().__init__(self._quote, name=name)

    @property
    def calls(self) -> int:
        return len(self.requests)

    def _quote(self, request: ChatRequest) -> str:
        question = request.messages[-1].content
        wanted = words.content_words(question)
        found: list[str] = []
        for number, passage in enumerate(request.passages, 1):
            found += [
                f"{sentence} [{number}]"
                for sentence in split(passage.text)
                if words.coverage(wanted, words.content_words(sentence)) == 1
            ]
        return " ".join(found[:_MOST]) or documents_do_not_say(question)
