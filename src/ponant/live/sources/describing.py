"""Settings of a kind of source as a JSON schema that says of each what it is."""

import inspect
import re
from typing import Any

import msgspec

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


def described(config: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a struct, whose fields are described as its docstring has them."""
    schema: dict[str, Any] = msgspec.json.schema(config)
    about = {name: text for one in reversed(config.__mro__) for name, text in _attributes(one)}
    for name, field in schema["$defs"][config.__name__]["properties"].items():
        if name in about:
            field["description"] = about[name]
    return schema


def _attributes(owner: type) -> list[tuple[str, str]]:
    _, _, text = inspect.cleandoc(owner.__doc__ or "").partition("Attributes:\n")
    return [(name, _sentence(words)) for name, words in _ATTRIBUTE.findall(text)]


def _sentence(words: str) -> str:
    plain = " ".join(words.replace("``", "").split())
    starts_with_word = plain.split(maxsplit=1)[0].rstrip(",;.").isalpha()
    return plain[:1].upper() + plain[1:] if starts_with_word else plain
