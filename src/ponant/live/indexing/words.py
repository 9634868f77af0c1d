"""Prepares text and questions for the keyword index.

The index splits at spaces and signs, lower-cases, drops accents and stems (English, Porter).
Chinese, Japanese and Thai are written without spaces, so their runs are laid out as overlapping
pairs of characters, in documents and questions alike.
"""

import re

_RUN = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_TERM = re.compile(r"\w+")
_MOST_TERMS = 24

# Words that stand in most questions and say nothing of their subject.
_COMMON = frozenset(
    _TERM.findall(
        """
    a an and any are as at be been but by can could did do does for from get had has have how i if
    in into is it its me my of on or our shall should so some than that the their them then there
    these they this those to us was we were what when where which who whom whose why will with
    would you your
    au aux avec ce ces cette comment dans de des du elle elles en est et il ils je la le les leur
    lui ma mais mes mon ne nos notre nous on ou où par pas pour quand que quel quelle quelles quels
    qui sa se ses son sont sur ta te tes toi ton tu un une vos votre vous
    aber als am an auch auf aus bei bin bis bist da das dass dem den der des die dies doch du ein
    eine einem einen einer eines er es für hat hatte ich ihr ihre im ist ja kann man mein mit nach
    nicht noch nur oder sein seine sich sie sind so über um und uns von vor wann war was welche
    welcher welches wem wen wenn wer wie wir wird wo zu zum zur
    al como con cual cuando cuanto de del donde el ella en es esta este la las los mi no nos para
    pero por que quien se ser si sin su sus una uno y
    che chi ci come cui da dal dalla dei del della di dove e gli ha ho i il io lo ma mi nel nella
    non o per più quale quando quanto si sono suo tra un una
        """
    )
)


def spaced(text: str) -> str:
    """Text whose unspaced scripts are laid out as pairs of characters."""
    return _RUN.sub(lambda match: f" {_pairs(match.group())} ", text)


def expression(query: str, library_ids: tuple[str, ...]) -> str | None:
    """An FTS5 expression that matches any telling word of the query in one of the libraries.

    None when there is no word to look for.
    """
    terms = list(dict.fromkeys(_TERM.findall(spaced(query).lower())))
    telling = [term for term in terms if term not in _COMMON] or terms
    if not telling or not library_ids:
        return None
    words = " OR ".join(f'"{term}"' for term in telling[:_MOST_TERMS])
    places = " OR ".join(f'"{library_id}"' for library_id in library_ids)
    return f"library : ({places}) AND {{name heading body}} : ({words})"


def _pairs(run: str) -> str:
    if len(run) == 1:
        return run
    return " ".join(run[i : i + 2] for i in range(len(run) - 1))
