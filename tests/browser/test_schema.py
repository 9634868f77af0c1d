"""The page's description of the server is the server's own."""

import re
from pathlib import Path

from ponant.api.app import create_app
from ponant.cli.platform import describe_platform

_SCHEMA = Path(__file__).parents[2] / "web" / "src" / "api" / "schema.ts"


def test_the_page_knows_the_routes_there_are() -> None:
    described = set(re.findall(r'^    "(/[^"]*)": \{$', _SCHEMA.read_text(encoding="utf-8"), re.M))
    served = set(create_app(describe_platform()).openapi()["paths"])
    assert described == served, "Run `npm run generate` in web/."
