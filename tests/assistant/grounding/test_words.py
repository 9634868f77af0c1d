"""Words, numbers and languages as grounding sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.assistant.grounding import asks_nothing, refers_back, words


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
