"""All trials as CSV whose cells no spreadsheet takes for a formula.

Text that begins with `=`, `+`, `-`, `@`, a tab or a line break gets an apostrophe before it
(https://owasp.org/www-community/attacks/CSV_Injection); numbers stay numbers.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

from hpo.report.subject import Subject
from hpo.trials import RUN, TrialResult
from hpo.workers import shown

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_FIXED = ("study", "trial", "state", "value", "reported", "seconds", "reason", "error", "begun",
          "worker", "device")  # fmt: skip


def as_csv(subjects: Sequence[Subject]) -> str:
    """Return one row an attempt, with a column for each parameter and each metric."""
    trials = [(subject, trial) for subject in subjects for trial in subject.view.trials]
    params = list(dict.fromkeys(name for _, trial in trials for name in trial.params))
    metrics = list(dict.fromkeys(name for _, trial in trials for name in trial.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    heads = [
        *_FIXED,
        *(f"params.{each}" for each in params),
        *(f"metrics.{each}" for each in metrics),
    ]
    writer.writerow([safe(head) for head in heads])
    for subject, trial in trials:
        cells = [
            *_fixed(subject, trial),
            *(trial.params.get(name) for name in params),
            *(trial.metrics.get(name) for name in metrics),
        ]
        writer.writerow([safe(each) for each in cells])
    return text.getvalue()


def safe(value: object) -> object:
    """Return a cell that a spreadsheet shows and does not compute."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _fixed(subject: Subject, trial: TrialResult) -> list[object]:
    run, span = trial.record.get(RUN, {}), subject.spans.get(trial.number)
    begun = None if span is None else datetime.fromtimestamp(span.start, UTC).isoformat()
    return [
        subject.name, trial.number, trial.state, trial.value, trial.reported, trial.seconds,
        trial.reason, trial.error, begun, shown(str(run.get("worker", ""))), run.get("device"),
    ]  # fmt: skip
