"""Workers that die again and again, run out of memory, or die beside others that live."""

import asyncio
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ponant.kit.errors import Unavailable
from ponant.serving import Models
from ponant.serving.restarts import Restarts, how
from ponant.serving.runfolder import RunFolder
from ponant.serving.supervisor import WorkerProcess
from ponant.serving.wire import WorkerSpec
from ponant.store import Scope
from tests.patience import PATIENCE
from tests.processes import children
from tests.serving.asking import chat, chat_request

pytestmark = pytest.mark.anyio


def test_pauses_grow_and_a_long_life_ends_that() -> None:
    restarts = Restarts()
    pauses = [restarts.ended(1, was_ready=True) for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.25
    assert pauses[-1] == 30
    assert "10 times in a row" in restarts.told(-signal.SIGKILL)
    assert "memory" in restarts.told(-signal.SIGKILL)
    assert restarts.ended(61, was_ready=True) == 0.25
    assert not restarts.hopeless


def test_one_that_never_gets_ready_is_given_up() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.ended(1, was_ready=False)
    assert restarts.hopeless
    assert "3 times while loading, with status 1" in restarts.told(1)


@pytest.mark.parametrize(
    ("code", "words"), [(0, "status 0"), (-11, "SIGSEGV"), (-9, "SIGKILL, as"), (-250, "250")]
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert words in how(code)


async def test_a_crash_loop_is_slowed_and_shown(bare: Models, scope: Scope) -> None:
    model = await bare.get("echo", scope)
    for _ in range(8):
        if model.card.state == "failed":
            break
        await chat(model, "alive")
        [worker] = children("ponant.serving.worker")
        worker.kill()
        await _until_not_ready(model)
    assert model.card.state == "failed"
    assert "times in a row" in model.card.detail
    assert "SIGKILL" in model.card.detail
    with pytest.raises(Unavailable, match=r"cannot be used\. Its process ended") as refused:
        await chat(model, "now?")
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 30
    await asyncio.sleep(refused.value.retry_after)
    assert (await chat(model, "back by itself")).text == "back by itself"


async def _until_not_ready(model: object) -> None:
    """Wait until the end was noticed: it is started again, or through a long pause not yet."""
    end = time.monotonic() + PATIENCE
    while model.card.state == "ready":  # type: ignore[attr-defined]
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_other_models_go_on(bare: Models, scope: Scope) -> None:
    one = await bare.get("echo", scope)
    folder = RunFolder(bare._folder.path)
    other = WorkerProcess("other", WorkerSpec(backend="echo"), folder)
    try:
        await other.ready()
        stream = one.chat(chat_request("a" * 3000, max_tokens=None))
        first = await anext(stream)
        assert other.pid is not None
        psutil.Process(other.pid).kill()
        text = first.text + "".join([delta.text async for delta in stream])
        assert text == "a" * 3000
        await other.ready()
    finally:
        await other.close()
        folder.remove()


_GREEDY = """
import sys
from ponant.serving.memory import hold_to_memory
hold_to_memory(64 << 20)
try:
    held = bytearray(1 << 20)
    for _ in range(14):
        held += bytes(len(held))
except MemoryError:
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this bound")
def test_a_process_that_takes_too_much_meets_a_memory_error() -> None:
    done = subprocess.run([sys.executable, "-c", _GREEDY], check=False, timeout=PATIENCE)
    assert done.returncode == 7
