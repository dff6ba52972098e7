"""Each trap of `Trainer.hyperparameter_search`: upstream still has it, and we do not.

A test whose name begins with `test_upstream` is a tripwire: it fails when a newer transformers no
longer does what hpo corrects, so that the correction can go.
"""

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
)
from transformers.trainer_callback import CallbackHandler

from hpo import fine_tuning, storage
from hpo.device import Device
from hpo.evaluations import Evaluation, as_record
from hpo.observer import Observer
from hpo.recipe import Recipe
from hpo.search import TrainerRunner, _Searcher
from hpo.spec import FineTuningSpec
from hpo.trainer import FineTuner
from hpo.trial import Draw, Events, run_trial
from hpo.trials import RUN, has_outcome, was_cut_short
from hpo.watch import Watch
from hpo.workspace import Workspace
from tests.studies_made import NER, STEPS, make_job, make_workspace
from tests.upstream_search import ROWS, Tiny, search, stock_trainer


class Bench:
    """A study of ours, to run single trials with chosen parameters in."""

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.workspace: Workspace = make_workspace(folder, changes)
        self.storage: RDBStorage = storage.open_storage(f"sqlite:///{folder / 'hpo.db'}")
        self.study = storage.create_or_attach(
            self.storage, "study", self.workspace.spec,
            direction=self.workspace.direction, facts={},
        )  # fmt: skip
        self.seen: list[list[Evaluation]] = []
        self.steps: list[int] = []

    def run(self, **params: Any) -> FrozenTrial:
        """Run one trial."""
        self.study.enqueue_trial(params)
        return self.take()

    def take(self) -> FrozenTrial:
        """Run the trial that waits."""
        events = Events(
            started=lambda number, drawn: None,
            stepped=lambda step, steps: self.steps.append(step),
            evaluated=self.seen.append,
            asked_to_stop=lambda: False,
        )
        sampler = optuna.samplers.RandomSampler(seed=1)
        draw = Draw(self.study, self.storage, sampler)
        return run_trial(TrainerRunner(self.workspace), draw, events).read()


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Take notes of each Trainer that trains a trial of ours."""
    made: list[dict[str, Any]] = []
    train = FineTuner.train

    def noting(self: FineTuner, *args: Any, **kwargs: Any) -> Any:
        made.append({"args": self.args, "seed": torch.initial_seed(), "trainer": self})
        try:
            return train(self, *args, **kwargs)
        finally:
            scheduler: Any = self.lr_scheduler
            made[-1] |= {"trainer": None, "rates": [] if scheduler is None else scheduler.base_lrs}

    monkeypatch.setattr(FineTuner, "train", noting)
    return made


RATE = {"learning_rate": {"type": "float", "low": 1e-6, "high": 1e12, "log": True}}


class TestFirstTrialFails:
    """H3: the search ends by reading the study's best trial, which there may be none of."""

    def test_upstream_raises(self, tmp_path: Path) -> None:
        """Stock search raises ValueError where no trial has completed."""
        trainer = stock_trainer(tmp_path, scores=[float("nan")])
        with pytest.raises(ValueError, match="No trials are completed yet"):
            search(trainer, lambda trial: {}, [{}])

    def test_ours_returns_the_failed_trial(self, tmp_path: Path) -> None:
        """The trial comes back as FAIL, and the study goes on to a trial that completes."""
        bench = Bench(tmp_path, {"space": RATE})
        assert bench.run(learning_rate=1e9).state == TrialState.FAIL
        assert bench.run(learning_rate=1e-3).state == TrialState.COMPLETE


