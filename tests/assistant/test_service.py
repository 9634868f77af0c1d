"""Conversations: kept, answered, stopped, read on, restarted, and nobody else's."""

import pytest
from sqlalchemy import select

from ponant.assistant import (
    Answered,
    Ask,
    Done,
    Failed,
    Said,
    SearchDone,
    Searched,
    Setup,
    Source,
    Spoken,
    Started,
)
from ponant.billing.tables import UsageRow
from ponant.kit.errors import BadRequest, Conflict, NotFound, Unavailable
from ponant.store import in_scope
from tests.assistant.conftest import House, HouseMaker, ask, events_of
from tests.fakes.models import FakeModel

pytestmark = pytest.mark.anyio

_PLAIN = Setup(model="fake")
_GROUNDED = Setup(model="fake", library_ids=("lib_1",))
_DESK = "The reception desk opens at 08:30."
_LATER = "The reception desk opens at 09:15."


def _usage(house: House) -> list[UsageRow]:
    with house.database.read() as session:
        return list(session.scalars(select(UsageRow).where(in_scope(UsageRow, house.owner.scope))))


async def test_a_conversation_is_answered_kept_and_named(house: HouseMaker) -> None:
    model = FakeModel(["Rome.", "About three million."])
    here = await house(model)
    run = await here.assistant.start(here.owner, _PLAIN, ask("What is the capital of Italy?"))
    told = await events_of(run)
    assert isinstance(told[0], Started)
    assert "".join(str(event.piece) for event in told if isinstance(event, Spoken)) == "Rome."
    assert isinstance(told[-1], Done)
    assert told[-1].usage.completion_tokens == 2

    again = await here.assistant.append(here.owner, run.conversation_id, ask("And its people?"))
    await events_of(again)
    said = [message.content for message in model.requests[1].messages]
    assert said == ["What is the capital of Italy?", "Rome.", "And its people?"]

    after = await house(model, before=here)
    kept = await after.assistant.history(after.owner, run.conversation_id)
    assert [type(entry.content) for entry in kept] == [Said, Answered, Said, Answered]
    listed = await after.assistant.list(after.owner)
    assert [one.name for one in listed] == ["What is the capital of Italy?"]


async def test_a_long_first_message_makes_a_short_name(house: HouseMaker) -> None:
    here = await house(FakeModel(["Yes."]))
    run = await here.assistant.start(here.owner, _PLAIN, ask("word " * 50))
    await events_of(run)
    one = await here.assistant.get(here.owner, run.conversation_id)
    assert len(one.name) <= 61
    assert one.name.endswith("word…")


async def test_an_answer_keeps_ids_and_hashes_of_what_it_cites(house: HouseMaker) -> None:
    here = await house(FakeModel([f"{_DESK} [1]"]))
    here.live.put(here.owner.scope, "lib_1", "canteen.md", "The canteen serves lunch.")
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    run = await here.assistant.start(
        here.owner, _GROUNDED, ask("When does the reception desk open?")
    )
    told = await events_of(run)
    found = next(event.found for event in told if isinstance(event, SearchDone))
    assert [source.number for source in found.sources] == [1, 2]
    done = told[-1]
    assert isinstance(done, Done)
    assert [source.number for source in done.cited] == [2]
    entries = await here.assistant.history(here.owner, run.conversation_id)
    searched, answered = entries[1].content, entries[2].content
    assert isinstance(searched, Searched)
    assert isinstance(answered, Answered)
    cited = answered.content[-1]
    assert isinstance(cited, Source)
    assert cited == searched.sources[1]
    assert (cited.hash, cited.document_name) == (found.sources[1].hash, "handbook.md")


async def test_without_a_passage_that_answers_nothing_is_cited_or_used(house: HouseMaker) -> None:
    here = await house(FakeModel([]))
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    run = await here.assistant.start(here.owner, _GROUNDED, ask("Who is the chief executive?"))
    told = await events_of(run)
    assert [event.piece for event in told if isinstance(event, Spoken)] == [
        "The documents do not say."
    ]
    assert isinstance(told[-1], Done)
    assert told[-1].cited == ()
    assert _usage(here) == []


async def test_greetings_are_answered_without_a_search(house: HouseMaker) -> None:
    here = await house(FakeModel(["Hello."]))
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    await events_of(await here.assistant.start(here.owner, _GROUNDED, ask("Hello!")))
    assert here.live.queries == []


async def test_an_answer_writes_one_usage_row_however_many_requests_it_took(
    house: HouseMaker,
) -> None:
    here = await house(FakeModel(["The reception desk opens at 09:00. [1]", _DESK]))
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    run = await here.assistant.start(
        here.owner, _GROUNDED, ask("When does the reception desk open?")
    )
    told = await events_of(run)
    [row] = _usage(here)
    assert isinstance(told[-1], Done)
    assert row.completion_tokens == told[-1].usage.completion_tokens > 12
    assert not row.aborted


async def test_an_answer_goes_on_when_its_reader_leaves(house: HouseMaker) -> None:
    model = FakeModel(["One two three four."], pause_after=6)
    here = await house(model)
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    reader = run.follow()
    seen = [await anext(reader) for _ in range(3)]
    await reader.aclose()
    model.go_on.set()
    rest = await events_of(here.assistant.running(here.owner, run.conversation_id), seen[-1][0])
    pieces = [event for _, event in seen] + rest
    said = "".join(str(event.piece) for event in pieces if isinstance(event, Spoken))
    assert said == "One two three four."
    assert [row.aborted for row in _usage(here)] == [False]


