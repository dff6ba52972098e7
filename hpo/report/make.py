"""Make a report: read the studies, draw the sections, write them in a format."""

from collections.abc import Sequence
from pathlib import Path

from hpo.binding import BindingStorage
from hpo.errors import BadInput
from hpo.report.formats import Format
from hpo.report.subject import Say, Subject, load_subjects
from hpo.report.texts import Texts
from hpo.storage import open_storage, told


def make(
    names: Sequence[str], storage_url: str | BindingStorage, form: Format, say: Say,
    texts: Texts | None = None, dashboard: str = "",
) -> str:  # fmt: skip
    """Return the report of one study, or of several that are compared.

    Args:
        names: of the studies.
        storage_url: where they are stored, or the storage itself.
        form: in which it is written.
        say: is told what takes time.
        texts: where the texts of mistakes are looked up; None leaves them out. Only a page and
            Markdown show them.
        dashboard: the address of a dashboard of that storage, which the page links to.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """
    subjects = load_subjects(names, storage_url, say, texts)
    if form == "csv":
        from hpo.report.csv_rows import as_csv

        return as_csv(subjects)
    if form == "json":
        from hpo.report.exchange import as_json

        return as_json(subjects)
    from hpo.report.sections import make_sections

    sections = make_sections(subjects, say)
    say("writing …")
    if form == "md":
        from hpo.report.markdown import markdown

        return markdown(subjects, sections)
    from hpo.report.page import page

    return page(subjects, sections, links_to(dashboard, subjects, storage_url))


def links_to(
    dashboard: str, subjects: Sequence[Subject], storage_url: str | BindingStorage
) -> dict[str, str]:
    """Return name of a study -> its page in a dashboard; nothing where there is no dashboard."""
    if not dashboard:
        return {}
    where = storage_url
    opened = open_storage(where, create=False) if isinstance(where, str) else where
    with told(opened.engine.url):
        ids = {each.name: opened.get_study_id_from_name(each.name) for each in subjects}
    return {name: f"{dashboard.rstrip('/')}/dashboard/studies/{id_}" for name, id_ in ids.items()}


def write(path: Path, text: str) -> None:
    """Write a report to a file.

    Raises:
        BadInput: it cannot be written there.
    """
    if path.is_dir():
        raise BadInput(f"{path}: found a folder; expected the name of a file")
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
