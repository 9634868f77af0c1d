"""How the peers cut texts: a passage is a paragraph, as the corpora are written."""


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, without the blank lines between them."""
    return [part for piece in text.split("\n\n") if (part := piece.strip())]
