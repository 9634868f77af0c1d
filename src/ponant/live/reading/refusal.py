"""Why a file is not read."""


class Refusal(Exception):
    """The reason as a clause without a full stop, to follow "The file cannot be read:".

    Attributes:
        mend: what to do about it, as a sentence.
    """

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend
