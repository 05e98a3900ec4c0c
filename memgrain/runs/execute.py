"""Runs the points of a sweep, or others, in a pool and appends their rows to a file; no point runs twice."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from memgrain.errors import MemgrainError
from memgrain.hwmodels import HardwareError
from memgrain.runs.options import Progress, RunOptions
from memgrain.runs.pool import Job, Pool, open_pool
from memgrain.runs.rows import Row, RowFile
from memgrain.runs.sweep import Sweep
from memgrain.runs.worker import WorkerLost
from memgrain.sim import SimulationError
from memgrain.workloads import WorkloadError

DOMAIN = (HardwareError, WorkloadError, SimulationError, MemgrainError)
GLANCE = 0.5
"""Seconds between checks for Ctrl-C while no point finishes."""
KILLED = "was killed"
MEND = "if memory ran out, give it more or run fewer jobs; the point alone, with the same settings, shows more"


@dataclass
class Outcome:
    """The outcome of a run of many points."""

    path: Path
    """The file of the rows."""
    total: int
    """Number of points."""
    ids: dict[str, None] = field(default_factory=dict)
    """Ids of the points in order, whether their rows existed before or not."""
    ready: int = 0
    """Number of points whose rows existed before."""
    failures: list[str] = field(default_factory=list)
    """A line for each point without a row."""


def run_sweep(sweep: Sweep, folder: Path, options: RunOptions = RunOptions()) -> Outcome:
    """Simulate every point of the sweep; see `run_points`."""
    return run_points(*sweep.points(), folder, options)


def run_points(
    points: Sequence[Job],
    refused: Sequence[str],
    folder: Path,
    options: RunOptions = RunOptions(),
) -> Outcome:
    """Simulate every point and append its row to `folder`/rows.jsonl; `refused` has a line for each point that cannot
    be simulated.

    Points whose ids are in the file are skipped. A point that fails is reported and the others go on. Raises
    KeyboardInterrupt after Ctrl-C, when every finished row is on disk; raises MemgrainError if the rows cannot be
    written or no pool can be had.
    """
    progress = options.progress
    with RowFile(folder) as rows:
        if rows.repaired:
            progress.warn(rows.repaired)
        wanted = {point.id(): point for point in points}
        rows.note_order(wanted)
        left = [point for name, point in wanted.items() if name not in rows.ids]
        outcome = Outcome(rows.path, len(wanted) + len(refused), dict.fromkeys(wanted), len(wanted) - len(left))
        progress.start(outcome.total, outcome.ready)
        run = _Run(rows, progress, outcome)
        for message in refused:
            run.fail(message)
        if left:
            run.answer(left, min(options.workers, len(left)), options.cluster)
    return outcome


class _Run:
    """A run of many points in progress."""

    def __init__(self, rows: RowFile, progress: Progress, outcome: Outcome) -> None:
        self.rows, self.progress, self.outcome = rows, progress, outcome

    def answer(self, points: list[Job], jobs: int, cluster: str | None) -> None:
        """Run the points. After a worker crash, retry the points in flight one at a time to isolate the culprit."""
        waiting = deque(points)
        running: dict[Future[Row], Job] = {}
        with _interrupt_event() as interrupted:
            pool = open_pool(jobs, cluster)
            try:
                while waiting or running:
                    suspects = self._fill(pool, waiting, running) + self._collect(pool, running)
                    if suspects:
                        suspects += running.values()
                        running.clear()
                        pool.restart()
                    for point in suspects:
                        self._alone(pool, point, interrupted)
                    if interrupted.is_set():
                        raise KeyboardInterrupt
            except BaseException:
                self._drain(running)
                raise
            finally:
                pool.stop()

    def fail(self, message: str) -> None:
        """Record that a point has no row."""
        self.outcome.failures.append(message)
        self.progress.failed(message)

    def _fill(self, pool: Pool, waiting: deque[Job], running: dict[Future[Row], Job]) -> list[Job]:
        """Submit as many points as the pool takes; returns those that it could not take because a worker crashed."""
        width = pool.width()
        while waiting and len(running) < width:
            point = waiting.popleft()
            try:
                running[pool.submit(point)] = point
            except pool.lost:
                return [point]
        return []

    def _collect(self, pool: Pool, running: dict[Future[Row], Job]) -> list[Job]:
        """Handle the points that finish within GLANCE; returns those that lost their worker."""
        finished, _ = wait(running, timeout=GLANCE, return_when=FIRST_COMPLETED)
        return [point for future in finished if self._lost(pool, future, point := running.pop(future))]

    def _alone(self, pool: Pool, point: Job, interrupted: threading.Event) -> None:
        """Run a point that lost its worker alone, until it gives a row or its retries are used up."""
        how = ""
        for _ in range(pool.max_retries):
            future = pool.submit(point)
            while not wait([future], timeout=GLANCE).done:
                if interrupted.is_set():
                    raise KeyboardInterrupt
            how = self._lost(pool, future, point)
            if not how:
                return
            pool.restart()
        self.fail(f"{point}: its worker {how or KILLED} each time it ran; {MEND}")

    def _lost(self, pool: Pool, future: Future[Row], point: Job) -> str:
        """Write the row or report the failure, and return ""; if the worker was lost, return how it ended."""
        try:
            row = future.result()
        except WorkerLost as error:
            return str(error)
        except pool.lost:
            return KILLED
        except CancelledError:
            raise MemgrainError(
                "the scheduler went away; start it and run the same again: finished points are kept"
            ) from None
        except DOMAIN as error:
            self.fail(f"{point}: {error}")
        except Exception as error:
            self.fail(
                f"{point}: {type(error).__name__}: {' '.join(str(error).split())}; a fault of memgrain, "
                "please report it ('memgrain --debug run' shows where)"
            )
        else:
            if row["id"] != point.id():
                raise MemgrainError(
                    "a worker runs another version of memgrain; install the same one there and run again"
                )
            self.rows.append(row)
            self.progress.done(row)
        return ""

    def _drain(self, running: dict[Future[Row], Job]) -> None:
        """Write the rows that had finished when the run was interrupted, if they can be written."""
        with suppress(MemgrainError):
            for future in running:
                if future.done() and not future.cancelled() and future.exception() is None:
                    self.rows.append(future.result())


@contextmanager
def _interrupt_event() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that it never interrupts a write. A second Ctrl-C raises KeyboardInterrupt."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
