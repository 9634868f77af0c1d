"""What the API process adds to a request, over a direct call to an engine that costs nothing.

`bench/api_load.py` loads a real server and tells the load generator's own processor time.
"""

import re
import subprocess
import sys
from typing import Final

from bench.engine_models.catalogue import Model
from bench.engine_peers.contender import CHECKOUT
from bench.harness import QUICK, Figures

_LINE: Final = re.compile(
    r"^(?P<name>.+?)\s+p50\s+(?P<p50>-?[\d.]+) ms\s+p99\s+(?P<p99>-?[\d.]+) ms.*"
    r"load generator (?P<load>\d+) %",
    re.MULTILINE,
)
_RUNS: Final = 1 if QUICK else 5


def overhead(model: Model) -> Figures:
    """Milliseconds at the median, by kind of load; the notes tell the 99th percentile."""
    del model  # the echo model answers
    figures = Figures("API's own time a request, median", "ms", lower_is_better=True)
    figures.ours = "open, 20 a second"
    for _ in range(_RUNS):
        command = [sys.executable, "bench/api_load.py"]
        said = subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True)
        for found in _LINE.finditer(said.stdout):
            name = found["name"]
            figures.values.setdefault(name, []).append(float(found["p50"]))
            told = {"p99, ms": float(found["p99"]), "load generator, % of a core": found["load"]}
            figures.notes.setdefault(name, []).append(told)
    return figures
