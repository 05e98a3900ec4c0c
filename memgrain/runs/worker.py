"""A process that runs jobs: the caller's handle and the program of the process.

The process is a fresh interpreter that imports this package and nothing of the caller's main module, so that a script
without an `if __name__ == "__main__"` guard, a program from standard input and a notebook can start workers alike.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from typing import IO, Any

START = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from memgrain.runs.worker import main; main()"
"""Program of the process; the first message that it receives is the caller's search path."""


class WorkerLost(Exception):
    """The process ended before it returned a result; the text says how and follows the words 'its worker'."""


class Worker:
    """The caller's handle of one process, for one thread at a time."""

    def __init__(self, reported: set[str]) -> None:
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # on Windows alone
        group = None if flags else 0  # a group of its own, so that Ctrl-C reaches the caller only
        command, pipe = [sys.executable, "-P", "-c", START], subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, creationflags=flags, process_group=group
        )
        """The process."""
        self._last = ""
        self._reported = reported
        self._reader = threading.Thread(target=self._repeat, daemon=True)
        self._reader.start()
        with contextlib.suppress(OSError):  # a process that is gone already is noticed by `run`
            self._send(sys.path)

    def run(self, job: Any) -> Any:
        """Run `job.run()` in the process: returns its value or raises its exception; WorkerLost if the process ends."""
        assert self.process.stdout is not None
        try:
            self._send(pickle.dumps(job))
            value, error = pickle.load(self.process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ValueError: `kill` closed the pipes
            raise WorkerLost(self._end()) from None
        if error is not None:
            raise error
        return value

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=1)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet cannot be
                assert stream is not None
                stream.close()

    def _send(self, message: Any) -> None:
        assert self.process.stdin is not None
        pickle.dump(message, self.process.stdin)
        self.process.stdin.flush()

    def _repeat(self) -> None:
        """Pass on what the process writes on standard error; a line that any worker wrote before is left out."""
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for raw in lines:
                line = raw.decode(errors="replace").rstrip()
                self._last = line or self._last
                if line and line not in self._reported:
                    self._reported.add(line)
                    print(line, file=sys.stderr, flush=True)

    def _end(self) -> str:
        """How the process ended."""
        status = self.process.wait()
        self._reader.join(timeout=1)
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with exit status {status}" + (f" ({self._last})" if self._last else "")


def main() -> None:
    """Run jobs from standard input one after the other; exit when the input ends, even during a job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that a job prints must not mix with the results
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        pickle.dump(_answer(jobs.get()), answers)
        answers.flush()


def _read(stream: IO[bytes], jobs: queue.SimpleQueue[bytes]) -> None:
    """Queue jobs as they arrive. The input ends when the caller exits, even if it was killed."""
    while True:
        try:
            jobs.put(pickle.load(stream))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(1)


def _answer(job: bytes) -> tuple[Any, Exception | None]:
    """Run a job: its value and None, or None and its exception."""
    try:
        return pickle.loads(job).run(), None
    except Exception as error:
        try:
            return None, pickle.loads(pickle.dumps(error))
        except Exception:  # an exception that cannot be pickled is sent as text
            return None, RuntimeError(f"{type(error).__name__}: {error}")
