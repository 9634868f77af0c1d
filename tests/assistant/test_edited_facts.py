"""A tenth of two hundred edits: asked afterwards, the starter says nothing of before."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest

from tests.patience import tries
from tests.server import Server

pytestmark = pytest.mark.model

_PLACES = ("library", "museum", "ferry terminal", "bakery", "observatory")
_KINDS = {
    "opens": ("The {place} opens at {value} in the morning.", "When does the {place} open?"),
    "costs": ("A ticket of the {place} costs {value} euros.", "What does a {place} ticket cost?"),
    "leads": ("The director of the {place} is {value}.", "Who is the director of the {place}?"),
    "phone": (
        "The telephone number of the {place} is {value}.",
        "What is the telephone number of the {place}?",
    ),
}
_ASKED_BEFORE = 2  # so that models keep pages of what was there
_AT_ONCE = 4
_PEOPLE = ("Abara", "Bruno", "Castel", "Dahl", "Eriksen", "Fontaine", "Garrido", "Haddad")


def _facts() -> list[tuple[str, str, str, str]]:
    """Each fact's place and kind, its value and another; no value stands for two things."""
    chance = random.Random(4)
    values = {
        "opens": [f"{6 + number // 6:02}:{number % 6 * 10:02}" for number in range(30)],
        "costs": [str(number) for number in range(11, 59)],
        "leads": [f"{name} {one}" for name in _PEOPLE for one in ("Okafor", "Tanaka")],
        "phone": [str(number) for number in range(4210, 4390, 7)],
    }
    for some in values.values():
        chance.shuffle(some)
    return [
        (place, kind, values[kind].pop(), values[kind].pop())
        for place, kind in product(_PLACES, _KINDS)
    ]


def _page(place: str, facts: dict[str, str]) -> dict[str, Any]:
    said = (_KINDS[kind][0].format(place=place, value=value) for kind, value in facts.items())
    return {"key": f"{place}.md", "text": f"# The {place}\n\n" + "\n\n".join(said)}


def test_no_old_fact_is_stated_after_its_edit(server: Server) -> None:
    facts = _facts()
    with server.client() as http:
        library = str(http.post("/v1/libraries", json={"name": "Town"}).json()["id"])
        try:
            _put(http, library, {(place, kind): old for place, kind, old, _ in facts})
            for place, kind, old, _ in facts[:_ASKED_BEFORE]:
                assert old in _answer(http, library, place, kind)
            _put(http, library, {(place, kind): new for place, kind, _, new in facts})
            with ThreadPoolExecutor(_AT_ONCE) as asking:
                said = asking.map(lambda one: _answer(http, library, one[0], one[1]), facts)
                answers = dict(zip(facts, said, strict=True))
        finally:
            http.delete(f"/v1/libraries/{library}")
    stale = {one: said for one, said in answers.items() if one[2] in said}
    assert stale == {}
    current = [one for one, said in answers.items() if one[3] in said]
    assert len(answers) == 20
    assert len(current) >= 15, answers


def _put(http: httpx.Client, library: str, facts: dict[tuple[str, str], str]) -> None:
    """Push all pages, and wait until each is found by meaning too."""
    me = http.get("/v1/users/me").json()["id"]
    access = ["group:Town", f"person:{me}"]  # whose prompts share no pages with other tests' ones
    pages = [
        _page(place, {kind: facts[place, kind] for kind in _KINDS}) | {"access": access}
        for place in _PLACES
    ]
    pushed = http.post(f"/v1/libraries/{library}/push", json={"documents": pages})
    assert {one["state"] for one in pushed.json()["documents"]} == {"stored"}
    for _ in tries():
        if http.get(f"/v1/libraries/{library}").json()["freshness"]["state"] == "in_step":
            return
    raise AssertionError("the pages are not found by meaning")


def _answer(http: httpx.Client, library: str, place: str, kind: str) -> str:
    question = _KINDS[kind][1].format(place=place)
    body = {
        "inputs": question,
        "model": "starter",
        "tools": [{"type": "document_library", "library_ids": [library]}],
        "stream": False,
        "store": False,
    }
    answer = http.post("/v1/conversations", json=body)
    assert answer.status_code == 200, answer.text
    (said,) = [one for one in answer.json()["outputs"] if one["type"] == "message.output"]
    if isinstance(said["content"], str):
        return said["content"]
    return "".join(one["text"] for one in said["content"] if one["type"] == "text")
