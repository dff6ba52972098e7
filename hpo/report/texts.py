"""The rows of the validation split that a report quotes, looked up where the data is.

A study stores numbers of rows and no text, so a report shows texts only on a machine that has the
data, and only of the very data that the study was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import HpoError
from hpo.study import StudyView


class NoTexts(Exception):
    """There are no texts to show; the message is a sentence or two that say why."""


@dataclass(frozen=True)
class Texts:
    """Where the texts of mistakes are.

    Args:
        shown: whether a report shows any.
        data: where the relative paths of study files start on this machine; by default where they
            did when a study was made, if there is such a folder here, else the current one.
    """

    shown: bool = True
    data: Path | None = None

    def of(
        self, view: StudyView, numbers: Sequence[int], *, words: bool
    ) -> list[Mapping[str, Any]]:
        """Return rows of a study's validation split, by their numbers.

        Args:
            view: the study.
            numbers: of the rows.
            words: whether they are lists of words with tags, else texts with a class.

        Raises:
            NoTexts: they are not to be shown, are not here, or are not the study's.
        """
        if not self.shown:
            raise NoTexts("The texts are left out.")
        from hpo.data import load_data
        from hpo.quiet import quieten

        quieten()
        try:
            data = load_data(
                view.spec.data,
                layout="tokens" if words else "text",
                folder=self._folder(view),
                seed=view.spec.seed,
            )
        except HpoError as error:
            reason = str(error).splitlines()[0]
            raise NoTexts(
                f"The texts are not shown, since the data cannot be read here: {reason}. Make the "
                "report on a machine that has it, or say where it is: `--data DIR`."
            ) from None
        if view.fingerprint not in {None, data.fingerprint}:
            raise NoTexts(
                "The texts are not shown: the data that is found here is not the study's."
            )
        rows = data.validation.rows
        if any(number >= len(rows) for number in numbers):
            raise NoTexts("The texts are not shown: the validation split has fewer rows now.")
        return [rows[number] for number in numbers]

    def _folder(self, view: StudyView) -> Path:
        stored = Path(view.data or "")
        return self.data or (stored if stored.is_absolute() and stored.is_dir() else Path())
