"""A branch of a git repository, on this machine or on a server; only changed files are read."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from stat import S_ISREG
from urllib.parse import urlsplit

import msgspec
import urllib3
from dulwich.client import HTTPUnauthorized, Urllib3HttpGitClient
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from ponant.kit.errors import BadRequest
from ponant.kit.network import proxy
from ponant.live.reading.parsing import LARGEST_FILE, too_large
from ponant.live.sources.files import media_type
from ponant.live.sources.kind import Context, Kind, Secrets, secret
from ponant.live.sources.looking import Interval, checked_url, looked
from ponant.live.sources.port import Batch, Content, Cursor, Found, SignInRefused, SourceFault

_TIMEOUT = 30.0  # seconds without a byte
_SSH = re.compile(r"(git\+)?ssh(\+git)?://|[^/:]+@[^/:]+:(?!//)")  # or user@host:path
_FOLLOWED = Ref(b"refs/heads/followed")


class GitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A branch of a repository.

    Attributes:
        repository: https://… or the path of a repository on this machine.
        branch: None is the one that the repository has checked out.
        folder: the part of it to read.
        username: who reads it; None reads without signing in.
        password_env: variable of the server's environment that holds the password or token.
        interval: seconds between two looks.
    """

    repository: str
    branch: str | None = None
    folder: str = ""
    username: str | None = None
    password_env: str | None = None
    interval: Interval = 30.0


