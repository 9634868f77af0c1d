"""Files, vector stores and libraries, as the stock clients of OpenAI and Mistral use them."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from mistralai.client import Mistral
from openai import OpenAI

from ponant.live import LiveClient
from ponant.live.port import SearchResult
from ponant.live.sources.push import PushedDocument
from tests.access.office import Office, until
from tests.patience import tries


@pytest.fixture(scope="module")
def client(office: Office) -> OpenAI:
    key = office.people["ada"].key
    return OpenAI(base_url=f"{office.url}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def mistral(office: Office) -> Mistral:
    return Mistral(server_url=office.url, api_key=office.people["ada"].key)


def _upload(client: OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, text.encode()), purpose="assistants").id


def _ready(client: OpenAI, store: str) -> None:
    until(lambda: client.vector_stores.retrieve(store).status, lambda one: one == "completed")


def test_files_are_kept_for_their_person_alone(client: OpenAI, office: Office) -> None:
    made = client.files.create(file=("bees.md", b"Bees dance."), purpose="assistants")
    assert (made.filename, made.bytes, made.purpose) == ("bees.md", 11, "assistants")
    other = _upload(client, "wasps.md", "Wasps do not.")
    assert [one.id for one in client.files.list(limit=1)][:2] == [other, made.id]
    assert client.files.list(purpose="batch").data == []
    assert client.files.retrieve(made.id).created_at == made.created_at
    assert client.files.content(made.id).read() == b"Bees dance."
    with office.http("cyn") as http:
        assert http.get("/v1/files").json()["data"] == []
        for path in ("", "/content", "/url"):
            assert http.get(f"/v1/files/{made.id}{path}").status_code == 404
        assert http.delete(f"/v1/files/{made.id}").status_code == 404
        store = http.post("/v1/vector_stores", json={"name": "Thief"}).json()["id"]
        put = http.post(f"/v1/vector_stores/{store}/files", json={"file_id": made.id})
        assert put.status_code == 404
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_a_vector_store_is_filled_searched_and_emptied(client: OpenAI) -> None:
    stores = client.vector_stores
    store = stores.create(name="Handbook", metadata={"team": "desk"})
    assert (store.name, store.metadata) == ("Handbook", {"team": "desk"})
    desk = _upload(client, "desk.md", "# Desk\n\nThe desk opens at 08:30.")
    gate = _upload(client, "gate.md", "# Gate\n\nThe gate opens at 06:00.")
    made = stores.files.create_and_poll(
        file_id=desk, vector_store_id=store.id, attributes={"site": "north", "floor": 1}
    )
    assert (made.status, made.attributes) == ("completed", {"site": "north", "floor": 1})
    stores.files.create_and_poll(
        file_id=gate, vector_store_id=store.id, attributes={"site": "south"}
    )
    _ready(client, store.id)
    found = stores.search(store.id, query="when does it open", max_num_results=2).data
    assert {one.file_id for one in found} == {desk, gate}
    assert all(one.score > 0 for one in found)
    north = {"type": "eq", "key": "site", "value": "north"}
    (only,) = stores.search(store.id, query="when does it open", filters=north).data
    assert (only.filename, only.attributes) == ("desk.md", {"site": "north", "floor": 1})
    assert "08:30" in only.content[0].text
    stores.files.update(desk, vector_store_id=store.id, attributes={"site": "south"})
    assert stores.search(store.id, query="when does it open", filters=north).data == []
    both = stores.search(
        store.id,
        query=["desk", "gate"],
        filters={"type": "and", "filters": [{"type": "in", "key": "site", "value": ["south"]}]},
    )
    assert len(both.data) == 2
    assert stores.files.content(gate, vector_store_id=store.id).data[0].text.endswith("06:00.")
    counts = stores.retrieve(store.id).file_counts
    assert (counts.completed, counts.total) == (2, 2)
    assert {one.id for one in stores.files.list(store.id)} == {desk, gate}
    assert stores.files.list(store.id, filter="failed").data == []
    assert stores.files.delete(desk, vector_store_id=store.id).deleted
    with pytest.raises(openai.NotFoundError):
        stores.files.retrieve(desk, vector_store_id=store.id)
    (left,) = stores.search(store.id, query="when does it open").data
    assert left.file_id == gate
    client.files.delete(gate)  # goes from the stores that it is in
    assert stores.search(store.id, query="when does it open").data == []
    renamed = stores.update(store.id, name="Old handbook")
    assert (renamed.name, renamed.metadata) == ("Old handbook", {"team": "desk"})
    assert store.id in [one.id for one in stores.list(limit=1)]
    assert stores.delete(store.id).deleted
    with pytest.raises(openai.NotFoundError):
        stores.retrieve(store.id)


def test_several_queries_are_answered_from_one_version(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, search = "# Desk\n\nIt opens at {}.\n\n# Gate\n\nIt closes at {}.", LiveClient.search
    looked: list[str] = []

    async def edited_in_between(live: LiveClient, *asked: Any) -> SearchResult:
        scope, (library,), query, *_ = asked
        if query == "gate" and "gate" not in looked:
            looked.append(query)
            for _ in tries():
                if "desk" in looked:
                    break
                await asyncio.sleep(0.01)
            edited = PushedDocument(key="hours", text=text.format("09:15", "19:00"))
            await live.sources.push(scope, library, [edited])
        found = await search(live, *asked)
        looked.append(query)
        return found

    with office.http("ada") as http:
        store = http.post("/v1/vector_stores", json={"name": "Hours"}).json()["id"]
        body = {"text": text.format("08:30", "18:00")}
        assert http.put(f"/v1/libraries/{store}/push/hours", json=body).status_code == 200
        monkeypatch.setattr(LiveClient, "search", edited_in_between)
        ask = {"query": ["desk", "gate"], "max_num_results": 10}
        found = http.post(f"/v1/vector_stores/{store}/search", json=ask).json()["data"]
        shown = http.get(f"/v1/libraries/{store}/sources").json()["data"]
    assert sorted(one["content"][0]["text"].split()[-1] for one in found) == ["09:15.", "19:00."]
    assert {one["document_version"] for one in found} == {2}
    assert {one["source_id"] for one in found} == {shown[0]["id"]}
    assert all(one["start"] < one["end"] and one["library_version"] for one in found)


def test_files_of_one_name_stand_beside_each_other(client: OpenAI) -> None:
    stores = client.vector_stores
    first = _upload(client, "note.md", "Apples are red.")
    second = _upload(client, "note.md", "Pears are green.")
    store = stores.create(name="Twins", file_ids=[first])
    batch = stores.file_batches.create_and_poll(store.id, file_ids=[second])
    assert (batch.status, batch.file_counts.completed) == ("completed", 1)
    assert [one.id for one in stores.file_batches.list_files(batch.id, vector_store_id=store.id)]
    _ready(client, store.id)
    assert {one.id for one in stores.files.list(store.id)} == {first, second}
    (apples,) = stores.search(store.id, query="apples red", max_num_results=1).data
    assert apples.file_id == first
    again = stores.files.create(file_id=first, vector_store_id=store.id)
    assert again.id == first
    assert stores.retrieve(store.id).file_counts.total == 2


def test_a_batch_with_somebody_elses_file_puts_nothing_in(client: OpenAI, office: Office) -> None:
    mine = _upload(client, "mine.md", "Mine.")
    with office.http("cyn") as http:
        file = {"file": ("theirs.md", b"Theirs.")}
        theirs = http.post("/v1/files", files=file).json()["id"]
    store = client.vector_stores.create(name="Batch")
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.file_batches.create(store.id, file_ids=[mine, theirs])
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    for body in ({}, {"file_ids": [mine], "files": [{"file_id": mine}]}):
        with office.http("ada") as http:
            answer = http.post(f"/v1/vector_stores/{store.id}/file_batches", json=body)
        assert answer.status_code == 400


def test_a_filter_that_makes_no_sense_is_refused(client: OpenAI) -> None:
    store = client.vector_stores.create(name="Filters")
    for filters in (
        {"type": "like", "key": "a", "value": "b"},
        {"type": "eq", "key": "a"},
        {"type": "and", "filters": [{"type": "or"}]},
        {"type": "eq", "key": "a') OR 1=1 --", "value": {"a": 1}},
    ):
        with pytest.raises(openai.BadRequestError):
            client.vector_stores.search(store.id, query="x", filters=filters)  # type: ignore[arg-type]


def test_the_mistral_client_keeps_documents(mistral: Mistral, office: Office) -> None:
    library = mistral.beta.libraries.create(name="Documents").id
    documents = mistral.beta.libraries.documents
    file = {"file_name": "a.md", "content": b"# Bees\n\nBees dance."}
    made = documents.upload(library_id=library, file=file)
    address = {"library_id": library, "document_id": made.id}

    def done() -> None:
        until(lambda: documents.status(**address).process_status, lambda one: one == "done")

    done()
    changed = documents.update(**address, name="bees.md", attributes={"kind": "insect", "legs": 6})
    assert (changed.name, changed.attributes) == ("bees.md", {"kind": "insect", "legs": 6})
    documents.reprocess(**address)
    done()
    shown = documents.get(**address)
    assert (shown.name, shown.attributes) == ("bees.md", {"kind": "insect", "legs": 6})
    for ask, text in (
        (documents.get_signed_url, b"# Bees\n\nBees dance."),
        (documents.extracted_text_signed_url, b"# Bees\n\nBees dance."),
    ):
        opened = httpx.get(ask(**address), verify=False)
        assert opened.content == text
        assert opened.headers["content-disposition"] == "attachment"
    documents.delete(**address)


def test_the_mistral_client_keeps_files(mistral: Mistral) -> None:
    file = {"file_name": "a.jsonl", "content": b"{}\n"}
    made = mistral.files.upload(file=file, purpose="batch")
    assert (made.filename, made.size_bytes, made.purpose) == ("a.jsonl", 3, "batch")
    listed = mistral.files.list(page=0, page_size=1)
    assert (listed.data[0].id, listed.total >= 1) == (made.id, True)
    assert mistral.files.retrieve(file_id=made.id).mimetype
    assert mistral.files.download(file_id=made.id).read() == b"{}\n"
    url = mistral.files.get_signed_url(file_id=made.id, expiry=1).url
    assert httpx.get(url, verify=False).content == b"{}\n"
    assert httpx.get(url[:-2], verify=False).status_code == 404
    assert mistral.files.delete(file_id=made.id).deleted
    assert httpx.get(url, verify=False).status_code == 404


def test_the_mistral_client_shares_a_library(mistral: Mistral, office: Office) -> None:
    library = mistral.beta.libraries.create(name="Shared").id
    accesses = mistral.beta.libraries.accesses
    (everybody,) = accesses.list(library_id=library).data
    assert (everybody.role, everybody.share_with_type) == ("Viewer", "Workspace")
    cyn = office.people["cyn"].principal.person_id
    with office.http("cyn") as http:
        assert http.put(f"/v1/libraries/{library}", json={"name": "Mine"}).status_code == 403
        made = accesses.update_or_create(
            library_id=library, level="Editor", share_with_uuid=cyn, share_with_type="User"
        )
        assert (made.role, made.share_with_uuid) == ("Editor", cyn)
        assert http.put(f"/v1/libraries/{library}", json={"name": "Ours"}).status_code == 200
        accesses.delete(library_id=library, share_with_uuid=cyn, share_with_type="User")
        assert http.put(f"/v1/libraries/{library}", json={"name": "Mine"}).status_code == 403
        mine = {"level": "Editor", "share_with_uuid": cyn, "share_with_type": "User"}
        assert http.put(f"/v1/libraries/{library}/share", json=mine).status_code == 403
    with office.http("ada") as http:
        for kind, whom in (("Org", "org_1"), ("Workspace", "ws_1"), ("User", "person_1")):
            body = {"level": "Editor", "share_with_uuid": whom, "share_with_type": kind}
            assert http.put(f"/v1/libraries/{library}/share", json=body).status_code == 400
