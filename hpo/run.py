"""Run a study: create it or attach to it, and work on it until the budget is spent."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import confirmation, orders, plateau, spec, storage, workers
from hpo.display import taught
from hpo.errors import BadInput, StudyFailed, StudyMismatch
from hpo.keeper import Patience
from hpo.leases import LEASE, Tickets
from hpo.local_workers import LocalWorkers, raise_complaint, slots, worker_command
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudyFile, StudySpec, show
from hpo.study import StudyView, slug, view
from hpo.trials import RUN
from hpo.warm_start import EarlierStudies, Overlap, find
from hpo.watching import Watched

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage

    from hpo.binding import BindingStorage
    from hpo.strategies import Strategy
    from hpo.turn import Terms
    from hpo.worker import Worker

_PROBE = 1 << 20  # bytes that must fit in the output folder, which is little beside any checkpoint


@dataclass(frozen=True)
class Plan:
    """What `hpo run` or `hpo worker` was asked to do.

    Args:
        file: the study.
        name: of the study.
        storage_url: where it is stored.
        output: the folder below which everything lies.
        lease: seconds after which a worker that is gone is noticed.
        patience: how long a worker waits for its trial.
        workers: how many processes to start here; None leaves it to the machine, 0 starts none.
        workers_per_gpu: how many of them share a GPU.
        joins: the specification is the stored one; who merely joins changes none of it.
        alone: the process is there for this, and may be ended with it.
        confirms: the study that this one is the confirmation of.
    """

    file: StudyFile
    name: str
    storage_url: str
    output: Path
    lease: float = LEASE
    patience: Patience = field(default_factory=Patience)
    workers: int | None = None
    workers_per_gpu: int = 1
    joins: bool = False
    alone: bool = False
    confirms: str | None = None

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.output.resolve() / slug(self.name)


def run_study(
    study: str | Path,
    strategy: str | None = None,
    *,
    trials: int | None = None,
    storage_url: str | None = None,
    name: str | None = None,
    output: str | Path = "runs",
) -> StudyView:
    """Run a study file until its budget is spent, or continue where it stopped.

    Args:
        study: the TOML file.
        strategy: instead of the file's.
        trials: the budget instead of the file's, in all and not on top.
        storage_url: `sqlite:///path` or `postgresql://…`; by default `HPO_STORAGE`, else
            `hpo.db` in the output folder.
        name: of the study; by default the file's stem and the strategy.
        output: the folder below which everything lies.

    A trial that makes no progress for half an hour, or cannot be saved in time after SIGTERM, ends
    the process: whoever runs the study again goes on.

    Raises:
        HpoError: see `hpo.errors`; each mistake of the user's is told in one message.
    """
    file = spec.load(Path(study), spec.overrides(strategy=strategy, trials=trials))
    return execute(plan(file, name=name, storage_url=storage_url, output=Path(output)), Progress())


def plan(file: StudyFile, *, name: str | None, storage_url: str | None, output: Path) -> Plan:
    """Fill in what the user left out; the arguments are those of `run_study`."""
    if name is not None and not name.strip():
        raise BadInput("--name: found an empty name; expected one, or no --name")
    return Plan(
        file=file,
        name=name or file.study_name,
        storage_url=storage_url or storage.default_url(output),
        output=output,
    )


def plan_from_storage(name: str, storage_url: str, *, data: Path | None, output: Path) -> Plan:
    """Plan to join a study: what it is stands in its storage.

    Args:
        name: of the study.
        storage_url: where it is stored.
        data: where the relative paths of its study file start on this machine; by default where
            they did when it was created, if there is such a folder here, else the current one.
        output: the folder below which everything lies.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """
    opened = storage.open_storage(storage_url, create=False)
    with storage.told(opened.engine.url):
        study = storage.load(opened, name)
        stored = Path(str(study.user_attrs.get(storage.DATA, "")))
        found = storage.spec_of(name, study.user_attrs)
    opened.engine.dispose()
    folder = data or (stored if stored.is_absolute() and stored.is_dir() else Path())
    file = StudyFile(folder / f"study {name}", found)
    return Plan(file, name, storage_url, output, workers=0, joins=True)


def execute(plan: Plan, progress: Progress) -> StudyView:
    """Work on a study as planned, beside whoever else does.

    Raises:
        HpoError: see `hpo.errors`.
        KeyboardInterrupt: Ctrl-C; the running trial was saved and is continued next time.
    """
    # What a person sees first should not wait for torch.
    progress.preparing("checking the study")
    with Stop() as stop:
        joined = join(plan, progress, stop)
        places = slots(plan.workers, plan.workers_per_gpu, joined.gpus())
        if places:
            final = _watch_workers(plan, joined, places, progress, stop)
        else:
            final = _work(plan, joined, progress, stop)
        with storage.told(joined.opened.engine.url):
            return replace(final, confirmation=confirmation.read(joined.opened, plan.name))


def _work(plan: Plan, joined: "Joined", progress: Progress, stop: Stop) -> StudyView:
    """Be a worker of a study until its tickets are done, and then of its confirmation."""
    worker = joined.worker()
    if plan.alone:
        stop.again = worker.leave_at_once
    with storage.told(joined.opened.engine.url):
        final = worker.run()
        if plan.file.spec.confirm is None:
            return final
        with worker.unless_deleted():
            worker.wait_for_others()
    confirming = confirmation_of(plan, joined.opened, joined.study)
    if confirming is not None:
        try:
            _work(confirming, join(confirming, progress, stop), progress, stop)
        except StudyFailed as failed:  # the search has its result
            progress.note(str(failed))
    return final


def confirmation_of(plan: Plan, opened: "RDBStorage", study: "optuna.Study") -> Plan | None:
    """Plan the confirmation of a study whose search is over; None where nothing is to confirm."""
    if plan.file.spec.confirm is None:
        return None
    with storage.told(opened.engine.url):
        attrs = study.user_attrs
        if orders.state_of(attrs) != "open":
            return None
        name = confirmation.name_of(plan.name)
        there = name in storage.study_names(opened)
        stored = storage.load(opened, name).user_attrs if there else None
        found = confirmation.specification(
            plan.file.spec,
            study.get_trials(deepcopy=False),
            maximize=study.direction.name == "MAXIMIZE",
            default=attrs.get(confirmation.BASELINE),
            stored=None if stored is None else storage.spec_of(name, stored),
        )
    if found is None:
        return None
    file = StudyFile(plan.file.path, found)
    return replace(plan, file=file, name=name, joins=False, confirms=plan.name)


def serve(
    storage_url: str,
    plan_of: Callable[[str], Plan],
    progress_of: Callable[[str], Progress],
    lease: float = LEASE,
) -> None:
    """Work on every open study of a storage, until the process is asked to leave.

    Args:
        storage_url: of the storage; its tables are made where it is new.
        plan_of: returns the plan to join a study by its name.
        progress_of: returns who is told what happens to a study, by its name, or to none ("").
        lease: seconds that the leases of those plans last.
    """
    from hpo.pool import Pool

    opened = storage.open_storage(storage_url, lease=lease)
    with Stop() as stop:

        def join_by_name(name: str) -> "Worker":
            # In this storage, and none of its own: SQLAlchemy's mappers keep what they compiled for
            # each engine that there ever was, a hundred statements each, and connections are few.
            return join(plan_of(name), progress_of(name), stop, opened).worker()

        def confirm(name: str) -> None:
            plan = plan_of(name)
            confirming = confirmation_of(plan, opened, storage.load(opened, name))
            if confirming is not None:
                join(confirming, progress_of(name), stop, opened)

        pool = Pool(opened, join_by_name, confirm, progress_of(""), stop)
        stop.again = pool.leave_at_once
        pool.serve()


def submit(plan: Plan, priority: int | None, progress: Progress) -> None:
    """Make a study for others to work on; it may be there already.

    Raises:
        HpoError: see `hpo.errors`.
    """
    with Stop() as stop:
        joined = join(plan, progress, stop)
    if priority is not None:
        orders.change(joined.opened, plan.name, priority=priority)


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
    opened = opened or storage.open_storage(plan.storage_url, lease=plan.lease)
    if doubt := storage.doubt(opened):
        progress.note(doubt)
    _check_warm_start(plan, opened, progress)
    progress.preparing("reading the data")
    facts = prepared.load()
    study = storage.create_or_attach(
        opened, plan.name, plan.file.spec, direction=prepared.direction, facts=facts.agreed,
        first={
            storage.NOTICES: facts.notices, storage.DATA: str(plan.file.folder),
            **_marks(plan, prepared.baseline),
        },
        update=None if plan.joins else partial(_say_new_budget, plan.file.spec, progress),
        extends=partial(_extends, prepared.strategy) if plan.confirms is None
        else confirmation.extends,
    )  # fmt: skip
    with storage.told(opened.engine.url):
        _reopen(plan, opened, progress)
        _take_folder(plan.folder, study)

    def make_worker() -> "Worker":
        from hpo.turn import Work
        from hpo.worker import Worker

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


def _marks(plan: Plan, default: Mapping[str, Any] | None) -> dict[str, Any]:
    marks = {confirmation.CONFIRMS: plan.confirms, confirmation.BASELINE: default}
    return {name: value for name, value in marks.items() if value is not None}


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
    )


def _watch_workers(
    plan: Plan, joined: Joined, places: list[str | None], progress: Progress, stop: Stop
) -> StudyView:
    """Start the workers of this machine, and show what all workers do until these have gone.

    They go on with the confirmation by themselves, should nobody watch them any more.
    """
    study = joined.study
    watched = _Watch(plan, joined, progress)
    options = [
        f"--output={plan.output}", f"--data={plan.file.folder}", f"--lease={plan.lease}",
        f"--hang={plan.patience.hang}", f"--grace={plan.patience.grace}",
    ]  # fmt: skip
    local = LocalWorkers(
        command=worker_command(plan.name, *options),
        folder=plan.folder / "workers" / workers.machine(),  # the study's may be shared
        places=places,
        env={"HPO_STORAGE": plan.storage_url},
        end_leases=lambda worker: [each.end_leases(worker) for each in watched.tickets],
        hand_back=lambda worker: [each.hand_back_of(worker) for each in watched.tickets],
        outcomes=watched.outcomes,
        left=watched.left,
        say=progress.note,
    )
    local.watch(stop, watched.look)
    final = watched.end()
    trials = study.get_trials(deepcopy=False)
    maximize = study.direction.name == "MAXIMIZE"
    if why := plateau.told(trials, plan.file.spec.stop, maximize=maximize):
        progress.note(why)
    if final.best is None or (final.budget is not None and watched.left()):
        raise_complaint(local.complaints())
    if final.best is None:
        raise StudyFailed(f"study {final.name!r}: no trial succeeded", final.to_json())
    return final


class _Watch:
    """A study that others work on, and its confirmation as soon as there is one.

    Args:
        plan: of the study.
        joined: the study.
        progress: is told what happens.
    """

    def __init__(self, plan: Plan, joined: Joined, progress: Progress) -> None:
        self._plan, self._opened, self._progress = plan, joined.opened, progress
        self._studies: list[optuna.Study] = []
        self._watched: list[Watched] = []
        self.tickets: list[Tickets] = []
        self._add(joined.study)

    def _add(self, study: "optuna.Study") -> None:
        tickets = Tickets(self._opened.engine, study.user_attrs[storage.ID], worker=workers.here())
        self._studies.append(study)
        self.tickets.append(tickets)
        self._watched.append(Watched(self._progress, lambda: view(study), tickets.view))

    def look(self) -> None:
        """Tell what is new."""
        self._watched[-1].look()
        name = confirmation.name_of(self._plan.name)
        confirmed = self._plan.file.spec.confirm is not None
        if confirmed and len(self._studies) == 1 and name in storage.study_names(self._opened):
            self._watched[0].end()
            self._add(storage.load(self._opened, name))

    def outcomes(self, worker: str) -> int:
        """Return how many trials a worker brought to an end."""
        return sum(
            trial.record.get(RUN, {}).get("worker") == worker
            for study in self._studies
            for trial in view(study).outcomes()
        )

    def left(self) -> bool:
        """Say whether there is anything to do."""
        budget = self._plan.file.spec.budget.trials
        return bool(self.tickets[0].open(budget)) or any(
            each.open(None) for each in self.tickets[1:]
        )

    def end(self) -> StudyView:
        """Tell the rest, and return the study as it is now."""
        final = self._watched[-1].end()
        return final if len(self._studies) == 1 else view(self._studies[0])


def _extends(strategy: "Strategy", stored: StudySpec, new: StudySpec) -> bool:
    """Say whether a specification differs from the stored one in added points only."""
    differ = {text.split(":")[0].split(".")[0] for text in new.differences(stored)}
    return differ <= {"space", "model"} and strategy.extends(
        stored.search_space(), new.search_space()
    )


def _check_warm_start(plan: Plan, opened: "RDBStorage", progress: Progress) -> None:
    """Say what a new study is to learn, and refuse to create one that has nothing to learn from.

    Later on it may be that an earlier study was deleted: whoever joins goes on without it.

    Raises:
        SpecError: there is nothing to learn from one of its earlier studies.
    """
    with storage.told(opened.engine.url):
        if plan.file.spec.warm_start and plan.name not in storage.study_names(opened):
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
        with tempfile.TemporaryFile(dir=folder) as probe:  # rights alone know of no full disk
            probe.write(bytes(_PROBE))
    except OSError as error:
        raise BadInput(f"--output: {folder} cannot be written: {error.strerror}") from None


def _take_folder(folder: Path, study: "optuna.Study") -> None:
    """Write whose the folder is, so that no study takes another one's trials for its own.

    Raises:
        StudyMismatch: it is another study's, of this name, in another database.
    """
    owner = folder / "study.json"
    mine = {"study": study.study_name, "id": study.user_attrs[storage.ID]}
    try:
        theirs = json.loads(owner.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        theirs = mine
    if theirs != mine:
        raise StudyMismatch(
            f"{folder}: found the trials of another study of this name, from another database; "
            "delete the folder, or give another --name or --output"
        )
    owner.write_text(json.dumps(mine), encoding="utf-8")
