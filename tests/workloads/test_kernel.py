"""Do kernel descriptions say what was measured: tiles, pipeline, resident programs; and are steps what they promise?"""

from __future__ import annotations

import csv
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from memgrain.workloads import (
    WRITE,
    AttentionShape,
    Budget,
    DTypes,
    Launch,
    RandomSelection,
    Tiling,
    Trace,
    Workload,
    WorkloadError,
    after_writes,
    attention,
    count_bytes,
    expand,
    fit_tiling,
    gather,
    kernel_names,
    load_kernel,
    parse_workload,
    scratchpad_bytes,
)
from memgrain.workloads.kernels.tiling import padded
from memgrain.workloads.selection import redraw

MEASURED = Path(__file__).parent.parent / "validation"
H100 = Budget(cores=132, scratchpad_bytes=227 << 10, max_programs=32)
BF16 = DTypes(q="bf16", k="bf16", v="bf16", o="bf16")


def rows(*families: str) -> list[dict[str, str]]:
    """Measured rows of some families."""
    found: list[dict[str, str]] = []
    for name in ("h100_attention.csv", "h100_microbench.csv", "h200_microbench.csv"):
        with (MEASURED / name).open(newline="") as file:
            found += [row for row in csv.DictReader(file) if row["family"] in families]
    return found


def shape(head_dim: int, kv_len: int = 4096) -> AttentionShape:
    return AttentionShape(batch=1, q_heads=64, kv_heads=8, q_len=1, kv_len=kv_len, head_dim=head_dim)


def asked(head_dim: int, selects: bool = False) -> Workload:
    """A decode call of that shape."""
    raw: dict[str, object] = {
        "kind": "attention",
        "name": "asked",
        "phase": "decode",
        "shape": shape(head_dim).model_dump(),
        "dtype": "bf16",
        "pattern": {"kind": "dense"},
        "layout": {"kind": "bsnd"},
    }
    return parse_workload(raw | ({"selection": {"kind": "random", "ratio": 0.1}} if selects else {}))


@pytest.mark.parametrize("name", kernel_names())
def test_every_kernel_loads(name: str) -> None:
    assert load_kernel(name).name == name


@pytest.mark.parametrize(
    ("name", "families", "size"),
    [
        ("triton_gt_decode", ("decode",), "head_dim"),
        ("triton_gt_prefill", ("prefill",), "head_dim"),
        ("triton_gt_gather", ("stream", "gather", "gather_step"), "row_bytes"),
    ],
)
def test_descriptions_agree_with_every_measured_launch(name: str, families: tuple[str, ...], size: str) -> None:
    kernel = load_kernel(name)
    for row in rows(*families):
        tiles = kernel.tiles_for(int(row[size]))
        assert tiles.block_kv == int(row["block_n"])
        assert tiles.num_warps == int(row["num_warps"])
        if "num_stages" in row:
            assert tiles.num_stages == int(row["num_stages"])
        if row.get("block_m"):
            assert tiles.block_q == int(float(row["block_m"]))


def test_tiles_in_flight_are_those_that_the_compiler_made_room_for() -> None:
    """Shared memory, as reported, holds so many whole tiles of K and V; in prefill it holds Q too."""
    for family in ("decode", "prefill"):
        kernel = load_kernel(f"triton_gt_{family}")
        for row in rows(family):
            dim = int(row["head_dim"])
            tile = scratchpad_bytes(shape(dim), BF16, "pow2", 0, int(row["block_n"]), 1)
            q = 128 * padded(dim, "pow2") * 2 if family == "prefill" else 0
            held = (int(row["shared"]) - q) // tile
            selects = row["selection"] in ("topk", "block")
            assert kernel.in_flight(int(row["num_stages"]), selects)[0] == held, row["id"]


@pytest.mark.parametrize(
    ("regs", "shared", "warps", "resident"),
    [(80, 71680, 4, 3), (64, 36864, 4, 6), (24, 512, 4, 16), (85, 512, 4, 5), (250, 131072, 8, 1)],
)
def test_resident_programs_follow_from_registers_warps_and_shared_memory(
    regs: int, shared: int, warps: int, resident: int
) -> None:
    kernel = load_kernel("triton_gt_decode")
    launch = Launch(regs=regs, shared=shared, num_warps=warps)
    assert kernel.resident(launch, warps, H100) == resident
    tiling = kernel.tiling(asked(128), launch, H100)
    fitted = fit_tiling(tiling, shape(128), BF16, "decode", H100, 4096, False)
    assert (fitted.resident, fitted.scratchpad_bytes) == (resident, shared + 1024)


def test_a_launch_takes_precedence_and_silence_leaves_it_to_the_description() -> None:
    kernel = load_kernel("triton_gt_decode")
    loud = kernel.tiling(asked(96, selects=True), Launch(block_n=32, splits=7, num_stages=5), H100)
    assert (loud.block_kv, loud.splits, loud.stages, loud.resident) == (32, 7, 2, "auto")
    silent = kernel.tiling(asked(96), Launch(), H100)
    assert (silent.block_kv, silent.splits, silent.stages, silent.scratchpad_bytes) == (64, 64, 2, None)


