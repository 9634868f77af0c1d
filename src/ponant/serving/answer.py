"""Turns a worker's tokens into the pieces of an answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from ponant.engine import Event, FinishReason, Request, Token, Usage
from ponant.serving.port import Delta, TextToken
from ponant.text.messages import ToolCall
from ponant.text.stops import StopStrings
from ponant.text.tokenizer import Tokenizer


class CallParser(Protocol):
    """Tells an answer's text from the tool calls in it."""

    def feed(self, text: str) -> tuple[str, Sequence[ToolCall]]:
        """The text and the calls that are certain by now."""
        ...

    def finish(self) -> tuple[str, Sequence[ToolCall]]:
        """What is left at the end."""
        ...


class Answer:
    """One answer on its way: tokens become text, stop strings end it, tool calls are taken out.

    What a model produces past a stop string is neither given out nor counted.

    Args:
        tokenizer: the model's.
        stops: strings that end the answer.
        calls: finds tool calls, or None.
        trim: whether white space at the beginning is left out.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: Sequence[str],
        calls: CallParser | None = None,
        *,
        trim: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._characters = tokenizer.detokenizer()
        self._stops = StopStrings(stops)
        self._calls = calls
        self._trim = trim
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
                for token in event.tokens:
                    yield self._token(token, len(request.prompt))
                    if self._stopped:
                        usage = Usage(
                            prompt_tokens=len(request.prompt), completion_tokens=self._count
                        )
                        yield self._end(FinishReason.STOP, usage)
                        return
                if event.finish is not None:
                    yield self._end(event.finish, event.usage)

    def _token(self, token: Token, prompt_tokens: int) -> Delta:
        text, self._stopped = self._stops.feed(self._characters.feed((token.id,)))
        self._count += 1
        text, calls = self._parsed(text)
        tokens = () if self._stopped else (self._text_token(token),)
        # An answer that is left early is charged for its prompt, too.
        told = Usage(prompt_tokens=prompt_tokens, completion_tokens=0) if self._count == 1 else None
        return Delta(text=text, tool_calls=calls, tokens=tokens, usage=told)

    def _end(self, finish: FinishReason, usage: Usage | None) -> Delta:
        text = ""
        if not self._stopped:
            text, hit = self._stops.feed(self._characters.finish())
            text += "" if hit else self._stops.finish()
        text, calls = self._parsed(text)
        if self._calls is not None:
            rest, more = self._calls.finish()
            text, calls = text + rest, (*calls, *more)
        self._called = self._called or bool(calls)
        if self._called and finish is FinishReason.STOP:
            return Delta(text=text, tool_calls=calls, finish="tool_calls", usage=usage)
        return Delta(text=text, tool_calls=calls, finish=finish, usage=usage)

    def _parsed(self, text: str) -> tuple[str, tuple[ToolCall, ...]]:
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        if self._calls is None or not text:
            return text, ()
        text, calls = self._calls.feed(text)
        self._called = self._called or bool(calls)
        return text, tuple(calls)

    def _text_token(self, token: Token) -> TextToken:
        return TextToken(
            text=self._tokenizer.decode((token.id,)),
            data=self._tokenizer.piece(token.id),
            logprob=token.logprob,
            top=tuple(
                (self._tokenizer.decode((other,)), self._tokenizer.piece(other), logprob)
                for other, logprob in token.top
            ),
        )
