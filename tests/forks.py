"""Real processes, without paying for the imports each time.

They are forked from a server that has imported what is slow. There is one such server in a test
session, so it imports for all.
"""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "hpo.worker",
        "hpo.check",
        "hpo.run",
        "hpo.dashboard.serving",
        "optuna_dashboard",
        "tests.studies_made",
    ]
)
