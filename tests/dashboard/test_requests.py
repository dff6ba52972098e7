"""What the dashboard answers, asked with every header in the test's hand."""

import csv
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.dashboard.server import PASSWORD, TOKEN, Served, served
from tests.report.studies import url_of

PAGES = ("/", "/dashboard", "/dashboard/studies/1", "/report?study=rich", "/login", "/nowhere")
OTHERS = ("/api/studies", "/static/bundle.js", "/csv/1", "/health", "/hpo/page.css", "/api/nothing")
HEADERS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
}  # fmt: skip


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_headers_of_every_answer(open_one: Served, path: str) -> None:
    """No answer is framed, guessed at, kept or allowed to load what is not ours."""
    reply = open_one.page(path)
    assert {name: reply.headers[name] for name in HEADERS} == HEADERS
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    script = policy.partition("script-src ")[2].partition(";")[0]
    assert "unsafe-inline" not in script
    assert ("unsafe-eval" in script) == path.startswith("/dashboard")
    assert "http" not in policy.replace("http-equiv", "")
    is_kept = path.startswith(("/static/", "/hpo/"))
    assert (reply.headers["Cache-Control"] == "no-store") != is_kept
    assert reply.headers.get_all("Content-Security-Policy") == [policy]
    assert not {"Server", "Access-Control-Allow-Origin"} & set(reply.headers)


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1:1", ""])
def test_other_names_are_refused(open_one: Served, host: str) -> None:
    """Whatever is asked for by them (DNS rebinding); the answer says what to do."""
    for path in ("/", "/api/studies", "/health"):
        reply = open_one.ask(path, headers={"Host": host})
        assert reply.status == 421
        assert "--allow-host" in reply.text
        assert "rich" not in reply.text
    assert open_one.ask("/", headers={"Host": f"localhost:{open_one.port}"}).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/studies/1"), ("POST", "/api/studies"), ("POST", "/api/studies/1/rename"),
     ("PUT", "/api/studies/1/note"), ("POST", "/api/trials/1/tell"),
     ("POST", "/api/artifacts/1/1"), ("POST", "/api/llm/trial_filter_query"),
     ("POST", "/incompatible-rdb-schema"), ("PATCH", "/api/studies/1"), ("OPTIONS", "/api/studies"),
     ("TRACE", "/"), ("POST", "/"), ("POST", "/login")],
)  # fmt: skip
def test_read_only(open_one: Served, method: str, path: str) -> None:
    """Nothing is changed, whoever asks; Optuna's page shows the reason."""
    before = open_one.ask("/api/studies").json()
    reply = open_one.change(path, method, version=1, body="x", study_name="x")
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD"
    if method != "HEAD":
        assert set(reply.json()) == {"reason"}
    assert open_one.ask("/api/studies").json() == before


