"""Many workers at once: all start, each ticket is one outcome, all leave."""

from tests.faults.field import Field

WORKERS = 16


def test_sixteen_start_on_a_new_database(field: Field) -> None:
    """No table is there; all run the same file, all start, and the budget is exact."""
    file = field.write(24)
    workers = [field.run(file) for _ in range(WORKERS)]
    for worker in workers:
        ended = worker.end()
        assert ended.code == 0, ended.stderr
    found = field.check(24)
    points = sorted(trial.params["point"] for trial in found["trials"])
    assert points == list(range(24))  # each once, and none tried twice
