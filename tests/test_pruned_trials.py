"""Pruning and plateaus in whole studies: a worker, its tickets, a storage, and real trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from hpo import storage, workers
from hpo.evaluations import Evaluation, Objective
from hpo.leases import Tickets
from hpo.own_training import OwnTrainingRunner
from hpo.progress import Progress
from hpo.pruning import EPOCHS
from hpo.search import TrainerRunner
from hpo.signals import Stop
from hpo.spec import StudySpec
from hpo.strategies import load_strategy
from hpo.tasks import Direction
from hpo.trial import Attempt, Result, Runner
from hpo.turn import Terms, Work
from hpo.worker import Worker
from tests.studies_made import make_spec, make_workspace
from tests.test_pruning import RATE_2E4, RATE_2E5, RATE_3E3, SST2_DEAD, SST2_DEFAULT

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Heard(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)


@dataclass
class Curved:
    """Trains nothing, and tells curves that are known beforehand."""

    curves: Sequence[Sequence[float]]
    epochs: float = 3.0
    name: str = "curved"
    metric: str = "score"
    metrics: Mapping[str, Direction] = field(default_factory=lambda: {"score": "maximize"})
    told: dict[int, int] = field(default_factory=dict)  # point -> evaluations

    def train(self, attempt: Attempt) -> Result:
        """Tell one value after the other."""
        point = int(attempt.params["point"])
        values, evaluations = self.curves[point], list[Evaluation]()
        for step, value in enumerate(values, start=1):
            attempt.reporter.stepped(step, len(values))
            epoch = round(step * self.epochs / len(values), 4)
            evaluations.append(Evaluation(epoch, step, {"score": value}, 0.0))
            self.told[point] = step
            attempt.reporter.evaluated(evaluations)
        return Result(max(values), evaluations)


def curved_spec(points: int, **changes: Any) -> StudySpec:
    """Return a study of points 0, 1, …: the first ones are tried first, in this order."""
    start = [{"point": point} for point in range(points)]
    space = {"point": {"type": "int", "low": 0, "high": points - 1}}
    return make_spec({"space": space, "start": start, "budget": {"trials": points}, **changes})


def work_on(
    spec: StudySpec, runner: Runner, folder: Path, say: Heard | None = None
) -> list[FrozenTrial]:
    """Work on a study until its budget is spent, and return its trials."""
    opened = storage.open_storage(f"sqlite:///{folder / 'hpo.db'}")
    objective = runner.objective
    study = storage.create_or_attach(
        opened, "study", spec, direction="maximize" if objective.maximize else "minimize",
        facts={storage.METRIC: objective.metric},
    )  # fmt: skip
    tickets = Tickets(opened.engine, study.user_attrs[storage.ID], worker=workers.here())
    terms = Terms(spec.seed, spec.budget, start=spec.start, prune=spec.prune, stop=spec.stop)
    with Stop() as stop:
        work = Work(
            study, opened, tickets, load_strategy(spec), runner, terms, say or Heard(), stop
        )
        Worker(work).run()
    trials = study.get_trials(deepcopy=False)
    opened.engine.dispose()
    return trials


def run_curves(
    folder: Path, spec: StudySpec, task: Curved, say: Heard | None = None
) -> list[FrozenTrial]:
    """Work on a study of known curves."""
    runner = OwnTrainingRunner(
        task, spec.search_space(), Objective("score", maximize=True), folder / "study"
    )
    return work_on(spec, runner, folder, say)


@pytest.mark.parametrize("strategy", ["median", "asha", "patience"])
def test_states(tmp_path: Path, strategy: str) -> None:
    """The dead ones are PRUNED, of those that learn slowly none is; each counts as an outcome."""
    curves = [RATE_2E4] * 5 + [RATE_3E3, RATE_2E5, RATE_3E3, RATE_2E4]
    task = Curved(curves)
    spec = curved_spec(len(curves), prune={"strategy": strategy})
    trials = run_curves(tmp_path, spec, task)
    states = [trial.state.name for trial in trials]
    assert [point for point, state in enumerate(states) if state == "PRUNED"][:2] == [5, 7]
    assert states[6] == "COMPLETE"
    assert len(states) == len(curves)
    assert task.told[5] == 5  # at a quarter of an epoch each, the first one behind epoch 1
    assert task.told[6] == len(RATE_2E5)
    assert {trial.user_attrs[EPOCHS] for trial in trials} == {3.0}
    assert trials[5].intermediate_values.keys() == {250, 500, 750, 1000, 1250}


def test_once_an_epoch(tmp_path: Path) -> None:
    """SST-2's default among better ones survives its first epoch; the dead one ends behind two."""
    task = Curved([[0.78, 0.82, 0.84]] * 5 + [SST2_DEFAULT, SST2_DEAD])
    trials = run_curves(tmp_path, curved_spec(7, prune={"strategy": "median"}), task)
    assert [trial.state.name for trial in trials[5:]] == ["COMPLETE", "PRUNED"]
    assert task.told[6] == 2


