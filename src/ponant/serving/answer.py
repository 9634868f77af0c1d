"""Turns a worker's tokens into the pieces of an answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from ponant.engine import Event, FinishReason, Request, Token, Usage
from ponant.serving.port import Delta, TextToken
from ponant.text import StopStrings, ThinkingParser, ToolCall, ToolCallParser
from ponant.text.tokenizer import Tokenizer

# Special tokens that say where thinking and tool calls begin; other special tokens have no text.
_MARKS = frozenset(
    {
        "[TOOL_CALLS]",
        "[CALL_ID]",
        "[ARGS]",
        "<tool_call>",
        "</tool_call>",
        "<|python_tag|>",
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
    }
)


class Parsed(NamedTuple):
    """A stretch of an answer, taken apart."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


class Answer:
    """One answer on its way: tokens become text, stop strings end it, tool calls are taken out.

    What a model produces past a stop string is neither given out nor counted.

    Args:
        tokenizer: the model's.
        stops: strings that end the answer.
        thinking: parts reasoning from the answer, or None.
        calls: finds tool calls, or None.
        trim: whether white space at the beginning is left out.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: Sequence[str],
        *,
        thinking: ThinkingParser | None = None,
        calls: ToolCallParser | None = None,
        trim: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._characters = tokenizer.detokenizer()
        self._stops = StopStrings(stops)
        self._thinking = thinking
        self._calls = calls
        self._trim = trim
        # Where nothing is looked for, tokens that came together are read together.
        self._plain = not any(stops) and thinking is None and calls is None
        self._called = False
        self._count = 0
        self._stopped = False

    async def stream(
        self, events: AsyncGenerator[Event], request: Request
    ) -> AsyncGenerator[Delta]:
        """The deltas of a request's events; closes the events, so that leaving early cancels."""
        async with aclosing(events):
            async for event in events:
                if event.prompt_tokens:
                    yield Delta(prompt_tokens=tuple(map(self._text_token, event.prompt_tokens)))
                if event.tokens:
                    # An answer that is left early is charged for its prompt, too.
                    told = None if self._count else self._usage(event, request)
                    yield self._tokens(event.tokens, told)
                    if self._stopped:
                        yield self._end(FinishReason.STOP, self._usage(event, request))
                        return
                if event.finish is not None:
                    yield self._end(event.finish, event.usage)

    def _usage(self, event: Event, request: Request) -> Usage:
        return Usage(
            prompt_tokens=len(request.prompt),
            completion_tokens=self._count,
            cached_tokens=event.cached_tokens,
        )

    def _tokens(self, tokens: Sequence[Token], told: Usage | None) -> Delta:
        """The delta of tokens that came together, up to a stop string."""
        if self._plain:
            self._count += len(tokens)
            text = self._characters.feed([token.id for token in tokens])
        else:
            text, tokens = self._up_to_stop(tokens)
        found = self._parse(text)
        return Delta(
            text=found.text,
            reasoning=found.reasoning,
            tool_calls=found.calls,
            tokens=tuple(map(self._text_token, tokens)),
            usage=told,
        )

    def _up_to_stop(self, tokens: Sequence[Token]) -> tuple[str, Sequence[Token]]:
        """The text of tokens, and which of them stand before a stop string."""
        text = ""
        for place, token in enumerate(tokens):
            more, self._stopped = self._stops.feed(self._characters_of(token.id))
            text += more
            self._count += 1
            if self._stopped:
                return text, tokens[:place]
        return text, tokens

    def _characters_of(self, token: int) -> str:
        if self._calls is not None or self._thinking is not None:
            name = self._tokenizer.name(token)
            if name in _MARKS:
                return name
        return self._characters.feed((token,))

    def _end(self, finish: FinishReason, usage: Usage | None) -> Delta:
        text = ""
        if not self._stopped:
            text, hit = self._stops.feed(self._characters.finish())
            text += "" if hit else self._stops.finish()
        found = self._parse(text, at_end=True)
        ends_with_call = self._called and finish is FinishReason.STOP
        return Delta(
            text=found.text,
            reasoning=found.reasoning,
            tool_calls=found.calls,
            finish="tool_calls" if ends_with_call else finish,
            usage=usage,
        )

    def _parse(self, text: str, *, at_end: bool = False) -> Parsed:
        """Part text into reasoning, tool calls and the rest; some of it may wait for more."""
        reasoning = ""
        if self._thinking is not None:
            reasoning, text = self._thinking.feed(text)
            if at_end:
                more, rest = self._thinking.finish()
                reasoning, text = reasoning + more, text + rest
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        calls: tuple[ToolCall, ...] = ()
        if self._calls is not None:
            text, calls = self._calls.feed(text)
            if at_end:
                rest, last = self._calls.finish()
                text, calls = text + rest, (*calls, *last)
        self._called = self._called or bool(calls)
        return Parsed(text, reasoning, calls)

    def _text_token(self, token: Token) -> TextToken:
        known = self._tokenizer.shown
        text, data = known(token.id)
        return TextToken(
            text=text,
            data=data,
            logprob=token.logprob,
            top=tuple((*known(other), logprob) for other, logprob in token.top),
        )
