"""A town's notices that change three hundred times, and watches that must tell of a third of it.

Each place of the town has a page with four facts, and a watch on one of them. An edit either
changes the truth that a watch asks for, in the page or by a new document, or does not: it rewords,
moves, repeats, adds what nobody asked for, or changes another fact.
"""

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from ponant.accounts import Principal
from ponant.assistant.watches import Setup, Watches, WatchEvent
from tests.fakes.clock import FakeClock
from tests.fakes.live import LocalLive

_PLACES = (
    "library museum swimming-pool town-hall post-office ferry-terminal bakery observatory "
    "greenhouse theatre archive harbour-office market-hall clinic pharmacy school-kitchen "
    "chapel lighthouse bicycle-workshop print-shop sailing-club music-school ice-rink "
    "climbing-wall planetarium youth-centre recycling-yard dog-shelter fire-station tea-house "
    "aquarium boathouse cinema community-garden laundry tool-library bowling-alley campsite "
    "visitor-centre windmill sauna chess-club radio-station pottery-studio fish-market apiary "
    "vineyard tram-depot skate-park book-exchange science-lab choir-hall repair-cafe "
    "riding-stable ski-hut gallery toy-museum botanical-garden mountain-hut sports-hall "
)
_PEOPLE = (
    "Abara Bruno Castel Dahl Eriksen Fontaine Garrido Haddad Ivanova Jansen Kowalski Lindqvist "
    "Moreau Novak Okafor Petrov Quist Rossi Sandoval Tanaka Ueda Varga Weiss Xu Yilmaz Zeman "
)
_COLOURS = ["red", "blue", "green", "yellow", "white", "black", "orange", "purple", "grey", "brown"]
_TRIVIA = (
    "A bench stands in front of it.",
    "Bicycles may be left beside the gate.",
    "The floor was renewed some years ago.",
    "Children like the old clock in the yard.",
    "There is a rack for umbrellas.",
)

CHANGES = ("value", "value", "removal", "notice", "notice", "notice")
OTHERS = (
    "unrelated",
    "mention",
    "mention",
    "trivia",
    "trivia",
    "wording",
    "wording",
    "order",
    "repeat",
    "other fact",
    "goes",
    "trivia",
)


@dataclass
class _Place:
    """A place with what is true of it, and how its page says so."""

    name: str
    asks: str
    facts: dict[str, str]
    wording: int = 0
    order: int = 0
    trivia: int = 0
    extra: set[str] = field(default_factory=set)  # other documents, by name
    noticed: bool = False
    truth: str = ""  # what an answer says after the last edit that changed it
    untruth: str = ""  # what it says no more

    @property
    def plain(self) -> str:
        return self.name.replace("-", " ")

    @property
    def question(self) -> str:
        return {
            "opens": f"When does the {self.plain} open?",
            "costs": f"How much does a ticket of the {self.plain} cost?",
            "leads": f"Who leads the {self.plain}?",
            "door": f"What colour is the door of the {self.plain}?",
        }[self.asks]

    def page(self) -> str:
        order = list(self.facts)
        random.Random(self.order).shuffle(order)
        said = [self.says(kind, self.wording) for kind in order if self.facts[kind]]
        trivia = " ".join(_TRIVIA[: self.trivia])
        return f"# {self.plain.title()}\n\n" + "\n\n".join([*said, trivia]).strip() + "\n"

    def is_told(self, event: WatchEvent) -> bool:
        """Whether the new answer says what is true now, and no longer what was."""
        new = event.new.text if event.new else ""
        says = not self.truth or _holds(new, self.truth)
        return says and not (self.untruth and _holds(new, self.untruth))

    def says(self, kind: str, wording: int, value: str | None = None) -> str:
        value, name = value or self.facts[kind], self.plain
        forms = {
            "opens": (
                f"The {name} opens at {value}.",
                f"At {value} the {name} opens its gate.",
                f"The gate of the {name} opens daily at {value}.",
            ),
            "costs": (
                f"A ticket of the {name} costs {value} euros.",
                f"Each ticket of the {name} costs {value} euros today.",
                f"For {value} euros, a ticket of the {name} is sold: that is what it costs.",
            ),
            "leads": (
                f"The {name} is led by {value}, who leads it with care.",
                f"It is {value} who leads the {name}.",
                f"Since spring the one who leads the {name} is {value}.",
            ),
            "door": (
                f"The colour of the door of the {name} is {value}.",
                f"The door of the {name} has the colour {value}.",
                f"As a colour for the door of the {name}, {value} was chosen.",
            ),
        }
        return forms[kind][wording % 3]