def test_nothing_is_left_to_save_at_the_end(tmp_path: Path) -> None:
    """A trial that would lose at its last evaluation completes: it has been paid for."""
    late = [0.1, 0.3, 0.5, 0.75, 0.75]
    task = Curved([[0.9] * 5] * 5 + [late], epochs=2.0)
    trials = run_curves(tmp_path, curved_spec(6, prune={"strategy": "median"}), task)
    assert trials[5].state.name == "COMPLETE"


@pytest.mark.parametrize(
    ("table", "state"), [(None, "COMPLETE"), ({"strategy": "median"}, "PRUNED")]
)
@pytest.mark.parametrize("strategy", ["grid", "random"])
def test_only_where_it_is_asked_for(
    tmp_path: Path, strategy: str, table: dict[str, Any] | None, state: str
) -> None:
    """Without `[prune]` every trial is trained to its end, on a grid as elsewhere."""
    curves = [RATE_2E4] * 6 + [RATE_3E3]
    if strategy == "random":
        spec = curved_spec(7, prune=table)
    else:
        points = {"point": {"type": "choice", "values": list(range(7))}}
        # The order is drawn: with this seed the dead one is among the last.
        changes = {"strategy": "grid", "space": points, "budget": {"trials": 7}, "seed": 2}
        spec = make_spec({**changes, "prune": table})
    trials = run_curves(tmp_path, spec, Curved(curves))
    dead = next(trial for trial in trials if trial.params["point"] == 6)
    assert dead.number >= 5
    assert dead.state.name == state


def test_plateau(tmp_path: Path) -> None:
    """The study ends with the reason, says so again when it is run again, and can go on."""
    values = [0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.9, 0.8]
    stop = {"patience": 3, "min_trials": 1}
    said = Heard()
    spec = curved_spec(8, stop=stop)
    task = Curved([[value] for value in values])
    trials = run_curves(tmp_path, spec, task, said)
    assert [trial.value for trial in trials] == values[:5]
    (why,) = said.notes
    assert "plateaued: the last 3 of 5 trials" in why
    again = Heard()
    assert len(run_curves(tmp_path, spec, task, again)) == 5
    assert again.notes == [why]
    larger = curved_spec(8, stop={"patience": 5, "min_trials": 1})
    assert [trial.value for trial in run_curves(tmp_path, larger, task)] == values


def test_real_training(tmp_path: Path) -> None:
    """A rate that learns nothing is pruned in the Trainer; its folder goes, the best one stays."""
    rates = [3e-3, 5e-3, 4e-3, 1e-9]
    space = {"learning_rate": {"type": "float", "low": 1e-9, "high": 1e-2, "log": True}}
    changes = {
        "space": space, "start": [{"learning_rate": rate} for rate in rates],
        "budget": {"trials": len(rates)}, "training": {"num_train_epochs": 4},
        "prune": {"strategy": "median", "n_startup_trials": 3}, "objective": {"metric": "loss"},
    }  # fmt: skip
    workspace = make_workspace(tmp_path / "data", changes)
    trials = work_on(workspace.spec, TrainerRunner(workspace), tmp_path)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert [trial.user_attrs[EPOCHS] for trial in trials] == [4.0] * 4
    assert list(trials[3].intermediate_values) in ([1000, 2000], [1000, 2000, 3000])
    assert "checkpoint" not in trials[3].user_attrs
    best = min(trials[:3], key=lambda trial: trial.value or 0.0)
    left = [path.name for path in workspace.folder.glob("trial-*/*") if path.is_dir()]
    assert left == ["best"]
    assert (workspace.folder / f"trial-{best.number:04d}" / "best").is_dir()
