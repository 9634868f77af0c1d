"""Chat templates of ours, for models that come with none."""

from importlib import resources
from typing import NamedTuple

from ponant.kit.errors import SetupError


class OwnTemplate(NamedTuple):
    """A template with what belongs to it.

    Attributes:
        source: Jinja source.
        stops: strings by which a model begins a turn that is not its own.
        document_stops: strings that end an answer from passages as well.
        trim: whether white space at the beginning of an answer belongs to the template.
    """

    source: str
    stops: tuple[str, ...]
    document_stops: tuple[str, ...]
    trim: bool


_LABELS = ("User:", "Assistant:", "Question:", "Answer:", "Note:", "###")
# The longer ones take the empty line between two examples with them.
_BASE_STOPS = tuple(f"{lines}{label}" for lines in ("\n\n", "\n") for label in _LABELS)


def own_template(name: str) -> OwnTemplate:
    """The template of that name; ``base`` suits a model that has seen no chat.

    Raises:
        SetupError: there is none of that name.
    """
    if name != "base":
        raise SetupError(f"Ponant has no chat template {name!r}; there is one, base.")
    file = resources.files(__name__) / "base.jinja"
    return OwnTemplate(file.read_text(encoding="utf-8"), _BASE_STOPS, ("\n",), trim=True)
