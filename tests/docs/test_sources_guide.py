"""The guide to sources: its examples fit, and it names every setting."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from ponant.live.sources.kinds import KINDS, kind_of

_GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "sources.md"
_ELSEWHERE = {"imap", "kafka", "pipeline", "postgres"}  # in the guide to streams; made by others

_SECTIONS = re.split(r"^## ", _GUIDE.read_text(), flags=re.MULTILINE)
_EXAMPLES = {
    example["kind"]: (example, section)
    for section in _SECTIONS
    for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    for example in [json.loads(block)]
}


def test_every_kind_has_an_example() -> None:
    assert {*_EXAMPLES} == {name for name in KINDS if name != "generator"} - _ELSEWHERE


@pytest.mark.parametrize("name", sorted(_EXAMPLES))
def test_an_example_fits_and_every_setting_is_named(name: str) -> None:
    example, section = _EXAMPLES[name]
    kind = kind_of(name)
    kind.parsed(example["config"])
    assert set(example.get("secrets", {})) <= set(kind.secrets)
    settings = {field.name for field in msgspec.structs.fields(kind.config)} | set(kind.secrets)
    assert [one for one in sorted(settings) if f"`{one}`" not in section] == []
