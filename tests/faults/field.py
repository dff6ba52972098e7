"""A study, its database, and the workers that a test lets loose on it."""

import json
import multiprocessing
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from hpo import storage
from hpo.leases import HELD, TicketView, view_tickets
from hpo.spec import StudySpec, flatten, parse
from tests.faults import scripted
from tests.faults.invariant import check_invariant, told
from tests.faults.processes import ELSEWHERE, Ended, Process, wait_until

NAME = "field"
_BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid != pg_backend_pid() AND state != 'idle'
"""
POINTS = 6


def grid(points: int) -> dict[str, Any]:
    """Return the space of a grid."""
    return {"point": {"type": "choice", "values": list(range(points))}}


class Field:
    """One study on one database.

    Args:
        folder: of all that lies on disk.
        url: of the database, which may have no tables.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.output = folder / "runs"
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.processes: list[Process] = []
        self.script()

    def script(self, *, steps: int = 4, pause: float = 0.02, **more: Any) -> None:
        """Say how trainings go; see `tests.faults.scripted`."""
        said = {"steps": steps, "pause": pause, "faults": {}, **more}
        new = self.stage / "script.new"
        new.write_text(json.dumps(said), encoding="utf-8")
        new.replace(self.stage / "script.json")

    def document(self, points: int = POINTS, **changes: Any) -> dict[str, Any]:
        """Return a study's document: a grid, unless the changes say otherwise."""
        return {
            "task": "scripted", "model": "none", "strategy": "grid", "seed": 3,
            "data": {"path": "none"}, "space": grid(points), **changes,
        }  # fmt: skip

    def create(self, points: int = POINTS, **changes: Any) -> StudySpec:
        """Create the study, and run nothing."""
        spec = parse(self.document(points, **changes), "study.toml")
        opened = storage.open_storage(self.url)
        storage.create_or_attach(
            opened, NAME, spec, direction="maximize", facts={storage.METRIC: scripted.METRIC},
            first={storage.DATA: str(self.folder)},
        )  # fmt: skip
        opened.engine.dispose()
        return spec

    def write(self, points: int = POINTS, **changes: Any) -> Path:
        """Write the study's file."""
        path = self.folder / f"study-{len(list(self.folder.glob('study-*')))}.toml"
        flat = flatten(self.document(points, **changes)).items()
        path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in flat))
        return path

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `hpo …` on this study's database."""
        options = ["--storage", self.url]
        if "--output" not in arguments:
            options += ["--output", str(self.output)]
        return self.start_alone(*arguments, *options, env=env)

    def start_alone(self, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `hpo …` as it is given."""
        folder = self.folder / f"process-{len(self.processes)}"
        variables = {scripted.STAGE: str(self.stage), **(env or {})}
        self.processes.append(Process([*arguments], folder, variables))
        return self.processes[-1]

    def start_anew(self, *arguments: str) -> Process:
        """Start `hpo …` as a process that shares no memory with the one it comes from."""
        line = [*arguments, "--storage", self.url, "--output", str(self.output)]
        folder = self.folder / f"process-{len(self.processes)}"
        env = {scripted.STAGE: str(self.stage)}
        self.processes.append(Process(line, folder, env, multiprocessing.get_context("spawn")))
        return self.processes[-1]

    def run(self, file: Path, *options: str) -> Process:
        """Start `hpo run`."""
        return self.start("run", str(file), "--name", NAME, *options)

    def worker(
        self, *options: str, elsewhere: bool = False, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start `hpo worker`; from elsewhere, nobody but the database knows that it is gone."""
        variables = {**(env or {}), **({ELSEWHERE: "1"} if elsewhere else {})}
        return self.start("worker", NAME, "--lease", "1.5", *options, env=variables)

    def finish(self, *options: str, code: int = 0) -> Ended:
        """Let one more worker do what is left."""
        # None that a busy machine might cost it: tests count attempts.
        ended = self.worker("--lease", "6", *options).end()
        assert ended.code == code, ended.stderr
        return ended

    def log(self, event: str) -> list[dict[str, Any]]:
        """Return what workers logged of one kind."""
        return told(self.stage, event)

    def arm(self, place: str) -> None:
        """Let the next process that comes by a place wait there."""
        for name in (f"reached-{place}", f"go-{place}"):
            (self.stage / name).unlink(missing_ok=True)
        (self.stage / f"at-{place}").touch()

    def reached(self, place: str) -> None:
        """Wait until a process waits at a place."""
        wait_until((self.stage / f"reached-{place}").exists, f"a process at {place!r}")

    def go(self, place: str) -> None:
        """Let it go on."""
        (self.stage / f"go-{place}").touch()

    def wait_for(self, event: str, count: int = 1) -> None:
        """Wait until workers have logged as many events of a kind."""
        wait_until(lambda: len(self.log(event)) >= count, f"{count} × {event!r}")

    def check(self, budget: int) -> dict[str, Any]:
        """Check the invariant; returns what was found."""
        return check_invariant(self.url, NAME, budget, self.stage)

    def held(self) -> list[TicketView]:
        """Return the tickets that somebody holds."""
        opened = storage.open_storage(self.url, create=False)
        study = storage.load(opened, NAME).user_attrs[storage.ID]
        tickets = view_tickets(opened.engine, study)
        opened.remove_session()
        opened.engine.dispose()
        return [ticket for ticket in tickets if ticket.state == HELD]

    def pause(self, process: Process) -> None:
        """Stop a process at a moment at which it is in no transaction, for others may wait."""
        while True:
            process.stop()
            if process.over() or not self._in_transaction():
                return
            process.send(signal.SIGCONT)

    def _in_transaction(self) -> bool:
        url = storage._parse(self.url)
        arguments = {"timeout": 0} if url.get_backend_name() == "sqlite" else {}
        engine = create_engine(url, connect_args=arguments, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                if url.get_backend_name() == "postgresql":
                    return bool(connection.scalar(text(_BUSY)))
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("ROLLBACK")
        except OperationalError:  # the database is locked
            return True
        finally:
            engine.dispose()
        return False

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            process.send(signal.SIGKILL)
        for process in self.processes:
            process.kill()
