"""The words by which a new passage and a kept query may meet, coarser than any stemmer.

A match here only makes a query worth searching again, so it must miss nothing that the keyword
index finds: words meet by their first letters, whatever their endings and accents.
"""

import re
import unicodedata

from ponant.live.indexing.words import spaced

_TERM = re.compile(r"\w+")
_BEGINNING = 4  # letters; stemmers of European languages leave these as they are
_LONGEST = 100_000  # characters of a passage


def keys(text: str) -> set[str]:
    """What of a text can be met: the beginning of each word, folded; pairs of unspaced scripts."""
    folded = unicodedata.normalize("NFKD", spaced(text[:_LONGEST]).casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return {term[:_BEGINNING] for term in _TERM.findall(bare)}
