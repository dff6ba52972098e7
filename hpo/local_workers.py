"""The workers of one machine: started, watched, restarted, asked to go.

They are processes of their own, in sessions of their own: closing the terminal, or losing whoever
watches them, ends none of them. What is known of each stands in a file, by which the next `hpo run`
finds those that live.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from hpo import workers
from hpo.errors import INTERRUPTED_EXIT_CODE, HandedBack, HpoError, StorageError
from hpo.patience import patience
from hpo.signals import Stop

_LOOK = 0.25  # seconds between two looks
_CRASHES = 3  # without a trial of its own that ends; then a worker is not started again
_AWAY = 600.0  # seconds for which the storage may not answer
_REST = 5.0  # seconds before it is, from its second crash on
_WENT = {0, HandedBack.exit_code, INTERRUPTED_EXIT_CODE}  # because nothing is left, or asked to
_TOLD = {2, 3, 5}  # with a message; it would say the same again


def slots(wanted: int | None, per_gpu: int, gpus: Sequence[str]) -> list[str | None]:
    """Say which device each worker of this machine is given.

    Args:
        wanted: how many workers; None leaves it to the machine, 0 is none beside this process.
        per_gpu: how many share a GPU.
        gpus: the GPUs, as `CUDA_VISIBLE_DEVICES` names them.

    Returns:
        The value of `CUDA_VISIBLE_DEVICES` for each worker, None for what it is; an empty list if
        the process itself is to be the only worker.
    """
    if wanted == 0 or (wanted is None and len(gpus) * per_gpu < 2):
        return []
    places: list[str | None] = [gpu for _ in range(per_gpu) for gpu in gpus]
    count = wanted or len(places)
    return [places[index % len(places)] if places else None for index in range(count)]


@dataclass
class _Worker:
    """One worker: a place, and the process that has it."""

    number: int
    gpu: str | None
    name: str = ""  # see `hpo.workers`
    process: subprocess.Popen[bytes] | None = None  # None for one that somebody else started
    crashes: int = 0
    not_before: float = 0.0  # by the monotonic clock; a worker that crashed is not hurried
    over: bool = False
    complaint: str = ""
    code: int | None = None

    def lives(self) -> bool:
        if self.process is not None:
            self.code = self.process.poll()
            return self.code is None
        return workers.is_alive(self.name)


@dataclass
class LocalWorkers:
    """Keeps the workers of a study on this machine running until nothing is left.

    Args:
        command: what a worker is started with.
        folder: for their logs and what is known of them.
        places: see `slots`.
        env: variables of their own, such as the storage: a password on a command line could be
            read by everyone.
        end_leases: is called with the names of workers that were seen to die.
        hand_back: is called with the names of those that lost the storage: no trial is to blame.
        outcomes: returns how many trials a worker brought to an outcome.
        left: says whether there is anything left to do.
        say: is told what happens.
    """

    command: Sequence[str]
    folder: Path
    places: Sequence[str | None]
    env: dict[str, str]
    end_leases: Callable[[Iterable[str]], object]
    hand_back: Callable[[Iterable[str]], object]
    outcomes: Callable[[str], int]
    left: Callable[[], bool]
    say: Callable[[str], None]
    _workers: list[_Worker] = field(default_factory=list)
    _told: bool = False  # that they are to go

    def watch(self, stop: Stop, look: Callable[[], None]) -> None:
        """Start what does not run yet, and watch until all have gone.

        Args:
            stop: a signal is passed on to all of them.
            look: is called again and again meanwhile.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._workers = [_Worker(number, gpu) for number, gpu in enumerate(self.places)]
        lock = FileLock(self.folder / ".lock", timeout=0)
        for worker in self._workers:
            self._adopt(worker)
        try:
            with stop.deferred():
                self._watch(stop, look, lock)
        except KeyboardInterrupt:  # the second one: they leave at once
            if not self._told:
                self._signal(signal.SIGINT)  # the first one was not passed on yet
            self._signal(signal.SIGINT)
            while any(worker.lives() for worker in self._workers):
                time.sleep(_LOOK)
        finally:
            lock.release(force=True)  # it is taken once for each worker that is started
        stop.leave()

    def complaints(self) -> list[tuple[int, str]]:
        """Return the exit code and the last words of each worker that went for a reason."""
        return [(each.code or 1, each.complaint) for each in self._workers if each.complaint]

    def _watch(self, stop: Stop, look: Callable[[], None], lock: FileLock) -> None:
        away: float | None = None  # since when the storage does not answer
        while not all(worker.over for worker in self._workers):
            if stop.requested() and not self._told:
                self._told = True
                self.say("the workers save and leave; Ctrl-C again lets them leave at once")
                self._signal(stop.signal or signal.SIGTERM)
            try:
                for worker in self._workers:
                    if not worker.over and not worker.lives():
                        self._ended(worker, lock)
                with patience(_LOOK):  # signals are heard in between
                    look()
                away = None
            except (SQLAlchemyError, OptunaError):
                if away is None:
                    away = time.monotonic()
                    self.say("the storage does not answer; it is asked again")
                if time.monotonic() - away > _AWAY:
                    raise
            time.sleep(_LOOK if away is None else _REST)

    def _adopt(self, worker: _Worker) -> bool:
        """Take over the process that has a worker's place; returns whether one was found alive."""
        try:
            known = json.loads(self._state(worker).read_text(encoding="utf-8"))
            name, code = str(known["worker"]), known.get("code")
        except (OSError, ValueError, KeyError):
            return False
        if name == worker.name or not workers.is_alive(name):
            worker.code = code if name == worker.name else None
            return False
        worker.name, worker.process = name, None
        self.say(f"worker {worker.number} runs already, {workers.shown(name)}")
        return True

    def _ended(self, worker: _Worker, lock: FileLock) -> None:
        """Take note of a worker that is gone, and start it again if that makes sense."""
        ours = worker.process is not None
        if not ours and self._adopt(worker):
            return  # whoever watches too has started it again
        code = worker.code
        if ours and worker.name:
            self._write(worker)  # for others who watch
        if worker.name:
            take_back = self.hand_back if code == StorageError.exit_code else self.end_leases
            take_back([worker.name])
        if code in _TOLD:
            worker.complaint = self._last_words(worker)
        if self._told or code in _WENT or code in _TOLD or (worker.name and not self.left()):
            worker.over = True
            return
        try:
            lock.acquire()
        except Timeout:
            return  # another `hpo run` watches too; that one starts them
        if worker.name and not self._crashed(worker):
            return
        self._start(worker)

    def _crashed(self, worker: _Worker) -> bool:
        """Count a crash, and say whether to start the worker again now."""
        if worker.not_before == 0.0:
            worker.crashes = 1 if self.outcomes(worker.name) else worker.crashes + 1
            ended = "is gone" if worker.code is None else f"ended with {worker.code}"
            if worker.crashes >= _CRASHES:
                worker.over = True
                words = self._last_words(worker)
                worker.complaint = f"worker {worker.number} {ended} {_CRASHES} times in a row"
                self.say(f"{worker.complaint}; see {self._log(worker)}\n{words}")
                return False
            self.say(f"worker {worker.number} {ended}; it is started again")
            worker.not_before = time.monotonic() + (worker.crashes - 1) * _REST
        return time.monotonic() >= worker.not_before

    def _start(self, worker: _Worker) -> None:
        env = {**os.environ, **self.env, workers.LOCAL_WORKERS: str(len(self.places))}
        if worker.gpu is not None:
            env["CUDA_VISIBLE_DEVICES"] = worker.gpu
        with self._log(worker).open("ab") as log:
            worker.process = subprocess.Popen(  # noqa: S603 - a command of our own, and no shell
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                start_new_session=True,
            )  # fmt: skip
        worker.name = workers.here(worker.process.pid)
        worker.code, worker.not_before = None, 0.0
        self._write(worker)
        device = "" if worker.gpu is None else f", GPU {worker.gpu}"
        self.say(
            f"worker {worker.number} started, process {worker.process.pid}{device}, "
            f"log {self._log(worker)}"
        )

    def _write(self, worker: _Worker) -> None:
        """Write who has the place of a worker, and how it ended."""
        new = self._state(worker).with_suffix(".new")
        new.write_text(json.dumps({"worker": worker.name, "code": worker.code}), encoding="utf-8")
        new.replace(self._state(worker))

    def _state(self, worker: _Worker) -> Path:
        return self.folder / f"worker-{worker.number}.json"

    def _log(self, worker: _Worker) -> Path:
        return self.folder / f"worker-{worker.number}.log"

    def _last_words(self, worker: _Worker) -> str:
        lines = self._log(worker).read_text(encoding="utf-8", errors="replace").splitlines()
        words: list[str] = []
        for line in reversed(lines):
            if not line.startswith("hpo: "):
                break
            words.insert(0, line.removeprefix("hpo: "))
        return "\n".join(words) or f"worker {worker.number} ended with {worker.code}"

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.name and worker.lives():
                with suppress(ProcessLookupError):
                    os.kill(int(worker.name.split(":")[1]), number)


def worker_command(name: str, *options: str) -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-P", "-m", "hpo", "worker", *options, "--", name]


def raise_complaint(complaints: Sequence[tuple[int, str]]) -> None:
    """Raise the first of what workers went for, with the exit code that it has."""
    for code, text in complaints:
        kind = next((each for each in _kinds(HpoError) if each.exit_code == code), HpoError)
        raise kind(text)


def _kinds(root: type[HpoError]) -> list[type[HpoError]]:
    return [root, *(each for child in root.__subclasses__() for each in _kinds(child))]
