"""The README.md of an exported model, with metadata as the hub reads it.

https://huggingface.co/docs/hub/model-cards; names and texts of the user's stay plain text in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hpo.configuration import as_toml
from hpo.display import count, duration, judged
from hpo.manifest import Reading
from hpo.recipe import Recipe
from hpo.study import StudyView
from hpo.trials import TrialResult

_ENTITIES = {ord(each): f"&#{ord(each)};" for each in "&<>|`*_[]~#\\$!:"}
_DIR = "path/to/this"
_OWN_HEAD = "OpenAIGPTForTokenClassification"  # see hpo.heads
Interval = tuple[float, float] | None
_PIPELINES = {"ner": "token-classification", "sentiment": "text-classification"}
_TAGS = {"ner": "named-entity-recognition", "sentiment": "sentiment-analysis"}
_METRICS = {"mcc": "matthews_correlation", "macro_f1": "f1", "macro_precision": "precision"}


@dataclass(frozen=True)
class Facts:
    """What a card tells.

    Args:
        view: the study.
        trial: the run that the weights are of, or whose configuration was trained anew.
        study: the name of the study that the run is of.
        recipe: the configuration; its model is as the study file names it, less folders.
        architectures: the class of the model, as its config.json has it.
        base: the hub's id of the pretrained model; None where it is no model of the hub's.
        hub_data: whether the data set is the hub's and no folder of this machine.
        reading: how the model reads.
        fingerprint: of the data.
        refit: what the weights were trained on anew; None where they are the run's.
        validation: metrics of the weights on the validation split; empty where there is none left.
        until: after which epoch, of how many, training on both ended; None if after all of them.
        test: what the test split showed of these very weights (see `hpo.held_out`).
    """

    view: StudyView
    trial: TrialResult
    study: str
    recipe: Recipe
    architectures: Sequence[str]
    base: str | None
    hub_data: bool
    reading: Reading
    fingerprint: str
    refit: str | None
    validation: Mapping[str, float]
    test: Mapping[str, Any] | None
    until: tuple[float, float] | None = None


def card(facts: Facts) -> str:
    """Return the whole card."""
    body = "\n".join(_body(facts))
    return str(ModelCard(f"---\n{_metadata(facts).to_yaml()}\n---\n\n{body}\n"))


def plain(text: object) -> str:
    """Return text that Markdown and HTML show as it is."""
    return f"<code>{' '.join(str(text).split()).translate(_ENTITIES)}</code>"


def _metadata(facts: Facts) -> ModelCardData:
    task = facts.reading.task
    results = []
    for split, metrics in _scores(facts).items():
        for name, value in metrics.items():
            results.append(
                EvalResult(
                    task_type=_PIPELINES.get(task, task),
                    dataset_type=_dataset(facts) or "local",
                    dataset_name=_dataset(facts) or "local data",
                    dataset_split=split,
                    dataset_args={"fingerprint": _fingerprint(facts, split)},
                    metric_type=_METRICS.get(name, name.rpartition(".")[2]),
                    metric_name=name,
                    metric_value=value,
                )
            )
    dataset = _dataset(facts)
    return ModelCardData(
        base_model=facts.base,
        datasets=None if dataset is None else [dataset],
        eval_results=results or None,
        library_name="transformers",
        model_name=facts.view.name,
        pipeline_tag=_PIPELINES.get(task),
        tags=["hpo", "hyperparameter-optimization", _TAGS.get(task, task)],
    )


def _dataset(facts: Facts) -> str | None:
    """Return the id of the data set, if it is one of the hub's."""
    path = facts.view.spec.data.path or ""
    local = path.startswith(("sample:", ".", "/", "~")) or not facts.hub_data
    return None if local or path.count("/") != 1 else path


def _fingerprint(facts: Facts, split: str) -> str:
    return facts.test["split"] if split == "test" and facts.test is not None else facts.fingerprint


def _scores(facts: Facts) -> dict[str, dict[str, float]]:
    """Return split -> what the weights scored on it: the metrics of the whole."""
    found = {"validation": dict(facts.validation)}
    if facts.test is not None:
        found["test"] = facts.test["results"][0]["metrics"]
    whole = {facts.view.metric}
    return {
        split: {
            name: value
            for name, value in metrics.items()
            if name in whole or ("." not in name and name != "loss")
        }
        for split, metrics in found.items()
    }


def _body(facts: Facts) -> list[str]:
    what = {"ner": "named entity recognition", "sentiment": "sentiment analysis"}
    task = what.get(facts.reading.task, facts.reading.task)
    known = facts.recipe.commit
    commit = "" if known is None else f" (commit {plain(known)})"
    return [
        f"# {plain(facts.view.name)}",
        "",
        f"{plain(facts.recipe.model)}{commit}, fine-tuned for {task}; the configuration was found "
        "by a search with hpo. All that is known about its making stands in `hpo.json`.",
        "",
        *_use(facts),
        *_score_section(facts),
        *_configuration(facts),
        *_search(facts),
        *_data(facts),
        *_LIMITS,
    ]


def _use(facts: Facts) -> list[str]:
    task = facts.reading.task
    option = 'aggregation_strategy="first"' if task == "ner" else "truncation=True"
    call = f'pipeline("{_PIPELINES[task]}", model="{_DIR}", {option})'
    own = _OWN_HEAD in facts.architectures
    head = ["import hpo  # its head is not one of transformers'"] if own else []
    predict = f'hpo predict {_DIR} "Some text."     # exactly as it was scored'
    return [
        "## Use", "", "```", predict, "```", "", "```python", *head,
        "from transformers import pipeline", "", f"read = {call}", "```", "", *_of_pipeline(facts),
    ]  # fmt: skip


