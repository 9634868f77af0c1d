"""What leaves the server of what a model drafts, with models that say all sorts of things."""

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.assistant.grounding import GroundedAnswer, Judge, Material, select
from ponant.engine import FinishReason
from ponant.live.port import Hit
from ponant.serving.port import Controls, Delta
from ponant.text.messages import Message, Role
from tests.fakes.knowledge import hit
from tests.fakes.models import FakeModel

_PASSAGES = (
    hit("canteen.md", "The canteen serves lunch from 11:45 to 14:00. On Fridays there is fish."),
    hit("handbook.md", "The reception desk opens at 08:30 and closes at 17:00."),
    hit("parking.md", "Visitor parking is on level 1. Bicycles are kept in the courtyard."),
)
_QUESTION = "When does the reception desk open?"
_NOTHING = "The documents do not say."


async def _deltas(model: FakeModel, question: str = _QUESTION) -> list[Delta]:
    judge = Judge(None)
    evidence = await select(question, _PASSAGES, judge)
    material = Material(
        messages=(Message(role=Role.USER, content=question),),
        question=question,
        evidence=tuple(evidence),
        controls=Controls(),
    )
    return [delta async for delta in GroundedAnswer(model, judge, material).deltas()]


async def _said(model: FakeModel, question: str = _QUESTION) -> str:
    return "".join(delta.text for delta in await _deltas(model, question))


@pytest.mark.anyio
async def test_a_right_citation_leaves_under_its_own_number() -> None:
    # The model sees one passage, as number 1; it is the second of those found.
    model = FakeModel(["The reception desk opens at 08:30. [1]"])
    assert await _said(model) == "The reception desk opens at 08:30. [2]"
    assert len(model.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["", " [7]", " [0]", " [123]"])
async def test_a_missing_or_invented_number_becomes_the_supporting_one(number: str) -> None:
    model = FakeModel([f"The reception desk opens at 08:30.{number}"])
    assert await _said(model) == "The reception desk opens at 08:30. [2]"


@pytest.mark.anyio
async def test_a_wrong_figure_is_replaced_by_the_passage_s_sentence() -> None:
    quotation = "The reception desk opens at 08:30 and closes at 17:00."
    model = FakeModel(["The reception desk opens at 09:00. [1]", quotation])
    assert await _said(model) == f"{quotation} [2]"
    assert quotation in (model.requests[1].controls.grammar or "")


@pytest.mark.anyio
async def test_a_quotation_that_is_none_is_not_let_out() -> None:
    model = FakeModel(["The desk opens at 09:00. [1]", "Anything else."])
    assert await _said(model) == _NOTHING


@pytest.mark.anyio
async def test_where_no_passage_answers_no_model_is_asked() -> None:
    model = FakeModel([])
    assert await _said(model, "Who is the chief executive?") == _NOTHING
    assert await _said(model, "Wer ist der Vorstand?") == "Die Dokumente sagen dazu nichts."
    assert model.requests == []


@pytest.mark.anyio
async def test_a_later_sentence_that_makes_things_up_ends_the_answer() -> None:
    said = "The reception desk opens at 08:30. [1] It was built in 1832 by Otto Lind. [1] So."
    model = FakeModel([said])
    assert await _said(model) == "The reception desk opens at 08:30. [2]"
    assert model.left_early == 1


@pytest.mark.anyio
async def test_a_later_sentence_without_support_carries_no_number() -> None:
    model = FakeModel(["The reception desk opens at 08:30. [1] Have a good day! [1]"])
    assert await _said(model) == "The reception desk opens at 08:30. [2] Have a good day!"


@pytest.mark.anyio
async def test_a_lead_in_waits_for_the_sentence_that_says_something() -> None:
    model = FakeModel(["Certainly: Yes. The reception desk opens at 08:30. [1]"])
    assert await _said(model) == "Certainly: Yes. The reception desk opens at 08:30. [2]"
    empty = FakeModel(["The reception desk. [1]"])
    assert await _said(empty) == _NOTHING


@pytest.mark.anyio
async def test_a_denial_that_no_passage_makes_is_not_let_out() -> None:
    model = FakeModel(["On Fridays there is not fish. [1]", "x"])
    assert "not fish" not in await _said(model, "On Fridays is there fish?")


@pytest.mark.anyio
async def test_what_was_held_back_does_not_leave_before_a_quotation() -> None:
    quotation = "Bicycles are kept in the courtyard."
    model = FakeModel(["Certainly. Bicycles are forbidden here. [1]", quotation])
    assert await _said(model, "Are bicycles kept in the courtyard?") == f"{quotation} [3]"


@pytest.mark.anyio
async def test_a_title_alone_is_no_answer() -> None:
    quotation = "The reception desk opens at 08:30 and closes at 17:00."
    model = FakeModel(["Re. [1]", quotation])
    assert await _said(model) == f"{quotation} [2]"