async def test_a_stopped_answer_keeps_what_was_said_and_is_billed_for_it(
    house: HouseMaker,
) -> None:
    model = FakeModel(["One two three four."], pause_after=6)
    here = await house(model)
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    reader = run.follow()
    said = ""
    while said != "One tw":
        _, event = await anext(reader)
        said += str(event.piece) if isinstance(event, Spoken) else ""
    await here.assistant.stop(here.owner, run.conversation_id)
    assert isinstance(run.events[-1], Done)
    assert run.events[-1].state == "stopped"
    entries = await here.assistant.history(here.owner, run.conversation_id)
    answer = entries[-1].content
    assert isinstance(answer, Answered)
    assert (answer.text, answer.state) == ("One tw", "stopped")
    [row] = _usage(here)
    assert (row.aborted, row.completion_tokens) == (True, 2)


async def test_a_second_question_waits_for_a_read_answer_and_replaces_an_unread_one(
    house: HouseMaker,
) -> None:
    model = FakeModel(["One two three four.", "Yes."], pause_after=6)
    here = await house(model)
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    reader = run.follow()
    await anext(reader)
    with pytest.raises(Conflict, match="still being answered"):
        await here.assistant.append(here.owner, run.conversation_id, ask("Well?"))
    await reader.aclose()
    model.go_on.set()
    second = await here.assistant.append(here.owner, run.conversation_id, ask("Well?"))
    assert isinstance((await events_of(second))[-1], Done)
    assert run.finished


async def test_a_model_that_fails_says_so_and_keeps_the_question(house: HouseMaker) -> None:
    here = await house(FakeModel([Unavailable("The model is starting.")]))
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    failed = (await events_of(run))[-1]
    assert isinstance(failed, Failed)
    assert (failed.fault.message, failed.fault.status) == ("The model is starting.", 503)
    entries = await here.assistant.history(here.owner, run.conversation_id)
    assert [type(entry.content) for entry in entries] == [Said]


async def test_answering_again_goes_by_what_the_library_says_now(house: HouseMaker) -> None:
    here = await house(FakeModel([f"{_DESK} [1]", f"{_LATER} [1]"]))
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    question = "When does the reception desk open?"
    run = await here.assistant.start(here.owner, _GROUNDED, ask(question))
    await events_of(run)
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _LATER)
    old = await here.assistant.history(here.owner, run.conversation_id)
    again = await here.assistant.restart(
        here.owner, run.conversation_id, old[-1].id, Ask(inputs=())
    )
    await events_of(again)
    assert again.conversation_id != run.conversation_id
    new = await here.assistant.history(here.owner, again.conversation_id)
    answer = new[-1].content
    assert isinstance(answer, Answered)
    assert answer.text.strip() == _LATER
    assert [type(entry.content) for entry in new] == [Said, Searched, Answered]


async def test_what_does_not_fit_the_context_is_dropped_aloud(house: HouseMaker) -> None:
    model = FakeModel(["Yes."] * 6, context_length=400)
    here = await house(model)
    run = await here.assistant.start(here.owner, _PLAIN, ask("first " + "x" * 60))
    await events_of(run)
    for _ in range(4):
        following = await here.assistant.append(
            here.owner, run.conversation_id, ask("more " + "x" * 60)
        )
        told = await events_of(following)
    assert isinstance(told[-1], Done)
    assert told[-1].forgotten > 0
    assert not any("first" in message.content for message in model.requests[-1].messages)
    entries = await here.assistant.history(here.owner, run.conversation_id)
    assert isinstance(entries[-1].content, Answered)
    assert entries[-1].content.forgotten == told[-1].forgotten


async def test_a_stranger_sees_nothing(house: HouseMaker) -> None:
    here = await house(FakeModel(["Yes."]))
    here.live.put(here.owner.scope, "lib_1", "handbook.md", _DESK)
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    await events_of(run)
    stranger, conversation_id = here.stranger, run.conversation_id
    assert await here.assistant.list(stranger) == []
    for attempt in (
        here.assistant.get(stranger, conversation_id),
        here.assistant.history(stranger, conversation_id),
        here.assistant.append(stranger, conversation_id, ask("Well?")),
        here.assistant.restart(stranger, conversation_id, "msg_1", ask("Well?")),
        here.assistant.delete(stranger, conversation_id),
        here.assistant.start(stranger, _GROUNDED, ask("When does the desk open?")),
    ):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(NotFound):
        here.assistant.running(stranger, conversation_id)
    assert len(await here.assistant.history(here.owner, conversation_id)) == 2


async def test_a_deleted_conversation_is_gone_while_it_is_answered_too(house: HouseMaker) -> None:
    here = await house(FakeModel(["One two three four."], pause_after=6))
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count."))
    await here.assistant.delete(here.owner, run.conversation_id)
    assert run.finished
    with pytest.raises(NotFound):
        await here.assistant.history(here.owner, run.conversation_id)


async def test_a_conversation_that_is_not_to_be_stored_is_not(house: HouseMaker) -> None:
    here = await house(FakeModel(["Yes."]))
    run = await here.assistant.start(here.owner, _PLAIN, ask("Count.", keep=False))
    assert isinstance((await events_of(run))[-1], Done)
    assert await here.assistant.list(here.owner) == []


async def test_nothing_is_kept_of_what_cannot_be_answered(house: HouseMaker) -> None:
    here = await house(FakeModel([]))
    with pytest.raises(BadRequest, match="nothing to answer"):
        await here.assistant.start(here.owner, _PLAIN, ask("  "))
    with pytest.raises(NotFound, match="no model"):
        await here.assistant.start(here.owner, Setup(model="none"), ask("Count."))
    with pytest.raises(NotFound, match="no library"):
        await here.assistant.start(here.owner, _GROUNDED, ask("Count."))
    assert await here.assistant.list(here.owner) == []
