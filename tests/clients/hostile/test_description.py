"""What a machine makes of the description is answered or refused, and never a fault."""

from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.api.test_errors import check_body
from tests.clients.hostile.asking import ENDLESS, still_answers
from tests.patience import PATIENCE
from tests.server import Server

pytestmark = pytest.mark.model

_EXAMPLES = 5  # of each mode for each route


@pytest.mark.timeout(900)
def test_whatever_fits_the_description_is_answered_or_refused(
    client: httpx.Client, server: Server, description: dict[str, Any]
) -> None:
    schema = schemathesis.openapi.from_dict(description)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        if operation.path in ENDLESS or operation.path == "/v1/libraries/sample":
            continue
        for mode in GenerationMode:
            _attack(operation, mode, server)
    still_answers(client)


def _attack(operation: Any, mode: GenerationMode, server: Server) -> None:
    """Send a few requests that fit the description, or a few that do not."""

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attack(case: Any) -> None:
        if isinstance(case.body, dict):
            _keep_short(case.body, operation.path)
        for place in (case.query, case.body):
            _wait_shortly(place)
        answer = case.call(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.key}"},
            timeout=PATIENCE,
        )
        _check_answer(f"{operation.method} {operation.path}", answer)

    with suppress(Unsatisfiable):  # a route that takes nothing can be given nothing wrong
        attack()


def _keep_short(body: dict[str, Any], path: str) -> None:
    body["model"] = "embed" if path == "/v1/embeddings" else "echo"
    if "max_tokens" in body:
        body["max_tokens"] = 4
    body.pop("n", None)
    if path == "/v1/admin/api-keys":
        body["name"] = f"hostile {body.get('name')}"


def _wait_shortly(asked: Any) -> None:
    """Routes that wait for a change wait as long as they are asked to."""
    if isinstance(asked, dict) and isinstance(asked.get("wait"), int | float):
        asked["wait"] = min(asked["wait"], 0.1)


def _check_answer(asked: str, answer: Any) -> None:
    told = f"{asked}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500, told
    assert "Traceback" not in answer.text, told
    kind = "".join(answer.headers.get("content-type", ()))
    if answer.status_code >= 400:
        assert kind == "application/json", told
        check_body(answer.json(), answer.status_code)
    elif answer.status_code == 204:
        assert not answer.content, told
    else:
        fits = ("application/json", "text/event-stream", "text/plain")
        assert kind.startswith(fits), told
