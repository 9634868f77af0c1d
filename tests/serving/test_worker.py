"""Worker processes: how they begin, die, come back and end."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest

from ponant.hub.manifest import Manifest, write_manifest
from ponant.kit.errors import Unavailable
from ponant.serving import Models, Upstreams
from ponant.store import Scope
from tests.patience import PATIENCE
from tests.processes import children
from tests.serving.asking import chat, chat_request, complete
from tests.serving.conftest import models_in

pytestmark = pytest.mark.anyio

_LONG = "a" * 4000


async def _until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


def _workers(of: int | None = None) -> list[psutil.Process]:
    return children("ponant.serving.worker", of)


async def test_a_card_tells_the_state(bare: Models, scope: Scope) -> None:
    model = await bare.get("echo", scope)
    assert model.card.state == "stopped"
    await chat(model, "a")
    assert model.card.state == "ready"


async def test_killed_in_the_middle_it_says_so_and_comes_back(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    # Its pace leaves the answer in the middle for minutes, however busy the machine is.
    async with models_in(tmp_path, upstreams, echo_rate=20.0) as models:
        model = await models.get("echo", scope)
        stream = model.chat(chat_request(_LONG, max_tokens=None))
        await anext(stream)
        [before] = _workers()
        before.send_signal(signal.SIGKILL)
        with pytest.raises(Unavailable, match="ended in the middle"):
            async for _ in stream:
                pass
        assert (await chat(model, "again")).text == "again"
        [after] = _workers()
        assert after.pid != before.pid
        assert model.card.state == "ready"


async def test_it_comes_back_however_often_it_is_killed(bare: Models, scope: Scope) -> None:
    model = await bare.get("echo", scope)
    for number in range(4):
        assert (await chat(model, f"life {number}")).text == f"life {number}"
        [worker] = _workers()
        worker.send_signal(signal.SIGKILL)
        await _until(lambda: model.card.state == "starting")


async def test_a_worker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ponant.serving.runfolder import RunFolder\n"
        "from ponant.serving.supervisor import WorkerProcess\n"
        "from ponant.serving.wire import WorkerSpec\n"
        "async def main():\n"
        "    folder = RunFolder(Path(sys.argv[1]))\n"
        "    worker = WorkerProcess('echo', WorkerSpec(backend='echo'), folder)\n"
        "    await worker.ready()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    [worker] = _workers(parent.pid)
    parent.kill()
    await parent.wait()
    await _until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


async def test_closing_ends_workers_and_removes_their_folder(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    async with models_in(tmp_path, upstreams) as models:
        await chat(await models.get("echo", scope), "a")
        [worker] = _workers()
    assert not worker.is_running()
    assert list((tmp_path / "run").glob("*")) == [] or not (tmp_path / "run").exists()


async def test_its_folder_is_private_and_it_sees_no_secrets(
    tmp_path: Path, upstreams: Upstreams, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARROT_API_KEY", "squawk-4711")
    monkeypatch.setenv("PONANT_ADMIN_KEY", "pnt_4711")
    async with models_in(tmp_path, upstreams, admin_key="pnt_4711") as models:
        await chat(await models.get("echo", scope), "a")
        [worker] = _workers()
        assert "4711" not in " ".join(worker.environ().values())
        assert "4711" not in " ".join(worker.cmdline())
        assert [c.laddr for c in worker.net_connections("unix") if c.laddr] == []  # no way in
        assert _is_private(Path(worker.environ()["TMPDIR"]))


def _is_private(folder: Path) -> bool:
    return folder.stat().st_mode & 0o077 == 0


async def test_leaving_a_stream_frees_the_worker(bare: Models, scope: Scope) -> None:
    model = await bare.get("echo", scope)
    slow = chat_request(_LONG, max_tokens=4000, logprobs=20)
    started = time.monotonic()
    assert len("".join([delta.text async for delta in model.chat(slow)])) == 4000
    one = time.monotonic() - started
    for _ in range(20):
        stream = model.chat(slow)
        await anext(stream)
        await stream.aclose()
    started = time.monotonic()
    assert (await chat(model, "free")).text == "free"
    assert time.monotonic() - started < 10 * one  # those that were left would have taken 20


async def test_a_model_that_cannot_be_read_has_a_card_that_says_why(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    _install(tmp_path, "broken", b"GGUF\x03\x00\x00\x00 and then nothing")
    async with models_in(tmp_path, upstreams) as models:
        await models.start()
        model = await models.get("broken", scope)
        assert model.card.state == "failed"
        assert "model.gguf" in model.card.detail
        with pytest.raises(Unavailable, match=r"broken cannot be used\. .*Fetch it again"):
            await chat(model, "a")
        cards = {card.id: card.state for card in await models.list(scope)}
        assert cards == {"broken": "failed", "echo": "stopped"}


async def test_what_starts_first_and_cannot_is_told_from_what_is_starting(
    tmp_path: Path, upstreams: Upstreams
) -> None:
    _install(tmp_path, "starter", b"GGUF\x03\x00\x00\x00 and then nothing")
    async with models_in(tmp_path, upstreams) as models:
        await models.start()
        assert models.waiting() == models.failed() == ["starter"]
    _install(tmp_path / "other", "starter", _strange_gguf(tmp_path))
    async with models_in(tmp_path / "other", upstreams, engine="llamacpp") as models:
        assert models.failed() == []
        await models.start()
        await _until(lambda: models.failed() == ["starter"])


async def test_a_model_that_its_engine_cannot_load_fails_in_a_sentence(
    tmp_path: Path, upstreams: Upstreams, scope: Scope
) -> None:
    _install(tmp_path, "strange", _strange_gguf(tmp_path))
    async with models_in(tmp_path, upstreams, engine="llamacpp") as models:
        model = await models.get("strange", scope)
        with pytest.raises(Unavailable, match="strange"):
            await complete(model, "a")
        assert model.card.state == "failed"
        assert model.card.detail.endswith(".")
        await _until(lambda: _workers() == [])


def _install(home: Path, name: str, content: bytes) -> None:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(content)
    manifest = Manifest(id=name, kind="generate", format="gguf", file="model.gguf")
    write_manifest(folder, manifest)


def _strange_gguf(folder: Path) -> bytes:
    """A well-formed file of an architecture that nobody knows."""
    writer = gguf.GGUFWriter(folder / "strange.gguf", "never-heard-of")
    writer.add_context_length(128)
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "strange.gguf").read_bytes()
