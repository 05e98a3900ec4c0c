"""Does a task have one identity, however it is written, and a row that holds everything?"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from memgrain import run
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.models import ModelJob
from memgrain.models.point import ModelPoint
from memgrain.runs.overrides import parse, split
from memgrain.runs.shipped import find_workload
from memgrain.runs.task import Task
from memgrain.sim import METRICS
from memgrain.workloads import WorkloadError

TASK = Task("toy", {}, "decode_topk", {"shape.kv_len": 4096})


def test_the_id_does_not_depend_on_how_the_inputs_are_written() -> None:
    same = [
        Task("toy", {"l2.ways": 16}, "decode_topk", {"shape.kv_len": "4096"}),
        Task("toy", {}, find_workload("decode_topk"), {"shape.kv_len": 4096, "selection.ratio": 0.05}),
        Task("toy", {}, yaml.safe_load(find_workload("decode_topk").read_text()), {"shape.kv_len": 4096}),
    ]
    assert {task.id() for task in same} == {TASK.id()}


def test_the_id_changes_with_every_input(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {
        TASK.id(),
        Task("toy", {"l2.ways": 32}, "decode_topk", {"shape.kv_len": 4096}).id(),
        Task("toy", {}, "decode_topk", {"shape.kv_len": 8192}).id(),
        Task("toy", {}, "decode_topk", {"shape.kv_len": 4096}, "warm").id(),
    }
    monkeypatch.setattr("memgrain.runs.identity.MODEL_VERSION", "another")
    assert len(ids | {TASK.id()}) == 5


def test_a_recorded_selection_counts_by_its_content(tmp_path: Path) -> None:
    ids = []
    for name, tokens in (("a", [1, 5]), ("b", [1, 5]), ("c", [1, 6])):
        np.save(tmp_path / f"{name}.npy", np.array(tokens, np.int32))
        recorded = {
            **yaml.safe_load(find_workload("decode_topk").read_text()),
            "selection": {"kind": "recorded", "path": str(tmp_path / f"{name}.npy")},
        }
        ids.append(Task("toy", {}, recorded, {}).id())
    assert ids[0] == ids[1] != ids[2]


def test_a_row_holds_identity_inputs_metrics_and_counters() -> None:
    row = Task("toy", {"l2.ways": 8}, "decode_topk", {"shape.kv_len": 4096}).run()
    assert row["chip"] == "toy"
    assert row["workload"] == "decode_topk"
    assert (row["chip.l2.ways"], row["shape.kv_len"]) == (8, 4096)
    assert row["overrides"] == ["shape.kv_len", "chip.l2.ways"]
    assert set(METRICS) <= set(row)
    assert row["l2.hits"] >= 0
    assert row["hbm.read_bytes"] == row["dram_read_bytes"]


def test_a_point_travels_to_a_worker() -> None:
    point = TASK.resolve()
    assert pickle.loads(pickle.dumps(point)).id() == point.id()


def test_a_context_that_does_not_fit_names_need_capacity_and_mend() -> None:
    with pytest.raises(MemgrainError, match=r"K and V need 128 GiB, toy\.hbm holds 4 GiB; shorten shape\.kv_len"):
        Task("toy", {}, "decode_dense", {"shape.kv_len": 2**20, "shape.batch": 32}).resolve()


def test_overrides_mean_the_same_on_a_named_workload_and_on_a_mapping() -> None:
    mapping = yaml.safe_load(find_workload("decode_topk").read_text())
    overrides = {"dtype.q": "fp16", "shape.kv_len": 4096, "selection.ratio": 0.1}
    named, inline = (Task("toy", {}, source, overrides).resolve() for source in ("decode_topk", mapping))
    assert named.workload == inline.workload
    assert inline.workload.model_dump()["dtype"] == {"q": "fp16", "k": "bf16", "v": "bf16", "o": "bf16"}
    assert mapping["dtype"] == "bf16"
    with pytest.raises(WorkloadError, match=r"cannot set 'selection.ratio': selection is 'some', not a mapping"):
        Task("toy", {}, {**mapping, "selection": "some"}, overrides).resolve()


def test_who_makes_a_chip_changes_no_result_and_no_identity() -> None:
    chip = load_chip("h100_sxm")
    renamed = chip.model_copy(update={"vendor": "nobody", "title": "a chip", "note": ""})
    raw = {"kind": "model_run", "name": "step", "model": "llama31_8b", "phase": "decode", "context": 4096}
    points = [ModelPoint.of(one, raw) for one in (chip, renamed)]
    assert len({point.id() for point in points}) == 1
    assert len({point.run()["time_us"] for point in points}) == 1
    assert ModelJob(points[0].request()).id() == points[0].id()
    elsewhere = chip.model_copy(update={"architecture": "ampere"})
    assert ModelPoint.of(elsewhere, raw).id() != points[0].id()


def test_an_inline_workload_refuses_a_key_that_does_not_exist() -> None:
    inline = yaml.safe_load(find_workload("decode_topk").read_text())
    with pytest.raises(
        WorkloadError, match=r"unknown key 'shape.headdim' in the overrides; did you mean 'shape.head_dim'"
    ):
        Task("toy", {}, inline, {"shape.headdim": 3}).resolve()
    with pytest.raises(WorkloadError):
        Task("toy", {}, {"name": "empty"}, {}).resolve()


def test_overrides_are_told_apart() -> None:
    found = split(
        parse(
            [
                "l2.ways=32",
                "hbm.window=4",
                "shape.head_dim=96",
                "selection.ratio=1e-2",
                "chip.l2.line=256 B",
                "launch_overhead=2 us",
            ]
        ),
        "toy",
    )
    assert found == (
        {"l2.ways": 32, "hbm.window": 4, "l2.line": "256 B", "launch_overhead": "2 us"},
        {"shape.head_dim": 96, "selection.ratio": 0.01},
    )


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("l2.ways", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("l2.ways=[", "cannot read the value"),
        ("name=x", "a workload has"),
        ("shap.head_dim=3", "did you mean 'shape'"),
        ("l22.ways=3", "did you mean 'l2'"),
    ],
)
def test_overrides_that_fit_nothing_name_what_is_close(pair: str, message: str) -> None:
    if pair == "name=x":
        assert split(parse([pair]), "toy") == ({}, {"name": "x"})
        return
    with pytest.raises(MemgrainError, match=message.replace("[", r"\[")):
        split(parse([pair]), "toy")


def test_the_python_interface_runs_in_a_line() -> None:
    result = run("toy", "decode_topk", set={"shape.kv_len": 4096, "l2.ways": 8})
    assert result.chip == "toy"
    assert result.time > 0
