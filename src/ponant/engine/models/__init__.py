"""Model families, one file each. The registry names them; a family is imported when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ponant.engine.errors import ModelFileError

if TYPE_CHECKING:
    from ponant.engine.models.gemma3 import Gemma3

FAMILIES: Final = {"gemma3": "ponant.engine.models.gemma3:Gemma3"}
"""Where the class of each GGUF architecture is."""


def family(architecture: object) -> "type[Gemma3]":
    """The class that loads an architecture; imports torch.

    Raises:
        ModelFileError: Ponant's own engine does not know it.
    """
    place = FAMILIES.get(str(architecture))
    if place is None:
        raise ModelFileError(
            f"The native engine does not know the architecture {architecture}; it knows "
            f"{', '.join(sorted(FAMILIES))}. Set PONANT_ENGINE=llamacpp to run it with llama.cpp."
        )
    module, name = place.split(":")
    found: type[Gemma3] = getattr(import_module(module), name)
    return found


__all__ = ["FAMILIES", "family"]
