"""`hpo dashboard --write`: what is changed, by whom, and what is left of what was deleted."""

from pathlib import Path

from sqlalchemy import func, select

from hpo import confirmation, leases, notes, storage
from hpo.storage import open_storage
from hpo.study import load_study
from tests.dashboard.server import TOKEN, VARIABLES, served
from tests.report.studies import confirm, make_study, trial, url_of


def test_write(tmp_path: Path) -> None:
    """From its own page alone: notes are edited, studies deleted, and nothing else is done."""
    make_study(tmp_path, [trial(0, 0.5), trial(1, 0.6)], name="kept")
    make_study(tmp_path, name="deleted")
    with served(tmp_path, url_of(tmp_path), "--write", **VARIABLES) as found:
        found.sign_in()
        other = {"Content-Type": "application/json", "Origin": "http://evil.example"}
        assert found.ask("/api/studies/2", "DELETE", other).status == 403
        assert found.ask("/api/studies/2", "DELETE").status == 403
        for credential in ("Basic eA==", f"Bearer {TOKEN}x", "Bearer"):
            forged = {**other, "Authorization": credential}
            assert found.ask("/api/studies/2", "DELETE", forged).status in {401, 403}
        assert found.change("/api/studies/2", "DELETE").status == 204
        assert found.change("/api/studies/1/note", "PUT", version=1, body="mine").status == 204
        assert found.change("/api/studies/1/1/note", "PUT", version=1, body="too").status == 204
        for method, path, fields in (
            ("POST", "/api/studies", {"study_name": "new", "directions": ["maximize"]}),
            ("POST", "/api/studies/1/rename", {"study_name": "new"}),
            ("POST", "/api/trials/1/tell", {"state": "fail"}),
            ("POST", "/api/trials/1/user-attrs", {"user_attrs": {"hpo:run": {}}}),
            ("POST", "/api/studies/1/preference",
             {"mode": "ChooseWorst", "candidates": [0], "clicked": 0}),
            ("POST", "/api/artifacts/1/1", {"file": "data:text/plain;base64,eA=="}),
        ):  # fmt: skip
            assert found.change(path, method, **fields).status in {400, 403, 500}, path
        (study,) = found.ask("/api/studies").json()["study_summaries"]
        assert study["study_name"] == "kept"
        detail = found.ask("/api/studies/1").json()
        assert detail["note"] == {"body": "mine", "version": 1}
        assert detail["trials"][0]["note"]["body"] == "too"
        assert [each["state"] for each in detail["trials"]] == ["Complete"] * 2
    opened = open_storage(url_of(tmp_path))
    assert notes.read(opened.get_study_system_attrs(1)) == "mine"
    opened.engine.dispose()


def test_what_is_deleted_leaves_nothing(tmp_path: Path) -> None:
    """Not while somebody is at work; then with tickets and confirmation, which none inherits."""
    study = make_study(tmp_path, [trial(0, 0.9), trial(1, 0.8)])
    confirm(tmp_path, {(3e-4, 16, 3): [0.90, 0.95, 0.93], (3e-5, 16, 3): [0.5, 0.6, 0.55]})
    opened = open_storage(url_of(tmp_path))
    tickets = leases.Tickets(opened.engine, study.user_attrs[storage.ID], worker="host:1:machine:1")
    tickets.issue([None] * 2)
    held = tickets.claim(None)
    assert held is not None
    token = {"Authorization": f"Bearer {TOKEN}"}
    with served(tmp_path, url_of(tmp_path), "--write", **VARIABLES) as found:
        refused = found.ask("/api/studies/1", "DELETE", token)
        assert refused.status == 409
        assert "'films': 1 worker at work for it (host:1" in refused.json()["reason"]
        assert load_study("films", opened).confirmation is not None
        assert tickets.hand_back(held)
        refused = found.ask("/api/studies/2", "DELETE", token)
        assert refused.status == 409
        assert "is the confirmation of 'films'" in refused.json()["reason"]
        assert found.ask("/api/studies/1", "DELETE", token).status == 204
        assert found.ask("/api/studies/1", "DELETE", token).status == 404
        assert found.ask("/api/studies", headers=token).json()["study_summaries"] == []
    with opened.engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(leases.TICKETS)) == 0
    make_study(tmp_path, [trial(0, 0.3)])
    assert load_study("films", opened).confirmation is None
    assert confirmation.find(opened, "films") is None
    opened.engine.dispose()
