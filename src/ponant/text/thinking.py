"""Parts a model's thinking from its answer."""

from ponant.text.stops import possible_beginning

_PAIRS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
_BEGINNINGS = tuple(begin for begin, _ in _PAIRS)


class ThinkingParser:
    """Parts a stream into reasoning and text; thinking stands before the answer or not at all.

    Args:
        begun: whether the prompt has already opened the thinking.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._held = ""
        self._end = _PAIRS[0][1] if begun else ""
        self._answering = False

    def feed(self, text: str) -> tuple[str, str]:
        """What is certain by now: (reasoning, text)."""
        self._held += text
        if self._answering:
            return "", self._take(len(self._held))
        if not self._end and not self._opened():
            return "", self._take(len(self._held)) if self._answering else ""
        place = self._held.find(self._end)
        if place < 0:
            keep = possible_beginning(self._held, (self._end,))
            return self._take(len(self._held) - keep), ""
        reasoning = self._take(place)
        self._held = self._held[len(self._end) :].lstrip()
        self._answering = True
        return reasoning, self._take(len(self._held))

    def finish(self) -> tuple[str, str]:
        """What is left: (reasoning, text)."""
        rest = self._take(len(self._held))
        return (rest, "") if self._end and not self._answering else ("", rest)

    def _opened(self) -> bool:
        """Whether thinking begins here; settles that it does not once that is certain."""
        start = self._held.lstrip()
        for begin, end in _PAIRS:
            if start.startswith(begin):
                self._held, self._end = start[len(begin) :].lstrip(), end
                return True
        undecided = not start or possible_beginning(start, _BEGINNINGS) == len(start)
        self._answering = not undecided
        return False

    def _take(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text
