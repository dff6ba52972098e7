"""The study file: what it may say, read from TOML and checked.

Pure: the names and types of training arguments are checked by `hpo.training_arguments`, which
needs transformers.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from hpo.errors import BadInput, SpecError
from hpo.parameters import Choice, Float, Int, Prior, Scalar
from hpo.space import SearchSpace
from hpo.validation import problems
from hpo.validation import show as show  # noqa: PLC0414 - whoever reads a specification shows it

Freeze = Annotated[str, Field(pattern=r"^(none|embeddings|encoder|layers:[1-9][0-9]*)$")]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Percent = Annotated[float, Field(strict=True, gt=0, lt=100)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


def _as_list(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"found {show(value)}; expected text or a list of texts")  # noqa: TRY004 - pydantic reports no TypeError
    return [value] if isinstance(value, str) else value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("found a name twice; expected distinct names")
    return names


_List = Annotated[tuple[StrictStr, ...], Field(min_length=1), AfterValidator(_distinct)]
Names = Annotated[_List, BeforeValidator(_as_list)]
"""One name, or several distinct ones."""
_AnyNames = Annotated[
    tuple[StrictStr, ...], AfterValidator(_distinct), BeforeValidator(_as_list)
]  # or none


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSpec(_Part):
    """Where the data is and how to read it.

    Either `path` (a hub id, a `save_to_disk` folder, a folder of files, `sample:ner` or
    `sample:sentiment`), where `train`, `validation` and `test` are names of splits (or of files
    in the folder); or files by split without `path`. Relative paths are relative to the study
    file.

    Args:
        name: the configuration of a hub data set.
        revision: the revision of a hub data set; pin it.
        tokens_column, tags_column: NER; for column files they may be numbers, counted
            from 0, or from the end if negative.
        text_column, label_column: sentiment.
        labels: the names of the classes, or of the tags, in the order of their integers.
        scheme: the tagging scheme of a NER data set; recognised if not given.
        validation_fraction: the share of train that becomes validation where there is none.
        max_train_rows: train on a seeded, stratified subset of this many rows.
    """

    path: StrictStr | None = None
    name: StrictStr | None = None
    revision: StrictStr | None = None
    train: Names | None = None
    validation: Names | None = None
    test: Names | None = None
    tokens_column: StrictStr | StrictInt = "tokens"
    tags_column: StrictStr | StrictInt | None = None
    text_column: StrictStr = "text"
    label_column: StrictStr = "label"
    labels: _List | None = None
    scheme: Literal["IOB1", "IOB2", "BIOES", "BILOU"] | None = None
    validation_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.1
    max_train_rows: Annotated[StrictInt, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.path is None and self.train is None:
            raise ValueError(
                "found neither path nor train; expected path (a hub id, a folder, "
                "'sample:ner', 'sample:sentiment') or train (one or several files)"
            )
        return self


class ObjectiveSpec(_Part):
    """What the search optimises; the task supplies what is not given."""

    metric: StrictStr | None = None
    direction: Literal["maximize", "minimize"] | None = None


class BudgetSpec(_Part):
    """How much may be spent; what is reached first ends the study.

    Args:
        trials: in all, however often the study is run.
        hours: of wall clock from the first trial on, without the time in which none runs.
        max_failures: failed trials that end the study.
        max_attempts: at one trial, whose workers keep dying; then it has failed.
    """

    trials: Annotated[StrictInt, Field(ge=1)] | None = None
    hours: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    max_failures: Annotated[StrictInt, Field(ge=1)] | None = None
    max_attempts: Annotated[StrictInt, Field(ge=1)] = 3


class FineTuningSpec(_Part):
    """Constants that are no training arguments; each one may be searched instead.

    Args:
        freeze: `none`, `embeddings`, `layers:K` (the embeddings and the first K layers) or
            `encoder` (all that was pretrained).
        dropout: hidden and attention dropout; the model's own if not given.
        classifier_dropout: dropout before the classifier; the model's own if not given.
        layerwise_lr_decay: the learning rate of each layer is this factor times that of the
            layer above it; 1 is off (Howard and Ruder 2018, ULMFiT's discriminative fine-tuning).
        max_length: the longest input in sub-tokens, special tokens included; 256, or less where
            the model takes less, if not given.
        truncation_side: sentiment: the side from which a longer text is cut.
    """

    freeze: Freeze = "none"
    dropout: Share | None = None
    classifier_dropout: Share | None = None
    layerwise_lr_decay: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    max_length: Annotated[StrictInt, Field(ge=8)] | None = None
    truncation_side: Literal["left", "right"] = "right"


class PruneSpec(_Part):
    """When a trial is given up before its end; see `hpo.pruning`.

    Args:
        strategy: `median`, `asha` and `hyperband` compare trials, `patience` looks at one alone.
        n_startup_trials: no trial is pruned before so many have completed.
        warmup_epochs: no trial is pruned for its first epochs alone.
        warmup_share: nor for this share of its own schedule; by default a third, and 0 with `asha`
            and `hyperband`, whose first rung says it.
        catch_up: a trial is spared that would reach the best completed one by the end of its
            schedule if it rose so many times as fast as of late; 0 spares only who is there. 1, a
            straight line, is twice what is left of a learning rate that decays linearly.
        percentile: `median`: a trial goes on among the best so many percent of the completed ones.
        min_epochs: `asha`, `hyperband`: the first rung.
        reduction_factor: `asha`, `hyperband`: one of so many goes on at each rung, the next of
            which is so many times as far.
        patience: epochs without an improvement of more than `min_delta`.
    """

    strategy: Literal["none", "median", "asha", "hyperband", "patience"] = "none"
    n_startup_trials: Annotated[StrictInt, Field(ge=1)] = 5
    warmup_epochs: NotNegative = 1.0
    warmup_share: Share | None = None
    catch_up: NotNegative = 1.0
    percentile: Percent = 50.0
    min_epochs: Positive = 1.0
    reduction_factor: Annotated[StrictInt, Field(ge=2)] = 3
    patience: Positive = 1.0
    min_delta: NotNegative = 0.0

    def misplaced(self) -> Iterator[str]:
        """Name the options that the strategy does not have."""
        rungs, alone = ("min_epochs", "reduction_factor"), ("patience", "min_delta")
        among = ("n_startup_trials", "warmup_epochs", "warmup_share")
        known = {
            "none": (),
            "median": (*among, "catch_up", "percentile"),
            "asha": (*among, "catch_up", *rungs),
            "hyperband": (*among, "catch_up", *rungs),
            "patience": (*among, *alone),
        }[self.strategy]
        for name, field in type(self).model_fields.items():
            if name not in ("strategy", *known) and getattr(self, name) != field.default:
                has = ", ".join(known) or "no options"
                yield f'prune.{name}: found beside strategy = "{self.strategy}", which has {has}'


class StopSpec(_Part):
    """When a study has plateaued, and ends whatever is left of its budget; see `hpo.plateau`.

    Args:
        patience: trials in a row that did not improve the best by more than `min_delta`.
        min_trials: it goes on at least until so many trials have ended.
    """

    patience: Annotated[StrictInt, Field(ge=1)]
    min_delta: NotNegative = 0.0
    min_trials: Annotated[StrictInt, Field(ge=1)] = 10


class ConfirmSpec(_Part):
    """How the winner is chosen once the search is over; see `hpo.confirmation`.

    Args:
        top: so many of the best configurations are trained again,
        seeds: with so many new seeds each; the best mean wins.
    """

    top: Annotated[StrictInt, Field(ge=1, le=100)] = 3
    seeds: Annotated[StrictInt, Field(ge=1, le=100)] = 3


class StudySpec(_Part):
    """A whole study file.

    Args:
        model: a hub id (`ID@REVISION` for a branch, a tag or a commit), a local folder (relative
            to the study file), or `sample:bert`, `sample:roberta`, `sample:gpt2`,
            `sample:openai-gpt`; a list is searched.
        trust_remote_code: run code that a hub model or data set brings along.
        keep_checkpoints: how many of the best trials keep their weights.
        strategy_options: of the strategy; it says which there are.
        warm_start: earlier studies of the same storage, whose trials the strategy learns from.
        start: configurations that are tried first; what one leaves out, the strategy chooses.
        baseline: the default configuration of the field takes one of the trials, where the space
            holds it and the strategy samples.
    """

    task: StrictStr
    model: Names
    strategy: StrictStr = "bayes"
    strategy_options: dict[StrictStr, JsonValue] = {}
    warm_start: _AnyNames = ()
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = 42
    trust_remote_code: StrictBool = False
    keep_checkpoints: Annotated[StrictInt, Field(ge=1)] = 1
    data: DataSpec
    objective: ObjectiveSpec = ObjectiveSpec()
    budget: BudgetSpec = BudgetSpec()
    prune: PruneSpec = PruneSpec()
    stop: StopSpec | None = None
    confirm: ConfirmSpec | None = None
    baseline: StrictBool = True
    fine_tuning: FineTuningSpec = FineTuningSpec()
    training: dict[StrictStr, JsonValue] = {}
    space: SearchSpace
    start: tuple[dict[StrictStr, Scalar], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if found := list(self._contradictions()):
            raise ValueError("\n".join(found))
        return self

    def _contradictions(self) -> Iterator[str]:
        if not self.search_space():
            yield "space: found no parameter; expected at least one to search"
        yield from self._misplaced()
        yield from self.prune.misplaced()
        if self.prune.strategy == "hyperband":
            for name in sorted({"num_train_epochs", "max_steps"} & self.space.root.keys()):
                yield (
                    f'space.{name}: found beside prune.strategy = "hyperband", for which the '
                    f"length of a training is the budget; expected {name} in [training], or "
                    'another strategy, such as "asha"'
                )
        for index, params in enumerate(self.start):
            for problem in self.search_space().misfits(params):
                yield f"start[{index}].{problem}"

    def _misplaced(self) -> Iterator[str]:
        for name, parameter in self.space.root.items():
            values = parameter.values if isinstance(parameter, Choice) else parameter.bounds()
            if name in self.training:
                yield f"space.{name}: found in [training] too; expected it in one place"
            elif name in FineTuningSpec.model_fields and self._is_constant(name):
                yield f"space.{name}: found in [fine_tuning] too; expected it in one place"
            elif name == "model" and len(self.model) > 1:
                yield "space.model: found beside a list in model; expected one of them"
            elif name == "model" and not all(isinstance(value, str) for value in values):
                yield f"space.model: found {show(values)}; expected a choice of models"
            elif name in FineTuningSpec.model_fields:
                for value in values:
                    yield from _misfits(name, value)

    def _is_constant(self, name: str) -> bool:
        return bool(getattr(self.fine_tuning, name) != getattr(FineTuningSpec(), name))

    def search_space(self) -> SearchSpace:
        """Return the space, with the model in it where the file lists several."""
        if len(self.model) == 1:
            return self.space
        return SearchSpace({"model": Choice(type="choice", values=self.model), **self.space.root})

    def models(self) -> list[str]:
        """Return every model that a trial may use."""
        parameter = self.space.root.get("model")
        if not isinstance(parameter, Choice):
            return list(self.model)
        searched = [str(value) for value in parameter.values]
        usual = (
            [] if parameter.when is None else self.model
        )  # of trials in which it is not searched
        return list(dict.fromkeys([*searched, *usual]))

    @contextmanager
    def located(self) -> Iterator[None]:
        """Name the table of the parameter that a problem begins with: `space.freeze: found …`."""
        try:
            yield
        except BadInput as error:
            raise type(error)([self._located(problem) for problem in error.problems]) from error

    def _located(self, problem: str) -> str:
        name = problem.partition(":")[0]
        if name not in FineTuningSpec.model_fields:
            return problem
        return f"{'space' if name in self.space.root else 'fine_tuning'}.{problem}"

    def to_json(self) -> dict[str, Any]:
        """Return what the study stores: everything, with the defaults filled in."""
        return self.model_dump(mode="json")

    def differences(self, other: "StudySpec") -> list[str]:
        """Name what differs between two specifications of one study, the budget aside."""
        mine, theirs = (flatten(spec.identity()) for spec in (self, other))
        return [
            f"{key}: stored {show(theirs.get(key))}, found {show(mine.get(key))}"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

    def digest(self) -> str:
        """Return 16 hexadecimal digits of SHA-256 over all that may never change in a study."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def identity(self) -> dict[str, Any]:
        """Return all that may never change in a study."""
        return self.model_dump(
            mode="json", exclude={"budget", "keep_checkpoints", "stop", "confirm"}
        )


_PARTS: dict[str, type[BaseModel]] = {
    "": StudySpec,
    "data": DataSpec,
    "objective": ObjectiveSpec,
    "budget": BudgetSpec,
    "prune": PruneSpec,
    "stop": StopSpec,
    "confirm": ConfirmSpec,
    "fine_tuning": FineTuningSpec,
    "float": Float,
    "int": Int,
    "choice": Choice,
    "prior": Prior,
}

MODEL_PARAMETERS = {"model": None, **FineTuningSpec.model_fields}
"""The searchable parameters that are no training arguments."""


@dataclass(frozen=True)
class StudyFile:
    """A study file that was read: its path and what it says."""

    path: Path
    spec: StudySpec

    @property
    def folder(self) -> Path:
        """The folder that relative paths of data and models start from."""
        return self.path.parent.resolve()

    @property
    def study_name(self) -> str:
        """What the study is called where nobody says otherwise."""
        return f"{self.path.stem}-{self.spec.strategy}"


def overrides(
    *, strategy: str | None, trials: int | None = None, warm_start: Sequence[str] = ()
) -> list[str]:
    """Return what `load` takes, for the keys that are most often set for one run."""
    given = {"strategy": strategy, "budget.trials": trials, "warm_start": list(warm_start) or None}
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)}"  # TOML has no surrogates
        for key, value in given.items()
        if value is not None
    ]


