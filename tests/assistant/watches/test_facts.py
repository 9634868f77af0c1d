"""Whether two answers state the same facts."""

import pytest

from ponant.assistant.grounding.prompt import documents_do_not_say
from ponant.assistant.schemas import Source
from ponant.assistant.watches import Answer
from ponant.assistant.watches.facts import difference

_WHEN = "When does the desk open?"
_WHO = "Who leads the archive?"
_COLOUR = "What colour is the door?"
_MAY = "May dogs swim in the lake?"


def _answer(text: str, passage: str | None = None) -> Answer:
    """An answer that cites a passage, which says the same unless another is given."""
    source = Source(
        number=1,
        passage_id="psg_1",
        hash="1",
        library_id="lib_1",
        document_id="doc_1",
        document_name="a.md",
        document_version=1,
        heading="",
        text=passage or text,
        start=0,
        end=1,
    )
    return Answer(content=(text, source))


@pytest.mark.parametrize(
    ("question", "old", "new"),
    [
        (_WHEN, "The desk opens at 08:30.", "The desk opens at 8:30."),
        (_WHEN, "The desk opens at 08:30.", "At 08:30 the desk opens its gate."),
        (_WHO, "Weiss leads the archive.", "The archive is led by Weiss."),
        (_COLOUR, "The door has the colour grey.", "As a colour for the door, grey was chosen."),
        (_WHEN, documents_do_not_say(_WHEN), documents_do_not_say(_WHEN)),
        ("Wann öffnet das Amt?", "Das Amt öffnet um 8 Uhr.", "Um 8 Uhr öffnet das Amt."),
        (
            _WHEN,
            "The desk opens at 08:30. From now on the desk opens daily at 10:15.",
            "From now on the desk opens daily at 10:15. At 08:30 the desk opens its gate.",
        ),
    ],
)
def test_other_words_are_the_same_facts(question: str, old: str, new: str) -> None:
    assert difference(question, _answer(old), _answer(new)) == ""


@pytest.mark.parametrize(
    ("question", "old", "new"),
    [
        (_WHEN, "The desk opens at 08:30.", "The desk opens at 09:15."),
        (_WHEN, "The desk opens at 08:30.", documents_do_not_say(_WHEN)),
        (_WHEN, documents_do_not_say(_WHEN), "The desk opens at 08:30."),
        (_WHEN, "The desk opens at 08:30.", "The desk opens at 08:30. It closes at 17:00."),
        (_WHO, "Weiss leads the archive.", "Tanaka leads the archive."),
        (_WHO, "The archive is led by Martin.", "The archive is led by Martina."),
        (_COLOUR, "The door has the colour grey.", "The door has the colour green."),
        (_COLOUR, "The door is grey.", "The door is grey. From now on the door is green."),
        (_COLOUR, "The door is grey.", "The door is grey and green."),
        (_MAY, "Dogs may swim in the lake.", "Dogs may not swim in the lake."),
        (_MAY, "Dogs may swim in the lake.", "Only small dogs may swim in the lake."),
        (_MAY, "Dogs may swim before noon.", "Dogs may swim after noon."),
        (
            _WHEN,
            "The desk opens at 08:30. From now on the desk opens daily at 10:15.",
            "The desk opens at 10:15. From now on the desk opens daily at 08:30.",
        ),
        (
            "Who pays how much?",
            "Adults pay 5 euros. Children pay 5 euros.",
            "Adults pay 5 euros. Members pay 5 euros.",
        ),
        ("Who reports?", "Anna reports to Bruno.", "Bruno reports to Anna."),
        ("Wann öffnet das Amt?", "Das Amt öffnet montags.", "Das Amt öffnet dienstags."),
        ("¿Cuándo abre?", "Abre el lunes a las 8.", "Abre el martes a las 8."),
    ],
)
def test_other_facts_are_told(question: str, old: str, new: str) -> None:
    assert difference(question, _answer(old), _answer(new))


def test_the_same_sentence_of_the_documents_is_the_same_fact() -> None:
    passage = "Rain falls on most days of the autumn."
    old = _answer("It rains on most days.", passage)
    new = _answer("Most days of the autumn bring rain.", passage)
    assert difference("How is the weather?", old, new) == ""
