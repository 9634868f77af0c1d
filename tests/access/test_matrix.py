"""People, groups and documents: through every door, exactly what lists allow, and nothing else."""

import pytest

from tests.access.doors import ALWAYS, SOMETIMES, TABLES, Door
from tests.access.office import Office, Secret, until

PEOPLE = ("admin", "ada", "bob", "cyn", "eve")
_LISTS: dict[str, frozenset[str] | None] = {
    "open": None,
    "nobody": frozenset(),
    "address": frozenset({"email:bob@example.org"}),
    "finance": frozenset({"group:Finance"}),
    "board": frozenset({"group:Board"}),
    "mixed": frozenset({"group:Board", "email:BOB@example.org"}),
    "unknown": frozenset({"group:Nobody", "person:person_0", "email:finance"}),
}


@pytest.fixture(scope="module")
def secrets(office: Office) -> list[Secret]:
    """A document under each list, some closed when they were added, some afterwards."""
    with office.http("admin") as http:
        library = http.post("/v1/libraries", json={"name": "Matrix"}).json()["id"]
    lists = dict(_LISTS)
    lists["person"] = frozenset({f"person:{office.people['ada'].principal.person_id}"})
    found = [
        office.put(library, f"{name}file", f"{name}word", marks, at_once=number % 2 == 0)
        for number, (name, marks) in enumerate(lists.items())
    ]
    office.settle(library)
    reopened = office.put(library, "reopened", "reopenedword", frozenset())
    retold = office.put(library, "retold", "retoldword", frozenset({"group:Finance"}))
    office.settle(library)
    found.append(office.close(reopened, None))
    found.append(office.close(retold, frozenset({"group:Board"})))
    return found


@pytest.fixture(scope="module")
def _settled(office: Office, secrets: list[Secret]) -> None:
    office.settle(secrets[0].library)


def may(office: Office, name: str, secret: Secret) -> bool:
    """What the lists say, worked out from their marks alone."""
    if name == "stranger":
        return False
    marks = secret.marks
    return marks is None or bool({one.casefold() for one in marks} & _folded(office, name))