def load(path: Path, overrides: Sequence[str] = ()) -> StudyFile:
    """Read and check a study file.

    Args:
        path: the TOML file.
        overrides: `KEY=VALUE` with a dotted key and a TOML value (or plain text), applied to
            what the file says.

    Raises:
        SpecError: the file cannot be read, or says something wrong; all mistakes at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{path}: found no such study file") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: found a folder; expected a study file (TOML)") from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: byte {error.start}: found no UTF-8; expected a TOML file in UTF-8"
        ) from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _apply(document, override)
    return StudyFile(path, parse(document, str(path)))


def parse(document: Mapping[str, Any], where: str) -> StudySpec:
    """Check what a study file says.

    Raises:
        SpecError: all that is wrong, each problem with `where`, the key, what was found and what
            would be right.
    """
    try:
        return StudySpec.model_validate(document)
    except ValidationError as error:
        raise SpecError([f"{where}: {text}" for text in problems(error, _PARTS)]) from None


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables: `{"a": {"b": 1}}` becomes `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{name}.")
        else:
            flat[name] = item
    return flat


def _apply(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SpecError(f"--set: found {override!r}; expected KEY=VALUE, e.g. budget.trials=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.split(".")
    table = document
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SpecError(f"--set: found {key!r}, but {name!r} is no table")
    table[last] = value
    if tables in (["training"], ["fine_tuning"]):
        _fix(document, last, value)


def _fix(document: dict[str, Any], name: str, value: object) -> None:
    """Leave a parameter, which is a constant now, out of the search and of what refers to it."""
    space = document.get("space")
    if not isinstance(space, dict) or space.pop(name, None) is None:
        return
    starts = document.get("start", [])
    for start in starts if isinstance(starts, list) else []:
        if isinstance(start, dict):
            start.pop(name, None)
    for other, parameter in list(space.items()):
        when = parameter.get("when") if isinstance(parameter, dict) else None
        if not isinstance(when, dict) or name not in when:
            continue
        wanted = when.pop(name)
        if value not in (wanted if isinstance(wanted, list) else [wanted]):
            _fix(document, other, None)  # it never exists


def _misfits(name: str, value: object) -> list[str]:
    try:
        FineTuningSpec.model_validate({name: value})
    except ValidationError as error:
        return [f"space.{text}" for text in problems(error, _PARTS)]
    return []
