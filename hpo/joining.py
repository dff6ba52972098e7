"""To join a study: it is created or attached to, its data is here, and nothing contradicts it."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import confirmation, orders, storage, study_folder, workers
from hpo.display import taught
from hpo.errors import BadInput, StudyMismatch
from hpo.leases import Tickets
from hpo.planning import Plan
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudyFile, StudySpec, show
from hpo.warm_start import EarlierStudies, Overlap, find

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage

    from hpo.binding import BindingStorage
    from hpo.strategies import Strategy
    from hpo.turn import Terms
    from hpo.worker import Worker

_PROBE = 1 << 20  # bytes that must fit in the output folder, which is little beside any checkpoint


@dataclass(frozen=True)
class Joined:
    """A study that this process is fit to work on.

    Args:
        opened: its storage.
        study: Optuna's.
        worker: makes the worker.
        gpus: returns the GPUs that it can use here.
    """

    opened: "BindingStorage"
    study: "optuna.Study"
    worker: "Callable[[], Worker]"
    gpus: "Callable[[], list[str]]"


def join(
    plan: Plan, progress: Progress, stop: Stop, opened: "BindingStorage | None" = None
) -> Joined:
    """Create a study or attach to it, and check that its data is here.

    Args:
        plan: what was asked for.
        progress: is told what happens.
        stop: knows whether to leave.
        opened: the plan's storage, where it is open already.

    Raises:
        HpoError: see `hpo.errors`.
    """
    from hpo.preparation import prepare

    prepared = prepare(plan.file, plan.folder, plan.output.resolve() / "cache")
    _make_folder(plan.folder)
    opened = opened or storage.open_for_work(plan.storage_url, plan.lease)
    if doubt := storage.doubt(opened):
        progress.note(doubt)
    there = _is_there(plan, opened)
    _check_warm_start(plan, opened, progress, there=there)
    if not (there or plan.joins or plan.confirms):
        for remark in prepared.remarks():
            progress.note(f"note: {remark}")
    known = _commits(opened, plan.confirms or plan.name)
    progress.preparing("reading the data")
    facts = prepared.load(known)
    commits = {**facts.commits, **known}  # a model that is a folder here has none here
    given = None if plan.joins or plan.confirms else plan.file.spec.budget.model_dump(mode="json")
    if given is not None and there:
        plan = _with_agreed_budget(plan, opened, progress)
    study = storage.create_or_attach(
        opened, plan.name, plan.file.spec, direction=prepared.direction, facts=facts.agreed,
        first={
            storage.NOTICES: facts.notices, storage.DATA: str(plan.file.folder),
            **_marks(plan, opened, prepared.baseline),
        },
        update=None if plan.joins else partial(_say_new_budget, plan.file.spec, progress),
        extends=partial(_extends, prepared.strategy) if plan.confirms is None
        else confirmation.extends,
    )  # fmt: skip
    with storage.told(opened.engine.url):
        if given is not None and study.user_attrs.get(orders.GIVEN) != given:
            study.set_user_attr(orders.GIVEN, given)
        _prioritise(plan, opened, progress, there=there)
        _reopen(plan, opened, progress)
        _take_folder(plan.folder, study)
    agreed = storage.agree_on_commits(opened, study, commits)
    if agreed != commits:
        prepared.load(agreed)  # another worker was first, with another commit

    def make_worker() -> "Worker":
        from hpo.turn import Work
        from hpo.worker import Worker

        for remark in prepared.remarks_here():
            progress.note(f"note: {remark}")
        tickets = Tickets(
            opened.engine, study.user_attrs[storage.ID], worker=workers.here(),
            device=prepared.runner.device, lease=plan.lease,
        )  # fmt: skip
        earlier = EarlierStudies(opened, plan.file.spec.warm_start, progress.note)
        versions = storage.own_versions(study.user_attrs)
        return Worker(
            Work(
                study, opened, tickets, prepared.strategy, prepared.runner,
                _terms(plan, study.user_attrs.get(confirmation.BASELINE)), progress, stop,
                versions, earlier.read,
            )
        )  # fmt: skip

    return Joined(opened, study, make_worker, prepared.gpus)


def _marks(plan: Plan, opened: "RDBStorage", default: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a new study stores beside its specification."""
    if plan.confirms is None:
        return {} if default is None else {confirmation.BASELINE: default}
    with storage.told(opened.engine.url):
        priority = orders.priority_of(storage.load(opened, plan.confirms).user_attrs)
    return {confirmation.CONFIRMS: plan.confirms, orders.PRIORITY: priority}


def _terms(plan: Plan, default: "Mapping[str, Any] | None") -> "Terms":
    from hpo.turn import Terms

    spec = plan.file.spec
    starts: list[Mapping[str, Any]] = [spec.search_space().completed(each) for each in spec.start]
    if default is not None and default not in starts:
        starts.append(default)
    return Terms(
        spec.seed,
        spec.budget,
        spec.keep_checkpoints,
        plan.lease,
        plan.patience,
        starts,
        spec.prune,
        spec.stop,
        default if spec.confirm is None else None,
    )


