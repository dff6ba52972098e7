"""The earlier studies that a study learns from: found by name, read again as they grow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from hpo import storage
from hpo.errors import BadInput, SpecError
from hpo.plugins import nearest
from hpo.space import SearchSpace
from hpo.spec import StudySpec
from hpo.trials import best_of, has_outcome

RECORDED = "training_arguments"  # of a trial: those in which it differed from the usual ones


@dataclass(frozen=True)
class EarlierStudy:
    """A study that another one learns from.

    Args:
        name: what it is called.
        space: what it searches.
        maximize: whether larger objectives are better.
        trials: its trials at this moment; some may be running.
        constants: name -> value of what all its trials were run with, as far as it is known.
        measured: its metric and task, in words.
    """

    name: str
    space: SearchSpace
    maximize: bool
    trials: Sequence[FrozenTrial]
    constants: Mapping[str, Any]
    measured: str = ""


@dataclass(frozen=True)
class Overlap:
    """What a study can learn from an earlier one.

    Args:
        study: the name of the earlier one.
        trials: how many of its trials have an outcome.
        common: the parameters that both search.
        ignored: those that only the earlier one searches.
        constant: name -> value of those that only the new one searches, where it is known.
        unknown: the others that only the new one searches.
        measured: the metric and the task of the earlier one, in words.
    """

    study: str
    trials: int
    common: list[str]
    ignored: list[str]
    constant: dict[str, Any]
    unknown: list[str]
    measured: str = ""

    @classmethod
    def of(cls, earlier: EarlierStudy, space: SearchSpace) -> "Overlap":
        """Compare an earlier study with a space."""
        theirs = earlier.space.root.keys()
        new = [name for name in space.names() if name not in theirs]
        return cls(
            study=earlier.name,
            trials=sum(map(has_outcome, earlier.trials)),
            common=[name for name in space.names() if name in theirs],
            ignored=[name for name in theirs if name not in space.root],
            constant={name: earlier.constants[name] for name in new if name in earlier.constants},
            unknown=[name for name in new if name not in earlier.constants],
            measured=earlier.measured,
        )


def find(opened: RDBStorage, spec: StudySpec, name: str) -> list[EarlierStudy]:
    """Return the studies that a new one is to learn from.

    Args:
        opened: where all of them are.
        spec: of the new one.
        name: of the new one.

    Raises:
        SpecError: there is nothing to learn from one of them; all problems at once.
        StorageError: the storage cannot be read, or another version of hpo wrote a study.
    """
    found, problems = [], []
    for other in spec.warm_start:
        try:
            found.append(_fit(opened, spec, name, other))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return found


def _fit(opened: RDBStorage, spec: StudySpec, name: str, other: str) -> EarlierStudy:
    if other == name:
        raise SpecError(f"warm_start: found {other!r}, the study itself; expected an earlier one")
    study = _load(opened, other)
    earlier = None if study is None else _Known(study).read()
    if earlier is None:
        known = storage.study_names(opened)
        listed = ", ".join(known) or "none"
        raise SpecError(
            f"warm_start: found no study {other!r}; known are {listed}{nearest(other, known)}"
        )
    if not best_of(earlier.trials, maximize=earlier.maximize):
        raise SpecError(f"warm_start: study {other!r} has no completed trial; expected some")
    overlap = Overlap.of(earlier, spec.search_space())
    if not overlap.common:
        mine = ", ".join(spec.search_space().names())
        raise SpecError(
            f"warm_start: study {other!r} searches {', '.join(overlap.ignored)}; expected a "
            f"parameter of this study among them: {mine}"
        )
    return earlier


class EarlierStudies:
    """Reads a study's earlier studies, again before each trial; what has ended is read once.

    One that is deleted is left out from then on.

    Args:
        opened: where they are.
        names: what they are called.
        note: is told of each that is gone, once.
    """

    def __init__(
        self, opened: RDBStorage, names: Sequence[str], note: Callable[[str], None]
    ) -> None:
        self._note = note
        self._known: dict[str, _Known] = {}
        for name in names:
            study = _load(opened, name)
            if study is None:
                self._say_gone(name)
            else:
                self._known[name] = _Known(study)

    def read(self) -> list[EarlierStudy]:
        """Return them as they are now."""
        found = []
        for name, known in list(self._known.items()):
            earlier = known.read()
            if earlier is None:
                self._say_gone(name)
                del self._known[name]
            else:
                found.append(earlier)
        return found

    def _say_gone(self, name: str) -> None:
        self._note(f"warm start: study {name!r} is no longer there; the search goes on without it")


class _Known:
    """A study that was found, with what does not change of it."""

    def __init__(self, study: Study) -> None:
        attrs = study.user_attrs
        self._study = study
        self._id = attrs[storage.ID]
        self._spec = storage.spec_of(study.study_name, attrs)
        self._maximize = study.direction == StudyDirection.MAXIMIZE
        self._measured = f"{attrs.get(storage.METRIC, 'objective')} of {self._spec.task}"
        self._recorded: dict[str, Any] | None = None

    def read(self) -> EarlierStudy | None:
        """Return it as it is now; None if it was deleted."""
        try:
            if self._study.user_attrs.get(storage.ID) != self._id:
                return None  # Optuna's numbers may come again
            trials = self._study.get_trials(deepcopy=False)
        except KeyError:
            return None
        space = self._spec.search_space()
        return EarlierStudy(
            self._study.study_name, space, self._maximize, trials, self._constants(trials, space),
            self._measured,
        )  # fmt: skip

    def _constants(self, trials: Sequence[FrozenTrial], space: SearchSpace) -> dict[str, Any]:
        """Return what is known of all trials alike: of what they record, of the specification."""
        spec = self._spec
        if self._recorded is None:
            recorded = (trial.user_attrs.get(RECORDED) for trial in trials)
            found = next((each for each in recorded if each is not None), None)
            if found is not None:
                fixed = {name: value for name, value in found.items() if name not in space.root}
                self._recorded = {**_usual(), **fixed}
        tuning = spec.fine_tuning.model_dump()
        models = spec.models()
        return {
            **(self._recorded or {}),
            **{name: value for name, value in tuning.items() if value is not None},
            **({"model": models[0]} if len(models) == 1 else {}),
            **spec.training,
        }


def _usual() -> dict[str, Any]:
    """Return the training arguments that a trial of a Trainer has where nobody says otherwise."""
    from transformers import TrainingArguments  # slow; whoever runs such trials has it already

    usual: dict[str, Any] = TrainingArguments().to_dict()
    return usual


def _load(opened: RDBStorage, name: str) -> Study | None:
    """Return a study; None if there is none of that name."""
    try:
        return storage.load(opened, name)
    except BadInput:
        return None
