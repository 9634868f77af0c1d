"""Pages by cursor, as OpenAI's clients turn them: ``after``, ``before``, ``limit``, ``order``."""

from typing import Annotated, Any, Literal

from fastapi import Query

After = Annotated[str | None, Query(description="The id behind which the page begins.")]
Before = Annotated[str | None, Query(description="The id before which the page ends.")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Most entries to return.")]
Order = Annotated[Literal["asc", "desc"], Query(description="By time of making.")]


def page_after(
    items: list[dict[str, Any]],
    after: str | None,
    limit: int,
    order: str,
    *,
    before: str | None = None,
    latest_first: bool = False,
) -> dict[str, Any]:
    """One page of a list of bodies with ids; an id that is not there begins at the start.

    Args:
        latest_first: how ``items`` are ordered.
    """
    wanted = items if (order == "desc") == latest_first else items[::-1]
    ids = [one["id"] for one in wanted]
    begin = ids.index(after) + 1 if after in ids else 0
    end = ids.index(before) if before in ids else len(ids)
    shown = wanted[begin:end][:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": begin + len(shown) < end,
    }
