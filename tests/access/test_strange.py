"""What makes no sense is refused with a sentence, at every door to files, people and lists."""

import json
from typing import Any

import pytest

from tests.access.office import Office

_HALF = "\ud800"
_LONG = "x" * 100_000


@pytest.mark.parametrize("odd", [_HALF, "\x00", _LONG, "", " ", "🐝" * 300])
def test_odd_texts_break_nothing(office: Office, odd: str) -> None:
    with office.http("admin") as http:
        library = http.post("/v1/libraries", json={"name": "Odd"}).json()["id"]
        file = {"file": ("a.md", b"Bees.")}
        document = http.post(f"/v1/libraries/{library}/documents", files=file).json()["id"]
        upload = http.post("/v1/files", files=file).json()["id"]
        asks: list[tuple[str, str, Any]] = [
            ("POST", "/v1/people", {"name": odd}),
            ("POST", "/v1/people", {"name": "a", "email": f"{odd}@b.org"}),
            ("POST", "/v1/groups", {"name": odd}),
            ("POST", "/v1/workspaces", {"name": odd}),
            ("PUT", f"/v1/libraries/{library}/documents/{document}/access", {"access": [odd]}),
            (
                "PUT",
                f"/v1/libraries/{library}/documents/{document}/access",
                {"access": [f"group:{odd}"]},
            ),
            ("PUT", f"/v1/libraries/{library}/documents/{document}", {"name": odd}),
            ("PUT", f"/v1/libraries/{library}/documents/{document}", {"attributes": {"a": odd}}),
            ("PUT", f"/v1/libraries/{library}/documents/{document}", {"attributes": {odd: 1}}),
            (
                "PUT",
                f"/v1/libraries/{library}/share",
                {"level": "Editor", "share_with_uuid": odd, "share_with_type": "User"},
            ),
            ("POST", "/v1/vector_stores", {"name": odd, "metadata": {"a": odd}}),
            ("POST", f"/v1/vector_stores/{library}", {"name": odd}),
            ("POST", f"/v1/vector_stores/{library}/files", {"file_id": odd}),
            (
                "POST",
                f"/v1/vector_stores/{library}/files",
                {"file_id": upload, "attributes": {"a": odd}},
            ),
            ("POST", f"/v1/vector_stores/{library}/search", {"query": odd}),
            (
                "POST",
                f"/v1/vector_stores/{library}/search",
                {"query": "a", "filters": {"type": "eq", "key": odd, "value": odd}},
            ),
            ("POST", f"/v1/vector_stores/{library}/file_batches", {"file_ids": [odd]}),
        ]
        for method, address, body in asks:
            answer = http.request(
                method,
                address,
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code < 500, f"{method} {address}: {answer.text[:300]}"
            if answer.status_code >= 400:
                assert answer.json()["message"]
        for form in ({"access": json.dumps([odd])}, {"attributes": json.dumps({"a": odd})}):
            answer = http.post(f"/v1/libraries/{library}/documents", files=file, data=form)
            assert answer.status_code < 500
        answer = http.post("/v1/files", files=file, data={"purpose": json.dumps(odd)})
        assert answer.status_code < 500


@pytest.mark.parametrize("token", ["x", "a" * 200, "%00", "é", "AAAA"])
def test_made_up_signed_addresses_open_nothing(office: Office, token: str) -> None:
    with office.http("eve") as http:
        assert http.get(f"/v1/signed/{token}").status_code == 404
