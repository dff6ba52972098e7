"""The command line: parse, call one function, print, set the exit code."""

import os
import shlex
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo import __version__, browsing, deleting, reporting, service, shipping, spectating
from hpo.errors import (
    INTERRUPTED_EXIT_CODE,
    BadInput,
    HandedBack,
    HpoError,
    SpecError,
    StudyFailed,
)
from hpo.options import (
    AS_JSON,
    GRACE,
    HANG,
    JSON,
    LEASE,
    NAME,
    OUTPUT,
    PRIORITY,
    RUNS,
    SET,
    STORAGE,
    STRATEGY,
    WARM_START,
    console,
    example,
    print_json,
    url_of,
)
from hpo.signals import fix_exit_code

if TYPE_CHECKING:
    from hpo.binding import BindingStorage
    from hpo.planning import Plan
    from hpo.progress import Progress
    from hpo.study import StudyView


class Commands(click.Group):
    """The sub-commands, with one place where every error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a sub-command."""
        try:
            return self._invoke(ctx)
        except HpoError as error:
            _print_traceback()
            self._fail(ctx, str(error), error.exit_code, getattr(error, "study", None))
        except KeyboardInterrupt:
            self._fail(ctx, "interrupted; the same command continues", INTERRUPTED_EXIT_CODE)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # the last: whoever reads has enough, and click says nothing
        except Exception as error:  # noqa: BLE001 - a fault of ours: still one message, the rest on request
            _print_traceback()
            text = f"{type(error).__name__}: {error}"
            self._fail(ctx, f"a fault of hpo's: {text}\n(HPO_DEBUG=1 shows where)", 1)

    def _invoke(self, ctx: click.Context) -> Any:
        try:  # within the other: one more Ctrl-C before the code is fixed is still met there
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fix_exit_code(INTERRUPTED_EXIT_CODE)
            raise
        except HandedBack as stopped:
            fix_exit_code(stopped.exit_code)
            raise

    def _fail(
        self, ctx: click.Context, message: str, code: int, study: dict[str, Any] | None = None
    ) -> None:
        if ctx.meta.get(AS_JSON):
            print_json({**(study or {}), "error": message.splitlines(), "exit_code": code})
        for line in message.splitlines():
            click.echo(f"hpo: {line}", err=True)
        ctx.exit(code)


def _print_traceback() -> None:
    if os.environ.get("HPO_DEBUG"):
        traceback.print_exc()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("hpo run studies/demo-ner.toml --strategy bayes"),
)
@click.version_option(__version__, prog_name="hpo")
def main() -> None:
    """Find the best way to fine-tune a transformer for NER or sentiment analysis."""


@main.command(epilog=example("hpo init ner my-study.toml"))
@click.argument("task", type=click.Choice(["ner", "sentiment"]))
@click.argument("path", type=click.Path(path_type=Path), default=Path("study.toml"))
def init(task: str, path: Path) -> None:
    """Write a commented study file to start from.

    It is called study.toml unless PATH says otherwise.
    """
    if path.exists():
        raise BadInput(f"{path}: exists already; expected the name of a new file")
    starter = Path(__file__).parent / "starters" / f"{task}.toml"
    try:
        path.write_text(starter.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}. Next: edit it, then `hpo check {path}` and `hpo run {path}`.")


