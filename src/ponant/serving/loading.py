"""Opens the model that a worker is for; runs in the worker alone."""

import functools
from pathlib import Path

from ponant.engine import Constraint, ConstraintFactory, Engine
from ponant.serving.echo import load_echo_tokenizer
from ponant.serving.encoding import TextEncoder
from ponant.serving.memory import give_memory_back
from ponant.serving.wire import WorkerSpec
from ponant.text.grammar import constraint_factory, lark
from ponant.text.tokenizer import Tokenizer, load_tokenizer

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
            )
        case "native":
            from ponant.engine.backends.native import NativeEngine  # noqa: PLC0415

            return NativeEngine(
                spec.weights,
                context_length=spec.context_length,
                threads=spec.threads,
                constraints=_constraints(spec),
                memory=spec.memory,
            )
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


def _open_echo(spec: WorkerSpec) -> Engine:
    from ponant.engine.backends.echo import EchoEngine  # noqa: PLC0415

    return EchoEngine(
        context_length=spec.context_length, constraints=constraint_factory(load_echo_tokenizer())
    )


def _constraints(spec: WorkerSpec) -> ConstraintFactory:
    """Grammars over the model's tokenizer, which is loaded at the first grammar."""

    @functools.cache
    def factory() -> ConstraintFactory:
        tokenizer: Tokenizer = load_tokenizer(spec.weights, Path(spec.cache))
        return constraint_factory(tokenizer)

    def build(source: str) -> Constraint:
        return factory()(source)

    return build
