"""What an operator meets: starts, refusals in a sentence, and a machine that loses power."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE, tries
from tests.server import ADMIN_KEY, environment, free_port, serving

pytestmark = pytest.mark.model


def _fails(home: Path, settings: dict[str, str], *arguments: str) -> str:
    """Run a command that must fail, and give back what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "ponant", *(arguments or ("serve",))],
        env=environment(home, settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr + ended.stdout
    return ended.stderr


def test_a_first_start_prints_a_link_and_a_key_that_work(home: Path) -> None:
    with serving(home, {"PONANT_ADMIN_KEY": ""}) as server:
        printed = server.log.read_text()
        key = re.search(r"pnt_[\w-]+", printed)
        link = re.search(r"/sign-in#token=(\S+)", printed)
        assert key is not None
        assert link is not None
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
        with server.client(key.group()) as client:
            assert client.get("/v1/models").status_code == 200
        with httpx.Client(base_url=server.url) as browser:
            assert browser.post("/v1/session", json={"token": link.group(1)}).status_code == 200
            assert browser.get("/v1/whoami").json()["person"]["role"] == "admin"
            assert browser.post("/v1/session", json={"token": link.group(1)}).status_code == 401
        fresh = server.run("link").stdout
        assert "/sign-in#token=" in fresh
    assert "licence" in printed
    assert re.search(r"model starter takes about \d\.\d\d GB of memory .*runs on native", printed)


def test_the_key_is_shown_once_and_every_start_names_the_link_command(home: Path) -> None:
    with serving(home, {"PONANT_ADMIN_KEY": ""}):
        pass
    with serving(home, {"PONANT_ADMIN_KEY": ""}) as server:
        printed = server.log.read_text()
    assert "pnt_" not in printed
    assert "ponant link" in printed


def test_a_kill_at_any_moment_loses_nothing_acknowledged(home: Path) -> None:
    with serving(home) as server:
        with server.client() as client:
            made = client.post("/v1/admin/api-keys", json={"name": "kept"}).json()
            answer = client.post(
                "/v1/chat/completions",
                json={"model": "echo", "messages": [{"role": "user", "content": "kept"}]},
            )
            assert answer.status_code == 200
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with serving(home) as server, server.client(made["key"]) as client:
        assert client.get("/v1/models").status_code == 200
        used = server.run("usage", "--by", "model", "--json").stdout
        assert "echo" in used


def test_a_second_server_over_one_home_is_refused(home: Path) -> None:
    with serving(home):
        said = _fails(home, {"PONANT_PORT": str(free_port())})
    assert "Another Ponant already serves" in said


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _fails(home, {"PONANT_PORT": str(port)})
    assert f"Port {port}" in said
    assert "PONANT_PORT" in said


def test_an_unknown_setting_is_refused_with_the_nearest_name(home: Path) -> None:
    said = _fails(home, {"PONANT_PROT": "8001"})
    assert "Did you mean PONANT_PORT?" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [("PONANT_PORT", "many"), ("PONANT_ENGINE", "magic"), ("PONANT_ADMIN_KEY", "short")],
)
def test_a_value_that_does_not_fit_is_refused_by_name(home: Path, name: str, value: str) -> None:
    assert name in _fails(home, {name: value})


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert "PONANT_HOME" in _fails(blocker / "home", {})


def test_a_start_without_models_says_how_to_get_them(tmp_path: Path) -> None:
    assert "ponant setup" in _fails(tmp_path / "empty", {})


def test_a_damaged_model_says_so_and_the_rest_goes_on(home: Path, models_home: Path) -> None:
    (home / "models").unlink()
    (home / "models").mkdir()
    for model in (models_home / "models").iterdir():
        (home / "models" / model.name).symlink_to(model)
    broken = home / "models" / "starter"
    origin = broken.resolve()
    broken.unlink()
    broken.mkdir()
    for file in origin.iterdir():
        if file.name != "model.gguf":
            (broken / file.name).symlink_to(file)
    with (origin / "model.gguf").open("rb") as whole:
        (broken / "model.gguf").write_bytes(whole.read(1_000_000))
    port = str(free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "ponant", "serve"],
        env=environment(home, {"PONANT_PORT": port, "PONANT_ADMIN_KEY": ADMIN_KEY}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        card = _card(f"http://127.0.0.1:{port}", "starter", "failed")
        assert "truncated" in card["detail"] or "damaged" in card["detail"]
        ask = {"model": "echo", "messages": [{"role": "user", "content": "still here"}]}
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json=ask,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=PATIENCE,
        )
        assert answer.status_code == 200
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _card(url: str, model: str, state: str) -> dict[str, str]:
    """Wait until a model's card shows a state."""
    transport = httpx.HTTPTransport(retries=50)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(
        base_url=url, transport=transport, headers=headers, timeout=PATIENCE
    ) as client:
        for _ in tries():
            try:
                cards = client.get("/v1/models").json()["data"]
            except httpx.TransportError:
                cards = []
            card = next((c["ponant"] for c in cards if c["id"] == model), {})
            if card.get("state") == state:
                return dict(card)
            signal.sigtimedwait([], 0.1)
    raise AssertionError(f"{model} did not become {state}: {card}")


def test_commands_that_need_a_server_say_so(home: Path) -> None:
    assert "ponant serve" in _fails(home, {}, "chat", "hello")


def test_chat_in_the_terminal(home: Path) -> None:
    with serving(home) as server:
        told = server.run("chat", "What is the capital of France?").stdout
    assert "Paris" in told


def test_what_stays_is_not_searched_for_garbage_again(tmp_path: Path) -> None:
    code = """
        import asyncio, gc, types
        import uvicorn
        from ponant.cli import serve

        gc.disable()
        waiting = [["a model"], []]
        models = types.SimpleNamespace(waiting=lambda: waiting.pop(0))
        services = types.SimpleNamespace(models=models, live=types.SimpleNamespace(ready=True))
        server = serve._Server(uvicorn.Config(None), services)
        while waiting:
            asyncio.run(server.on_tick(1))
        print(len(gc.get_objects()), gc.get_freeze_count())
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        cwd=tmp_path,
    ).stdout
    searched, kept = map(int, said.split())
    assert searched < kept / 10
