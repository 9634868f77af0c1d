"""Questions read as people ask them, and their answers are in the text."""

from ponant.live.questions import propose


def test_a_heading_that_asks_and_a_statement_turned_around() -> None:
    text = (
        "# Desk\n\nThe front desk opens at 08:30 on weekdays.\n\n"
        "## Who waters the plants?\n\nA gardener.\n\nA refund takes 5 working days."
    )
    assert propose([("desk.md", text)]) == [
        "When does the front desk open?",
        "Who waters the plants?",
        "How long does a refund take?",
        "What does desk.md say about Desk?",
    ]


def test_every_document_comes_before_a_second_from_any() -> None:
    asking = "# Why is it so?\n\n# How is it done?\n"
    found = propose([("a.md", asking), ("b.md", "# Schlüssel\n\nAm Empfang."), ("c.txt", "x")])
    assert found == [
        "Why is it so?",
        "What does b.md say about Schlüssel?",
        "What does c.txt say?",
        "How is it done?",
    ]


def test_nothing_read_proposes_nothing() -> None:
    assert propose([]) == []
