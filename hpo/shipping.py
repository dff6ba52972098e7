"""The commands by which a model leaves its study: test, export, retrain, predict."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo import strict_json
from hpo.errors import BadInput, DataError
from hpo.options import (
    DATA,
    EXACT_NAME,
    JSON,
    OUTPUT,
    RUNS,
    STORAGE,
    example,
    print_json,
    url_of,
)  # fmt: skip

if TYPE_CHECKING:
    from hpo.concluded import Concluded
    from hpo.export import Refit
    from hpo.texts import Form, Given

_STDIN = "-"


RUNS_FOLDER = click.option(
    "--runs", type=click.Path(path_type=Path, file_okay=False), default=RUNS, show_default=True,
    help="The folder below which the study lies.",
)  # fmt: skip
TARGET = click.option(
    "--output", "target", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="The folder that the model goes to; one of somebody else's is never overwritten.",
)  # fmt: skip


@click.command(epilog=example("hpo test demo-ner-bayes", "hpo test demo-ner-bayes --again --json"))
@EXACT_NAME
@click.option("--again", is_flag=True, help="Score it although it was seen before.")
@click.option(
    "--unfinished", is_flag=True, help="Score it although trials are at work or to be confirmed."
)
@DATA
@STORAGE
@OUTPUT
@JSON
def test(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    again: bool,  # noqa: FBT001
    unfinished: bool,  # noqa: FBT001
    data: Path | None,
    storage_url: str | None,
    output: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Score the test split of the study NAME, once, at the end.

    It is scored for the winner (of the confirmation, if there is one, else the best trial) and for
    the default configuration, as far as their weights are there, with a bootstrap interval over
    rows. The result is stored with the study: asked again, the same is shown, and how often the
    split was seen. A study that goes on is refused, for its winner may still change.
    """
    concluded = _open(name, url_of(storage_url, output), data, output)
    from hpo import held_out

    look = held_out.look_at(concluded, _say, again=again, unfinished=unfinished)
    print_json(look.to_json()) if as_json else click.echo(held_out.written(look, concluded.view))


