"""Connections that change nothing, whatever they are asked: the database itself refuses.

https://sqlite.org/pragma.html#pragma_query_only,
https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from typing import Any

from sqlalchemy import Engine, event

_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
}


def protect(engine: Engine) -> None:
    """Let an engine's connections change nothing from now on."""

    @event.listens_for(engine, "connect")
    def _read_only(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_READ_ONLY[engine.name])
        cursor.close()
        if engine.name == "postgresql":  # or it would end with the transaction that is undone
            connection.commit()

    engine.dispose()  # the connections that came before
