"""Rules that give trials up: fair to those who learn slowly, are evaluated elsewhen, or retried.

A test whose name begins with `test_upstream` is a tripwire: it fails when a newer Optuna no longer
does what `hpo.pruning` corrects.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo import pruning
from hpo.curves import PROGRESS, Curve
from hpo.errors import SpecError
from hpo.pruning import EPOCHS, Contest, Entrant, Pruner, make_pruner
from hpo.spec import PruneSpec, StudySpec, parse
from hpo.trials import HANDED_BACK, REASON, RUN

optuna.logging.set_verbosity(optuna.logging.ERROR)

# Sentiment on 600 sentences, MiniLM, batches of 16, three epochs: accuracy every 263 thousandths.
RATE_2E5 = [.430, .457, .597, .697, .783, .830, .847, .843, .883, .910, .930, .930]  # fmt: skip
RATE_2E4 = [.683, .847, .917, .923, .923, .900, .920, .920, .920, .910, .927, .923]  # fmt: skip
RATE_3E3 = [.567, .567, .433, .567, .567, .567, .433, .433, .567, .433, .567, .567]  # fmt: skip
# SST-2's first 600 sentences, with the default learning rate and with 3e-3, once an epoch.
SST2_DEFAULT = [.517, .817, .833]  # fmt: skip
SST2_DEAD = [0.5, 0.5, 0.5]
COMPARING = ("median", "asha", "hyperband")
ALL = (*COMPARING, "patience")


def spaced(values: Sequence[float], every: int) -> dict[int, float]:
    """Return reports at equal distances; the last one stands at a whole number of epochs."""
    steps = [every * (index + 1) for index in range(len(values))]
    return dict(zip([*steps[:-1], round(steps[-1], -3)], values, strict=True))


def recorded(values: Sequence[float]) -> dict[int, float]:
    """Return the reports of one of the recorded curves."""
    return spaced(values, 263)


def ended(
    reports: Mapping[int, float],
    state: TrialState = TrialState.COMPLETE,
    attrs: dict[str, Any] | None = None,
) -> FrozenTrial:
    """Return a trial that has ended."""
    value = max(reports.values()) if state == TrialState.COMPLETE else None
    return create_trial(
        state=state, value=value, intermediate_values=dict(reports), user_attrs=attrs
    )


def study_of(trials: Sequence[FrozenTrial], *, maximize: bool = True) -> optuna.Study:
    """Return a study with some trials."""
    study = optuna.create_study(
        study_name="study", direction="maximize" if maximize else "minimize"
    )
    study.add_trials(trials)
    return study


def pruned_at(
    spec: PruneSpec,
    mine: Mapping[int, float],
    others: Sequence[FrozenTrial],
    *,
    epochs: float | None = 3,
    maximize: bool = True,
    ticket: int | None = None,
) -> int | None:
    """Let a trial report one value after the other; returns the step at which it is pruned."""
    study = study_of(others, maximize=maximize)
    trial = study.ask()
    if ticket is not None:
        trial.set_user_attr(RUN, {"ticket": ticket})
    if epochs is not None:
        trial.set_user_attr(EPOCHS, epochs)
    pruner = make_pruner(spec)
    for step, value in mine.items():
        trial.report(value, step)
        if epochs is not None and step >= epochs * PROGRESS:
            return None  # nobody asks behind the last step
        if pruner.prune(study, study.get_trials(deepcopy=False)[-1]):
            return step
    return None


def in_bracket(bracket: int, brackets: int = 2, factor: int = 3) -> int:
    """Return a ticket that is in some bracket."""
    lots = ((ticket, crc32(f"study_{ticket}".encode())) for ticket in range(100, 200))
    return next(
        ticket for ticket, lot in lots if pruning.bracket_of(lot, brackets, factor) == bracket
    )


class TestSlowStarters:
    """A low learning rate looks like none at all in its first epoch, and may be the best."""

    def test_upstream_prunes_the_best(self) -> None:
        """Stock median ends the run that would have been the best behind its first epoch."""
        study = study_of([ended(recorded(RATE_2E4))] * 5)
        trial = study.ask()
        for step, value in list(recorded(RATE_2E5).items())[:4]:
            trial.report(value, step)
        frozen = study.get_trials(deepcopy=False)[-1]
        assert MedianPruner(n_warmup_steps=PROGRESS).prune(study, frozen)

    @pytest.mark.parametrize("strategy", ALL)
    @pytest.mark.parametrize(
        ("mine", "others"),
        [
            (recorded(RATE_2E5), recorded(RATE_2E4)),
            (spaced(SST2_DEFAULT, 1000), spaced([0.78, 0.82, 0.84], 1000)),
        ],
    )
    def test_ours_spares_them(
        self, strategy: str, mine: dict[int, float], others: dict[int, float]
    ) -> None:
        """Real curves of low rates among those of good ones are trained to their end."""
        spec = PruneSpec(strategy=strategy)  # type: ignore[arg-type]
        ticket = in_bracket(0)
        assert pruned_at(spec, mine, [ended(others)] * 6, ticket=ticket) is None

    @pytest.mark.parametrize("strategy", ALL)
    @pytest.mark.parametrize(
        ("mine", "others", "expected"),
        [
            (recorded(RATE_3E3), recorded(RATE_2E4), {1052, 1315}),
            (spaced(SST2_DEAD, 1000), spaced(SST2_DEFAULT, 1000), {2000}),
        ],
    )
    def test_the_dead_are_pruned(
        self,
        strategy: str,
        mine: dict[int, float],
        others: dict[int, float],
        expected: set[int],
    ) -> None:
        """Real curves of rates that learn nothing end soon behind their first epoch."""
        spec = PruneSpec(strategy=strategy)  # type: ignore[arg-type]
        found = pruned_at(spec, mine, [ended(others)] * 6, ticket=in_bracket(0))
        assert found in expected

    @pytest.mark.parametrize("strategy", ALL)
    def test_a_spared_trial_is_asked_again(self, strategy: str) -> None:
        """It rises, and is spared; it stalls, and is pruned without waiting for another rung."""
        stalling = [0.2, 0.3, 0.4, 0.5, 0.6, *[0.6] * 19]
        good = [0.8, 0.85, *[0.9] * 22]
        spec = PruneSpec(strategy=strategy, min_epochs=1.0)  # type: ignore[arg-type]
        found = pruned_at(
            spec, spaced(stalling, 250), [ended(spaced(good, 250))] * 6, epochs=6,
            ticket=in_bracket(0),
        )  # fmt: skip
        assert found is not None
        assert 1250 < found < 3000 or strategy == "patience"

    def test_catch_up(self) -> None:
        """The larger, the longer is waited; 0 spares only who is ahead already."""
        mine, others = recorded(RATE_2E5), [ended(recorded(RATE_2E4))] * 5
        found = [
            pruned_at(PruneSpec(strategy="median", catch_up=haste), mine, others)
            for haste in (0.0, 0.5, 1.0)
        ]
        assert found == [1052, 2104, None]


class TestWarmUp:
    """Nobody is pruned for its first epochs alone, or before there is anything to compare with."""

    @pytest.mark.parametrize(
        ("changes", "epochs", "expected"),
        [
            ({}, 2, 1250),
            ({}, 6, 2250),
            ({"warmup_share": 0.5}, 6, 3250),
            ({"warmup_epochs": 3.0}, 6, 3250),
            ({"warmup_epochs": 0.0, "warmup_share": 0.0}, 6, 500),
            ({"warmup_epochs": 0.0, "warmup_share": 0.0, "catch_up": 0.0}, 6, 250),
        ],
    )
    def test_epochs_and_share_of_the_schedule(
        self, changes: dict[str, Any], epochs: int, expected: int
    ) -> None:
        """Whichever ends later; and the first evaluation alone shows no rate."""
        spec = PruneSpec(strategy="median", **changes)
        flat, others = spaced([0.1] * 24, 250), [ended(spaced([0.9] * 24, 250))] * 5
        assert pruned_at(spec, flat, others, epochs=epochs) == expected

    def test_unknown_schedule(self) -> None:
        """Then it is as long as the longest that was trained to its end."""
        flat, others = spaced([0.1] * 24, 250), [ended(spaced([0.9] * 24, 250))] * 5
        spec = PruneSpec(strategy="median")
        assert pruned_at(spec, flat, others, epochs=None) == 2250

    @pytest.mark.parametrize("strategy", ALL)
    def test_startup_trials(self, strategy: str) -> None:
        """So many have completed first; those that were pruned or failed do not count."""
        good = spaced([0.9] * 12, 250)
        short = [ended(good, TrialState.PRUNED)] * 9 + [ended(good, TrialState.FAIL)] * 9
        spec = PruneSpec(strategy=strategy, n_startup_trials=3)  # type: ignore[arg-type]
        flat = spaced([0.1] * 12, 250)
        ticket = in_bracket(0)
        assert pruned_at(spec, flat, [*short, *[ended(good)] * 2], ticket=ticket) is None
        assert pruned_at(spec, flat, [*short, *[ended(good)] * 3], ticket=ticket) is not None

    def test_none(self) -> None:
        """The default prunes nobody, and describes itself so."""
        assert type(make_pruner(PruneSpec())) is optuna.pruners.NopPruner
        assert pruning.described(PruneSpec()) == "none"
        assert pruning.described(PruneSpec(strategy="median")) == (
            "median; no trial up to epoch 1 or 33% of its schedule, none before 5 have completed"
        )
        eager = PruneSpec(
            strategy="median", percentile=20.0, warmup_epochs=0.5, warmup_share=0.0, catch_up=0.0
        )
        assert pruning.described(eager) == (
            "median, best 20% go on; no trial up to epoch 0.5, none before 5 have completed"
        )

    def test_nothing_reported(self) -> None:
        """A trial that reported nothing goes on."""
        study = study_of([ended(spaced([0.9] * 3, 1000))] * 5)
        trial = study.ask()
        frozen = study.get_trials(deepcopy=False)[trial.number]
        assert not Pruner(PruneSpec(strategy="median")).prune(study, frozen)


class TestEqualProgress:
    """H8: trials of other batch sizes are evaluated at other steps."""

    mine = spaced([0.1, 0.1, 0.1], 1000)
    others = (ended(spaced([0.9] * 5, 700)),) * 5

    def test_upstream_compares_identical_steps_only(self) -> None:
        """Stock median finds nobody who was evaluated at the same step, and prunes nobody."""
        study = study_of(self.others)
        trial = study.ask()
        for step, value in list(self.mine.items())[:2]:
            trial.report(value, step)
        assert not MedianPruner().prune(study, study.get_trials(deepcopy=False)[-1])

    @pytest.mark.parametrize("strategy", COMPARING)
    def test_ours_compares_progress(self, strategy: str) -> None:
        """It is compared with what they had reached by then."""
        spec = PruneSpec(strategy=strategy)  # type: ignore[arg-type]
        assert pruned_at(spec, self.mine, self.others, ticket=in_bracket(0)) == 2000

    def test_nobody_is_compared_with_what_came_later(self) -> None:
        """At equal progress it is ahead of them, whatever they came to."""
        mine = spaced([0.4, *[0.5] * 9], 300)
        spec = PruneSpec(strategy="median", catch_up=0.0)
        late = [ended(spaced([0.1, 0.2, 0.45, 0.9], 750))] * 5
        assert pruned_at(spec, mine, late) is None
        early = [ended(spaced([0.1, 0.2, 0.55, 0.9], 750))] * 5
        assert pruned_at(spec, mine, early) == 2400

    @given(st.data())
    def test_more_evaluations_change_nothing(self, data: st.DataObject) -> None:
        """Evaluations of the others that improved nothing leave each decision as it was."""
        field = data.draw(FIELDS)
        finer = [
            Entrant(_refined(each.curve, data), each.lot, each.completed) for each in field.others
        ]
        other = Contest(field.curve, field.lot, field.passed, field.end, finer)
        for rule in COMPARING:
            spec = PruneSpec(strategy=rule)  # type: ignore[arg-type]
            assert pruning.RULES[rule](spec, field) == pruning.RULES[rule](spec, other)


SCORES = st.floats(0.0, 1.0).map(lambda score: round(score, 2))
CURVES = st.dictionaries(
    st.integers(1, 30).map(lambda tenth: tenth * 100), SCORES, min_size=1, max_size=8
).map(lambda reports: Curve.of(reports, maximize=True))
ENTRANTS = st.builds(Entrant, CURVES, st.integers(0, 2**32 - 1), st.booleans())
FIELDS = st.builds(
    Contest, CURVES, st.integers(0, 2**32 - 1), st.just(0.0), st.just(3000.0),
    st.lists(ENTRANTS, max_size=9),
)  # fmt: skip


def _refined(curve: Curve, data: st.DataObject) -> Curve:
    """Return a curve with some evaluations more, none of which improved the best."""
    more = data.draw(st.sets(st.integers(curve.steps[0] // 10, curve.last // 10), max_size=5))
    reports = dict(zip(curve.steps, curve.best, strict=True))
    added = {step * 10: curve.at(step * 10) for step in more if step * 10 not in reports}
    return Curve.of({**reports, **added}, maximize=True)


class TestProperties:
    """What holds of any curves."""

    @given(FIELDS, st.floats(0.1, 10), st.floats(-5, 5))
    def test_scale(self, field: Contest, factor: float, offset: float) -> None:
        """Another unit of the metric changes no decision; halving looks at the order only."""

        def mapped(change: Any) -> Contest:
            def each(curve: Curve) -> Curve:
                return Curve(curve.steps, tuple(change(score) for score in curve.best))

            others = [Entrant(each(one.curve), one.lot, one.completed) for one in field.others]
            return Contest(each(field.curve), field.lot, 0.0, field.end, others)

        scaled = mapped(lambda score: score * 2**5)  # exact in binary
        bent = mapped(lambda score: math.exp(factor * score) + offset)
        for rule in COMPARING:
            spec = PruneSpec(strategy=rule)  # type: ignore[arg-type]
            loses = pruning.RULES[rule]
            assert loses(spec, field) == loses(spec, scaled)
            assert rule == "median" or loses(spec, field) == loses(spec, bent)

    @given(
        st.sampled_from(ALL),
        st.lists(st.lists(SCORES, min_size=12, max_size=12), min_size=5, max_size=8),
        st.lists(SCORES, min_size=12, max_size=12),
    )
    def test_direction(self, strategy: Any, others: list[list[float]], mine: list[float]) -> None:
        """To minimise is to maximise the negative."""
        spec = PruneSpec(strategy=strategy, catch_up=0.5 if strategy != "patience" else 1.0)
        losses = [ended(spaced([-value for value in each], 250)) for each in others]
        scores = [ended(spaced(each, 250)) for each in others]
        assert pruned_at(spec, spaced(mine, 250), scores) == pruned_at(
            spec, spaced([-value for value in mine], 250), losses, maximize=False
        )

    @given(
        st.sampled_from(ALL),
        st.lists(st.lists(SCORES, min_size=12, max_size=12), min_size=1, max_size=8),
        st.lists(SCORES, min_size=12, max_size=12),
        st.sampled_from([0.0, 0.5, 2.0]),
    )
    def test_the_leader_is_never_pruned(
        self, strategy: Any, others: list[list[float]], mine: list[float], haste: float
    ) -> None:
        """Who is as good as the best completed trial goes on, whatever the rule and the rest."""
        spec = PruneSpec(
            strategy=strategy, n_startup_trials=1, warmup_epochs=0.0, warmup_share=0.0,
            min_epochs=0.25, reduction_factor=2, catch_up=haste,
        )  # fmt: skip
        running = [ended(spaced([1.0] * 12, 250), TrialState.PRUNED)] * 3
        completed = [ended(spaced(each, 250)) for each in others]
        best = max(max(each) for each in others)
        step = pruned_at(spec, spaced(mine, 250), [*completed, *running])
        assert step is None or max(mine[: step // 250]) < best

    @given(st.sampled_from(COMPARING), st.floats(1, 99), st.data())
    def test_as_upstream_where_all_are_evaluated_alike(
        self, strategy: str, percentile: float, data: st.DataObject
    ) -> None:
        """Every decision of a study is Optuna's, trial after trial, at each step."""
        stock: BasePruner = {
            "median": PercentilePruner(percentile, n_startup_trials=1),
            "asha": SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
            "hyperband": HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
        }[strategy]
        spec = PruneSpec(
            strategy=strategy,  # type: ignore[arg-type]
            min_epochs=1 / PROGRESS,
            percentile=percentile if strategy == "median" else 50.0,
        )
        study = study_of([])
        curves = st.lists(st.integers(0, 20), min_size=9, max_size=9).map(sorted)
        for values in data.draw(st.lists(curves, min_size=2, max_size=12)):
            trial = study.ask()
            state = TrialState.COMPLETE
            for step, value in enumerate(values, start=1):
                trial.report(value, step)
                frozen = study.get_trials(deepcopy=False)[-1]
                curve = Curve.of(frozen.intermediate_values, maximize=True)
                others = pruning._others(study, frozen, maximize=True)
                contest = Contest(curve, pruning._lot(study, frozen), step - 1, 9.0, others)
                expected = stock.prune(study, frozen)
                assert pruning.RULES[strategy](spec, contest) == expected
                if expected:
                    state = TrialState.PRUNED
                    break
            study.tell(trial, None if state == TrialState.PRUNED else values[-1], state)