@click.command(
    epilog=example(
        "hpo export demo-ner-bayes",
        "hpo export demo-ner-bayes --refit train+validation --output final --push me/ner",
    )
)
@EXACT_NAME
@TARGET
@click.option(
    "--refit", "again", type=click.Choice(["train", "train+validation"]),
    help="Train the winner's configuration anew, on train or on both.",
)  # fmt: skip
@click.option("--push", "repo", metavar="REPO", help="Upload it to the hub, as OWNER/NAME.")
@click.option("--public", is_flag=True, help="Make REPO public; it is private otherwise.")
@DATA
@STORAGE
@RUNS_FOLDER
@JSON
def export(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    target: Path | None,
    again: "Refit | None",
    repo: str | None,
    public: bool,  # noqa: FBT001
    data: Path | None,
    storage_url: str | None,
    runs: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write the winner of the study NAME as a folder that transformers loads.

    Weights, tokenizer, a model card (README.md) and a manifest (hpo.json). The winner is the best
    trial; after a confirmation the best run of the confirmed configuration. An earlier export of
    the study is replaced, nothing else is. Without --output it goes to export in the study's
    folder.
    """
    if public and repo is None:
        raise BadInput("--public: found no --push; expected one, or no --public")
    concluded = _open(name, url_of(storage_url, runs), data, runs)
    from hpo import export as exporting
    from hpo import pushing

    if repo is not None:
        pushing.check(repo, exporting.owner_of(concluded), public=public)
    place = target or concluded.workspace.folder / "export"
    found = exporting.export(concluded, place, again, _say)
    if repo is not None:
        _say(f"uploading to {repo}")
        found = replace(found, pushed=pushing.push(found.folder, repo, public=public))
    metric = concluded.view.metric
    print_json(found.to_json()) if as_json else click.echo(exporting.written(found, metric))


@click.command(
    epilog=example(
        "hpo retrain demo-ner-bayes --trial 7",
        "hpo retrain demo-ner-bayes-confirm --trial 2 --output again",
    )
)
@EXACT_NAME
@click.option("--trial", "number", type=click.IntRange(min=0), required=True, metavar="N")
@TARGET
@DATA
@STORAGE
@RUNS_FOLDER
@JSON
def retrain(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    number: int,
    target: Path | None,
    data: Path | None,
    storage_url: str | None,
    runs: Path,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Train a trial of the study NAME again, outside of the study.

    Any trial will do, also one that failed, and those of NAME-confirm. On the same machine, with
    the same data and versions, its scores are the same; it says whether they are. Without --output
    the weights go to retrain-N in the study's folder.
    """
    concluded = _open(name, url_of(storage_url, runs), data, runs)
    from hpo import retraining

    place = target or concluded.workspace.folder / f"retrain-{number:04d}"
    found = retraining.retrain(concluded, number, place, _say)
    metric = concluded.view.metric
    print_json(found.to_json()) if as_json else click.echo(retraining.written(found, metric))


def _open(name: str, storage_url: str, data: Path | None, runs: Path) -> "Concluded":
    from hpo.concluded import open_study
    from hpo.quiet import quieten

    quieten()
    return open_study(name, storage_url, data=data, output=runs)


def _say(what: str) -> None:
    click.echo(f"{what} …", err=True)


@click.command(
    epilog=example(
        'hpo predict runs/demo-ner-bayes/export "Ada Berg moved to Olm."',
        "hpo predict runs/demo-ner-bayes/export --file news.txt > entities.jsonl",
        "tail -f log | hpo predict model -",
    )
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("text", required=False)
@click.option(
    "--file", "path", type=click.Path(path_type=Path, allow_dash=True), metavar="F",
    help="Read .txt (a line a text), .jsonl (text or tokens), .conll; - is standard input.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["txt", "jsonl", "conll"]),
    help="Of the file, where its name does not say it; of standard input txt.",
)  # fmt: skip
@click.option(
    "--trust-remote-code", "trust", is_flag=True, help="Run code that the model brings along."
)
@JSON
def predict(
    folder: Path,
    text: str | None,
    path: Path | None,
    form: "Form | None",
    trust: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Let the model in DIR read TEXT, or the texts of a file.

    DIR is what `hpo export` wrote, or the `best` folder of a trial. Texts are read as they were
    when the trial was scored. For NER raw text is split into words; tokens are taken as they are.

    It prints JSON lines in a pipe or with --json, and for a person in a terminal.
    """
    if (text is None) == (path is None):
        given = "no TEXT and no --file" if text is None else "TEXT and --file"
        raise BadInput(f"predict: found {given}; expected one of them (- is standard input)")
    with _texts(text, path, form) as batches:  # a mistake is told before torch is imported
        from hpo import prediction
        from hpo.inference import load
        from hpo.quiet import quieten

        quieten()
        model = load(folder, trust=trust)
        in_json = as_json or not sys.stdout.isatty()
        for batch in batches:
            for found in prediction.predict(model, batch):
                line = strict_json.text(found)
                sys.stdout.write(f"{line if in_json else prediction.written(found)}\n")
            sys.stdout.flush()


@contextmanager
def _texts(
    text: str | None, path: Path | None, form: "Form | None"
) -> "Iterator[Iterable[list[Given]]]":
    from hpo import texts

    if text is not None and text != _STDIN:
        yield [[texts.Given("TEXT", text=texts.checked(text, "TEXT"))]]
        return
    if path is None or str(path) == _STDIN:
        yield texts.read(sys.stdin.buffer, "standard input", form or "txt")
        return
    form = form or texts.form_of(path)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"--file {path}: cannot be read: {error.strerror}") from None
    with stream:
        yield texts.read(stream, str(path), form)
