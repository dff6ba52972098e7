"""A task for the tests of coordination: no torch, a score known beforehand, faults on request.

A test writes `script.json` into the folder of HPO_TEST_STAGE: how many steps a training has, how
long each lasts, whether it is evaluated after each, whether it tells what its process takes and
when it takes its steps, how many processes must have begun one before any goes on, how many may go
on before there is a file `go-gate`, and which faults befall which points. What happened is appended
to `log.jsonl`.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from hpo import checkpoints
from hpo.errors import DiskFull, Diverged, HandedBack, OutOfMemory
from hpo.evaluations import Evaluation
from hpo.tasks import Direction
from hpo.trial import Attempt, Result
from tests.faults.invariant import told
from tests.faults.vitals import vitals

STAGE = "HPO_TEST_STAGE"
METRIC = "score"
FOREVER = 3600.0
_RAISED = {"diverged": Diverged, "out of memory": OutOfMemory, "disk full": DiskFull}


def stage() -> Path:
    """Return the folder through which a test and its workers talk."""
    return Path(os.environ[STAGE])


def record(event: str, **facts: Any) -> None:
    """Append a line to the log; a line is written whole, or not at all."""
    line = json.dumps({"event": event, "pid": os.getpid(), **facts}) + "\n"
    log = os.open(stage() / "log.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, line.encode())
    finally:
        os.close(log)


def score(point: int) -> float:
    """Return the score of a point: distinct ones, 7 is the best."""
    return 1.0 - abs(point - 7.25) / 100


class Scripted:
    """Trains nothing, in steps, as the script says."""

    name = "scripted"
    metric = METRIC
    metrics: dict[str, Direction] = {METRIC: "maximize", "loss": "minimize"}  # noqa: RUF012 - as the protocol has it

    def train(self, attempt: Attempt) -> Result:
        """Take the steps of one attempt; a checkpoint follows each."""
        script = json.loads((stage() / "script.json").read_text(encoding="utf-8"))
        point = int(attempt.params["point"])
        number = attempt.reporter.trial.number
        found = checkpoints.find(attempt.folder, attempt.earlier)
        whole = found.checkpoint
        step = 0 if whole is None else int((whole / "weights").read_text(encoding="ascii"))
        evaluations: list[Evaluation] = []
        if script.get("vitals"):
            record("vitals", **vitals())
        began = {"trial": number, "point": point, "step": step, "attempt": len(attempt.earlier)}
        record("began", **began, at=time.time())
        attempt.reporter.began(step, whole, found.damaged)
        _wait_at_gate(script, attempt)
        together = script.get("together")
        while together and len({each["pid"] for each in told(stage(), "began")}) < together:
            time.sleep(0.02)
        while step < script["steps"]:
            step += 1
            time.sleep(script["pause"])
            if step == 2 and not _over(script, point, len(attempt.earlier)):
                _befall(script["faults"][str(point)])
            _save(attempt.folder, step)
            at = time.time()
            attempt.reporter.stepped(step, script["steps"])
            if script.get("timed"):  # when it still believed in its lease
                record("stepped", trial=number, at=at)
            if script.get("evaluate"):
                evaluations.append(Evaluation(step / script["steps"], step, _metrics(point), 0.0))
                attempt.reporter.evaluated(evaluations)
            if attempt.reporter.asked_to_stop():
                raise HandedBack(f"stopped behind step {step}")
        if whole is not None and found.step == step:
            _save(attempt.folder, step)  # the attempt before this one died behind its last step
        checkpoints.keep_as_best(attempt.folder, step)
        evaluations = evaluations or [Evaluation(1.0, step, _metrics(point), 0.0)]
        facts = {"metrics": _metrics(point)} if script.get("metrics", True) else {}
        value = score(point) + _luck(script, point, attempt.params.get("seed"))
        return Result(value, evaluations, attempt.folder / checkpoints.BEST, facts)


def _wait_at_gate(script: Any, attempt: Attempt) -> None:
    if "gate" not in script:
        return
    pids = [each["pid"] for each in told(stage(), "began")]
    latest = max(place for place, pid in enumerate(pids) if pid == os.getpid())  # this training
    while latest >= script["gate"] and not (stage() / "go-gate").exists():
        if attempt.reporter.asked_to_stop():
            raise HandedBack("stopped before the first step")
        time.sleep(0.02)


SCRIPTED = Scripted()


def install(folder: Path) -> None:
    """Install the task in a folder, as a package of somebody else's would be."""
    info = folder / "scripted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    point = f"{SCRIPTED.name} = {__name__}:SCRIPTED"
    (info / "entry_points.txt").write_text(f"[hpo.tasks]\n{point}\n")


def _luck(script: Any, point: int, seed: int | None) -> float:
    """Return what a score owes to its seed: a little, and in a search what the script says."""
    if seed is None:
        return float(script.get("luck", {}).get(str(point), 0.0))
    return seed % 10 / 100_000


def _metrics(point: int) -> dict[str, float]:
    return {METRIC: score(point), "loss": 1 - score(point)}


def _over(script: Any, point: int, earlier: int) -> bool:
    """Say whether a point has no fault, or only one that befalls its first attempt."""
    return str(point) not in script["faults"] or (earlier > 0 and bool(script.get("once")))


def _befall(fault: str) -> None:
    record("fault", fault=fault)
    if fault in _RAISED:
        raise _RAISED[fault](f"the script says so: {fault}")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        time.sleep(FOREVER)
    raise RuntimeError(fault)


def _save(folder: Path, step: int) -> None:
    place = checkpoints.checkpoint_folder(folder, step)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "weights").write_text(str(step), encoding="ascii")
    checkpoints.complete(folder, step)