def test_scratchpad_as_reported_replaces_what_tiles_need() -> None:
    fitted = fit_tiling(Tiling(scratchpad_bytes=50000), shape(128), BF16, "decode", H100, 4096, False)
    assert (fitted.scratchpad_bytes, fitted.resident) == (50000, 4)
    with pytest.raises(WorkloadError, match=r"takes 300000 B .* lower tiling\.scratchpad_bytes"):
        fit_tiling(Tiling(scratchpad_bytes=300000), shape(128), BF16, "decode", H100, 4096, False)
    with pytest.raises(WorkloadError, match="9 resident programs of 50000 B"):
        fit_tiling(Tiling(scratchpad_bytes=50000, resident=9), shape(128), BF16, "decode", H100, 4096, False)


def test_a_single_split_leaves_a_partial_output_too_if_another_kernel_merges() -> None:
    raw = {
        "kind": "attention",
        "name": "one",
        "phase": "decode",
        "shape": shape(64).model_dump(),
        "dtype": "bf16",
        "pattern": {"kind": "dense"},
        "layout": {"kind": "bnsd"},
        "tiling": {"splits": 1, "combine": False},
    }
    moved = count_bytes(attention(parse_workload(raw), H100))
    assert "O" not in moved
    assert moved["partial"] == (0, 64 * (64 + 1) * 4)


def test_the_next_step_keeps_the_share_asked_for() -> None:
    rng = np.random.default_rng(3)
    first = np.sort(rng.permutation(10000)[:400]).astype(np.int32)
    for overlap in (0.0, 0.25, 1.0):
        second = redraw(rng, first, 10000, overlap)
        kept = len(np.intersect1d(first, second))
        assert len(np.unique(second)) == 400
        assert np.all(np.diff(second) > 0)
        assert 400 * overlap <= kept <= 400 * overlap + 40


def test_steps_of_a_selection_overlap() -> None:
    def step(number: int, **more: object) -> set[int]:
        selection = RandomSelection.model_validate(
            {"kind": "random", "tokens": 800, "unit": 4, "overlap": 0.8, "step": number, **more}
        )
        return set(selection.choose(0, 1, 0, (0, 65536), 4).tolist())

    assert 160 <= len(step(0) & step(1)) < 175
    assert 100 <= len(step(0) & step(2)) < 150
    assert step(1) == step(1)
    assert step(0) == step(0, overlap=None)
    with pytest.raises(ValueError, match=r"set selection\.overlap"):
        RandomSelection(kind="random", tokens=8, step=1)


def test_steps_of_a_gather_overlap_and_have_the_same_tensors() -> None:
    first, second = (gather(500, 128, 128, 0, 100_000, "sorted", 64, 1, step=s, overlap=0.5) for s in (0, 1))
    assert first.tensors == second.tensors
    read = [set(pieces["address"][pieces["tensor"] == 0].tolist()) for pieces in (expand(first), expand(second))]
    assert 250 <= len(read[0] & read[1]) < 260
    with pytest.raises(WorkloadError, match="overlap 2"):
        gather(5, 8, 8, 0, 50, "sorted", 4, 1, step=1, overlap=2.0)


def test_writes_come_before_and_lie_beyond() -> None:
    trace: Trace = gather(50, 128, 128, 0, 1000, "sorted", 16, 1)
    pieces = expand(after_writes(trace, 10 * 4096))
    ours = len(expand(trace))
    assert np.array_equal(pieces["address"][-ours:], expand(trace)["address"])
    written = pieces[:-ours]
    assert Counter(written["op"].tolist()) == {WRITE: 10}
    assert len(np.unique(written["address"])) == 10
    assert written["address"].min() >= max(tensor.base + tensor.bytes for tensor in trace.tensors)
    assert [chunk.barrier for chunk in after_writes(trace, 4096).chunks()] == [False, True]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    good = (import_module("memgrain.workloads.kernels.kernel").FOLDER / "triton_gt_decode.yaml").read_text()
    wrong = {
        "syntax": ("a: [", "not valid YAML"),
        "list": ("- 1", "expected a mapping"),
        "key": (good + "tile: 3\n", "@ tile"),
        "order": (good.replace("up_to: 256", "up_to: 64"), "must ascend"),
        "phase": (good.replace("phase: decode", "phase: train"), "@ phase"),
    }
    for name, (text, said) in wrong.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(WorkloadError) as caught:
            load_kernel(path)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    for missing, said in (("triton_gt_decod", "did you mean 'triton_gt_decode'"), ("no.yaml", "cannot be read")):
        with pytest.raises(WorkloadError, match=said):
            load_kernel(missing)
    with pytest.raises(WorkloadError, match="triton_gt_gather is for gather, the call is decode"):
        load_kernel("triton_gt_gather").tiling(asked(64), Launch(), H100)
