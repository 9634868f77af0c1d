"""Log lines: no secret gets into one, and nothing from outside can forge one."""

import subprocess
import sys

import pytest

_SCRIPT = """
import logging, sys
import structlog
from ponant.kit.log import configure_log

configure_log("info")
log = structlog.get_logger()
{what}
"""


def logged(what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(what=what)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "what",
    [
        "log.info('got pnt_abcdefgh12345')",
        "log.info('x', reason='Bearer pnt_abcdefgh12345')",
        "log.info('x', key='pnt_abcdefgh12345')",
        "logging.getLogger('other').warning('sk-abcdefgh12345 and %s', 'pnt_abcdefgh12345')",
        "log.error('x', exc_info=KeyError('pnt_abcdefgh12345'))",
        "log.info('x', path='/sign-in#token=abcdefgh12345')",
    ],
)
def test_secrets_are_taken_out(what: str) -> None:
    assert "abcdefgh12345" not in logged(what)


def test_what_comes_from_outside_forges_no_line() -> None:
    lines = logged(r"log.info('x', path='/a\n2026-01-01 [error] forged\x1b[2J')").splitlines()
    assert len(lines) == 1
    assert "\x1b[2J" not in lines[0]
    assert r"\n" in lines[0]
