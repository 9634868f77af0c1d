"""Signing in to the page by a link, and out."""

import pytest
from fastapi.testclient import TestClient

from ponant.accounts import Principal
from ponant.api.platform import Platform
from tests.api.conftest import BASE_URL


@pytest.fixture
def token(services: Platform, admin: Principal) -> str:
    return services.accounts.create_link()


def test_a_link_signs_in_once(nobody: TestClient, token: str, admin: Principal) -> None:
    answer = nobody.post("/v1/session", json={"token": token})
    assert answer.status_code == 200
    assert answer.json()["person"]["id"] == admin.person_id
    assert nobody.get("/v1/whoami").json()["workspace"] == answer.json()["workspace"]
    assert nobody.post("/v1/session", json={"token": token}).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    nobody: TestClient, token: str
) -> None:
    cookie = nobody.post("/v1/session", json={"token": token}).headers["set-cookie"].lower()
    assert cookie.startswith("ponant_session=")
    assert {"httponly", "samesite=strict", "path=/", "max-age=2592000"} <= set(cookie.split("; "))
    assert "secure" not in cookie


def test_over_https_the_cookie_stays_there(nobody: TestClient, token: str) -> None:
    answer = nobody.post(
        "/v1/session",
        json={"token": token},
        headers={"Origin": "https://127.0.0.1:8000"},
    )
    assert "secure" in answer.headers["set-cookie"].lower()


def test_signing_out_ends_the_session_on_the_server(nobody: TestClient, token: str) -> None:
    nobody.post("/v1/session", json={"token": token})
    cookie = nobody.cookies["ponant_session"]
    answer = nobody.delete("/v1/session")
    assert answer.status_code == 204
    assert "ponant_session" not in nobody.cookies
    headers = {"Cookie": f"ponant_session={cookie}"}
    assert nobody.get("/v1/whoami", headers=headers).status_code == 401
    assert nobody.delete("/v1/session").status_code == 204


def test_a_key_in_the_header_counts_before_the_cookie(nobody: TestClient, token: str) -> None:
    nobody.post("/v1/session", json={"token": token})
    answer = nobody.get("/v1/whoami", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9000"])
def test_another_site_cannot_sign_anybody_in(nobody: TestClient, token: str, origin: str) -> None:
    answer = nobody.post("/v1/session", json={"token": token}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert nobody.post(
        "/v1/session", json={"token": token}, headers={"Origin": BASE_URL}
    ).is_success
