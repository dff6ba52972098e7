"""Real processes that run `hpo`: with a pid, signals, standard output and standard error."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forks import FORKS

PATIENCE = 120.0  # seconds; a limit for what hangs, nothing waits that long
_GO = "go"


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Read standard output as one JSON value."""
        return json.loads(self.stdout)


class Command:
    """A running `hpo …`.

    Args:
        arguments: what follows `hpo`.
        folder: where it runs.
        env: variables to add.
        hold: behind a line of its progress with this text it waits for `release`.
    """

    def __init__(
        self, arguments: list[str], folder: Path, env: Mapping[str, str], hold: str | None = None
    ) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self._scratch = scratch = folder / f".command-{len(list(folder.glob('.command-*')))}"
        scratch.mkdir()
        self._stdout = scratch / "stdout"
        os.mkfifo(scratch / "stderr")
        self._process = FORKS.Process(
            target=_run, args=(arguments, folder, dict(env), scratch, hold)
        )
        self._process.start()
        self._reader = threading.Thread(target=self._read, args=(scratch / "stderr",), daemon=True)
        self._reader.start()

    def _read(self, stderr: Path) -> None:
        with stderr.open(encoding="utf-8") as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for(self, text: str) -> str:
        """Wait for a line of standard error that has the text, and return it."""

        def found() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._closed, PATIENCE)
            line = found()
        if line is None:
            raise AssertionError(f"no line with {text!r} in:\n{''.join(self._lines)}")
        return line

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is there to get one."""
        with suppress(ProcessLookupError):  # it may go at any moment
            os.kill(int(self._process.pid or 0), number)

    def release(self) -> None:
        """Let it go on behind the line at which it is held."""
        (self._scratch / _GO).touch()

    def over(self) -> bool:
        """Say whether it has ended."""
        return self._process.exitcode is not None

    def end(self) -> Result:
        """Wait until it ends."""
        self._process.join(PATIENCE)
        self._reader.join(PATIENCE)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"still running:\n{''.join(self._lines)}")
        stdout = self._stdout.read_text(encoding="utf-8")
        result = Result(code, stdout, "".join(self._lines))
        assert "Traceback" not in result.stdout + result.stderr, result.stderr
        return result


def _run(
    arguments: list[str], folder: Path, env: Mapping[str, str], scratch: Path, hold: str | None
) -> None:
    os.environ.update(env)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))  # read long ago
    os.chdir(folder)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(scratch / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    if hold is not None:
        _hold(hold, scratch / _GO)
    from hpo.__main__ import run

    run(arguments)


def _hold(text: str, go: Path) -> None:
    from hpo.progress import Lines

    say = Lines._say

    def held(lines: Lines, line: str) -> None:
        say(lines, line)
        while text in line and not go.exists():
            time.sleep(0.005)

    setattr(Lines, "_say", held)  # noqa: B010 - mypy takes no assignment


class Hpo:
    """The command line, in a folder of its own.

    Args:
        folder: where commands run.
        cache: shared by all tests, so that model and data are prepared once.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        cache.mkdir(exist_ok=True)
        self.use_cache(folder / "runs", cache)

    def use_cache(self, output: Path, cache: Path) -> None:
        """Let an output folder have the shared cache."""
        output.mkdir()
        (output / "cache").symlink_to(cache)

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, hold: str | None = None
    ) -> Command:
        """Start a command; see `Command`."""
        return Command(list(arguments), self.folder, env or {}, hold)

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        """Run a command to its end."""
        return self.start(*arguments, env=env).end()
