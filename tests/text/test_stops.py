"""Stop strings in a stream, whatever pieces the text comes in."""

from hypothesis import given
from hypothesis import strategies as st

from ponant.text import StopStrings

_few = st.text("ab\n:", max_size=40)
_stops = st.lists(st.text("ab\n:", min_size=1, max_size=4), max_size=4)


def _cut(text: str, stops: list[str]) -> str:
    """The text before the stop string that is complete first."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)[1]] if found else text


@given(text=_few, stops=_stops, sizes=st.lists(st.integers(1, 5), min_size=1))
def test_a_stream_ends_where_the_whole_text_would(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    watch = StopStrings(stops)
    given_out, hit, place = "", False, 0
    while place < len(text) and not hit:
        size = sizes[place % len(sizes)]
        safe, hit = watch.feed(text[place : place + size])
        given_out += safe
        place += size
        assert _cut(text, stops).startswith(given_out)  # nothing has to be taken back
    if not hit:
        given_out += watch.finish()
    seen = text[:place]
    assert given_out == _cut(seen, stops)
    assert hit == any(stop in seen for stop in stops)


def test_nothing_that_cannot_begin_a_stop_string_is_held_back() -> None:
    watch = StopStrings(["\nUser:"])
    assert watch.feed("Paris.") == ("Paris.", False)
    assert watch.feed("\nUs") == ("", False)
    assert watch.feed("ually") == ("\nUsually", False)


def test_after_a_stop_string_there_is_no_more_text() -> None:
    watch = StopStrings(["END", ""])
    assert watch.feed("oneENDtwo") == ("one", True)
    assert watch.feed("three") == ("", True)
    assert watch.finish() == ""
