"""The best configurations as a table that can be sorted, those without a score behind them."""

from collections.abc import Iterator, Sequence

from hpo.report.best_so_far import column_unit
from hpo.report.blocks import Block, Cell, Column, Section, Table, Text, Undrawable
from hpo.report.subject import Subject
from hpo.trials import TrialResult

ROWS = 50


def trial_table(subjects: Sequence[Subject]) -> Iterator[Block]:
    """List them."""
    (subject,) = subjects
    ended = [*subject.completed, *subject.pruned, *subject.failures]
    if not ended:
        raise Undrawable("There is nothing to list: no trial has ended.")
    names = subject.view.spec.search_space().names()
    unit, size = column_unit(trial.seconds or 0.0 for trial in ended)
    columns = [
        Column("trial", numeric=True), Column(subject.view.metric, numeric=True, digits=4),
        *(Column(name, numeric=_is_numeric(name, ended)) for name in names),
        Column(unit, numeric=True, digits=1), Column("state"),
    ]  # fmt: skip
    shown = ended[:ROWS]
    rows = [_row(trial, names, size) for trial in shown]
    winner = subject.winner
    marked = frozenset(
        index for index, trial in enumerate(shown) if winner and trial.number == winner.trial
    )
    yield Table(columns, rows, marked, "Trials, the best first")
    if len(ended) > ROWS:
        yield Text(
            f"The best {ROWS} of {len(ended):,}; `hpo report {subject.name} --format csv` has all.",
            note=True,
        )


def _row(trial: TrialResult, names: Sequence[str], size: float) -> list[Cell]:
    time = None if trial.seconds is None else trial.seconds / size
    state = trial.reason or trial.state.lower()
    values = [_cell(trial.params.get(name)) for name in names]
    return [trial.number, trial.value if trial.value is not None else trial.reported,
            *values, time, state]  # fmt: skip


def _cell(value: object) -> Cell:
    if value is None or (isinstance(value, int | float | str) and not isinstance(value, bool)):
        return value
    return str(value)


def _is_numeric(name: str, trials: Sequence[TrialResult]) -> bool:
    values = [trial.params[name] for trial in trials if name in trial.params]
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


SECTION = Section("The best configurations", trial_table)
