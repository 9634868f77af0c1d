"""What tests ask of watches, and what they are told."""

from datetime import timedelta

from ponant.accounts import Principal
from ponant.assistant.watches import Setup, Watch, WatchEvent
from tests.assistant.watches.conftest import Post

QUESTION = "When does the reception desk open?"
PAGE = "# Desk\n\nThe reception desk opens at {}.\n"
SETTLE = timedelta(seconds=5)
MINUTE = timedelta(seconds=60)


async def make_watch(
    post: Post, library: str, caller: Principal | None = None, **more: object
) -> Watch:
    setup = Setup(
        kind=more.pop("kind", "question"),
        query=QUESTION,
        model="extractor",
        library_ids=(library,),
        **more,
    )
    watch, _ = await post.watches.create(caller or post.owner, setup)
    await post.watches.step()
    return await post.watches.get(caller or post.owner, watch.id)


async def says(post: Post, library: str, time: str) -> None:
    await post.live.write(post.owner.scope, library, "desk.md", PAGE.format(time))


async def told(post: Post, caller: Principal | None = None) -> list[WatchEvent]:
    return list(await post.watches.since(caller or post.owner, 0))


async def happenings(post: Post) -> list[str]:
    return [one.happening for one in await told(post)]


async def wait(post: Post, by: timedelta) -> None:
    post.clock.move(by)
    await post.watches.step()
