"""Texts a second from text to vector, beside the engines that one could embed.

    .venv/bin/python -m bench.embeddings                  # seven rounds
    BENCH_QUICK=1 .venv/bin/python -m bench.embeddings    # two

One model, all-MiniLM-L6-v2, on all cores. Every engine tokenises, runs and pools in a process of
its own and is measured by turns; each peer runs in the settings that its documents advise. Where an
engine rounds, the table has the mean cosine to float32 vectors. A machine with other work on it
moves wall clocks; the processor's seconds beside them move less.
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.harness import QUICK, RESULTS, Figures, in_turns, merge
from bench.report import replace_figures

CHECKOUT: Final = Path(__file__).parent.parent
HOME: Final = CHECKOUT / ".bench"
_PEERS: Final = HOME / "embeddings"
_PACKAGES: Final = (
    "sentence-transformers==6.2.0",
    "onnx==1.23.2",
    "onnxruntime==1.31.1",
    "openvino==2026.4.1",
    "nncf==3.4.0",
)
_FILE: Final = RESULTS / "embeddings.json"
_PAGE: Final = CHECKOUT / "docs" / "decisions" / "0011-encoders-in-int8.md"
_MODEL: Final = CHECKOUT / ".models-cache" / "models" / "embed-en"
_THREADS: Final = os.cpu_count() or 1
_LEAST_SECONDS: Final = 0.4  # of one measurement
_FAITHFUL: Final = 0.999  # least mean cosine to float32 for a peer to count

_OPENVINO: Final = {"kind": "openvino", "onnx": "plain.onnx"}
_CONTENDERS: Final[dict[str, dict[str, Any]]] = {
    "ponant": {"kind": "ponant"},
    "ponant bf16": {"kind": "ponant", "form": "BF16"},
    "ponant float32": {"kind": "ponant", "form": "F32"},
    "sentence-transformers": {"kind": "sentence-transformers"},
    "sentence-transformers bf16": {"kind": "sentence-transformers", "dtype": "bfloat16"},
    "onnxruntime": {"kind": "onnxruntime", "onnx": "fused.onnx"},
    "onnxruntime int8": {"kind": "onnxruntime", "onnx": "int8.onnx"},
    "openvino": _OPENVINO | {"properties": {"INFERENCE_PRECISION_HINT": "f32"}},
    "openvino bf16": _OPENVINO | {"properties": {"INFERENCE_PRECISION_HINT": "bf16"}},
    "openvino int8": _OPENVINO
    | {"compress": True, "properties": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "32"}},
}
_CASES: Final = {"short": (12, 20), "passage": (128, 256)}  # tokens
_BATCHES: Final = (1, 64)


class Contender:
    """One engine in a process of its own."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        ours = options["kind"] == "ponant"
        self._process = subprocess.Popen(
            [
                sys.executable if ours else _PEERS / "bin" / "python",
                "-m",
                "bench.embedding_peers.child",
            ],
            cwd=CHECKOUT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        whole = {"model": str(_MODEL), "threads": _THREADS, "tokens": 256, **options}
        if "onnx" in options:
            whole["onnx"] = str(HOME / "onnx" / options["onnx"])
        self.name = name
        self._ask(whole)

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        command = {"texts": texts, "times": 1, "vectors": True}
        return np.array(self._ask(command)["vectors"])

    def seconds(self, texts: Sequence[str], times: int) -> dict[str, float]:
        return self._ask({"texts": texts, "times": times})

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    prepare()
    wanted = sys.argv[1:] or list(_CONTENDERS)
    texts = {name: list(_texts(*bounds)) for name, bounds in _CASES.items()}
    with ExitStack() as stack:
        engines = {name: stack.enter_context(Contender(name, _CONTENDERS[name])) for name in wanted}
        faith = _faith(engines, texts["passage"])
        for case, some in texts.items():
            for batch in _BATCHES:
                _measure(engines, case, some[:batch], faith)
    if not QUICK and not sys.argv[1:]:
        replace_figures(_PAGE, _tables(json.loads(_FILE.read_text())))


def prepare() -> None:
    """Install the peers and export the model for them; what is there is left alone."""
    if not (HOME / "embeddings.installed").exists():
        venv.create(_PEERS, with_pip=True)
        index = os.environ.get("PONANT_TORCH_INDEX")
        _pip(*(("--index-url", index) if index else ()), "torch==2.13.0")
        _pip(*_PACKAGES)
        (HOME / "embeddings.installed").touch()
    if not (HOME / "onnx" / "int8.onnx").exists():
        export = CHECKOUT / "bench" / "embedding_peers" / "export.py"
        subprocess.run(
            [_PEERS / "bin" / "python", export, _MODEL, HOME / "onnx"],
            check=True,
            stderr=subprocess.DEVNULL,
        )


def _pip(*arguments: str) -> None:
    quiet = ("install", "--quiet", "--disable-pip-version-check")
    subprocess.run([_PEERS / "bin" / "python", "-m", "pip", *quiet, *arguments], check=True)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    return kept | {
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'src'}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(_THREADS),
    }


