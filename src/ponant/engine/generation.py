"""One request on its way through the native engine: what it drew, and what it tells its caller."""

import logging
from collections.abc import Callable
from typing import Final

from torch import Tensor

from ponant.engine.port import Constraint, Event, FinishReason, Request, Token, Usage
from ponant.engine.sampling import Sampler, score
from ponant.engine.scheduler import Sequence, Work

Emit = Callable[[Event], None]

_logger: Final = logging.getLogger(__name__)


class Generation:
    """A request, its sequence and its sampler.

    Args:
        request: what was asked for.
        emit: where events go.
        constraint: the request's grammar at work, or None.
        context_length: tokens at which the answer ends in any case.
    """

    def __init__(
        self, request: Request, emit: Emit, constraint: Constraint | None, context_length: int
    ) -> None:
        self.request = request
        self.sequence = Sequence(
            request.id,
            request.cache_scope,
            list(request.prompt),
            reuse=request.prompt_logprobs is None,
            owner=request.owner,
            priority=request.priority,
        )
        self._emit = emit
        self._constraint = constraint
        self._sampler = Sampler(request, constraint)
        self._last = min(context_length, len(request.prompt) + request.max_tokens)
        self._prompt_scores: list[Token] | None = None
        if request.prompt_logprobs is not None:
            self._prompt_scores = [Token(request.prompt[0])]

    @property
    def _produced(self) -> int:
        return len(self.sequence.tokens) - len(self.request.prompt)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be drawn."""
        return len(self.sequence.tokens) >= self._last

    def wanted(self, work: Work) -> range:
        """Which of the work's tokens need logits, counted from its first."""
        if self._prompt_scores is not None:
            return range(work.count)
        return range(work.count - 1 if work.completes and not self.full else work.count, work.count)

    def score_prompt(self, start: int, logits: Tensor) -> None:
        """Take logits behind prompt tokens from ``start`` on, shape (rows, vocabulary)."""
        prompt, scores = self.request.prompt, self._prompt_scores
        if scores is None:
            return
        del scores[start + 1 :]  # a preempted prompt comes again
        following = prompt[start + 1 : start + 1 + len(logits)]
        for row, token in zip(logits, following, strict=False):
            scores.append(score(row, token, self.request.prompt_logprobs or 0))

    def finish_prompt(self) -> None:
        """Report the prompt's scores once all are there."""
        scores = self._prompt_scores
        if scores is not None and len(scores) == len(self.request.prompt):
            self._prompt_scores = None
            self._send(Event(request_id=self.request.id, prompt_tokens=tuple(scores)))

    def draw(self, logits: Tensor) -> FinishReason | None:
        """Draw the next token and report it; says why the request ends, if it does.

        Raises:
            ValueError: the grammar and the token do not fit together.
        """
        request = self.request
        token = self._sampler.draw(logits)
        if token in request.stop_tokens:
            return FinishReason.STOP
        if self._constraint is not None and not self._constraint.accept(token):
            raise ValueError(f"the grammar refused the token {token} that it had allowed")
        self.sequence.tokens.append(token)
        scored = Token(token)
        if request.logprobs is not None:
            scored = score(logits, token, request.logprobs)
        self._send(Event(request_id=request.id, tokens=(scored,)))
        if self._constraint is not None and self._constraint.complete:
            return FinishReason.STOP
        return FinishReason.LENGTH if self.full else None

    def end(self, finish: FinishReason, error: str | None = None) -> None:
        """Report the end."""
        usage = Usage(
            prompt_tokens=len(self.request.prompt),
            completion_tokens=self._produced,
            cached_tokens=self.sequence.cached_tokens or 0,
        )
        self._send(Event(request_id=self.request.id, finish=finish, usage=usage, error=error))

    def _send(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            _logger.exception("a caller failed to take an event of %s", event.request_id)
