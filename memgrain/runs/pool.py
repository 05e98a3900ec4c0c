"""Where points run: processes of this machine, or workers of a dask scheduler; both take a point and promise a row."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from memgrain.errors import MemgrainError
from memgrain.runs.rows import Row
from memgrain.runs.worker import Worker, WorkerLost

MAX_RETRIES = 2
"""How often a point that lost its worker is run again, alone."""
ANSWER = 10
"""Seconds to wait for a scheduler, and for its first worker."""


class Job(Protocol):
    """What a pool runs: a point of a sweep, or a case that is held against a measurement; `str` says which it is."""

    def id(self) -> str:
        """Its identity, which is that of its row."""

    def run(self) -> Row:
        """The row."""


class Pool(Protocol):
    """Runs points; the one interface that a sweep knows."""

    lost: tuple[type[BaseException], ...]
    """What a promise raises when the worker died under it."""
    max_retries: int
    """How often a point that lost its worker is run again."""

    def width(self) -> int:
        """Points that can run at once."""

    def submit(self, point: Job) -> Future[Row]:
        """The promise of a row."""

    def restart(self) -> None:
        """Make the pool usable again after a worker was lost."""

    def stop(self) -> None:
        """Give up what is running and let every worker go."""


class Processes:
    """Processes of this machine, see `worker`: a thread for each, which hands it one point after the other."""

    lost: tuple[type[BaseException], ...] = (WorkerLost,)
    max_retries = MAX_RETRIES

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        """Processes at a time."""
        self._said: set[str] = set()
        self._open()

    def width(self) -> int:
        """One point a process, and one in hand so that none waits."""
        return self.jobs + 1

    def submit(self, point: Job) -> Future[Row]:
        """The promise of a row."""
        return self._threads.submit(self._run, point)

    def restart(self) -> None:
        """A new set of processes."""
        self.stop()
        self._open()

    def stop(self) -> None:
        """End the processes, whatever they are doing."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _open(self) -> None:
        self._threads = ThreadPoolExecutor(self.jobs, thread_name_prefix="memgrain")
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._lock, self._stopped = threading.Lock(), False

    def _run(self, point: Job) -> Row:
        """The row of a point, from a process that is idle or new; one that died under it is not used again."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = self._start()
        try:
            row: Row = worker.ask(point)
        except WorkerLost:
            raise
        except BaseException:
            self._idle.put(worker)
            raise
        self._idle.put(worker)
        return row

    def _start(self) -> Worker:
        with self._lock:
            if self._stopped:
                raise WorkerLost("was stopped")
            worker = Worker(self._said)
            self._workers.append(worker)
            return worker


class InProcess:
    """This process: a point runs when it is submitted, one at a time."""

    lost: tuple[type[BaseException], ...] = ()
    max_retries = 0

    def width(self) -> int:
        """One point at a time."""
        return 1

    def submit(self, point: Job) -> Future[Row]:
        """Run the point; the promise is fulfilled at once."""
        promise: Future[Row] = Future()
        try:
            promise.set_result(point.run())
        except Exception as error:
            promise.set_exception(error)
        return promise

    def restart(self) -> None:
        """Do nothing: no worker is lost."""

    def stop(self) -> None:
        """Do nothing."""


class Cluster:
    """The workers of a dask scheduler."""

    max_retries = 0
    """The scheduler itself has tried other workers (`distributed.scheduler.allowed-failures`) by then."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MemgrainError(
                "--cluster needs dask.distributed; install it with: pip install 'memgrain[cluster]'"
            ) from None
        self.lost: tuple[type[BaseException], ...] = (distributed.KilledWorker,)
        try:
            self._client: Any = distributed.Client(address, timeout=ANSWER, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise MemgrainError(
                f"no scheduler answers at {address} ({_first_line(error)}); start one with 'dask scheduler'"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            self._client.close()
            raise MemgrainError(
                f"the scheduler at {address} has no workers; start one with 'dask worker {address}'"
            ) from None
        self._executor: Any = self._client.get_executor(pure=False)

    def width(self) -> int:
        """Two points a thread of the cluster, as it is now."""
        threads: dict[str, int] = self._client.ncores()
        return max(1, 2 * sum(threads.values()))

    def submit(self, point: Job) -> Future[Row]:
        """The promise of a row."""
        promise: Future[Row] = self._executor.submit(run_point, point)
        return promise

    def restart(self) -> None:
        """Nothing to do: the scheduler goes on with the workers that are left."""

    def stop(self) -> None:
        """Leave the scheduler; it forgets what was asked of it."""
        self._executor.shutdown(wait=False)
        self._client.close(timeout=5)


def open_pool(jobs: int, cluster: str | None) -> Pool:
    """A cluster if an address is given, processes of this machine otherwise."""
    return Cluster(cluster) if cluster else Processes(jobs)


def run_point(point: Job) -> Row:
    """The row of a point, in a worker."""
    return point.run()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
