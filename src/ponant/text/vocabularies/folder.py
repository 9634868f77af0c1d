"""Reads a tokenizer from a folder as Hugging Face lays it out."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from ponant.kit.errors import SetupError
from ponant.text.vocabularies.built import END_OF_TURN, Built, Details


def build(folder: Path) -> Built:
    """Read ``tokenizer.json`` and what stands beside it, with truncation and padding off.

    Raises:
        SetupError: there is no ``tokenizer.json``, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise SetupError(f"There is no tokenizer.json in {folder}. Pull the model again.")
    try:
        backend = Backend.from_file(str(path))
    except Exception as e:  # the library raises nothing narrower
        raise SetupError(f"{path} cannot be read: {e}. Pull the model again.") from e
    backend.no_truncation()
    backend.no_padding()
    return Built(backend, _details(backend, folder))


def _details(backend: Backend, folder: Path) -> Details:
    config = _read(folder / "tokenizer_config.json")
    bos, eos = (_token(backend, config.get(name)) for name in ("bos_token", "eos_token"))
    prefix, suffix = _frame(backend)
    return Details(
        bos=bos,
        eos=eos,
        stop_tokens=_stop_tokens(backend, folder, eos),
        prefix=prefix,
        suffix=suffix,
        between=_between(backend, prefix, suffix),
        vocabulary_size=backend.get_vocab_size(with_added_tokens=True),
        chat_template=chat_template(folder),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _token(backend: Backend, entry: Any) -> int | None:
    text = entry.get("content") if isinstance(entry, dict) else entry
    return backend.token_to_id(text) if isinstance(text, str) else None


def _frame(backend: Backend) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the post-processor puts before and after a text."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start]), tuple(whole[start + len(plain) :])
    return (), ()


def _between(backend: Backend, prefix: tuple[int, ...], suffix: tuple[int, ...]) -> tuple[int, ...]:
    """What the post-processor puts between the texts of a pair."""
    text = len(backend.encode("a", add_special_tokens=False).ids)
    whole = backend.encode("a", "a", add_special_tokens=True).ids
    return tuple(whole[len(prefix) + text : len(whole) - len(suffix) - text])


def _stop_tokens(backend: Backend, folder: Path, eos: int | None) -> tuple[int, ...]:
    declared = _read(folder / "generation_config.json").get("eos_token_id", [])
    ids = set(declared if isinstance(declared, list) else [declared])
    ids |= {
        index
        for index, token in backend.get_added_tokens_decoder().items()
        if token.special and token.content in END_OF_TURN
    }
    return tuple(sorted({int(i) for i in ids} | ({eos} if eos is not None else set())))


def chat_template(folder: Path) -> str | None:
    """The template in a file of its own, as text or in JSON, else in the configuration, where it
    may be one of several."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    configured = _read(folder / "tokenizer_config.json").get("chat_template")
    template = _read(folder / "chat_template.json").get("chat_template", configured)
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None
