"""Pools that run points: processes of this machine, workers of a dask scheduler, or this process."""

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
    """What a pool runs: a point of a sweep, or a case that is compared with a measurement; `str` names it."""

    def id(self) -> str:
        """Identity of the job and of its row."""

    def run(self) -> Row:
        """Simulate and return the row."""


class Pool(Protocol):
    """Runs points."""

    lost: tuple[type[BaseException], ...]
    """Exceptions that a future raises when its worker was lost."""
    max_retries: int
    """How often a point that lost its worker is run again."""

    def width(self) -> int:
        """Points that can run at once."""

    def submit(self, point: Job) -> Future[Row]:
        """Submit a point; returns the future of its row."""

    def restart(self) -> None:
        """Make the pool usable after a worker was lost."""

    def stop(self) -> None:
        """Cancel running points and end all workers."""


class Processes:
    """Processes of this machine (see `worker`), each with a thread that sends it one point after the other."""

    lost: tuple[type[BaseException], ...] = (WorkerLost,)
    max_retries = MAX_RETRIES

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        """Number of processes."""
        self._reported: set[str] = set()
        self._open()

    def width(self) -> int:
        """One point for each process, and one more so that no process waits."""
        return self.jobs + 1

    def submit(self, point: Job) -> Future[Row]:
        """Submit a point; returns the future of its row."""
        return self._threads.submit(self._run, point)

    def restart(self) -> None:
        """Replace all processes."""
        self.stop()
        self._open()

    def stop(self) -> None:
        """Kill the processes."""
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
        """The row of a point, from an idle or a new process. A process that was lost is not used again."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = self._start()
        try:
            row: Row = worker.run(point)
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
            worker = Worker(self._reported)
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
        """Run the point; the future is done when this returns."""
        future: Future[Row] = Future()
        try:
            future.set_result(point.run())
        except Exception as error:
            future.set_exception(error)
        return future

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
                "a cluster needs dask.distributed; install it with: pip install 'memgrain[cluster]'"
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
        """Two points for each thread that the cluster has now."""
        threads: dict[str, int] = self._client.ncores()
        return max(1, 2 * sum(threads.values()))

    def submit(self, point: Job) -> Future[Row]:
        """Submit a point; returns the future of its row."""
        future: Future[Row] = self._executor.submit(run_point, point)
        return future

    def restart(self) -> None:
        """Do nothing: the scheduler continues with the remaining workers."""

    def stop(self) -> None:
        """Disconnect from the scheduler, which drops the submitted points."""
        self._executor.shutdown(wait=False)
        self._client.close(timeout=5)


def open_pool(jobs: int, cluster: str | None) -> Pool:
    """The pool of a scheduler if its address is given, otherwise processes of this machine."""
    return Cluster(cluster) if cluster else Processes(jobs)


def run_point(point: Job) -> Row:
    """Run a point in a worker of a cluster."""
    return point.run()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
