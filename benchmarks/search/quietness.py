"""What every process of the benchmark does first."""

import logging
import warnings

import optuna


def quieten() -> None:
    """Keep the warnings and logs of all libraries off the terminal."""
    warnings.simplefilter("ignore")
    logging.captureWarnings(capture=True)
    logging.disable(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
