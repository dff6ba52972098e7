"""The preflight: try what can go wrong before the first trial, without spending one."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from transformers import set_seed

from hpo import storage, training_arguments
from hpo.data import Split, load_test, overlap
from hpo.device import Device
from hpo.errors import BadInput, ModelError, SpecError, TrialFailed
from hpo.fine_tuning import Job, build_model, failures_told, make_trainer
from hpo.fine_tuning import training_arguments as build_arguments
from hpo.observer import Observer
from hpo.own_training import trains_itself
from hpo.parameters import Choice, Scalar
from hpo.pruning import described
from hpo.quiet import quieten
from hpo.recipe import Recipe, resolve
from hpo.remarks import about_device, remarks
from hpo.spec import StudyFile
from hpo.strategies import Strategy, load_strategy
from hpo.tasks import TASKS
from hpo.warm_start import EarlierStudy, Overlap, find
from hpo.watch import Watch
from hpo.workspace import Workspace

_COPIES_OF_A_TRIAL = 10  # three checkpoints of weights and two moments each, and the best weights


@dataclass(frozen=True)
class ModelReport:
    """What a model was found to be."""

    name: str
    parameters: int
    trainable: int
    max_length: int
    loss: float


@dataclass(frozen=True)
class Report:
    """What the preflight found.

    Args:
        study: the file.
        task, strategy, metric, direction: as they will be used.
        labels: the model's outputs; those that only the test split has are among them here.
        splits: name -> `rows` and `labels` (entity type or class -> count).
        models: one each.
        device: where trials would run.
        points: how many the grid has; None for a strategy that samples.
        pruning: when trials are given up, in words.
        disk_needed, disk_free: bytes.
        notices: sentences about the data, and about what is hardly meant.
        starts: the configurations that are tried first.
        beliefs: what the strategy believes before the first trial, in sentences.
        warm_start: what each earlier study has to teach.
    """

    study: str
    task: str
    strategy: str
    metric: str
    direction: str
    labels: list[str]
    splits: dict[str, dict[str, Any]]
    models: list[ModelReport]
    device: str
    points: int | None
    pruning: str
    disk_needed: int
    disk_free: int
    notices: list[str] = field(default_factory=list)
    beliefs: list[str] = field(default_factory=list)
    warm_start: list[Overlap] = field(default_factory=list)
    starts: list[dict[str, Scalar]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def check(file: StudyFile, output: Path, storage_url: str, say: Callable[[str], None]) -> Report:
    """Try everything that a study needs.

    Args:
        file: the study.
        output: where its trials would write.
        storage_url: where it would be stored; read if it is to learn from earlier studies.
        say: is told what is being tried.

    Raises:
        BadInput: everything that is wrong, as far as one mistake does not hide another.
    """
    quieten()
    problems: list[str] = []
    spec = file.spec
    if trains_itself(TASKS.load(spec.task)):
        raise BadInput(f"task: {spec.task!r} trains by itself; hpo has nothing to try beforehand")
    cache = output.resolve() / "cache"
    workspace = Workspace(spec, file.folder, output.resolve() / "check", cache)
    say("names")
    strategy = check_names(file, workspace)
    earlier: list[EarlierStudy] = []
    with _collected(problems):
        _check_writable(output)
    with _collected(problems):
        earlier = _earlier(file, storage_url)
    say("data")
    test = None
    with _collected(problems):
        _ = workspace.data
        workspace.check_class_metric()
        test = load_test(
            spec.data,
            layout=workspace.task.layout,
            folder=file.folder,
        )
    if problems:
        _refuse(problems, file)
    reports = []
    for model in spec.models():
        say(f"model {model}")
        with _collected(problems), spec.located():
            reports.append(_check_model(workspace, model))
    copies = _COPIES_OF_A_TRIAL + spec.keep_checkpoints + 1  # that of the default
    needed = max((report.parameters for report in reports), default=0) * 4 * copies
    free = shutil.disk_usage(output).free
    if needed > free:
        problems.append(f"--output: {output} has {free:,} bytes free; a trial needs {needed:,}")
    if problems:
        _refuse(problems, file)
    report = _report(file, workspace, test, reports, strategy, (needed, free))
    return replace(
        report,
        warm_start=[Overlap.of(each, workspace.space) for each in earlier],
        beliefs=strategy.told(workspace.space, earlier),
    )


def check_names(file: StudyFile, workspace: Workspace) -> Strategy:
    """Check all that needs neither data nor model, and return the strategy.

    Raises:
        SpecError: everything that is wrong.
    """
    problems: list[str] = []
    spec = file.spec
    with _collected(problems):
        training_arguments.check(spec, str(file.path))
    with _collected(problems):
        _ = workspace.objective
        left = spec.fine_tuning.truncation_side == "left"
        if workspace.task.takes_words and (left or "truncation_side" in spec.space.root):
            table = "fine_tuning" if left else "space"
            problems.append(f"{table}.truncation_side: {spec.task} cuts no input; leave it out")
    with _collected(problems):
        strategy = load_strategy(spec)
    if problems:
        _refuse(problems, file)
    return strategy


def _earlier(file: StudyFile, storage_url: str) -> list[EarlierStudy]:
    if not file.spec.warm_start:
        return []
    opened = storage.open_storage(storage_url, create=False)
    try:
        with storage.told(opened.engine.url):
            return find(opened, file.spec, file.study_name)
    finally:
        opened.engine.dispose()


def _report(
    file: StudyFile,
    workspace: Workspace,
    test: Split | None,
    reports: list[ModelReport],
    strategy: Strategy,
    disk: tuple[int, int],
) -> Report:
    data = workspace.data
    points = strategy.points(workspace.space, workspace.spec.seed)
    count = None if points is None else len(points)
    splits = {"train": data.train, "validation": data.validation}
    notices = [
        *data.notices, *workspace.unpinned(), *remarks(workspace.spec, strategy, count),
        *about_device(workspace.spec, Device.here()),
    ]  # fmt: skip
    labels = list(data.labels)
    if test is not None:
        splits["test"] = test
        notices += _about_test(workspace, test)
        labels += _new_labels(workspace, test)
    return Report(
        study=str(file.path),
        task=workspace.spec.task,
        strategy=workspace.spec.strategy,
        metric=workspace.objective.metric,
        direction=workspace.direction,
        labels=labels,
        splits={
            name: {"rows": len(split.rows), "labels": split.counts}
            for name, split in splits.items()
        },
        models=reports,
        device=Device.here().name,
        points=count,
        pruning=described(workspace.spec.prune),
        disk_needed=disk[0],
        disk_free=disk[1],
        notices=notices,
        starts=[workspace.space.completed(each) for each in workspace.spec.start],
    )


def _new_labels(workspace: Workspace, test: Split) -> list[str]:
    known = set(workspace.data.labels)
    names = (
        [f"{prefix}-{kind}" for kind in test.counts for prefix in ("B", "I")]
        if workspace.task.layout == "tokens"
        else list(test.counts)
    )
    return [name for name in names if name not in known]


def _about_test(workspace: Workspace, test: Split) -> list[str]:
    notices = []
    if fresh := _new_labels(workspace, test):
        notices.append(
            f"the test split has labels that train and validation lack ({', '.join(fresh)}); the "
            "search does not read it: name them in [data] labels to give the model these outputs"
        )
    for name, split in (("train", workspace.data.train), ("validation", workspace.data.validation)):
        if shared := overlap(split, test):
            notices.append(f"{shared} rows of test have a text that {name} has too")
    return notices


def _check_model(workspace: Workspace, model: str) -> ModelReport:
    """Build the model with every value that could fail; one step with the largest batch."""
    space = workspace.space
    for name in ("max_length", "freeze", "dropout", "classifier_dropout"):
        for value in _extremes(space.root.get(name)):
            recipe = _recipe(workspace, model, {name: value})
            if name == "max_length":
                workspace.inputs(recipe)
            else:
                build_model(workspace.job(recipe, workspace.folder))
    recipe = _recipe(workspace, model, {})
    with tempfile.TemporaryDirectory() as folder:
        job = workspace.job(recipe, Path(folder))
        return _one_step(job)


def _one_step(job: Job) -> ModelReport:
    args = build_arguments(job, Device.here(cpu=bool(job.recipe.training.get("use_cpu"))))
    set_seed(args.seed)
    model = build_model(job)
    watch = Watch(job.objective, job.folder, Observer(), classes=len(job.inputs.encoding.labels))
    where = f"model {job.recipe.model}"
    with _blamed(f"{where}: refused by transformers' Trainer"):
        trainer = make_trainer(model, args, job, watch)
        trainer.create_optimizer_and_scheduler(num_training_steps=100)
    with (
        _blamed(
            f"{where}: one step with {args.per_device_train_batch_size} inputs of up to "
            f"{job.inputs.encoding.max_length} sub-tokens failed"
        ),
        failures_told(job.folder),
    ):
        value = trainer.try_batch(next(iter(trainer.get_train_dataloader())))
        trainer.check_loss()
    if not any(parameter.grad is not None for parameter in model.parameters()):
        raise ModelError(f"model {job.recipe.model}: no weight received a gradient")
    return ModelReport(
        name=job.recipe.model,
        parameters=model.num_parameters(),
        trainable=model.num_parameters(only_trainable=True),
        max_length=job.inputs.encoding.max_length,
        loss=value,
    )


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Blame the model and the arguments it is trained with for whatever is raised."""
    try:
        yield
    except TrialFailed as error:
        raise ModelError(f"{what}: {error.reason}: {error}") from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{what}: {type(error).__name__}: {text}") from error


def _recipe(workspace: Workspace, model: str, chosen: dict[str, Scalar]) -> Recipe:
    """Return a recipe with the largest value of each parameter, but for those chosen."""
    values = {name: _extremes(parameter)[-1] for name, parameter in workspace.space.root.items()}
    if "freeze" in values:
        values["freeze"] = "none"  # needs the most memory
    if "model" in values:
        values["model"] = model
    return resolve(workspace.spec, {**values, **chosen})


def _extremes(parameter: Any) -> list[Scalar]:
    if parameter is None:
        return []
    if isinstance(parameter, Choice):
        values = list(parameter.values)
        return sorted(values) if not isinstance(values[0], str) else values
    return [parameter.low, parameter.high]


def _check_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise BadInput(f"--output: {output} cannot be written: {error.strerror}") from None


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        problems.extend(error.problems)


def _refuse(problems: list[str], file: StudyFile) -> NoReturn:
    where = f"{file.path}: "
    told = [text if text.startswith(where) else where + text for text in problems]
    raise SpecError(list(dict.fromkeys(told)))  # what two splits have in common is said once
