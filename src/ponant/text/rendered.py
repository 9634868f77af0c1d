"""A prompt as a template wrote it: its own words, and the data it was given."""

from dataclasses import dataclass
from typing import NamedTuple


class Segment(NamedTuple):
    """A stretch of a prompt; only template text may hold special tokens."""

    text: str
    is_template: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """The segments of a prompt in order.

    Attributes:
        stops: strings that end an answer to this prompt, beside those of its template.
        breaks: numbers of segments that are encoded apart from the text before them.
    """

    segments: tuple[Segment, ...]
    stops: tuple[str, ...] = ()
    breaks: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        """The whole prompt, for people to read: which parts are data does not show."""
        return "".join(segment.text for segment in self.segments)
