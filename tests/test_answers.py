"""A server that accepts questions and never answers them."""

import time
from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2 import extensions, extras
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from hpo import answers, storage
from hpo.outages import is_outage
from hpo.patience import patience
from tests.postgres import Server

SILENT = text("SELECT pg_sleep(600)")


@pytest.fixture
def engine(postgres: Server) -> Iterator[Engine]:
    """Return the engine of a storage of ours."""
    url = postgres.new_database()
    opened = storage.open_storage(url)
    yield opened.engine
    opened.remove_session()
    opened.engine.dispose()
    postgres.drop(url)


def test_it_counts_as_away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as patience is at an end; the connection is given up, and the next one is asked."""
    with engine.connect() as connection:
        monkeypatch.setattr(answers, "LEAST", 0.1)
        monkeypatch.setattr(answers, "_SLICE", 0.1)
        with patience(0.1), pytest.raises(DBAPIError) as caught:
            connection.execute(SILENT)
        monkeypatch.undo()
    assert is_outage(caught.value)
    assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_an_answer_that_takes_long_is_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is patience left, or the least that everybody has."""
    monkeypatch.setattr(answers, "_SLICE", 0.05)
    slow = text("SELECT pg_sleep(0.3)")
    with patience(0.0), engine.connect() as connection:
        connection.execute(slow)
    monkeypatch.setattr(answers, "LEAST", 0.0)
    with patience(60.0), engine.connect() as connection:
        connection.execute(slow)


def test_connections_of_others_wait_as_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses psycopg2 in the same process has no part in our patience."""
    monkeypatch.setattr(answers, "LEAST", 0.0)
    assert extensions.get_wait_callback() is not None
    began = time.monotonic()
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with patience(0.0), psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.3)")
    assert time.monotonic() - began >= 0.3


def test_what_somebody_else_has_set_stays() -> None:
    """Gevent, for one, waits in its own way."""
    before = extensions.get_wait_callback()
    try:
        extensions.set_wait_callback(extras.wait_select)
        answers.limit_waiting()
        assert extensions.get_wait_callback() is extras.wait_select
    finally:
        extensions.set_wait_callback(before)