class GitSource:
    """The files of one branch; what is fetched of one elsewhere is kept in the source's folder."""

    def __init__(self, config: GitConfig, password: str | None, context: Context) -> None:
        self.interval: float | None = config.interval
        self._config = config
        self._password = password
        self._network = context.network
        self._own = context.own
        self._shown: ObjectID | None = None  # the commit that was last yielded

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:  # noqa: ARG002 - objects tell by themselves what changed
        """Yield the branch's files whenever it has another commit."""
        async with AsyncExitStack() as stack:
            proxy_url = None
            if self._is_remote and not self._network.everything:
                proxy_url = await stack.enter_async_context(proxy(self._network))
            look = partial(asyncio.to_thread, self._look, proxy_url)
            async for batch in looked(look, self.interval or 30.0):
                yield batch

    @property
    def _is_remote(self) -> bool:
        return "://" in self._config.repository

    def _look(self, proxy_url: str | None) -> Batch:
        where = self._config.repository
        try:
            repository = self._fetched(proxy_url) if self._is_remote else Repo(where)
            with repository:
                return self._tree(repository, self._tip(repository))
        except HTTPUnauthorized as e:
            raise SignInRefused(
                f"{where} refused to be read: the name or the password is wrong. Set the "
                "source's password anew (ponant live sign-in)."
            ) from e
        except NotGitRepository as e:
            raise SourceFault(f"There is no git repository at {where}. Check the address.") from e
        except (GitProtocolError, HangupException, urllib3.exceptions.HTTPError, OSError) as e:
            raise SourceFault(
                f"{where} cannot be reached. Check the address and that it runs; what was last "
                "read answers."
            ) from e
        except (KeyError, AssertionError, ValueError) as e:
            raise SourceFault(
                f"The repository {where} is damaged or still being written. It is tried again."
            ) from e

    def _fetched(self, proxy_url: str | None) -> Repo:
        """The repository with the branch's latest commit, without its history."""
        self._own.mkdir(parents=True, exist_ok=True, mode=0o700)
        bare = self._own / "repository.git"
        repository = Repo(str(bare)) if bare.exists() else Repo.init_bare(str(bare), mkdir=True)
        pool = urllib3.ProxyManager(proxy_url) if proxy_url else urllib3.PoolManager()
        parts = urlsplit(self._config.repository)
        client = Urllib3HttpGitClient(
            f"{parts.scheme}://{parts.netloc}",
            pool_manager=pool,
            username=self._config.username,
            password=self._password,
            timeout=_TIMEOUT,
            quiet=True,
        )
        wanted: list[ObjectID] = []

        def determine(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - the library's signature
            wanted.append(self._wanted(refs))
            return [one for one in wanted if one not in repository.object_store]

        try:
            client.fetch(parts.path, repository, determine_wants=determine, depth=1)
        except BaseException:
            repository.close()
            raise
        repository.refs[_FOLLOWED] = wanted[0]
        return repository

    def _wanted(self, refs: Mapping[Ref, ObjectID]) -> ObjectID:
        branch = self._config.branch
        name = "HEAD" if branch is None else f"refs/heads/{branch}"
        found = refs.get(Ref(name.encode()))
        if found is None:
            raise SourceFault(
                f"{self._config.repository} has no branch {branch or 'that is checked out'}. "
                "Check its name; what was last read answers."
            )
        return found

    def _tip(self, repository: Repo) -> ObjectID:
        if self._is_remote:
            return repository.refs[_FOLLOWED]
        return self._wanted(repository.get_refs())

    def _tree(self, repository: Repo, tip: ObjectID) -> Batch:
        """The files of a commit; nothing where it was yielded before."""
        if tip == self._shown:
            return Batch(changes=(), complete=False)
        commit = repository[tip]
        if not isinstance(commit, Commit):
            raise SourceFault(f"The branch of {self._config.repository} leads to no commit.")
        found = list(self._files(repository, commit.tree))
        self._shown = tip
        return Batch(
            changes=found,
            complete=True,
            empty=f"{self._config.repository} holds no files that Ponant reads on this branch.",
            identity=str,  # the same content under another name has only moved
        )

    def _files(self, repository: Repo, tree: ObjectID) -> Iterator[Found]:
        folder = self._config.folder.strip("/")
        prefix = f"{folder}/" if folder else ""
        for entry in iter_tree_contents(repository.object_store, tree):
            path = entry.path.decode("utf-8", "replace")
            if not path.startswith(prefix) or not S_ISREG(entry.mode):
                continue  # links and other repositories inside are passed over
            if media_type(path) is None or any(part.startswith(".") for part in path.split("/")):
                continue
            yield Found(
                key=path.removeprefix(prefix),
                signature=entry.sha.decode(),
                name=path.rpartition("/")[2],
                read=partial(asyncio.to_thread, self._read, entry.sha),
            )

    def _read(self, sha: ObjectID) -> Content:
        where = self._own / "repository.git" if self._is_remote else self._config.repository
        with Repo(str(where)) as repository:
            blob = repository[sha]
        if not isinstance(blob, Blob):
            raise FileNotFoundError(sha.decode())
        data = blob.as_raw_string()
        if len(data) > LARGEST_FILE:
            raise too_large("file", len(data))
        return Content.of(data, sha.decode())


def _checked(config: GitConfig, context: Context) -> GitConfig:
    if _SSH.match(config.repository):
        raise BadRequest(
            "Repositories are not followed over ssh. Name the https:// address of the same "
            "repository, with a username and a token that may read it as the secret password.",
            param="config.repository",
        )
    if "://" not in config.repository:
        folder = context.roots.checked(config.repository, trusted=context.trusted)
        return msgspec.structs.replace(config, repository=str(folder))
    if urlsplit(config.repository).scheme not in ("http", "https"):
        raise BadRequest(
            "A repository is followed over https://, http:// or by its path on this machine.",
            param="config.repository",
        )
    checked_url(config.repository, context)
    return config


def _open(config: GitConfig, secrets: Secrets, context: Context) -> GitSource:
    return GitSource(config, secret(config, secrets, "password"), context)


KIND = Kind(
    name="git",
    config=GitConfig,
    open=_open,
    check=_checked,
    reaches="network",
    hint='{"repository": "https://… or /…", "branch": "…"}',
    signs_in_as=("username",),
    secrets=("password",),
    title=lambda config: config.repository,
)
