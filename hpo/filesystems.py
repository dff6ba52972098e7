"""What kind of file system a path is on: some are shared by machines, which SQLite must know."""

from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# The beginnings of types; `fuse.` is that of sshfs, GlusterFS and many more.
_REMOTE = (
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.", "gfs2", "gpfs", "lustre", "ncpfs",
    "nfs", "ocfs2", "orangefs", "panfs", "pvfs2", "smb", "vboxsf", "virtiofs", "wekafs",
)  # fmt: skip


def is_remote(path: Path) -> bool:
    """Say whether a path is on a file system that other machines may use too, where known."""
    return bool(remote_kind(path))


def remote_kind(path: Path) -> str:
    """Return the type of the file system that a path is on, if other machines may use it too."""
    kind = _kind(path.resolve())
    return kind if kind.startswith(_REMOTE) else ""


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
