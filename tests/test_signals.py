"""Signals: how they end a process, and what one that was forked from it does with them."""

import os
import signal

import pytest

from hpo.errors import HandedBack, HpoError, ModelError, StorageError, StudyFailed
from hpo.signals import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_forked_child_is_ended_as_any_other(number: signal.Signals) -> None:
    """It has our handlers, and nothing to save; what is asked of it is not asked of us."""
    with Stop() as stop, stop.deferred():
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(told, b".")
            while True:
                signal.pause()
        assert os.read(ready, 1)  # Python drops what comes while it forks
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == number
    assert not stop.requested()


def test_a_forked_child_does_not_leave_for_us() -> None:
    """Ctrl-C reaches the child too; it is the parent's to say what that means."""
    with Stop() as stop, stop.deferred():
        stop.again = lambda: os._exit(3)  # hands a ticket back, in a worker
        stop.signal = signal.SIGTERM
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize(
    "fault",
    [
        StorageError("this session is in 'committed' state"),  # SQLAlchemy's, in a transaction
        AssertionError(),  # the same, at the end of one
        ModelError("cannot be loaded"),  # ours, of whatever loading one raises
    ],
)
@pytest.mark.parametrize(
    ("number", "left"), [(signal.SIGTERM, HandedBack), (signal.SIGINT, KeyboardInterrupt)]
)
def test_what_a_signal_comes_out_as_is_nobodys_fault(
    number: signal.Signals, left: type[BaseException], fault: Exception
) -> None:
    """It is raised in the midst of others' code, which takes it for something else."""

    def break_off() -> None:
        with Stop():
            try:
                os.kill(os.getpid(), number)
            except BaseException as error:
                raise fault from error

    with pytest.raises(left):
        break_off()


@pytest.mark.parametrize(
    "error",
    [StorageError("away"), StudyFailed("none succeeded"), HandedBack("saved behind step 2")],
)
def test_other_errors_stay_what_they_are(error: HpoError) -> None:
    """Nobody asked the process to stop, the study has failed for good, or it says how it left."""

    def fail() -> None:
        with Stop() as stop:
            stop.signal = None if isinstance(error, StorageError) else signal.SIGTERM
            raise error

    with pytest.raises(type(error), match=str(error)):
        fail()
