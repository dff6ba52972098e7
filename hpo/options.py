"""What the commands share: options, examples, and how they print for scripts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo import strict_json

if TYPE_CHECKING:
    from rich.console import Console

RUNS = Path("runs")
AS_JSON = "hpo.as_json"
_ENDLESS = 10_000  # columns; a table takes as many as it needs


def note_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001
    """Remember that an error is to be printed as JSON, too."""
    ctx.meta[AS_JSON] = value
    return value


def print_json(found: dict[str, Any]) -> None:
    """Print what a script reads."""
    click.echo(strict_json.text(found, indent=2))


def console() -> "Console":
    """Return what tables are printed on: in a pipe or a file no line is broken."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=_ENDLESS)


def example(*lines: str) -> str:
    """Return the end of a command's help."""
    return "\n  ".join(["\b\nExample:", *lines])


def url_of(storage_url: str | None, output: Path) -> str:
    """Return the storage that a command is about."""
    from hpo.storage import default_url

    return storage_url or default_url(output)


STRATEGY = click.option(
    "--strategy",
    metavar="S",
    help="Instead of the study file's: bayes, tpe, gp, skopt, random, grid.",
)
STORAGE = click.option(
    "--storage", "storage_url", metavar="URL", envvar="HPO_STORAGE",
    help="sqlite:///path or postgresql://…; by default HPO_STORAGE, else hpo.db in --output.",
)  # fmt: skip
OUTPUT = click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=RUNS,
    show_default=True, help="The folder below which everything lies.",
)  # fmt: skip
DATA = click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the relative paths of the study file start on this machine.",
)  # fmt: skip
WARM_START = click.option(
    "--warm-start", metavar="NAME", multiple=True,
    help="Learn from this earlier study of the storage; repeatable, and instead of those that "
    "the study file names.",
)  # fmt: skip
SET = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Change a key of the study file, e.g. --set training.num_train_epochs=2 (no longer "
    "searched then); repeatable.",
)  # fmt: skip
JSON = click.option(
    "--json", "as_json", is_flag=True, callback=note_json, help="Print one JSON object on stdout."
)
PRIORITY = click.option(
    "--priority", type=click.IntRange(-100, 100), metavar="P",
    help="Studies with a higher one are served first; 0 unless said otherwise.",
)  # fmt: skip
LEASE = click.option(
    "--lease", type=click.FloatRange(min=1), default=60.0, show_default=True, metavar="SECONDS",
    help="After so long without a sign of life its trial is given to another worker.",
)  # fmt: skip
HANG = click.option(
    "--hang", type=click.FloatRange(min=1), default=1800.0, show_default=True, metavar="SECONDS",
    help="After so long without progress a trial is taken to hang, and the worker ends.",
)  # fmt: skip
GRACE = click.option(
    "--grace", type=click.FloatRange(min=0), default=25.0, show_default=True, metavar="SECONDS",
    help="Time to save a trial in after SIGTERM or SIGUSR1.",
)  # fmt: skip
NAME = click.argument("name", required=False)
EXACT_NAME = click.argument("name")
