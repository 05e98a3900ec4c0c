"""Run a calibration: from rows of microbenchmarks to the best-fitting parameters of a chip and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from memgrain.calibration.empty import is_empty_file, read_empty
from memgrain.calibration.fits import ATTENTION, DIRTY, FITS, Fit
from memgrain.calibration.predict import Predictor
from memgrain.calibration.quantity import Quantity, read_quantity
from memgrain.calibration.search import Found, SearchVariable, search
from memgrain.errors import MemgrainError
from memgrain.hwmodels import ChipFile, chip_names, load_chip, read_chip
from memgrain.runs.options import RunOptions
from memgrain.validation.cases import DEVICES
from memgrain.validation.records import Record, read_records

ROWS = 24
"""Default number of simulated rows."""
Say = Callable[[str], None]
"""Receives progress messages, one line each."""


@dataclass
class FittedNumber:
    """A parameter under calibration."""

    fit: Fit
    """The parameter and its rows."""
    quantity: Quantity
    """Its value and range in the YAML."""
    rows: list[int]
    """Indices of its rows in the sample."""
    before: float | None = None
    """Mean absolute relative error of its rows with the YAML's parameters."""
    found: Found | None = None
    """The result so far."""

    @property
    def value(self) -> Any:
        """The fitted value as the YAML writes it; the YAML's own value before the fit."""
        return self.quantity.text(self.quantity.value if self.found is None else self.found.value)

    @property
    def range(self) -> tuple[Any, Any] | None:
        """The interval in which the error of its rows is hardly higher, as the YAML writes it."""
        if self.found is None or self.found.interval is None:
            return None
        return self.quantity.text(self.found.interval[0]), self.quantity.text(self.found.interval[1])


@dataclass
class Calibration:
    """A chip under calibration, with the results so far."""

    chip: str
    """Name or file of the chip."""
    files: list[Path]
    """Files of the rows."""
    file: ChipFile
    """The chip with the parameters of its YAML."""
    available: int
    """Number of rows in the files."""
    sample: list[Record]
    """Rows that are simulated and fitted to."""
    fitted: list[FittedNumber] = field(default_factory=list)
    """The parameters, in the order of fitting."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Listed parameters that are not fitted, with the reasons."""
    before: list[float] = field(default_factory=list)
    """Relative error of the time of each row of the sample, with the YAML's parameters."""
    after: list[float] = field(default_factory=list)
    """The same with the fitted parameters; empty until all are fitted."""

    def settings(self) -> dict[str, Any]:
        """The parameters fitted so far, as overrides of the chip."""
        return {item.fit.key: item.value for item in self.fitted if item.found is not None}

    def run(self, options: RunOptions, say: Say) -> None:
        """Fit; what is found so far stands in the record at any time, so an interrupt loses nothing."""
        predictor = Predictor(self.chip, self.sample, min(options.workers, len(self.sample)))
        try:
            everything = range(len(self.sample))
            self.before = predictor.errors({}, everything)
            for item in self.fitted:
                item.before = _mean([self.before[row] for row in item.rows])
            say(f"{len(self.sample)} of {self.available} rows, off by {_mean(self.before):.1%}")
            items = {item.fit.key: item for item in self.fitted}

            def settled(found: Found) -> None:
                item = items[found.name]
                item.found = found
                say(
                    f"{found.name} = {item.value}: {len(item.rows)} rows off by {found.error:.1%} "
                    f"({predictor.simulated} simulations)"
                )

            search([self._unknown(item, predictor) for item in self.fitted], settled)
            self.after = predictor.errors(self.settings(), everything)
        finally:
            predictor.stop()

    def families(self, errors: Sequence[float]) -> dict[str, float]:
        """Mean absolute relative error by family; empty if there are no errors yet."""
        if not errors:
            return {}
        found: dict[str, list[float]] = {}
        for record, error in zip(self.sample, errors, strict=True):
            dirty = " from dirty caches" if _state(record) == DIRTY else ""
            found.setdefault(record.text("family") + dirty, []).append(error)
        return {name: _mean(values) for name, values in found.items()}

    def _unknown(self, item: FittedNumber, predictor: Predictor) -> SearchVariable:
        quantities = {other.fit.key: other.quantity for other in self.fitted}

        def objective(values: Mapping[str, float]) -> float:
            return predictor.error({key: quantities[key].text(value) for key, value in values.items()}, item.rows)

        quantity = item.quantity
        return SearchVariable(item.fit.key, quantity.value, quantity.low, quantity.high, quantity.whole, objective)


