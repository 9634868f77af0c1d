"""A folder of handbooks, and beside it a library with an outline of each."""

from ponant import live

LONGEST = 160  # characters of a section's first sentence


@live.transform
def outline(document: live.Document) -> live.Document | None:
    """Every heading with the first sentence under it."""
    lines = []
    for section in document.text.split("\n#")[1:] or [document.text]:
        heading, _, body = section.partition("\n")
        sentence = " ".join(body.split()).split(". ")[0][:LONGEST]
        lines.append(f"- {heading.strip('# ')}: {sentence}")
    if not lines:
        return None
    return document.but(
        key=f"outlines/{document.key}",
        text=f"# Outline of {document.name}\n\n" + "\n".join(lines),
        metadata={"outline_of": document.key},
    )


handbooks = live.folder("handbooks")
live.library("Handbooks", handbooks)
live.library("Outlines", outline(handbooks))