class TestNumbers:
    """What is no number, and what is none yet."""

    @pytest.mark.parametrize("strategy", ALL)
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_nothing_finite_loses(self, strategy: str, value: float) -> None:
        """A trial that reports nothing else is pruned as soon as anybody may be."""
        spec = PruneSpec(strategy=strategy)  # type: ignore[arg-type]
        mine, others = spaced([value] * 12, 250), [ended(spaced([0.1] * 12, 250))] * 5
        assert pruned_at(spec, mine, others, ticket=in_bracket(0)) == 1250

    def test_one_of_them_is_passed_over(self) -> None:
        """Of a trial, and of those it is compared with."""
        nan = math.nan
        others = [*[ended(spaced([0.5] * 12, 250))] * 3, *[ended({250: 0.9, 500: nan})] * 2]
        assert pruned_at(PruneSpec(strategy="median"), spaced([0.6, nan] * 6, 250), others) is None
        bad = spaced([0.1, nan] * 6, 250)
        assert pruned_at(PruneSpec(strategy="median"), bad, others) == 1250

    def test_others_without_reports(self) -> None:
        """Trials that completed without reporting anything are nothing to compare with."""
        silent = create_trial(state=TrialState.COMPLETE, value=0.9)
        mine = spaced([0.1] * 12, 250)
        assert pruned_at(PruneSpec(strategy="median"), mine, [silent] * 5) is None


