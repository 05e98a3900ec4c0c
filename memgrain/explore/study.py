"""Run a study: propose points, refuse or simulate them, and report results to the sampler, until there are enough
trials.

A point's row is written to rows.jsonl before the study hears of it, so that a kill in between costs only a look-up. The
proposals of one process depend on the seed and the finished trials alone, so that an interrupted study ends like an
uninterrupted one.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memgrain.explore.axes import CHIP_AXIS, axes, index_of, params, size
from memgrain.explore.condition import NEVER, column
from memgrain.explore.database import STUDY_LOCK, opened
from memgrain.explore.explored import DONE, TRIAL_ATTRIBUTE, Explored, read_trials
from memgrain.explore.quality_columns import Quality
from memgrain.explore.spec import Search
from memgrain.explore.store import RowStore, locked
from memgrain.runs.execute import DOMAIN, GLANCE
from memgrain.runs.options import Progress, RunOptions
from memgrain.runs.pool import InProcess, Pool, Processes
from memgrain.runs.quantities import plain
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point
from memgrain.runs.tune import tuned_values
from memgrain.runs.worker import WorkerLost

if TYPE_CHECKING:
    import optuna

TrialParameters = tuple[tuple[str, Any], ...]
"""The proposal of a trial, as sorted pairs of axis and value."""
MAX_REPEATS = 200
"""Number of repeated proposals in a row after which the search stops."""


@dataclass(frozen=True)
class PendingTrial:
    """A trial that has no result yet."""

    trial: optuna.Trial
    """Optuna's trial."""
    point: dict[str, Any]
    """Its chip and overrides."""
    quality: dict[str, float]
    """Its quality columns."""


def explore(
    search: Search, folder: Path, storage: str | None = None, options: RunOptions = RunOptions(jobs=1)
) -> Explored:
    """Go on with the search in `folder` until its trials are done; `storage` is a database's URL. With one job, the
    order of the trials is fixed.

    Raises KeyboardInterrupt after Ctrl-C, with all finished trials kept; MemgrainError if the folder or the database
    cannot be used, belong to another search, or a row lacks a column that the search names.
    """
    store, ends = RowStore(folder), size(axes(search))
    with opened(search, folder, storage) as study:
        pool: Pool = InProcess() if options.workers == 1 else Processes(options.workers)
        try:
            _StudyRun(search, study, store, options.progress, here=storage is None).go(pool, options.workers)
        finally:
            pool.stop()
        return Explored(search, store.path, read_trials(study, search), ends)


