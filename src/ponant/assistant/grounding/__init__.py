"""Answers that rest on passages: which to show, what may be cited, and what to say without any."""

from ponant.assistant.grounding.answer import GroundedAnswer, Material
from ponant.assistant.grounding.evidence import Evidence, select
from ponant.assistant.grounding.judge import Judge
from ponant.assistant.grounding.words import asks_nothing, refers_back

__all__ = [
    "Evidence",
    "GroundedAnswer",
    "Judge",
    "Material",
    "asks_nothing",
    "refers_back",
    "select",
]
