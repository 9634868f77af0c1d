"""Places that documents come from, each kind with a real part behind it."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from dulwich import porcelain
from dulwich.repo import Repo
from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from ponant.live.sources.generator import GeneratorSource, Item
from ponant.live.sources.kind import Context, Kind
from ponant.live.sources.kinds import register
from ponant.live.sources.push import PushConfig
from tests.contract.place import Place
from tests.contract.streaming import STREAMING
from tests.server import free_port
from tests.servers.site import Page, Site
from tests.servers.webdav import USER, WebdavServer

_INTERVAL = 0.2


class FolderPlace(Place):
    kind = "folder"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder / "place"
        self.folder.mkdir()

    @property
    def config(self) -> dict[str, Any]:
        return {"path": str(self.folder)}

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def delete(self, name: str) -> None:
        (self.folder / name).unlink()

    def down(self) -> None:
        self.folder.rename(self.folder.with_name("away"))

    def up(self) -> None:
        self.folder.with_name("away").rename(self.folder)


class WebdavPlace(FolderPlace):
    kind = "webdav"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = WebdavServer(self.folder, free_port())
        self.secrets = {"password": self.server.password}
        self.server.start()

    @property
    def config(self) -> dict[str, Any]:
        return {"url": self.server.url, "username": USER, "interval": _INTERVAL}

    def down(self) -> None:
        self.server.stop()

    def up(self) -> None:
        self.server.start()


class S3Place(Place):
    kind = "s3"

    def __init__(self, _folder: Path) -> None:
        super().__init__()
        self.secrets = {"secret_access_key": "secret"}
        self._port = free_port()
        self.up()
        self._s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        backends.get_backend("s3").reset()  # of the test before, in the same process
        self._s3.create_bucket(Bucket="documents")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "bucket": "documents",
            "prefix": "handbook",
            "endpoint": f"http://127.0.0.1:{self._port}",
            "access_key_id": "key",
            "interval": _INTERVAL,
        }

    def write(self, name: str, text: str) -> None:
        self._s3.put_object(Bucket="documents", Key=f"handbook/{name}", Body=text.encode())

    def delete(self, name: str) -> None:
        self._s3.delete_object(Bucket="documents", Key=f"handbook/{name}")

    def down(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self._port, application, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()


class GitPlace(FolderPlace):
    kind = "git"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repository = Repo.init(str(self.folder))
        self._commit()

    @property
    def config(self) -> dict[str, Any]:
        return {"repository": str(self.folder), "interval": _INTERVAL}

    def write(self, name: str, text: str) -> None:
        super().write(name, text)
        porcelain.add(self.repository, [str(self.folder / name)])
        self._commit()

    def delete(self, name: str) -> None:
        porcelain.remove(self.repository, [str(self.folder / name)])
        self._commit()

    def _commit(self) -> None:
        who = b"Ada <ada@example.org>"
        porcelain.commit(self.repository, message=b"Change", author=who, committer=who)


class WebPlace(Place):
    """A site whose sitemap names its pages."""

    kind = "web"

    def __init__(self, _folder: Path) -> None:
        super().__init__()
        self.site = Site(free_port())
        self._names: list[str] = []
        self._list()
        self.site.start()

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}/sitemap.xml", "per_second": 100, "interval": _INTERVAL}

    def write(self, name: str, text: str) -> None:
        self.site.pages[f"/{name}"] = Page(text.encode(), "text/markdown")
        self._names = list(dict.fromkeys([*self._names, name]))
        self._list()

    def delete(self, name: str) -> None:
        del self.site.pages[f"/{name}"]
        self._names.remove(name)
        self._list()

    def down(self) -> None:
        self.site.stop()

    def up(self) -> None:
        self.site.start()

    def _list(self) -> None:
        urls = "".join(f"<url><loc>{self.site.url}/{name}</loc></url>" for name in self._names)
        body = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
        self.site.pages["/sitemap.xml"] = Page(body.encode(), "application/xml")


class GeneratorPlace(Place):
    """A generator over a JSON file."""

    kind = "generator"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / "items.json"
        self._items: dict[str, str] = {}
        self._is_down = False
        self._store()
        kind = Kind(
            name=self.kind, config=PushConfig, open=self._open, reaches="none", hint="a test's own"
        )
        register(kind)

    @property
    def config(self) -> dict[str, Any]:
        return {}

    def write(self, name: str, text: str) -> None:
        self._items[name] = text
        self._store()

    def delete(self, name: str) -> None:
        del self._items[name]
        self._store()

    def down(self) -> None:
        self._is_down = True

    def up(self) -> None:
        self._is_down = False

    def _store(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(self._items))
        draft.replace(self._file)

    def _open(self, _config: Any, _secrets: Any, _context: Context) -> GeneratorSource:
        return GeneratorSource(self._generate, interval=_INTERVAL)

    def _generate(self, _cursor: Any) -> Iterator[Item]:
        if self._is_down:
            raise ConnectionError("the line is dead")
        for key, text in json.loads(self._file.read_text()).items():
            yield Item(key=key, text=text)


PLACES: dict[str, type[Place]] = {
    place.kind: place  # type: ignore[type-abstract]
    for place in (FolderPlace, WebdavPlace, S3Place, GitPlace, WebPlace, GeneratorPlace)
} | STREAMING


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """A place of a kind, which ends with the block."""
    found = PLACES[kind](folder)
    try:
        yield found
    finally:
        if not isinstance(found, FolderPlace) or isinstance(found, WebdavPlace):
            found.end()
        shutil.rmtree(folder / "place", ignore_errors=True)


async def settle(seconds: float = 3 * _INTERVAL) -> None:
    """Let a place be looked at a few times."""
    await asyncio.sleep(seconds)