@pytest.mark.anyio
async def test_a_repetition_ends_the_answer() -> None:
    model = FakeModel(["The reception desk opens at 08:30. " * 20])
    assert await _said(model) == "The reception desk opens at 08:30. [2]"
    assert model.left_early == 1


@pytest.mark.anyio
async def test_a_model_without_grammars_keeps_only_numbers_that_hold() -> None:
    model = FakeModel(
        ["The reception desk opens at 08:30. [1] Mind the step. [1] It is blue. [9]"], grammar=False
    )
    said = await _said(model)
    assert said == "The reception desk opens at 08:30. [2] Mind the step. It is blue."
    assert model.requests[0].controls.grammar is None


@pytest.mark.anyio
async def test_the_last_delta_alone_says_what_was_used() -> None:
    deltas = await _deltas(FakeModel(["The reception desk opens at 08:30. [1]"]))
    assert [delta.finish for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish is FinishReason.STOP
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.completion_tokens == sum(len(delta.tokens) for delta in deltas)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "The reception desk opens at 08:30.",
                "The desk opens at 12:00.",
                "Visitor parking is on level 1.",
                "Ask Rosa.",
                " [1]",
                " [2]",
                " [3]",
                " [9]",
                "[",
                "]",
                " ",
                "\n",
            ]
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_whatever_a_model_says_only_true_numbers_leave(parts: list[str], grammar: bool) -> None:
    deltas = asyncio.run(_deltas(FakeModel(lambda _: "".join(parts), grammar=grammar)))
    cited = [delta.text for delta in deltas if re.search(r"\[\d+\]", delta.text)]
    assert set(cited) <= {"[2]"}
    if grammar:
        assert "12:00" not in "".join(delta.text for delta in deltas)


async def _asked(model: FakeModel, question: str, *passages: Hit) -> str:
    judge = Judge(None)
    evidence = tuple(await select(question, passages, judge))
    said = (Message(role=Role.USER, content=question),)
    material = Material(messages=said, question=question, evidence=evidence, controls=Controls())
    deltas = [delta async for delta in GroundedAnswer(model, judge, material).deltas()]
    return "".join(delta.text for delta in deltas)


@pytest.mark.anyio
async def test_what_a_model_remembers_of_an_item_of_a_list_is_not_taken_from_the_next() -> None:
    # The old text of libfoo2 is what the model recalls, and nearly what stands beside it.
    listed = hit("list.md", "libfoo2: a light browser.\n\nlibfoo-glib8: a library to render PDF.")
    model = FakeModel(["libfoo2 is a library to render PDF. [1]", "libfoo2: a light browser."])
    assert await _asked(model, "What is libfoo2?", listed) == "libfoo2: a light browser. [1]"


@pytest.mark.anyio
async def test_news_that_is_only_half_in_the_paragraph_is_replaced_by_its_sentence() -> None:
    keys = hit("keys.md", "F9-x: cut the selection to the clipboard.")
    model = FakeModel(
        ["F9-x is a tool for the clipboard. [1]", "F9-x: cut the selection to the clipboard."]
    )
    said = await _asked(model, "What is F9-x?", keys)
    assert said == "F9-x: cut the selection to the clipboard. [1]"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("entry", "draft"),
    [
        # One word more turns what is said round.
        ("Kestrel: rescue data from damaged disks.", "Kestrel is a data set from damaged disks."),
        ("Kestrel: convert files to PDF.", "Kestrel is a file that converts files to PDF."),
    ],
)
async def test_a_sentence_is_quoted_where_the_draft_says_a_word_more(
    entry: str, draft: str
) -> None:
    model = FakeModel([f"{draft} [1]", entry])
    assert await _asked(model, "What is Kestrel?", hit("tools.md", entry)) == f"{entry} [1]"


@pytest.mark.anyio
async def test_what_only_mentions_a_name_does_not_tell_what_it_is() -> None:
    listed = hit("list.md", "Kestrel: shows pictures.\n\nosprey: a fork of Kestrel.")
    (shown,) = await select("What is Kestrel?", [listed], Judge(None))
    assert shown.sentences == ("Kestrel: shows pictures.",)
    (both,) = await select("What is a fork of Kestrel?", [listed], Judge(None))
    assert "osprey: a fork of Kestrel." in both.sentences


@pytest.mark.anyio
async def test_what_stands_under_a_name_tells_of_it_too() -> None:
    headed, other = hit("kestrel.md", "It shows pictures."), hit("birds.md", "Kestrel was a bird.")
    mentioned = hit("history.md", "They called it Kestrel.")
    shown = await select("What is Kestrel?", [headed, other, mentioned], Judge(None))
    assert [one.hit for one in shown] == [headed, other]


@pytest.mark.anyio
async def test_a_price_that_no_passage_gives_is_not_answered_with_something_else() -> None:
    sold = hit("tickets.md", "A ticket costs nerves. Tickets are sold at the gate.")
    model = FakeModel(["A ticket costs nerves. [1]"])
    assert await _asked(model, "How much does a ticket cost?", sold) == _NOTHING
    assert not model.requests
