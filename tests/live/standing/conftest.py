"""What standing queries are tested over."""

from tests.live.indexing.conftest import shelf

__all__ = ["shelf"]
