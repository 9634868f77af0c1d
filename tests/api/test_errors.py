"""Every refusal has one body that both vendors' clients read, and never a traceback."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mistralai.client.errors import HTTPValidationErrorData
from structlog.testing import capture_logs

from ponant.api.errors import error_frame
from ponant.kit.errors import (
    BadRequest,
    Conflict,
    ContextTooLong,
    Forbidden,
    NotFound,
    PonantError,
    SetupError,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UpstreamFailed,
)

ALL = [
    BadRequest,
    Conflict,
    ContextTooLong,
    Forbidden,
    NotFound,
    PonantError,
    SetupError,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UpstreamFailed,
]


def raising(app: FastAPI, error: Exception) -> None:
    @app.get("/raise")
    async def fail() -> None:
        raise error


def check_body(body: dict[str, Any], status: int) -> None:
    assert body["object"] == "error"
    assert body["raw_status_code"] == status
    assert body["error"] == {name: body[name] for name in ("message", "type", "param", "code")}
    assert body["message"]
    if status == 422:
        HTTPValidationErrorData.model_validate(body)
        assert isinstance(body["detail"], list)
    else:
        assert "detail" not in body


@pytest.mark.parametrize("kind", ALL)
def test_each_error_has_its_status_and_the_one_body(
    app: FastAPI, nobody: TestClient, kind: type[PonantError]
) -> None:
    raising(app, kind("What happened. What to do.", param="field"))
    answer = nobody.get("/raise")
    assert answer.status_code == kind.status
    assert answer.headers["mistral-correlation-id"].startswith("req_")
    body = answer.json()
    check_body(body, kind.status)
    assert (body["message"], body["param"]) == ("What happened. What to do.", "field")
    waits = kind in {TooManyRequests, Unavailable}
    assert ("retry-after" in answer.headers) == waits


def test_retry_after_is_whole_seconds_and_at_least_one(app: FastAPI, nobody: TestClient) -> None:
    raising(app, TooManyRequests("Slow down.", retry_after=1.2))
    assert nobody.get("/raise").headers["retry-after"] == "2"


def test_what_nobody_foresaw_is_logged_and_not_shown(app: FastAPI, nobody: TestClient) -> None:
    raising(app, RuntimeError("the secret of the machine"))
    with capture_logs() as logs:
        answer = nobody.get("/raise")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    check_body(answer.json(), 500)
    assert answer.headers["x-content-type-options"] == "nosniff"
    (line,) = logs
    assert str(line["exc_info"]) == "the secret of the machine"
    assert line["correlation_id"] == answer.headers["mistral-correlation-id"]
    assert line["correlation_id"] in answer.json()["message"]


def test_an_unknown_address_and_a_wrong_method_say_so(nobody: TestClient) -> None:
    missing = nobody.get("/v1/nothing")
    check_body(missing.json(), 404)
    assert "GET /v1/nothing" in missing.json()["message"]
    wrong = nobody.put("/v1/whoami")
    check_body(wrong.json(), 405)
    assert wrong.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"", 422, "body"),
        (b"[]", 422, "body"),
        (b"{}", 422, "name"),
        (b'{"name": 5}', 422, "name"),
        (b'{"name": "x", "role": {"a": "' + b"b" * 5000 + b'"}}', 422, "role"),
        (b'{"name": ""}', 422, "name"),
        (b'{"name": "\\ud800"}', 422, None),
        (b"\xff\xfe", 400, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_body_is_named_by_its_field(
    client: TestClient, body: bytes, status: int, param: str | None
) -> None:
    answer = client.post(
        "/v1/admin/api-keys", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status
    check_body(answer.json(), status)
    assert answer.json()["param"] == param
    assert len(answer.text) < 1500


def test_an_error_in_mid_stream_is_a_frame_with_the_same_body() -> None:
    frame = error_frame(UpstreamFailed("The other server went away. Try again."))
    assert frame.startswith(b"data: ")
    assert frame.endswith(b"\n\n")
    body = json.loads(frame.removeprefix(b"data: "))
    check_body(body, 502)
