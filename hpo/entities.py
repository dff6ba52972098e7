"""Entities of a sentence from its IOB2 tags. Pure."""

from collections.abc import Sequence

Entity = tuple[str, int, int]
"""Type, first word, and the word behind the last."""


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of a sentence, in their order.

    As seqeval reads IOB2 in its strict mode: an I- that continues nothing is no entity.
    """
    found: list[Entity] = []
    for word, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((tag[2:], word, word + 1))
        elif found and found[-1][2] == word and tag == f"I-{found[-1][0]}":
            found[-1] = (*found[-1][:2], word + 1)
    return found
