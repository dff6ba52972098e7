"""Checked NER rows -> IOB2: one scheme for the whole data set, and the labels of the model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hpo.data.rows import Rows
from hpo.data.schemes import Evidence, InvalidSequenceError, Scheme, parse_tag, to_iob2
from hpo.data.tables import Problems, listed
from hpo.errors import DataError
from hpo.spec import DataSpec


@dataclass(frozen=True)
class Tagging:
    """How the tags of a data set are read.

    Args:
        scheme: the one of every split.
        declared: whether the study file names it.
        mixed: whether entities begin in the way of IOB1 and in that of IOB2.
    """

    scheme: Scheme
    declared: bool
    mixed: bool

    def notice(self) -> list[str]:
        """Say what is converted, if anything is."""
        if self.scheme == "IOB2":
            return []
        how = "as data.scheme says" if self.declared else "as their sequences show"
        return [f"The tags are in {self.scheme}, {how}; they are read as IOB2."]

    def convert(self, rows: Rows, problems: Problems) -> Rows:
        """Return the rows in IOB2; the first invalid tag of each row is a problem."""
        targets = []
        for row, tags in enumerate(rows.targets):
            try:
                targets.append(to_iob2(tags, self.scheme))
            except InvalidSequenceError as error:
                problems.add(f"{rows.place(row, error.position)}: {error}{self._advice()}")
                targets.append(tags)
        return replace(rows, targets=targets)

    def _advice(self) -> str:
        if self.declared:
            return ""
        if self.mixed:
            return ", as in most entities (data.scheme = 'IOB1' reads both, each B- as a beginning)"
        return f" ({self.scheme} was recognised over train and validation; see data.scheme)"


def recognise(splits: Iterable[Rows], spec: DataSpec) -> Tagging:
    """Find the scheme of a data set from its train and validation split."""
    if spec.scheme is not None:
        return Tagging(spec.scheme, declared=True, mixed=False)
    evidence = Evidence()
    for rows in splits:
        for tags in rows.targets:
            evidence.add(tags)
    scheme = evidence.scheme()
    mixed = scheme in ("IOB1", "IOB2") and bool(evidence.iob1 and evidence.iob2)
    return Tagging(scheme, declared=False, mixed=mixed)


def check_mixed(tagging: Tagging, splits: Sequence[Rows], problems: Problems) -> None:
    """Refuse B- where IOB1 was only recognised and would have I-: one of the two is wrong."""
    if not (tagging.mixed and tagging.scheme == "IOB1"):
        return
    for rows in splits:
        for row, tags in enumerate(rows.targets):
            for position, tag in enumerate(tags):
                before = tags[position - 1][2:] if position else ""
                if tag[0] == "B" and before != tag[2:]:
                    problems.add(
                        f"{rows.place(row, position)}: found {tag!r}, which does not touch an "
                        f"entity of its type; IOB1 expects 'I-{tag[2:]}' there, as in most "
                        "entities (data.scheme = 'IOB1' reads both, each B- as a beginning)"
                    )
                    break


def entity_types(tags: Iterable[str]) -> list[str]:
    """Return the type of each entity of a sentence in IOB2, in order."""
    return [tag[2:] for tag in tags if tag[0] == "B"]


def output_labels(splits: Sequence[Rows], spec: DataSpec, scheme: Scheme) -> list[str]:
    """Return the labels in the order of the model's outputs.

    Args:
        splits: rows in IOB2.
        spec: may declare the labels.
        scheme: that of the declared names.

    Raises:
        DataError: `data.labels` are no tags, or O is not among them.
    """
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
    converted = {}
    for label in labels:
        letter, kind = parse_tag(label) or ("O", "")
        converted[f"{'B' if letter in 'BS' else 'I'}-{kind}" if kind else "O"] = kind
    complete = [f"{prefix}-{kind}" for kind in converted.values() if kind for prefix in "BI"]
    return list(dict.fromkeys([*converted, *complete]))


def check_labels(rows: Rows, labels: Sequence[str], problems: Problems) -> None:
    """Refuse the tags that the declared labels do not have."""
    known = set(labels)
    for row, tags in enumerate(rows.targets):
        for position, tag in enumerate(tags):
            if tag not in known:
                problems.add(
                    f"{rows.place(row, position)}: found {tag!r}; expected one of data.labels: "
                    f"{listed(labels)}"
                )
                break