class TestAttempts:
    """A ticket is one trial, however often it was tried."""

    def test_a_ticket_counts_once(self) -> None:
        """Attempts that were cut short win no place beside the one that completed."""
        good, fair = spaced([0.9] * 12, 250), spaced([0.4] * 12, 250)
        cut = [ended(good, TrialState.FAIL, {RUN: {"ticket": 0}, REASON: HANDED_BACK})] * 9
        last = ended(spaced([0.45] * 12, 250), attrs={RUN: {"ticket": 0}})
        others = [*cut, last, *[ended(fair)] * 5]
        spec = PruneSpec(strategy="asha", catch_up=0.0)
        assert pruned_at(spec, spaced([0.42] * 12, 250), others) is None
        assert pruned_at(spec, spaced([0.42] * 12, 250), [*cut[:1], *[ended(good)] * 5]) == 1250

    def test_a_failure_takes_no_place(self) -> None:
        """Whoever diverged later may have been ahead before; it goes on nowhere."""
        diverged = ended(spaced([0.9] * 8, 250), TrialState.FAIL, {REASON: "diverged"})
        completed = [ended(spaced([score] * 12, 250)) for score in (0.45, 0.4, 0.4, 0.4, 0.4)]
        spec, mine = PruneSpec(strategy="asha", catch_up=0.0), spaced([0.42] * 12, 250)
        assert pruned_at(spec, mine, [*completed, *[diverged] * 9]) is None
        pruned = ended(spaced([0.9] * 8, 250), TrialState.PRUNED)
        assert pruned_at(spec, mine, [*completed, *[pruned] * 9]) == 1250

    def test_nobody_competes_with_itself(self) -> None:
        """What its own earlier attempts reached is no measure."""
        run = {"ticket": 7}
        earlier = ended(spaced([0.9] * 4, 250), TrialState.FAIL, {RUN: run, REASON: HANDED_BACK})
        study = study_of([*[ended(spaced([0.4] * 12, 250))] * 3, earlier])
        trial = study.ask()
        trial.set_user_attr(RUN, {**run, "earlier": [3]})
        trial.set_user_attr(EPOCHS, 3)
        for step in (250, 500, 750, 1000, 1250):
            trial.report(0.42, step)
        spec = PruneSpec(strategy="asha", catch_up=0.0, n_startup_trials=3, reduction_factor=4)
        frozen = study.get_trials(deepcopy=False)[-1]
        others = pruning._others(study, frozen, maximize=True)
        assert [each.curve.final for each in others] == [0.4] * 3
        assert not Pruner(spec).prune(study, frozen)

    def test_what_an_attempt_won_is_not_asked_again(self) -> None:
        """A resumed trial is compared at rungs that lie ahead; the rest was told before."""
        study = study_of([ended(spaced([0.9] * 12, 250))] * 5)
        trial = study.ask()
        trial.set_user_attr(EPOCHS, 3)
        pruner = Pruner(PruneSpec(strategy="asha", catch_up=0.0))
        for step in range(250, 1751, 250):
            trial.report(0.1, step)
        assert not pruner.prune(study, study.get_trials(deepcopy=False)[-1])
        assert pruner.passed == 1750

    def test_a_retry_stays_in_its_bracket(self) -> None:
        """Its lot is its ticket's, and not its number's, as upstream has it."""
        study = study_of([ended({1000: 0.1}, attrs={RUN: {"ticket": 4}}) for _ in range(3)])
        lots = {pruning._lot(study, trial) for trial in study.get_trials(deepcopy=False)}
        assert len(lots) == 1
        upstream = HyperbandPruner(min_resource=1, max_resource=9)
        upstream._try_initialization(study)
        brackets = {
            upstream._get_bracket_id(study, create_trial_numbered(number)) for number in range(20)
        }
        assert len(brackets) == 3


