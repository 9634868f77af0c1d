"""One request on its way through the native engine: what it drew, and what it tells its caller."""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from ponant.engine.decoder import NOT_A_NUMBER
from ponant.engine.port import Constraint, Event, FinishReason, Request, Token, Usage
from ponant.engine.sampling import NO_TOKEN, Draw, Mask, Sampler
from ponant.engine.sequence import Sequence as Tokens
from ponant.engine.sequence import Work
from ponant.engine.speculate import Speculator, StepCosts

Emit = Callable[[Event], None]

_NOTHING: Final = np.zeros(0, np.uint32)
_NOT_A_NUMBER: Final = "the model's scores are not numbers; the model file may be damaged"

_logger: Final = logging.getLogger(__name__)


class Generation:
    """A request, its sequence, its sampler and its guesses.

    A step may end in drafts: guesses at what follows the last token. What stands behind each of
    them is drawn as if the ones before were right, and counts as far as they were.

    Args:
        request: what was asked for.
        emit: where events go.
        constraint: the request's grammar at work, or None.
        context_length: tokens at which the answer ends in any case.
        costs: what rows cost the engine; None guesses nothing.
    """

    def __init__(
        self,
        request: Request,
        emit: Emit,
        constraint: Constraint | None,
        context_length: int,
        costs: StepCosts | None = None,
    ) -> None:
        self.request = request
        self.sequence = Tokens(
            request.id,
            request.cache_scope,
            list(request.prompt),
            reuse=request.prompt_logprobs is None,
            owner=request.owner,
            priority=request.priority,
            tags=tuple((tag.start, tag.name) for tag in request.tags),
        )
        self._emit = emit
        self._constraint = constraint
        self._sampler = Sampler(request)
        self._speculator = Speculator(request.prompt, costs) if costs else None
        self._last = min(context_length, len(request.prompt) + request.max_tokens)
        self._forced = range(0)  # drafts that the grammar leaves no choice in
        # A forced token is not drawn, so that nothing could tell its log-probability.
        self._jumps = constraint is not None and request.logprobs is None
        self._fault = "the grammar allows no token here"
        self._prompt_scores: list[Token] | None = None
        if request.prompt_logprobs is not None:
            self._prompt_scores = [Token(request.prompt[0])]

    @property
    def constrained(self) -> bool:
        """Whether drawing needs masks."""
        return self._constraint is not None

    @property
    def produced(self) -> int:
        """Tokens of the answer so far."""
        return len(self.sequence.tokens) - len(self.request.prompt)

    @property
    def _full(self) -> bool:
        """Whether nothing more is to be drawn."""
        return len(self.sequence.tokens) >= self._last

    def begin(self) -> FinishReason | None:
        """Put down what the grammar forces before anything is drawn; says whether that is all.

        Raises:
            ValueError: the grammar contradicts itself.
        """
        if self._prompt_scores is not None or self._full:
            return None
        fresh: list[Token] = []
        finish = self._force(fresh)
        self._report(fresh)
        return finish

    def propose(self, most: int) -> tuple[int, ...]:
        """Drafts for the coming step: tokens that are likely to come next, or certain to."""
        most = min(most, self._last - len(self.sequence.tokens) - 1)
        if self._speculator is None or most < 1:
            return ()
        guess = self._speculator.guess(most)
        if self._constraint is None or not guess:
            return guess
        return self._fit(self._constraint, guess)[:most]

    def _fit(self, constraint: Constraint, guess: Sequence[int]) -> tuple[int, ...]:
        """The guess as far as the grammar allows it, and what the grammar forces behind that."""
        drafts: list[int] = []
        certain = 0
        for token in guess:
            if not constraint.accept(token):
                break
            drafts.append(token)
            if constraint.complete:
                break
            forced = constraint.forced() if self._jumps else ()
            if forced:  # whose tokens need not be those of the guess
                certain = len(drafts)
                drafts += itertools.takewhile(constraint.accept, forced)
                break
        constraint.rollback(len(drafts))
        self._forced = range(certain, len(drafts)) if certain else range(0)
        return tuple(drafts)

    def wanted(self, work: Work) -> list[int]:
        """Which of the work's rows need logits, counted from its first."""
        last = work.count - 1
        return [*range(self._scored(work)), *(last + row for row in self._drawing(work))]

    def _scored(self, work: Work) -> int:
        """How many of the work's rows tell of a token of the prompt."""
        if self._prompt_scores is None:
            return 0
        return min(work.count, len(self.request.prompt) - 1 - work.start)

    def _drawing(self, work: Work) -> list[int]:
        """Behind which tokens to draw: 0 for the sequence's last, n for the n-th draft."""
        if not work.completes or self._full:
            return []
        drafts = len(work.drafts)
        return [row for row in range(drafts + 1) if row == drafts or row not in self._forced]

    def masks(self, work: Work) -> list[Mask]:
        """The grammar's masks for what will be drawn; may run beside the step."""
        rows = self._drawing(work)
        if self._constraint is None:
            return []
        try:
            return _masks(self._constraint, work.drafts, rows)
        except ValueError as e:
            self._fault = str(e)
            return [_NOTHING] * len(rows)

    def draws(self, work: Work, masks: Sequence[Mask] | None) -> list[Draw]:
        """How to find the token of each row that `wanted` named."""
        following = self.request.prompt[work.start + 1 :][: self._scored(work)]
        scores = [
            Draw(self.request.sampling, given=token, logprobs=self.request.prompt_logprobs)
            for token in following
        ]
        rows = self._drawing(work)
        several = masks if masks is not None else [None] * len(rows)
        return scores + [
            self._sampler.draw(work.drafts[:row], mask)
            for row, mask in zip(rows, several, strict=True)
        ]

    def take(self, work: Work, drawn: Sequence[Token]) -> tuple[int, FinishReason | None]:
        """Append and report what was drawn, as far as the drafts hold.

        Args:
            work: what was run.
            drawn: a token for each row that `wanted` named.

        Returns:
            How many drafts were right, and why the request ends, if it does.

        Raises:
            ValueError: the grammar allows no token, or not the one that was drawn.
            FloatingPointError: a score was not a number.
        """
        scored = self._scored(work)
        if scored:
            self._score_prompt(work.start, drawn[:scored])
        rows = self._drawing(work)
        if not rows:
            return 0, FinishReason.LENGTH if work.completes else None
        fresh: list[Token] = []
        try:
            return self._follow(work.drafts, dict(zip(rows, drawn[scored:], strict=True)), fresh)
        finally:
            self._learn(work.drafts, fresh)
            self._report(fresh)

    def end(self, finish: FinishReason, error: str | None = None) -> None:
        """Report the end."""
        usage = Usage(
            prompt_tokens=len(self.request.prompt),
            completion_tokens=self.produced,
            cached_tokens=self.sequence.cached_tokens or 0,
        )
        self._send(Event(request_id=self.request.id, finish=finish, usage=usage, error=error))

    def _score_prompt(self, start: int, scores: Sequence[Token]) -> None:
        if any(token.id == NOT_A_NUMBER for token in scores):
            raise FloatingPointError(_NOT_A_NUMBER)
        known = self._prompt_scores or []
        known[start + 1 :] = scores  # a preempted prompt comes again
        if len(known) == len(self.request.prompt):
            self._prompt_scores = None
            self._send(Event(request_id=self.request.id, prompt_tokens=tuple(known)))

    def _follow(
        self, drafts: Sequence[int], behind: Mapping[int, Token], fresh: list[Token]
    ) -> tuple[int, FinishReason | None]:
        """Append tokens while they are those that were guessed, and the first that is not."""
        right = 0
        while True:
            before = len(fresh)
            finish = self._push(behind[right], fresh) or self._force(fresh)
            for token in fresh[before:]:
                if right == len(drafts) or drafts[right] != token.id:
                    return right, finish
                right += 1
            if finish is not None:
                return right, finish

    def _push(self, token: Token, fresh: list[Token]) -> FinishReason | None:
        if token.id == NO_TOKEN:
            raise ValueError(self._fault)
        if token.id == NOT_A_NUMBER:
            raise FloatingPointError(_NOT_A_NUMBER)
        if token.id in self.request.stop_tokens:
            return FinishReason.STOP
        if self._constraint is not None and not self._constraint.accept(token.id):
            raise ValueError(f"the grammar refused the token {token.id} that it had allowed")
        self.sequence.tokens.append(token.id)
        self._sampler.note(token.id)
        fresh.append(token)
        if self._constraint is not None and self._constraint.complete:
            return FinishReason.STOP
        return FinishReason.LENGTH if self._full else None

    def _force(self, fresh: list[Token]) -> FinishReason | None:
        """Append what the grammar leaves no choice in, without drawing it."""
        if self._constraint is None or not self._jumps:
            return None
        for token in self._constraint.forced():
            finish = self._push(Token(token), fresh)
            if finish is not None:
                return finish
        return None

    def _learn(self, drafts: Sequence[int], fresh: Sequence[Token]) -> None:
        """Tell the guesses how the step went."""
        if self._speculator is None:
            return
        guessed = len(drafts) - len(self._forced)
        if guessed > 0:
            pairs = zip(drafts[:guessed], fresh, strict=False)
            held = itertools.takewhile(lambda pair: pair[0] == pair[1].id, pairs)
            self._speculator.learn(guessed, sum(1 for _ in held))
        for token in fresh:
            self._speculator.append(token.id)

    def _report(self, fresh: Sequence[Token]) -> None:
        if fresh:
            cached = self.sequence.cached_tokens or 0
            self._send(Event(request_id=self.request.id, tokens=tuple(fresh), cached_tokens=cached))

    def _send(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            _logger.exception("a caller failed to take an event of %s", event.request_id)


def _masks(constraint: Constraint, drafts: Sequence[int], rows: Sequence[int]) -> list[Mask]:
    """The mask behind each of some drafts, as if those before were accepted."""
    masks: list[Mask] = []
    moved = 0
    for row in rows:
        for token in drafts[moved:row]:
            moved += constraint.accept(token)
        masks.append(constraint.mask())
    constraint.rollback(moved)
    return masks
