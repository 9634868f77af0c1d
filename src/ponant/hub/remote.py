"""A Hugging Face hub, through its own client: what a repository holds, and its files.

``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured. The client lists and finds the token; the files
themselves are fetched here, because the client throws away what a broken run has brought.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import huggingface_hub
from huggingface_hub import errors

from ponant.hub.choice import RepositoryFile
from ponant.hub.download import download
from ponant.hub.files import sha256_of
from ponant.kit.errors import NotFound, SetupError, StorageFull, UpstreamFailed

PARTS = ".parts"
"""Folder, beside the files, of those that have not wholly arrived."""

# httpx's or its successor's, whichever the installed client is built on.
_CLIENT_ERROR: type[Exception] = vars(errors)["HTTPError"]


@dataclass(frozen=True, slots=True)
class Repository:
    """A model's repository at one commit."""

    id: str
    commit: str
    endpoint: str
    licence: str
    files: tuple[RepositoryFile, ...]


def look_up(model_id: str, revision: str | None) -> Repository:
    """What the hub says of a model.

    Raises:
        NotFound: there is no such repository or revision, or it is not for everyone.
        UpstreamFailed: the hub does not answer.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or huggingface_hub.constants.ENDPOINT
    client = huggingface_hub.HfApi(endpoint=endpoint, library_name="ponant")
    with _sentences(model_id, endpoint):
        info = client.model_info(model_id, revision=revision)
        commit = info.sha or "main"
        tree = client.list_repo_tree(model_id, revision=commit, recursive=True)
        files = tuple(
            RepositoryFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
            for entry in tree
            if isinstance(entry, huggingface_hub.hf_api.RepoFile)
        )
    return Repository(model_id, commit, endpoint, _licence(info.tags or []), files)


def fetch(
    repository: Repository, file: RepositoryFile, folder: Path, report: Callable[[int], None]
) -> Path:
    """Bring a file into ``folder``, from where a broken download left off, and check it.

    Args:
        report: called with the bytes that have arrived.

    Raises:
        SetupError: what arrived is not what the hub announced; it has been deleted.
        UpstreamFailed: the hub stopped answering; what has arrived is kept.
        StorageFull: the disk is full.
    """
    target = folder / file.path
    if file.sha256 is not None and target.is_file() and sha256_of(target) == file.sha256:
        report(file.size)
        return target
    part = folder / PARTS / (file.sha256 or "small")
    part.parent.mkdir(parents=True, exist_ok=True)
    if file.sha256 is None:
        part.unlink(missing_ok=True)  # nothing tells whether it is the beginning of this file
    url = huggingface_hub.hf_hub_url(
        repository.id, file.path, revision=repository.commit, endpoint=repository.endpoint
    )
    with _sentences(repository.id, repository.endpoint):
        token = huggingface_hub.get_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        download(url, part, size=file.size, headers=headers, report=report)
    _check(part, file, repository)
    target.parent.mkdir(parents=True, exist_ok=True)
    return part.rename(target)


def _check(part: Path, file: RepositoryFile, repository: Repository) -> None:
    same_size = part.stat().st_size == file.size
    if same_size and (file.sha256 is None or sha256_of(part) == file.sha256):
        return
    part.unlink()
    raise SetupError(
        f"{file.path} of {repository.id} arrived with another checksum than the hub states, and "
        "was deleted. Run the same command again."
    )


def _licence(tags: list[str]) -> str:
    return next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")


@contextmanager
def _sentences(model_id: str, endpoint: str) -> Iterator[None]:
    """Turn what the client raises into errors that say what to do."""
    try:
        yield
    except errors.HFValidationError as e:
        raise SetupError(f"{model_id} is no model id; they look like owner/name.") from e
    except errors.GatedRepoError as e:
        raise NotFound(
            f"{model_id} is for those who have accepted its terms. Accept them on {endpoint}, set "
            "HF_TOKEN to your token, and pull again."
        ) from e
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as e:
        raise NotFound(
            f"{endpoint} has no model {model_id} at that revision, or it is private: then set "
            "HF_TOKEN to a token that may read it."
        ) from e
    except OSError as e:
        if e.errno == errno.ENOSPC:
            raise StorageFull(
                f"The disk filled up while fetching {model_id}. Free some space and pull again; "
                "what has arrived is kept."
            ) from e
        raise _unreachable(model_id, endpoint) from e
    except (_CLIENT_ERROR, httpx.HTTPError) as e:
        raise _unreachable(model_id, endpoint) from e


def _unreachable(model_id: str, endpoint: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"{endpoint} stopped answering while {model_id} was fetched. Check the network and "
        "HF_ENDPOINT, then pull again; what has arrived is kept."
    )
