"""Keys of a bucket that change while it is followed: told with the mend, and then gone on from."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import settings
from moto.iam.models import iam_backends

from ponant.kit.errors import BadRequest, NotFound
from tests.contract.places import S3Place
from tests.fakes.embedder import FakeEmbedder
from tests.live.conftest import SCOPE, STRANGER, Installation, eventually, in_step

_ACCOUNT = "123456789012"
_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class _GuardedPlace(S3Place):
    """A store that knows its users; the bucket's owner writes with a key of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._people = iam_backends[_ACCOUNT]["aws"]
        self._people.reset()
        owner = self.new_key("owner")
        self._s3 = boto3.client(
            "s3",
            endpoint_url=self.config["endpoint"],
            aws_access_key_id=owner[0],
            aws_secret_access_key=owner[1],
            region_name="us-east-1",
        )

    def new_key(self, name: str) -> tuple[str, str]:
        """A key of a user who may read and write everything."""
        if name not in self._people.users:
            self._people.create_user("us-east-1", name)
            policy = {"Version": "2012-10-17", "Statement": [_ALL]}
            self._people.put_user_policy(name, "all", json.dumps(policy))
        key = self._people.create_access_key(name)
        return key.access_key_id, key.secret_access_key

    def withdraw(self, name: str, key_id: str) -> None:
        self._people.delete_access_key(key_id, name)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_GuardedPlace]:
    place = _GuardedPlace(tmp_path)
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    try:
        yield place
    finally:
        place.down()


def test_a_key_that_changed_is_told_and_with_another_it_goes_on(
    installation: Installation, there: _GuardedPlace
) -> None:
    for number in range(6):
        there.write(f"{number}.md", f"Room {number} has a window to the west.")
    old, new = there.new_key("reader"), there.new_key("reader")

    async def run() -> None:
        embedder = FakeEmbedder()
        async with installation.running(embedder) as knowledge:
            library = await knowledge.create_library(SCOPE, "bucket")
            source = await knowledge.add_source(
                SCOPE,
                library.id,
                "s3",
                there.config | {"access_key_id": old[0]},
                secrets={"secret_access_key": old[1]},
                trusted=True,
            )
            await in_step(knowledge, library.id, 6)

            there.withdraw("reader", old[0])
            shown = await _state(knowledge, library.id, "error")
            assert "Set the source's key anew" in shown.message
            assert old[1] not in shown.message
            assert len(await knowledge.list_documents(SCOPE, library.id)) == 6
            there.write("2.md", "Room 2 has a window to the north.")
            there.write("6.md", "Room 6 has no window.")
            there.delete("0.md")
            embedder.passages.clear()

            sign_in = knowledge.parts["sources"].sign_in
            wrong = {"secret_access_key": old[1]}, {"access_key_id": new[0]}
            await sign_in(SCOPE, library.id, source.id, *wrong)
            await _state(knowledge, library.id, "error")
            given = {"secret_access_key": new[1]}, {"access_key_id": new[0]}
            for refused in ({"endpoint": "http://127.0.0.1:1"}, {"bucket": "other"}):
                with pytest.raises(BadRequest, match="does not"):
                    await sign_in(SCOPE, library.id, source.id, given[0], refused)
            with pytest.raises(BadRequest, match="no secret password"):
                await sign_in(SCOPE, library.id, source.id, {"password": "x"})
            with pytest.raises(NotFound):
                await sign_in(STRANGER, library.id, source.id, *given)
            shown = await sign_in(SCOPE, library.id, source.id, *given)
            assert (shown.id, shown.config["access_key_id"]) == (source.id, new[0])

            await in_step(knowledge, library.id, 6)
            paths = [one.path for one in await knowledge.list_documents(SCOPE, library.id)]
            assert paths == ["1.md", "2.md", "3.md", "4.md", "5.md", "6.md"]
            assert len(embedder.passages) == 2  # what stayed was not read again
        for path in installation.home.glob("live.db*"):
            assert new[1].encode() not in path.read_bytes()

        async with installation.running() as knowledge:  # the new key outlives a restart
            await _state(knowledge, library.id, "in_step")

    asyncio.run(run())


async def _state(knowledge: Any, library_id: str, state: str) -> Any:
    (source,) = await eventually(
        lambda: knowledge.list_sources(SCOPE, library_id),
        lambda sources: sources[0].state == state,
    )
    return source