def _extends(strategy: "Strategy", stored: StudySpec, new: StudySpec) -> bool:
    """Say whether a specification differs from the stored one in added points only."""
    differ = {text.split(":")[0].split(".")[0] for text in new.differences(stored)}
    return differ <= {"space", "model"} and strategy.extends(
        stored.search_space(), new.search_space()
    )


def _commits(opened: "RDBStorage", name: str) -> dict[str, str]:
    """Return which commits of the hub a study began with; none where there is no such study."""
    with storage.told(opened.engine.url), suppress(KeyError):
        study = opened.get_study_id_from_name(name)
        return storage.commits_of(opened.get_study_user_attrs(study))
    return {}


def _is_there(plan: Plan, opened: "RDBStorage") -> bool:
    with storage.told(opened.engine.url):
        return plan.name in storage.study_names(opened)


def _with_agreed_budget(plan: Plan, opened: "RDBStorage", progress: Progress) -> Plan:
    """Return the plan with what `hpo set` said of the budget since its file was run; tell it."""
    spec = plan.file.spec
    budget = orders.agreed_budget(opened, plan.name, spec.budget)
    mine, theirs = spec.budget.model_dump(), budget.model_dump()
    changed = [key for key in mine if mine[key] != theirs[key]]
    if not changed:
        return plan
    stays = ", ".join(f"{key} = {show(theirs[key])}" for key in changed)
    said = ", ".join(f"{key} = {show(mine[key])}" for key in changed)
    progress.note(
        f"the study's budget stays {stays}, as `hpo set` says; what is given here, {said}, "
        "is the same as before"
    )
    agreed = spec.model_copy(update={"budget": budget})
    return replace(plan, file=StudyFile(plan.file.path, agreed))


def _prioritise(plan: Plan, opened: "RDBStorage", progress: Progress, *, there: bool) -> None:
    """Give a study the priority that was asked for, and tell whose it changes."""
    if plan.priority is None:
        return
    before = orders.priority_of(storage.load(opened, plan.name).user_attrs)
    if before != plan.priority:
        orders.change(opened, plan.name, priority=plan.priority)
        if there:
            progress.note(f"the study's priority was {before}; now {plan.priority}")


def _check_warm_start(plan: Plan, opened: "RDBStorage", progress: Progress, *, there: bool) -> None:
    """Say what a new study is to learn, and refuse to create one that has nothing to learn from.

    Later on it may be that an earlier study was deleted: whoever joins goes on without it.

    Raises:
        SpecError: there is nothing to learn from one of its earlier studies.
    """
    with storage.told(opened.engine.url):
        if plan.file.spec.warm_start and not there:
            for earlier in find(opened, plan.file.spec, plan.name):
                overlap = Overlap.of(earlier, plan.file.spec.search_space())
                progress.note(f"warm start: {taught(overlap)}")


def _say_new_budget(new: StudySpec, progress: Progress, stored: StudySpec) -> None:
    """Say so where the file has another budget than the study: it becomes everybody's."""
    now, before = new.budget.model_dump(), stored.budget.model_dump()
    changed = [f"{key} = {show(now[key])}" for key in now if now[key] != before[key]]
    former = [f"{key} = {show(before[key])}" for key in now if now[key] != before[key]]
    if changed:
        progress.note(f"the study's budget was {', '.join(former)}; now {', '.join(changed)}")


def _reopen(plan: Plan, opened: "RDBStorage", progress: Progress) -> None:
    """Open a study that was stopped: whoever runs its file wants it to go on."""
    if not plan.joins and orders.state(opened, plan.name) in {"stopped", "recalled"}:
        orders.give(opened, plan.name, "open")
        progress.note("the study had been stopped; it goes on")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Rights alone know of no full disk.
        with tempfile.TemporaryFile(dir=folder, prefix=study_folder.PROBE) as probe:
            probe.write(bytes(_PROBE))
        study_folder.check_free(folder)  # before there is a study whose folder it would be
    except OSError as error:
        raise BadInput(f"--output: {folder} cannot be written: {error.strerror}") from None


def _take_folder(folder: Path, study: "optuna.Study") -> None:
    """Write whose the folder is, so that no study takes another one's trials for its own.

    Raises:
        BadInput: it is no study's, and has files that hpo did not make.
        StudyMismatch: it is another study's, of this name, in another database.
    """
    mine = {"study": study.study_name, "id": study.user_attrs[storage.ID]}
    study_folder.check_free(folder)
    theirs = study_folder.owner(folder)
    if theirs is None:
        study_folder.take(folder, mine)
    elif theirs != mine:
        raise StudyMismatch(
            f"{folder}: found the trials of another study of this name, from another database; "
            "delete the folder, or give another --name or --output"
        )
