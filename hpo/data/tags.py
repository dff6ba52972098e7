"""Checked NER rows -> IOB2: one scheme for the whole data set, and the labels of the model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hpo.data.rows import Rows
from hpo.data.schemes import (
    Evidence,
    InvalidSequenceError,
    Scheme,
    evidence_of,
    parse_tag,
    to_iob2,
)
from hpo.data.tables import Problems, listed
from hpo.errors import DataError
from hpo.spec import DataSpec


@dataclass(frozen=True)
class Tagging:
    """How the tags of a data set are read.

    Args:
        scheme: the one of every split.
        labels: the names in the order of the model's outputs, in IOB2.
        spec: may name the scheme and the labels; then they are not to be guessed.
        mixed: whether entities begin in the way of IOB1 and in that of IOB2.
        apart: whether that is because one split is in IOB1 throughout and the other in IOB2.
    """

    scheme: Scheme
    labels: list[str]
    spec: DataSpec
    mixed: bool
    apart: bool = False

    def notice(self) -> list[str]:
        """Say what is converted, if anything is."""
        if self.scheme == "IOB2":
            return []
        if self.apart:
            return [
                "Of train and validation one is in IOB1, the other in IOB2, as their sequences "
                "show; both are read as IOB2."
            ]
        how = "as data.scheme says" if self.spec.scheme else "as their sequences show"
        return [f"The tags are in {self.scheme}, {how}; they are read as IOB2."]

    def convert(self, rows: Rows, problems: Problems) -> Rows:
        """Return the rows in IOB2; the first wrong tag of each row is a problem.

        Wrong is what the scheme does not allow there, and what declared labels do not have.
        """
        declared = set(self.labels) if self.spec.labels is not None else None
        targets = []
        for row, tags in enumerate(rows.targets):
            try:
                converted = to_iob2(tags, self.scheme)
            except InvalidSequenceError as error:
                problems.add(f"{rows.place(row, error.position)}: {error}{self._advice()}")
                continue
            if declared is not None and not declared.issuperset(converted):
                position = next(n for n, tag in enumerate(converted) if tag not in declared)
                problems.add(
                    f"{rows.place(row, position)}: found {converted[position]!r}; expected one of "
                    f"data.labels: {listed(self.labels)}"
                )
            targets.append(converted)
        return replace(rows, targets=targets)

    def _advice(self) -> str:
        if self.spec.scheme:
            return ""
        if self.mixed:
            return f", as other entities begin ({_READS_BOTH})"
        return f" ({self.scheme} was recognised over train and validation; see data.scheme)"


_ENOUGH = 10  # entities of a split that agree are its scheme, and no mistake
_READS_BOTH = "data.scheme = 'IOB1' reads both, each B- as a beginning"


def read_as_iob2(splits: Sequence[Rows], spec: DataSpec) -> tuple[Tagging, list[Rows]]:
    """Recognise the scheme that train and validation share, and convert them to IOB2.

    Args:
        splits: rows with tags of any scheme.
        spec: may name the scheme and the labels.

    Raises:
        DataError: the tags that do not fit, or `data.labels` are no tags, O among them.
    """
    each = [evidence_of(rows.targets) for rows in splits]
    together = sum(each, Evidence())
    scheme = spec.scheme or together.scheme()
    guessed = spec.scheme is None and scheme in ("IOB1", "IOB2")
    mixed = guessed and together.iob1 > 0 and together.iob2 > 0
    apart = mixed and all(_ENOUGH <= max(one.iob1, one.iob2) == one.iob1 + one.iob2 for one in each)
    if apart:
        scheme = "IOB1"  # which reads what is right IOB2 in the same way
    tagging = Tagging(scheme, _output_labels(splits, spec, scheme), spec, mixed, apart)
    problems = Problems()
    converted = []
    for rows in splits:
        if mixed and not apart and scheme == "IOB1":
            _refuse_lone_b(rows, problems)
        converted.append(tagging.convert(rows, problems))
    problems.raise_any()
    return tagging, converted


def _refuse_lone_b(rows: Rows, problems: Problems) -> None:
    # IOB1 that was only guessed does not excuse B- where it would have I-: one is wrong.
    for row, tags in enumerate(rows.targets):
        for position, tag in enumerate(tags):
            before = tags[position - 1][2:] if position else ""
            if tag[0] == "B" and before != tag[2:]:
                problems.add(
                    f"{rows.place(row, position)}: found {tag!r}, which does not touch an entity "
                    f"of its type; IOB1 expects 'I-{tag[2:]}' there, as in most entities "
                    f"({_READS_BOTH})"
                )
                break


def entity_types(tags: Iterable[str]) -> list[str]:
    """Return the type of each entity of a sentence in IOB2, in order."""
    return [tag[2:] for tag in tags if tag[0] == "B"]


def _output_labels(splits: Sequence[Rows], spec: DataSpec, scheme: Scheme) -> list[str]:
    if spec.labels is not None:
        return _declared(spec.labels, scheme)
    types = {
        parsed[1]
        for rows in splits
        for tags in [rows.class_names, *rows.targets]
        for tag in tags
        if tag != "O" and (parsed := parse_tag(tag))
    }
    return ["O", *(f"{prefix}-{kind}" for kind in sorted(types) for prefix in "BI")]


def _declared(labels: Sequence[str], scheme: Scheme) -> list[str]:
    if wrong := [label for label in labels if parse_tag(label) is None]:
        raise DataError(
            f"data.labels: found {listed(wrong)}; expected tags: O, B-PER, I-PER and so on"
        )
    if "O" not in labels:
        raise DataError(f"data.labels: found {listed(labels)}; expected 'O' among them")
    if scheme == "IOB2":
        return list(labels)
    # Names of another scheme: the same order, and what the conversion writes besides.
    types = {}
    for label in labels:
        letter, kind = parse_tag(label) or ("O", "")
        types[f"{'B' if letter in 'BS' else 'I'}-{kind}" if kind else "O"] = kind
    complete = [f"{prefix}-{kind}" for kind in types.values() if kind for prefix in "BI"]
    return list(dict.fromkeys([*types, *complete]))
