"""How long a step of a whole model takes to simulate, from a chip and a model to its time."""

from __future__ import annotations

import pytest

from memgrain import hwmodels
from memgrain.models import ModelRequest, run_model
from memgrain.workloads import Shard, load_model
from tests.bench.figure import Figure, Report, seconds

HEADING = "A step of a whole model"
GOAL = 60.0
"""Seconds for any model on any chips that hold it, on two cores."""
LARGE = 1 << 20


@pytest.mark.bench
@pytest.mark.parametrize(
    ("chip", "model", "context", "chips"),
    [
        ("ascend_910b2", "deepseek_v4_flash", LARGE, 8),
        ("h100_sxm", "llama31_8b", LARGE >> 3, 1),
        ("h100_sxm", "llama31_405b", LARGE >> 3, 16),
    ],
)
def test_seconds_of_a_step(chip: str, model: str, context: int, chips: int, report: Report) -> None:
    described = load_model(model)
    shard = Shard(tensor=chips, expert=any(ffn.routed for ffn in described.ffn.values()))
    request = ModelRequest.of(hwmodels.load_chip(chip), described, "decode", context, shard=shard)
    wall = seconds(lambda: run_model(request), 1)
    report(Figure(f"a token of {model} at {context >> 10}K on {chips} {chip}", wall, "s", GOAL, less=True))
