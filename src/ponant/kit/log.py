"""Structured log lines on standard error, with secrets taken out."""

import logging
import re
import sys
from typing import Any

import structlog

_SECRET = re.compile(r"\b(pnt|sk|hf)[_-][A-Za-z0-9_-]{8,}|(?<=token=)[^\s&\"']+|(?<=Bearer )\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")
_SECRET_NAMES = frozenset({"key", "api_key", "token", "password", "secret", "authorization"})


def configure_log(level: str) -> None:
    """Send structlog's and the standard library's lines through one format.

    Args:
        level: least severe line to print: debug, info, warning or error.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The default prints local variables, and keys and messages with them.
                exception_formatter=structlog.dev.plain_traceback,
            ),
            _hide_in_text,
        ],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("alembic", "httpx", "mcp", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def hide_secrets(_logger: object, _method: str, line: Any) -> Any:
    """Replace what looks like a key or a token, by name or by form."""
    for name, value in line.items():
        if name.lower() in _SECRET_NAMES:
            line[name] = "…"
        elif isinstance(value, str):
            line[name] = _SECRET.sub("…", value)
            if name != "event":  # what came from outside must not begin a line, nor steer a screen
                line[name] = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], line[name])
    return line


def _hide_in_text(_logger: object, _method: str, text: Any) -> Any:
    """Once more over the whole, for the messages of exceptions are written out last."""
    return _SECRET.sub("…", text)
