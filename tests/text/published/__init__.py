"""Chat templates as their makers publish them, written down for tests.

They come from the ``tokenizer_config.json`` or ``chat_template.jinja`` of the models named here, as
far as they are known without the hub at hand (Apertus's is the copy in llama.cpp's sources):
images and thinking are left out where a comment in the file says so. What is compared is two
renderers of one template, not the template with its maker's.
"""

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent


class Published(NamedTuple):
    """A template with the names of its first and last token."""

    model: str
    file: str
    bos: str
    eos: str

    @property
    def source(self) -> str:
        return (_FOLDER / self.file).read_text(encoding="utf-8")


TEMPLATES = (
    Published(
        "meta-llama/Llama-3.2-1B-Instruct", "llama3.jinja", "<|begin_of_text|>", "<|eot_id|>"
    ),
    Published("Qwen/Qwen2.5-7B-Instruct", "qwen25.jinja", "", "<|im_end|>"),
    Published("Qwen/Qwen3-8B", "qwen3.jinja", "", "<|im_end|>"),
    Published("google/gemma-3-1b-it", "gemma3.jinja", "<bos>", "<eos>"),
    Published("swiss-ai/Apertus-8B-Instruct-2509", "apertus.jinja", "<s>", "<|assistant_end|>"),
    Published("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral.jinja", "<s>", "</s>"),
)
