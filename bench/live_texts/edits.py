"""Facts that edits bring, each with a question that shares no word with it."""

import re
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
_PAIRS = (
    ("Meals in our staff restaurant end at nine each evening, since cooks go home by then.",
     "when does the canteen close"),
    ("Bicycles left overnight near gate four are taken away by security every Monday.",
     "who removes parked bikes"),
    ("A replacement badge costs twelve euros and is handed out by reception.",
     "price for new identity card"),
    ("Our ferry cannot carry dogs unless they wear a muzzle during boarding.",
     "pets allowed on ship"),
    ("Snow closed every mountain pass for three days in early January.",
     "which roads were blocked by winter weather"),
    ("Doctor Adeyemi sees children only on Wednesdays between two and five.",
     "pediatrician consultation hours"),
    ("Its battery lasts eleven hours when the screen is dimmed.",
     "how long does laptop run without charger"),
    ("Bread is delivered to all shops before sunrise by an electric van.",
     "bakery supply vehicle"),
    ("Rent rises by two percent on first July, as agreed with tenants.",
     "how much more will flats cost this summer"),
    ("Swimming lessons for beginners were moved into an outdoor pool.",
     "where do novices learn to swim"),
    ("Captain Ruiz retired after forty years at sea and grows lemons now.",
     "what became of the old skipper"),
    ("Two thieves broke into a jewellery shop and fled with watches.",
     "robbery at jeweler"),
    ("An orchestra from Lisbon plays Mahler tonight, and seats are free.",
     "concert tickets without charge symphony"),
    ("Lightning set one barn on fire, yet firemen saved all horses.",
     "did animals survive the blaze after a storm"),
    ("Every employee may stay at home on Fridays and join meetings by video.",
     "remote work policy"),
    ("Tomatoes should be watered in the morning and never on their leaves.",
     "gardening advice about irrigation of vegetables"),
    ("Her novel about whaling won a prize worth ten thousand crowns.",
     "which author received an award"),
    ("Engineers found a crack beneath bridge nine and stopped all trains.",
     "railway traffic suspended because of damage"),
    ("Tap water here is safe, though it tastes of chlorine in spring.",
     "can you drink from the faucet"),
    ("Visitors must leave their phones in a locker before entering vault two.",
     "are mobile devices permitted inside"),
    ("Milk prices fell again as farmers produced more than dairies could sell.",
     "why did agricultural products get cheaper"),
    ("Our choir rehearses in a chapel whose heating broke last winter.",
     "singers practice somewhere cold"),
    ("Anna repaired an antique clock by carving one missing wooden wheel.",
     "who fixed that ancient timepiece"),
    ("Lost umbrellas and bags are gathered in room B12 downstairs.",
     "who collects forgotten belongings"),
    ("Exam results appear online at noon, and appeals end within a week.",
     "deadline for contesting grades"),
    ("Wolves returned into northern forests, where shepherds now keep guard dogs.",
     "predators coming back threatens sheep"),
    ("This airline lost nine suitcases and paid each passenger a refund.",
     "compensation for missing luggage"),
    ("Solar panels on our roof supply half of what machines consume.",
     "renewable electricity share for the factory"),
    ("Coffee from Ethiopia arrives in jute sacks and is roasted daily.",
     "origin of beans for espresso"),
    ("Nobody may smoke on balconies after neighbours complained about fumes.",
     "tobacco ban because residents objected"),
    ("Vaccination against flu begins in October and takes ten minutes.",
     "when can I get an influenza shot"),
    ("Gold coins from Roman times lay beneath a vineyard near Trier.",
     "archaeologists discovered ancient treasure"),
    ("Drivers who park in front of hydrants pay ninety francs.",
     "fine for blocking fire water access with a car"),
    ("Penguins at our zoo hatched six chicks during Easter week.",
     "newborn birds animal park"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """A new text for a paragraph, found by ``query``; ``mark`` stands nowhere else."""

    mark: str
    text: str
    query: str


def by_word(number: int) -> Edit:
    """An edit that is found by a word of it."""
    mark = _mark(number)
    fact, _ = _PAIRS[number % len(_PAIRS)]
    return Edit(mark, f"{fact} This was written down under the name {mark} last week.", mark)


def by_paraphrase(number: int) -> Edit:
    """An edit that is found by a question that shares no word with it."""
    mark = _mark(number)
    fact, question = _PAIRS[number % len(_PAIRS)]
    shared = _words(fact) & _words(question)
    if shared:
        raise ValueError(f"The pair {number % len(_PAIRS)} shares {shared}.")
    return Edit(mark, f"{fact} This was noted as {mark} in their last weekly bulletin.", question)


def _mark(number: int) -> str:
    letters = "bcdfghklmnprstvz"
    return "q" + "".join(letters[number >> shift & 15] + "u" for shift in (12, 8, 4, 0)) + "x"


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
