"""Files and paths that lead elsewhere, or swell."""

import zipfile
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.clients.hostile.asking import MIB, read, refused
from tests.server import Server

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../escaped.txt", "escaped.txt"),
        ("..\\..\\escaped.md", "escaped.md"),
        ("/tmp/escaped.html", "escaped.html"),
        ("%2e%2e%2fescaped.txt", "%2e%2e%2fescaped.txt"),
        (".env", None),
        ("../.bashrc", None),
        ("passwd", None),
        ("..", None),
        ("x" * 5000 + ".txt", None),
        ("\u202etxt.exe", None),
    ],
    ids=lambda value: str(value)[:25],
)
def test_an_upload_is_no_path(
    client: httpx.Client, server: Server, library: str, name: str, kept: str | None
) -> None:
    answer = client.post(f"/v1/libraries/{library}/documents", files={"file": (name, b"hello")})
    if kept is None:
        refused(answer, 400)
        return
    assert answer.status_code == 201
    assert answer.json()["name"] == kept
    stored = [path for path in server.home.rglob("*") if path.name.endswith(kept.split(".")[-1])]
    assert not any("escaped" in path.name for path in stored)
    assert not (server.home.parent / kept).exists()


def test_a_document_that_swells_fails_alone(client: httpx.Client, library: str) -> None:
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as document:
            for _ in range(400):
                document.write(b" " * MIB)
    assert len(bomb.getvalue()) < MIB
    made = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("bomb.docx", bomb.getvalue())}
    )
    assert made.status_code == 201
    beside = client.post(
        f"/v1/libraries/{library}/documents", files={"file": ("beside.txt", b"The sea is calm.")}
    )
    assert read(client, library, made.json()["id"])["process_status"] in {"error", "done"}
    assert read(client, library, beside.json()["id"])["process_status"] == "done"


@pytest.mark.parametrize(
    "path", ["/etc", "/proc/self/root/etc", "\0", "/\0", "../..", "", "/" + "a" * 5000]
)
def test_no_source_lies_outside_the_roots(client: httpx.Client, library: str, path: str) -> None:
    body = {"kind": "folder", "config": {"path": path}}
    refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400, 403)
    if path:
        refused(client.get("/v1/folders", params={"path": path}), 400, 403)


def test_no_source_is_an_address(client: httpx.Client, library: str) -> None:
    for kind in ("http", "url", "git", "folder"):
        body = {"kind": kind, "config": {"url": "http://127.0.0.1:1/"}}
        refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400)


def test_a_link_out_of_the_roots_is_not_followed(
    client: httpx.Client, library: str, tmp_path: Path
) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    body = {"kind": "folder", "config": {"path": str(tmp_path / "etc")}}
    refused(client.post(f"/v1/libraries/{library}/sources", json=body), 400, 403)
