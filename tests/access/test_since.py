"""What changes between two questions counts at the second: lists, groups, workspaces, deletions."""

import json
import threading
from typing import Any

import httpx

from ponant.accounts import Role
from tests.access.office import Office, Secret, until


def _library(office: Office, name: str, by: str = "admin") -> str:
    with office.http(by) as http:
        return str(http.post("/v1/libraries", json={"name": name}).json()["id"])


def _finds(office: Office, name: str, secret: Secret) -> bool:
    with office.http(name) as http:
        ask = {"query": f"{secret.word} password", "limit": 50}
        found = http.post(f"/v1/libraries/{secret.library}/search", json=ask)
        return any(secret.word in hit["text"] for hit in found.json().get("data", ()))


def _ask(http: httpx.Client, library: str, question: str, conversation: str = "") -> Any:
    body: dict[str, Any] = {"inputs": question, "stream": False}
    if conversation:
        answer = http.post(f"/v1/conversations/{conversation}", json=body)
    else:
        tool = {"type": "document_library", "library_ids": [library]}
        answer = http.post("/v1/conversations", json=body | {"model": "fake", "tools": [tool]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_group_counts_from_the_next_question_on(office: Office) -> None:
    secret = office.put(_library(office, "Groups"), "plan", "planword", frozenset({"group:Late"}))
    office.settle(secret.library)
    admin, eve = office.people["admin"].principal, office.people["eve"].principal.person_id
    directory = office.accounts.directory
    directory.add_group(admin, "Late")
    assert not _finds(office, "eve", secret)
    directory.join(admin, "Late", eve)
    assert _finds(office, "eve", secret)
    directory.leave(admin, "Late", eve)
    assert not _finds(office, "eve", secret)
    directory.join(admin, "Late", eve)
    directory.remove_group(admin, "Late")
    assert not _finds(office, "eve", secret)


def test_a_list_counts_from_the_next_question_on(office: Office) -> None:
    secret = office.put(_library(office, "Lists"), "plan", "listword", None)
    office.settle(secret.library)
    assert _finds(office, "eve", secret)
    office.close(secret, frozenset({"group:Finance"}))
    assert (_finds(office, "eve", secret), _finds(office, "ada", secret)) == (False, True)
    office.close(secret, None)
    assert _finds(office, "eve", secret)


def test_what_is_set_by_hand_stands_over_what_a_source_brings(office: Office) -> None:
    library, folder = _library(office, "By hand"), office.folder / "hand"
    folder.mkdir()
    (folder / "pay.md").write_text("# About handword\n\nThe handword password is 1.")
    with office.http("admin") as http:
        source = {"kind": "folder", "config": {"path": str(folder)}}
        assert http.post(f"/v1/libraries/{library}/sources", json=source).status_code == 201
        (one,) = until(lambda: http.get(f"/v1/libraries/{library}/documents").json()["data"], bool)
        secret = Secret("pay", "handword", one["id"], library, None)
        office.settle(library)
        assert _finds(office, "eve", secret)
        office.close(secret, frozenset({"group:Finance"}))
        version = http.get(f"/v1/libraries/{library}").json()["freshness"]["version"]
        (folder / "pay.md").write_text("# About handword\n\nThe handword password is 2.")
        until(
            lambda: http.get(f"/v1/libraries/{library}").json()["freshness"]["version"],
            lambda now: now > version,
        )
        office.settle(library)
        assert (_finds(office, "eve", secret), _finds(office, "ada", secret)) == (False, True)
        address = f"/v1/libraries/{library}/documents/{secret.id}/access"
        released = http.delete(address).json()
        assert (released["by_hand"], released["access"]) == (False, ["group:Finance"])
        assert not _finds(office, "eve", secret), "until the source says otherwise"
        (folder / "pay.md").write_text("# About handword\n\nThe handword password is 3.")
        until(lambda: _finds(office, "eve", secret), bool)


def test_the_same_group_in_another_workspace_reads_its_own(office: Office) -> None:
    admin, directory = office.people["admin"].principal, office.accounts.directory
    second = directory.add_workspace(admin, "Second")
    there = directory.in_workspace(admin, second.id)
    moved = directory.add_person(admin, "Mo", "mo@example.org", Role.MEMBER)
    directory.join(admin, "Finance", moved.id)
    here = office.accounts.issue_key(admin, directory.act_as(admin, moved.id), "here").key
    directory.add_person(there, "Mo", "mo@example.org", Role.MEMBER)
    other = office.accounts.issue_key(there, directory.act_as(there, moved.id), "there").key
    secret = office.put(_library(office, "First"), "far", "farword", frozenset({"group:Finance"}))
    office.settle(secret.library)

    def sees(key: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {key}"}
        address = f"{office.url}/v1/libraries/{secret.library}/documents/{secret.id}"
        answer = httpx.get(address, headers=headers, verify=False)
        return answer.status_code, answer.text

    assert sees(here)[0] == 200
    assert sees(other)[0] == 404
    directory.remove_person(admin, moved.id)
    assert sees(here)[0] == 401
    assert sees(other)[0] == 404


def test_events_name_no_document_that_not_everybody_may_read(office: Office) -> None:
    library, lines = _library(office, "Events"), []
    listening = threading.Event()

    def listen() -> None:
        with office.http("eve") as http, http.stream("GET", "/v1/libraries/events") as stream:
            for line in stream.iter_lines():
                listening.set()
                lines.append(line)
                if "lastword" in line:
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(10)
    finance = frozenset({"group:Finance"})
    quiet = office.put(library, "quietname", "quietword", finance)
    later = office.put(library, "latername", "laterword", finance)
    office.settle(library)
    with office.http("ada") as http:
        assert http.get(f"/v1/libraries/{library}/documents").json()["data"]
    with office.http("admin") as http:
        http.put(
            f"/v1/libraries/{library}/documents/{quiet.id}/access", json={"access": ["group:None"]}
        )
    with office.http("ada") as http:
        assert http.delete(f"/v1/libraries/{library}/documents/{later.id}").status_code == 204
    with office.http("admin") as http:
        http.delete(f"/v1/libraries/{library}")
    office.put(_library(office, "Last"), "lastword", "lastword", None)
    thread.join(10)
    told = "\n".join(lines)
    assert "lastword" in told
    assert quiet.id in told, "that something happened may be known"
    assert "quietname" not in told
    assert "latername" not in told


def test_a_conversation_shows_no_more_of_what_was_closed(office: Office) -> None:
    library = _library(office, "Talk")
    secret = office.put(library, "salary", "salaryword", None)
    office.put(library, "other", "otherword", None)
    office.settle(library)
    with office.http("eve") as http:
        made = _ask(http, library, "Where is the salaryword password kept?")
        address = f"/v1/conversations/{made['conversation_id']}"
        before = http.get(f"{address}/history").json()["entries"]
        assert "salary.md" in json.dumps(before)
        replayed = http.get(f"{address}/events").text
        assert "salary.md" in replayed
        answered = next(one for one in before if one["type"] == "message.output")
        spoken = next(one["text"] for one in answered["content"] if one["type"] == "text")
        office.close(secret, frozenset({"group:Finance"}))
        after = json.dumps(http.get(f"{address}/history").json()["entries"])
        assert "salary.md" not in after
        assert "salaryword drawer" in after, "what the answer itself said stays its reader's"
        assert after.count("salaryword drawer") == json.dumps(answered).count("salaryword drawer")
        sources = [
            one
            for entry in json.loads(after)
            for one in entry.get("info", {}).get("sources", ())
            if one["document_id"] == secret.id
        ]
        assert sources
        assert all(one["withheld"] and not one["text"] and not one["heading"] for one in sources)
        replayed = http.get(f"{address}/events").text
        assert "salary.md" not in replayed
        assert f"About {secret.word}" not in replayed
        office.model.requests.clear()
        _ask(http, library, "And is it kept where the otherword is?", made["conversation_id"])
        assert office.model.requests
        for request in office.model.requests:
            shown = [one.content for one in request.messages if one.role.value == "assistant"]
            assert spoken.strip() not in " ".join(shown), "not put into the next prompt"
        office.close(secret, None)
        again = json.dumps(http.get(f"{address}/history").json()["entries"])
        assert "salary.md" in again


def test_a_conversation_shows_no_more_of_what_was_deleted(office: Office) -> None:
    library = _library(office, "Deleted")
    secret = office.put(library, "memo", "memoword", None)
    office.put(library, "left", "leftword", None)
    office.settle(library)
    with office.http("eve") as http:
        made = _ask(http, library, "Where is the memoword password kept?")
        address = f"/v1/conversations/{made['conversation_id']}"
        for path in ("history", "events"):
            assert "memo.md" in http.get(f"{address}/{path}").text
        entries = http.get(f"{address}/history").json()["entries"]
        answered = next(one for one in entries if one["type"] == "message.output")
        spoken = next(one["text"] for one in answered["content"] if one["type"] == "text")
        assert "memoword" in spoken
        with office.http("admin") as admin:
            admin.delete(f"/v1/libraries/{library}/documents/{secret.id}")
        for path in ("history", "events"):
            told = http.get(f"{address}/{path}").text
            assert "memo.md" not in told
            assert "About memoword" not in told
        office.model.requests.clear()
        _ask(http, library, "And is it kept where the leftword is?", made["conversation_id"])
        assert office.model.requests
        for request in office.model.requests:
            shown = " ".join(one.content for one in request.messages if one.role.value != "user")
            shown += " ".join(passage.text for passage in request.passages)
            assert spoken.strip() not in shown, "not put into the next prompt"
            assert "memoword" not in shown
            assert "memo.md" not in str(request)


def test_a_watch_shows_no_more_of_what_was_closed(office: Office) -> None:
    library = _library(office, "Watching")
    secret = office.put(library, "bonus", "bonusword", None)
    office.settle(library)
    with office.http("eve") as http:
        body = {
            "query": "Where is the bonusword password kept?",
            "model": "fake",
            "library_ids": [library],
            "settle": 0,
            "every": 0,
        }
        address = f"/v1/watches/{http.post('/v1/watches', json=body).json()['id']}"
        until(lambda: http.get(address).json()["answer"], bool)
        assert "bonus.md" in http.get(address).text
        assert "bonus.md" in http.get(f"{address}/events").text
        office.close(secret, frozenset({"group:Finance"}))
        for path in (address, f"{address}/events", "/v1/watches"):
            told = http.get(path).text
            assert "bonus.md" not in told
            assert "About bonusword" not in told
        changed = until(
            lambda: http.get(f"{address}/events").json()["data"],
            lambda events: any(one["happening"] == "changed" for one in events),
        )
        assert "bonus.md" not in json.dumps(changed)
        assert "bonusword" not in json.dumps(changed[0]["new"])


def test_a_key_of_a_closed_document_is_not_pushed_over(office: Office) -> None:
    library = _library(office, "Pushed")
    address = f"/v1/libraries/{library}/push"
    finance = {"text": "The pushword password is 1.", "access": ["group:Finance"]}
    with office.http("admin") as admin, office.http("eve") as eve, office.http("ada") as ada:
        made = admin.put(f"{address}/pay", json=finance).json()["documents"][0]
        assert made["state"] == "stored"
        secret = Secret("pay", "pushword", made["document_id"], library, None)
        office.settle(library)
        mine = {"text": "Mine now."}
        bulk = {"documents": [{"key": "mine", **mine}, {"key": "pay", **mine}]}
        for refused in (
            eve.put(f"{address}/pay", json=mine),
            eve.delete(f"{address}/pay"),
            eve.post(address, json=bulk),
            eve.post(address, json={"delete": [{"key": "pay"}]}),
        ):
            assert refused.status_code == 403
            assert secret.id not in refused.text
        assert (_finds(office, "ada", secret), _finds(office, "eve", secret)) == (True, False)
        assert "mine" not in ada.get(f"/v1/libraries/{library}/documents").text
        changed = {"text": "The pushword password is 2.", "access": ["group:Board"]}
        assert admin.put(f"{address}/pay", json=changed).status_code == 200, "its owner may"
        office.settle(library)
        assert (_finds(office, "cyn", secret), _finds(office, "ada", secret)) == (True, False)
        assert ada.delete(f"{address}/pay").status_code == 403
        assert eve.put(f"{address}/own", json=mine).status_code == 200


def test_what_could_not_be_read_is_named_to_readers_alone(office: Office) -> None:
    library = _library(office, "Broken")
    with office.http("admin") as http:
        made = http.post(
            f"/v1/libraries/{library}/documents",
            files={"file": ("brokenname.pdf", b"%PDF-1.4 nothing")},
            data={"access": '["group:Finance"]'},
        )
        assert made.status_code == 201
        address = f"/v1/libraries/{library}"
        until(lambda: http.get(address).json()["freshness"]["pending"], lambda n: n == 0, 30)
    for name, hears in (("ada", True), ("eve", False), ("admin", False)):
        with office.http(name) as http:
            paths = ("", "/failed", "/sources", "/documents", "/questions")
            said = "".join(http.get(f"{address}{path}").text for path in paths)
        assert ("brokenname" in said) == hears, said


def test_a_signed_address_opens_what_its_maker_may_read_now(office: Office) -> None:
    secret = office.put(
        _library(office, "Signed"), "signed", "signedword", frozenset({"group:Finance"})
    )
    office.settle(secret.library)
    document = f"/v1/libraries/{secret.library}/documents/{secret.id}"
    with office.http("ada") as http:
        urls = [
            http.get(f"{document}/{kind}").json()
            for kind in ("signed-url", "extracted-text-signed-url")
        ]
    for url in urls:
        assert "signedword" in httpx.get(url, verify=False).text
    office.close(secret, frozenset({"group:Board"}))
    for url in urls:
        assert httpx.get(url, verify=False).status_code == 404


def test_prompts_under_different_lists_share_no_pages(office: Office) -> None:
    library = _library(office, "Pages")
    finance = frozenset({"group:Finance"})
    one = office.put(library, "one", "oneword", finance)
    office.put(library, "two", "twoword", finance)
    office.put(library, "three", "threeword", frozenset({"group:Board"}))
    office.put(library, "four", "fourword", None)
    office.settle(library)

    def scope(name: str, word: str, conversation: str = "") -> tuple[str, str]:
        office.model.requests.clear()
        with office.http(name) as http:
            question = f"Where is the {word} password kept?"
            made = _ask(http, library, question, conversation)
        (request,) = office.model.requests
        assert word in "".join(passage.text for passage in request.passages)
        return request.controls.cache_scope, str(made["conversation_id"])

    workspace = office.people["ada"].principal.workspace_id
    open_scope, talk = scope("ada", "fourword")
    assert open_scope == workspace
    of_finance, _ = scope("ada", "oneword")
    assert of_finance == scope("cyn", "oneword")[0], "readers of the same list share"
    assert of_finance == scope("cyn", "twoword")[0]
    of_board, _ = scope("cyn", "threeword")
    assert len({workspace, of_finance, of_board}) == 3
    assert all(one.startswith(workspace) for one in (of_finance, of_board))
    held, talk = scope("ada", "oneword", talk)
    assert held == of_finance
    # What was said from a closed document stands in later prompts of the same conversation.
    assert scope("ada", "fourword", talk)[0] == of_finance
    assert one.marks == finance
