"""Writes an answer sentence by sentence, and lets out only what its passages bear out.

The model drafts under a grammar that knows no number but those of its passages. Each sentence is
checked as soon as it is complete: one that stands on a passage leaves with its number. Where the
model gave none or a wrong one, it chooses again from those that bear the sentence out. A first
sentence that nothing bears out is replaced: by a sentence of the passages, chosen by the model,
where they certainly answer; else by saying that the documents do not.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from ponant.assistant.grounding import grammars, prompt
from ponant.assistant.grounding.evidence import Evidence
from ponant.assistant.grounding.judge import Judge
from ponant.assistant.grounding.sentences import Claim, ClaimReader
from ponant.assistant.grounding.support import asserts_nothing, echoes, invents, supporters
from ponant.billing import most_of_several
from ponant.engine import FinishReason, Sampling, Usage
from ponant.serving.port import ChatRequest, Controls, Delta, TextModel
from ponant.text.messages import Message, Role

_MOST_TOKENS = 400
_MOST_QUOTABLE = 3
_QUOTE_MARGIN = 0.015
_MOST_UNSUPPORTED = 2
_LEAST_TOKENS = 16  # enough for a citation when the budget is used up
_SPARE_TOKENS = 256  # that citations may take beyond it
_CHARACTERS_PER_TOKEN = 4  # where a server does not count


@dataclass(frozen=True, slots=True)
class Material:
    """What an answer is made from.

    Attributes:
        messages: what was said before and, last, the question; a system message may come first.
        question: the question as it can be understood by itself.
        controls: how to generate; the grammar is replaced.
    """

    messages: tuple[Message, ...]
    question: str
    evidence: tuple[Evidence, ...]
    controls: Controls


class GroundedAnswer:
    """One answer; `deltas` runs it once. A citation is a delta of its own, such as ``[2]``."""

    def __init__(self, model: TextModel, judge: Judge, material: Material) -> None:
        self._model = model
        self._judge = judge
        self._material = material
        self._guided = model.card.capabilities.grammar
        self._spent = _Spent(material.controls.max_tokens or _MOST_TOKENS)
        self._written = ""  # the answer so far as the model knows it
        self._held: list[Claim] = []  # sentences that wait for one that says something
        self._said: set[str] = set()
        self._unsupported = 0
        self._cited = False
        self._over = False
        # To give the question's own words back is a model's way to say that it does not know.
        self._echoed = False

    def most_tokens(self) -> int:
        """What the answer takes at most, all its requests together."""
        said = self._material.messages, prompt.passages(self._material.evidence)
        longest = (self._material.controls.max_tokens or _MOST_TOKENS) + _SPARE_TOKENS
        return most_of_several(self._model.card, said, longest)

    async def deltas(self) -> AsyncGenerator[Delta]:
        """The answer; deltas with tokens but without text are drafts that count as usage."""
        if self._material.evidence:
            async with aclosing(self._draft()) as draft:
                async for delta in draft:
                    yield delta
        if not self._written:
            async with aclosing(self._instead()) as instead:
                async for delta in instead:
                    yield delta
        yield Delta(finish=FinishReason.STOP, usage=self._spent.usage)

    async def _draft(self) -> AsyncGenerator[Delta]:
        reader = ClaimReader()
        grammar = grammars.citing(len(self._material.evidence)) if self._guided else None
        async with aclosing(self._ask("", self._controls(grammar))) as deltas:
            async for delta in deltas:
                yield Delta(tokens=delta.tokens)
                for claim in reader.feed(delta.text):
                    for piece in await self._weigh(claim):
                        yield Delta(text=piece)
                    if self._over:
                        return
        for claim in reader.finish():
            for piece in await self._weigh(claim):
                yield Delta(text=piece)
            if self._over:
                return

    async def _weigh(self, claim: Claim) -> list[str]:
        """What of a claim may leave, and whether the draft goes on."""
        sentence = claim.text.strip()
        if sentence.casefold() in self._said:
            self._over = self._guided
            return []
        self._said.add(sentence.casefold())
        # Where the passages' own sentence can stand in its place, no loose rewording is let out.
        strict = self._guided and not self._cited and bool(self._quotable())
        found = await supporters(
            sentence, self._material.question, self._material.evidence, self._judge, strict=strict
        )
        numbers = [number for number in claim.numbers if number - 1 in found]
        if not found:
            return self._unborne(claim)
        self._unsupported = 0
        if not numbers and self._guided:
            numbers = [await self._choose(claim, [place + 1 for place in found])]
        return self._let_out(Claim(claim.text, tuple(numbers)))

    def _unborne(self, claim: Claim) -> list[str]:
        """A sentence that no passage bears out: kept bare, held back, or the end."""
        bare = Claim(claim.text)
        self._unsupported += 1
        if not self._guided:
            return self._let_out(bare)
        light = asserts_nothing(claim.text)
        if not self._cited:
            self._echoed = echoes(claim.text, self._material.question)
            self._over = not light
            self._held += [bare] if light else []
            return []
        if self._unsupported >= _MOST_UNSUPPORTED or invents(claim.text, self._known_text()):
            self._over = True
            return []
        return self._let_out(bare)

    def _let_out(self, claim: Claim) -> list[str]:
        pieces: list[str] = []
        for one in (*self._held, claim):
            text = one.text if self._written else one.text.lstrip()
            pieces.append(text)
            self._written += text
            for number in one.numbers:
                self._cited = True
                self._written += f" [{number}]"
                pieces += [" ", f"[{self._material.evidence[number - 1].number}]"]
        self._held = []
        return pieces

    async def _choose(self, claim: Claim, numbers: Sequence[int]) -> int:
        """The model's choice among the passages that bear a claim out."""
        if len(numbers) == 1:
            return numbers[0]  # the grammar would leave no choice
        controls = self._controls(grammars.citation_among(sorted(numbers)), greedy=True)
        prefix = self._written + "".join(one.text for one in self._held) + claim.text
        text = ""
        async with aclosing(self._ask(prefix, controls)) as deltas:
            async for delta in deltas:
                text += delta.text
        chosen = text.removeprefix(prefix).strip(" []")
        return int(chosen) if chosen.isdecimal() and int(chosen) in numbers else numbers[0]

    async def _instead(self) -> AsyncGenerator[Delta]:
        """A sentence of the passages where they certainly answer, else that they do not."""
        options = self._quotable() if self._guided and not self._echoed else {}
        text = ""
        if options:
            controls = self._controls(grammars.one_of(list(options)), greedy=True)
            async with aclosing(self._ask("", controls)) as deltas:
                async for delta in deltas:
                    text += delta.text
                    yield Delta(tokens=delta.tokens)
        quoted = Claim(text.strip(), (options[text.strip()],)) if text.strip() in options else None
        if quoted is None:
            yield Delta(text=prompt.documents_do_not_say(self._material.question))
            return
        self._held = []
        for piece in self._let_out(quoted):
            yield Delta(text=piece)

    def _quotable(self) -> dict[str, int]:
        """The sentences nearest to the question, with the number of the passage of each."""
        ranked = sorted(
            (
                (score, sentence, number)
                for number, one in enumerate(self._material.evidence, 1)
                for sentence, score in zip(one.sentences, one.scores, strict=True)
                if one.certain
            ),
            key=lambda option: -option[0],
        )
        near = [one for one in ranked if one[0] >= ranked[0][0] - _QUOTE_MARGIN]
        return {sentence: number for _, sentence, number in near[:_MOST_QUOTABLE]}

    async def _ask(self, prefix: str, controls: Controls) -> AsyncGenerator[Delta]:
        messages, given = self._material.messages, self._material.evidence
        documents = self._model.card.documents
        if not documents:
            messages = prompt.written_out(messages, self._material.question, given)
        if prefix:
            messages = (*messages, Message(role=Role.ASSISTANT, content=prefix, prefix=True))
        self._spent.begin()
        request = ChatRequest(
            messages=messages,
            passages=prompt.passages(given) if documents else (),
            tags=prompt.tags(given),
            controls=controls,
        )
        async with aclosing(self._model.chat(request)) as deltas:
            async for delta in deltas:
                self._spent.add(delta)
                yield delta

    def _controls(self, grammar: str | None, *, greedy: bool = False) -> Controls:
        controls = self._material.controls
        return msgspec.structs.replace(
            controls,
            grammar=grammar,
            max_tokens=self._spent.left,
            sampling=Sampling(temperature=0.0) if greedy else controls.sampling,
        )

    def _known_text(self) -> str:
        given = " ".join(
            f"{one.hit.document_name} {one.hit.heading} {one.hit.text}"
            for one in self._material.evidence
        )
        return f"{self._material.question} {given}"


class _Spent:
    """Adds up the requests of one answer; their common prompt counts once."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._prompt = 0
        self._cached = 0
        self._requests = 0
        self._earlier = 0
        self._counted = 0
        self._characters = 0

    def begin(self) -> None:
        """A request starts; one before it that was left early keeps what it had made."""
        self._earlier += self._made
        self._counted = self._characters = 0
        self._requests += 1

    def add(self, delta: Delta) -> None:
        self._counted += len(delta.tokens)
        self._characters += len(delta.text)
        if delta.usage is None:
            return
        self._counted = max(self._counted, delta.usage.completion_tokens)
        self._prompt = max(self._prompt, delta.usage.prompt_tokens)
        if self._requests == 1:  # later ones find the pages of the first
            self._cached = max(self._cached, delta.usage.cached_tokens)

    @property
    def left(self) -> int:
        return max(self._budget - self._earlier - self._made, _LEAST_TOKENS)

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self._prompt,
            completion_tokens=self._earlier + self._made,
            cached_tokens=self._cached,
        )

    @property
    def _made(self) -> int:
        return self._counted or -(-self._characters // _CHARACTERS_PER_TOKEN)
