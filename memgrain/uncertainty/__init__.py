"""Uncertainty of a result as an interval: from unpublished chip parameters, and from the model's own error.

spread = interval_of(Task("mlu370_x4", {}, "decode_topk", {"shape.kv_len": 32768})) slower = ratio_of(Task("h100_sxm",
{}, "decode_topk", {"shape.head_dim": 96}), Task("h100_sxm", {}, "decode_topk", {})) slower.decides(3, math.inf) # True:
at least three times slower for all parameters; None: it depends on them

Two points share each draw of a common chip's parameters, so that effects on both cancel. `sample` and
`uncertain_result` do the same for other figures of any number of points.
"""

from __future__ import annotations

import numpy as np

from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task
from memgrain.uncertainty.sampling import SAMPLES, SampledPoints, check_figure, sample
from memgrain.uncertainty.uncertain_result import Combine, Quantiles, UncertainResult, uncertain_result

__all__ = [
    "SAMPLES",
    "Quantiles",
    "SampledPoints",
    "UncertainResult",
    "difference_of",
    "interval_of",
    "ratio_of",
    "sample",
    "uncertain_result",
]


def interval_of(
    task: Task,
    metric: str = "time_us",
    options: RunOptions = RunOptions(),
) -> UncertainResult:
    """The uncertain result of a metric of a task; see `sample` and `uncertain_result` for the draws and the errors."""
    check_figure(metric)
    return uncertain_result(sample([task], options), metric, metric, lambda value: value, options.seed)


def ratio_of(
    first: Task,
    second: Task,
    metric: str = "time_us",
    options: RunOptions = RunOptions(),
) -> UncertainResult:
    """The uncertain ratio of a metric of the first task to that of the second, on common draws."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _of_two(np.divide, "ratio", [first, second], metric, options)


def difference_of(
    first: Task,
    second: Task,
    metric: str = "time_us",
    options: RunOptions = RunOptions(),
) -> UncertainResult:
    """The uncertain difference between a metric of the first task and that of the second, on common draws."""
    return _of_two(np.subtract, "difference", [first, second], metric, options)


def _of_two(
    combine: Combine,
    what: str,
    tasks: list[Task],
    metric: str,
    options: RunOptions,
) -> UncertainResult:
    check_figure(metric)
    return uncertain_result(sample(tasks, options), metric, f"{what} of {metric}", combine, options.seed)
