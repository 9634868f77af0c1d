"""Gemma 3 against transformers in float32 and bfloat16, and against llama.cpp."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Gemma3ForCausalLM

from ponant.engine import Request, Sampling, Token
from ponant.engine.backends.llamacpp import LlamaCppEngine
from ponant.engine.decoder import Decoder, Floats
from ponant.engine.kernels import available
from ponant.engine.kernels.decoder import KernelDecoder
from ponant.engine.models import load_spec
from ponant.engine.torch_decoder import Form, TorchDecoder
from ponant.text.tokenizer import Tokenizer, load_tokenizer
from tests.engine.collect import Collector
from tests.engine.forward import forward, pages_for
from tests.engine.reference import reference
from tests.engine.tiny import VOCABULARY, WINDOW, write_tiny

TEXTS = (Path(__file__).parent.parent / "texts.txt").read_text().split("\n====\n")
LENGTH = 64
LLAMA_TOP = 1000  # llama.cpp writes its distribution as JSON: the likeliest, and the rest as one


def tiny_tokens(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (length,), generator=generator).tolist()


@torch.inference_mode()
def logits_of(model: Gemma3ForCausalLM, tokens: list[int]) -> Floats:
    return model(torch.tensor([tokens])).logits[0].float().numpy()


def open_torch(path: Path, form: Form, length: int) -> Decoder:
    pages = pages_for(length)
    return TorchDecoder(load_spec(path), form=form, context_length=length, pages=pages)


@pytest.mark.parametrize("rope_scale", [1.0, 8.0])
def test_float32_follows_transformers_past_the_window(tmp_path: Path, rope_scale: float) -> None:
    path = write_tiny(tmp_path / "model.gguf", rope_scale=rope_scale)
    tokens = tiny_tokens(15 * WINDOW)
    ours = forward(open_torch(path, "fp32", len(tokens)), tokens)
    np.testing.assert_allclose(ours, logits_of(reference(path), tokens), rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", ["fp32", "bf16"])
def test_chunks_change_no_bit(tiny: Path, form: Form) -> None:
    tokens = tiny_tokens(300)
    decoder = open_torch(tiny, form, len(tokens))
    whole = forward(decoder, tokens, chunk=300)
    for chunk in (1, 31, 129):
        np.testing.assert_array_equal(forward(decoder, tokens, chunk), whole)


@pytest.fixture(scope="module")
def starter(models_home: Path) -> Path:
    return models_home / "models" / "starter" / "model.gguf"


@pytest.fixture(scope="module")
def tokenizer(starter: Path) -> Tokenizer:
    return load_tokenizer(starter, starter.parent)


@pytest.fixture(scope="module")
def texts(tokenizer: Tokenizer) -> list[list[int]]:
    found = [[tokenizer.bos, *tokenizer.encode(text)][:LENGTH] for text in TEXTS]
    assert [len(tokens) for tokens in found] == [LENGTH] * 10
    return found


@pytest.fixture(scope="module")
def packed(starter: Path) -> Decoder:
    return open_torch(starter, "bf16", 512)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_starter_is_as_near_to_float32_as_it_should_be(
    starter: Path, packed: Decoder, texts: list[list[int]]
) -> None:
    texts = texts[::3]
    exact = reference(starter)
    truth = [logits_of(exact, tokens) for tokens in texts]
    rounded = exact.to(torch.bfloat16)
    theirs = sum(
        float(np.square(logits_of(rounded, tokens) - right).mean())
        for tokens, right in zip(texts, truth, strict=True)
    )
    ours = sum(
        float(np.square(forward(packed, tokens) - right).mean())
        for tokens, right in zip(texts, truth, strict=True)
    )
    assert ours <= theirs
    single = open_torch(starter, "fp32", 512)
    for tokens, right in zip(texts, truth, strict=True):
        np.testing.assert_allclose(forward(single, tokens), right, rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def llama(starter: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(
        starter, context_length=2048, threads=2, constraints=lambda grammar: None, parallel=5
    )
    yield engine
    engine.close()


def symbol(token: int, tokenizer: Tokenizer) -> str:
    """A token in a grammar; by its id, unless it is one byte: llguidance takes those as text."""
    piece = tokenizer.piece(token)
    return f"<[{token}]>" if len(piece) > 1 else json.dumps(piece.decode())


def forced(
    llama: LlamaCppEngine, tokenizer: Tokenizer, texts: list[list[int]]
) -> list[list[Token]]:
    """llama.cpp's likeliest tokens behind each token but the last, which a grammar forces on."""
    collectors = []
    for number, tokens in enumerate(texts):
        collector = Collector()
        grammar = "start: " + " ".join(symbol(token, tokenizer) for token in tokens[1:])
        request = Request(
            id=f"req_{number}",
            prompt=tokens[:1],
            max_tokens=len(tokens) - 1,
            sampling=Sampling(temperature=0),
            grammar=grammar,
            logprobs=LLAMA_TOP,
        )
        llama.submit(request, collector.take)
        collectors.append(collector)
    return [collector.wait().tokens for collector in collectors]


def divergence(theirs: Token, ours: Floats) -> float:
    """KL from llama.cpp's distribution to ours, its unlikely tokens taken together."""
    ids = torch.tensor([token for token, _ in theirs.top])
    p = torch.tensor([value for _, value in theirs.top], dtype=torch.float64)
    q = torch.from_numpy(ours).double().log_softmax(-1)[ids]
    rest_p, rest_q = 1 - p.exp().sum(), 1 - q.exp().sum()
    kept = float((p.exp() * (p - q)).sum())
    return kept + (float(rest_p * (rest_p / rest_q).log()) if rest_p > 0 else 0.0)


@pytest.fixture(scope="module", params=["torch", "kernels"])
def served(request: pytest.FixtureRequest, starter: Path) -> Decoder:
    """The starter as it is served without kernels, and with them."""
    if request.param == "torch":
        return request.getfixturevalue("packed")
    if not available():
        pytest.skip("the kernels were not compiled")
    return KernelDecoder(
        load_spec(starter), form="packed", context_length=512, pages=pages_for(512), threads=2
    )


@pytest.mark.model
@pytest.mark.timeout(600)
def test_llama_cpp_agrees_token_by_token(
    llama: LlamaCppEngine,
    tokenizer: Tokenizer,
    served: Decoder,
    texts: list[list[int]],
) -> None:
    divergences: list[float] = []
    decided = 0
    for tokens, scored in zip(texts, forced(llama, tokenizer, texts), strict=True):
        assert [token.id for token in scored] == tokens[1:]
        for row, theirs in zip(forward(served, tokens), scored, strict=False):
            if theirs.logprob is None:
                continue
            best = torch.from_numpy(row).topk(2)
            if best.values[0] - best.values[1] > 0.5:
                decided += 1
                assert theirs.top[0][0] == best.indices[0]
            divergences.append(divergence(theirs, row))
    assert decided > 300
    assert len(divergences) > 600
    assert math.fsum(divergences) / len(divergences) < 0.02