class TestSeed:
    """H4: parameters are applied after the seed was set and the model was made."""

    def test_upstream_acts_one_trial_late(self, tmp_path: Path) -> None:
        """The model of a stock trial is drawn with the seed of the trial before it."""
        seeds: list[int] = []

        def model_init() -> nn.Module:
            seeds.append(torch.initial_seed())
            return Tiny()

        trainer = stock_trainer(tmp_path, model_init, seed=42)
        search(
            trainer,
            lambda trial: {"seed": trial.suggest_int("seed", 1, 99)},
            [{"seed": 33}, {"seed": 22}, {"seed": 11}],
        )
        assert seeds[-3:] == [42, 33, 22]

    def test_ours_acts_in_its_own_trial(self, tmp_path: Path, heads: list[torch.Tensor]) -> None:
        """Head and scores depend on the trial's own seed, whatever ran before."""
        bench = Bench(tmp_path, {"space": {"seed": {"type": "int", "low": 1, "high": 99}}})
        losses = [bench.run(seed=seed).user_attrs["metrics"]["loss"] for seed in (33, 22, 33)]
        assert losses[0] == losses[2] != losses[1]
        assert torch.equal(heads[0], heads[2])
        assert not torch.equal(heads[0], heads[1])

    def test_model_parameters_act_in_their_own_trial(self, tmp_path: Path) -> None:
        """What shapes the model is the trial's own value, not the one before."""
        space = {"dropout": {"type": "choice", "values": [0.0, 0.3, 0.5]}}
        bench = Bench(tmp_path, {"space": space, "fine_tuning": None})
        drawn = [0.5, 0.0, 0.3]
        trials = [bench.run(dropout=value) for value in drawn]
        configs = [_config(trial, tmp_path)["hidden_dropout_prob"] for trial in trials]
        assert configs == drawn


class TestTypes:
    """H5: a drawn value is cast to the type of the value it replaces."""

    def test_upstream_casts_in_silence(self, tmp_path: Path) -> None:
        """A warm-up of a tenth becomes none, and the text "False" becomes True."""
        trainer = stock_trainer(tmp_path)
        search(trainer, lambda trial: {"warmup_steps": 0.1, "greater_is_better": "False"}, [{}])
        assert trainer.args.warmup_steps == 0
        trainer = stock_trainer(tmp_path)
        search(trainer, lambda trial: {"gradient_checkpointing": "False"}, [{}])
        assert trainer.args.gradient_checkpointing is True

    def test_ours_keeps_the_value(self, tmp_path: Path, trainers: list[dict[str, Any]]) -> None:
        """A share stays a share and warms up; a whole number and a boolean stay what they are."""
        space = {
            "warmup_steps": {"type": "float", "low": 0.0, "high": 0.5},
            "gradient_accumulation_steps": {"type": "int", "low": 1, "high": 4},
            "average_tokens_across_devices": {"type": "choice", "values": [True, False]},
        }
        bench = Bench(tmp_path, {"space": space})
        drawn = {
            "warmup_steps": 0.1,
            "gradient_accumulation_steps": 1,
            "average_tokens_across_devices": False,
        }
        assert bench.run(**drawn).params == drawn
        args = trainers[-1]["args"]
        found = {name: getattr(args, name) for name in drawn}
        assert found == drawn
        assert [type(value) for value in found.values()] == [float, int, bool]
        assert args.get_warmup_steps(2 * STEPS) == 1


class TestLeaks:
    """H6: the arguments of a trial stay in force in the next one, and are never validated."""

    def test_upstream_leaks_and_validates_nothing(self, tmp_path: Path) -> None:
        """A parameter of the first trial acts in the second, which does not have it."""
        trainer = stock_trainer(tmp_path)
        drawn: list[dict[str, Any]] = [
            {"weight_decay": 0.3}, {}, {"warmup_steps": -1, "no_such_field": 1},
        ]  # fmt: skip
        spaces = iter(drawn)
        search(trainer, lambda trial: next(spaces), [{}, {}, {}])
        assert trainer.args.weight_decay == 0.3
        assert trainer.args.warmup_steps == -1

    def test_ours_starts_from_the_study(
        self, tmp_path: Path, trainers: list[dict[str, Any]]
    ) -> None:
        """Two studies' trials in one process have the arguments of their own study only."""
        decay = {"weight_decay": {"type": "float", "low": 0.0, "high": 0.5}}
        Bench(tmp_path / "first", {"space": decay}).run(weight_decay=0.3)
        Bench(tmp_path / "second", {"space": RATE}).run(learning_rate=1e-3)
        assert [each["args"].weight_decay for each in trainers] == [0.3, 0.0]
        assert [each["args"].learning_rate for each in trainers] == [5e-5, 1e-3]

    def test_ours_validates_each_trial(self, tmp_path: Path) -> None:
        """What transformers refuses is refused in the trial that draws it, and only there."""
        space = {"warmup_steps": {"type": "int", "low": -1, "high": 1}}
        bench = Bench(tmp_path, {"space": space})
        refused = bench.run(warmup_steps=-1)
        assert (refused.state, refused.user_attrs["reason"]) == (TrialState.FAIL, "configuration")
        assert "warmup_steps" in refused.user_attrs["error"]
        assert bench.run(warmup_steps=1).state == TrialState.COMPLETE


