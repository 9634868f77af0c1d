"""Opens the model that a worker is for; runs in the worker alone."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from ponant.engine import Constraint, ConstraintFactory, Engine
from ponant.engine.backlog import Backlog
from ponant.kit.memory import give_memory_back
from ponant.serving.echo import load_echo_tokenizer
from ponant.serving.encoding import TextEncoder, TextReranker
from ponant.serving.turns import Turns
from ponant.serving.wire import WorkerSpec
from ponant.text.grammar import constraint_factory, lark
from ponant.text.tokenizer import load_tokenizer

_GRAMMARS_AFTER: Final = 3.0  # seconds
_IDLE_PAUSE: Final = 0.05
_LONGEST_WAIT: Final = 5.0  # of a grammar that was asked for, before others stand still for it

# Backends are imported where they are opened: each pulls in packages that others do without.


def open_engine(spec: WorkerSpec) -> Engine:
    """The engine that a spec names, with its model loaded.

    Raises:
        PonantError: the model cannot be loaded; the message says why.
        ImportError: the backend's packages are not installed.
    """
    match spec.backend:
        case "echo":
            return _open_echo(spec)
        case "llamacpp":
            from ponant.engine.backends.llamacpp import LlamaCppEngine  # noqa: PLC0415

            return LlamaCppEngine(
                spec.weights,
                context_length=spec.context_length,
                threads=spec.threads,
                constraints=lark,  # llama.cpp has a vocabulary of its own
                memory=spec.memory,
                cache=_folder(spec),
            )
        case "native":
            return _open_native(spec)
        case other:
            raise ValueError(f"{other} is no engine")


def open_encoder(spec: WorkerSpec) -> TextEncoder:
    """The embedder that a spec names, with its tokenizer.

    Raises:
        PonantError: its tokenizer cannot be used; the message says why.
        ValueError: its file is damaged or of an unknown architecture.
    """
    from ponant.engine.encoders import load_encoder  # noqa: PLC0415

    tokenizer = load_tokenizer(spec.weights, Path(spec.cache))
    give_memory_back()
    return TextEncoder(load_encoder(spec.weights, spec.threads), tokenizer, spec.prompts)


def open_reranker(spec: WorkerSpec) -> TextReranker:
    """The cross-encoder that a spec names, with its tokenizer.

    Raises:
        PonantError: its tokenizer cannot be used; the message says why.
        ValueError: its file is damaged or of an unknown architecture.
    """
    from ponant.engine.encoders import load_reranker  # noqa: PLC0415

    tokenizer = load_tokenizer(spec.weights, Path(spec.cache))
    return TextReranker(load_reranker(spec.weights, spec.threads), tokenizer)


def _open_echo(spec: WorkerSpec) -> Engine:
    from ponant.engine.backends.echo import EchoEngine  # noqa: PLC0415

    return EchoEngine(
        context_length=spec.context_length,
        constraints=constraint_factory(load_echo_tokenizer()),
        backlog=Backlog(spec.queue, spec.queue_tokens),
        rate=spec.rate,
    )


def _folder(spec: WorkerSpec) -> Path | None:
    return Path(spec.cache) if spec.cache else None


def _open_native(spec: WorkerSpec) -> Engine:
    from ponant.engine.backends.native import NativeEngine  # noqa: PLC0415

    grammars = Grammars(spec)
    engine = NativeEngine(
        spec.weights,
        context_length=spec.context_length,
        threads=spec.threads,
        constraints=grammars,
        memory=spec.memory,
        backlog=Backlog(spec.queue, spec.queue_tokens),
        spill=(Path(spec.cache) / "kv", spec.spill) if spec.spill else None,
        drafts=spec.drafts,
        turn=Turns(Path(spec.turns)).step if spec.turns else nullcontext,
        cache=_folder(spec),
    )
    grammars.prepare_when_idle(lambda: engine.busy)
    return engine


class Grammars:
    """Grammars over the model's vocabulary.

    It takes seconds to prepare a quarter of a million tokens, and the first answer from documents
    needs them. Whatever thread does it holds the interpreter's lock all the while, so that a stream
    would stand still: it is done once the model is loaded and no request runs. A grammar that is
    asked for before that waits for such a moment, too, though not for long.

    Args:
        spec: whose tokenizer it is.
        after: seconds from when the model is loaded, in which the answer that it was loaded for
            is on its way.
        patience: seconds that a grammar waits for a moment in which nothing runs.
    """

    def __init__(
        self, spec: WorkerSpec, after: float = _GRAMMARS_AFTER, patience: float = _LONGEST_WAIT
    ) -> None:
        self._spec = spec
        self._after, self._patience = after, patience
        self._busy: Callable[[], bool] = lambda: False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammars")
        self._lock = Lock()
        self._factory: Future[ConstraintFactory] | None = None

    def prepare_when_idle(self, busy: Callable[[], bool]) -> None:
        """Prepare at the first moment without a request, unless a grammar comes before."""
        self._busy = busy
        Thread(target=self._prepare_later, name="grammars-later", daemon=True).start()

    def __call__(self, source: str) -> Constraint:
        return self._prepared(self._patience).result()(source)

    def _prepare_later(self) -> None:
        time.sleep(self._after)
        self._wait_until_idle(None)
        self._prepared(0)

    def _wait_until_idle(self, most: float | None) -> None:
        """Wait until nothing runs, at most so many seconds."""
        until = None if most is None else time.monotonic() + most
        while self._busy() and (until is None or time.monotonic() < until):
            time.sleep(_IDLE_PAUSE)

    def _prepared(self, patience: float) -> Future[ConstraintFactory]:
        with self._lock:
            if self._factory is None:
                self._factory = self._thread.submit(self._build, patience)
            return self._factory

    def _build(self, patience: float) -> ConstraintFactory:
        self._wait_until_idle(patience)
        factory = constraint_factory(load_tokenizer(self._spec.weights, Path(self._spec.cache)))
        factory('start: "a"')
        give_memory_back()
        return factory
