"""Grammars: what an answer must look like, in llguidance's dialect of Lark.

Every function returns source text that the native engine gets as it is and llama.cpp behind the
line ``%llguidance {}``. Nothing is fetched: a schema that refers to another address is refused.
"""

import json
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from threading import Lock
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from ponant.engine.port import Constraint, ConstraintFactory
from ponant.text.messages import Tool
from ponant.text.tokenizer import Tokenizer
from ponant.text.tool_styles import ToolStyle
from ponant.text.vocabularies.pieces import VISIBLE

_MAX_SOURCE = 1 << 18
_MAX_FAULT = 400
_MOST_KEPT = 16
_MARKS = re.compile(
    rf'("content":"(?:{"|".join(map(re.escape, sorted(VISIBLE)))})"[^{{}}]*"special":)true'
)
_SLASH = re.compile(r"\\.|/", re.DOTALL)
# On one line with fixed spaces: where white space is free, a small model that likes it writes it
# for ever (llama.cpp's llguidance knows no bound on it), and every token of it costs time.
_ON_ONE_LINE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def json_object() -> str:
    """Any JSON object."""
    return json_schema({"type": "object"})


def json_schema(schema: dict[str, Any]) -> str:
    """JSON that a schema describes.

    Raises:
        ValueError: the schema is wrong, or uses a keyword that cannot be enforced.
    """
    return _checked(f"start: {_json(schema, lenient=False)}", "JSON Schema")


def regex(pattern: str) -> str:
    """Text that a regular expression matches as a whole (Rust's syntax, no look-around).

    Raises:
        ValueError: the expression is wrong.
    """
    if not pattern:
        raise ValueError("the regular expression is empty")
    escaped = _SLASH.sub(lambda found: r"\/" if found[0] == "/" else found[0], pattern)
    one_line = escaped.replace("\n", r"\n")
    return _checked(f"start: /{one_line}/", "regular expression")


def choice(options: Sequence[str]) -> str:
    """One of some texts, exactly.

    Raises:
        ValueError: there are none, or one is empty.
    """
    if not options or not all(options):
        raise ValueError("a choice needs at least one option, and none may be empty")
    return _checked(f"start: {' | '.join(map(_literal, options))}", "choice")


def lark(source: str) -> str:
    """A grammar that the caller wrote.

    Raises:
        ValueError: it does not parse.
    """
    return _checked(source, "grammar")


def tool_call(
    tools: Sequence[Tool], choice: str, style: ToolStyle, *, parallel: bool = False
) -> str:
    """One call, or several where ``parallel``, of tools whose arguments fit their schemas.

    Args:
        tools: what may be called.
        choice: ``any`` or ``required`` for all of them, else the name of one.
        style: how the model writes calls.
        parallel: whether more than one call may follow another.

    Raises:
        ValueError: no tool has that name, or a schema is wrong.
    """
    chosen = [tool for tool in tools if choice in ("any", "required", tool.name)]
    if not chosen:
        raise ValueError(f"there is no tool {choice!r} among those given")
    names = " | ".join(f"call_{number}" for number in range(len(chosen)))
    first, between, last = map(_literal_or_none, (style.first, style.between, style.last))
    repeated = f" ({between} call)*" if parallel and style.between else ""
    rules = [f"start: {first} call{repeated} {last}", f"call: {names}"]
    for number, tool in enumerate(chosen):
        before, after = style.around(tool.name)
        rules += [
            f"call_{number}: {_literal(before)} arguments_{number} {_literal_or_none(after)}",
            f"arguments_{number}: {_json(_arguments(tool), lenient=not tool.strict)}",
        ]
    return _checked("\n".join(rules), "tool's parameters")


def constraint_factory(tokenizer: Tokenizer) -> ConstraintFactory:
    """What builds constraints for an engine with this vocabulary.

    The vocabulary is prepared at the first grammar (seconds for a quarter of a million tokens).
    Compiled grammars are kept: a request's choices share one, and so do an application's requests.
    """
    alone = Lock()

    @cache
    def vocabulary() -> LLTokenizer:
        return _vocabulary(tokenizer)

    @lru_cache(maxsize=_MOST_KEPT)
    def compiled(source: str) -> LLMatcher:
        matcher = LLMatcher(vocabulary(), source, log_level=0)  # a warning a token fills a disk
        if not matcher.is_error():
            matcher.compute_bitmask()  # some faults, such as an endless rule, show only here
        _check(matcher)
        return matcher

    def build(source: str) -> Constraint:
        with alone:
            return GrammarConstraint(compiled(source).deep_copy(), tokenizer.vocabulary_size)

    return build


class GrammarConstraint:
    """llguidance at work on one request, whose matcher nobody else moves."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._words = -(-size // 32)

    def mask(self) -> NDArray[np.uint32]:
        """Bitmask over the vocabulary, lowest bit first; ends of text are in it when due."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint32)[: self._words]
        _check(self._matcher)
        return bits

    def accept(self, token: int) -> bool:
        return self._matcher.try_consume_tokens([token]) == 1

    def rollback(self, count: int) -> None:
        self._matcher.rollback(count)

    def forced(self) -> Sequence[int]:
        return self._matcher.compute_ff_tokens()

    @property
    def complete(self) -> bool:
        return self._matcher.is_stopped()


def _check(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise ValueError(f"the grammar cannot be followed: {_shorten(matcher.get_error())}")


def _vocabulary(tokenizer: Tokenizer) -> LLTokenizer:
    ends = list(tokenizer.stop_tokens) or None
    # A mark such as [TOOL_CALLS] is text to whoever reads an answer, so it is to grammars: of a
    # special token llguidance allows the name where a grammar has it, and then refuses the token.
    source = _MARKS.sub(r"\1false", tokenizer.backend.to_str())
    return LLTokenizer(source, n_vocab=tokenizer.vocabulary_size, eos_token=ends)


def _arguments(tool: Tool) -> dict[str, Any]:
    return {"type": "object", **tool.parameters}


def _json(schema: dict[str, Any], *, lenient: bool) -> str:
    options = {**_ON_ONE_LINE, "lenient": lenient}
    return f"%json {json.dumps(schema | {'x-guidance': options})}"


def _literal(text: str) -> str:
    return json.dumps(text)


def _literal_or_none(text: str) -> str:
    return _literal(text) if text else ""


def _checked(source: str, kind: str) -> str:
    if len(source) > _MAX_SOURCE:
        raise ValueError(f"the {kind} is longer than {_MAX_SOURCE:,} characters")
    fault = _fault(source)
    if fault:
        raise ValueError(f"the {kind} cannot be enforced: {fault}")
    return source


@lru_cache(maxsize=32)
def _fault(source: str) -> str:
    """What is wrong with a grammar. A schema of 5,000 properties takes a second to check, and each
    of a request's choices asks."""
    wrong, faults = LLMatcher.validate_grammar_with_warnings(source, None)
    return _shorten(faults[0]) if wrong else ""


def _shorten(fault: str) -> str:
    """The fault without what follows it: a copy of the grammar, or the parser's state."""
    told = fault.partition("\n   1 |")[0].partition("\n<state>")[0]
    return told.strip()[:_MAX_FAULT]