@main.command(epilog=example("hpo check studies/demo-ner.toml --json"))
@click.argument("study", type=click.Path(path_type=Path), required=False)
@STRATEGY
@WARM_START
@STORAGE
@SET
@OUTPUT
@JSON
def check(  # noqa: PLR0913, PLR0917 - one for each option
    study: Path | None,
    strategy: str | None,
    warm_start: tuple[str, ...],
    storage_url: str | None,
    overrides: tuple[str, ...],
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Try everything that a study needs, without spending a trial.

    The storage is read only if the study is to learn from earlier ones.
    """
    from hpo import spec

    changes = [*overrides, *spec.overrides(strategy=strategy, warm_start=warm_start)]
    file = spec.load(_study_file(study), changes)
    from hpo import check as preflight  # imports torch: a mistake in the file is told before

    report = preflight.check(
        file, output, url_of(storage_url, output),
        lambda what: click.echo(f"checking {what} …", err=True),
    )  # fmt: skip
    from hpo.display import check_summary

    print_json(report.to_json()) if as_json else click.echo(check_summary(report))


@main.command(
    epilog=example(
        "hpo run studies/demo-ner.toml --strategy bayes --trials 10",
        "hpo run more-data.toml --warm-start demo-ner-bayes",
    )
)
@click.argument("study", type=click.Path(path_type=Path), required=False)
@STRATEGY
@WARM_START
@click.option(
    "--trials", type=click.IntRange(min=1), help="The budget in all, instead of the file's."
)
@STORAGE
@click.option("--name", help="The study's name; by default the file's stem and the strategy.")
@OUTPUT
@SET
@click.option(
    "--workers", "count", type=click.IntRange(min=1), metavar="N",
    help="Processes to start here; by default one a GPU, or none beside this one.",
)  # fmt: skip
@click.option(
    "--workers-per-gpu", type=click.IntRange(min=1), default=1, metavar="K",
    help="Processes that share a GPU.",
)  # fmt: skip
@PRIORITY
@LEASE
@HANG
@GRACE
@JSON
def run(  # noqa: PLR0913, PLR0917 - one for each option
    study: Path | None,
    strategy: str | None,
    warm_start: tuple[str, ...],
    trials: int | None,
    storage_url: str | None,
    name: str | None,
    output: Path,
    overrides: tuple[str, ...],
    count: int | None,
    workers_per_gpu: int,
    priority: int | None,
    lease: float,
    hang: float,
    grace: float,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Search until the study's budget is spent.

    Run it again to continue, or at the same time to join. Without STUDY it takes study.toml of
    this folder, else the demo study that comes with hpo.

    Workers started with --workers go on when the terminal is closed; the same command finds them.
    """
    from hpo import spec

    path = _study_file(study)
    given = spec.overrides(strategy=strategy, trials=trials, warm_start=warm_start)
    file = spec.load(path, [*overrides, *given])
    from hpo import planning
    from hpo.keeper import Patience

    plan = planning.plan(file, name=name, storage_url=storage_url, output=output)
    plan = replace(plan, lease=lease, patience=Patience(hang, grace), priority=priority)
    _execute(replace(plan, workers=count, workers_per_gpu=workers_per_gpu), as_json)


@main.command(
    epilog=example(
        "hpo worker demo-ner-bayes --storage postgresql://me@host/hpo",
        "hpo worker --storage postgresql://me@host/hpo    # whatever study there is",
    )
)
@NAME
@STORAGE
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the relative paths of the study file start on this machine.",
)  # fmt: skip
@OUTPUT
@LEASE
@HANG
@GRACE
@JSON
def worker(  # noqa: PLR0913, PLR0917 - one for each option
    name: str | None,
    storage_url: str | None,
    data: Path | None,
    output: Path,
    lease: float,
    hang: float,
    grace: float,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Join the study NAME, from any machine; without NAME, serve every study of the storage.

    It takes the study's tickets until none is left; without NAME it takes those of all open
    studies, by priority, and waits for new ones until it is asked to leave. What a study is stands
    in its storage; its data comes from the hub or from --data. A trial that another worker began is
    resumed if --output is a folder that both share.
    """
    from hpo import planning
    from hpo import run as runner
    from hpo.keeper import Patience

    url = url_of(storage_url, output)

    def plan_of(name: str, opened: "BindingStorage | None" = None) -> "Plan":
        joined = planning.plan_from_storage(name, url, data=data, output=output, opened=opened)
        return replace(joined, lease=lease, patience=Patience(hang, grace), alone=True)

    if name is not None:
        _execute(plan_of(name), as_json)
        return
    from rich.console import Console

    from hpo.progress import Lines

    console = Console(stderr=True)
    runner.serve(url, plan_of, lambda name: Lines(console, f"{name}: " if name else ""), lease)


@main.command(epilog=example("hpo status demo-ner-bayes"))
@NAME
@STORAGE
@OUTPUT
@JSON
def status(name: str | None, storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show a study's trials and how far it is."""
    study = _load(name, storage_url, output)
    if as_json:
        tickets = [asdict(ticket) for ticket in study.tickets]
        print_json({**study.to_json(), "details": study.details(), "tickets": tickets})
        return
    from rich.text import Text

    from hpo.display import budget_of, holder, refusal_of, trial_table

    out = console()
    out.print(trial_table(study, study.name, rows=1000, width=out.width))
    counts = ", ".join(f"{count} {state}" for state, count in study.counts.items()) or "no trial"
    out.print(f"{study.condition}: {counts}; budget: {budget_of(study)}", highlight=False)
    for refusal in study.refusals.values():
        out.print(Text(refusal_of(study.name, refusal)))
    for ticket in study.tickets:
        if ticket.worker is not None and (ticket.state != "done" or ticket.epoch > 1):
            out.print(Text(holder(ticket)))


@main.command(epilog=example("hpo best demo-ner-bayes --json"))
@NAME
@STORAGE
@OUTPUT
@JSON
def best(name: str | None, storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """Show a study's best configuration and where its weights lie."""
    study = _load(name, storage_url, output)
    if study.best is None:
        none = "no trial has succeeded" if study.done else "no trial has completed yet"
        raise StudyFailed(f"study {study.name!r}: {none}", study.to_json())
    _print_conclusion(study, url_of(storage_url, output), output, as_json)


@main.command("list", epilog=example("hpo list --storage sqlite:///runs/hpo.db"))
@STORAGE
@OUTPUT
@JSON
def list_(storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the studies of a storage.

    In a narrow terminal what matters least is left out; a pipe gets all of it.
    """
    from hpo.study import list_studies

    studies, unreadable = list_studies(url_of(storage_url, output))
    for sentence in unreadable:
        click.echo(f"hpo: {sentence}", err=True)
    if as_json:
        print_json({"studies": [study.to_json() for study in studies]})
        return
    from rich.text import Text

    from hpo.display import refusal_of, study_table

    out = console()
    click.echo(study_table(studies, out.width) if studies else "no study is there")
    for study in studies:
        for refusal in study.refusals.values() if study.condition != "done" else ():
            out.print(Text(refusal_of(study.name, refusal)))


@main.command(epilog=example("hpo submit study.toml --strategy bayes --priority 5"))
@click.argument("study", type=click.Path(path_type=Path))
@STRATEGY
@WARM_START
@click.option(
    "--trials", type=click.IntRange(min=1), help="The budget in all, instead of the file's."
)
@PRIORITY
@STORAGE
@click.option("--name", help="The study's name; by default the file's stem and the strategy.")
@OUTPUT
@SET
@JSON
def submit(  # noqa: PLR0913, PLR0917 - one for each option
    study: Path,
    strategy: str | None,
    warm_start: tuple[str, ...],
    trials: int | None,
    priority: int | None,
    storage_url: str | None,
    name: str | None,
    output: Path,
    overrides: tuple[str, ...],
    as_json: bool,  # noqa: FBT001
) -> None:
    """Queue a study for workers that serve the storage (`hpo worker` without a name).

    Its names, data and model are checked here, and nothing is trained. A study that is there
    already keeps the budget that `hpo set` gave it, until its file or --trials say another one.
    """
    from hpo import spec

    given = spec.overrides(strategy=strategy, trials=trials, warm_start=warm_start)
    file = spec.load(study, [*overrides, *given])
    from hpo import planning
    from hpo import run as runner

    plan = planning.plan(file, name=name, storage_url=storage_url, output=output)
    said = runner.submit(replace(plan, priority=priority), _progress())
    from hpo.pool_view import list_workers
    from hpo.study import load_study

    view = load_study(plan.name, plan.storage_url)
    pool = [each for each in list_workers(plan.storage_url) if each.may_serve(plan.name)]
    if as_json:
        print_json(
            {
                "study": plan.name, "state": view.condition, "priority": said.priority,
                "budget": said.budget.model_dump(exclude_none=True),
                "workers": [each.worker for each in pool],
            }
        )  # fmt: skip
        return
    from hpo.display import queued

    click.echo(queued(view, pool, _command("worker", None, plan.storage_url, output)))


for command in (
    service.pause, service.resume, service.stop, service.set_, service.workers_, service.storage_,
    deleting.delete, shipping.predict, shipping.test, shipping.retrain, shipping.export,
    reporting.report, spectating.watch, browsing.dashboard,
):  # fmt: skip
    main.add_command(command)


def _execute(plan: "Plan", as_json: bool) -> None:  # noqa: FBT001
    """Work on a study in this process, show how it goes, and print what came of it."""
    from hpo.run import execute

    progress = _progress()
    try:
        result = execute(replace(plan, alone=True), progress)
    finally:
        progress.close()
    _print_conclusion(result, plan.storage_url, plan.output, as_json)


def _print_conclusion(study: "StudyView", storage_url: str, output: Path, as_json: bool) -> None:  # noqa: FBT001
    from hpo.display import conclusion, line_of_prose

    verbs = ("status", "export", "report")
    commands = [_command(verb, study.name, storage_url, output) for verb in verbs]
    if as_json:
        print_json(study.to_json())
        return
    width = console().width
    for line in conclusion(study, *commands).splitlines():
        click.echo(line_of_prose(line, width))


def _command(verb: str, name: str | None, storage_url: str, output: Path) -> str:
    """Return a command about a study, as one types it here; a password is left out."""
    from hpo.storage import default_url, without_password

    words = ["hpo", verb, *([] if name is None else [name])]
    if storage_url != default_url(output):
        words += ["--storage", without_password(storage_url)]
    elif output != RUNS and "HPO_STORAGE" not in os.environ:
        words += ["--runs" if verb == "export" else "--output", str(output)]
    return shlex.join(words)


def _study_file(given: Path | None) -> Path:
    """Return the study to take: what was given, study.toml of this folder, or the demo."""
    if given is not None:
        return given
    here = Path("study.toml")
    if here.exists():
        return here
    demo = demo_study()
    click.echo(f"hpo: no STUDY given and no study.toml here; taking the demo {demo}", err=True)
    return demo


def demo_study() -> Path:
    """Return the demo study that the package carries (in a checkout, that of `studies/`)."""
    package = Path(__file__).parent
    for folder in (package / "studies", package.parent / "studies"):
        if (folder / "demo-ner.toml").exists():
            return folder / "demo-ner.toml"
    raise SpecError("the demo study is not installed; give a study file")


def _load(name: str | None, storage_url: str | None, output: Path) -> "StudyView":
    from hpo.study import load_study, only_study

    url = url_of(storage_url, output)
    return load_study(only_study(url) if name is None else name, url)


def _progress() -> "Progress":
    from rich.console import Console

    from hpo.progress import Lines, LiveTable

    console = Console(stderr=True)
    return LiveTable(console) if console.is_terminal else Lines(console)