class TestObjective:
    """H7: the objective is the last evaluation, whatever came before it."""

    def test_upstream_takes_the_last(self, tmp_path: Path) -> None:
        """0.9 and then 0.5 gives 0.5, even where the best model is loaded at the end."""
        trainer = stock_trainer(
            tmp_path, scores=[0.9, 0.5], num_train_epochs=2, save_strategy="epoch",
            load_best_model_at_end=True, metric_for_best_model="accuracy",
        )  # fmt: skip
        assert search(trainer, lambda trial: {}, [{}]).best_value == 0.5

    @pytest.mark.parametrize("task", ["sentiment", "ner"])
    def test_ours_is_the_best_and_so_is_the_checkpoint(self, tmp_path: Path, task: str) -> None:
        """The value is the best evaluation's, and plain transformers gives it to the weights."""
        metric = "f1" if task == "ner" else "accuracy"
        changes = {
            **(NER if task == "ner" else {}),
            "space": RATE,
            "training": {"num_train_epochs": 8, "lr_scheduler_type": "constant"},
        }
        bench = Bench(tmp_path, changes)
        trial = bench.run(learning_rate=3e-3)
        scores = [each["metrics"][metric] for each in trial.user_attrs["evaluations"]]
        assert max(scores) > max(scores[-1], 0.5), "the last evaluation is to be a worse one"
        assert trial.value == max(scores) == trial.user_attrs["metrics"][metric]
        assert trial.user_attrs["epoch"] == scores.index(max(scores)) + 1
        score = independent_f1 if task == "ner" else independent_accuracy
        assert score(_checkpoint(trial, tmp_path), tmp_path) == trial.value


def independent_accuracy(checkpoint: Path, data: Path) -> float:
    """Score a checkpoint with nothing of hpo's, one text at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    lines = (data / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    right = 0
    for row in map(json.loads, lines):
        with torch.no_grad():
            logits = model(**tokenizer(row["text"], return_tensors="pt")).logits
        right += model.config.id2label[int(logits.argmax())] == row["label"]
    return right / len(lines)


def independent_f1(checkpoint: Path, data: Path) -> float:
    """Score a checkpoint with nothing of hpo's, one sentence at a time, first sub-tokens."""
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    lines = (data / "ner-validation.jsonl").read_text(encoding="utf-8").splitlines()
    gold, predicted = [], []
    for row in map(json.loads, lines):
        inputs = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**inputs).logits[0].argmax(-1).tolist()
        firsts = {word: i for i, word in reversed(list(enumerate(inputs.word_ids())))}
        gold.append(row["ner_tags"])
        predicted.append(
            [model.config.id2label[best[firsts[word]]] for word in range(len(row["tokens"]))]
        )
    return float(f1_score(gold, predicted, mode="strict", scheme=IOB2))


