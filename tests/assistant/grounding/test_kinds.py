"""Which questions want a thing of some kind, and which texts have one."""

import pytest

from ponant.assistant.grounding import Judge, kinds, select
from tests.fakes.knowledge import hit


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


_BROWSER = "Kestrel is described as: a light browser for the terminal."
_LAMP = "The lamp is sold in a box with a cable and a short manual."


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Under which licence is Kestrel published?", _BROWSER),
        ("What license does Kestrel use?", _BROWSER),
        ("What's the license of Kestrel?", _BROWSER),
        ("Which open source licence is Kestrel released under?", _BROWSER),
        ("How is Kestrel licensed?", _BROWSER),
        ("Unter welcher Lizenz steht Kestrel?", "Kestrel ist ein schlanker Browser."),
        ("Sous quelle licence Kestrel est-il publié ?", "Kestrel est un navigateur léger."),
        ("Under which licence is Kestrel published?", "Kestrel 是一个轻量级的浏览器。"),
        ("Who wrote Kestrel?", _BROWSER),
        ("Who is the original author of Kestrel?", _BROWSER),
        ("By whom was Kestrel developed?", "Kestrel can be driven by using the keyboard alone."),
        ("Who designed the lamp?", _LAMP),
        ("Who founded the choir?", "The choir was founded in a cold winter and sings every week."),
        ("In which country is the lamp made?", _LAMP),
        ("In what language is Kestrel written?", _BROWSER),
        ("What colour is the lamp?", _LAMP),
        ("What is the e-mail address of the help desk?", "Write to the help desk by e-mail."),
        ("Wie lautet die E-Mail-Adresse des Empfangs?", "Der Empfang antwortet auf E-Mails."),
        ("What is the URL of the wiki?", "The wiki is in the intranet of the firm."),
        ("What is the telephone number of the observatory?", "Groups book by telephone."),
        ("Wie lautet die Telefonnummer des Büros?", "Das Büro schließt um 19 Uhr."),
    ],
)
def test_what_has_nothing_of_the_kind_does_not_answer(question: str, text: str) -> None:
    assert not kinds.answers(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Under which licence is Kestrel published?", "Kestrel is released under the GPL-2+."),
        ("What license does Kestrel use?", "Kestrel is free software."),
        ("How is Kestrel licensed?", "You may copy Kestrel freely; it is in the public domain."),
        ("Under which licence is Kestrel published?", "| Kestrel | MIT | light |"),
        (
            "Under which licence is Kestrel published?",
            "Kestrel wird unter der Apache-Lizenz verteilt.",
        ),
        ("Under which licence is Kestrel published?", "Kestrel 以 GPL 许可证发布。"),
        ("Under which licence is Kestrel published?", "Kestrel, BSD-style, is a light browser."),
        ("Unter welcher Lizenz steht Kestrel?", "Kestrel steht unter der EUPL."),
        ("Who wrote Kestrel?", "Kestrel, a light browser, is the work of Ana Ribeiro."),
        ("Who wrote Kestrel?", "Ribeiro wrote it on a train."),
        ("Who wrote Kestrel?", "It was written by two sisters."),
        ("Who founded the choir?", "The choir was founded by the brewery."),
        ("Who designed the lamp?", "Three students drew the lamp."),
        ("Who wrote Kestrel?", "| Kestrel | Lind |"),
        ("Who wrote Kestrel?", "Kestrel adalah peramban ringan untuk terminal."),
        ("In which country is the lamp made?", "The lamp comes from a small firm in Portugal."),
        ("In which country is the lamp made?", "It is made in the US."),
        ("In what language is Kestrel written?", "Most of it is in Rust and some is in shell."),
        ("In which language is the letter written?", "The letter is in Portuguese."),
        ("What colour is the lamp?", "A lamp in amber shines when the tank is empty."),
        ("Which colour does the lamp have?", "Die Lampe leuchtet rot."),
        ("What is the e-mail address of the help desk?", "Help desk: help@example.org"),
        ("What is the e-mail address of the help desk?", "Write to help at example dot org."),
        ("What is the URL of the wiki?", "The wiki lives at wiki.example.org since May."),
        ("What is the homepage of Kestrel?", "See https://kestrel.example for more."),
        ("What is the telephone number of the gate?", "The gate answers on 01 70 12."),
    ],
)
def test_what_has_one_or_may_have_one_answers(question: str, text: str) -> None:
    assert kinds.answers(question, text)


@pytest.mark.parametrize(
    "question",
    [
        "What does the licence allow?",
        "What is the licence for?",
        "Which licence do I need for the forklift?",
        "What licence is required to fish?",
        "Is Kestrel published under a free licence?",
        "Where is the licence text kept?",
        "Who orders the toner?",
        "Who may use the sauna?",
        "Who do I call about pay?",
        "Who is the author field for?",
        "Where are the bicycles kept?",
        "In which country code does the number begin?",
        "What is a language server?",
        "Which language should I learn?",
        "What are colour profiles?",
        "What is an e-mail address?",
        "What is the e-mail address for?",
        "What is the home page about?",
        "What is a URL?",
        "What is a telephone number?",
        "How do I restore a file?",
    ],
)
def test_other_questions_want_nothing_of_a_kind(question: str) -> None:
    assert kinds.answers(question, "This text speaks of something else.")


def test_what_stands_above_a_text_tells_what_it_is_of() -> None:
    question = "Under which licence is Kestrel published?"
    assert kinds.answers(question, "Kestrel: artistic", title="Licences")
    assert not kinds.answers("Who wrote Kestrel?", _BROWSER, title="Browsers of Ana Ribeiro")


@pytest.mark.anyio
async def test_what_describes_a_thing_is_no_answer_to_its_licence() -> None:
    question = "Under which licence is Kestrel published?"
    told = hit("a.md", "Kestrel is a browser that is published monthly.")
    assert await select(question, [told], Judge(None)) == []
    table = "| Published | Licence |\n| --- | --- |\n| Kestrel | artistic |"
    assert await select(
        "Published Kestrel, under which licence?", [hit("b.md", table)], Judge(None)
    )


@pytest.mark.anyio
async def test_the_sentence_of_the_kind_is_shown_beside_the_one_that_is_nearest() -> None:
    question = "Under which licence is Kestrel published?"
    said = "Kestrel is a browser that is published monthly. All may copy it under the GPL-2+."
    (shown,) = await select(question, [hit("a.md", said)], Judge(None))
    assert shown.sentences[-1] == "All may copy it under the GPL-2+."
