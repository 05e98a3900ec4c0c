"""Predictions of rows while parameters of a chip vary. Each row is simulated once per set of parameters, several at a
time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any

from memgrain.calibration.empty import EmptyCase
from memgrain.calibration.fits import EMPTY
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.runs.pool import Processes
from memgrain.runs.rows import Row
from memgrain.validation.cases import CaseMaker, ValidationCase
from memgrain.validation.records import Record

Overrides = Mapping[str, Any]
"""Dotted overrides of the chip."""


class Predictor:
    """Predicts times of rows of one chip and caches them."""

    def __init__(self, chip: str, records: Sequence[Record], jobs: int) -> None:
        self.chip, self.records = chip, records
        self.simulated = 0
        """Number of simulations so far."""
        self._pool = Processes(jobs)
        self._known: dict[tuple[str, int], float] = {}

    def error(self, settings: Overrides, rows: Sequence[int]) -> float:
        """Mean absolute relative error of the time of these rows, given by index."""
        errors = self.errors(settings, rows)
        return sum(map(abs, errors)) / len(errors)

    def errors(self, settings: Overrides, rows: Sequence[int]) -> list[float]:
        """Relative error of the time of each of these rows. Raises HardwareError, WorkloadError or SimulationError."""
        setting = repr(sorted(settings.items()))
        missing = [row for row in rows if (setting, row) not in self._known]
        if missing:
            for row, time in zip(missing, self._simulate(settings, missing), strict=True):
                self._known[setting, row] = time
        measured = [self.records[row].real("kernel_time_us") or 0.0 for row in rows]
        return [self._known[setting, row] / time - 1 for row, time in zip(rows, measured, strict=True)]

    def stop(self) -> None:
        """Stop the worker processes immediately."""
        self._pool.stop()

    def _simulate(self, settings: Overrides, rows: Sequence[int]) -> list[float]:
        maker = CaseMaker(self.chip, settings, False)
        cases = [self._case(maker, settings, self.records[row]) for row in rows]
        slowest = sorted(range(len(rows)), key=lambda i: self.records[rows[i]].real("kernel_time_us") or 0.0)[::-1]
        try:
            promises: dict[int, Future[Row]] = {i: self._pool.submit(cases[i]) for i in slowest}
            wait(promises.values(), return_when=FIRST_EXCEPTION)
            times = [float(promises[i].result()["predicted_time_us"]) for i in range(len(rows))]
        except self._pool.lost:
            raise MemgrainError(
                "a worker was killed (out of memory?); give it more memory or run fewer jobs, then run again"
            ) from None
        self.simulated += len(rows)
        return times

    def _case(self, maker: CaseMaker, settings: Overrides, record: Record) -> ValidationCase | EmptyCase:
        if record.text("family") == EMPTY:
            return EmptyCase(load_chip(self.chip, settings), record.id, record.whole("grid"))
        return maker.make(record)
