"""A live process's inside in a process of its own, to be killed at any moment."""

import asyncio
import json
import sys
from pathlib import Path

from ponant.kit import Settings
from tests.live.conftest import SCOPE, Installation


async def main(home: Path, sources: list[dict[str, object]]) -> None:
    """Follow the sources until killed; the first start declares them."""
    installation = Installation(home, home.parent, Settings(home=home))
    async with installation.running() as knowledge:
        libraries = await knowledge.list_libraries(SCOPE)
        if not libraries:
            library = await knowledge.create_library(SCOPE, "Streams")
            for source in sources:
                await knowledge.add_source(SCOPE, library.id, **source, trusted=True)  # type: ignore[arg-type]
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