class _StudyRun:
    """The part of one process in a study."""

    def __init__(self, search: Search, study: optuna.Study, store: RowStore, progress: Progress, here: bool) -> None:
        self.search, self.study, self.store, self.progress, self.here = search, study, store, progress, here
        self.axes = axes(search)
        self.size = size(self.axes)
        self.total = search.trials if self.size is None else min(search.trials, self.size)
        self.conditions = search.conditions
        self.running: dict[Future[Row], tuple[PendingTrial, Point]] = {}
        self.repeats = 0
        self.files: Files = {}

    def go(self, pool: Pool, jobs: int) -> None:
        """Propose and evaluate points until the trials are done or nothing new is left."""
        done = sum(trial.state.name in DONE for trial in self.study.get_trials(deepcopy=False))
        self.progress.start(self.total, min(done, self.total))
        try:
            while True:
                while len(self.running) < jobs and self.propose(pool):
                    pass
                if not self.running:
                    return
                self.collect(pool)
        finally:
            for pending, _ in self.running.values():
                self.fail(pending.trial)

    def taken(self) -> list[TrialParameters]:
        """The points that are finished or running. In a database shared by machines only this process's own trials
        count as running, because others may be dead."""
        live = {pending.trial.number for pending, _ in self.running.values()}
        return [
            _key(trial.params)
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.name in DONE or (trial.state.name == "RUNNING" and (self.here or trial.number in live))
        ]

    def propose(self, pool: Pool) -> bool:
        """Let the sampler propose a point and process it. Returns False if no further trial is wanted.

        One process asks at a time, so that no two propose the same point and together they do not propose too many.
        """
        with locked(self.store.folder / STUDY_LOCK):
            taken = self.taken()
            if len(taken) >= self.total or self.repeats >= MAX_REPEATS:
                return False
            self.study.sampler = self.sampler(len(taken))
            trial = self.study.ask()
            chosen: dict[str, Any] = {}
            for axis in self.axes:
                chosen |= axis.suggest(trial)
            if _key(trial.params) in taken:
                self.repeat(trial, taken)
                return True
        self.repeats = 0
        self.process(pool, trial, chosen)
        return True

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """The sampler for the proposal after `number` others, with its own seed."""
        from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

        seed = int(np.random.SeedSequence([self.search.seed, number]).generate_state(1)[0])
        if self.search.sampler == "tpe":
            return TPESampler(seed=seed, n_startup_trials=self.search.startup, multivariate=True)
        if self.search.sampler == "nsga2":
            return NSGAIISampler(seed=seed, population_size=self.search.startup)
        return RandomSampler(seed=seed)

    def repeat(self, trial: optuna.Trial, taken: list[TrialParameters]) -> None:
        """Drop a repeated proposal. In a finite space, enqueue an untried point instead."""
        self.fail(trial)
        self.repeats += 1
        if self.size is None:
            return
        numbers = {index_of(self.axes, dict(key)) for key in taken}
        start = int(np.random.default_rng([self.search.seed, len(taken)]).integers(self.size))
        around = ((start + further) % self.size for further in range(self.size))
        untried = next((number for number in around if number not in numbers), None)
        if untried is None:
            self.repeats = MAX_REPEATS
        else:
            self.study.enqueue_trial(params(self.axes, untried))

    def process(self, pool: Pool, trial: optuna.Trial, chosen: dict[str, Any]) -> None:
        """Refuse an invalid point, report a known row, or submit the point."""
        chip = chosen.pop(CHIP_AXIS, self.search.chips[0])
        pending = PendingTrial(trial, {"chip": chip, "overrides": chosen}, {})
        try:
            point = self.search.task(chip, chosen).resolve(self.files)
            if self.search.quality != Quality():
                pending.quality.update(self.search.quality.columns(point))
        except DOMAIN as error:
            self.refuse(pending, str(error))
            return
        row = self.store.find(point.id())
        if row is not None:
            self.tell(pending, row)
            return
        try:
            self.running[pool.submit(point)] = (pending, point)
        except WorkerLost:
            self.fail(trial)
            self.restart(pool)
        except BaseException:
            self.fail(trial)
            raise

    def collect(self, pool: Pool) -> None:
        """Process the points that finish within GLANCE seconds."""
        finished, _ = wait(self.running, timeout=GLANCE, return_when=FIRST_COMPLETED)
        for promise in finished:
            try:
                self.settle(promise, *self.running[promise])
            except WorkerLost:
                self.restart(pool)
                return
            del self.running[promise]

    def restart(self, pool: Pool) -> None:
        """After a worker crash, restart the pool and retry the points in flight one at a time. A point that kills its
        worker again is refused."""
        pool.restart()
        for lost, (pending, point) in list(self.running.items()):
            try:
                self.settle(pool.submit(point), pending, point)
            except WorkerLost as error:
                self.refuse(pending, f"its worker {error} each time it ran; lower the point's memory, or leave it out")
                pool.restart()
            del self.running[lost]

    def settle(self, promise: Future[Row], pending: PendingTrial, point: Point) -> None:
        """Store a finished row and report it to the study, or report the refusal."""
        try:
            row = promise.result()
        except WorkerLost:
            raise
        except DOMAIN as error:
            self.refuse(pending, str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self.progress.warn(f"{point}: {reason}; a fault of memgrain, please report it")
            self.refuse(pending, reason)
        else:
            self.store.keep(row)
            self.tell(pending, row)

    def tell(self, pending: PendingTrial, row: Row) -> None:
        """Report the objectives and constraints of a row to the study."""
        row = row | pending.quality
        values = {name: plain(row[column(name, row)]) for name in self.search.objectives}
        lacking = next((name for name, value in values.items() if value is None), None)
        if lacking is not None:
            self.refuse(pending, f"its row has no number for {lacking}")
            return
        violated = [str(item) for item in self.conditions if not item.holds(row)]
        pending.trial.set_user_attr(
            TRIAL_ATTRIBUTE, {**pending.point, "row": row["id"], "violated": violated, "tuned": tuned_values(row)}
        )
        for condition in self.conditions:
            pending.trial.set_constraint(str(condition), condition.violation(row))
        self.study.tell(pending.trial, [value for value in values.values() if value is not None])
        self.progress.done(row)

    def refuse(self, pending: PendingTrial, reason: str) -> None:
        """Report to the study that the point is refused, with the reason."""
        from optuna.trial import TrialState

        pending.trial.set_user_attr(TRIAL_ATTRIBUTE, {**pending.point, "refused": " ".join(reason.split())})
        pending.trial.set_constraint("refused", NEVER)
        self.study.tell(pending.trial, state=TrialState.PRUNED)
        self.progress.done({"id": ""})

    def fail(self, trial: optuna.Trial) -> None:
        """Mark a trial as failed, so that it does not count."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def _key(parameters: dict[str, Any]) -> TrialParameters:
    """Equal for equal proposals."""
    return tuple(sorted(parameters.items()))