class TestReportedSteps:
    """H8: trials report at optimizer steps, which mean more data the larger the batch is."""

    def test_upstream_reports_optimizer_steps(self, tmp_path: Path) -> None:
        """The same amount of data is another step with another batch size."""
        study = search(
            stock_trainer(tmp_path),
            lambda trial: {"per_device_train_batch_size": trial.suggest_int("size", 4, 8)},
            [{"size": 8}, {"size": 4}],
        )
        reported = [list(trial.intermediate_values) for trial in study.trials]
        assert reported == [[ROWS // 8], [ROWS // 4]]

    def test_ours_reports_epochs(self, tmp_path: Path) -> None:
        """A thousand steps an epoch, whatever the batch size."""
        sizes = {"per_device_train_batch_size": {"type": "choice", "values": [8, 20]}}
        bench = Bench(tmp_path, {"space": sizes, "training": None})
        for size in (8, 20):
            assert list(bench.run(per_device_train_batch_size=size).intermediate_values) == [
                1000, 2000, 3000,
            ]  # fmt: skip


class TestState:
    """H9: trials share one Trainer, and so its callbacks, its optimizer and its last model."""

    def test_upstream_keeps_the_counters_and_two_models(self, tmp_path: Path) -> None:
        """Early stopping goes on counting; the model before is alive while the next is made."""
        models: list[weakref.ref[nn.Module]] = []
        alive: list[int] = []

        def model_init() -> nn.Module:
            gc.collect()
            alive.append(sum(model() is not None for model in models))
            model = Tiny()
            models.append(weakref.ref(model))
            return model

        counters: list[int] = []
        stopping = EarlyStoppingCallback(early_stopping_patience=5)

        class Counting(TrainerCallback):
            def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
                counters.append(stopping.early_stopping_patience_counter)

        trainer = stock_trainer(
            tmp_path, model_init, scores=[0.9, 0.5, 0.5, 0.9, 0.5, 0.5], num_train_epochs=3,
            load_best_model_at_end=True, metric_for_best_model="accuracy", save_strategy="epoch",
        )  # fmt: skip
        trainer.add_callback(Counting())
        trainer.add_callback(stopping)
        search(trainer, lambda trial: {}, [{}, {}])
        assert counters == [0, 2]
        assert max(alive) == 1

    def test_ours_starts_afresh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No model of an earlier trial is alive when the next is built, failed trials included."""
        models: list[weakref.ref[PreTrainedModel]] = []
        alive: list[int] = []
        build = fine_tuning.build_model

        def counting(job: fine_tuning.Job) -> PreTrainedModel:
            alive.append(sum(model() is not None for model in models))
            model = build(job)
            models.append(weakref.ref(model))
            return model

        monkeypatch.setattr(fine_tuning, "build_model", counting)
        bench = Bench(tmp_path, {"space": RATE})
        gc.disable()  # so that nothing is freed by chance
        try:
            states = [bench.run(learning_rate=rate).state.name for rate in (1e-3, 1e9, 1e-3)]
        finally:
            gc.enable()
        assert states == ["COMPLETE", "FAIL", "COMPLETE"]
        assert alive == [0, 0, 0]
        assert [len(each) for each in bench.seen] == [2, 2, 2, 2]


class TestWeights:
    """H10: after a search the model is gone."""

    def test_upstream_has_no_model_left(self, tmp_path: Path) -> None:
        """Neither the best model nor any other is there when the search is over."""
        trainer = stock_trainer(tmp_path)
        search(trainer, lambda trial: {}, [{}])
        assert trainer.model is None


class TestReason:
    """H11: why a trial failed is stored nowhere."""

    def test_upstream_stores_no_reason(self, tmp_path: Path) -> None:
        """A trial that raised is FAIL, and nothing else is known of it."""
        trainer = stock_trainer(tmp_path)

        def space(trial: optuna.Trial) -> dict[str, Any]:
            if trial.number == 0:
                raise RuntimeError("no luck")
            return {}

        study = search(trainer, space, [{}, {}], catch=(RuntimeError,))
        failed = study.trials[0]
        assert failed.state == TrialState.FAIL
        assert "luck" not in repr((failed.user_attrs, failed.system_attrs))

    def test_ours_stores_it(self, tmp_path: Path) -> None:
        """A word to count by and a sentence to read."""
        failed = Bench(tmp_path, {"space": RATE}).run(learning_rate=1e9)
        assert failed.user_attrs["reason"] == "diverged"
        assert "not finite" in failed.user_attrs["error"]


class TestFolders:
    """H12: run folders depend on a number only, or on a name that may lead anywhere."""

    def test_upstream_shares_folders_and_writes_outside(self, tmp_path: Path) -> None:
        """Two studies write into one folder, the losers' optimizers stay, names are paths."""
        for _ in range(2):
            trainer = stock_trainer(tmp_path / "out", save_strategy="epoch")
            search(trainer, lambda trial: {}, [{}, {}])
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["run-0", "run-1"]
        assert len(list((tmp_path / "out").rglob("optimizer.pt"))) == 2
        trainer = stock_trainer(tmp_path / "out", save_strategy="epoch")
        search(trainer, lambda trial: {}, [{}], hp_name=lambda trial: "../outside")
        assert (tmp_path / "outside").is_dir()

    def test_ours_leaves_the_best_weights_only(self, tmp_path: Path) -> None:
        """Weights, tokenizer, and how they read; nothing that only a resume needs."""
        trial = Bench(tmp_path, {"space": RATE}).run(learning_rate=1e-3)
        assert {path.name for path in _checkpoint(trial, tmp_path).iterdir()} == {
            "config.json", "hpo.json", "model.safetensors", "tokenizer.json",
            "tokenizer_config.json",
        }  # fmt: skip
        assert trial.user_attrs["checkpoint"] == "trial-0000/best"


class TestResume:
    """H13: no trial is ever resumed."""

    def test_upstream_passes_no_checkpoint(self, tmp_path: Path) -> None:
        """A checkpoint of the same trial in its own folder is not looked at."""
        for _ in range(2):
            trainer = stock_trainer(tmp_path, save_strategy="epoch")
            search(trainer, lambda trial: {}, [{}])
        assert (tmp_path / "run-0" / "checkpoint-2").is_dir()
        assert trainer.resumed_from == [None]

    def test_ours_continues_behind_its_last_step(self, tmp_path: Path) -> None:
        """A trial that continues another reports and keeps the evaluations of both."""
        bench = Bench(tmp_path, {"space": RATE})
        job = make_job(bench.workspace)
        before = fine_tuning.fine_tune(job, Observer())
        bench.study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        attrs = {RUN: {"earlier": [0]}}
        bench.study.enqueue_trial({"learning_rate": 1e-3}, user_attrs=attrs)
        trial = bench.take()
        assert bench.steps == [2 * STEPS]
        assert trial.user_attrs["evaluations"] == as_record(before.evaluations)
        assert list(trial.intermediate_values) == [1000, 2000]
        assert trial.value == before.best.metrics["accuracy"]


class TestRecord:
    """What a trial stores is enough to do it again."""

    def test_retraining_gives_the_score_again(self, tmp_path: Path) -> None:
        """The recipe, the study's data and nothing else give every score to the last digit."""
        space = {**RATE, "dropout": {"type": "float", "low": 0.0, "high": 0.5}}
        changes = {"space": space, "fine_tuning": None, "seed": 11}
        bench = Bench(tmp_path, changes)
        trial = bench.run(learning_rate=2e-3, dropout=0.3)
        record = json.loads(json.dumps(trial.user_attrs["recipe"]))
        recipe = Recipe(
            record["model"],
            FineTuningSpec.model_validate(record["fine_tuning"]),
            record["training"],
        )
        job = make_workspace(tmp_path, changes).job(recipe, tmp_path / "again")
        again = fine_tuning.fine_tune(job, Observer())
        metrics = [each["metrics"] for each in trial.user_attrs["evaluations"]]
        assert [each.metrics for each in again.evaluations] == metrics
        assert again.best.metrics["accuracy"] == trial.value

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_interrupt_in_upstreams_code_costs_no_trial(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        """A Ctrl-C that hits before or after our part of a trial leaves it to be continued."""
        searched = _Searcher.train

        def train(self: _Searcher, *args: Any, **kwargs: Any) -> None:
            if when == "after":
                searched(self, *args, **kwargs)
            raise KeyboardInterrupt

        monkeypatch.setattr(_Searcher, "train", train)
        bench = Bench(tmp_path, {"space": RATE})
        with pytest.raises(KeyboardInterrupt):
            bench.run(learning_rate=1e-3)
        (trial,) = bench.study.trials
        assert trial.state == TrialState.FAIL
        assert was_cut_short(trial)
        assert not has_outcome(trial)


class TestReporters:
    """H16: an environment variable turns a reporter on, an argument pushes every trial."""

    def test_upstream_reports(self, tmp_path: Path, kubeflow: None) -> None:
        """With the variable set a stock Trainer has a reporter although none was asked for."""
        trainer = stock_trainer(tmp_path, report_to="none")
        assert "KubeflowCallback" in _callbacks(trainer)

    def test_ours_reports_and_pushes_nothing(
        self, tmp_path: Path, kubeflow: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No reporter and no push, in the Trainer that searches and in the one that trains."""
        callbacks: list[set[str]] = []
        pushes: list[bool] = []
        begin = CallbackHandler.on_train_begin

        def noting(self: CallbackHandler, args: Any, *rest: Any) -> Any:
            callbacks.append({type(each).__name__ for each in self.callbacks})
            pushes.append(args.push_to_hub)
            return begin(self, args, *rest)

        monkeypatch.setattr(CallbackHandler, "on_train_begin", noting)
        Bench(tmp_path, {"space": RATE}).run(learning_rate=1e-3)
        assert callbacks == [{"DefaultFlowCallback", "Watch"}]
        assert pushes == [False]


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to run in Kubeflow; nobody listens at that address."""
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9")


def _callbacks(trainer: Trainer) -> set[str]:
    return {type(each).__name__ for each in trainer.callback_handler.callbacks}


class TestOrder:
    """H17: `group_by_length` permutes the evaluation too."""

    def test_only_upstream_permutes(self, tmp_path: Path) -> None:
        """Stock predictions come in another order than the rows, ours in the rows' own."""
        job = make_job(make_workspace(tmp_path))
        args = fine_tuning.training_arguments(job, Device.here())
        model = fine_tuning.build_model(job)
        watch = Watch(job.objective, job.folder, Observer(), classes=2)
        ours = fine_tuning.make_trainer(model, args, job, watch)
        rows: Any = job.inputs.validation.shuffle(seed=1)
        stock = Trainer(model, args, ours.data_collator, eval_dataset=rows)
        labels = [np.asarray(each.predict(rows).label_ids).tolist() for each in (stock, ours)]
        assert labels[0] != list(rows["labels"])
        assert labels[1] == list(rows["labels"])


class TestConstructorArguments:
    """What Trainer reads in its constructor only has no effect on a stock search."""

    @pytest.mark.parametrize(
        ("name", "value"), [("label_smoothing_factor", 0.4), ("neftune_noise_alpha", 30.0)]
    )
    def test_upstream_ignores_them(self, tmp_path: Path, name: str, value: float) -> None:
        """The drawn value is in the arguments, and nowhere else."""
        trainer = stock_trainer(tmp_path)
        search(trainer, lambda trial: {name: value}, [{}])
        assert getattr(trainer.args, name) == value
        assert trainer.label_smoother is None
        assert trainer.neftune_noise_alpha is None

    @pytest.mark.parametrize(
        ("name", "value"), [("label_smoothing_factor", 0.4), ("neftune_noise_alpha", 30.0)]
    )
    def test_ours_acts(self, tmp_path: Path, name: str, value: float) -> None:
        """Another value gives other weights."""
        space = {name: {"type": "float", "low": 0.0, "high": value}}
        bench = Bench(tmp_path, {"space": space, "training": {"learning_rate": 1e-3}})
        losses = [bench.run(**{name: each}).user_attrs["metrics"]["loss"] for each in (0.0, value)]
        assert losses[0] != losses[1]


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Take notes of the fresh classifier of each model that is built."""
    made: list[torch.Tensor] = []
    build = fine_tuning.build_model

    def noting(job: fine_tuning.Job) -> PreTrainedModel:
        model = build(job)
        made.append(model.get_parameter("classifier.weight").detach().clone())
        return model

    monkeypatch.setattr(fine_tuning, "build_model", noting)
    return made


def _checkpoint(trial: FrozenTrial, folder: Path) -> Path:
    return folder / "runs" / "study" / str(trial.user_attrs["checkpoint"])


def _config(trial: FrozenTrial, folder: Path) -> dict[str, Any]:
    text = (_checkpoint(trial, folder) / "config.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config
