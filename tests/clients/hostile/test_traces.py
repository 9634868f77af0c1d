"""What is left behind: no secret in the log."""

import json

import httpx
import pytest

from tests.clients.hostile.asking import ask, send
from tests.server import Server

pytestmark = pytest.mark.model


def test_no_secret_reaches_the_log(client: httpx.Client, server: Server) -> None:
    mark = "pnt_" + "hostilesecret" * 3
    for headers in (
        {"Authorization": f"Bearer {mark}"},
        {"Authorization": f"Basic {mark}"},
        {"Cookie": f"ponant_session={mark}"},
        {"X-Api-Key": mark, "Host": f"{mark}.example"},
        {"Origin": f"http://{mark}.example"},
    ):
        assert httpx.get(f"{server.url}/v1/whoami?key={mark}", headers=headers).status_code >= 400
    client.get(f"/v1/models/{mark}")
    client.get(f"/{mark}?token={mark}")
    send(client, "/v1/session", json.dumps({"token": mark}))
    send(client, "/v1/chat/completions", mark)
    send(client, "/v1/chat/completions", json.dumps({"model": mark, "messages": mark}))
    ask(client, api_key=mark)
    ask(client, messages=[{"role": "user", "content": mark}])
    made = client.post("/v1/admin/api-keys", json={"name": "hostile log"}).json()
    with server.client(made["key"]) as other:
        assert other.get("/v1/whoami").status_code == 200
    log = server.log.read_text(errors="replace")
    assert "hostilesecret" not in log
    assert made["key"] not in log
    assert server.key not in log
