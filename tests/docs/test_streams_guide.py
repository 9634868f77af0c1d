"""The page on mailboxes, tables and topics names every setting, and its examples fit."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from ponant.live.sources.kinds import kind_of

_PAGE = (Path(__file__).parents[2] / "docs/guide/streams.md").read_text()


@pytest.mark.parametrize("kind", ["imap", "kafka", "postgres"])
def test_every_setting_is_described(kind: str) -> None:
    rows = [line for line in _PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    fields = {field.name for field in msgspec.structs.fields(kind_of(kind).config)}
    assert fields <= named


def test_the_examples_fit() -> None:
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", _PAGE, re.DOTALL)]
    assert [example["kind"] for example in examples] == ["imap", "postgres", "kafka"]
    for example in examples:
        kind = kind_of(example["kind"])
        kind.parsed(example["config"])
        assert set(example["secrets"]) == set(kind.secrets)
