"""What a role of PostgreSQL's may do in a storage, and what a worker must be allowed to."""

from sqlalchemy import Engine, text

from hpo import leases, presence
from hpo.errors import StorageError

WRITTEN = (  # by workers; `roles.sql` grants the same
    "studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials",
    "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes",
    "trial_system_attributes", leases.TABLE,
)  # fmt: skip
_WRITES = ("SELECT", "INSERT", "UPDATE")
ADVICE = "expected the role of a worker, which `hpo storage roles` makes, or the owner's"
# The answer is null where there is no such table: a worker goes on without the list of workers.
_MISSING = text("""
SELECT wanted."right" || ' on ' || wanted.name
FROM unnest(CAST(:names AS text[]), CAST(:rights AS text[]))
    WITH ORDINALITY AS wanted (name, "right", place)
WHERE NOT coalesce(has_table_privilege(to_regclass(wanted.name), wanted."right"), true)
ORDER BY place
""")


def missing(engine: Engine, *, listed: bool = True) -> list[str]:
    """Return the rights that a worker would lack, such as `INSERT on trials`.

    Args:
        engine: of a storage that has its tables; SQLite knows no rights.
        listed: whether it is to stand in the list of workers, too.
    """
    if engine.dialect.name != "postgresql":
        return []
    wanted = [(name, right) for name in WRITTEN for right in _WRITES]
    if listed:
        wanted += [(presence.TABLE, right) for right in (*_WRITES, "DELETE")]
    names, rights = zip(*wanted, strict=True)
    with engine.connect() as connection:
        known = {"names": list(names), "rights": list(rights)}
        return list(connection.scalars(_MISSING, known))


def require_worker(engine: Engine, where: str) -> None:
    """Refuse to work as a role that may only read.

    Args:
        engine: of a storage that has its tables.
        where: the storage, as it is shown.

    Raises:
        StorageError: a right is missing without which no trial can run.
    """
    lacks = missing(engine, listed=False)
    if not lacks:
        return
    with engine.connect() as connection:
        role = connection.scalar(text("SELECT current_user"))
    more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
    raise StorageError(
        f"storage {where}: the role {role!r} cannot work here, it lacks {lacks[0]}{more} "
        f"(`hpo storage check` lists them); {ADVICE}"
    )