def test_pages_and_what_is_missing(open_one: Served) -> None:
    """Words for people, JSON for programs, 404 for both; HEAD has no body."""
    assert "rich" in open_one.page("/").text
    missing = ("/nowhere", "/report?study=nobody", "/report?id=99", "/report?id=x", "/csv/99",
               "/csv/x", f"/csv/{'9' * 5000}", "/csv/1?trial_ids=x")  # fmt: skip
    assert [open_one.page(path).status for path in missing] == [404] * len(missing)
    assert "There is no such study" in open_one.page("/report?id=99").text
    assert open_one.ask("/report?id=99").json() == {"reason": "There is no such study."}
    assert "study: found no &#39;nobody&#39;" in open_one.page("/report?study=nobody").text
    for path in ("/api/studies/99", "/api/studies/99/plot/contour", "/api/nothing"):
        assert open_one.ask(path).status in {404, 500}
    head = open_one.ask("/", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert open_one.ask("/health").text == "ok\n"
    assert "Traceback" not in open_one.process.said()


def test_attributes_are_legible(open_one: Served) -> None:
    """The objective has its name; metrics are numbers, attempts and failures words; no JSON."""
    rich = open_one.ask("/api/studies/1").json()
    assert rich["objective_names"] == ["accuracy"]
    about = {each["key"]: each["value"] for each in rich["user_attrs"]}
    assert (
        about.items() >= {"task": "sentiment", "strategy": "random", "metric": "accuracy"}.items()
    )
    best = {each["key"]: each["value"] for each in rich["best_trials"][0]["user_attrs"]}
    told = {"attempt": "1", "resumed from step": "4", "peak memory in GB": "2.0"}
    assert best.items() >= {**told, "accuracy": "0.99", "negative.f1": "0.99"}.items()
    assert best["worker"].startswith("host")
    sortable = {each["key"] for each in rich["union_user_attrs"] if each["sortable"]}
    assert {"accuracy", "loss", "minutes", "attempt"} <= sortable
    (failed,) = open_one.ask("/api/studies/2").json()["trials"]
    why = {each["key"]: each["value"] for each in failed["user_attrs"]}
    assert (why["reason"], why["error"]) == ("diverged", "Diverged: nan")
    everything = [
        *rich["user_attrs"],
        *(each for trial in rich["trials"] for each in trial["user_attrs"]),
    ]
    assert not [each for each in everything if each["key"].startswith("hpo:")]
    assert not [each for each in everything if each["value"].startswith(("{", "["))]


def test_csv_is_safe(open_one: Served) -> None:
    """That of Optuna's dashboard is replaced by ours, which no spreadsheet computes (A4)."""
    rows = list(csv.reader(io.StringIO(open_one.ask("/csv/1").body.decode("utf-8-sig"))))
    assert rows[0][:3] == ["study", "trial", "state"]
    assert len(rows) == 14
    chosen = open_one.ask("/csv/1?trial_ids=0,%202").body.decode("utf-8-sig")
    assert [row[1] for row in csv.reader(io.StringIO(chosen))] == ["trial", "0", "2"]


def test_reports_are_served(open_one: Served) -> None:
    """One study, or several that are compared; with links to the dashboard; packed if wanted."""
    one = open_one.page("/report?id=1")
    assert 'href="/dashboard/studies/1"' in one.text
    both = open_one.page("/report?study=rich&study=failed")
    assert "2 studies compared" in both.text
    packed = open_one.ask("/report?id=1", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(one.body) / 2
    assert open_one.page("/report").headers["Location"] == "/"


# ── with a password ──────────────────────────────────────────────────────────────────────────────


def test_strangers_see_nothing(guarded: Served) -> None:
    """Pages lead to the login, programs get 401; the name of no study is told."""
    for path in (
        "/",
        "/dashboard",
        "/report?study=rich",
        "/api/studies",
        "/csv/1",
        "/static/bundle.js",
    ):
        reply = guarded.page(path)
        assert reply.status in {303, 401}, path
        assert b"rich" not in reply.body.replace(b"study%3Drich", b"")
        assert guarded.ask(path).status == 401
    assert (
        guarded.page("/report?study=rich").headers["Location"]
        == "/login?next=%2Freport%3Fstudy%3Drich"
    )
    assert guarded.change("/api/studies/1", "DELETE").status == 401
    assert guarded.change("/logout", "POST").status == 401
    assert (
        guarded.ask("/", headers={"Cookie": f'hpo_session_{guarded.port}=x; a="\\'}).status == 401
    )
    assert guarded.ask("/health").text == "ok\n"


def test_the_login_admits_and_logout_ends(guarded: Served) -> None:
    """A cookie that no script reads and no other page sends; afterwards it is worth nothing."""
    assert "Password" in guarded.page("/login").text
    reply = guarded.sign_in(place="/report?study=rich")
    assert (reply.status, reply.headers["Location"]) == (303, "/report?study=rich")
    cookie = reply.headers["Set-Cookie"]
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
    assert PASSWORD not in cookie
    assert "rich" in guarded.page("/").text
    assert guarded.page("/login").headers["Location"] == "/"
    before = guarded.cookie
    assert guarded.ask("/logout", "POST", {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert guarded.ask("/api/studies").status == 200
    assert guarded.ask("/logout", "POST", {"Origin": guarded.address}).status == 303
    assert guarded.ask("/api/studies", headers={"Cookie": before}).status == 401


def test_the_login_refuses(guarded: Served) -> None:
    """A wrong password, a form of somebody else's page, a place that is not ours."""
    reply = guarded.sign_in("wrong")
    assert (reply.status, guarded.cookie) == (401, "")
    assert "neither the password nor the token" in reply.text
    assert guarded.sign_in(Origin="http://evil.example").status == 403
    assert guarded.sign_in(place="//evil.example").headers["Location"] == "/"


def test_a_script_has_a_token(guarded: Served) -> None:
    """The token or the password in a header; by it, no other name is let in."""
    for secret in (TOKEN, PASSWORD):
        reply = guarded.ask("/api/studies", headers={"Authorization": f"Bearer {secret}"})
        assert reply.json()["study_summaries"][0]["study_name"] == "rich"
    assert guarded.ask("/", headers={"Authorization": "Bearer wrong"}).status == 401
    assert guarded.ask("/", headers={"Authorization": f"Basic {TOKEN}"}).status == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("/", headers={**right, "Host": "gpu1:80"}).status == 200
    assert guarded.ask("/", headers={**right, "Host": "gpu2"}).status == 421


def test_forwarded_headers_are_nobodys_word(guarded: Served) -> None:
    """Without --behind-proxy a client is who it is, and http is http."""
    forged = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "10.9.9.9",
        "Forwarded": "for=10.9.9.9",
    }
    reply = guarded.sign_in(**forged)
    assert "Secure" not in reply.headers["Set-Cookie"]


def test_guessing_is_slow_and_the_proxy_says_who_guesses(studies: Path, tmp_path: Path) -> None:
    """After ten failures an address waits, or gives the token; over TLS the cookie is secure."""
    options = ["--behind-proxy", "127.0.0.1", "--allow-host", "hpo.example.org"]
    short, token = "c4n4ry 8", "c4n4ry-9f2c4be1a07d5386"
    env = {"HPO_DASHBOARD_PASSWORD": short, "HPO_DASHBOARD_TOKEN": token}
    with served(tmp_path, url_of(studies), *options, **env) as found:
        tls = {"Host": "hpo.example.org", "Origin": "https://hpo.example.org"}
        first = {**tls, "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
        replies = [found.sign_in("wrong", **first) for _ in range(11)]
        assert [each.status for each in replies] == [401] * 10 + [429]
        assert 0 < int(replies[-1].headers["Retry-After"]) <= 30
        assert found.sign_in(short, **first).status == 429, "the right one, too"
        wrong = {**first, "Authorization": "Bearer wrong"}
        assert found.ask("/api/studies", headers=wrong).status == 429
        right = {**first, "Authorization": f"Bearer {token}"}
        assert found.ask("/api/studies", headers=right).status == 200
        assert found.sign_in(token, **first).status == 303
        reply = found.sign_in(short, **{**first, "X-Forwarded-For": "10.0.0.2"})
        assert reply.status == 303
        assert reply.headers["Set-Cookie"].startswith("__Host-hpo_session_")
        assert reply.headers["Set-Cookie"].endswith("; Secure")
        assert "c4n4ry" not in found.process.said()


def test_sqlite_is_opened_to_read(open_one: Served, studies: Path) -> None:
    """Whatever was asked of the dashboard, the file is as it was, and its folder has no lock."""
    with closing(sqlite3.connect(studies / "hpo.db")) as database:
        before = database.execute("PRAGMA data_version").fetchone()
        for path in ("/", "/api/studies/1", "/report?id=1", "/api/studies/1/param_importances"):
            assert open_one.ask(path).status == 200
        assert database.execute("PRAGMA data_version").fetchone() == before
