"""A request's tokens on their way through the model, and what of them one step runs."""

from dataclasses import dataclass, field
from typing import Final

from ponant.engine.lease import Lease

_LONGEST_TAIL: Final = 64  # new tokens of a sequence that still go before prompts


@dataclass(eq=False, slots=True)
class Sequence:
    """One request's tokens on their way through the model.

    Attributes:
        id: the request's.
        scope: whose cached pages may be used.
        tokens: prompt and output so far.
        reuse: whether cached pages may stand in for computing.
        computed: tokens whose keys and values are in the cache.
        cached_tokens: tokens found in the cache when the sequence was first admitted.
        owner: whose turn it is when this sequence runs; opaque.
        priority: higher goes first.
        tags: tokens at which something begins that may have to be forgotten, and its name.
        prompt_length: how many of the first tokens were given.
        arrival: its number among all that came; set by the scheduler.
        charged: tokens that the owner was charged for.
        key: the prompt's whole pages as bytes; set by the scheduler.
    """

    id: str
    scope: str
    tokens: list[int]
    reuse: bool = True
    computed: int = 0
    cached_tokens: int | None = None
    lease: Lease = field(default_factory=Lease)
    owner: str = ""
    priority: int = 0
    tags: tuple[tuple[int, str], ...] = ()
    prompt_length: int = field(init=False)
    arrival: int = field(init=False, default=0)
    charged: int = field(init=False, default=0)
    key: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        """Whether only the newest tokens after the prompt are still to compute."""
        length = len(self.tokens)
        return self.prompt_length <= self.computed < length <= self.computed + _LONGEST_TAIL


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens ``start`` to ``start + count`` of a sequence, to run in one step.

    Attributes:
        drafts: guesses at what follows the sequence's last token; their rows come after it.
    """

    sequence: Sequence
    start: int
    count: int
    drafts: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the step that this takes."""
        return self.count + len(self.drafts)

    @property
    def completes(self) -> bool:
        """Whether the step reaches the last token, so that the next one can be drawn."""
        return self.start + self.count == len(self.sequence.tokens)
