"""Every error the user may meet, in one tree.

HpoError                     exit 1, a fault of ours
├── BadInput                 exit 2, the study file, the data, the model or an argument
│   ├── SpecError            the study file
│   ├── DataError            a data file or data set
│   └── ModelError           the model or its tokenizer
├── StudyMismatch            exit 3, the study exists with another specification
├── StorageError             exit 4, the storage is unreachable or unusable
│   └── UnknownVersion       a study in it was written by another version of hpo
├── StudyFailed              exit 5, no trial succeeded or too many failed
└── HandedBack               exit 75, interrupted by a signal; the trial can be continued
    └── Untold               the storage was not told of it: it did not answer soon

LeaseLost                    ends a worker's part in a trial, never the worker
└── CutOff                   the storage did not answer until the lease was over
TrialFailed                  ends one trial, never the study; `reason` is stored with the trial
├── Diverged                 "diverged"
├── OutOfMemory              "out of memory"
└── DiskFull                 "disk full"
"""

from collections.abc import Sequence
from typing import Any, ClassVar

INTERRUPTED_EXIT_CODE = 130  # Ctrl-C, as a shell reports it: 128 + SIGINT


class HpoError(Exception):
    """The root of all errors that `hpo` raises on purpose; the message is for the user."""

    exit_code: ClassVar[int] = 1


class BadInput(HpoError):
    """One or several mistakes in what the user gave; all of them are reported at once.

    Each problem says where it is, what was found and what would be right.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class SpecError(BadInput):
    """The study file is wrong."""


class DataError(BadInput):
    """The data cannot be read as the study file says."""


class ModelError(BadInput):
    """The model or its tokenizer cannot be loaded or does not fit the task."""


class StudyMismatch(HpoError):
    """A study of that name exists with another specification."""

    exit_code = 3


class StorageError(HpoError):
    """The storage is unreachable or unusable; the message never holds a password."""

    exit_code = 4


class UnknownVersion(StorageError):
    """A study was stored by another version of hpo, which this one cannot read."""


class StudyFailed(HpoError):
    """The study ended without a result, or was stopped because its trials kept failing."""

    exit_code = 5

    def __init__(self, message: str, study: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.study = study
        """What `--json` prints of it."""


class HandedBack(HpoError):
    """A signal asked the process to go; the running trial was saved and can be continued."""

    exit_code = 75


class Untold(HandedBack):
    """As `HandedBack`, but the storage is away: the lease ends by itself."""


class LeaseLost(Exception):
    """A worker's ticket is somebody else's now: what it does with the trial no longer counts."""


class CutOff(LeaseLost):
    """The storage did not answer until the lease was over: somebody else may have the ticket."""


class TrialFailed(Exception):
    """One trial failed for a reason that the study records and survives."""

    reason: ClassVar[str] = "error"


class Diverged(TrialFailed):
    """The loss is not finite, or far above that of guessing."""

    reason = "diverged"


class OutOfMemory(TrialFailed):
    """The device or the host had no memory left."""

    reason = "out of memory"


class DiskFull(TrialFailed):
    """A checkpoint could not be written for want of space."""

    reason = "disk full"
