"""Why trials failed, how often, and what to do about it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hpo.report.blocks import Block, Cell, Column, Section, Table
from hpo.report.subject import Subject
from hpo.trials import POISON, TrialResult

ADVICE = {
    "diverged": "Lower the upper end of learning_rate, or add warmup_steps to [training].",
    "out of memory": "Search smaller batches, or lower max_length.",
    "disk full": "Make room below --output; keep_checkpoints says how many trials keep weights.",
    "configuration": "The values do not go together: narrow [space], or use when.",
    "data": "Run hpo check on the study file.",
    POISON: "Look at the workers' logs and the host's (dmesg): memory, preemption, drivers.",
    "error": "Look at error.txt in the trial's folder.",
}
_OTHER = "Look at error.txt in the trial's folder."
_LENGTH = 300  # characters of a message


def failures(subjects: Sequence[Subject]) -> Iterator[Block]:
    """List the reasons, the most frequent first; nothing where no trial failed."""
    (subject,) = subjects
    by_reason: dict[str, list[TrialResult]] = defaultdict(list)
    for trial in subject.failures:
        by_reason[trial.reason or "error"].append(trial)
    if not by_reason:
        return
    ranked = sorted(by_reason.items(), key=lambda pair: -len(pair[1]))
    columns = [
        Column("reason"), Column("trials", numeric=True), Column("which"),
        Column("the latest message"), Column("what to do"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [reason, len(trials), _numbers(trials), _message(trials[-1]), ADVICE.get(reason, _OTHER)]
        for reason, trials in ranked
    ]
    yield Table(columns, rows, caption="Failed trials by reason")


def _numbers(trials: Sequence[TrialResult]) -> str:
    first = ", ".join(str(trial.number) for trial in trials[:8])
    return first if len(trials) <= 8 else f"{first}, …"


def _message(trial: TrialResult) -> str:
    text = " ".join((trial.error or "").split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


SECTION = Section("Failures", failures)