def _texts(least: int, most: int, count: int = 64) -> Iterator[str]:
    """Runs of words of this checkout's documents, with so many tokens each."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(str(_MODEL / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    files = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
    words = " ".join(file.read_text() for file in files).split()
    # The tokenizer splits at spaces first, so that tokens of words add up.
    tokens = [len(one.ids) for one in tokenizer.encode_batch(words, add_special_tokens=False)]
    random, at = np.random.default_rng(7), 0
    while count:
        left, end = int(random.integers(least, most + 1)) - 2, at
        while end < len(words) and tokens[end] <= left:
            left -= tokens[end]
            end += 1
        if end == len(words):
            at = 0
            continue
        yield " ".join(words[at:end])
        count -= 1
        at = end + (tokens[end] >= least - 2)  # past what no text holds


def _faith(engines: Mapping[str, Contender], texts: Sequence[str]) -> dict[str, float]:
    """Mean cosine of each engine's vectors to those of NumPy in float32."""
    from ponant.engine.encoders.bert import NumpyBert  # noqa: PLC0415
    from ponant.engine.encoders.embedder import BertEncoder  # noqa: PLC0415
    from ponant.engine.encoders.load import read_weights  # noqa: PLC0415
    from ponant.text.tokenizer import load_tokenizer  # noqa: PLC0415

    weights = read_weights(_MODEL)
    tokenizer = load_tokenizer(_MODEL, HOME)
    ids = [tokenizer.encode_prompt(text) for text in texts]
    exact = BertEncoder(weights, NumpyBert(weights, _THREADS)).encode(ids)
    return {
        name: float((engine.vectors(texts) * exact).sum(1).mean())
        for name, engine in engines.items()
    }


def _measure(
    engines: Mapping[str, Contender], case: str, texts: Sequence[str], faith: Mapping[str, float]
) -> None:
    processor: dict[str, list[float]] = {name: [] for name in engines}
    times = {
        name: max(1, round(_LEAST_SECONDS / engine.seconds(texts, 2)["wall"]))
        for name, engine in engines.items()
    }

    def rate(name: str) -> float:
        taken = engines[name].seconds(texts, times[name])
        processor[name].append(len(texts) / taken["processor"])
        return len(texts) / taken["wall"]

    figures = in_turns(
        Figures(f"{case}, batch {len(texts)}", "texts/s", ours="ponant"),
        {name: partial(rate, name) for name in engines},
    )
    used = Figures(figures.measure, "texts a second of processor", processor, ours="ponant")
    peers = [name for name in engines if "ponant" not in name and faith[name] >= _FAITHFUL]
    print(f"\n{figures.measure}")
    for name in engines:
        print(
            f"  {name:27} {figures.median(name):9.1f} texts/s {used.median(name):9.1f} a processor "
            f"second, cosine {faith[name]:.5f}"
        )
    if not peers or "ponant" not in engines:
        return
    best, thriftiest = figures.best(peers), used.best(peers)
    row = {
        "texts_a_second": {name: figures.median(name) for name in engines},
        "texts_a_processor_second": {name: used.median(name) for name in engines},
        "cosine": dict(faith),
        "best_peer": best,
        "best_by_processor": thriftiest,
        "taken": datetime.now(UTC).date().isoformat(),
        "ratio": figures.ratio(best),
        "processor_ratio": used.ratio(thriftiest),
    }
    print(f"  {row['ratio']:.2f}x {best}; by processor {row['processor_ratio']:.2f}x {thriftiest}")
    if not QUICK:
        merge(_FILE, figures.measure, row)


def _tables(told: Mapping[str, Any]) -> str:
    machine, rows = told["machine"], told["rows"]
    names = list(dict.fromkeys(name for row in rows.values() for name in row["texts_a_second"]))
    first = next(iter(rows.values()))
    faith = first["cosine"]
    where = (
        f"{machine['processor']}, {machine['cores']} cores, {', '.join(machine['instructions'])}"
    )
    units = "Texts a second, and in brackets texts a second of processor time"
    lines = [
        f"{where}, {first['taken']}; seven rounds. {units}.",
        "",
        f"| engine | mean cosine to float32 | {' | '.join(rows)} |",
        f"|---|---|{'---|' * len(rows)}",
    ]
    for name in names:
        cells = (
            f"{row['texts_a_second'][name]:,.0f} ({row['texts_a_processor_second'][name]:,.0f})"
            for row in rows.values()
        )
        lines.append(f"| {name} | {faith[name]:.5f} | {' | '.join(cells)} |")
    best = (f"{row['ratio']:.2f}x {row['best_peer']}" for row in rows.values())
    lines.append(f"| ours to the best that keeps a cosine of {_FAITHFUL} | | {' | '.join(best)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
