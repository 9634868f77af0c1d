"""Errors of the engine that people may see."""

from ponant.kit.errors import SetupError


class ModelFileError(SetupError, ValueError):
    """A model file that cannot be used: corrupt, truncated, or of a kind Ponant does not know."""

    code = "model_file_error"


class ModelTooLarge(SetupError):
    """The model needs more memory than may be used; raised before anything is loaded."""

    code = "model_too_large"
