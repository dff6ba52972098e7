"""Who a worker is: a name for people, and a proof by which others on its machine see it is gone."""

import hashlib
import os
import socket
from pathlib import Path

LOCAL_WORKERS = "HPO_LOCAL_WORKERS"  # the variable that says how many processes share the machine
_PROC = Path("/proc")
_HIDDEN = "?"  # of a process whose start the system keeps to itself (hidepid)


def here(pid: int | None = None) -> str:
    """Return the name of a process of this machine among all workers: `host:pid:machine:start`.

    The process is this one, if no other is given.

    The machine is a digest of its boot and of the namespace that the process number belongs to, so
    that containers of one host name are told apart; the start tells a process from a later one of
    the same number. Both are empty where the system does not say.
    """
    pid = pid or os.getpid()
    return f"{socket.gethostname()}:{pid}:{_machine()}:{_start(pid)}"


def shown(worker: str) -> str:
    """Return the part of a worker's name that people read: `host:pid`."""
    return ":".join(worker.split(":")[:2])


def is_gone(worker: str) -> bool:
    """Say whether a worker ran on this machine and has ended; False where that cannot be known."""
    parts = worker.split(":")
    if len(parts) != 4 or not parts[2] or parts[2] != _machine():
        return False
    return _start(int(parts[1])) not in {parts[3], _HIDDEN}


def is_alive(worker: str) -> bool:
    """Say whether a worker runs on this machine; False where that cannot be known."""
    parts = worker.split(":")
    if len(parts) != 4 or not parts[2] or parts[2] != _machine():
        return False
    return _start(int(parts[1])) == parts[3]


def machine(worker: str | None = None) -> str:
    """Return a name for this machine, or a worker's: its host, and its boot where known."""
    host, _, boot, _ = (worker or here()).rsplit(":", 3)
    return f"{host}-{boot}".rstrip("-")


def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:8]


def _start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if it has ended."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _HIDDEN if _is_there(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()  # a program's name may hold spaces
    return "" if state in "ZX" else fields[18]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return True
