"""Tagging schemes: what is recognised, converted and refused."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.schemes import Evidence, InvalidSequenceError, Scheme, parse_tag, to_iob2

SCHEMES: tuple[Scheme, ...] = ("IOB1", "IOB2", "BIOES", "BILOU")

TYPES = ("PER", "LOC", "creative-work", "E-mail", "人")

entities = st.lists(st.tuples(st.sampled_from([None, *TYPES]), st.integers(1, 4)), max_size=8)


def iob2(parts: Sequence[tuple[str | None, int]]) -> list[str]:
    """Write entities (None: words outside) of some length each."""
    tags = []
    for kind, length in parts:
        tags += ["O"] * length if kind is None else [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
    return tags


def write(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Write IOB2 in another scheme, by the definition of that scheme."""
    written = []
    inner, single = ("E", "S") if scheme == "BIOES" else ("L", "U")
    for position, tag in enumerate(tags):
        kind = tag[2:]
        before = tags[position - 1][2:] if position else ""
        goes_on = position + 1 < len(tags) and tags[position + 1] == f"I-{kind}"
        if tag == "O" or scheme == "IOB2":
            written.append(tag)
        elif scheme == "IOB1":
            written.append(tag if tag[0] == "B" and before == kind else f"I-{kind}")
        elif tag[0] == "B":
            written.append(tag if goes_on else f"{single}-{kind}")
        else:
            written.append(tag if goes_on else f"{inner}-{kind}")
    return written


@given(entities, st.sampled_from(SCHEMES))
def test_conversion_is_the_inverse_of_writing(
    parts: list[tuple[str | None, int]], scheme: Scheme
) -> None:
    """IOB2, written in any scheme and read as that scheme, is what it was."""
    tags = iob2(parts)
    assert to_iob2(write(tags, scheme), scheme) == tags


@given(st.lists(entities, max_size=5), st.sampled_from(SCHEMES))
def test_the_scheme_is_recognised(
    sentences: list[list[tuple[str | None, int]]], scheme: Scheme
) -> None:
    """What a data set with an entity is written in is recognised from its tags alone."""
    originals = [iob2(parts) for parts in sentences]
    evidence = Evidence()
    for tags in originals:
        evidence.add(write(tags, scheme))
    has_entity = any(kind for parts in sentences for kind, _ in parts)
    assert evidence.scheme() == (scheme if has_entity else "IOB2")


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("IOB1", "I-PER I-PER B-PER I-LOC", "B-PER I-PER B-PER B-LOC"),
        ("IOB1", "B-PER O B-LOC I-LOC", "B-PER O B-LOC I-LOC"),
        ("IOB2", "B-PER B-PER I-PER O", "B-PER B-PER I-PER O"),
        ("BIOES", "B-PER M-PER E-PER S-LOC", "B-PER I-PER I-PER B-LOC"),
        ("BIOES", "W-PER B-LOC E-LOC", "B-PER B-LOC I-LOC"),
        ("BILOU", "B-PER I-PER L-PER U-LOC", "B-PER I-PER I-PER B-LOC"),
    ],
)
def test_conversion(scheme: Scheme, tags: str, expected: str) -> None:
    """Each scheme is read as it is defined."""
    assert to_iob2(tags.split(), scheme) == expected.split()


@pytest.mark.parametrize(
    ("scheme", "tags", "position", "found"),
    [
        ("IOB2", "O I-PER", 1, "'I-PER' after 'O'; IOB2 expects 'B-PER'"),
        ("IOB2", "I-PER", 0, "'I-PER' after the beginning of the sentence"),
        ("IOB2", "B-PER I-LOC", 1, "'I-LOC' after 'B-PER'"),
        ("IOB2", "O S-PER", 1, "'S-PER'; IOB2 has B-, I- and O"),
        ("IOB1", "I-PER E-PER", 1, "'E-PER'; IOB1 has"),
        ("BIOES", "B-PER O", 1, "'O' after 'B-PER'; BIOES expects 'I-PER' or 'E-PER'"),
        ("BIOES", "O B-PER I-PER", 2, "the end of the sentence after 'I-PER'"),
        ("BIOES", "B-PER E-LOC", 1, "'E-LOC' after 'B-PER'"),
        ("BIOES", "B-PER B-PER E-PER", 1, "'B-PER' after 'B-PER'"),
        ("BIOES", "S-PER E-PER", 1, "'E-PER' where no entity is open"),
        ("BILOU", "O I-PER L-PER", 1, "expects 'B-PER' or 'U-PER'"),
        ("BILOU", "B-PER U-PER", 1, "expects 'I-PER' or 'L-PER'"),
    ],
)
def test_invalid_sequences(scheme: Scheme, tags: str, position: int, found: str) -> None:
    """What a scheme does not allow is refused at its first tag, with what would be right."""
    with pytest.raises(InvalidSequenceError, match=found) as caught:
        to_iob2(tags.split(), scheme)
    assert caught.value.position == position


@pytest.mark.parametrize("tag", ["", "B", "B-", "B- ", "PER", "X-PER", "b-PER", "B_PER", "o", "-"])
def test_what_is_no_tag(tag: str) -> None:
    """Text that is a tag of no scheme is told from one."""
    assert parse_tag(tag) is None


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["I-PER O", "I-PER B-PER"], "IOB1"),  # CoNLL-2003: B- is rare, B-PER never occurs
        (["B-PER I-PER", "O B-LOC"], "IOB2"),
        (["B-PER O", "O I-PER"], "IOB2"),  # a tie: one of them is a mistake
        (["B-PER O", "B-PER O", "O I-PER"], "IOB2"),
        (["I-PER O", "I-PER O", "O B-PER"], "IOB1"),
        (["S-PER O"], "BIOES"),
        (["B-PER L-PER"], "BILOU"),
        (["O O"], "IOB2"),
    ],
)
def test_evidence(sentences: list[str], scheme: Scheme) -> None:
    """The scheme follows from how entities begin, over all sentences."""
    evidence = Evidence()
    for tags in sentences:
        evidence.add(tags.split())
    assert evidence.scheme() == scheme
