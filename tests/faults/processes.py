"""Real processes that run `hpo worker` or `hpo run`, and places in them at which a test waits.

A place is armed by a file `at-PLACE` in the stage; the first process that comes by takes the file,
leaves its process number in `reached-PLACE`, and waits there until there is a file `go-PLACE`.
"""

import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.faults import scripted
from tests.forks import FORKS
from tests.networks import enter

_T = TypeVar("_T")
PATIENCE = 120.0  # seconds; a limit for what hangs, nothing waits that long
NETWORK = "HPO_TEST_NETWORK"  # the namespace to run in; see `tests.networks`
ELSEWHERE = "HPO_TEST_ELSEWHERE"  # a machine on which nobody can see that a worker is gone


def wait_until(condition: Callable[[], _T], what: str) -> _T:
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.005)
    return found


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    stdout: str
    stderr: str


class Process:
    """A running `hpo …`.

    Args:
        arguments: what follows `hpo`.
        folder: where it runs; its output goes to files there.
        env: variables to set; HPO_TEST_STAGE is one of them.
        context: how it is started.
    """

    def __init__(
        self, arguments: list[str], folder: Path, env: Mapping[str, str], context: Any = FORKS
    ) -> None:
        self.arguments = arguments
        folder.mkdir(parents=True)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        self._process = context.Process(target=_run, args=(arguments, folder, dict(env)))
        self._process.start()
        self.pid = int(self._process.pid or 0)

    def said(self) -> str:
        """Return what it wrote to standard error so far."""
        return self.stderr.read_text(encoding="utf-8") if self.stderr.exists() else ""

    def wait_for(self, text: str) -> None:
        """Wait until a text is in its standard error."""
        wait_until(lambda: text in self.said() or self.over(), f"{text!r} in {self.stderr}")
        assert text in self.said(), self.said()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is there to get one."""
        with suppress(ProcessLookupError):  # it may go at any moment
            if not self.over():
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Stop it, and wait until it is stopped."""
        self.send(signal.SIGSTOP)
        wait_until(lambda: self.over() or _state(self.pid) == "T", "the process to stop")

    def over(self) -> bool:
        """Say whether it has ended."""
        return self._process.exitcode is not None

    def end(self) -> Ended:
        """Wait until it ends."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        assert code is not None, f"{self.arguments} still runs:\n{self.said()}"
        stdout = self.stdout.read_text(encoding="utf-8") if self.stdout.exists() else ""
        return Ended(code, stdout, self.said())

    def kill(self) -> None:
        """Kill it, whatever it does."""
        self._process.kill()
        self._process.join()


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return "X"
    return stat.rpartition(")")[2].split()[0]


# ── in the process ───────────────────────────────────────────────────────────────────────────────


def _run(arguments: list[str], folder: Path, env: Mapping[str, str]) -> None:
    gc.freeze()  # what the server imported is no garbage, to look at it takes half a second
    os.environ.update(env)
    if NETWORK in env:
        enter(env[NETWORK])
    time.tzset()
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    scripted.install(folder / "site")
    sys.path.insert(0, str(folder / "site"))
    _arm()
    from hpo.__main__ import run

    run(arguments)


def _arm() -> None:

    from hpo import workers
    from hpo.binding import BindingStorage
    from hpo.leases import Tickets

    if os.environ.get(ELSEWHERE):
        workers._machine = lambda: ""

    _around(Tickets, "issue_points", before="joining")
    _around(Tickets, "claim", after="claimed")
    _around(BindingStorage, "_create_new_trial", after="created")
    _around(Tickets, "renew", before="renewing")
    _around(Tickets, "settle", before="settling")
    _around(Tickets, "hand_back_late", before="stepping back")
    tell = BindingStorage.set_trial_state_values

    @functools.wraps(tell)
    def told(storage: Any, trial_id: int, state: Any, values: Any = None) -> bool:
        if state.is_finished():
            _pause("telling")
        done = tell(storage, trial_id, state, values)
        if done and state.is_finished():
            scripted.record("told", trial_id=trial_id, state=state.name, values=values)
            _pause("told")
        return done

    setattr(BindingStorage, "set_trial_state_values", told)  # noqa: B010 - mypy takes no assignment


def _around(owner: type, name: str, before: str = "", after: str = "") -> None:
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            _pause(before)
        found = method(*args, **kwargs)
        if after and found is not None:
            _pause(after)
        return found

    setattr(owner, name, wrapped)


def _pause(place: str) -> None:
    stage = scripted.stage()
    try:
        (stage / f"at-{place}").unlink()
    except FileNotFoundError:
        return
    (stage / "reached.new").write_text(str(os.getpid()), encoding="ascii")
    (stage / "reached.new").replace(stage / f"reached-{place}")
    while not (stage / f"go-{place}").exists():
        time.sleep(0.005)
