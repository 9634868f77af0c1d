"""In which order passages stand in a prompt, so that prompts begin alike, and who may share them.

A model computes a prompt once as far as it begins like an earlier one of the same scope. What was
shown often comes first and always in the same order; how well a passage fits the question decides
whether it is shown, not where.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ponant.accounts import Principal
from ponant.assistant.grounding import Evidence

_MOST_COUNTED = 10_000  # passages; past that, all counts are halved and the rarest forgotten


class Arrangement:
    """Remembers which passages were shown how often."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()

    def arranged(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """The evidence with what is shown most often first."""
        self._shown.update(one.hit.passage_id for one in evidence)
        if len(self._shown) > _MOST_COUNTED:
            halved = {key: count // 2 for key, count in self._shown.items() if count > 1}
            self._shown = Counter(halved)
        return sorted(evidence, key=self._place)

    def forget(self, passage_ids: Sequence[str]) -> None:
        """What is gone is not shown again."""
        for passage_id in passage_ids:
            self._shown.pop(passage_id, None)

    def _place(self, evidence: Evidence) -> tuple[int, str]:
        # By powers of two, so that two which are shown about equally often do not change places.
        shown = self._shown[evidence.hit.passage_id]
        return -shown.bit_length(), evidence.hit.passage_id


def cache_scope(caller: Principal, readers: Iterable[str]) -> str:
    """Whose prompts may share pages: a workspace's, and where access lists stand over what is said,
    those whose prompts hold text of the very same lists.
    """
    return "/".join((caller.workspace_id, *sorted(readers)))
