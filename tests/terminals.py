"""A command in a terminal of its own: with a width, keys to press, and what it showed."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PATIENCE = 120.0  # seconds; a limit for what hangs, nothing waits that long
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ROOT = Path(__file__).parents[1]


def _begin() -> None:
    """Take the terminal, and Ctrl-C as it comes: who runs the tests may have it ignored."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A running `hpo …`.

    Args:
        arguments: what follows `hpo`.
        width: in columns.
        env: variables to add.
    """

    def __init__(
        self, arguments: list[str], *, width: int = 80, env: Mapping[str, str] | None = None
    ) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
        unset = {"COLUMNS", "LINES", "NO_COLOR", "TERM"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hpo", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**kept, "PYTHONPATH": path, "TERM": "xterm-256color", **(env or {})},
            preexec_fn=_begin,  # noqa: PLW1509 - no threads yet
        )  # fmt: skip
        os.close(theirs)
        self._terminal = ours
        self._shown = b""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # EIO: nobody has it open any more
            while part := os.read(self._terminal, 65536):
                with self._changed:
                    self._shown += part
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def raw(self) -> str:
        """What it showed, with control sequences."""
        return self._shown.decode(errors="replace")

    @property
    def text(self) -> str:
        """What it showed, each frame below the one before."""
        return _CONTROLS.sub("", self.raw).replace("\r", "\n")

    def wait_for(self, text: str) -> None:
        """Wait until a text was shown."""
        with self._changed:
            self._changed.wait_for(
                lambda: text in self.text or not self._reader.is_alive(), _PATIENCE
            )
        assert text in self.text, self.text

    def press(self, key: str) -> None:
        """Press a key; Ctrl-C is a signal to whoever is in front."""
        os.write(self._terminal, key.encode())

    def end(self) -> int:
        """Wait until it ends, and return its exit code."""
        code = self._process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        os.close(self._terminal)
        return code

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
