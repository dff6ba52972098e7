"""What one should know before one believes a study, each with what to do about it. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hpo.candidates import Confirmation
from hpo.display import count, failed_runs, listed, short, taken_for
from hpo.parameters import Choice, Parameter
from hpo.report.subject import Subject

_EDGE = 0.05  # of a range; a value nearer to its end asks for a wider one
_PER_PARAMETER = 5  # trials; below that a space is hardly looked at
_FAILED = 0.2  # of the trials
_LISTED = {"grid", "points"}  # strategies for which no number of trials is too few


@dataclass(frozen=True)
class Caution:
    """One of them.

    Args:
        kind: a name that scripts can rely on.
        text: what was found.
        advice: what to do; may be empty.
    """

    kind: str
    text: str
    advice: str = ""


def cautions(subject: Subject) -> list[Caution]:
    """Return what to mind about a study, what weighs most first."""
    return [
        *_state(subject),
        *_noise(subject),
        *_tested(subject),
        *_failures(subject),
        *(Caution("data", notice) for notice in subject.view.notices),
        *_few(subject),
        *edges(subject),
    ]


def _state(subject: Subject) -> Iterator[Caution]:
    view = subject.view
    if not subject.outcomes:
        yield Caution("empty", "No trial has ended yet: there is nothing to conclude.")
    elif view.condition != "done" and view.budget is not None:
        left = count(view.budget - view.done, "trial")
        yield Caution("unfinished", f"The search is not over: {left} left ({view.condition}).")
    if subject.winner is not None and subject.winner.metrics and subject.winner.score == 0:
        yield Caution(
            "nothing learned",
            f"No trial learned anything: the best {view.metric} is 0.",
            "Look at the range of learning_rate and at the number of epochs.",
        )


def _noise(subject: Subject) -> Iterator[Caution]:
    winner, found, gain = subject.winner, subject.found, subject.gain
    if winner is None:
        return
    if found is not None and not found.complete:
        yield Caution(
            "confirmation unfinished", f"The confirmation has {found.done} of {found.planned} runs."
        )
    if winner.runs == 1:
        yield Caution(
            "one seed",
            "The winner's score is of one seed: how much of it is luck is not known.",
            "" if winner.confirmed else "Add [confirm] to the study file and run it again.",
        )
    if winner.runs > 1 and winner.interval is not None and len({*winner.interval}) == 1:
        yield Caution(
            "equal seeds",
            f"All {winner.runs} seeds gave the winner the very same score: an interval "
            "of no width says too little.",
            "Confirm with more seeds.",
        )
    if found is not None:
        for sentence in failed_runs(found):
            text = f"{sentence[0].upper()}{sentence[1:]}."
            yield Caution("failed seeds", text, f"`hpo status {found.study}` tells more.")
        yield from _luck(found, subject.view.metric)
    if gain is not None and gain.is_noise:
        yield Caution(
            "noise",
            "The gain over the default configuration is within the noise.",
            "Confirm with more seeds, or take the default.",
        )
    elif gain is not None and gain.mean <= 0:
        yield Caution("no gain", "The winner is no better than the default configuration.")
    if found is not None and len(found.tied) > 1:
        names = listed([each.name for each in found.tied])
        yield Caution(
            "tied",
            f"These differ by no more than the noise: {names}."
            if found.freedom
            else f"With so few runs these are not told apart: {names}.",
            f"One is taken: {taken_for(found)}.",
        )


def _luck(found: Confirmation, metric: str) -> Iterator[Caution]:
    """Tell what of the search's best score was luck, where that is more than its runs differ by."""
    best, luck = found.search_best, found.luck
    if best is None or luck is None or best.mean is None or best.searched is None:
        return
    if round(luck, 4) > 0 and luck > (best.deviation or 0.0):
        yield Caution(
            "luck",
            f"The search's best score was luck by {luck:.4f}: trial {best.trial} had {metric} "
            f"{best.searched:.4f} in the search, and {best.mean:.4f} with new seeds.",
            "" if best is found.winner else "Another configuration is taken.",
        )


def _tested(subject: Subject) -> Iterator[Caution]:
    """Tell whether the test split speaks of another run, or was looked at too often."""
    look, times = subject.look, len(subject.view.looks)
    if look is None:
        return
    result, run = look["results"][0], subject.run
    if run is not None and (result["study"], result["trial"]) != (run[0], run[1].number):
        yield Caution(
            "test of another",
            f"What the test split showed is of trial {result['trial']} of {result['study']}, and "
            f"the winner is trial {run[1].number} of {run[0]} now.",
            f"`hpo test {subject.name} --again` scores the winner.",
        )
    if times > 1:
        yield Caution(
            "test seen",
            f"The test split was scored {times} times: what was changed in between, for what it "
            "showed, makes its score too good.",
        )


def _failures(subject: Subject) -> Iterator[Caution]:
    failed, ended = len(subject.failures), len(subject.outcomes)
    if ended and failed == ended:
        text = f"All {failed} trials failed." if failed > 1 else "The only trial failed."
        yield Caution("failures", text, "See the failures below.")
    elif failed > 1 and failed >= _FAILED * ended:
        yield Caution(
            "failures", f"{failed} of {ended} trials failed ({failed / ended:.0%}).",
            "See the failures below.",
        )  # fmt: skip


def _few(subject: Subject) -> Iterator[Caution]:
    dimensions = len(subject.view.spec.search_space())
    few = subject.view.spec.strategy not in _LISTED
    if few and subject.completed and len(subject.outcomes) < _PER_PARAMETER * dimensions:
        trials = count(len(subject.outcomes), "trial")
        yield Caution(
            "few trials",
            f"{trials} for {count(dimensions, 'parameter')}: something better may lie where "
            "nothing was tried.",
            f"Raise [budget] trials to {_PER_PARAMETER * dimensions} or more and run it again.",
        )


def edges(subject: Subject) -> Iterator[Caution]:
    """Yield the parameters whose best value is at the edge of what was searched."""
    if subject.winner is None or len(subject.completed) < 3:
        return
    space = subject.view.spec.search_space().root
    for name, value in subject.winner.params.items():
        side = _side(space[name], value) if name in space else None
        if side is not None:
            end = "lower" if side == "low" else "upper"
            yield Caution(
                "edge",
                f"The best {name}, {short(value)}, is at the {end} end of what was searched.",
                f"Widen {name}{' downwards' if side == 'low' else ' upwards'}.",
            )


def _side(parameter: Parameter, value: object) -> str | None:
    """Say at which end of a parameter a value is; None inside, or where there is no beyond."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(parameter, Choice):
        values = sorted(each for each in parameter.values if isinstance(each, int | float))
        if len(values) < 3 or len(values) < len(parameter.values):
            return None
        low, high, share = values[0], values[-1], 0.0
    else:
        low, high = parameter.low, parameter.top()
        share = _EDGE if isinstance(parameter.low, float) else 0.0
    if low >= high:
        return None
    at = _position(float(value), low, high, log=getattr(parameter, "log", False))
    if at <= share and low > (0 if isinstance(low, float) else 1):
        return "low"
    if at >= 1 - share and high != 1:
        return "high"
    return None


def _position(value: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    return (value - low) / (high - low)
