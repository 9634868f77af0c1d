"""Keywords are found in every language that documents are written in, at a bounded cost."""

import pytest
from sqlalchemy import text

from ponant.live import repository
from ponant.live.indexing import keywords
from ponant.live.indexing.ingestion import Ingestion
from ponant.live.indexing.languages import language_of
from ponant.live.indexing.relaying import relay_all
from ponant.live.indexing.words import question, terms
from ponant.store import Scope
from tests.live.conftest import SCOPE, STRANGER
from tests.live.indexing.conftest import Shelf

_OTHERS = {
    "zh": "\u4f1a\u8bae\u5ba4\u5728\u4e09\u697c\u7684\u5c3d\u5934\u3002",
    "ja": "\u4f1a\u8b70\u5ba4\u306f\u4e09\u968e\u306e\u5965\u306b\u3042\u308a\u307e\u3059\u3002",
    "en": "The meeting room is at the end of the third floor.",
}

CASES = [
    ("Wir haben die Rechnungen für alle Kunden bezahlt.", "Rechnung eines Kunden"),
    ("Les employés ont été remboursés de leurs dépenses.", "remboursement d'un employé"),
    ("Los paquetes instalados se actualizan por la noche.", "actualización del paquete instalado"),
    ("Paket ini dapat dipasang oleh semua pengguna di kantor.", "bagaimana memasang paket"),
    ("Счета были оплачены вчера и не позже.", "когда оплатить счёт"),
    ("I pacchetti installati sono nella cartella.", "dove sono i pacchetti"),
    ("The refunded customers were written to.", "refunding a customer"),
    (
        "\u9000\u6b3e\u5c06\u5728\u4e94\u4e2a\u5de5\u4f5c\u65e5\u5185\u5230\u8d26\u3002",
        "\u591a\u4e45\u80fd\u6536\u5230\u9000\u6b3e",
    ),
    (
        "\u8fd4\u91d1\u306f\u4e94\u55b6\u696d\u65e5\u4ee5\u5185\u306b\u884c\u308f\u308c\u307e\u3059\u3002",
        "\u8fd4\u91d1\u306f\u3044\u3064\u3067\u3059\u304b",
    ),
    (
        "\u0e23\u0e49\u0e32\u0e19\u0e2d\u0e32\u0e2b\u0e32\u0e23\u0e40\u0e1b\u0e34\u0e14\u0e40\u0e27\u0e25\u0e32\u0e40\u0e01\u0e49\u0e32\u0e42\u0e21\u0e07",
        "\u0e23\u0e49\u0e32\u0e19\u0e40\u0e1b\u0e34\u0e14\u0e40\u0e21\u0e37\u0e48\u0e2d\u0e44\u0e23",
    ),
]


@pytest.mark.parametrize(("passage", "query"), CASES)
def test_a_word_is_found_in_another_form(shelf: Shelf, passage: str, query: str) -> None:
    for name, other in _OTHERS.items():
        shelf.put(other, f"{name}.md")
    shelf.put(passage, "wanted.md")
    found = shelf.search(query, mode="keyword").hits
    assert found
    assert found[0].document_name == "wanted.md"


def test_a_character_alone_is_found(shelf: Shelf) -> None:
    shelf.put("\u4ed6\u559c\u6b22\u7eff\u8336\u3002", "tea.md")
    shelf.put("\u8336\u5177\u5728\u67dc\u5b50\u91cc\u3002", "pot.md")
    found = shelf.search("\u8336", mode="keyword").hits
    assert "pot.md" in {hit.document_name for hit in found}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Où est le fichier de configuration du système ?", "french"),
        ("Wie kann ich ein Paket installieren?", "german"),
        ("¿Cómo instalo un paquete?", "spanish"),
        ("Bagaimana cara memasang paket?", "indonesian"),
        ("How do I install a package?", "english"),
        ("Как установить пакет?", "russian"),
        ("4711", "english"),
        ("\u7528 vi \u7f16\u8f91 /etc/fstab: a s o v k i z", "english"),
    ],
)
def test_the_language_is_told_by_its_small_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_small_words_are_left_out_unless_alone() -> None:
    assert question("where is the oven", ["english"]).terms == (("oven",),)
    assert question("to be or not to be", ["english"]).terms
    assert question('"to be"', ["english"]).phrases == ((("to", "be"),),)


def test_names_split_at_signs() -> None:
    assert list(terms("foo_bar-baz.txt ÉTÉ", "french")) == ["foo", "bar", "baz", "txt", "ete"]


def test_a_quoted_phrase_must_stand_as_it_is(shelf: Shelf) -> None:
    shelf.put("The red house stands beside the green barn.", "one.md")
    shelf.put("The green house stands beside the red barn.", "two.md")
    names = [hit.document_name for hit in shelf.search('"green house"', mode="keyword").hits]
    assert names == ["two.md"]
    names = [hit.document_name for hit in shelf.search('barn "red house"', mode="keyword").hits]
    assert names == ["one.md"]


