"""Work in the background: told of where it fails, and ended with its owner."""

import asyncio

from structlog.testing import capture_logs

from ponant.kit.tasks import Tasks


async def _fail() -> None:
    raise ValueError("the disk is full")


def test_a_failure_is_logged_and_the_rest_goes_on() -> None:
    async def run() -> list[str]:
        tasks, seen = Tasks("a test"), list[str]()

        async def work() -> None:
            await asyncio.sleep(0)
            seen.append("done")

        tasks.spawn(_fail())
        tasks.spawn(work())
        await tasks.finish()
        return seen

    with capture_logs() as logs:
        assert asyncio.run(run()) == ["done"]
    [line] = logs
    assert (line["log_level"], line["of"]) == ("error", "a test")
    assert "the disk is full" in str(line["exc_info"])


def test_closing_cancels_what_runs_and_says_nothing() -> None:
    async def run() -> bool:
        tasks = Tasks("a test")
        task = tasks.spawn(asyncio.Event().wait())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await tasks.close()
        return task.cancelled()

    with capture_logs() as logs:
        assert asyncio.run(run())
    assert logs == []
