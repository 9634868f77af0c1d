"""`service_tier`: who has time lets others go first, and nobody gets ahead of them."""

import pytest

from ponant.api.chat_schemas import ChatBody
from ponant.api.completions import CompletionBody
from ponant.api.fim import FimBody

_CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("tier", "priority"), [(None, 0), ("auto", 0), ("default", 0), ("priority", 0), ("flex", -1)]
)
def test_only_flex_changes_whose_turn_it_is(tier: str | None, priority: int) -> None:
    fields = {"model": "echo", "prompt": "hi", "service_tier": tier}
    chat = ChatBody.model_validate(_CHAT | {"service_tier": tier}).chat_request("wsp_1")
    completion = CompletionBody.model_validate(fields).completion_request("hi", "wsp_1")
    fim = FimBody.model_validate(fields).completion_request("wsp_1")
    assert {it.controls.priority for it in (chat, completion, fim)} == {priority}


def test_an_upstream_server_is_told_the_tier() -> None:
    body = ChatBody.model_validate(_CHAT | {"service_tier": "flex", "store": True})
    assert body.chat_request("wsp_1").extra == {"service_tier": "flex", "store": True}
    assert body.ignored_header() == {"x-ponant-ignored-parameters": "store"}
