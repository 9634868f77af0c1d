"""Which upstream servers an organisation has."""

import pytest

from ponant.kit.errors import BadRequest, Conflict, NotFound
from ponant.serving import Upstream, Upstreams
from ponant.serving.place import place_of
from ponant.store import Scope

ELSEWHERE = Scope(organisation_id="org_elsewhere", workspace_id="wsp_elsewhere")


def test_what_is_added_is_listed_until_it_is_removed(upstreams: Upstreams, scope: Scope) -> None:
    upstreams.add(scope, "https://api.vendor.example/v1/", key_env="VENDOR_KEY")
    upstreams.add(scope, "http://127.0.0.1:11434")
    assert upstreams.list(scope) == [
        Upstream("ollama", "http://127.0.0.1:11434/v1"),
        Upstream("vendor", "https://api.vendor.example/v1", "VENDOR_KEY"),
    ]
    upstreams.remove(scope, "vendor")
    assert [it.name for it in upstreams.list(scope)] == ["ollama"]


def test_another_organisation_sees_and_removes_none(upstreams: Upstreams, scope: Scope) -> None:
    upstreams.add(scope, "http://127.0.0.1:11434")
    assert upstreams.list(ELSEWHERE) == []
    with pytest.raises(NotFound, match="no upstream ollama"):
        upstreams.remove(ELSEWHERE, "ollama")
    assert len(upstreams.list(scope)) == 1
    upstreams.add(ELSEWHERE, "http://127.0.0.1:11434")


def test_a_name_is_taken_once(upstreams: Upstreams, scope: Scope) -> None:
    upstreams.add(scope, "http://127.0.0.1:9000", name="gpu")
    with pytest.raises(Conflict, match="already"):
        upstreams.add(scope, "http://127.0.0.1:9001", name="gpu")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "ftp://server"}, "no http"),
        ({"url": "http://"}, "no http"),
        ({"url": "http://host:99999"}, "no address"),
        ({"url": "http://me:secret@host"}, "--key-env"),
        ({"url": "http://127.0.0.1:8000"}, "this very server"),
        ({"url": "http://host", "name": "Big Name"}, "lower-case"),
        ({"url": "http://host", "key_env": "sk-1234"}, "environment variable"),
    ],
)
def test_what_does_not_fit_is_refused(
    upstreams: Upstreams, scope: Scope, fields: dict[str, str], says: str
) -> None:
    with pytest.raises(BadRequest, match=says):
        upstreams.add(scope, **fields)
    assert upstreams.list(scope) == []


def test_loopback_is_here_and_the_rest_elsewhere() -> None:
    assert place_of("127.0.0.1") == "here"
    assert place_of("localhost") == "here"
    assert place_of("192.0.2.1") == "elsewhere"
    assert place_of("no-such-host.invalid") == "elsewhere"
