"""`python -m hpo`, and the command `hpo`: no password stays on a command line."""

import logging
import os
import re
import sys

_PASSWORD = re.compile(r"://[^/@]*:[^@]+@|[?&]password=[^&]")


def main() -> None:
    """Run the command line; a storage with a password moves into the environment first.

    A command line can be read by everybody on the machine, the environment by its owner alone.
    """
    arguments, url = without_storage(sys.argv[1:])
    if url is not None:
        os.environ["HPO_STORAGE"] = url
        # -P: or modules of the current folder would come first, as for the command they do not
        os.execv(sys.executable, [sys.executable, "-P", "-m", "hpo", *arguments])  # noqa: S606 - us
    run(arguments)


def run(arguments: list[str]) -> None:
    """Run a command line in this process, and end it.

    Raises:
        SystemExit: with the exit code; no signal changes it any more.
    """
    try:
        from hpo.cli import main as command_line
        from hpo.signals import fix_exit_code
    except KeyboardInterrupt:
        sys.stderr.write("hpo: interrupted\n")
        sys.exit(130)  # as `hpo.errors` has it, of which there may be nothing yet
    if not os.environ.get("HPO_DEBUG"):
        # What matters of a connection is raised; of what comes as one is closed, a signal for one,
        # it logs a traceback.
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        command_line(args=arguments, prog_name="hpo")
    except SystemExit as end:
        fix_exit_code(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def without_storage(arguments: list[str]) -> tuple[list[str], str | None]:
    """Return a command line without a storage that has a password in it, and that storage."""
    for place, argument in enumerate(arguments):
        url = argument.removeprefix("--storage=")
        if _PASSWORD.search(url):
            is_value = place > 0 and arguments[place - 1] == "--storage"
            return [*arguments[: place - is_value], *arguments[place + 1 :]], url
    return arguments, None


if __name__ == "__main__":
    main()
