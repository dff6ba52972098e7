"""Workers without a name serve every study of a storage, by priority, and wait for new ones."""

import json
import signal
from typing import Any

from hpo import orders, storage
from hpo.spec import parse
from tests.faults import scripted
from tests.faults.field import Field
from tests.faults.invariant import check_invariant, trials_of
from tests.faults.processes import Process


def make(field: Field, name: str, first: int, priority: int = 0, **changes: Any) -> None:
    """Make a study of a grid of the four points from some number on."""
    space = {"point": {"type": "choice", "values": list(range(first, first + 4))}}
    spec = parse(field.document(space=space, **changes), "study.toml")
    opened = storage.open_storage(field.url)
    storage.create_or_attach(
        opened, name, spec, direction="minimize" if changes else "maximize",
        facts={storage.METRIC: changes.get("objective", {}).get("metric", scripted.METRIC)},
        first={storage.DATA: str(field.folder)},
    )  # fmt: skip
    orders.change(opened, name, priority=priority)
    opened.engine.dispose()


def serve(field: Field, count: int) -> list[Process]:
    """Start workers without a name."""
    return [field.start("worker", "--lease", "5") for _ in range(count)]


def end(workers: list[Process]) -> None:
    """Ask workers to leave, and see that they do."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    for worker in workers:
        assert worker.end().code == 75, worker.said()


def status(field: Field, name: str) -> dict[str, Any]:
    """Return what `hpo status --json` prints."""
    found: dict[str, Any] = json.loads(field.start("status", name, "--json").end().stdout)
    return found


def test_studies_of_several_priorities(field: Field) -> None:
    """Higher ones come first; each trial of each study is run once."""
    make(field, "low", 0, priority=-1)
    make(field, "high", 10, priority=5)
    make(field, "usual", 20)
    workers = serve(field, 2)
    field.wait_for("told", 12)
    for worker in workers:
        worker.wait_for("nothing to do; waiting for studies")
    end(workers)
    for name in ("low", "high", "usual"):
        check_invariant(field.url, name, 4, field.stage, alone=False)
    trials = [each for name in ("low", "high", "usual") for each in trials_of(field.url, name)]
    trials.sort(key=lambda trial: trial.user_attrs["hpo:run"]["at"])  # when it was claimed
    ranks = [trial.params["point"] // 10 for trial in trials]
    assert ranks[:3] == [1, 1, 1]
    assert ranks[-3:] == [0, 0, 0]


def test_studies_of_one_priority_share(field: Field) -> None:
    """Two workers work on two studies, and not both on the first."""
    make(field, "one", 0)
    make(field, "other", 10)
    field.script(steps=4000)
    workers = serve(field, 1)
    field.wait_for("began")
    workers += serve(field, 1)
    field.wait_for("began", 2)
    assert {each["point"] // 10 for each in field.log("began")[:2]} == {0, 1}
    end(workers)


def test_a_study_that_is_submitted_later(field: Field) -> None:
    """Workers wait on an empty storage; what is submitted is run, with its priority."""
    workers = serve(field, 2)
    for worker in workers:
        worker.wait_for("nothing to do; waiting for studies")
    said = field.start(
        "submit", str(field.write(5)), "--name", "late", "--priority", "3", "--json"
    ).end()
    assert said.code == 0, said.stderr
    queued = json.loads(said.stdout)
    assert (queued["study"], queued["priority"], len(queued["workers"])) == ("late", 3, 2)
    field.wait_for("told", 5)
    end(workers)
    check_invariant(field.url, "late", 5, field.stage, alone=False)
    assert status(field, "late")["priority"] == 3


def test_a_study_that_cannot_be_served(field: Field) -> None:
    """It is left to others, which is shown with the reason; the other studies are worked on."""
    make(field, "strange", 0, priority=9)
    make(field, "usual", 10)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, "strange")
    study.set_user_attr(storage.VERSIONS, {"transformers": "99.0.0"})
    opened.engine.dispose()
    (worker,) = serve(field, 1)
    field.wait_for("told", 4)
    end([worker])
    assert "study 'strange' is left to others for 300 s: " in worker.said()
    check_invariant(field.url, "usual", 4, field.stage, alone=False)
    (refusal,) = status(field, "strange")["refused"].values()
    assert "transformers: stored 99.0.0" in refusal["why"]
    assert refusal["worker"].split(":")[1] == str(worker.pid)
    for command in (["status", "strange"], ["list"]):
        shown = field.start(*command).end().stdout
        assert f":{worker.pid} for " in shown
        assert "tries again in " in shown
        assert "start `hpo worker` where it can be served" in shown


def test_orders_are_heeded(field: Field) -> None:
    """A paused study is passed by; stopped and opened again, it is worked on again."""
    make(field, "first", 0, priority=1)
    make(field, "second", 10)
    assert field.start("stop", "first").end().code == 0
    workers = serve(field, 1)
    field.wait_for("told", 4)
    assert {each["point"] // 10 for each in field.log("began")} == {1}
    assert field.start("resume", "first").end().code == 0
    field.wait_for("told", 8)
    end(workers)
    check_invariant(field.url, "first", 4, field.stage, alone=False)


def test_studies_of_several_metrics(field: Field) -> None:
    """What is told of one study is not taken for another one's."""
    make(field, "scores", 0)
    make(field, "losses", 10, objective={"metric": "loss"})
    field.script(evaluate=True)
    workers = serve(field, 1)
    field.wait_for("told", 8)
    end(workers)
    check_invariant(field.url, "scores", 4, field.stage, alone=False)
    assert [trial.state.name for trial in trials_of(field.url, "losses")] == ["COMPLETE"] * 4
    assert "scores:   epoch 1: score 0." in workers[0].said()
    assert "losses:   epoch 1: loss 0." in workers[0].said()


def test_asked_to_leave_while_it_joins(field: Field) -> None:
    """It leaves, and tells nobody that it could not serve the study."""
    make(field, "usual", 0)
    field.arm("joining")
    (worker,) = serve(field, 1)
    field.reached("joining")
    end([worker])
    assert "left to others" not in worker.said()
    assert "refused" not in status(field, "usual")


def test_asked_to_leave_while_it_settles(field: Field) -> None:
    """A trial whose result is told is done: its ticket is not handed back."""
    make(field, "usual", 0)
    field.arm("settling")
    (worker,) = serve(field, 1)
    field.reached("settling")
    end([worker])
    check_invariant(field.url, "usual", 1, field.stage)
