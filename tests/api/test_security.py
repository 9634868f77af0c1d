"""Foreign hosts and pages, headers, and bodies that are too large."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.testclient import TestClient

from ponant.accounts import Principal
from ponant.api import security
from ponant.api.platform import Platform
from ponant.kit import Settings
from tests.api.conftest import BASE_URL, make_app, with_key

MIB = 1 << 20


def answer_to(
    services: Platform, tmp_path: Path, name: str, origin: str | None = None, **given: str
) -> int:
    app = make_app(services, Settings(home=tmp_path, **given))  # type: ignore[arg-type]
    headers = {"Host": name} | ({"Origin": origin} if origin else {})
    return TestClient(app, base_url=BASE_URL).delete("/v1/session", headers=headers).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 204),
        ("localhost:8000", 204),
        ("LOCALHOST:8000", 204),
        ("[::1]:8000", 204),
        ("localhost:9000", 204),
        ("evil.example:8000", 421),
        ("evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("192.168.1.5:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 400),
        ("localhost:8000@evil.example", 400),
        ("local host", 400),
    ],
)
def test_on_loopback_only_its_names_are_answered(
    services: Platform, tmp_path: Path, host: str, status: int
) -> None:
    assert answer_to(services, tmp_path, host) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.1.5:8000", 204), ("[fd00::1]:8000", 204), ("evil.example:8000", 421)],
)
def test_bound_to_everything_any_address_is_answered_and_no_foreign_name(
    services: Platform, tmp_path: Path, host: str, status: int
) -> None:
    assert answer_to(services, tmp_path, host, host="0.0.0.0") == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("ai.example.org", "https://ai.example.org", 204),
        ("127.0.0.1:8000", "https://ai.example.org", 204),
        ("127.0.0.1:8000", "http://ai.example.org", 403),
        ("ai.example.org", "https://other.example.org", 403),
        ("other.example.org", None, 421),
    ],
)
def test_the_public_address_is_answered_too(
    services: Platform, tmp_path: Path, host: str, origin: str | None, status: int
) -> None:
    given = {"public_url": "https://ai.example.org"}
    assert answer_to(services, tmp_path, host, origin, **given) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 204),
        ("http://localhost:8000", 403),
        ("http://127.0.0.1:3000", 403),
        ("http://127.0.0.1", 403),
        ("http://evil.example", 403),
        ("http://127.0.0.1:8000.evil.example", 403),
        ("null", 403),
        ("file://", 403),
        ("http://[", 403),
    ],
)
def test_a_page_of_another_site_is_refused(nobody: TestClient, origin: str, status: int) -> None:
    answer = nobody.delete("/v1/session", headers={"Origin": origin})
    assert answer.status_code == status


def test_a_foreign_origin_is_refused_whatever_the_request(nobody: TestClient) -> None:
    headers = {"Origin": "http://evil.example"}
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        answer = nobody.request(method, "/v1/whoami", headers=headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_every_answer_carries_the_headers(nobody: TestClient) -> None:
    for answer in (nobody.get("/v1/whoami"), nobody.get("/", headers={"Host": "evil.example"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith(
            "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["mistral-correlation-id"].startswith("req_")
    assert nobody.get("/v1/whoami").headers["cache-control"] == "no-store"


@pytest.fixture
def reading(app: FastAPI) -> FastAPI:
    """The application with two routes that read what they are sent, before any check of a key."""

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/upload")
    async def upload(file: UploadFile) -> int | None:
        return file.size

    return app


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(0, size, MIB):
        yield b"x" * MIB


def test_anybody_may_send_little(reading: FastAPI, nobody: TestClient) -> None:
    assert nobody.post("/read", content=b"x" * MIB).json() == MIB


def test_only_callers_whom_we_know_may_send_much(
    reading: FastAPI, nobody: TestClient, client: TestClient, services: Platform
) -> None:
    for content in (b"x" * 2 * MIB, chunks(2 * MIB)):
        assert nobody.post("/read", content=content).status_code == 401
    for content in (b"x" * 2 * MIB, chunks(2 * MIB)):
        assert client.post("/read", content=content).json() == 2 * MIB
    file = {"file": ("large.txt", b"x" * 2 * MIB)}
    assert nobody.post("/upload", files=file).status_code == 401
    nobody.post("/v1/session", json={"token": services.accounts.create_link()})
    assert nobody.post("/upload", files=file).json() == 2 * MIB


def test_nobody_may_send_too_much(
    reading: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "LARGEST_BODY", 3 * MIB)
    monkeypatch.setattr(security, "LARGEST_UPLOAD", 5 * MIB)
    for content in (b"x" * 4 * MIB, chunks(4 * MIB)):
        answer = client.post("/read", content=content)
        assert answer.status_code == 413
        assert "3 MiB" in answer.json()["message"]
    assert client.post("/upload", files={"file": b"x" * 4 * MIB}).json() == 4 * MIB
    assert client.post("/upload", files={"file": b"x" * 6 * MIB}).status_code == 413


def test_a_cookie_that_cannot_be_read_is_no_session(reading: FastAPI, admin: Principal) -> None:
    stranger = with_key(reading, "wrong")
    del stranger.headers["Authorization"]
    answer = stranger.post("/read", content=b"x" * 2 * MIB, headers={"Cookie": "a b=;;=;\\"})
    assert answer.status_code == 401
