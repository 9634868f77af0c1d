"""The wheel in a clean environment: no torch, no Node, no compiler, an AVX2 processor.

It carries the compiled kernels, so that our own engine serves from it; one that was built without a
compiler leaves models to llama.cpp. Both must reach a cited answer and open the page.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server import ADMIN_KEY, environment, free_port

pytestmark = [pytest.mark.model, pytest.mark.timeout(1200)]

_CHECKOUT = Path(__file__).parent.parent.parent


def _build(out: Path, settings: dict[str, str]) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out]
    subprocess.run([*command, _CHECKOUT], check=True, timeout=600, env=os.environ | settings)
    return next(out.glob("ponant-*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"), {})


@pytest.fixture(scope="module")
def plain_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where there is no compiler."""
    return _build(tmp_path_factory.mktemp("plain"), {"PONANT_BUILD_KERNELS": "0"})


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A fresh virtual environment with the wheel, its pinned base and llama.cpp; its bin folder."""
    venv = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=600)
    requirements = [_CHECKOUT / "requirements" / f"{name}.txt" for name in ("base", "llamacpp")]
    install = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    files = [part for file in requirements for part in ("-r", file)]
    subprocess.run([*install, *files], check=True, timeout=600)
    subprocess.run([*install, "--no-deps", wheel], check=True, timeout=600)
    return venv / "bin"


@pytest.fixture
def plain(bare: Path, wheel: Path, plain_wheel: Path) -> Iterator[Path]:
    """The same environment with the wheel that has no kernels."""
    swap = [bare / "pip", "install", "--quiet", "--no-deps", "--force-reinstall"]
    subprocess.run([*swap, plain_wheel], check=True, timeout=600)
    yield bare
    subprocess.run([*swap, wheel], check=True, timeout=600)


@contextmanager
def _served(bin_folder: Path, home: Path) -> Iterator[httpx.Client]:
    port = free_port()
    settings = {
        "PONANT_PORT": str(port),
        "PONANT_ADMIN_KEY": ADMIN_KEY,
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "PONANT_KERNELS": "avx2",
        "PATH": str(bin_folder),
    }
    log = home.parent / "bare.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [bin_folder / "ponant", "serve"],
            env=environment(home, settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=PATIENCE,
        ) as client:
            _wait(client, process, log)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _wait(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def _cited_answer(client: httpx.Client, question: str, library: str) -> tuple[str, list[int]]:
    body = {
        "inputs": question,
        "model": "starter",
        "tools": [{"type": "document_library", "library_ids": [library]}],
        "stream": True,
    }
    text, cited = "", []
    with client.stream("POST", "/v1/conversations", json=body, timeout=PATIENCE) as response:
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            assert event["type"] != "conversation.response.error", event
            match event:
                case {"type": "message.output.delta", "content": str(piece)}:
                    text += piece
                case {"type": "message.output.delta", "content": {"number": int(number)}}:
                    cited.append(number)
    return text, cited


def test_the_environment_is_as_bare_as_it_claims(bare: Path) -> None:
    missing = subprocess.run(
        [bare / "python", "-c", "import torch"], capture_output=True, check=False
    )
    assert missing.returncode != 0
    assert shutil.which("node", path=str(bare)) is None
    assert shutil.which("cc", path=str(bare)) is None


def test_our_own_engine_serves_from_the_wheel(bare: Path, home: Path) -> None:
    _serves(bare, home, "native")


def test_without_kernels_llamacpp_serves(plain: Path, home: Path) -> None:
    _serves(plain, home, "llamacpp")


def _serves(bin_folder: Path, home: Path, backend: str) -> None:
    with _served(bin_folder, home) as client:
        card = next(m for m in client.get("/v1/models").json()["data"] if m["id"] == "starter")
        assert card["ponant"]["backend"] == backend
        library = client.post("/v1/libraries", json={"name": "Handbook"}).json()["id"]
        page = b"The reception desk opens at 08:30 on weekdays.\n"
        sent = client.post(
            f"/v1/libraries/{library}/documents", files={"file": ("desk.md", page, "text/markdown")}
        )
        assert sent.is_success, sent.text
        _until_found(client, library, "reception desk")
        text, cited = _cited_answer(client, "When does the reception desk open?", library)
        assert "08:30" in text or "8:30" in text
        assert cited == [1]
        _page_opens(client)


def _until_found(client: httpx.Client, library: str, query: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        asked = {"query": query, "limit": 3}
        if client.post(f"/v1/libraries/{library}/search", json=asked).json()["data"]:
            return
        time.sleep(0.1)
    raise AssertionError("the document was not indexed")


def _page_opens(client: httpx.Client) -> None:
    index = client.get("/")
    assert index.status_code == 200
    assert "default-src 'self'" in index.headers["content-security-policy"]
    files = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', index.text)
    assert files
    for file in files:
        assert client.get(file).status_code == 200


def test_doctor_says_what_the_machine_has(bare: Path, home: Path) -> None:
    told = subprocess.run(
        [bare / "ponant", "doctor", "--json"],
        env=environment(home, {"PATH": str(bare), "ONEDNN_MAX_CPU_ISA": "AVX2"}),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "llamacpp" in told.stdout
    assert "Traceback" not in told.stderr


def test_the_wheel_is_for_this_platform_where_it_has_kernels(
    wheel: Path, plain_wheel: Path
) -> None:
    assert not wheel.name.endswith("-none-any.whl")
    assert "ponant/engine/kernels/_cpu.so" in zipfile.ZipFile(wheel).namelist()
    assert plain_wheel.name.endswith("-py3-none-any.whl")
    assert "ponant/engine/kernels/_cpu.so" not in zipfile.ZipFile(plain_wheel).namelist()


def test_the_wheel_names_no_path_of_the_machine_that_built_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert os.fsencode(_CHECKOUT) + b"/" not in archive.read(name), name
