"""The verdict is about the metric that is shown, for any key, and states what the model cannot distinguish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memgrain.analysis.verdict import BOUND, SUBJECT, verdict
from memgrain.runs.intervals import HIGH, LOW
from memgrain.runs.labels import better
from memgrain.runs.pivot import where
from memgrain.runs.validated import Subject, from_text, law

DIM = "shape.head_dim"


def rows(values: list[Any], cells: list[Any], metric: str = "time_us", key: str = DIM, **more: Any) -> pd.DataFrame:
    """Rows of one chip in which one key varies."""
    shared = {"chip": "toy", "chip_title": "Toy", "workload": "w", "overrides": [key], **more}
    return pd.DataFrame([{**shared, key: value, metric: cell} for value, cell in zip(values, cells, strict=True)])


def test_less_time_is_better_and_more_bandwidth_is(rows_of: Callable[..., pd.DataFrame]) -> None:
    times = rows([64, 96, 128, 256], [71.1, 71.6, 71.8, 73.4])
    best, asked = verdict(times, "time_us").splitlines()
    assert best.startswith("Best head dimension by time: 64, 96, 128, within 1.0%; worst 256 (3.2% more); 1 point")
    assert asked == "Is 96 good here? Yes, as good as the best: 0.7% more than 64"
    rates = verdict(rows([64, 96, 128], [0.1, 0.2, 0.3], "effective_bandwidth_share")).splitlines()
    assert rates[0].startswith(
        "Best head dimension by effective bandwidth: 128, the largest tried; next 96 (33.3% less)"
    )
    assert rates[1].startswith("Is 96 good here? On the trend, but 128 is better: 33.3% less than 128")
    frame = rows_of(["ascend_910b1", "h100_sxm"], [64, 80, 96, 112, 128], [0.1, 0.2], [2**17])
    dips, even = (verdict(where(frame, {"chip": chip})) for chip in ("ascend_910b1", "h100_sxm"))
    assert "Is 96 good here? No, off the trend: 47.5% less than 128, 40.0% worse than its neighbours" in dips
    assert "Is 96 good here? On the trend, but 128 is better: 12.4% less than 128" in even


def measured(dims: list[int], cells: list[float], metric: str = "time_us") -> pd.DataFrame:
    """Rows of a validated kernel."""
    subjects = [
        Subject(
            "decode", "h100_sxm", "triton_gt_decode", "measured", "dense", dim, dim, "16-bit", tokens=2**17, batch=1
        )
        for dim in dims
    ]
    known = [{BOUND: 0.9, SUBJECT: subject.text} for subject in subjects]
    return rows(dims, cells, metric).assign(**pd.DataFrame(known).to_dict("list"))


def test_differences_within_the_error_are_no_differences() -> None:
    times = [71.1, 71.6, 71.8, 73.4]
    known = verdict(measured([64, 96, 128, 256], times), "time_us")
    assert known.startswith(
        "Best head dimension by time: none that the model can tell: 71.1 at 64 to 73.4 at 256, 3.2% apart, within the "
        "model's error of a ratio, ± "
    )
    assert "not known" in verdict(rows([64, 96, 128, 256], times), "time_us")
    ends = {LOW: 60.0, HIGH: 80.0}
    assert "half the interval from 5 to 95 %" in verdict(rows([64, 96], [70.0, 75.0], **ends), "time_us")
    counted = verdict(measured([64, 128], [1.0, 1.03], "amplification"), "amplification")
    assert counted.startswith("Best head dimension by DRAM bytes read per useful byte: 64; worst 128 (3.0% more)")


def test_what_two_times_on_an_unmeasured_chip_share_cancels() -> None:
    subjects = [replace(from_text(text), chip="mlu370_x8") for text in measured([64, 128], [70.0, 75.0])[SUBJECT]]
    joint = law().joint(subjects)
    alone = 1.645 * float(np.sqrt(np.diag(joint.covariance).sum()))
    assert joint.ratios(0.95)[0, 1] < alone
    assert joint.ratios(0.95)[0, 0] == 0


@pytest.mark.parametrize(
    ("values", "cells", "metric", "says"),
    [
        ([64, 96], [5.0, 5.0], "time_us", "Best head dimension by time: none, the same from 64 to 96; 1 point"),
        ([64, 128], [254.4785, 254.4798], "time_us", "none, flat within 0.0005% from 64 to 128"),
        ([64, 128], [1, 2], "useful_bytes", "Useful bytes by head dimension: 1 at 64 to 2 at 128; 1 point"),
        ([64, 128], [0.0, 0.4], "l2_hit_rate", "by hits in the last cache: 128; worst 64 (100.0% less)"),
        ([64, 128], [0, 3], "l2.K.misses", "by l2.K.misses: 64; worst 128 (more than none)"),
        ([96], [1.0], "time_us", ""),
        ([64, 96], [None, None], "l2_hit_rate", ""),
        ([64, 96, 128], [1.0, np.nan, 3.0], "time_us", "by time: 64; worst 128 (3 times as much); 1 point"),
    ],
)
def test_what_can_be_said_is_said(values: list[Any], cells: list[Any], metric: str, says: str) -> None:
    found = verdict(rows(values, cells, metric), metric)
    assert says in found
    assert bool(found) == bool(says)


def test_any_key_has_a_best_value_but_not_the_question_itself() -> None:
    sizes = rows(["12.5 MiB", "100 MiB", "25 MiB"], [9.0, 3.0, 5.0], key="chip.l2.capacity")
    found = verdict(sizes, "time_us")
    assert found.startswith("Best l2.capacity by time: 100 MiB, the largest tried; next 25 MiB (66.7% more)")
    assert "96" not in found
    contexts = rows([1024, 2048], [3.0, 5.0], key="shape.kv_len")
    assert verdict(contexts, "time_us").startswith("Time by context: 3 at 1024 to 5 at 2048")


def test_values_are_compared_where_all_have_a_row() -> None:
    both = ["chip.l2.ways", DIM]
    cells = {(8, 64): 10.0, (8, 128): 20.0, (16, 64): 30.0, (16, 128): 15.0, (32, 64): 1.0}
    frame = pd.concat(
        [rows([dim], [time], overrides=both, **{"chip.l2.ways": ways}) for (ways, dim), time in cells.items()]
    )
    best = verdict(frame, "time_us").splitlines()[0]
    assert best.startswith(
        "Best head dimension by time: none, the same from 64 to 128; 2 points of 3, where all have one"
    )
    frame.loc[frame["time_us"] == 15.0, "time_us"] = 25.0
    assert "best at 1 of them" in verdict(frame, "time_us").splitlines()[0]


@pytest.mark.parametrize(
    ("metric", "way"),
    [("time_us", "less"), ("tflop_s", "more"), ("l2.K.misses", "less"), ("time.stall.hbm_us", "less"), ("bound", "")],
)
def test_metrics_know_which_way_is_better(metric: str, way: str) -> None:
    assert better(metric) == way
