"""The command that writes a report."""

from pathlib import Path

import click

from hpo.errors import BadInput
from hpo.options import DATA, OUTPUT, STORAGE, example, url_of
from hpo.report.formats import FORMATS, Format

# Endings that a report might be asked for with, and would not be what they say.
_OTHERS = {"docx", "ipynb", "pdf", "png", "svg", "xlsx"}
_STDOUT = Path("-")


@click.command(
    epilog=example(
        "hpo report demo-ner-bayes -o demo.html",
        "hpo report demo-ner-grid demo-ner-bayes    # compared",
        "hpo report demo-ner-bayes --format csv -o -",
    )
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "-o", "--file", "path", metavar="FILE", type=click.Path(path_type=Path),
    help="Where to write it, - is stdout; by default report.html, .md, .json or .csv.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(FORMATS),
    help="By default what the ending of FILE says, else html. CSV lists all trials.",
)  # fmt: skip
@click.option(
    "--texts/--no-texts", "texts", default=True,
    help="Show the texts of the worst mistakes, as far as the data is here; CSV and JSON never do.",
)  # fmt: skip
@click.option(
    "--dashboard", metavar="URL", envvar="HPO_DASHBOARD_URL",
    help="Where `hpo dashboard` serves the storage; the page links to it. By default "
    "HPO_DASHBOARD_URL.",
)  # fmt: skip
@DATA
@STORAGE
@OUTPUT
def report(  # noqa: PLR0913, PLR0917 - one for each option
    names: tuple[str, ...],
    path: Path | None,
    form: Format | None,
    texts: bool,  # noqa: FBT001
    data: Path | None,
    dashboard: str | None,
    storage_url: str | None,
    output: Path,
) -> None:
    """Write a report of a study: one page that needs nothing else, or Markdown, JSON, CSV.

    Several NAMEs are compared, at equal trials and at equal time. A page holds up to ten texts of
    the validation split, which the winner got wrong, unless --no-texts leaves them out.
    """
    chosen = form or _by_ending(path)
    target = path or Path(f"report.{chosen}")
    if target.is_dir():  # told before anything is read
        raise BadInput(f"{target}: found a folder; expected the name of a file")
    if dashboard and not dashboard.startswith(("http://", "https://")):
        raise BadInput(f"--dashboard: found {dashboard!r}; expected http://… or https://…")
    url = url_of(storage_url, output)
    from hpo.report.make import make, write
    from hpo.report.texts import Texts
    from hpo.study import only_study

    def say(what: str) -> None:
        click.echo(what, err=True)

    shown = Texts(shown=texts, data=data)
    text = make(names or [only_study(url)], url, chosen, say, shown, dashboard or "")
    if target == _STDOUT:
        click.echo(text, nl=False)
        return
    write(target, text)
    click.echo(f"Wrote {target} ({len(text.encode()) / 1e6:.1f} MB).")


def _by_ending(path: Path | None) -> Format:
    ending = "" if path is None else path.suffix.lower().removeprefix(".")
    if ending in _OTHERS:
        raise BadInput(
            f"{path}: found the ending .{ending}; expected one of {', '.join(FORMATS)} (a browser "
            "prints the HTML), or --format"
        )
    return next((each for each in FORMATS if each == ending), "html")
