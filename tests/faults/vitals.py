"""What a process takes of its machine: memory, open files, threads; as Linux tells it."""

import gc
from pathlib import Path

_PROC = Path("/proc/self")


def vitals() -> dict[str, int]:
    """Return what this process takes now, without its garbage.

    Returns:
        `memory`: bytes of its own, those that it shares with the process it was forked from
        included, but no files; `files`: how many are open; `threads`: how many run.
    """
    gc.collect()
    status = dict(
        line.split(":", 1) for line in (_PROC / "status").read_text(encoding="utf-8").splitlines()
    )
    return {
        "memory": int(status["RssAnon"].split()[0]) * 1024,
        "files": len(list((_PROC / "fd").iterdir())),
        "threads": int(status["Threads"]),
    }
