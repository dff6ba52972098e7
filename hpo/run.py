"""Run a study: create it or attach to it, and work on it until the budget is spent."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import confirmation, orders, spec, storage
from hpo.errors import StorageError, StudyFailed, StudyMismatch
from hpo.joining import Joined, join
from hpo.leases import LEASE, view_tickets
from hpo.local_watch import watch_workers
from hpo.local_workers import slots
from hpo.planning import Plan, plan
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudyFile
from hpo.study import StudyView

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage

    from hpo.binding import BindingStorage
    from hpo.worker import Worker

_LOOK = 5.0  # seconds that a look at the names that are taken waits for a server


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


def execute(plan: Plan, progress: Progress) -> StudyView:
    """Work on a study as planned, beside whoever else does.

    Raises:
        HpoError: see `hpo.errors`.
        KeyboardInterrupt: Ctrl-C; the running trial was saved and is continued next time.
    """
    # What a person sees first should not wait for torch.
    progress.preparing("checking the study")
    _check_confirmation(plan)
    with Stop() as stop:
        joined = join(plan, progress, stop)
        places = slots(plan.workers, plan.workers_per_gpu, joined.gpus())
        if places:
            final = watch_workers(plan, joined, places, progress, stop)
        else:
            final = _work(plan, joined, progress, stop)
        with storage.told(joined.opened.engine.url):
            return replace(final, confirmation=confirmation.read(joined.opened, plan.name))


def _check_confirmation(plan: Plan) -> None:
    """Refuse a study that could not be confirmed, before it is made and its budget is spent.

    Raises:
        StudyMismatch: its confirmation would have the name of another study.
    """
    if plan.file.spec.confirm is None:
        return
    with suppress(StorageError):  # there is none yet, or whoever joins tells what is wrong with it
        opened = storage.open_storage(plan.storage_url, create=False, wait=_LOOK)
        try:
            confirmation.check_name(opened, plan.name)
        finally:
            opened.engine.dispose()


def _work(plan: Plan, joined: Joined, progress: Progress, stop: Stop) -> StudyView:
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
    confirming = confirm(plan, joined.opened, progress, stop)
    if confirming is not None:
        try:
            _work(*confirming, progress, stop)
        except StudyFailed as failed:  # the search has its result
            progress.note(str(failed))
    return final


def confirm(
    plan: Plan, opened: "BindingStorage", progress: Progress, stop: Stop
) -> tuple[Plan, Joined] | None:
    """Make the confirmation of a study whose search is over, or add to it what is new.

    Returns:
        Its plan, and itself; None where there is nothing to confirm.
    """
    if plan.file.spec.confirm is None:
        return None
    try:
        confirmation.check_name(opened, plan.name)
    except StudyMismatch as taken:  # since the search began; it has its result
        progress.note(str(taken))
        return None
    study = storage.load(opened, plan.name)
    issued = len(view_tickets(opened.engine, study.user_attrs[storage.ID]))
    confirming = confirmation_of(plan, opened, study)
    if confirming is None:
        return None
    joined = join(confirming, progress, stop, opened)
    with storage.told(opened.engine.url):
        searched = study.user_attrs[storage.ID]
        joined.study.set_user_attr(confirmation.CONFIRMS_ID, searched)
        joined.study.set_user_attr(confirmation.COVERS, issued)
    return confirming, joined


def confirmation_of(plan: Plan, opened: "RDBStorage", study: "optuna.Study") -> Plan | None:
    """Plan the confirmation of a study whose search is over; None where nothing is to confirm."""
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
    plan_of: "Callable[[str, BindingStorage], Plan]",
    progress_of: Callable[[str], Progress],
    lease: float = LEASE,
) -> None:
    """Work on every open study of a storage, until the process is asked to leave.

    Args:
        storage_url: of the storage; its tables are made where it is new.
        plan_of: returns the plan to join a study of that storage by its name.
        progress_of: returns who is told what happens to a study, by its name, or to none ("").
        lease: seconds that the leases of those plans last.
    """
    from hpo.pool import Pool

    opened = storage.open_for_work(storage_url, lease)
    with Stop() as stop:

        def join_by_name(name: str) -> "Worker":
            # In this storage, and none of its own: SQLAlchemy's mappers keep what they compiled for
            # each engine that there ever was, a hundred statements each, and connections are few.
            found = plan_of(name, opened)
            if found.file.spec.confirm is not None:
                confirmation.check_name(opened, name)
            return join(found, progress_of(name), stop, opened).worker()

        def confirm_by_name(name: str) -> None:
            confirm(plan_of(name, opened), opened, progress_of(name), stop)

        pool = Pool(opened, join_by_name, confirm_by_name, progress_of(""), stop)
        stop.again = pool.leave_at_once
        pool.serve()


def submit(plan: Plan, progress: Progress) -> orders.Orders:
    """Make a study for others to work on; it may be there already.

    Returns:
        What is said about it: its budget, priority and state.

    Raises:
        HpoError: see `hpo.errors`.
    """
    _check_confirmation(plan)
    with Stop() as stop:
        joined = join(plan, progress, stop)
    return orders.change(joined.opened, plan.name)
