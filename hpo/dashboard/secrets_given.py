"""Where the dashboard's password and token come from: the environment or a file, nowhere else.

What stands on a command line is read by everybody on the machine.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from hpo.errors import BadInput

PASSWORD = "HPO_DASHBOARD_PASSWORD"  # noqa: S105 - the names of variables
TOKEN = "HPO_DASHBOARD_TOKEN"  # noqa: S105
_LEAST = 8  # characters, as NIST SP 800-63B asks for (https://pages.nist.gov/800-63-4)


def secrets_given(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what lets somebody in: the password, the token, both or none.

    A variable `…_FILE` names a file that holds nothing else.

    Raises:
        BadInput: a file cannot be read, or what was found is no password; it is never shown.
    """
    found = (_given(name, environ) for name in (PASSWORD, TOKEN))
    return [each for each in found if each is not None]


def _given(name: str, environ: Mapping[str, str]) -> str | None:
    file = environ.get(f"{name}_FILE")
    value = environ.get(name)
    if value is None and not file:
        return None
    where = name if value is not None else f"{name}_FILE"
    text = value if value is not None else _read(where, str(file))
    if len(text) < _LEAST or set(text) & set("\n\r\0"):
        found = "several lines" if "\n" in text else f"{len(text)} characters"
        raise BadInput(
            f"{where}: found {found}; expected one line of at least {_LEAST} characters, such as "
            "`openssl rand -hex 32` makes"
        )
    return text


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:  # not the name: it may be the password itself
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(
            f"{name}: the file cannot be read: {why}; expected the path of a file that holds the "
            "password, and nothing else"
        ) from None
