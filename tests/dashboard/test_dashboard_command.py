"""The command: where it serves, what it refuses, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.dashboard.server import PASSWORD, end, first_line, start
from tests.report.studies import url_of


@pytest.mark.parametrize(
    "options",
    [["--host", "0.0.0.0"], ["--host", "::"], ["--allow-host", "gpu1"],  # noqa: S104
     ["--behind-proxy", "127.0.0.1"], ["--write"]],
)  # fmt: skip
def test_open_to_the_world_is_refused(studies: Path, tmp_path: Path, options: list[str]) -> None:
    """Whatever lets others in, or lets users of this machine delete, needs a password."""
    ended = end(start(tmp_path, url_of(studies), *options))
    assert (ended.code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "found no password; expected one in HPO_DASHBOARD_PASSWORD" in line


def test_mistakes_are_one_line_each(studies: Path, tmp_path: Path) -> None:
    """A port that is taken, a host that is not ours, a short password, a name, a storage."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        url, given = url_of(studies), {"HPO_DASHBOARD_PASSWORD": PASSWORD}
        short = {"HPO_DASHBOARD_PASSWORD": "c4n4ry"}
        (tmp_path / "text.db").write_text("no database, but a text of some length" * 9)
        mistakes = [
            (start(tmp_path, url, "--port", port), 2, "Address already in use"),
            (start(tmp_path, url, "--host", "192.0.2.1", **given), 2, "--port: cannot listen"),
            (start(tmp_path, url, **short), 2, "found 6 characters"),
            (start(tmp_path, url, "--allow-host", "http://gpu1"), 2, "--allow-host: found"),
            (start(tmp_path, "sqlite:///nowhere.db"), 4, "found no file nowhere.db"),
            (start(tmp_path, f"sqlite:///{tmp_path / 'text.db'}"), 4, "no SQLite database"),
            (start(tmp_path, "postgresql://me:c4n4ry@127.0.0.1:9/hpo"), 4, "127.0.0.1:9"),
        ]  # fmt: skip
        for process, code, text in mistakes:
            ended = end(process)
            assert ended.code == code, ended.stderr
            (line,) = ended.stderr.splitlines()
            assert line.startswith("hpo: ")
            assert text in line
            assert "c4n4ry" not in line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_signals_end_it(studies: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """With the exit code that says why; the address was all it printed on stdout."""
    process = start(tmp_path, url_of(studies))
    address = first_line(process)
    process.send(number)
    ended = process.end()
    assert (ended.code, ended.stdout) == (code, f"{address}\n")
    assert ended.stderr.splitlines()[0] == (
        "hpo: read-only; every user of this machine can read it (HPO_DASHBOARD_PASSWORD sets a "
        "password); Ctrl-C ends it"
    )
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(urlsplit(address).port or 0)))


def test_json(studies: Path, tmp_path: Path) -> None:
    """What a script reads: where it is, and what it asks for."""
    process = start(tmp_path, url_of(studies), "--json", "--write", HPO_DASHBOARD_TOKEN=PASSWORD)
    first_line(process)
    process.send(signal.SIGTERM)
    ended = process.end()
    said, _ = json.JSONDecoder().raw_decode(ended.stdout)
    assert said.pop("url").startswith("http://127.0.0.1:")
    assert said == {"write": True, "login": True}


def test_without_the_extra(studies: Path) -> None:
    """The command says what to install."""
    code = (
        "import sys; sys.modules['waitress'] = sys.modules['optuna_dashboard'] = None\n"
        "from hpo.cli import main; main(['dashboard'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=studies, capture_output=True, text=True, check=False,
        env={**os.environ, "HPO_STORAGE": url_of(studies)},
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "optuna-dashboard and waitress" in ended.stderr
    assert "pip install 'hpo[dashboard]'" in ended.stderr
