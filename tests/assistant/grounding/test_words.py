"""Words, numbers and languages as grounding sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.assistant.grounding import asks_nothing, quantities, refers_back, words


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("open", "opens", True),
        ("expire", "expires", True),
        ("employees", "employee", True),
        ("öffnet", "öffnen", True),
        ("desk", "dessert", False),
        ("museum", "music", False),
        ("cat", "car", False),
    ],
)
def test_forms_of_one_word_meet(one: str, other: str, *, related: bool) -> None:
    assert words.same(one, other) is related


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("opens at 08:30", {"8:30"}),
        ("at 8:30", {"8:30"}),
        ("15,000 rpm", {"15000"}),
        ("15000 rpm", {"15000"}),
        ("6,80 euros", {"6.8"}),
        ("6.8 euros", {"6.8"}),
        ("Lumen X2 in room B12", set()),
        ("version 4.2, on 12 May", {"4.2", "12"}),
    ],
)
def test_numbers_have_one_spelling(text: str, found: set[str]) -> None:
    assert words.numbers(text) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("When does the desk open?", "en"),
        ("Wann öffnet der Empfang?", "de"),
        ("Combien coûte le plat ?", "fr"),
        ("¿Cuándo abre la oficina?", "es"),
        ("Xyzzy", "en"),
    ],
)
def test_language_goes_by_function_words(text: str, code: str) -> None:
    assert words.language(text) == code


def test_greetings_need_no_document() -> None:
    assert asks_nothing("Hello!")
    assert asks_nothing("Merci.")
    assert not asks_nothing("Hello, when does the desk open?")
    assert not asks_nothing("42?")


def test_a_question_that_leans_on_the_last_is_seen() -> None:
    assert refers_back("And when does it close?")
    assert not refers_back("When does the desk close on Fridays?")


def test_texts_without_spaces_are_compared_by_pairs() -> None:
    assert (
        words.coverage(words.content_words("接待处开门"), words.content_words("接待处8点开门"))
        > 0.5
    )


@given(st.text())
def test_any_text_covers_itself(text: str) -> None:
    assert words.coverage(words.content_words(text), words.content_words(text)) == 1.0
    assert words.numbers(text) <= words.numbers(text + " 7")


def test_a_name_that_looks_like_a_function_word_is_asked_for() -> None:
    assert words.content_words("What is Del?") == ["del"]
    assert not asks_nothing("What is Del?")
    assert not asks_nothing("What is at?")
    assert asks_nothing("How are you?")


def test_names_with_a_digit_have_no_other_forms() -> None:
    assert not words.same("libpoppler102", "libpoppler")
    assert words.same("x2", "x2")


@pytest.mark.parametrize(
    ("name", "text", "another"),
    [
        ("pipewire", "pipewire-bin: a server for sound", True),
        ("pipewire", "pipewire: a server for sound", False),
        ("pipewire", "A server for sound.", False),
        ("/etc/limits.conf", "/etc/access.conf: sets access", True),
        ("open", "The desk opens at 08:30.", False),
        ("cups-bsd", "ale: BSD printer commands for CUPS", True),
        ("check-in", "Guests check in from 15:00.", False),
    ],
)
def test_parts_of_other_names_are_no_names(name: str, text: str, *, another: bool) -> None:
    assert words.means_another(name, text) is another


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("libfoo-dev: headers.", "libfoo-dev"),
        ("- `libfoo` is a library.", "libfoo"),
        ("The museum opens at nine.", "museum"),
        ("| tar | an archiver |", "tar"),
        ("---", ""),
    ],
)
def test_a_text_begins_with_its_first_token_of_substance(text: str, token: str) -> None:
    assert words.first_token(text) == token


@pytest.mark.parametrize(
    ("question", "text", "holds"),
    [
        ("How much does a ticket cost?", "Tickets are sold at the gate.", False),
        ("How much does a ticket cost?", "A ticket costs 12 euros.", True),
        ("When was the bridge built?", "The bridge is made of oak.", False),
        ("In which year was passwd(5) written?", "The page passwd(5) is about files.", False),
        ("In which year was the bridge built?", "All of it was built before the tower.", False),
        ("In welchem Jahr wurde sie gebaut?", "Sie wurde nach dem Turm gebaut.", False),
        ("In which year was the bridge built?", "It was built in 1894.", True),
        ("When should I use a mask?", "Use it before sanding.", True),
        ("Wann öffnet das Museum?", "Das Museum öffnet am Montag.", True),
        ("Combien coûte le billet ?", "Le billet est vendu à la porte.", False),
        ("What does a year of support cost?", "The desk sells support by email.", False),
        ("What does a year of support cost?", "Support: EUR 90.", True),
        ("What is the price of a badge?", "Badges are handed out by reception.", False),
        ("Was kostet ein Ausweis?", "Ausweise gibt es am Empfang.", False),
        ("Was kosten die Karten?", "Karten gibt es am Empfang.", False),
        ("Quel est le prix d'un badge ?", "Un badge est gratuit.", True),
        ("Quelle est la date du bal ?", "Le bal se tient au château.", False),
    ],
)
def test_a_question_for_a_number_or_time_wants_one(
    question: str, text: str, *, holds: bool
) -> None:
    assert quantities.wanted(question)
    assert quantities.told(question, text) is holds


def test_other_questions_want_none() -> None:
    assert not quantities.wanted("Who orders the toner?")
    assert not quantities.wanted("How do I restore a file?")
    assert not quantities.wanted("What does the report say about cost?")
    assert not quantities.wanted("What does a high cost mean?")
    assert not quantities.wanted("What is the fee for?")


def test_a_word_stands_for_one_form_alone() -> None:
    assert words.coverage(["file", "files"], ["files", "pdf"]) == 1
    assert words.matched(["file", "files"], ["files", "pdf"]) == 0.5
    assert words.matched(["files", "file"], ["file", "files"]) == 1
    assert words.matched([], ["files"]) == 1
