"""The commands by which people see workers, and tell them what to do, wherever those run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.errors import BadInput, StorageError
from hpo.options import (
    EXACT_NAME,
    JSON,
    OUTPUT,
    PRIORITY,
    STORAGE,
    console,
    example,
    print_json,
    url_of,
)

if TYPE_CHECKING:
    from hpo.orders import State


@click.command(epilog=example("hpo pause demo-ner-bayes"))
@EXACT_NAME
@STORAGE
@OUTPUT
@JSON
def pause(name: str, storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """Let no worker begin a further trial of the study NAME.

    Running trials go on to their end; workers wait for `hpo resume`.
    """
    _say(name, "paused", url_of(storage_url, output), as_json)


@click.command(epilog=example("hpo resume demo-ner-bayes"))
@EXACT_NAME
@STORAGE
@OUTPUT
@JSON
def resume(name: str, storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """Open the study NAME again, after `hpo pause` or `hpo stop`.

    Workers that have left are not started; `hpo run` and `hpo worker` do that.
    """
    _say(name, "open", url_of(storage_url, output), as_json)


@click.command(epilog=example("hpo stop demo-ner-bayes", "hpo stop demo-ner-bayes --now"))
@EXACT_NAME
@click.option(
    "--now", is_flag=True, help="Running trials are saved and handed back, uncharged."
)  # fmt: skip
@STORAGE
@OUTPUT
@JSON
def stop(name: str, now: bool, storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """Send the workers of the study NAME away, when their trials have ended.

    What is left of the budget stays; `hpo run` or `hpo resume` opens the study again.
    """
    _say(name, "recalled" if now else "stopped", url_of(storage_url, output), as_json)


@click.command("set", epilog=example("hpo set demo-ner-bayes --trials 60 --priority 5"))
@EXACT_NAME
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="The budget, in all.")
@PRIORITY
@STORAGE
@OUTPUT
@JSON
def set_(
    name: str,
    trials: int | None,
    priority: int | None,
    storage_url: str | None,
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Change the budget or the priority of the study NAME while workers run.

    They heed it with their next trial.
    """
    if trials is None and priority is None:
        raise BadInput("set: found nothing to change; expected --trials or --priority")
    from hpo import orders
    from hpo.storage import open_storage

    opened = open_storage(url_of(storage_url, output), create=False)
    changed = orders.change(opened, name, trials=trials, priority=priority)
    if as_json:
        print_json({"study": name, "trials": changed.budget.trials, "priority": changed.priority})
        return
    from hpo.display import count

    said = [
        "" if trials is None else f"its budget is {count(trials, 'trial')}",
        "" if priority is None else f"its priority is {priority}",
    ]
    click.echo(f"study {name}: {', '.join(filter(None, said))}")


@click.command("workers", epilog=example("hpo workers --storage postgresql://me@host/hpo"))
@STORAGE
@OUTPUT
@JSON
def workers_(storage_url: str | None, output: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the workers of a storage: what each does, and what it cannot serve.

    One that was lost, by kill -9 or with its machine, is listed for an hour. In a narrow terminal
    what matters least is left out; a pipe gets all of it.
    """
    from hpo.pool_view import list_workers

    found = list_workers(url_of(storage_url, output))
    if as_json:
        print_json({"workers": [each.to_json() for each in found]})
        return
    from rich.text import Text

    from hpo.display import refusal_of, worker_table

    out = console()
    click.echo(worker_table(found, out.width) if found else "no worker is there")
    refused = {(study, each.machine): why for each in found for study, why in each.refused.items()}
    for (study, _), why in sorted(refused.items(), key=lambda item: item[0]):
        out.print(Text(refusal_of(study, why)))


def _say(name: str, now: "State", storage_url: str, as_json: bool) -> None:  # noqa: FBT001
    from hpo import orders
    from hpo.storage import open_storage

    opened = open_storage(storage_url, create=False)
    before = orders.give(opened, name, now)
    if as_json:
        print_json({"study": name, "state": now, "before": before})
        return
    words = orders.WORDS[now]
    click.echo(f"study {name} {words}" + ("" if before != now else " (as before)"))


_URL = click.argument("url", required=False)
_STORAGE = click.option("--storage", "storage_url", metavar="URL", help="The same as URL.")


def _one_of(url: str | None, storage_url: str | None) -> str:
    """Return the storage that was named: as an argument, by --storage, or by HPO_STORAGE.

    Raises:
        BadInput: none was, or two.
    """
    if url is not None and storage_url not in {None, url}:
        raise BadInput("--storage: found another one beside URL; expected one of them")
    found = url or storage_url or os.environ.get("HPO_STORAGE")
    if not found:
        raise BadInput("storage: found no URL; expected URL, --storage URL or HPO_STORAGE")
    return found


@click.group("storage", epilog=example("hpo storage check postgresql://me@host/hpo"))
def storage_() -> None:
    """Make a storage for a team, or look whether it is fit."""


@storage_.command("init", epilog=example("hpo storage init postgresql://owner@host/hpo"))
@_URL
@_STORAGE
@JSON
def init(url: str | None, storage_url: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Make the tables of a storage, where there are none.

    Workers do that, too; a database whose workers may not is made by its owner. Without URL it is
    that of --storage, else of HPO_STORAGE.
    """
    from hpo.storage import open_storage, shown

    opened = open_storage(_one_of(url, storage_url))
    where = shown(opened.engine.url)
    print_json({"url": where}) if as_json else click.echo(f"{where} has its tables")


@storage_.command("check", epilog=example("hpo storage check postgresql://me@host/hpo --json"))
@_URL
@_STORAGE
@JSON
def check(url: str | None, storage_url: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Look whether a storage is fit: version, rights, round trip, clock, a lease, connections.

    Without URL it is that of --storage, else of HPO_STORAGE.
    """
    from hpo import storage_check

    found = storage_check.check(_one_of(url, storage_url))
    print_json(found.to_json()) if as_json else click.echo("\n".join(found.lines()))
    if not found.is_fit():
        click.echo(f"hpo: storage {found.url}: is not fit to be worked on", err=True)
        click.get_current_context().exit(StorageError.exit_code)


@storage_.command("roles", epilog=example("hpo storage roles > roles.sql"))
def roles() -> None:
    """Print the SQL that makes a role for workers and one for readers."""
    sql = Path(__file__).parent / "roles.sql"
    click.echo(sql.read_text(encoding="utf-8"), nl=False)
