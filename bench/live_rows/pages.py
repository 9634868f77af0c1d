"""Time to the first token of an answer whose passages the model has read before, and of one else.

Each question is asked of passages that no prompt has had, then in other words, so that a search
finds the same passages and their pages in the prefix cache serve again.
"""

import statistics
import time

import httpx
from tests.server import home_with_models, serving

from bench.live_rows.grounded import library_of
from bench.live_rows.measured import MODELS, Place, Told, folder, spread
from bench.live_texts.facts import facts, write


def kept(place: Place) -> Told:
    """Cold and warm by turns, question by question."""
    count = 4 if place.quick else 100
    told = Told("time to the first token: passages never read, and read before")
    cold, warm = [], []
    with folder("pages") as work:
        write(work / "corpus")
        home = home_with_models(work / "home", MODELS.resolve())
        with serving(home, {"PONANT_LIVE_ROOTS": str(work)}) as server, server.client() as client:
            library = library_of(client, work / "corpus")
            _first_token(client, library, "What is it that a shell does?")  # loads the model
            for fact in facts(count):
                cold.append(_first_token(client, library, fact.question))
                warm.append(_first_token(client, library, f"Say what {fact.key} is."))
    told.figures["Ponant"] = {
        **spread("never read", cold),
        **spread("read before", warm),
        "read before, share of never read": round(
            statistics.median(two / one for one, two in zip(cold, warm, strict=True)), 3
        ),
    }
    return told


def _first_token(client: httpx.Client, library: str, question: str) -> float:
    """Milliseconds until the first piece of the answer's text."""
    body = {
        "inputs": question,
        "model": "starter",
        "stream": True,
        "store": False,
        "completion_args": {"temperature": 0},
        "tools": [{"type": "document_library", "library_ids": [library]}],
    }
    begun = time.perf_counter()
    first = 0.0
    with client.stream("POST", "/v1/conversations", json=body, timeout=300) as response:
        for line in response.iter_lines():
            if not first and "message.output.delta" in line:
                first = 1000 * (time.perf_counter() - begun)
    if not first:
        raise RuntimeError("An answer had no text.")
    return first
