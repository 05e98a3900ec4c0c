"""Evidence: predictions beside measurements, fits, claims, and published quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from memgrain.calibration import ROWS, Calibration, open_calibration
from memgrain.claims import ClaimResult, ExperimentOptions, load_claims, run_claims
from memgrain.errors import MemgrainError
from memgrain.quality import floor, published
from memgrain.quality.tables import AVERAGE, models
from memgrain.runs.options import RunOptions
from memgrain.runs.tune import keys_of
from memgrain.validation import External, Validation
from memgrain.validation import validate as validate_rows
from memgrain.validation.channel import ChannelValidation, is_channel_file, validate_channel
from memgrain.validation.points import Compared, is_points_file, validate_points


def validate(
    measured: str | Path | External,
    chip: str | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    dram: str | None = None,
    alternatives: bool = False,
    sample: int | None = None,
    kernel: str | None = None,
    options: RunOptions = RunOptions(),
) -> Validation | Compared | ChannelValidation:
    """Predict measured rows and compare: rows of kernels (CSV, or `External`), points (YAML) or rows of a DRAM channel.

    `chip` is that of all rows, else their column device names it; `set` overrides its numbers. `dram` is the standard
    of rows of a channel. `sample` takes so many rows at random, `alternatives` adds a file of points' other hypotheses.
    The result has `frame` and `summary()`.
    """
    path = None if isinstance(measured, External) else Path(measured)
    given = {"chip": chip, "set": set, "sample": sample, "kernel": kernel, "dram": dram, "alternatives": alternatives}
    if path is not None and is_points_file(path):
        _refuse(given, ("set", "alternatives"), "a file of points")
        return validate_points(path, dict(set or {}), alternatives, options)
    if path is not None and (dram is not None or is_channel_file(path)):
        _refuse(given, ("dram",), "rows of a DRAM channel")
        return validate_channel(path, dram, options)
    _refuse(given, ("chip", "set", "sample", "kernel"), "rows of kernels")
    return validate_rows(measured, chip, set or {}, sample, kernel, options)


def _refuse(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raise MemgrainError for an argument that a file of this kind has no use for."""
    for name, value in given.items():
        if value and name not in known:
            raise MemgrainError(f"{name} is not for {what}; leave it out")


def calibrate(
    files: str | Path | Sequence[str | Path],
    chip: str,
    *,
    rows: int = ROWS,
    options: RunOptions = RunOptions(),
    report: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Fit numbers of a chip to rows of its microbenchmarks; `report` receives a line for each number that is found.

    `rows` of the files' rows are simulated. `memgrain.calibration.fragment` writes the result as YAML.
    """
    paths = [files] if isinstance(files, str | Path) else files
    found = open_calibration([Path(path) for path in paths], chip, rows)
    found.run(options, report)
    return found


def check_claims(
    names: Sequence[str] = (),
    *,
    tune: Sequence[str] | str = (),
    draw: bool = True,
    options: RunOptions = RunOptions(),
    report: Callable[[ClaimResult], None] = lambda result: None,
) -> list[ClaimResult]:
    """Put claims of the article to the test: those of these names or YAML files, or all.

    8 draws of uncertain numbers are made unless `options.samples` is given, none if `draw` is False: chips are then
    taken as their files have them. `tune` names keys of the tiling whose best values are searched in every case.
    `report` receives each result when it is known.
    """
    claims = load_claims(names, keys_of(tune) if tune else ())
    return run_claims(claims, ExperimentOptions(options, draw), report)


def quality_scores(
    method: str | None = None,
    budget: float | None = None,
    *,
    benchmark: str = "ruler",
    task: str = AVERAGE,
    model: str | None = None,
    context: int | None = None,
) -> pd.DataFrame:
    """Published scores of sparse attention: all rows, those of a `method`, or what lies between them at a `budget`
    (a share of the context if at most 1, else tokens), a row for each model.

    Raises MemgrainError if no row says anything about the budget.
    """
    if method is None or budget is None:
        rows = [row for row in published() if method in (None, row.method)]
        return pd.DataFrame([{**row.model_dump(), "share": row.share, "tokens": row.tokens} for row in rows])
    found, refused = [], []
    for name in [model] if model else models(method, benchmark, task):
        try:
            score = floor(method, budget, benchmark, name, context, task)
        except MemgrainError as error:
            refused.append(error)
            continue
        keys = ("method", "model", "benchmark", "task", "context", "budget", "low", "high", "difference")
        found.append({key: getattr(score, key) for key in keys})
    if not found:
        raise refused[0] if refused else MemgrainError(f"no published row of method '{method}' on {benchmark}")
    return pd.DataFrame(found)
