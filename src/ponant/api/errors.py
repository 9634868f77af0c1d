"""Every refusal in one body that OpenAI's and Mistral's clients both read.

The fields stand flat for Mistral's client and again under ``error`` for OpenAI's; a 422 adds
``detail``, a list of what is wrong with which field.
"""

import math
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ponant.api import sse
from ponant.kit import PonantError, new_id
from ponant.kit.errors import BadRequest, NotFound, TooManyRequests, Unavailable, Unprocessable

CORRELATION_HEADER = "mistral-correlation-id"
_UNPROCESSABLE = 422
_LONG_WAIT = 60  # seconds
_LONGEST_INPUT = 200
_LARGEST_NUMBER = 2**53  # what every client's JSON holds exactly
_MOST_DETAILS = 20
_JSON_FAULT = "json_invalid"
UNREADABLE_BODY = "There was an error parsing the body"  # FastAPI's words for what json refuses

log = structlog.get_logger()


class HttpError(PonantError):
    """A refusal by the framework, which knows only a status and a phrase."""

    code = "http_error"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc]
        self.type = "invalid_request_error" if status < 500 else "server_error"  # type: ignore[misc]


def install_error_handlers(app: FastAPI) -> None:
    """Let the application answer every refusal in the one form.

    What nobody foresaw goes on to `SecurityMiddleware`, which logs it and answers for it.
    """
    app.add_exception_handler(PonantError, _on_ponant_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(UnicodeEncodeError, _on_half_character)
    app.add_exception_handler(RecursionError, _on_deep_nesting)
    app.add_exception_handler(OverflowError, _on_large_number)


def error_body(error: PonantError) -> dict[str, Any]:
    """The body that says what happened."""
    fields = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    body: dict[str, Any] = {
        "object": "error",
        **fields,
        "raw_status_code": error.status,
        "error": fields,
    }
    if error.status == _UNPROCESSABLE:
        where = ["body", error.param] if error.param else ["body"]
        body["detail"] = [{"type": error.code, "loc": where, "msg": error.message, "input": None}]
    return body


def error_frame(error: PonantError) -> bytes:
    """The same as a server-sent event, for an answer that breaks in mid-stream."""
    return sse.frame(error_body(error))


def correlation_id(request: Request) -> str:
    """The id by which a caller's report and the log's line find each other."""
    found = getattr(request.state, "correlation_id", None)
    if found is None:
        found = request.state.correlation_id = new_id("req")
    return str(found)


def error_response(
    request: Request, error: PonantError, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The whole refusal: status, headers and body."""
    return _response(request, error, error_body(error), headers)


def unexpected_response(request: Request, fault: Exception) -> JSONResponse:
    """Answers for an error that is no `PonantError`: the log has it whole, the caller a number."""
    reference = correlation_id(request)
    log.error(
        "request failed in a way nobody foresaw",
        path=request.url.path,
        correlation_id=reference,
        exc_info=fault,
    )
    return error_response(
        request,
        PonantError(f"Ponant failed here, and its log says why under {reference}. Try again."),
    )


def _response(
    request: Request,
    error: PonantError,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    extra = {CORRELATION_HEADER: correlation_id(request)} | (headers or {})
    wait = error.retry_after
    if wait is None and isinstance(error, TooManyRequests | Unavailable):
        wait = 1
    if wait is not None:
        extra["Retry-After"] = str(max(1, math.ceil(wait)))
        if wait > _LONG_WAIT:
            extra["x-should-retry"] = "false"  # OpenAI's client would try again within seconds
    if error.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    try:
        return JSONResponse(body, status_code=error.status, headers=extra)
    except UnicodeEncodeError:  # it repeats what was asked for
        return error_response(request, _half_character())


async def _on_ponant_error(request: Request, fault: Exception) -> Response:
    error = cast("PonantError", fault)
    if error.status >= 500 and not isinstance(error, Unavailable):
        log.warning(
            "request failed",
            code=error.code,
            reason=error.message,
            path=request.url.path,
            correlation_id=correlation_id(request),
        )
    return error_response(request, error)


async def _on_invalid_request(request: Request, fault: Exception) -> Response:
    found = cast("RequestValidationError", fault).errors()
    first = found[0]
    if first["type"] == _JSON_FAULT:
        reason = first.get("ctx", {}).get("error", "")
        return error_response(
            request, BadRequest(f"The body is not JSON: {reason} (character {first['loc'][-1]}).")
        )
    field = _field(first["loc"])
    more = f" ({len(found) - 1} more in detail)" if len(found) > 1 else ""
    error = Unprocessable(f"{field}: {first['msg']}{more}.", param=field)
    body = error_body(error) | {"detail": [_detail(item) for item in found[:_MOST_DETAILS]]}
    return _response(request, error, body)


async def _on_http_exception(request: Request, fault: Exception) -> Response:
    error = cast("HTTPException", fault)
    asked = f"{request.method} {request.url.path}"
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            told: PonantError = NotFound(f"There is no {asked} here.")
        case 405:
            allowed = headers.get("Allow", headers.get("allow", "another method"))
            told = HttpError(405, f"{asked} is not allowed; use {allowed}.")
        case 400 if error.detail == UNREADABLE_BODY:
            told = BadRequest(
                "The body cannot be read: it is no JSON, is nested too deeply, or holds a number "
                "with thousands of digits. Send it in another form."
            )
        case status:
            told = HttpError(status, str(error.detail))
    return error_response(request, told, headers)


async def _on_half_character(request: Request, _: Exception) -> Response:
    return error_response(request, _half_character())


def _half_character() -> Unprocessable:
    # JSON may escape half of a surrogate pair, which no other text can hold.
    return Unprocessable(
        "The text holds half a character (a lone surrogate such as \\ud800). Take it out."
    )


async def _on_deep_nesting(request: Request, _: Exception) -> Response:
    return error_response(
        request, Unprocessable("The body is nested too deeply. Send it with fewer levels.")
    )


async def _on_large_number(request: Request, _: Exception) -> Response:
    return error_response(
        request, Unprocessable("A number takes more than 64 bits. Send a smaller one.")
    )


def _field(location: tuple[Any, ...]) -> str:
    # The first part says body, query or path, which the caller need not know.
    return _encodable(".".join(str(part) for part in location[1:]) or str(location[0]))


def _detail(item: dict[str, Any]) -> dict[str, Any]:
    """One fault as clients read it."""
    return {
        "type": item["type"],
        "loc": [_encodable(part) if isinstance(part, str) else part for part in item["loc"]],
        "msg": _encodable(item["msg"]),
        "input": _shown(item.get("input")),
    }


def _shown(given: object) -> object:
    """What was given, where it is one short value; the whole body stays with its sender."""
    match given:
        case str() if len(given) <= _LONGEST_INPUT:
            return _encodable(given)
        case int() if -_LARGEST_NUMBER <= given <= _LARGEST_NUMBER:
            return given
        case float() if math.isfinite(given):
            return given
    return None


def _encodable(text: str) -> str:
    """The text with halves of characters written out, since no response can hold them."""
    return text[:_LONGEST_INPUT].encode(errors="backslashreplace").decode()
