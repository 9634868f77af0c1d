"""Every setting, read from the environment as ``PONANT_<NAME>``."""

import difflib
import os
from pathlib import Path
from typing import Any, Self

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ponant.kit.errors import SetupError

_PREFIX = "PONANT_"
HIDDEN = frozenset(
    {
        "PONANT_ADMIN_KEY",
        "PONANT_DATABASE_URL",
        "PONANT_LIVE_DATABASE_URL",
        "PONANT_SECRETS_KEY",
    }
)
"""Settings that processes of other code have no need of."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """What an operator may set; the descriptions are the reference."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    host: str = Field(default="127.0.0.1", description="Address that the server listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port; 0 takes a free one.")
    home: Path = Field(
        default_factory=lambda: user_data_path("ponant", appauthor=False),
        description="Folder that holds everything Ponant stores.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which people reach the server, for links and the Host check.",
    )
    admin_key: SecretStr | None = Field(
        default=None, description="The administrator's API key; made and printed once if not set."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description=(
            "Database for accounts, ledger and conversations, such as "
            "postgresql://user:password@host/ponant; SQLite under home if not set."
        ),
    )
    live_database_url: SecretStr | None = Field(
        default=None,
        description=(
            "PostgreSQL database for live knowledge, which may be the same one; SQLite under home "
            "if not set."
        ),
    )
    live_vectors: str = Field(
        default="auto",
        pattern="^(auto|memory|pgvector)$",
        description=(
            "Where vectors are compared: in the live process's memory, or in the database by "
            "pgvector (auto: there, if `CREATE EXTENSION vector` was run in it)."
        ),
    )
    secrets_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description=(
            "What sources' passwords and keys and watches' webhook secrets are sealed with in the "
            "databases: any text of 32 characters or more. If not set, `secrets.key` under home, "
            "which is made when first needed; back it up apart from the databases."
        ),
    )
    live_roots: str | None = Field(
        default=None,
        description=(
            "Folders that sources may lie in, separated by the system's path separator; by "
            "default the home folder when bound to loopback, else none."
        ),
    )
    live_networks: str | None = Field(
        default=None,
        description=(
            "Networks (CIDR, separated by commas) inside the operator's own that sources declared "
            "over HTTP and webhooks may reach; public addresses always may be."
        ),
    )
    live_brokers: str | None = Field(
        default=None,
        description=(
            "Kafka brokers (`host:port`, separated by commas) that sources declared over HTTP may "
            "read from: each broker of a cluster, as it names itself. None if not set."
        ),
    )
    pipelines: str | None = Field(
        default=None,
        description=(
            "Python files of pipelines that the server runs, separated by the system's path "
            "separator. They run as the server's user, and as the first administrator."
        ),
    )
    tables_memory: int = Field(
        default=512,
        ge=64,
        description="MiB that queries over a workspace's live tables may use.",
    )
    engine: str = Field(
        default="auto",
        pattern="^(auto|native|llamacpp)$",
        description="Backend for GGUF models: auto, native or llamacpp.",
    )
    kernels: str = Field(
        default="auto",
        pattern="^(auto|portable|avx2|avx512|avx512bf16|amx)$",
        description=(
            "Most of the processor's instructions that the native engine's kernels use: portable, "
            "avx2, avx512, avx512bf16 or amx; auto is all that there are. Read from the "
            "environment by the kernels themselves."
        ),
    )
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Processor cores that models may use together.",
    )
    memory: int = Field(
        default=0, ge=0, description="Bytes that models may use together; 0 is what is free."
    )
    context: int = Field(
        default=8192, ge=256, description="Longest prompt and answer together, in tokens."
    )
    queue: int = Field(
        default=256,
        ge=0,
        description=(
            "Requests that may wait for a model, and half of them from one workspace; more are "
            "told when to come again. 0 sets no bound."
        ),
    )
    queue_tokens: int = Field(
        default=262_144,
        ge=0,
        description="Tokens of the prompts that wait for a model, together; 0 sets no bound.",
    )
    echo_rate: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        description="Tokens a second that the model echo writes of each answer, as a real model "
        "would; 0 is as fast as it can.",
    )
    kv_spill: int = Field(
        default=0,
        ge=0,
        description=(
            "MiB of disk for each model's cached prompts, which then survive a restart; 0 keeps "
            "none. What people asked can be computed back from them: the disk must be trusted."
        ),
    )
    torch_index: str | None = Field(
        default=None, description="Package index handed to pip when setup installs torch."
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="Least severe log line to print: debug, info, warning or error.",
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings of this process; ``given`` ones, from a command line, come first.

        Raises:
            SetupError: for an unknown ``PONANT_*`` name or a value that does not fit.
        """
        _refuse_unknown_names(set(cls.model_fields))
        try:
            return cls(**given)
        except ValidationError as e:
            first = e.errors()[0]
            name = _PREFIX + str(first["loc"][0]).upper()
            raise SetupError(f"{name} does not fit: {first['msg']}.") from e

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in _LOOPBACK

    @property
    def base_url(self) -> str:
        """The address to print in links, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def given_secrets_key(self) -> str | None:
        """The operator's key for what is sealed."""
        return None if self.secrets_key is None else self.secrets_key.get_secret_value()

    @property
    def pipeline_files(self) -> tuple[Path, ...]:
        """The pipelines that the server runs, resolved."""
        parts = (part for part in (self.pipelines or "").split(os.pathsep) if part)
        return tuple(Path(part).expanduser().resolve() for part in parts)

    @property
    def live_database(self) -> str:
        """The address of live knowledge's database; empty where it is a file in the home."""
        return self.live_database_url.get_secret_value() if self.live_database_url else ""

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """The folders inside which HTTP callers may declare sources, resolved."""
        if self.live_roots is not None:
            parts = (part for part in self.live_roots.split(os.pathsep) if part)
            return tuple(Path(part).expanduser().resolve() for part in parts)
        return (Path.home().resolve(),) if self.on_loopback else ()

    @property
    def source_networks(self) -> tuple[str, ...]:
        """The inner networks that sources declared over HTTP may reach."""
        return _parts(self.live_networks)

    @property
    def source_brokers(self) -> tuple[str, ...]:
        """The Kafka brokers that sources declared over HTTP may read from."""
        return _parts(self.live_brokers)


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _refuse_unknown_names(known: set[str]) -> None:
    names = {_PREFIX + name.upper() for name in known}
    for name in sorted(os.environ):
        if not name.startswith(_PREFIX) or name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SetupError(f"There is no setting {name}.{hint} See docs/reference/settings.md.")
