"""What stands at the top: the winner, the gain, what was spent, the configuration to copy. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any

from hpo.configuration import as_toml, comments
from hpo.display import count, duration
from hpo.recipe import Recipe
from hpo.report.subject import Subject
from hpo.spec import FineTuningSpec


@dataclass(frozen=True)
class Fact:
    """A figure that a person looks for first.

    Args:
        name: what it is.
        value: it.
        detail: what it rests on.
        accent: whether it is the most important one.
    """

    name: str
    value: str
    detail: str
    accent: bool = False


def facts(subject: Subject) -> list[Fact]:
    """Return what a person needs first."""
    tested = [] if subject.look is None else [_test(subject.look, len(subject.view.looks))]
    return [_score(subject), *tested, _gain(subject), _trials(subject), _devices(subject)]


def _score(subject: Subject) -> Fact:
    winner, metric = subject.winner, subject.view.metric
    if winner is None:
        why = "no trial has completed" if subject.outcomes else "no trial has ended"
        return Fact(metric, "–", why, accent=True)
    of = "the default configuration" if winner.trial is None else f"trial {winner.trial}"
    if not winner.confirmed:
        return Fact(metric, f"{winner.score:.4f}", f"{of}, trained once", accent=True)
    between = "" if winner.interval is None else f"{span(winner.interval)}; "
    detail = f"{between}mean of {count(winner.runs, 'new seed')}, {of}"
    return Fact(metric, f"{winner.score:.4f}", detail, accent=True)


def _test(look: Mapping[str, Any], times: int) -> Fact:
    result = look["results"][0]
    value = "–" if result["value"] is None else f"{result['value']:.4f}"
    between = "" if result["interval"] is None else f"{span(result['interval'])}; "
    often = "seen once" if times == 1 else f"seen {times} times"
    where = f"trial {result['trial']} of {result['study']}"
    return Fact("on the test split", value, f"{between}{where}, {often}")


def span(interval: Sequence[float], sign: str = "") -> str:
    """Return an interval in words."""
    return f"95% interval {interval[0]:{sign}.4f} to {interval[1]:{sign}.4f}"


def _gain(subject: Subject) -> Fact:
    name, gain = "gain over the default", subject.gain
    if gain is None:
        if subject.winner is not None and subject.is_default:
            return Fact(name, "0", "the default configuration itself is the best")
        missing = "the search had none" if subject.view.baseline is None else "it has not completed"
        return Fact(name, "–", f"no score of a default configuration: {missing}")
    default = f"default {gain.default:.4f}"
    detail = default if gain.interval is None else f"{span(gain.interval, '+')}; {default}"
    once = "" if gain.interval is not None else ", each trained once"
    return Fact(name, f"{gain.mean:+.4f}", detail + once)


def _trials(subject: Subject) -> Fact:
    spent = subject.spent
    parts = [f"{duration(spent.seconds)} of wall clock"]
    if subject.pruned:
        parts.append(f"{len(subject.pruned)} pruned")
    if subject.failures:
        parts.append(f"{len(subject.failures)} failed")
    if spent.runs:
        parts.append(f"and {count(spent.runs, 'run')} to confirm, {duration(spent.confirming)}")
    value = "1 trial" if spent.trials == 1 else f"{spent.trials:,} trials"
    return Fact("spent", value, ", ".join(parts))


def _devices(subject: Subject) -> Fact:
    spent = subject.spent
    names = ", ".join(sorted(spent.devices)) or "no device is stored"
    if spent.gpu_seconds:
        return Fact("GPU time", f"{spent.gpu_seconds / 3600:.2f} h", names)
    return Fact("training time", duration(sum(spent.devices.values())), names)


def snippets(subject: Subject) -> tuple[str, str] | None:
    """Return the winner's configuration as a study file and as Python; None without a winner.

    What it scored with and a copy of it would not have is said in comments: the seeds, and which
    evaluation the weights are of.
    """
    recipe = subject.recipe()
    if recipe is None:
        return None
    seeds, remarks = _seeds(subject), []
    if seeds:
        training = {name: each for name, each in recipe.training.items() if name != "seed"}
        recipe = replace(recipe, training=training)
        listed = ", ".join(map(str, seeds))
        with_ = "seed" if len(seeds) == 1 else "seeds"
        remarks.append(f"no seed is part of it: confirmed with {with_} {listed}")
    return as_toml(recipe, remarks), as_python(recipe, [*remarks, *_kept(subject, recipe)])


def _seeds(subject: Subject) -> list[int]:
    """Return the seeds that the winner was confirmed with."""
    chosen = None if subject.found is None else subject.found.winner
    runs = [] if chosen is None else [run for run in chosen.runs if run.value is not None]
    return [run.params["seed"] for run in runs if "seed" in run.params]


def _kept(subject: Subject, recipe: Recipe) -> list[str]:
    """Say which evaluation the winner's weights are of, and how transformers would keep them."""
    metric, sign = subject.view.metric, subject.sign
    trial = None if subject.run is None else subject.run[1]
    told = (
        [] if trial is None else [each for each in trial.evaluations if metric in each["metrics"]]
    )
    if trial is None or not told:
        return []
    best = max(told, key=lambda each: sign * each["metrics"][metric])
    which = "run" if _seeds(subject) else "trial"
    options = {
        "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True,
        "metric_for_best_model": metric, "greater_is_better": sign > 0,
    }  # fmt: skip
    wanted = {name: value for name, value in options.items() if name not in recipe.training}
    returned = "" if metric == "loss" else ", and a compute_metrics that returns the metric"
    return [
        f"hpo scores and keeps the best evaluation: of {which} {trial.number} that is epoch "
        f"{best['epoch']:g} of {told[-1]['epoch']:g} (step {best['step']}). transformers keeps the "
        f"last one without the following{returned}:",
        *(f"    {name}={_literal(value)}," for name, value in wanted.items()),
    ]


def _is_argument(name: str) -> bool:
    """Say whether a name can stand before an equals sign, and is the same there (PEP 3131)."""
    return name.isascii() and name.isidentifier() and not iskeyword(name)


def _literal(value: Any) -> str:
    """Return a value as Python writes it; an infinity has no literal."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_literal(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def as_python(recipe: Recipe, remarks: Sequence[str] = ()) -> str:
    """Return a configuration as transformers' `TrainingArguments`; the rest of it in comments."""
    known = {name: value for name, value in recipe.training.items() if _is_argument(name)}
    odd = {name: value for name, value in recipe.training.items() if name not in known}
    lines = [
        "from transformers import TrainingArguments",
        "",
        *comments(remarks),
        "arguments = TrainingArguments(",
        *([] if "output_dir" in recipe.training else ['    output_dir="model",']),
        *(f"    {name}={_literal(value)}," for name, value in known.items()),
        *([f"    **{_literal(odd)},"] if odd else []),
        ")",
    ]
    usual = FineTuningSpec().model_dump()
    rest = {"model": recipe.pinned} | {
        name: value
        for name, value in recipe.fine_tuning.model_dump().items()
        if value != usual.get(name)
    }
    comment = [f"# {json.dumps(name)[1:-1]} = {json.dumps(value)}" for name, value in rest.items()]
    return "\n".join([*lines, "# no training arguments:", *comment]) + "\n"
