"""Runs any GGUF model through llama.cpp, in this process, by the ``xllamacpp`` wheel.

The wheel's only door is llama.cpp's own server, called without HTTP. Its listener cannot be
switched off, so it sits on a Unix socket in a private folder behind a random key. Prompt caching
is off: llama.cpp cannot bind cached pages to a `cache_scope`.
"""

import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import xllamacpp

from ponant.engine.backends.pieces import Pieces
from ponant.engine.errors import ModelFileError, ModelTooLarge
from ponant.engine.limits import admit, enter
from ponant.engine.needs import GgufShape, llamacpp_needs
from ponant.engine.port import (
    Capabilities,
    EngineInfo,
    Event,
    FinishReason,
    Request,
    Sampling,
    Token,
    Usage,
)
from ponant.engine.weights.gguf import GgufFile
from ponant.engine.weights.naming import model_hash

Emit = Callable[[Event], None]

_RANDOM_SEED = 0xFFFFFFFF  # llama.cpp takes this seed for "none"
_BATCH = 256  # tokens computed between two chances to cancel a prompt


class LlamaCppEngine:
    """A GGUF model in llama.cpp.

    Penalties are not declared: llama.cpp counts the prompt's tokens towards presence and
    frequency. An answer also ends at the model's own end-of-generation tokens, whether or not a
    request lists them. Its logits round differently with the place of a request in the cache, so
    that where two tokens are nearly as likely, a repeated request may go another way.

    Args:
        path: the GGUF file.
        context_length: tokens that all requests in flight share; cut to what the model knows.
        threads: cores to compute on.
        constraints: checks a request's grammar before llama.cpp, which ignores faulty ones; only
            its ValueError counts, so a check without a vocabulary will do. None leaves grammars
            out.
        memory: bytes that the model may take; 0 is what is free.
        parallel: requests that run at once; more wait in a queue.
        cache: a folder that remembers the file's hash, or None.

    Raises:
        ModelFileError: the file is missing, corrupt, or of an architecture that is unknown.
        ModelTooLarge: it does not fit the memory.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_length: int,
        threads: int,
        constraints: Callable[[str], object] | None = None,
        memory: int = 0,
        parallel: int = 4,
        cache: Path | None = None,
    ) -> None:
        model = GgufFile(path)
        shape = GgufShape(model)
        context_length = min(context_length, shape.context_length)
        needed = llamacpp_needs(path, context_length).total
        _check_memory(path, needed, memory)
        self._pieces = Pieces(model.metadata)
        self._constraints = constraints
        self._folder = Path(tempfile.mkdtemp(prefix="ponant-llama-"))
        self._server = self._load(path, context_length, threads, parallel, shape.architecture)
        self._info = EngineInfo(
            backend="llamacpp",
            model_hash=model_hash(path, cache),
            weight_form="gguf",
            context_length=context_length,
            vocabulary_size=shape.vocabulary_size,
            resident_bytes=needed,
            capabilities=Capabilities(
                grammar=constraints is not None, logit_bias=True, logprobs=True
            ),
        )
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._closed = False
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="llamacpp")

    @property
    def info(self) -> EngineInfo:
        return self._info

    def submit(self, request: Request, emit: Emit) -> None:
        admit(request, self._info, self._constraints)
        run = _Run(request, emit, self._pieces)
        with self._lock:
            enter(self._runs, request, run, closed=self._closed)
            self._pool.submit(self._serve, run)

    def cancel(self, request_id: str) -> None:
        with self._lock:
            run = self._runs.get(request_id)
        if run is not None:
            run.cancelled = True

    def forget(self, names: Sequence[str]) -> None:
        """Nothing is kept of a prompt that has ended."""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for run in self._runs.values():
                run.closed = True
        self._pool.shutdown(wait=True)
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(
        self, path: Path, context_length: int, threads: int, parallel: int, architecture: str
    ) -> Any:
        parameters = _parameters(path, context_length, threads, parallel)
        parameters.hostnames = [str(self._folder / "llama.sock")]
        try:
            return xllamacpp.Server(parameters)
        except RuntimeError as e:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ModelFileError(
                f"llama.cpp cannot load {path} (architecture {architecture}). Either the file is "
                "damaged or this version of llama.cpp does not know the architecture; fetch it "
                "again or choose another model."
            ) from e

    def _serve(self, run: "_Run") -> None:
        try:
            limit = self._info.context_length - len(run.request.prompt)
            run.generate(self._server, limit)
        finally:
            with self._lock:
                del self._runs[run.request.id]


class _Run:
    """One request on its way; llama.cpp calls `_receive` for every piece of its answer."""

    def __init__(self, request: Request, emit: Emit, pieces: Pieces) -> None:
        self.request = request
        self.cancelled = False
        self.closed = False
        self._emit = emit
        self._pieces = pieces
        self._produced = 0
        self._seen = 0
        self._silent: Token | None = None
        self._finish: FinishReason | None = None
        self._error: str | None = None

    def generate(self, server: Any, limit: int) -> None:
        limit = min(limit, self.request.max_tokens)
        if self.cancelled or self.closed or limit <= 0:
            self._finish = FinishReason.LENGTH
        else:
            try:
                server.handle_completions(_body(self.request, limit), self._receive)
            except (RuntimeError, ValueError, KeyError) as e:
                self._finish, self._error = FinishReason.ERROR, f"llama.cpp failed: {e}"
        self._end()

    def _receive(self, chunk: dict[str, Any]) -> bool:
        """Take the next piece; True tells llama.cpp to stop."""
        if self._finish is not None:
            return True
        if "error" in chunk:
            self._finish, self._error = FinishReason.ERROR, str(chunk["error"].get("message"))
            return True
        choice = chunk["choices"][0]
        if choice["finish_reason"] == "stop":  # the silent token ended the answer
            self._finish = FinishReason.STOP
            return True
        self._release()
        if choice["logprobs"]:
            self._take(choice["logprobs"]["content"][0], chunk["timings"]["predicted_n"])
        if choice["finish_reason"] == "length":
            self._finish = FinishReason.LENGTH
        return self.cancelled or self.closed or self._finish is not None

    def _take(self, entry: dict[str, Any], predicted: int) -> None:
        """Emit a token, and before it those that llama.cpp held back.

        llama.cpp streams no token that ends inside a character; it hands their bytes over with
        the token that completes it. Those tokens are found again by their bytes, without a
        log probability. A token without text waits for the next piece, which says whether it
        ended the answer.
        """
        last, data = int(entry["id"]), bytes(entry["bytes"])
        missed, self._seen = predicted - self._seen - 1, predicted
        if last in self.request.stop_tokens:
            self._finish = FinishReason.STOP
            return
        if not data:
            self._silent = self._scored(entry)
            return
        held = self._pieces.split(data, last, missed)
        self._send((*(Token(token) for token in held), self._scored(entry)))

    def _release(self) -> None:
        if self._silent is not None:
            silent, self._silent = self._silent, None
            self._send((silent,))

    def _send(self, tokens: tuple[Token, ...]) -> None:
        self._produced += len(tokens)
        self._emit(Event(request_id=self.request.id, tokens=tokens))

    def _scored(self, entry: dict[str, Any]) -> Token:
        wanted = self.request.logprobs
        if wanted is None:
            return Token(entry["id"])
        top = tuple((other["id"], other["logprob"]) for other in entry["top_logprobs"][:wanted])
        return Token(entry["id"], entry["logprob"], top)

    def _end(self) -> None:
        finish, error = self._finish or FinishReason.ERROR, self._error
        if self.closed:
            finish, error = FinishReason.ERROR, "the engine was closed"
        elif self.cancelled and finish is not FinishReason.STOP:
            finish = FinishReason.CANCELLED
        elif finish is FinishReason.ERROR and error is None:
            error = "llama.cpp ended the answer without saying why"
        usage = Usage(prompt_tokens=len(self.request.prompt), completion_tokens=self._produced)
        self._emit(Event(request_id=self.request.id, finish=finish, usage=usage, error=error))


def _check_memory(path: Path, needed: int, memory: int) -> None:
    free = memory or psutil.virtual_memory().available
    if needed > free:
        raise ModelTooLarge(
            f"{path.name} needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB may "
            "be used. Choose a smaller model or a shorter context (PONANT_CONTEXT)."
        )


def _parameters(path: Path, context_length: int, threads: int, parallel: int) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = context_length
    parameters.n_parallel = parallel
    parameters.kv_unified = True
    parameters.n_batch = _BATCH
    parameters.cache_prompt = False
    parameters.cache_ram_mib = 0
    parameters.fit_params = False
    parameters.warmup = False
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = -1
    parameters.api_keys = [secrets.token_urlsafe(32)]
    for cpu in (parameters.cpuparams, parameters.cpuparams_batch):
        cpu.n_threads = threads
        cpu.poll = 0  # waiting threads sleep, for others compute on these cores too
    return parameters


def _body(request: Request, limit: int) -> dict[str, Any]:
    """The request in the words of llama.cpp's server."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "prompt": request.prompt,
        "n_predict": limit,
        "stream": True,
        "cache_prompt": False,
        # Token ids come only beside log probabilities, so one is always asked for.
        "n_probs": max(request.logprobs or 1, 1),
        "post_sampling_probs": False,
        "timings_per_token": True,
        "return_progress": True,
        "samplers": ["temperature", "top_k", "top_p", "min_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "seed": _seed(sampling),
        "logit_bias": [[token, bias] for token, bias in sampling.logit_bias.items()],
    }
    if request.grammar is not None:
        body["grammar"] = "%llguidance {}\n" + request.grammar
    return body


def _seed(sampling: Sampling) -> int:
    if sampling.seed is None:
        return _RANDOM_SEED
    return sampling.seed % _RANDOM_SEED
