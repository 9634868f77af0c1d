"""Reads a checkpoint's settings and tensors by names that all layouts share."""

from collections.abc import Mapping
from typing import Any, Final

from ponant.engine.errors import ModelFileError, ModelKindUnknown
from ponant.engine.models.names import SETTINGS, TENSORS
from ponant.engine.models.spec import Floats, Linear, Matrix
from ponant.engine.weights.checkpoint import Checkpoint

_LARGEST: Final = 2**31 - 1  # sizes are 32-bit integers in the kernels
_ANCHOR: Final = "embed_tokens.weight"


class Source:
    """One model's settings and tensors.

    Args:
        checkpoint: where they are.
        architecture: the name that the checkpoint gives its family.
        names: tensors of Hugging Face's layout that this family calls otherwise.
        defaults: settings that such a checkpoint may leave out.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        architecture: str,
        names: Mapping[str, str] | None = None,
        defaults: Mapping[str, float] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.architecture = architecture
        hugging_face = checkpoint.layout == "huggingface"
        self._names = {**TENSORS[checkpoint.layout], **((names or {}) if hugging_face else {})}
        self._defaults = (defaults or {}) if hugging_face else {}
        self._prefix = _text_prefix(checkpoint) if hugging_face else ""

    @property
    def layout(self) -> str:
        return self.checkpoint.layout

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting as the checkpoint has it, or the default where it has none, or null."""
        key = SETTINGS[self.checkpoint.layout].get(name, name)
        if self.checkpoint.layout == "gguf":
            return self.checkpoint.settings.get(f"{self.architecture}.{key}", default)
        value: Any = self.checkpoint.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return default if value is None else value

    def number(self, name: str, default: float | None = None) -> float:
        """A setting that is a positive number.

        Raises:
            ModelFileError: it is missing or cannot be.
        """
        return self._positive(name, self._given(name, default), whole=False)

    def count(self, name: str, default: int | None = None) -> int:
        """A setting that is a whole positive number.

        Raises:
            ModelFileError: as for `number`.
        """
        return int(self._positive(name, self._given(name, default), whole=True))

    def whole(self, name: str, value: Any) -> int:
        """A value of this setting as a whole positive number.

        Raises:
            ModelFileError: it is none.
        """
        return int(self._positive(name, value, whole=True))

    def flag(self, name: str) -> bool:
        """Whether a setting is on; one that is not there is off."""
        return bool(self.setting(name, default=False))

    def check_activation(self, *known: str) -> None:
        """Refuse a model whose configuration names another activation."""
        for name in ("hidden_act", "hidden_activation"):
            found = self.setting(name) if self.layout == "huggingface" else None
            if found is not None and found not in known:
                raise self.refuse(f"uses {found}")

    def has(self, tensor: str, **indices: int) -> bool:
        return tensor in self._names and self.name(tensor, **indices) in self.checkpoint

    def name(self, tensor: str, **indices: int) -> str:
        """What the checkpoint calls a tensor."""
        own = self._names[tensor].format(**indices)
        if not self._prefix:
            return own
        if own.startswith("model."):
            return self._prefix + own.removeprefix("model.")
        for outer in (own, f"language_model.{own}"):
            if outer in self.checkpoint:
                return outer
        return own

    def matrix(self, tensor: str, outputs: int, inputs: int, **indices: int) -> Matrix:
        return self.checkpoint.matrix(self.name(tensor, **indices), outputs, inputs)

    def linear(
        self, tensor: str, outputs: int, inputs: int, *, bias: bool = False, **indices: int
    ) -> Linear:
        """A projection and, if the family has one there, its bias."""
        name = self.name(tensor, **indices)
        matrix = self.checkpoint.matrix(f"{name}.weight", outputs, inputs)
        return Linear(matrix, self.checkpoint.vector(f"{name}.bias", outputs) if bias else None)

    def vector(self, tensor: str, size: int, **indices: int) -> Floats:
        return self.checkpoint.vector(self.name(tensor, **indices), size)

    def scalar(self, tensor: str, default: float, **indices: int) -> float:
        """A tensor of one value, or the default where there is none."""
        name = self.name(tensor, **indices)
        return self.checkpoint.single(name) if name in self.checkpoint else default

    def refuse(self, what: str) -> ModelKindUnknown:
        """The error for a variant that the native engine does not run."""
        return ModelKindUnknown(
            f"{self.checkpoint.path} {what}, which the native engine does not know. "
            "Set PONANT_ENGINE=llamacpp.",
            f"The model {what}, which the native engine does not know.",
        )

    def _given(self, name: str, default: float | None) -> Any:
        return self.setting(name, self._defaults.get(name, default))

    def _positive(self, name: str, value: Any, *, whole: bool) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 < value <= (_LARGEST if whole else 1e30) and not (whole and value % 1):
            return float(value)
        raise ModelFileError(
            f"{self.checkpoint.path} says that {self._called(name)} is {value}: "
            "fetch the model again."
        )

    def _called(self, name: str) -> str:
        key = SETTINGS[self.checkpoint.layout].get(name, name)
        return f"{self.architecture}.{key}" if self.checkpoint.layout == "gguf" else key


def _text_prefix(checkpoint: Checkpoint) -> str:
    """What stands before the decoder's tensors: models that also see have others around it."""
    for name in checkpoint.names():
        if name.endswith(_ANCHOR):
            return name.removesuffix(_ANCHOR)
    return "model."
