"""The command that deletes a study: it asks before, and says what stays."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.errors import BadInput
from hpo.options import EXACT_NAME, JSON, OUTPUT, STORAGE, example, print_json, url_of

if TYPE_CHECKING:
    from hpo.deletion import Found
    from hpo.pool_view import WorkerView


@click.command(epilog=example("hpo delete old-study", "hpo delete old-study --files --yes"))
@EXACT_NAME
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option(
    "--now", is_flag=True,
    help="Send its workers away before: running trials are saved, and deleted with the rest.",
)  # fmt: skip
@click.option(
    "--files", is_flag=True,
    help="Delete what hpo made in its folder in --output, too: weights, logs, exports.",
)  # fmt: skip
@STORAGE
@OUTPUT
@JSON
def delete(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    yes: bool,  # noqa: FBT001
    now: bool,  # noqa: FBT001
    files: bool,  # noqa: FBT001
    storage_url: str | None,
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Delete the study NAME and its confirmation from the storage, for good.

    Its files are kept unless --files says otherwise. While workers hold trials of it nothing is
    deleted without --now.
    """
    from hpo import deletion
    from hpo.storage import open_storage

    opened = open_storage(url_of(storage_url, output), create=False)
    found = deletion.look(opened, name, output)
    _check_idle(name, found, now=now)
    if not yes:
        _ask(found, files=files, can_ask=sys.stdin.isatty() and not as_json)
    if now:
        deletion.recall(opened, name, _say_whom)
    deletion.delete_rows(opened, found)
    if files:
        deletion.delete_files(found)
    if as_json:
        print_json(_told(found, files=files))
        return
    gone = "a new study of this name needs it gone, or another --output"
    for line in (f"deleted {_what(found)}", *_files(found, gone, deleted=files)):
        click.echo(line)


def _check_idle(name: str, found: "Found", *, now: bool) -> None:
    if now or not found.busy:
        return
    from hpo.display import count
    from hpo.workers import shown

    who = ", ".join(shown(each.worker) for each in found.busy)
    verb = "holds a trial" if len(found.busy) == 1 else "hold trials"
    raise BadInput(
        f"study {name!r}: {count(len(found.busy), 'worker')} ({who}) {verb} of it; expected none: "
        f"wait, or give --now, which sends them away before"
    )


def _ask(found: "Found", *, files: bool, can_ask: bool) -> None:
    """Ask on the terminal; ends the command if the answer is no.

    Raises:
        BadInput: there is none to ask on.
        KeyboardInterrupt: Ctrl-C instead of an answer.
    """
    if not can_ask:
        raise BadInput("delete: found no terminal to ask on; expected --yes")
    for line in (_what(found), *_files(found, "--files deletes it, too", deleted=files)):
        click.echo(line, err=True)
    try:
        agreed = click.confirm("Delete this for good?", err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    if not agreed:
        click.echo("nothing was deleted", err=True)
        click.get_current_context().exit(0)


def _say_whom(workers: "list[WorkerView]") -> None:
    from hpo.workers import shown

    who = ", ".join(shown(each.worker) for each in workers)
    click.echo(f"waiting for {who} to save and leave …", err=True)


def _what(found: "Found") -> str:
    from hpo.display import count

    name, *confirmation = found.names
    more = f" and its confirmation {confirmation[0]}" if confirmation else ""
    return f"study {name}{more}, {count(found.trials, 'trial')}"


def _files(found: "Found", hint: str, *, deleted: bool) -> list[str]:
    """Return what becomes of files, in lines."""
    from hpo.study_folder import shown

    def of(folder: Path) -> str:
        if not deleted:
            return f"files kept in {folder} ({hint})"
        if folder not in found.staying:
            return f"files deleted with {folder}"
        strange = shown(found.staying[folder])
        return f"files deleted in {folder}; kept there, for hpo did not make it: {strange}"

    return [
        *(of(folder) for folder in found.folders),
        *(f"files kept in {folder}, which {why}" for folder, why in found.foreign.items()),
        *(f"files kept in {folder}, where its workers wrote them" for folder in found.elsewhere),
    ]


def _told(found: "Found", *, files: bool) -> dict[str, Any]:
    own = [str(folder) for folder in found.folders]
    staying = [str(path) for paths in found.staying.values() for path in paths]
    kept = [*(staying if files else own), *map(str, found.foreign), *map(str, found.elsewhere)]
    return {
        "deleted": found.names,
        "trials": found.trials,
        "files_deleted": own if files else [],
        "files_kept": kept,
    }
