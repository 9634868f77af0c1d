"""Finds stop strings in a stream of text."""

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to the first stop string.

    What could be the beginning of a stop string is held back until more text decides. Where stop
    strings overlap, the one that is complete first counts, so the pieces do not matter.

    Args:
        stops: strings that end the text and are not part of it; empty ones are ignored.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self._hit = False

    def feed(self, text: str) -> tuple[str, bool]:
        """The text that is certain now, and whether a stop string was reached.

        After a stop string there is no more text.
        """
        if self._hit:
            return "", True
        if not self._stops:
            return text, False
        self._held += text
        found = [
            (place + len(stop), place)
            for stop in self._stops
            if (place := self._held.find(stop)) >= 0
        ]
        if found:
            _, place = min(found)
            safe, self._held, self._hit = self._held[:place], "", True
            return safe, True
        keep = possible_beginning(self._held, self._stops)
        safe = self._held[: len(self._held) - keep]
        self._held = self._held[len(safe) :]
        return safe, False

    def finish(self) -> str:
        """What was held back in vain."""
        rest, self._held = self._held, ""
        return rest


def possible_beginning(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of the text that begins one of the words without completing it."""
    longest = max((len(word) for word in words), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        end = text[-length:]
        if any(len(word) > length and word.startswith(end) for word in words):
            return length
    return 0
