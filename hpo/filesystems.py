"""What kind of file system a path is on: some are shared by machines, which SQLite must know."""

from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = ("9p", "afs", "beegfs", "ceph", "cifs", "fuse.", "gpfs", "lustre", "ncpfs", "nfs", "smb")


def is_remote(path: Path) -> bool:
    """Say whether a path is on a file system that other machines may use too, where known."""
    return _kind(path.resolve()).startswith(_REMOTE)


def _kind(path: Path) -> str:
    # Fields 5 (mount point) and, behind the hyphen, 1 (type): `man 5 proc_pid_mountinfo`.
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ")
        found[point] = after.split(" ")[0]
    return next((found[str(place)] for place in (path, *path.parents) if str(place) in found), "")