def create_trial_numbered(number: int) -> FrozenTrial:
    """Return a trial with some number."""
    trial = create_trial(value=0.0)
    trial.number = number
    return trial


class TestBrackets:
    """Hyperband: the further out the first rung, the fewer trials."""

    def test_shares(self) -> None:
        """Each bracket has its share of the lots, as in Optuna."""
        counts = Counter(pruning.bracket_of(lot, 3, 3) for lot in range(17 * 4))
        assert counts == {0: 9 * 4, 1: 5 * 4, 2: 3 * 4}

    def test_last_bracket_is_trained_to_its_end(self) -> None:
        """Its only rung is the end of the schedule."""
        dead, good = recorded(RATE_3E3), [ended(recorded(RATE_2E4))] * 6
        spec = PruneSpec(strategy="hyperband")
        assert pruned_at(spec, dead, good, ticket=in_bracket(1)) is None
        assert pruned_at(spec, dead, good, ticket=in_bracket(0)) is not None


class TestPatience:
    """Epochs without an improvement end a trial that is not the best."""

    others = (ended(spaced([0.9] * 24, 250)),) * 5

    def test_upstream_waits_for_ever_on_a_plateau(self) -> None:
        """Stock patience takes a flat curve for one that improves."""
        study = study_of([])
        trial = study.ask()
        for step in range(1, 30):
            trial.report(0.5, step)
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            patient = optuna.pruners.PatientPruner(None, patience=2)
        assert not patient.prune(study, study.get_trials(deepcopy=False)[-1])

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [({}, 3000), ({"patience": 2.0}, 4000), ({"min_delta": 0.06, "patience": 0.5}, 2250)],
    )
    def test_epochs_without_improvement(self, changes: dict[str, Any], expected: int) -> None:
        """Improvements of `min_delta` are none; patience is counted in epochs."""
        mine = [0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, *[0.6] * 16]
        mine[7] = mine[6] + 0.05
        spec = PruneSpec(strategy="patience", **changes)
        assert pruned_at(spec, spaced(mine, 250), self.others, epochs=6) == expected

    def test_the_best_is_trained_to_its_end(self) -> None:
        """A pruned trial could not be the study's best."""
        mine = spaced([0.9] * 24, 250)
        assert pruned_at(PruneSpec(strategy="patience"), mine, self.others, epochs=6) is None


