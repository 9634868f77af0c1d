"""Chat templates: from messages to a prompt, by the model's own rules and within limits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateSyntaxError
from jinja2.exceptions import SecurityError

from ponant.kit import Clock, SystemClock
from ponant.kit.errors import BadRequest, SetupError
from ponant.text import fallback, shapes
from ponant.text.data import CUT, as_data, segments
from ponant.text.messages import Message, Passage, Role, Tool, ToolCall
from ponant.text.rendered import Rendered
from ponant.text.sandbox import Budget, LimitExceeded, Sandbox, not_allowed, running

_MAX_SOURCE = 1 << 18
_SANDBOX = Sandbox()


_most_seconds: ContextVar[float] = ContextVar("most_seconds", default=math.inf)


class TemplateStopped(BadRequest):
    """A template wanted more than it may have."""


@contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Stop each rendering in this block that takes longer, even where its template may."""
    token = _most_seconds.set(seconds)
    try:
        yield
    finally:
        _most_seconds.reset(token)


class _Refused(Exception):
    """The template itself says that it cannot take these messages."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a template passes on to the model, found out by trying it."""

    system: bool
    tools: bool
    tool_results: bool
    documents: bool


class ChatTemplate:
    """A chat template with Hugging Face's conventions. Safe to use from many threads.

    Any order of roles is accepted. Where the template refuses one, turns of the same role are
    joined and system messages move into the next user turn; where it has no place for tools, tool
    results or passages, they are told in plain words.

    Args:
        source: Jinja source.
        bos: the name of the token that begins a text, as the template writes it.
        eos: the name of the token that ends a text.
        clock: tells templates what day it is.
        seconds: longest that one rendering may take.
        adapt: whether what the template has no place for is told in words; without, it is lost.
        document_stops: strings that end an answer to a prompt with passages.

    Raises:
        SetupError: the source is no template, or asks for what templates may not use.
    """

    def __init__(
        self,
        source: str,
        bos: str = "",
        eos: str = "",
        *,
        clock: Clock | None = None,
        seconds: float = 2.0,
        adapt: bool = True,
        document_stops: tuple[str, ...] = (),
    ) -> None:
        self._template = _compile(source)
        self._clock = clock or SystemClock()
        self._seconds = seconds
        self._names = {"bos_token": bos, "eos_token": eos}
        self._adapt = adapt
        self._document_stops = document_stops
        self.features = self._probe()

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        passages: Sequence[Passage] = (),
        add_generation_prompt: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> Rendered:
        """The prompt for these messages.

        Args:
            messages: in any order; a final assistant message with ``prefix`` is left open, so
                that the answer continues it.
            tools: functions that the model may call.
            passages: what the answer may rest on, numbered from 1.
            add_generation_prompt: whether the prompt ends where the assistant begins.
            extra: further variables for the template, all taken as data.

        Raises:
            TemplateStopped: the template exceeds its limits.
            BadRequest: the template refuses the messages, or fails.
        """
        turns = self._adapted(messages, tools, passages)
        variables = {
            "tools": (shapes.tools(tools) or None) if self.features.tools else None,
            "documents": (shapes.documents(passages) or None) if self.features.documents else None,
            "add_generation_prompt": add_generation_prompt,
            **as_data(dict(extra or {})),
        }
        if turns and turns[-1].prefix and turns[-1].role is Role.ASSISTANT:
            prompt = self._continued(turns, variables)
        else:
            prompt = self._any_order(turns, variables)
        return Rendered(segments(prompt), stops=self._document_stops if passages else ())

    def _adapted(
        self, messages: Sequence[Message], tools: Sequence[Tool], passages: Sequence[Passage]
    ) -> list[Message]:
        """Messages with everything in them that the template has no place for."""
        turns = list(messages)
        if not self._adapt:
            return turns
        if tools and not self.features.tools:
            turns = fallback.with_tools(turns, tools)
        if not self.features.tool_results:
            turns = fallback.without_tool_turns(turns)
        if passages and not self.features.documents:
            turns = fallback.with_passages(turns, passages)
        return turns if self.features.system else fallback.without_system(turns)

    def _continued(self, turns: Sequence[Message], variables: Mapping[str, Any]) -> str:
        """Render the last turn without its end: the prompt is cut where its text ends."""
        whole = self._any_order(turns, {**variables, "add_generation_prompt": False}, cut=True)
        prompt, cut, _ = whole.rpartition(CUT)
        if not cut:  # the template keeps no trace of it: continue after a turn's beginning
            begun = self._any_order(turns[:-1], {**variables, "add_generation_prompt": True})
            prompt = begun + str(as_data(turns[-1].content))
        return prompt

    def _any_order(
        self, turns: Sequence[Message], variables: Mapping[str, Any], *, cut: bool = False
    ) -> str:
        """Render as given, else with the order of roles made more and more regular."""
        refusal: _Refused | None = None
        for regular in fallback.orders(turns):
            try:
                return self._run(shapes.messages(regular, cut=cut), variables)
            except _Refused as e:
                refusal = refusal or e
        raise BadRequest(f"The model's chat template refuses these messages: {refusal}")

    def _run(self, messages: list[dict[str, Any]], variables: Mapping[str, Any]) -> str:
        token = running.set(Budget(min(self._seconds, _most_seconds.get())))
        try:
            return str(
                self._template.render(
                    **variables,
                    **self._names,
                    messages=messages,
                    raise_exception=_refuse,
                    strftime_now=self._strftime,
                )
            )
        except (_Refused, BadRequest):
            raise
        except LimitExceeded as e:
            raise TemplateStopped(f"The model's chat template was stopped: {e}.") from e
        except SecurityError as e:
            raise BadRequest(f"The model's chat template was stopped: {not_allowed(e)}.") from e
        except Exception as e:
            reason = f"{type(e).__name__}: {e}"
            raise BadRequest(f"The model's chat template failed on these messages: {reason}") from e
        finally:
            running.reset(token)

    def _strftime(self, form: str) -> str:
        return self._clock.now().astimezone().strftime(form[:100])

    def _probe(self) -> Features:
        """Try the template with words that it should pass on."""
        asked = Message(role=Role.USER, content="questionprobe")
        system = Message(role=Role.SYSTEM, content="systemprobe")
        call = ToolCall(id="abcdefghi", name="callprobe", arguments="{}")
        called = Message(role=Role.ASSISTANT, tool_calls=(call,))
        result = Message(
            role=Role.TOOL, content="resultprobe", tool_call_id=call.id, name=call.name
        )
        tool, passage = Tool(name="toolprobe"), Passage(title="title", text="passageprobe")
        return Features(
            system=self._passes_on([system, asked], "systemprobe"),
            tools=self._passes_on([asked], "toolprobe", tools=shapes.tools([tool])),
            tool_results=self._passes_on([asked, called, result], "callprobe", "resultprobe"),
            documents=self._passes_on(
                [asked], "passageprobe", documents=shapes.documents([passage])
            ),
        )

    def _passes_on(self, turns: Sequence[Message], *words: str, **variables: Any) -> bool:
        given = {"tools": None, "documents": None, "add_generation_prompt": True, **variables}
        try:
            text = self._run(shapes.messages(turns), given)
        except (_Refused, BadRequest):
            return False
        return all(word in text for word in words)


def _refuse(message: object = "") -> None:
    """What templates call as ``raise_exception``."""
    raise _Refused(str.__str__(str(message))[:200])


def _compile(source: str) -> Template:
    if len(source) > _MAX_SOURCE:
        raise SetupError("The model's chat template is too long to be one. Pull another model.")
    try:
        return _SANDBOX.build(source)
    except TemplateSyntaxError as e:
        raise SetupError(f"The model's chat template is faulty, line {e.lineno}: {e}") from e
    except Exception as e:
        raise SetupError(f"The model's chat template cannot be used: {e}") from e