def _holds(text: str, value: str) -> bool:
    """Whether a text has a value by itself: 5 euros are not 15, nor [5]."""
    return re.search(rf"(?<![\w:\[]){re.escape(value)}(?![\w:\]])", text) is not None


@dataclass
class Counts:
    """What a run of edits came to.

    Attributes:
        missed: edits that changed the truth and were not told, or not with the new answer.
        false: events told of a watch whose truth was the same.
        calls: requests to the model after the first answers.
        by_kind: edits, and faults as ``false wording``, by kind.
    """

    changes: int = 0
    others: int = 0
    missed: int = 0
    false: int = 0
    stands: int = 0
    calls: int = 0
    searched: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Town:
    """The documents and watches of a run."""

    def __init__(
        self,
        live: LocalLive,
        watches: Watches,
        clock: FakeClock,
        owner: Principal,
        *,
        model: str,
        places: int,
        seed: int,
    ) -> None:
        self._live = live
        self._watches = watches
        self._clock = clock
        self._owner = owner
        self._model = model
        self._random = random.Random(seed)
        self._library = ""
        self._places = [self._place(name) for name in _PLACES.split()[:places]]
        self._watched: dict[str, _Place] = {}
        self._repeated: tuple[_Place, str] | None = None
        self._seen = 0
        self._new = 0

    async def build(self) -> None:
        """Write the pages and have every watch answer once."""
        library = await self._live.create_library(self._owner.scope, "Town")
        self._library = library.id
        for place in self._places:
            data = place.page().encode()
            await self._live.add_document(
                self._owner.scope, self._library, f"{place.name}.md", data
            )
        await self._live.settled(self._owner.scope, self._library)
        for place in self._places:
            setup = Setup(
                kind="question",
                query=place.question,
                model=self._model,
                library_ids=(self._library,),
            )
            watch, _ = await self._watches.create(self._owner, setup)
            self._watched[watch.id] = place
        await self._news()

    async def run(self, changes: int, others: int) -> Counts:
        """Make so many edits of each kind, in a shuffled order, and count what was told."""
        counts = Counts(changes=changes, others=others)
        plan = [CHANGES[number % len(CHANGES)] for number in range(changes)]
        plan += [OTHERS[number % len(OTHERS)] for number in range(others)]
        self._random.shuffle(plan)
        before = self._live.standing.searched
        for kind in plan:
            await self._one(kind, counts)
        counts.searched = self._live.standing.searched - before
        return counts

    async def _one(self, kind: str, counts: Counts) -> None:
        counts.by_kind[kind] += 1
        edit: Callable[[], Awaitable[_Place | None]] = {
            "value": self._value,
            "removal": self._removal,
            "notice": self._notice,
            "unrelated": self._unrelated,
            "mention": self._mention,
            "trivia": self._more_trivia,
            "wording": self._reword,
            "order": self._reorder,
            "repeat": self._repeat,
            "other fact": self._other_fact,
            "goes": self._goes,
        }[kind]
        changed = await edit()
        told = await self._news()
        counts.calls += sum(event.calls for event in told)
        counts.stands += sum(event.happening == "stands" for event in told)
        deliveries = [event for event in told if event.happening == "changed"]
        own = [one for one in deliveries if self._watched[one.watch_id] is changed]
        right = [one for one in own if changed is not None and changed.is_told(one)]
        if changed is not None and not right:
            counts.missed += 1
            counts.by_kind[f"missed {kind}"] += 1
            said = [one.new.text for one in own if one.new]
            counts.faults.append(f"missed {kind}: {changed.question} {changed.facts} {said}")
        for event in deliveries:
            if event not in own:
                counts.false += 1
                counts.by_kind[f"false {kind}"] += 1
                old, new = (one.text if one else "" for one in (event.old, event.new))
                counts.faults.append(f"false {kind}: {event.reason}: {old!r} → {new!r}")

    async def _news(self) -> list[WatchEvent]:
        """Let a minute pass, and read what was told."""
        found: list[WatchEvent] = []
        self._clock.move(timedelta(seconds=66))
        await self._watches.step()
        while events := await self._events():
            found += events
        return found

    async def _events(self) -> list[WatchEvent]:
        told = await self._watches.since(self._owner, self._seen)
        if told:
            self._seen = told[-1].number
        return list(told)

    # Edits that change the truth

    async def _value(self) -> _Place:
        place = self._pick(lambda one: bool(one.facts[one.asks]) and not one.noticed)
        place.untruth = place.facts[place.asks]
        place.facts[place.asks] = place.truth = self._another(place.asks, place.untruth)
        return await self._rewrite(place)

    async def _removal(self) -> _Place:
        place = self._pick(
            lambda one: bool(one.facts[one.asks]) and not one.noticed and not one.extra
        )
        place.untruth = place.facts[place.asks]
        place.facts[place.asks] = place.truth = ""
        return await self._rewrite(place)

    async def _notice(self) -> _Place:
        place = self._pick(lambda one: not one.noticed)
        old = place.facts[place.asks]
        value = self._another(place.asks, old)
        place.noticed, place.truth, place.untruth = True, value, ""  # both stand there now
        said = place.says(place.asks, self._random.randrange(3), value)
        await self._document(place, "notice", f"# Notice\n\nFrom now on: {said}\n")
        return place

    # Edits that do not

    async def _unrelated(self) -> None:
        self._new += 1
        text = "# Weather\n\nIt rained for days, and the river rose by a hand."
        await self._live.write(
            self._owner.scope, self._library, f"weather-{self._new}.md", f"{text} ({self._new})\n"
        )

    async def _mention(self) -> None:
        place = self._pick()
        text = f"# Letter\n\nMy aunt walked past the {place.plain} and waved at a friend.\n"
        await self._document(place, "letter", text)

    async def _more_trivia(self) -> None:
        place = self._pick()
        place.trivia = (place.trivia + 1) % (len(_TRIVIA) + 1)
        await self._rewrite(place)

    async def _reword(self) -> None:
        place = self._pick(lambda one: bool(one.facts[one.asks]))
        place.wording += 1
        await self._rewrite(place)

    async def _reorder(self) -> None:
        place = self._pick()
        place.order += 1
        await self._rewrite(place)

    async def _repeat(self) -> None:
        """Another document says the same, or says it no longer."""
        if self._repeated is not None:
            place, name = self._repeated
            self._repeated, place.noticed = None, False
            place.extra.discard(name)
            await self._live.erase(self._owner.scope, self._library, name)
            return
        place = self._pick(lambda one: bool(one.facts[one.asks]) and not one.noticed)
        said = place.says(place.asks, place.wording)
        name = await self._document(place, "repeat", f"# Calendar\n\n{said}\n")
        place.noticed = True  # an edit of the page alone would contradict it
        self._repeated = place, name

    async def _other_fact(self) -> None:
        place = self._pick()
        kind = self._random.choice([one for one in place.facts if one != place.asks])
        place.facts[kind] = self._another(kind, place.facts[kind])
        await self._rewrite(place)

    async def _goes(self) -> None:
        """A letter goes that nobody's answer rests on."""
        with_letters = [one for one in self._places if any("letter" in name for name in one.extra)]
        if not with_letters:
            return await self._unrelated()
        place = self._random.choice(with_letters)
        name = next(name for name in sorted(place.extra) if "letter" in name)
        place.extra.discard(name)
        await self._live.erase(self._owner.scope, self._library, name)
        return None

    # How

    def _place(self, name: str) -> _Place:
        facts = {kind: self._another(kind, "") for kind in ("opens", "costs", "leads", "door")}
        return _Place(name, self._random.choice(list(facts)), facts)

    def _another(self, kind: str, old: str) -> str:
        while True:
            value = {
                "opens": f"{self._random.randint(6, 11):02}:{self._random.randrange(0, 60, 5):02}",
                "costs": str(self._random.randrange(3, 60)),
                "leads": self._random.choice(_PEOPLE.split()),
                "door": self._random.choice(_COLOURS),
            }[kind]
            if value != old:
                return value

    def _pick(self, fits: Callable[[_Place], bool] = lambda _: True) -> _Place:
        return self._random.choice([one for one in self._places if fits(one)])

    async def _rewrite(self, place: _Place) -> _Place:
        await self._live.write(self._owner.scope, self._library, f"{place.name}.md", place.page())
        return place

    async def _document(self, place: _Place, kind: str, text: str) -> str:
        self._new += 1
        name = f"{kind}-{self._new}.md"
        place.extra.add(name)
        await self._live.write(self._owner.scope, self._library, name, text)
        return name