def _of_pipeline(facts: Facts) -> list[str]:
    if facts.reading.task != "ner":
        length = facts.reading.encoding.max_length
        side = facts.reading.encoding.truncation_side
        text = f"Texts are cut at the {side} after {length} sub-tokens, as in scoring."
    else:
        text = (
            f"Sentences longer than {facts.reading.encoding.max_length} sub-tokens were read in "
            "overlapping windows. The pipeline does not do so: of a longer text it drops the rest, "
            "without a word, unless it is given a `stride`."
        )
        if facts.reading.encoding.causal:
            text += (
                " The model sees only what came before, so words were labelled at their last "
                "sub-token; no strategy of the pipeline reads them there. `hpo predict` does."
            )
    return [text, ""]


def _score_section(facts: Facts) -> list[str]:
    metric = facts.view.metric
    rows: list[tuple[str, float | None, Interval, str]] = []
    if metric in facts.validation:
        rows.append(("validation", facts.validation[metric], None, "of these weights"))
    found = facts.view.confirmation
    if found is not None and found.winner is not None and found.winner.mean is not None:
        runs = count(len(found.winner.values), "run")
        note = f"mean of {runs} of this configuration with other seeds"
        rows.append(("validation", found.winner.mean, found.winner.interval, note))
    if facts.refit is not None and facts.trial.value is not None:
        note = f"of trial {facts.trial.number} of the study, not of these weights"
        rows.append(("validation", facts.trial.value, None, note))
    if facts.test is not None:
        result = facts.test["results"][0]
        rows.append(("test", result["value"], result["interval"], "of these weights"))
    lines = [
        "## Scores",
        "",
        "| split | metric | score | 95% interval | |",
        "|---|---|---|---|---|",
    ]
    for split, value, interval, note in rows:
        between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        score = "" if value is None else f"{value:.4f}"
        lines.append(f"| {split} | {plain(metric)} | {score} | {between} | {note} |")
    return [*lines, "", *_meaning(facts), ""]


def _meaning(facts: Facts) -> list[str]:
    found, lines = facts.view.confirmation, []
    if facts.refit == "train+validation":
        ended = "to the last step"
        if facts.until is not None:
            ended = "to epoch {:g} of {:g}, after which the trial scored best".format(*facts.until)
        lines.append(
            f"The weights were trained on train and validation together, {ended}: nothing was left "
            "to score them on but the test split."
        )
    elif found is not None and found.winner is not None and facts.refit is None:
        lines.append(
            "These weights are those of the run of the confirmed configuration that scored best on "
            "the validation split. Chosen by that score, its score is too good: expect the mean, "
            "or what the test split says."
        )
    elif facts.refit is None:
        lines.append(
            f"The validation score is the best of {count(facts.view.done, 'trial')}, and partly "
            "luck: the more trials, the more of it."
        )
    if found is not None:
        lines += [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in judged(found)]
    if facts.test is None:
        lines.append("No score of these weights on a test split is known.")
    else:
        lines.append(
            f"The interval of the test score is a bootstrap over its {facts.test['rows']} rows."
        )
        if facts.test["looks"] > 1:
            lines.append(f"The test split was scored {facts.test['looks']} times.")
        lines += [plain(note) for note in facts.test["notes"]]
    return [" ".join(lines)]


def _configuration(facts: Facts) -> list[str]:
    return ["## Configuration", "", "```toml", as_toml(facts.recipe).rstrip(), "```", ""]


def _epoch(facts: Facts) -> str:
    """Say which evaluation the weights are of: `num_train_epochs` is that of the whole schedule."""
    epoch, epochs = (facts.trial.record.get(name) for name in ("epoch", "epochs"))
    if facts.refit is not None or epoch is None or epochs is None:
        return ""
    return f", its best evaluation, after epoch {epoch:g} of {epochs:g}"


def _search(facts: Facts) -> list[str]:
    view = facts.view
    states = ", ".join(f"{number} {state.lower()}" for state, number in view.counts.items())
    names = ", ".join(plain(name) for name in view.spec.search_space().names())
    lines = [
        f"Trial {facts.trial.number} of {plain(facts.study)}{_epoch(facts)}. The search had "
        f"{count(view.done, 'trial')} ({states}) in {duration(view.seconds)}, strategy "
        f"{plain(view.spec.strategy)}, over {names}.",
    ]
    return ["## How it was found", "", *lines, ""]


def _data(facts: Facts) -> list[str]:
    data = facts.view.spec.data
    dataset = _dataset(facts)
    where = "Local data." if dataset is None else f"The data set {plain(dataset)}."
    if data.path is not None and data.path.startswith("sample:"):
        where = f"Generated text, {plain(data.path)}."
    labels = ", ".join(plain(label) for label in facts.reading.encoding.labels)
    notices: Sequence[str] = facts.view.notices
    return [
        "## Data", "",
        f"{where} The fingerprint of train and validation is {plain(facts.fingerprint)}. "
        f"Labels: {labels}.", "",
        *(f"- {plain(notice)}" for notice in notices), *([""] if notices else []),
    ]  # fmt: skip


_LIMITS = [
    "## Limits",
    "",
    "The scores hold for text like that of the data above, and say nothing about other kinds, "
    "languages or times. What the pretrained model has learned, its biases among it, is in this "
    "one too. The licences of the pretrained model and of the data apply.",
]
