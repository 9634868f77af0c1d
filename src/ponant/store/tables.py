"""The base of every table, and the column types that they share."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from ponant.store.scope import ScopeKind


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite, which keeps no zone, gets it without one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must carry its zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base of every table; a class without ``__scope__`` is refused."""

    __scope__: ClassVar[ScopeKind]

    # SQLite numbers rows only by what it calls INTEGER, which holds as much.
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger().with_variant(Integer(), "sqlite")
    }
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if not hasattr(cls, "__scope__") and not cls.__dict__.get("__abstract__", False):
            raise TypeError(f"{cls.__name__} declares no __scope__")
        super().__init_subclass__(**kwargs)
