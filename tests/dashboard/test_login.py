"""Passwords, sessions and guessing, with a clock in the test's hand; names of the server."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.dashboard.door import _place
from hpo.dashboard.hosts import Hosts, is_loopback, is_own, is_wildcard
from hpo.dashboard.inert import inert, original
from hpo.dashboard.login import ANOTHER, LIFETIME, TRIES, Login
from hpo.dashboard.messages import Request
from hpo.dashboard.secrets_given import secrets_given
from hpo.dashboard.serving import Place
from hpo.errors import BadInput


class Clock:
    """A clock that goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def request(**headers: str) -> Request:
    """Return a request with headers, `_` for `-`."""
    given = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return Request({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", **given})


def test_either_secret_is_known_and_nothing_else() -> None:
    """The password and the token, each whole."""
    login = Login(["a password", "a token of some length"])
    assert login.needed
    right = ("a password", "a token of some length")
    assert all(login.attempt(each, "10.0.0.1").is_right for each in right)
    wrong = ("", "a", "a passwor", "a password ", "a token of some lengt", "A password", "\ud800")
    assert not any(login.attempt(each, "10.0.0.1").is_right for each in wrong)
    assert not Login([]).needed


def test_a_session_ends() -> None:
    """With its time, or when it is ended; another one goes on."""
    clock = Clock()
    login = Login(["a password"], clock)
    first, second = login.begin(), login.begin()
    login.end(first)
    assert not login.is_open(first)
    assert login.is_open(second)
    clock.now += LIFETIME - 1
    assert login.is_open(second)
    clock.now += 1
    assert not login.is_open(second)
    assert not login.is_open("")


def test_who_guesses_waits() -> None:
    """So many failures of one network, then one each half minute; others are not held up."""
    clock = Clock()
    login = Login(["a password"], clock)
    for _ in range(TRIES):
        assert login.attempt("wrong", "2001:db8::1").wait == 0
        clock.now += 1
    neighbour = login.attempt("a password", "2001:db8::ffff:2")  # of the same network
    assert (neighbour.is_right, neighbour.wait) == (False, ANOTHER - TRIES)
    assert login.attempt("a password", "2001:db8:0:1::1").is_right
    clock.now += ANOTHER - TRIES
    assert login.attempt("a password", "2001:db8::1").is_right
    assert login.attempt("wrong", "2001:db8::1").wait == 0
    assert login.attempt("wrong", "2001:db8::1").wait == ANOTHER
    clock.now += 2 * TRIES * ANOTHER
    waits = [login.attempt("wrong", "2001:db8::1").wait for _ in range(TRIES + 1)]
    assert waits == [0.0] * TRIES + [ANOTHER], "no more tries are saved up"


@pytest.mark.parametrize(
    ("secret", "always"),
    [("9f2c4be1a07d5386e1c0", True), ("9f2c4be1a07d5386e1c", False), ("a" * 64, False)],
)
def test_what_nobody_guesses_is_let_in_always(secret: str, always: bool) -> None:
    """However many have guessed at the same address; what is short waits."""
    login = Login(["short one", secret], Clock())
    for _ in range(TRIES):
        login.attempt("wrong", "172.17.0.1")
    assert login.attempt("wrong", "172.17.0.1").wait == ANOTHER
    assert not login.attempt("short one", "172.17.0.1").is_right
    assert login.attempt(secret, "172.17.0.1").is_right == always


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many sessions and many networks the latest are kept."""
    monkeypatch.setattr("hpo.dashboard.login._SESSIONS", 3)
    monkeypatch.setattr("hpo.dashboard.login._NETWORKS", 3)
    login = Login(["a password"])
    sessions = [login.begin() for _ in range(5)]
    assert [login.is_open(each) for each in sessions] == [False, False, True, True, True]
    for number in range(5):
        login.attempt("wrong", f"10.0.0.{number}")
    assert len(login._full) == 3


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("127.0.0.1:8080", True), ("localhost:8080", True), ("LOCALHOST:8080", True),
     ("[::1]:8080", True), ("gpu1", True), ("gpu1:9", True), ("db.example.org:443", True),
     ("db.example.org:80", False), ("localhost", False), ("localhost:8081", False),
     ("evil.example", False), ("127.0.0.1.evil.example:8080", False), ("", False),
     ("localhost:8080@evil.example", False), ("localhost:8080, evil.example", False),
     ("gpu1.", False), ("0.0.0.0:8080", False)],
)  # fmt: skip
def test_names_of_the_server(host: str, allowed: bool) -> None:
    """Those of this machine with the port, and those that were added."""
    hosts = Hosts("0.0.0.0", 8080, ["gpu1", "db.example.org:443"])  # noqa: S104
    assert hosts.allow(request(host=host)) == allowed


@pytest.mark.parametrize(
    ("headers", "own"),
    [({"origin": "http://a:1"}, True),
     ({"origin": "http://a:1", "sec_fetch_site": "same-origin"}, True),
     ({"sec_fetch_site": "same-origin"}, True), ({}, False), ({"origin": "null"}, False),
     ({"origin": "http://a:2"}, False), ({"origin": "https://a:1"}, False),
     ({"origin": "http://a:1", "sec_fetch_site": "cross-site"}, False),
     ({"sec_fetch_site": "same-site"}, False), ({"sec_fetch_site": "none"}, False)],
)  # fmt: skip
def test_whose_page_asks(headers: dict[str, str], own: bool) -> None:
    """A page of this server says so; silence is no proof."""
    assert is_own(request(host="a:1", **headers)) == own


def test_what_only_this_machine_reaches() -> None:
    """Loopback addresses, with no other name and no proxy in front."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "gpu1", "")))  # noqa: S104
    assert is_wildcard("0.0.0.0")  # noqa: S104
    assert is_wildcard("[::]")
    assert Place("127.0.0.1", 1, ["localhost:9", "[::1]"]).is_private
    assert not Place("127.0.0.1", 1, ["gpu1"]).is_private
    assert not Place("127.0.0.1", 1, proxy="127.0.0.1").is_private


@given(st.text(alphabet="<>/a b&;\N{WORD JOINER}"))
def test_names_stay_text_in_figures(text: str) -> None:
    """No tag that plotly knows is left, and the name is found again."""
    shown = inert(text)
    assert "<a" not in shown
    assert "</" not in shown
    if "<\N{WORD JOINER}" not in text:
        assert original(shown) == text


@given(st.text())
def test_a_login_leads_nowhere_else(text: str) -> None:
    """Whatever page is asked for, it is one of this server."""
    place = _place(text)
    assert place == "/" or (place == text and place.startswith("/") and place[1:2] not in "/\\")


@pytest.mark.parametrize(
    "text",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "/login", "/logout"],
)
def test_places_that_are_refused(text: str) -> None:
    """What a browser would take for another server, or for a way round in a circle."""
    assert _place(text) == "/"
    assert _place("/report?study=a") == "/report?study=a"


def test_where_passwords_stand(tmp_path: Path) -> None:
    """In a variable, in a file; the variable wins; a line's end is none of it."""
    file = tmp_path / "password"
    file.write_bytes(b"of the file\r\n")
    by_file = {"HPO_DASHBOARD_PASSWORD_FILE": str(file)}
    assert secrets_given({}) == []
    assert secrets_given(by_file) == ["of the file"]
    both = {
        **by_file,
        "HPO_DASHBOARD_PASSWORD": "of the variable",
        "HPO_DASHBOARD_TOKEN": "the token",
    }
    assert secrets_given(both) == ["of the variable", "the token"]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("PASSWORD", "", "found 0 characters"), ("PASSWORD", "c4n4ry", "found 6 characters"),
     ("TOKEN", "c4n4ry\nc4n4ry", "found several lines"),
     ("PASSWORD_FILE", "/nowhere/c4n4ry", "No such file"), ("TOKEN_FILE", "/", "Is a directory")],
)  # fmt: skip
def test_what_is_no_password(name: str, value: str, found: str) -> None:
    """It is told in one line, without showing it."""
    with pytest.raises(BadInput) as refused:
        secrets_given({f"HPO_DASHBOARD_{name}": value})
    assert str(refused.value).startswith(f"HPO_DASHBOARD_{name}: ")
    assert found in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "c4n4ry" not in str(refused.value)
