"""A bucket of an S3-compatible store, listed from time to time and known by entity tags."""

import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from ponant.kit.errors import BadRequest
from ponant.kit.network import proxy
from ponant.live.reading.parsing import LARGEST_FILE, too_large
from ponant.live.sources.files import media_type
from ponant.live.sources.kind import Context, Kind, Secrets, secret
from ponant.live.sources.looking import Interval, checked_url, looked
from ponant.live.sources.port import Batch, Content, Cursor, Found, SignInRefused, SourceFault

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_CODE = re.compile(r"<Code>(\w+)</Code>")
_RETRIES: "RetryConfig" = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
_WRONG_KEYS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"}


class S3Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A bucket, or the part of it whose keys begin with a prefix.

    Attributes:
        bucket: its name.
        prefix: folders inside it, without a slash at the end.
        endpoint: address of the store; None is Amazon's.
        region: None is us-east-1.
        access_key_id: None reads without signing in.
        secret_access_key_env: variable of the server's environment that holds the secret key.
        interval: seconds between two looks.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key_env: str | None = None
    interval: Interval = 10.0


class S3Source:
    """The objects of one bucket."""

    def __init__(self, config: S3Config, secret_key: str | None, context: Context) -> None:
        self.interval: float | None = config.interval
        self._config = config
        self._secret_key = secret_key
        self._network = context.network

    async def batches(self, cursor: Cursor | None) -> AsyncGenerator[Batch]:  # noqa: ARG002 - what is there says it all
        """Yield what the bucket holds at each look."""
        async with AsyncExitStack() as stack:
            options: ClientConfig = {
                "allow_http": True,
                "connect_timeout": "5s",
                "timeout": "30s",
            }
            if not self._network.everything:
                options["proxy_url"] = await stack.enter_async_context(proxy(self._network))
            store = self._store(options)
            async for batch in looked(partial(self._look, store), self.interval or 10.0):
                yield batch

    def _store(self, options: "ClientConfig") -> Any:
        config = self._config
        signing: dict[str, Any] = {"skip_signature": True}
        if config.access_key_id is not None:
            signing = {
                "access_key_id": config.access_key_id,
                "secret_access_key": self._secret_key or "",
            }
        return S3Store(
            config.bucket,
            endpoint=config.endpoint,
            region=config.region or "us-east-1",
            virtual_hosted_style_request=config.endpoint is None,
            client_options=options,
            retry_config=_RETRIES,
            **signing,
        )

    async def _look(self, store: Any) -> Batch:
        prefix = self._config.prefix.strip("/")
        found: list[Found] = []
        others = 0
        try:
            async for objects in obstore.list(store, prefix or None, chunk_size=1000):
                for one in objects:
                    key = str(one["path"]).removeprefix(f"{prefix}/" if prefix else "")
                    if media_type(key) is None:
                        others += not key.endswith("/")
                    else:
                        found.append(self._found(store, key, one))
        except BaseError as e:
            raise self._fault(e) from e
        return Batch(
            changes=found,
            complete=True,
            remark=f"{others} objects of other kinds are left out." if others else "",
            empty=f"The bucket {self._place} holds nothing that Ponant reads. Check its name.",
        )

    def _found(self, store: Any, key: str, meta: Any) -> Found:
        return Found(
            key=key,
            signature=_signature(meta),
            name=key.rpartition("/")[2],
            read=partial(self._read, store, meta["path"], meta["size"]),
            url=f"s3://{self._config.bucket}/{meta['path']}",
        )

    async def _read(self, store: Any, path: str, size: int) -> Content:
        if size > LARGEST_FILE:
            raise too_large("object", size)
        try:
            answer = await obstore.get_async(store, path)
            data = bytes(await answer.bytes_async())
        except (NotFoundError, FileNotFoundError) as e:
            raise FileNotFoundError(path) from e
        except BaseError as e:
            raise self._fault(e) from e
        return Content.of(data, _signature(answer.meta))

    @property
    def _place(self) -> str:
        return f"{self._config.bucket}/{self._config.prefix}".rstrip("/")

    def _fault(self, error: BaseError) -> SourceFault:
        """What the store said, with its mend and without what it repeats of the request."""
        code = found.group(1) if (found := _CODE.search(str(error))) else ""
        wrong = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        if wrong or code in _WRONG_KEYS:
            return SignInRefused(
                f"The bucket {self._place} refused to be read: the key is wrong or may not list "
                "it. Set the source's key anew (ponant live sign-in)."
            )
        if code == "NoSuchBucket" or isinstance(error, NotFoundError):
            return SourceFault(
                f"There is no bucket {self._config.bucket}. Check its name; what was last read "
                "answers."
            )
        where = self._config.endpoint or "Amazon S3"
        return SourceFault(
            f"{where} cannot be reached or did not answer as a store does. Check the address and "
            "that it runs; what was last read answers."
        )


def _signature(meta: Any) -> str:
    return (
        f"{(meta['e_tag'] or '').strip(chr(34))}|{meta['last_modified'].isoformat()}|{meta['size']}"
    )


def _checked(config: S3Config, context: Context) -> S3Config:
    if config.endpoint is not None:
        checked_url(config.endpoint, context)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", config.bucket):
        raise BadRequest(f"{config.bucket[:80]!r} is no name of a bucket.", param="config.bucket")
    if config.region is not None and not re.fullmatch(r"[A-Za-z0-9-]{1,40}", config.region):
        raise BadRequest(f"{config.region[:80]!r} is no region.", param="config.region")
    return config


def _open(config: S3Config, secrets: Secrets, context: Context) -> S3Source:
    return S3Source(config, secret(config, secrets, "secret_access_key"), context)


KIND = Kind(
    name="s3",
    config=S3Config,
    open=_open,
    check=_checked,
    reaches="network",
    hint='{"bucket": "…", "access_key_id": "…"} and the secret secret_access_key',
    signs_in_as=("access_key_id",),
    secrets=("secret_access_key",),
    title=lambda config: f"s3://{config.bucket}/{config.prefix}",
)
