"""Studies made for the tests of reports: trials with what hpo stores, and nothing is trained."""

import math
import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo import confirmation, storage
from hpo.report.importance import distribution
from hpo.report.subject import Subject, load_subjects
from hpo.spec import StudySpec
from hpo.trials import RUN
from tests.studies_made import make_spec

BEGAN = 1_700_000_000.0  # seconds since 1970
MINUTE = 60.0
SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True},
    "per_device_train_batch_size": {"type": "choice", "values": [8, 16, 32]},
    "num_train_epochs": {"type": "int", "low": 1, "high": 4},
}
BASE: dict[str, Any] = {"space": SPACE, "training": None}
DEFAULT = {"learning_rate": 3e-5, "per_device_train_batch_size": 16, "num_train_epochs": 3}
HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=2</script>",
    '"><img src=x onerror=window.hacked=3>',
    "<a href='javascript:window.hacked=4'>here</a>",
    "{{ 7 * 191 }} {% raw %} ${window.hacked=5} %{x} <!--",
)


def params_of(rate: float = 3e-4, batch: int = 16, epochs: int = 3) -> dict[str, Any]:
    """Return a configuration of `SPACE`."""
    return {
        "learning_rate": rate,
        "per_device_train_batch_size": batch,
        "num_train_epochs": epochs,
    }


