"""The command that follows a study which other machines run."""

import signal
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from hpo import strict_json
from hpo.errors import INTERRUPTED_EXIT_CODE, StudyFailed
from hpo.options import NAME, OUTPUT, STORAGE, example, note_json, print_json, url_of

if TYPE_CHECKING:
    from hpo.progress import Progress
    from hpo.study import StudyView

_TERMINATED = 128 + signal.SIGTERM


@click.command(
    epilog=example(
        "hpo watch demo-ner-bayes --storage postgresql://me@host/hpo",
        "hpo watch demo-ner-bayes --once --json",
    )
)
@NAME
@click.option("--once", is_flag=True, help="Show how it stands, and leave.")
@STORAGE
@OUTPUT
@click.option(
    "--json", "as_json", is_flag=True, callback=note_json,
    help="Print one JSON object a line, at each change; with --once one object.",
)  # fmt: skip
@click.pass_context
def watch(
    ctx: click.Context,
    name: str | None,
    once: bool,  # noqa: FBT001
    storage_url: str | None,
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Follow a study that other machines run: progress, learning curves, who is at work.

    It only reads, goes on through outages of the storage, and ends with the study and its
    confirmation. Ctrl-C leaves, and changes nothing. Without a terminal it prints a line a change.
    """
    from hpo.study import only_study

    url = url_of(storage_url, output)
    signal.signal(signal.SIGTERM, _leave)  # so that the terminal is left as it was
    progress = _progress(as_json=as_json)
    try:
        if once:
            _once(name or only_study(url), url, as_json=as_json)
        else:
            _follow(name or only_study(url), url, progress, as_json=as_json)
    except KeyboardInterrupt:
        progress.close()
        ctx.exit(INTERRUPTED_EXIT_CODE)
    finally:
        progress.close()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)


def _progress(*, as_json: bool) -> "Progress":
    from hpo.progress import Lines, LiveTable, Progress

    if as_json:
        return Progress()
    from rich.console import Console

    console = Console()  # what it shows is what was asked for: standard output
    return LiveTable(console) if console.is_terminal else Lines(console)


def _once(name: str, url: str, *, as_json: bool) -> None:
    from hpo.spectator import Spectator, snapshot

    spectator = Spectator(name, url)
    search, confirming = spectator.search(), spectator.confirming()
    search = spectator.confirmed(search)
    spectator.close()
    if as_json:
        print_json(snapshot(search, confirming))
        return
    from hpo.display import confirmed
    from hpo.options import console
    from hpo.progress import LiveTable

    for study in [search, *([] if confirming is None else [confirming])]:
        table = LiveTable(console())
        table.watched(study, study.tickets)
        console().print(table.table())
    if search.confirmation is not None:
        click.echo("\n".join(confirmed(search.confirmation)))


def _follow(name: str, url: str, progress: "Progress", *, as_json: bool) -> None:
    from hpo.spectator import Spectator, follow, snapshot, unchanging

    last: dict[str, Any] = {}

    def seen(search: "StudyView", confirming: "StudyView | None") -> None:
        found = snapshot(search, confirming)
        if as_json and unchanging(found) != last:
            last.clear()
            last.update(unchanging(found))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            click.echo(strict_json.text({"at": now, **found}))

    spectator = Spectator(name, url)
    final = follow(spectator, progress, seen)
    spectator.close()
    stopped = final.condition == "stopped"
    if final.best is None:
        why = ": it was stopped before" if stopped else ""
        raise StudyFailed(f"study {final.name!r}: no trial succeeded{why}", final.to_json())
    if as_json:
        return
    from hpo.display import confirmed

    if final.confirmation is not None:
        click.echo("\n".join(confirmed(final.confirmation)))
    if stopped:
        click.echo(
            f"study {final.name} was stopped and nobody is at work; "
            f"`hpo resume {final.name}` opens it again"
        )
        return
    click.echo(f"study {final.name} is done; `hpo best {final.name}` has its configuration")