def spec_with(prune: dict[str, Any] | None = None, searched: str = "learning_rate") -> StudySpec:
    """Return the study of a file with a table `[prune]`."""
    document = {
        "task": "sentiment", "model": "sample:bert", "data": {"path": "sample:sentiment"},
        "space": {searched: {"type": "int", "low": 1, "high": 4}},
    }  # fmt: skip
    return parse(document if prune is None else {**document, "prune": prune}, "study.toml")


class TestStudyFile:
    """What `[prune]` takes."""

    @pytest.mark.parametrize("name", ["num_train_epochs", "max_steps"])
    def test_hyperband_has_the_epochs(self, name: str) -> None:
        """With Hyperband the length of a training is the budget, and not searched."""
        with pytest.raises(SpecError, match=rf"space\.{name}: found beside .*hyperband.* budget"):
            spec_with({"strategy": "hyperband"}, name)
        assert spec_with({"strategy": "asha"}, name).prune.strategy == "asha"

    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ({"strategy": "mediam"}, 'prune.strategy: found "mediam"; expected'),
            ({"min_epochs": 2}, 'prune.min_epochs: found beside strategy = "none"'),
            ({"strategy": "median", "patience": 2}, "prune.patience: found beside .* catch_up"),
            ({"strategy": "patience", "catch_up": 2}, "prune.catch_up: found beside"),
            ({"strategy": "asha", "reduction_factor": 1}, "expected at least 2"),
            ({"strategy": "median", "n_startup_trials": 0}, "expected at least 1"),
            ({"strategy": "median", "percentile": 0}, "prune.percentile: .*expected more than 0"),
            ({"strategy": "median", "percentile": 100}, "prune.percentile: .*expected below 100"),
            ({"strategy": "asha", "percentile": 20}, "prune.percentile: found beside"),
        ],
    )
    def test_problems(self, table: dict[str, Any], problem: str) -> None:
        """Each is told with its key."""
        with pytest.raises(SpecError, match=problem):
            spec_with(table)

    def test_it_is_part_of_the_study(self) -> None:
        """Which trials end early may not change in the midst of a study."""
        differences = spec_with({"strategy": "median"}).differences(spec_with())
        assert differences == ['prune.strategy: stored "none", found "median"']


@given(st.dictionaries(st.integers(1, 99), SCORES, min_size=2, max_size=9))
def test_forecast(reports: dict[int, float]) -> None:
    """It never falls, grows with haste and time, and is exact for a straight line."""
    curve = Curve.of(reports, maximize=True)
    assume(curve.last < 99)
    forecasts = [curve.forecast(end, haste) for end in (curve.last, 99) for haste in (0, 1, 2)]
    assert forecasts[:4] == [curve.final] * 4
    assert forecasts[3] <= forecasts[4] <= forecasts[5]
    line = Curve.of({step: step / 100 for step in reports}, maximize=True)
    assert line.forecast(99, 1) == pytest.approx(0.99)
