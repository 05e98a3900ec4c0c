"""Many points on common draws, each with its own interval. A draw that one point refuses remains valid for the
others."""

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
from memgrain.uncertainty.sampling import MAX_DRAWS, SampledPoints, answers, drawable

FEW = 16
"""Default number of draws for each point of a sweep and for a step of a model. The ends of an interval from 5 to 95 %
then lie between the two outermost draws on either side."""


def sample_each(
    tasks: Sequence[Task],
    nominal: Sequence[Row],
    folder: Path,
    options: RunOptions = RunOptions(),
) -> list[SampledPoints | str]:
    """Simulate each task on draws of its chip's uncertain parameters, FEW unless `options` has another number.
    `nominal` are the rows with the chips' own numbers. Rows of draws are kept in `folder` and not simulated again.

    The draws are those of `sample`, but a draw that a task's chip or run refuses is replaced for that task alone. So
    all tasks that refuse none share the same draws, and tasks whose chips would rarely be valid together still get
    theirs. A task that accepts too few draws has a line with the reason in place of its result.
    """
    samples = options.draws(FEW)
    files, refused = Files(), dict[str, HardwareError]()
    points = [task.resolve(files) for task in tasks]
    cube = Hypercube([_remembering(task, files, refused) for task in tasks], options.seed)
    kept: list[list[Draw[Point]]] = [[] for _ in tasks]
    rows: dict[str, Row] = {}
    lacking = [samples if one.own else 0 for one in cube.drawables]
    while any(lacking) and cube.drawn < MAX_DRAWS * samples:
        draws = cube.each(lacking, MAX_DRAWS * samples)
        found, _ = answers([draw.points[0] for each in draws for draw in each], folder, options)
        rows |= found
        for index, each in enumerate(draws):
            ran = [draw for draw in each if draw.points[0].id() in rows]
            kept[index] += ran
            lacking[index] -= len(ran)
            cube.refused[index] += len(each) - len(ran)
    return [
        _short_of(cube, index, samples)
        if lacking[index]
        else _sampled(cube, index, points[index], row, kept[index], rows)
        for index, row in enumerate(nominal)
    ]


def _sampled(
    cube: Hypercube[Point], index: int, point: Point, nominal: Row, kept: Sequence[Draw[Point]], rows: Mapping[str, Row]
) -> SampledPoints:
    return SampledPoints(
        (point,),
        (nominal,),
        tuple((rows[draw.points[0].id()],) for draw in kept),
        tuple(known.item for known in cube.drawables[index].own),
        cube.refused[index],
        cube.never(kept, index),
    )


def _short_of(cube: Hypercube[Point], index: int, samples: int) -> str:
    """The line for a task that accepts too few draws: the reason and the remedy."""
    return (
        f"of {cube.drawn} draws of {len(cube.drawables[index].own)} numbers fewer than {samples} are chips that run "
        "this; narrow the ranges in the YAML, or fix numbers that depend on one another"
    )


def _remembering(task: Task, files: Files, refused: dict[str, HardwareError]) -> Drawable[Point]:
    """A task to draw that remembers refused chips across tasks, so that none is built twice."""
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