def open_calibration(files: Sequence[Path], chip: str, rows: int = ROWS, fits: Sequence[Fit] = FITS) -> Calibration:
    """Prepare a calibration: choose the parameters and their rows. Nothing is simulated yet.

    `rows` of the files' rows are used: equally many for each parameter, spread over its rows, and the rest from other
    rows. Raises MemgrainError if a file or the number of rows is invalid, a row is of an attention kernel or of another
    chip, or nothing can be fitted; HardwareError if the chip is invalid.
    """
    records = [record for path in files for record in _read(path)]
    file = read_chip(chip)
    _check(records, chip)
    known = [record for record in records if record.real("kernel_time_us") is not None]
    if not known:
        raise MemgrainError(f"{files[0]}: no row has a kernel_time_us; add the measured times")
    if rows < 1:
        raise MemgrainError(f"rows is {rows}, must be at least 1; leave it out for {ROWS}")
    found = Calibration(chip, list(files), file, len(known), [])
    chosen: dict[str, list[Record]] = {}
    for fit in fits:
        try:
            quantity = read_quantity(file, fit.key)
        except MemgrainError as error:
            found.skipped[fit.key] = str(error)
            continue
        matching = next((m for kinds in fit.rows if (m := _matching(known, kinds))), [])
        if not matching:
            found.skipped[fit.key] = f"no row speaks of {fit.key} ({fit.why})"
            continue
        for end in (quantity.low, quantity.high):
            load_chip(chip, {fit.key: quantity.text(end)})
        found.fitted.append(FittedNumber(fit, quantity, []))
        chosen[fit.key] = matching
    if not found.fitted:
        raise MemgrainError(f"nothing to fit: {'; '.join(found.skipped.values())}")
    share = max(1, rows // (len(found.fitted) + 1))
    taken: dict[int, Record] = {}
    for item in found.fitted:
        own = _spread(chosen[item.fit.key], share)
        taken |= {id(record): record for record in own}
        chosen[item.fit.key] = own
    others = [record for record in known if id(record) not in taken]
    taken |= {id(record): record for record in _spread(others, rows - len(taken))}
    found.sample = [record for record in known if id(record) in taken]
    index = {id(record): number for number, record in enumerate(found.sample)}
    for item in found.fitted:
        item.rows = [index[id(record)] for record in chosen[item.fit.key]]
    return found


def _read(path: Path) -> list[Record]:
    """The rows of a file. A time from dirty caches becomes a separate row."""
    if is_empty_file(path):
        return read_empty(path)
    records = read_records(path)
    dirty = [record for record in records if _state(record) == "cold" and record.cells.get("kernel_time_dirty_us")]
    return records + [
        replace(
            record, cells=record.cells | {"l2_state": DIRTY, "kernel_time_us": record.cells["kernel_time_dirty_us"]}
        )
        for record in dirty
    ]


def _state(record: Record) -> str:
    return record.cells.get("l2_state", "cold")


def _check(records: Sequence[Record], chip: str) -> None:
    for record in records:
        family = record.text("family")
        if family in ATTENTION:
            raise record.error(
                f"family is {family}, an attention kernel; chips are fitted on microbenchmarks only: remove such rows"
            )
        device = record.cells.get("device", "")
        if chip in chip_names() and DEVICES.get(device, chip) != chip:
            raise record.error(f"device is {device}, which is not {chip}; name its own chip")


def _matching(records: Sequence[Record], kinds: Sequence[Any]) -> list[Record]:
    return [record for record in records if any(kind.match(record) for kind in kinds)]


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """`count` records, evenly spaced in the order of family and time."""
    ordered = sorted(records, key=lambda record: (record.text("family"), record.real("kernel_time_us") or 0.0))
    if count >= len(ordered):
        return ordered
    indices = np.linspace(0, len(ordered) - 1, max(count, 0)).round().astype(int)
    return [ordered[index] for index in indices.tolist()]


def _mean(errors: Sequence[float]) -> float:
    return sum(map(abs, errors)) / len(errors)
