"""The text side of the echo model: its byte tokenizer and its chat template."""

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from ponant.engine.backends.echo import ANSWER, BEGIN, END, VOCABULARY_SIZE
from ponant.text.tokenizer import Tokenizer
from ponant.text.vocabularies.built import Built, Details

_SPECIAL = {BEGIN: "<begin>", END: "<end>", ANSWER: "<answer>"}

# The answer is what the last user message says. What else a request brings stands before it, so
# that it is counted, and is not repeated.
ECHO_TEMPLATE = (
    "{%- if tools -%}{{ tools | tojson }}{%- endif -%}"
    "{%- for document in documents or [] -%}{{ document.text }}{%- endfor -%}"
    "{%- for message in messages -%}"
    "{%- if message.tool_calls -%}{{ message.tool_calls | tojson }}{%- endif -%}"
    "{%- if message.role in ('system', 'tool') -%}{{ message.content }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- set users = messages | selectattr('role', 'equalto', 'user') | list -%}"
    "<begin>{%- if users -%}{{ users[-1].content }}{%- endif -%}<answer>"
    "{%- if messages and messages[-1].role == 'assistant' -%}"
    "{{ messages[-1].content }}"
    "{%- endif -%}"
)


def load_echo_tokenizer() -> Tokenizer:
    """A tokenizer whose ids 0 to 255 are the bytes themselves."""
    backend = Backend(models.BPE(vocab=_bytes(), merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for _, name in sorted(_SPECIAL.items())]
    )
    details = Details(
        bos=BEGIN,
        eos=END,
        stop_tokens=(END,),
        vocabulary_size=VOCABULARY_SIZE,
        chat_template=ECHO_TEMPLATE,
    )
    return Tokenizer(Built(backend, details))


def _bytes() -> dict[str, int]:
    """Every byte under the printable letter that GPT-2's byte level gives it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return {letter: byte for byte, letter in sorted(letters.items())}
