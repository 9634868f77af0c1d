"""Errors of the engine that people may see."""

from ponant.kit.errors import SetupError


class ModelFileError(SetupError, ValueError):
    """A model file that cannot be used: corrupt, truncated, or of a kind Ponant does not know."""

    code = "model_file_error"


class ModelKindUnknown(ModelFileError):
    """A sound model that the native engine does not run, where llama.cpp may.

    Args:
        message: says what to do, and names the file.
        reason: why not, in a sentence that names no file.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelTooLarge(SetupError):
    """The model needs more memory than may be used; raised before anything is loaded."""

    code = "model_too_large"
