"""What takes time is made once, by few at a time, and holds up nobody; a fault of ours is one."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hpo.dashboard.app import Dashboard
from hpo.dashboard.door import Terms
from hpo.dashboard.hosts import Hosts
from hpo.dashboard.kept import Busy, Kept, Makers
from hpo.dashboard.login import Login
from hpo.dashboard.messages import Environ, StartResponse
from hpo.dashboard.studies import Studies
from hpo.storage import open_storage
from tests.dashboard.test_login import Clock
from tests.faults.processes import PATIENCE
from tests.report.studies import url_of


@contextmanager
def making(kept: Kept[str], *keys: str) -> Iterator[list[Future[str]]]:
    """Let a thread each be at making something as long as the body lasts."""
    go_on = Event()

    def make(key: str, began: Event) -> str:
        began.set()
        assert go_on.wait(PATIENCE)
        return key

    with ThreadPoolExecutor(len(keys)) as threads:
        found = []
        try:
            for key in keys:
                began = Event()
                found.append(threads.submit(kept.get, key, partial(make, key, began)))
                assert began.wait(PATIENCE)
            yield found
        finally:
            go_on.set()


def test_one_makes_for_all() -> None:
    """Those who ask meanwhile get the same, and it is made once."""
    kept: Kept[str] = Kept(1, 9.0, 1.0, Makers(2, patience=PATIENCE), Clock())
    began, go_on, made = Event(), Event(), []

    def make() -> str:
        began.set()
        assert go_on.wait(PATIENCE)
        made.append(1)
        return "it"

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(kept.get, "a", make)]
        assert began.wait(PATIENCE)
        found += [threads.submit(kept.get, "a", make) for _ in range(3)]
        go_on.set()
        assert [each.result(PATIENCE) for each in found] == ["it"] * 4
    assert made == [1]


def test_few_make_and_nobody_waits_long() -> None:
    """While two are made, a third is refused, and so is who waits for one; what is kept is got."""
    makers = Makers(2, patience=0.0)
    kept: Kept[str] = Kept(8, 9.0, 1.0, makers, Clock())
    assert kept.get("kept", lambda: "kept") == "kept"
    with making(kept, "a", "b") as found:
        assert kept.get("kept", lambda: "anew") == "kept"
        with pytest.raises(Busy):
            kept.get("c", lambda: "c")
        with pytest.raises(Busy):
            kept.get("a", lambda: "a")
        with pytest.raises(Busy):
            makers.make(lambda: "csv")
    assert [each.result(PATIENCE) for each in found] == ["a", "b"]
    assert kept.get("c", lambda: "c") == "c"


def test_what_fails_is_told_and_made_anew() -> None:
    """A failure is not kept."""
    kept: Kept[float] = Kept(1, 9.0, 1.0, Makers(1), Clock())
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 / 0)
    assert kept.get("a", lambda: 1.0) == 1.0


@pytest.mark.parametrize(("took", "lasts"), [(0.0, 5.0), (0.4, 5.0), (2.0, 20.0)])
def test_what_takes_long_is_kept_for_long(took: float, lasts: float) -> None:
    """It may cost a tenth of the time; what is made fast is kept for the seconds given."""
    clock = Clock()
    began = clock.now
    kept: Kept[float] = Kept(1, 5.0, 0.1, Makers(1), clock)

    def make() -> float:
        clock.now += took
        return clock.now

    first = kept.get("a", make)
    clock.now = began + lasts
    assert kept.get("a", make) == first
    clock.now += 0.1
    assert kept.get("a", make) > first


def _optunas(_: Environ, start: StartResponse) -> list[bytes]:
    start("200 OK", [])
    return [b"optuna's"]


class Asked:
    """A dashboard without a server, that answers one question to the storage at a time."""

    def __init__(self, folder: Path) -> None:
        terms = Terms(Hosts("127.0.0.1", 8080), Login([]), "session", write=False, most=1)
        self.opened = open_storage(url_of(folder), create=False)
        self.app = Dashboard(Studies(self.opened), _optunas, terms)

    def __call__(self, path: str, query: str = "") -> tuple[int, Mapping[str, str], str]:
        """Ask; returns the status, the headers and the body."""
        said: list[Any] = []
        body = self.app(
            {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query,
             "HTTP_HOST": "127.0.0.1:8080", "HTTP_ACCEPT": "text/html", "wsgi.url_scheme": "http"},
            lambda status, headers: said.extend((status, headers)),
        )  # fmt: skip
        status, headers = said
        return int(status[:3]), dict(headers), b"".join(body).decode()


@pytest.fixture
def asked(studies: Path) -> Iterator[Asked]:
    """A dashboard of the studies."""
    found = Asked(studies)
    yield found
    found.opened.engine.dispose()


def test_a_report_in_the_making_leaves_the_door_alone(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no place is told to come again; a sign of life and assets are given meanwhile."""
    began, go_on = Event(), Event()

    def slow(*_: Any, **__: Any) -> str:
        began.set()
        assert go_on.wait(PATIENCE)
        return '<meta http-equiv="Content-Security-Policy" content="default-src">it'

    monkeypatch.setattr("hpo.dashboard.studies.make", slow)
    with ThreadPoolExecutor(1) as threads:
        report = threads.submit(asked, "/report", "study=rich")
        try:
            assert began.wait(PATIENCE)
            assert asked("/health")[0] == 200
            assert asked("/hpo/page.css")[0] == 200
            assert asked("/static/bundle.js")[2] == "optuna's"
            for path in ("/", "/api/studies", "/csv/1"):
                status, headers, text = asked(path)
                assert (status, headers["Retry-After"]) == (503, "5"), path
                assert "Others are being served" in text
        finally:
            go_on.set()
        assert report.result(PATIENCE)[0] == 200
    assert asked("/")[0] == 200


def test_a_fault_of_ours_is_no_missing_study(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyError that no number of a study raised is told as what it is."""

    def wrong(*_: Any, **__: Any) -> str:
        raise KeyError("lost")

    monkeypatch.setattr("hpo.dashboard.studies.make", wrong)
    status, _, text = asked("/report", "study=rich")
    assert status == 500
    assert "A fault of hpo" in text
    assert "KeyError: &#39;lost&#39;" in text
    assert asked("/report", "id=99")[0] == 404
