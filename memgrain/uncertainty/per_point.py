"""Many points on common draws, each with an interval of its own: what one of them refuses is no loss to the others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memgrain.hwmodels import HardwareError
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point, Task
from memgrain.uncertainty.hypercube import Draw, Drawable, Hypercube
from memgrain.uncertainty.sampling import PATIENCE, SampledPoints, answers, drawable

FEW = 16
"""Draws of each point of a sweep, and of a step of a model, unless another number is asked for: the ends of an interval
from 5 to 95 % then lie between the two outermost draws at either side."""


def sample_each(
    tasks: Sequence[Task],
    nominal: Sequence[Row],
    folder: Path,
    options: RunOptions = RunOptions(),
) -> list[SampledPoints | str]:
    """Simulate each task on draws of its chip's uncertain parameters, FEW unless `options` has another number.
    `nominal` are the rows with the chips' own numbers. Rows of draws are kept in `folder` and not simulated again.

    Draws are those of `sample`, but one that a task's chip or run refuses is drawn again for that task alone. So every
    task that refuses none has the same draws, and tasks whose chips would hardly ever be admitted together have theirs.
    A task that admits too few of them has a line that says so instead.
    """
    samples = options.draws(FEW)
    files, refused = Files(), dict[str, HardwareError]()
    points = [task.resolve(files) for task in tasks]
    cube = Hypercube([_remembering(task, files, refused) for task in tasks], options.seed)
    kept: list[list[Draw[Point]]] = [[] for _ in tasks]
    rows: dict[str, Row] = {}
    lacking = [samples if one.own else 0 for one in cube.asked]
    while any(lacking) and cube.drawn < PATIENCE * samples:
        draws = cube.each(lacking, PATIENCE * samples)
        found, _ = answers([draw.points[0] for each in draws for draw in each], folder, options)
        rows |= found
        for place, each in enumerate(draws):
            ran = [draw for draw in each if draw.points[0].id() in rows]
            kept[place] += ran
            lacking[place] -= len(ran)
            cube.refused[place] += len(each) - len(ran)
    return [
        _short_of(cube, place, samples)
        if lacking[place]
        else _sampled(cube, place, points[place], row, kept[place], rows)
        for place, row in enumerate(nominal)
    ]


def _sampled(
    cube: Hypercube[Point], place: int, point: Point, nominal: Row, kept: Sequence[Draw[Point]], rows: Mapping[str, Row]
) -> SampledPoints:
    return SampledPoints(
        (point,),
        (nominal,),
        tuple((rows[draw.points[0].id()],) for draw in kept),
        tuple(known.item for known in cube.asked[place].own),
        cube.refused[place],
        cube.never(kept, place),
    )


def _short_of(cube: Hypercube[Point], place: int, samples: int) -> str:
    """In one line, that a task admits too few draws, and what mends that."""
    return (
        f"of {cube.drawn} draws of {len(cube.asked[place].own)} numbers fewer than {samples} are chips that run this; "
        "narrow the ranges in the YAML, or fix numbers that depend on one another"
    )


def _remembering(task: Task, files: Files, refused: dict[str, HardwareError]) -> Drawable[Point]:
    """A task to be drawn of that does not build a chip again which another task found to be refused."""
    whole = drawable(task, files)

    def resolve(numbers: dict[str, Any]) -> Point:
        name = json.dumps([task.chip, {**task.chip_set, **numbers}], sort_keys=True, default=str)
        if name in refused:
            raise refused[name]
        try:
            return whole.resolve(numbers)
        except HardwareError as error:
            refused[name] = error
            raise

    return Drawable(whole.own, resolve)