def trial(
    number: int,
    value: float | None = None,
    *,
    state: str = "COMPLETE",
    params: Mapping[str, Any] | None = None,
    spec: StudySpec | None = None,
    at: float | None = None,
    seconds: float = MINUTE,
    worker: str = "host:1:machine:1",
    device: str = "CPU (x86_64)",
    attrs: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """Return a trial as hpo leaves it; the n-th one runs in the n-th minute."""
    space = (spec or make_spec(BASE)).search_space().root
    chosen = dict(params if params is not None else params_of())
    start = BEGAN + number * MINUTE if at is None else at
    run = {"ticket": number, "epoch": 1, "worker": worker, "device": device, "at": start}
    made = create_trial(
        state=TrialState[state],
        value=value if state == "COMPLETE" else None,
        params=chosen,
        distributions={name: distribution(space[name]) for name in chosen},
        user_attrs={RUN: run, **curve(value, chosen.get("num_train_epochs", 3)), **(attrs or {})},
    )
    made.datetime_start = datetime.fromtimestamp(start)  # noqa: DTZ006 - as Optuna has it
    if state != "RUNNING":
        made.datetime_complete = made.datetime_start + timedelta(seconds=seconds)
    return made


def curve(value: float | None, epochs: int) -> dict[str, Any]:
    """Return what an ascending curve that ends at a score leaves."""
    if value is None or not math.isfinite(value):
        return {}
    scores = [value * epoch / epochs for epoch in range(1, epochs + 1)]
    evaluations = [
        {"epoch": float(epoch), "step": 10 * epoch, "seconds": 10.0 * epoch,
         "metrics": {"accuracy": score, "loss": 1 - score}}
        for epoch, score in enumerate(scores, 1)
    ]  # fmt: skip
    by_class = {
        f"{name}.{figure}": value for name in ("negative", "positive")
        for figure in ("precision", "recall", "f1")
    }  # fmt: skip
    support = {"negative.support": 12.0, "positive.support": 10.0}
    metrics = {"accuracy": value, "loss": 1 - value, **by_class, **support}
    return {"evaluations": evaluations, "metrics": metrics, "epochs": float(epochs)}


def look(number: int, **changes: Any) -> dict[str, Any]:
    """Return what `hpo test` stores of a winner and a default."""
    results = [
        {"role": role, "study": "films", "trial": trial, "digest": "d", "validation": 0.9,
         "value": value, "metrics": {"accuracy": value}, "interval": [value - 0.05, value + 0.04]}
        for role, trial, value in (("winner", number, 0.8125), ("default", 0, 0.75))
    ]  # fmt: skip
    return {
        "at": "2026-01-02T03:04:05+00:00", "metric": "accuracy", "split": "s", "rows": 128,
        "results": results, "gain": {"value": 0.0625, "interval": [-0.01, 0.13]},
        "bootstrap": {"method": "percentile bootstrap over rows", "resamples": 5000},
        "notes": ["A note."], **changes,
    }  # fmt: skip


def url_of(folder: Path) -> str:
    """Return the storage of a folder."""
    return f"sqlite:///{folder / 'hpo.db'}"


def make_study(
    folder: Path,
    trials: Sequence[FrozenTrial] = (),
    *,
    name: str = "films",
    changes: Mapping[str, Any] | None = None,
    direction: Any = "maximize",
    facts: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Store a study with trials."""
    if not (folder / "hpo.db").exists():
        (folder / "hpo.db").write_bytes(_empty())
    opened = storage.open_storage(url_of(folder))
    spec = make_spec({**BASE, "budget": {"trials": max(1, len(trials))}, **(changes or {})})
    stored = {storage.METRIC: "accuracy", storage.FINGERPRINT: "f", **(facts or {})}
    study = storage.create_or_attach(opened, name, spec, direction=direction, facts=stored)
    study.add_trials(trials)
    return study


@cache
def _empty() -> bytes:
    """Return a storage without studies: to make its tables takes a second."""
    with TemporaryDirectory() as folder:
        opened = storage.open_storage(url_of(Path(folder)))
        opened.engine.dispose()
        return (Path(folder) / "hpo.db").read_bytes()


def subject_of(folder: Path, *names: str) -> Subject:
    """Read a study."""
    return load_subjects(names or ("films",), url_of(folder), lambda _: None)[0]


def confirm(
    folder: Path, scores: Mapping[tuple[Any, ...], Sequence[float | None]], *, name: str = "films"
) -> None:
    """Store the confirmation of a study.

    Args:
        folder: of the storage.
        scores: (rate, batch, epochs) -> the score of each seed; None where it failed.
        name: of the study.
    """
    points, trials = [], []
    for key, values in scores.items():
        for seed, value in enumerate(values):
            params = {**params_of(*key), "seed": seed}
            points.append(params)
            trials.append((params, value))
    space = {**SPACE, "seed": {"type": "int", "low": 0, "high": 2**31 - 1}}
    changes = {
        **BASE, "space": space, "strategy": "points", "strategy_options": {"points": points},
        "budget": {},
    }  # fmt: skip
    spec = make_spec(changes)
    made = [
        trial(
            number, value, params=params, spec=spec, at=BEGAN + 10_000 + number * MINUTE,
            state="FAIL" if value is None else "COMPLETE",
            attrs={"reason": "diverged"} if value is None else None,
        )
        for number, (params, value) in enumerate(trials)
    ]  # fmt: skip
    searched = storage.load(storage.open_storage(url_of(folder)), name)
    make_study(
        folder, made, name=confirmation.name_of(name), changes=changes,
        facts={
            confirmation.CONFIRMS: name, confirmation.CONFIRMS_ID: searched.user_attrs[storage.ID],
            storage.POINTS: len(points),
        },
    )  # fmt: skip


def landscape(count: int, *, seed: int = 0, workers: int = 4) -> list[FrozenTrial]:
    """Return trials over the whole space, some pruned, some failed; a rate near 2e-4 is best."""
    draw, spec = random.Random(seed), make_spec(BASE)
    made = []
    for number in range(count):
        rate = 10 ** draw.uniform(-5, -3)
        epochs = draw.randint(1, 4)
        params = params_of(rate, draw.choice([8, 16, 32]), epochs)
        score = 0.9 - 0.25 * (math.log10(rate) + 3.7) ** 2 + 0.02 * epochs + draw.gauss(0, 0.01)
        state = "PRUNED" if number % 9 == 5 else "FAIL" if number % 20 == 7 else "COMPLETE"
        attrs = {"reason": "diverged", "error": "Diverged: the loss was nan"}
        place = number // workers * MINUTE + draw.uniform(0, 10)
        made.append(
            trial(
                number, max(0.0, score), state=state, params=params, spec=spec, at=BEGAN + place,
                seconds=draw.uniform(30, 48), worker=f"host-{number % workers}:7:machine:1",
                device="NVIDIA H200", attrs=attrs if state == "FAIL" else None,
            )
        )  # fmt: skip
    return made


def multiply(folder: Path, by: int) -> None:
    """Copy all trials of a storage with one study, each copy behind the last one's time.

    Optuna takes half a minute to add thousands; what is read is the same.
    """
    with closing(sqlite3.connect(folder / "hpo.db")) as database, database:
        count, last = database.execute("SELECT count(*), max(trial_id) FROM trials").fetchone()
        whole = count * MINUTE
        for copy in range(1, by):
            for table, key in (
                ("trials", "trial_id"),
                ("trial_params", "param_id"),
                ("trial_values", "trial_value_id"),
                ("trial_user_attributes", "trial_user_attribute_id"),
            ):
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                values = {each: each for each in columns}
                values[key] = "NULL"
                values["trial_id"] = f"trial_id + {copy * last}"
                if table == "trials":
                    values["number"] = f"number + {copy * count}"
                if table == "trial_user_attributes":
                    values["value_json"] = (
                        f"CASE WHEN key = '{RUN}' THEN json_set(value_json, "
                        f"'$.ticket', json_extract(value_json, '$.ticket') + {copy * count}, "
                        f"'$.at', json_extract(value_json, '$.at') + {copy * whole}) "
                        "ELSE value_json END"
                    )
                picked = ", ".join(values[each] for each in columns)
                database.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) SELECT {picked} FROM {table} "  # noqa: S608
                    f"WHERE trial_id <= {last}"
                )
