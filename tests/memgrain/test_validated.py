"""An error label names its evidence if there is any, and an interval widens with each property without evidence."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from memgrain.cli import app
from memgrain.runs.task import Task
from memgrain.runs.validated import Evidence, Subject, evidence, law, trust_in
from memgrain.runs.validated.fit import coverage, estimate
from memgrain.runs.validated.law import OF_KERNEL, PARTS, TYPE, Law, Parts, largest
from memgrain.runs.validated.subject import GENERIC, NODES, STEP, UNKNOWN, WHOLE

TRITON = Subject(
    "decode",
    "h100_sxm",
    "triton_gt_decode",
    "measured",
    "top-k",
    128,
    128,
    "16-bit",
    "",
    "",
    "cold",
    6553,
    1,
    8,
    26841088,
)
"""A subject that was measured."""


@pytest.mark.parametrize(
    ("chip", "workload", "sets", "words"),
    [
        ("h100_sxm", "decode_topk", {"kernel": "triton"}, r"validated: triton_gt_decode \(code measured\), top-k"),
        ("h100_sxm", "decode_topk", {"kernel": "triton", "shape.head_dim": 256}, r"validated: .* head dimension 256"),
        ("h100_sxm", "decode_topk", {}, r"not validated: no kernel is named; .* beside the measured triton_gt_decode"),
        ("h100_sxm", "decode_dense", {"kernel": "triton", "shape.head_dim": 144}, r"between .* dimension 128 and 160"),
        (
            "h100_sxm",
            "decode_dense",
            {"kernel": "triton", "shape.head_dim": 1024},
            r"not validated; .*head dimension \(1",
        ),
        ("h100_sxm", "decode_dense", {"kernel": "triton", "shape.kv_len": 32}, r"not .*tokens \(32, measured 4096 to"),
        ("h100_sxm", "decode_dense", {"kernel": "fa2", "shape.kv_len": 32}, r"not validated; .*chip .*tokens \(32"),
        (
            "h100_sxm",
            "decode_dense",
            {"kernel": "triton", "dtype": "fp8"},
            r"not .*element type \(not measured in fp8\)",
        ),
        ("h100_sxm", "decode_dense", {"kernel": "triton", "tiling.block_kv": 32}, r"not .*kernel \(triton_gt_decode\*"),
        (
            "h200_sxm",
            "decode_dense",
            {"kernel": "triton"},
            r"not validated; nearest: .* on h100_sxm; .*chip \(h200_sxm",
        ),
        ("mlu370_x8", "decode_topk", {}, r"not validated; nearest: .*differs in chip \(mlu370_x8\)"),
    ],
)
def test_a_label_names_its_evidence_or_the_nearest(
    chip: str, workload: str, sets: dict[str, object], words: str
) -> None:
    assert re.match(words, Task(chip, {}, workload, sets).resolve().trust().sentence)


def test_other_numbers_make_another_chip() -> None:
    changed = Task("h100_sxm", {"l2.ways": 32}, "decode_topk", {"kernel": "triton"}).resolve().trust()
    assert changed.level == "not validated"
    assert changed.differs == ("chip (h100_sxm with other numbers)",)
    same = Task("h100_sxm", {"l2.ways": 16}, "decode_topk", {"kernel": "triton"}).resolve().trust()
    assert same.level == "validated"


@pytest.mark.parametrize(
    "changes",
    [
        {"chip": "b200"},
        {"kernel": "cudnn_sdpa_decode", "code": "from sources"},
        {"pattern": "random blocks"},
        {"head_dim": 112, "value_dim": 112},
        {"dtype": "fp8"},
        {"bytes": 1024},
    ],
)
def test_what_was_not_measured_has_a_wider_interval(changes: dict[str, object]) -> None:
    low, high = trust_in(TRITON).factors or (1, 1)
    other, most = trust_in(replace(TRITON, **changes)).factors or (1, 1)  # type: ignore[arg-type]
    assert most / other > 1.02 * high / low


def test_the_shorter_a_call_the_wider_its_interval_and_an_unknown_kernel_most() -> None:
    def width(**changes: object) -> float:
        low, high = trust_in(replace(TRITON, **changes)).factors or (1, 1)  # type: ignore[arg-type]
        return high / low

    short, long = {"predicted_us": 4.0}, {"predicted_us": 400.0}
    other = {"kernel": "cudnn_sdpa_decode", "code": "from sources"}
    assert width(**short) > 1.1 * width(**long)
    assert width(**other, **short) / width(**short) > width(**other, **long) / width(**long)


def test_a_type_that_was_not_measured_is_less_evidence_than_a_kernel_that_was_not() -> None:
    def deviation(**changes: object) -> float:
        return float(law().joint([replace(TRITON, predicted_us=400.0, **changes)]).covariance[0, 0])  # type: ignore[arg-type]

    assert deviation(dtype="fp8") > deviation(kernel="cudnn_sdpa_decode") > deviation()


def test_intervals_of_short_calls_hold_for_rows_that_they_were_not_made_of() -> None:
    for key in (id, lambda subject: (subject.kernel, subject.head_dim)):
        _, inside, _ = coverage(evidence(), law().parts.deviations, key, below_us=15)
        assert 0.85 < inside < 0.99


def test_the_bias_moves_the_interval() -> None:
    wide = replace(TRITON, head_dim=256, value_dim=256, bytes=2 * TRITON.bytes)
    low, high = trust_in(wide).factors or (1, 1)
    assert trust_in(wide).group.bias < -0.1
    assert 1 < low < high


def test_in_a_ratio_the_shared_bias_cancels() -> None:
    alike = law().joint([TRITON, replace(TRITON, tokens=6554)])
    apart = law().joint([TRITON, replace(TRITON, chip="h200_sxm", kernel="fa2_decode", code="from sources")])
    variance = [joint.covariance[0, 0] + joint.covariance[1, 1] for joint in (alike, apart)]
    ratio = [float(np.array([1, -1]) @ joint.covariance @ np.array([1, -1])) for joint in (alike, apart)]
    assert ratio[0] < variance[0]
    assert ratio[1] > ratio[0]
    assert alike.quantile(0.5, (1, -1)) == pytest.approx(1, abs=1e-6)


def test_a_ratio_is_less_sure_on_a_chip_that_was_not_measured() -> None:
    def width(chip: str) -> float:
        pair = [replace(TRITON, chip=chip), replace(TRITON, chip=chip, pattern="dense", tokens=131072, bytes=2**29)]
        joint = law().joint(pair)
        return joint.quantile(0.95, (1, -1)) / joint.quantile(0.05, (1, -1))

    assert width("h200_sxm") > 1.05 * width("h100_sxm")


def test_over_nodes_there_is_no_interval() -> None:
    found = trust_in(
        Subject(STEP, "h100_sxm", WHOLE, pattern="deepseek_v3, decode", links=NODES, tokens=8192, batch=16)
    )
    assert found.factors is None
    assert found.expected(1e6) == " (not validated over nodes: no interval)"
    assert found.columns()["measured_over_predicted_low"] is None


def test_rows_and_the_terminal_show_it() -> None:
    row = Task("toy", {}, "decode_topk", {"shape.kv_len": 4096}).run()
    assert (row["validated_level"], row["validated_rows"], row["validated_bias"]) == ("not validated", 0, None)
    assert row["measured_over_predicted_low"] < 1 < row["measured_over_predicted_high"]
    shown = CliRunner().invoke(app, ["run", "toy", "decode_topk", "--set", "shape.kv_len=4096"]).output
    assert re.search(r"time \S+ us; if measured, .* to .* \(9 of 10\)\nbound .*\nnot validated; nearest: ", shown)


def rows_of(seed: int, deviations: dict[str, float]) -> Iterator[Evidence]:
    """Invented rows whose errors have these parts."""
    rng = np.random.default_rng(seed)
    subjects = [
        replace(
            TRITON,
            chip=chip,
            kernel=kernel,
            pattern=pattern,
            head_dim=dim,
            value_dim=dim,
            bytes=4**power,
            predicted_us=4**power / 1e5,
        )
        for chip in "abcdef"
        for kernel in "klmnop"
        for pattern in ("dense", "top-k")
        for dim in (64, 128)
        for power in (12, 14)
    ]
    parts = Parts(deviations, 4**14)
    covariance = parts.covariance(subjects, subjects) + np.diag(parts.noise(subjects))
    for number, factor in enumerate(rng.multivariate_normal(np.full(len(subjects), 0.1), covariance)):
        yield Evidence("x", str(number), subjects[number], "", math.exp(factor) * subjects[number].predicted_us)


def test_estimates_find_the_parts_that_rows_were_made_of() -> None:
    given_parts = dict.fromkeys(PARTS, 0.0) | {"chip": 0.2, "kernel": 0.1, "row": 0.05}
    found = estimate(list(rows_of(3, given_parts)))
    assert found["row"] == pytest.approx(0.05, rel=0.15)
    assert found["chip"] == pytest.approx(0.2, rel=0.6)
    assert 0.05 < math.hypot(found["kernel"], found["caches"]) < 0.2  # six kernels; with one state these are one part
    assert all(found[part] < 0.03 for part in PARTS if part not in ("chip", "kernel", "caches", "row", TYPE))
    assert found[TYPE] == pytest.approx(math.hypot(*(found[part] for part in OF_KERNEL)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_law_of_a_new_row_is_that_of_the_normal_distribution(seed: int) -> None:
    deviations = dict.fromkeys(PARTS, 0.0) | {"chip": 0.2, "kernel on chip": 0.1, "size": 0.03, "row": 0.05}
    rows = [row for place, row in enumerate(rows_of(seed, deviations)) if place % 7 == 0]
    seen, new = rows[1:], rows[0].subject
    found = Law(seen, deviations).joint([new])
    parts, subjects = Parts(deviations, largest(seen)), [row.subject for row in seen]
    own = parts.covariance(subjects, subjects) + np.diag(parts.noise(subjects)) + 1e4  # a mean that may be anything
    across = parts.covariance([new], subjects)[0] + 1e4
    values = np.array([row.log_factor for row in seen])
    alone = parts.covariance([new], [new])[0, 0] + parts.noise([new])[0] + 1e4
    assert found.mean[0] == pytest.approx(across @ np.linalg.solve(own, values), abs=1e-3)
    assert found.covariance[0, 0] == pytest.approx(alone - across @ np.linalg.solve(own, across), abs=1e-3)


@pytest.mark.parametrize("left_out", ["id", "kernel", "chip", "head_dim", "pattern"])
def test_intervals_hold_for_rows_that_they_were_not_made_of(left_out: str) -> None:
    def key(subject: Subject) -> object:
        if left_out == "id":
            return id(subject)
        return (getattr(subject, left_out), "" if left_out in ("kernel", "chip") else subject.kernel)

    _, inside, _ = coverage(evidence(), law().parts.deviations, key)
    assert 0.85 < inside < 0.995


def test_a_generic_tiling_is_no_kernel() -> None:
    rows = [row for row in evidence() if row.subject.kernel == GENERIC and row.subject.family in ("decode", "prefill")]
    assert {row.subject.code for row in rows} == {UNKNOWN}
