"""Upstream's own bars and reports, turned off for a command that shows its progress itself."""

import warnings

import datasets
import optuna
import transformers.utils.logging


def quieten() -> None:
    """Silence what a trial is no place for: a bar for each file, a report on each new head."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns of failures with a traceback
    # Of arguments that the next major version renames; the one in use takes them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
