"""Speaks OpenAI's wire format to another server."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog

from ponant.kit.errors import BadRequest, PonantError, TooManyRequests, UpstreamFailed
from ponant.serving.upstreams import Upstream

_log = structlog.get_logger(__name__)
# Reading waits long, for some servers load a model before the first byte.
_GENERATION = httpx.Timeout(30.0, connect=5.0, read=300.0)
_LISTING = httpx.Timeout(5.0, connect=2.0)
_LONGEST_MESSAGE = 300


class Provider:
    """One upstream server. Redirects are not followed: the address is the administrator's choice.

    Args:
        upstream: where it is.
        client: shared between providers; carries no credentials of its own.
    """

    def __init__(self, upstream: Upstream, client: httpx.AsyncClient) -> None:
        self.upstream = upstream
        self._client = client

    async def models(self) -> list[dict[str, Any]]:
        """The models that the server lists, each with an ``id``.

        Raises:
            UpstreamFailed: it does not answer as it should.
        """
        async with self._send("GET", "/models", None, _LISTING) as response:
            body = self._json(await response.aread())
        found = body.get("data")
        if not isinstance(found, list):
            raise self._senseless()
        return [entry for entry in found if isinstance(entry, dict) and entry.get("id")]

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request, as one JSON object."""
        async with self._send("POST", path, body, _GENERATION) as response:
            return self._json(await response.aread())

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of a streamed answer."""
        async with self._send("POST", path, body, _GENERATION) as response:
            async for line in response.aiter_lines():
                data = line.removeprefix("data:").strip()
                if not line.startswith("data:") or not data:
                    continue
                if data == "[DONE]":
                    return
                chunk = self._json(data)
                if "error" in chunk:
                    raise UpstreamFailed(f"{self._name} failed: {_said(chunk)}")
                yield chunk

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, patience: httpx.Timeout
    ) -> AsyncGenerator[httpx.Response]:
        try:
            async with self._client.stream(
                method,
                self.upstream.url + path,
                json=body,
                headers=self._headers(),
                timeout=patience,
                follow_redirects=False,
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(response, await response.aread())
                yield response
        except httpx.TimeoutException as e:
            raise UpstreamFailed(f"{self._name} did not answer in time. Try again later.") from e
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            _log.warning("An upstream failed.", upstream=self.upstream.name, reason=str(e))
            raise UpstreamFailed(
                f"{self._name} at {self.upstream.url} cannot be reached. Check that it runs."
            ) from e

    @property
    def _name(self) -> str:
        return f"The upstream {self.upstream.name}"

    def _headers(self) -> dict[str, str]:
        name = self.upstream.key_env
        if name is None:
            return {}
        key = os.environ.get(name)
        if not key:
            raise UpstreamFailed(
                f"{self._name} needs a key, but the variable {name} is not set. Set it and start "
                "the server again."
            )
        return {"Authorization": f"Bearer {key}"}

    def _refusal(self, response: httpx.Response, content: bytes) -> PonantError:
        status = response.status_code
        said = _said(_parsed(content))
        if response.is_redirect:
            return UpstreamFailed(
                f"{self._name} sends elsewhere, which is not followed. Add the address it means."
            )
        match status:
            case 400 | 422:
                return BadRequest(f"{self._name} refuses the request: {said}")
            case 401 | 403:
                return UpstreamFailed(
                    f"{self._name} refuses the key it was given. Check --key-env."
                )
            case 429:
                wait = response.headers.get("retry-after", "")
                return TooManyRequests(
                    f"{self._name} is at its limit: {said}",
                    retry_after=float(wait) if wait.isdigit() else None,
                )
            case _:
                return UpstreamFailed(f"{self._name} answers with status {status}: {said}")

    def _json(self, content: bytes | str) -> dict[str, Any]:
        found = _parsed(content)
        if not found:
            raise self._senseless()
        return found

    def _senseless(self) -> UpstreamFailed:
        return UpstreamFailed(
            f"{self._name} answers in a form that is not OpenAI's. Check that its address ends as "
            "its maker says, often with /v1."
        )


def _parsed(content: bytes | str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(body: dict[str, Any]) -> str:
    """The message in an error body of any common form."""
    error = body.get("error", body)
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str):
        message = str(body.get("detail") or body.get("message") or "it says no more")
    return message[:_LONGEST_MESSAGE]