def _folded(office: Office, name: str) -> set[str]:
    return {one.casefold() for one in office.marks(name)}


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("door", ALWAYS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("name", [*PEOPLE, "stranger"])
def test_a_door_shows_what_lists_allow(
    office: Office, secrets: list[Secret], door: Door, name: str
) -> None:
    readable = {one.word for one in secrets if may(office, name, one)}
    for secret in secrets:
        said = door(office, name, secret)
        hears = any(one in said for one in (secret.word, secret.name, secret.id))
        assert hears == (secret.word in readable), said
        told = {one.word for one in secrets if one.word in said or f"{one.name}.md" in said}
        assert told <= readable, f"{name} hears of {told - readable}"
        ids = {one.id for one in secrets if one.id in said}
        assert ids <= {one.id for one in secrets if one.word in readable}


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("door", SOMETIMES, ids=lambda door: door.__name__)
@pytest.mark.parametrize("name", [*PEOPLE, "stranger"])
def test_a_door_that_shows_some_shows_nothing_else(
    office: Office, secrets: list[Secret], door: Door, name: str
) -> None:
    readable = {one.word for one in secrets if may(office, name, one)}
    said = door(office, name, secrets[0])
    assert {one.word for one in secrets if one.word in said} <= readable


@pytest.mark.usefixtures("_settled")
def test_counts_and_sizes_are_of_what_may_be_read(office: Office, secrets: list[Secret]) -> None:
    library = secrets[0].library
    for name in PEOPLE:
        readable = [one for one in secrets if may(office, name, one)]
        with office.http(name) as http:
            shown = http.get(f"/v1/libraries/{library}").json()
            listed = http.get(f"/v1/libraries/{library}/documents?page_size=1000").json()
            store = http.get(f"/v1/vector_stores/{library}").json()
        assert shown["nb_documents"] == len(readable)
        assert shown["total_size"] == sum(one["size"] for one in listed["data"])
        assert store["file_counts"]["total"] == len(readable)
        assert listed["pagination"]["total_items"] == len(readable)


@pytest.mark.usefixtures("_settled")
def test_passages_are_gone_for_whom_they_are_closed(office: Office, secrets: list[Secret]) -> None:
    """By id and hash, as they stand in somebody else's answer."""
    for secret in (one for one in secrets if one.marks):
        reader = next((name for name in PEOPLE if may(office, name, secret)), None)
        if reader is None:
            continue
        with office.http(reader) as http:
            ask = {"query": f"{secret.word} password", "limit": 1}
            (hit,) = http.post(f"/v1/libraries/{secret.library}/search", json=ask).json()["data"]
        passage = {"id": hit["passage_id"], "hash": hit["hash"]}
        for name in (*PEOPLE, "stranger"):
            with office.http(name) as http:
                state = http.post("/v1/passages/check", json={"passages": [passage]}).json()
                shown = http.get(f"/v1/passages/{passage['id']}")
            allowed = may(office, name, secret)
            assert (state["data"][0]["state"] == "current") == allowed
            assert shown.status_code == (200 if allowed else 404)


@pytest.mark.usefixtures("_settled")
def test_nobody_changes_what_they_may_not_read(office: Office, secrets: list[Secret]) -> None:
    for secret in secrets:
        if may(office, "eve", secret):
            continue
        address = f"/v1/libraries/{secret.library}/documents/{secret.id}"
        file = f"/v1/vector_stores/{secret.library}/files/{secret.id}"
        with office.http("eve") as http:
            for answer in (
                http.delete(address),
                http.put(address, json={"name": "mine.md"}),
                http.put(address, json={"attributes": {"a": 1}}),
                http.post(f"{address}/reprocess"),
                http.delete(file),
                http.post(file, json={"attributes": {"a": 1}}),
            ):
                assert answer.status_code == 404, answer.text
            for answer in (
                http.put(f"{address}/access", json={"access": None}),
                http.delete(f"{address}/access"),
                http.get(f"/v1/libraries/{secret.library}/access"),
            ):
                assert answer.status_code == 403, answer.text


@pytest.mark.usefixtures("_settled")
def test_who_decides_sees_names_and_lists_and_no_text(
    office: Office, secrets: list[Secret]
) -> None:
    with office.http("admin") as http:
        shown = http.get(f"/v1/libraries/{secrets[0].library}/access")
    by_id = {one["document_id"]: one for one in shown.json()["data"]}
    for secret in secrets:
        listed = by_id[secret.id]["access"]
        marks = None if secret.marks is None else {one.casefold() for one in secret.marks}
        assert (None if listed is None else {one.casefold() for one in listed}) == marks
        assert secret.word not in shown.text


@pytest.fixture(scope="module")
def tables(office: Office) -> list[Secret]:
    """A live table under each list."""
    lists = dict(_LISTS)
    lists["person"] = frozenset({f"person:{office.people['ada'].principal.person_id}"})
    return [
        office.put_table(f"{name}table", f"{name}rowword", marks) for name, marks in lists.items()
    ]


@pytest.mark.parametrize("door", TABLES, ids=lambda door: door.__name__)
@pytest.mark.parametrize("name", [*PEOPLE, "stranger"])
def test_a_table_is_there_for_those_on_its_list_alone(
    office: Office, tables: list[Secret], door: Door, name: str
) -> None:
    readable = {one.name for one in tables if may(office, name, one)}
    for secret in tables:
        said = door(office, name, secret)
        assert (secret.word in said) == (secret.name in readable), said
        told = {one.name for one in tables if one.name in said or one.word in said}
        assert told <= readable, f"{name} hears of {told - readable}"


def test_a_watch_over_a_table_ends_with_its_owners_right_and_shows_its_rows_no_more(
    office: Office,
) -> None:
    office.put_table("wages", "wagesrowword", frozenset({"group:Finance"}))
    body = {"kind": "sql", "query": "SELECT * FROM wages"}
    with office.http("ada") as ada, office.http("admin") as admin:
        address = f"/v1/watches/{ada.post('/v1/watches', json=body).json()['id']}"
        found = until(lambda: ada.get(address).json(), lambda one: one["state"] == "in_step")
        assert "wagesrowword" in str(found["answer"])
        assert ada.put("/v1/tables/wages/access", json={"access": []}).status_code == 403
        made = admin.put("/v1/tables/wages/access", json={"access": ["group:Board"]})
        assert made.json() == {"name": "wages", "access": ["group:Board"], "by_hand": True}
        for path in (
            address,
            f"{address}/events",
            "/v1/watches",
            "/v1/tables",
            "/v1/tables/changes",
        ):
            assert "wagesrowword" not in ada.get(path).text, path
        assert ada.get("/v1/tables/access").status_code == 403
        listed = admin.get("/v1/tables/access").json()["data"]
        assert [one for one in listed if one["name"] == "wages"] == [made.json()]
        assert admin.delete("/v1/tables/wages/access").json()["access"] == ["group:Finance"]
        assert "wagesrowword" in ada.get(address).text
        assert admin.put("/v1/tables/nothing/access", json={"access": None}).status_code == 404
        ada.delete(address)
