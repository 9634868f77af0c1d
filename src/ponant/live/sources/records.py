"""Turns a record (a row of a table, a message of a queue) into a document."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ponant.live.port import MetadataValue
from ponant.live.sources.port import Content, Cursor, Found

Record = Mapping[str, Any]

MEDIA_TYPE = "text/markdown"

_FIELD = re.compile(r"\{([^{}]+)\}")
_MARK = re.compile(r"(person|email|group):.+")
_LONGEST_NAME = 255
_LONGEST_ERROR = 200


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a record becomes what of its document; fields are named as the record names them.

    Attributes:
        title: the field that names the document and heads its text.
        text: the fields whose values, one after the other, are its text; without any, every field
            that nothing else is made of, each on a line with its name.
        template: the text written out instead, with ``{field}`` for a field's value.
        metadata: the fields that searches may filter by.
        url: where people find it, with ``{field}`` for a field's value.
        access: the fields that say who may read it: marks (``group:sales``, ``email:a@b.c``), bare
            addresses or bare names of groups, as a list or with commas between. A record in which
            all of them are empty is read by nobody. Without any such field everybody may.
    """

    title: str = ""
    text: tuple[str, ...] = ()
    template: str = ""
    metadata: tuple[str, ...] = ()
    url: str = ""
    access: tuple[str, ...] = ()

    def fields(self) -> set[str]:
        """Every field that the shape names."""
        named = {*self.text, *self.metadata, *self.access}
        named.update(_FIELD.findall(self.template), _FIELD.findall(self.url))
        return named | ({self.title} if self.title else set())


@dataclass(frozen=True, slots=True)
class _Reader:
    """A document's text, there already."""

    text: str
    signature: str

    async def __call__(self) -> Content:
        return Content.of(self.text.encode(), self.signature)


def found(
    shape: Shape, key: str, record: Record, signature: str, cursor: Cursor | None = None
) -> Found:
    """The document that a record makes."""
    return Found(
        key=key,
        signature=signature,
        name=_name(shape, key, record),
        read=_Reader(_text(shape, record), signature),
        media_type=MEDIA_TYPE,
        url=_fill(shape.url, record) or None,
        metadata=_metadata(shape, record),
        access=_access(shape, record),
        cursor=cursor,
    )


def written(value: Any) -> str:
    """A value as people read it; "" for none."""
    match value:
        case None:
            return ""
        case str():
            return value
        case datetime() | date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case dict() | list() | tuple() | bool():
            return json.dumps(value, ensure_ascii=False, default=written)
    return str(value)


def _name(shape: Shape, key: str, record: Record) -> str:
    title = " ".join(written(record.get(shape.title)).split()) if shape.title else ""
    return (title or key).replace("\0", "")[:_LONGEST_NAME]


def _text(shape: Shape, record: Record) -> str:
    if shape.template:
        return _fill(shape.template, record)
    title = written(record.get(shape.title)).strip() if shape.title else ""
    body = _body(shape, record)
    return f"# {title}\n\n{body}" if title else body


def _body(shape: Shape, record: Record) -> str:
    if shape.text:
        values = (written(record.get(field)).strip() for field in shape.text)
        return "\n\n".join(value for value in values if value)
    used = {shape.title, *shape.access}
    lines = (f"{field}: {written(value)}" for field, value in record.items() if field not in used)
    return "\n\n".join(lines)


def _fill(template: str, record: Record) -> str:
    return _FIELD.sub(lambda match: written(record.get(match[1])), template)


def _metadata(shape: Shape, record: Record) -> dict[str, MetadataValue]:
    values = {field: record.get(field) for field in shape.metadata}
    return {field: _plain(value) for field, value in values.items() if value is not None}


def _plain(value: Any) -> MetadataValue:
    match value:
        case bool() | int() | float() | str():
            return value
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case list() | tuple():
            return [written(item) for item in value]
    return written(value)


def _access(shape: Shape, record: Record) -> tuple[str, ...] | None:
    if not shape.access:
        return None
    marks: set[str] = set()
    for field in shape.access:
        value = record.get(field)
        parts = value if isinstance(value, list | tuple) else written(value).split(",")
        marks.update(_mark(written(part).strip()) for part in parts)
    return tuple(sorted(marks - {""}))


def _mark(name: str) -> str:
    if _MARK.fullmatch(name):
        kind, _, rest = name.partition(":")
        return f"email:{rest.lower()}" if kind == "email" else name
    if not name:
        return ""
    return f"email:{name.lower()}" if "@" in name else f"group:{name}"


def shortened(text: str) -> str:
    """An error of a server's, on one line, for a sentence of ours."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"
