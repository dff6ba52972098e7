"""What a process takes of its machine: memory, open files, threads; as Linux and glibc tell it."""

import ctypes
import gc
import sys
from pathlib import Path

_PROC = Path("/proc/self")


class _Malloc(ctypes.Structure):
    """What `mallinfo2` returns; https://man7.org/linux/man-pages/man3/mallinfo.3.html."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def vitals() -> dict[str, int]:
    """Return what this process takes now, without its garbage.

    Returns:
        `memory`: bytes that the system gave it, of which allocators hold some in reserve (and a
        process that was forked grows for a while into what it has from the other one); `used`:
        bytes of malloc's that are in use; `blocks`: pieces of Python's own memory that are;
        `files`: how many are open; `threads`: how many run.
    """
    gc.collect()
    lines = (_PROC / "status").read_text(encoding="utf-8").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Malloc
    malloc = mallinfo()
    return {
        "memory": int(status["RssAnon"].split()[0]) * 1024,
        "used": malloc.uordblks + malloc.hblkhd,
        "blocks": sys.getallocatedblocks(),
        "files": len(list((_PROC / "fd").iterdir())),
        "threads": int(status["Threads"]),
    }