@pytest.mark.parametrize(
    "query", ['"', '""', "*", "AND OR NOT", "a:b", "(x", "NEAR(a b)", "7_x", "'"]
)
def test_signs_of_the_index_mean_nothing_in_a_query(shelf: Shelf, query: str) -> None:
    shelf.put("Some words and or not near.", "one.md")
    shelf.search(query, mode="keyword")


def test_words_of_most_passages_are_dropped_unless_quoted_or_alone(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "ALWAYS_READ", 10)
    for number in range(60):
        shelf.put(f"The engine number{number} runs.", f"{number}.md")
    shelf.put("The engine of the ferry.", "ferry.md")
    found = shelf.search("engine ferry", mode="keyword").hits
    assert [hit.document_name for hit in found] == ["ferry.md"]
    found = shelf.search('"engine" ferry', mode="keyword").hits
    assert (len(found), found[0].document_name) == (50, "ferry.md")
    assert len(shelf.search("engine", mode="keyword").hits) == 50
    assert len(shelf.search('"engine"', mode="keyword").hits) == 50


def test_common_words_weigh_and_rare_ones_choose(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "MOST_POSTINGS", 5)
    for number in range(8):
        shelf.put(f"A harbour with berth{number}.", f"{number}.md")
    for number in range(20):
        shelf.put(f"A field with tree{number} and a fence.", f"field{number}.md")
    shelf.put("A quay of stones.", "stones.md")
    shelf.put("A quay in a harbour.", "both.md")
    found = shelf.search("harbour quay", mode="keyword").hits
    assert [hit.document_name for hit in found] == ["both.md", "stones.md"]


def test_common_words_are_counted_again_when_many_passages_came(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "_COMMON", 20)
    monkeypatch.setattr(keywords, "_REMEMBERED_SECONDS", 3600.0)

    def counted() -> dict[str, int]:
        with shelf.index.database.read() as session:
            library = repository.library(session, SCOPE, shelf.library_id)
            return keywords.asked(session, SCOPE, library, "engine ferry")

    for number in range(20):
        shelf.put(f"The engine number{number} runs.", f"{number}.md")
    shelf.put("The ferry leaves.", "ferry.md")
    assert counted() == {"engin": 20, "ferri": 1}
    shelf.put("The ferry's engine.", "one.md")
    assert counted() == {"engin": 20, "ferri": 2}  # near enough
    for number in range(4):
        shelf.put(f"Another engine{number} is no engine.", f"more{number}.md")
    assert counted() == {"engin": 25, "ferri": 2}


def test_libraries_do_not_see_each_others_words(shelf: Shelf) -> None:
    shelf.put("A secret word: xylophone.", "one.md")
    with shelf.index.database.read() as session:
        other = Scope(workspace_id=STRANGER.workspace_id)
        assert keywords.is_current(session, other, shelf.library_id)
        terms_there = session.execute(text("SELECT term FROM live_terms_b_words")).scalars().all()
    assert "1_xylophon" in terms_there


@pytest.mark.parametrize("shelf", ["sqlite"], indirect=True)
@pytest.mark.anyio
async def test_a_library_of_the_first_release_is_laid_out_anew(shelf: Shelf) -> None:
    first, _ = shelf.put("The lighthouse keeper rows ashore.\n\nHe sells oysters.", "old.md")
    _as_of_the_first_release(shelf)
    shelf.put("A lighthouse for sale.", "new.md")
    before = shelf.search("lighthouse", mode="keyword").hits
    assert {hit.document_name for hit in before} == {"old.md", "new.md"}
    ingestion = Ingestion(shelf.index, None, lambda *_: None)
    try:
        await relay_all(ingestion)
    finally:
        await ingestion.close()
    after = shelf.search("lighthouses", mode="keyword").hits
    assert {hit.document_name for hit in after} == {"old.md", "new.md"}
    with shelf.index.database.read() as session:
        assert keywords.is_current(session, SCOPE, shelf.library_id)
        assert session.execute(text("SELECT count(*) FROM live_keywords")).scalar() == 0
    shelf.index.delete_documents(SCOPE, shelf.library_id, [first])
    found = shelf.search("lighthouse oysters", mode="keyword").hits
    assert {hit.document_name for hit in found} == {"new.md"}


def _as_of_the_first_release(shelf: Shelf) -> None:
    with shelf.index.database.write() as session:
        for statement in (
            """
            INSERT INTO live_keywords (rowid, library, name, heading, body)
            SELECT id, library_id, '', heading, text FROM live_passages
            WHERE workspace_id = :scope_workspace_id
            """,
            "DELETE FROM live_terms_b",
            "DELETE FROM live_words WHERE workspace_id = :scope_workspace_id",
            "UPDATE live_places SET generation = 0",
        ):
            wanted = {"scope_workspace_id": SCOPE.workspace_id} if ":scope" in statement else {}
            session.execute(text(statement), wanted)
