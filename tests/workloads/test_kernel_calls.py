"""Do the described kernels cut calls as their launchers do, and do their traces say what they read and compute?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memgrain.workloads import (
    READ,
    Budget,
    Launch,
    Tiling,
    Trace,
    Workload,
    WorkloadError,
    attention,
    count_bytes,
    count_issued_macs,
    count_macs,
    expand,
    find_kernel,
    kernel_names,
    kernel_of,
    load_kernel,
    load_workload,
    parse_workload,
)
from memgrain.workloads.kernels.names import ALIASES
from memgrain.workloads.kernels.splits import Decode, atb, fa2, fa3, fia, num_splits_heuristic, vllm

H100 = Budget(cores=132, scratchpad_bytes=228 << 10, max_programs=32)
A100 = Budget(cores=108, scratchpad_bytes=163 << 10, max_programs=32)
B2 = Budget(cores=24, scratchpad_bytes=524032, max_programs=1)
MLA = {"q_heads": 128, "kv_heads": 1, "head_dim": 576, "head_dim_v": 512, "v_in_k": True}


def call(kernel: str, phase: str, tokens: int, pattern: str = "dense", page: int = 0, **shape: object) -> Workload:
    """A call of eight heads by a kernel."""
    sizes = {"batch": 1, "q_heads": 8, "kv_heads": 8, "q_len": 1 if phase == "decode" else tokens, "kv_len": tokens}
    paged = {"kind": "paged", "page": page, "inner": "hnd"}
    return parse_workload({
        "kind": "attention", "name": kernel, "phase": phase, "shape": {**sizes, "head_dim": 128, **shape},
        "dtype": "bf16", "pattern": {"kind": pattern}, "layout": paged if page else {"kind": "bsnd"}, "kernel": kernel,
    })  # fmt: skip


def tiling(asked: Workload, budget: Budget = H100) -> Tiling:
    return load_kernel(find_kernel(asked.kernel or "", asked.phase)).tiling(asked, Launch(), budget)


def test_kernels_refuse_pages_that_they_do_not_take() -> None:
    for kernel, page, shape in (("flashmla_dense", 16, MLA), ("ascend_fia_decode", 64, {})):
        with pytest.raises(WorkloadError, match=rf"{kernel} takes pages of .* layout\.page is {page}; set it to"):
            tiling(call(kernel, "decode", 4096, page=page, **shape))


@pytest.mark.parametrize(
    ("kernel", "change", "refusal"),
    [
        ("vllm", {}, r"vllm_paged finds K and V in pages, layout.kind is bsnd; set layout: \{kind: paged, page: 16, "),
        ("fa2", {"dtype": "fp8"}, r"takes Q in bf16 or fp16, dtype.q is fp8; set dtype: \{q: bf16, k: bf16, v: bf16, "),
        (
            "fa3",
            {"dtype": {"q": "bf16", "k": "fp8", "v": "fp8", "o": "bf16"}},
            r"takes K in the type of Q, bf16, dtype.k is fp8; set dtype: \{q: fp8, k: fp8, v: fp8, o: bf16\}",
        ),
        (
            "fa3",
            {"dtype": {"q": "bf16", "k": "bf16", "v": "fp8", "o": "bf16"}},
            r"takes V in the type of K, bf16, dtype.v is fp8; set dtype: \{q: bf16, k: bf16, v: bf16, o: bf16\}",
        ),
        (
            "fa3",
            {"layout": {"kind": "bsnd", "k_row_bytes": 260}},
            r"reads rows of K of 256 B, their elements alone, the layout has 260 B; leave layout.k_row_bytes out",
        ),
    ],
)
def test_kernels_refuse_what_their_files_rule_out(kernel: str, change: dict[str, object], refusal: str) -> None:
    raw = call(kernel, "decode", 4096).model_dump() | change
    with pytest.raises(WorkloadError, match=f"{refusal}.*, or name another kernel"):
        tiling(parse_workload(raw))


def test_a_sparse_latent_kernel_takes_rows_of_the_bytes_that_it_reads() -> None:
    types = {"q": "bf16", "k": "fp8", "v": "fp8", "o": "bf16"}
    latent = call("flashmla_sparse", "decode", 4096, page=64, **MLA).model_dump()
    with pytest.raises(WorkloadError, match=r"takes K in fp8, dtype.k is bf16; set dtype: \{q: bf16, k: fp8, "):
        tiling(parse_workload(latent))
    for dim, size in ((576, 656), (512, 584)):
        raw = latent | {"dtype": types, "shape": latent["shape"] | {"head_dim": dim}}
        with pytest.raises(WorkloadError, match=rf"rows of K of {size} B, .* {dim} B; set layout.k_row_bytes: {size}"):
            tiling(parse_workload(raw))
        assert tiling(parse_workload(raw | {"layout": latent["layout"] | {"k_row_bytes": size}})).block_kv == 64


def test_a_chips_own_kernel_gets_queries_of_the_type_of_its_cache() -> None:
    raw = call("auto", "decode", 4096, page=64).model_dump() | {
        "dtype": {"q": "bf16", "k": "fp8", "v": "fp8", "o": "bf16"}
    }
    hopper, ampere = (replace(H100, architecture=name) for name in ("sm90", "sm80"))
    found = kernel_of(parse_workload(raw), hopper)
    assert found is not None
    assert found.name == "fa3_decode"
    assert attention(parse_workload(raw), hopper).dtype == "fp8"
    assert kernel_of(parse_workload(raw), ampere) is None, "FlashAttention-2 takes no fp8"


def test_a_kernel_too_large_for_a_core_says_what_helps() -> None:
    small = replace(H100, scratchpad_bytes=64 << 10)
    with pytest.raises(
        WorkloadError, match=r"fa3_decode takes \d+ B .* lower tiling.block_kv or tiling.block_q, or name"
    ):
        tiling(call("fa3", "decode", 4096), small)


@pytest.mark.parametrize(
    ("kernel", "old", "new", "refusal"),
    [
        ("fa3_decode", "once: [537, 537]", "once: [537, 538]", "538 issue slots in 537 cycles"),
        ("fa3_decode", "step: [2535, 2535]", "step: [2535, 2536]", "2536 issue slots in 2535 cycles"),
        (
            "triton_gt_decode",
            "num_stages: 3,",
            "num_stages: 3, convert_cycles: 9,",
            "convert_cycles, .* without engine",
        ),
        (
            "vllm_paged",
            "occupancy:",
            "x: &x",
            "regs, which nothing reads without occupancy; describe it, or leave regs",
        ),
    ],
)
def test_kernel_files_with_numbers_that_nobody_can_read_are_refused(
    kernel: str, old: str, new: str, refusal: str, tmp_path: Path
) -> None:
    from memgrain.workloads.kernels.names import FOLDER

    text = (FOLDER / f"{kernel}.yaml").read_text()
    assert old in text
    text = text.split("occupancy:")[0] if old == "occupancy:" else text.replace(old, new)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(WorkloadError, match=refusal):
        load_kernel(tmp_path / "mine.yaml")


def test_splits_are_those_of_the_launchers() -> None:
    assert num_splits_heuristic(48, 108, 64, uneven=False) == 2  # the example in FlashAttention's own comment
    assert fa2(Decode(8, 1, 132, 65536, 128, 8)) == 29  # 28 of 264 places are 84.8 % of a wave, 29 are 87.9
    assert fa2(Decode(212, 1, 132, 65536, 128, 8)) == 1 == fa2(Decode(8, 1, 132, 100, 128, 8))
    assert fa2(Decode(8, 1, 132, 11 * 128, 128, 8)) == 11  # 10 would leave blocks as 6 does: two a program
    assert fa3(Decode(8, 1, 132, 65536, 176, 8)) == 15
    assert fa3(Decode(8, 1, 132, 4 * 176, 176, 8)) == 1
    assert fa3(Decode(8, 1, 132, 4 * 176, 176, 8, most=32)) == 4  # a graph allows more: blocks as there are
    assert [fa3(Decode(8 * n, n, 132, 65536, 176, 8)) for n in (2, 16, 64)] == [8, 1, 1]
    assert vllm(Decode(64, 1, 132, 1025, 64, 8)) == 3
    assert [fia(Decode(2, 1, 24, 65536, 256, group)) for group in (1, 5, 16)] == [8, 12, 12]
    assert [atb(Decode(8 * n, n, 24, 2048, 128, 4)) for n in (1, 8, 64)] == [1, 1, 1]  # 32 heads fill 24 cores
    assert [atb(Decode(8 * n, n, 24, 8192, 128, 4)) for n in (1, 8)] == [22, 22]  # from 4,096 tokens on, 3 of 64 pages
    assert [atb(Decode(n, n, 24, 2048, 128, 8)) for n in (1, 2)] == [16, 8]  # 8 heads do not


@pytest.mark.parametrize(
    ("kernel", "phase", "pattern", "dim", "budget", "block", "resident"),
    [
        ("flash", "prefill", "causal", 64, H100, (128, 128), 2),
        ("flash", "prefill", "dense", 96, H100, (128, 64), 2),
        ("flash", "prefill", "dense", 192, H100, (128, 64), 1),
        ("flash", "prefill", "dense", 256, H100, (64, 64), 2),
        ("flash", "prefill", "dense", 256, A100, (128, 64), 1),
        ("flash", "decode", "dense", 128, H100, (64, 128), 2),
        ("fa3", "prefill", "dense", 128, H100, (128, 176), 1),
        ("fa3", "prefill", "causal", 128, H100, (128, 128), 1),
        ("fa3", "prefill", "causal", 64, H100, (192, 128), 1),
        ("fa3", "decode", "dense", 128, H100, (64, 176), 1),
        ("cudnn", "prefill", "causal", 128, H100, (128, 128), 1),
        ("fia", "prefill", "causal", 128, B2, (128, 256), 1),
    ],
)
def test_tiles_follow_head_dimension_mask_and_chip(
    kernel: str, phase: str, pattern: str, dim: int, budget: Budget, block: tuple[int, int], resident: int
) -> None:
    found = tiling(call(kernel, phase, 65536, pattern, head_dim=dim), budget)
    assert (found.block_q, found.block_kv) == block
    assert found.resident == resident
    attention(call(kernel, phase, 65536 if phase == "decode" else 1024, pattern, head_dim=dim), budget)


def test_pages_take_tiles_that_they_fit() -> None:
    assert tiling(call("fa3", "decode", 4096, page=64)).block_kv == 128
    read = count_bytes(attention(call("vllm", "decode", 4096, page=16, q_heads=16), H100))
    assert read["K"][0] == 2 * 8 * 4096 * 256  # query heads of a group each read K for themselves
    assert read["table"][0] == 16 * 4096 // 16 * 4


def test_a_single_split_goes_to_the_prefill_kernel() -> None:
    many = call("flash", "decode", 4096, batch=64)
    assert (tiling(many).splits, tiling(many).block_q, tiling(many).block_kv) == (1, 128, 64)


def test_rows_that_hold_no_query_are_multiplied_too() -> None:
    few = attention(call("flash", "decode", 65536, q_heads=64), H100)
    assert (count_issued_macs(few), count_macs(few)) == (8 * 64 * 65536 * 256, 64 * 65536 * 256)
    narrow = attention(call("flash", "prefill", 1024, head_dim=80), H100)
    assert (count_issued_macs(narrow), count_macs(narrow)) == (8 * 1024 * 1024 * 192, 8 * 1024 * 1024 * 160)


def test_v_is_read_with_k_where_it_is_part_of_it() -> None:
    workload = call("flashmla", "decode", 8192, page=64, **MLA)
    moved = count_bytes(attention(workload, H100))
    assert "V" not in moved
    assert moved["K"][0] == 2 * 8192 * 1152  # 128 heads are two programs
    assert workload.kv_bytes == 8192 * 1152
    with pytest.raises(WorkloadError, match=r"set shape\.v_in_k: true and shape\.head_dim_v: 512"):
        attention(call("flashmla", "decode", 8192, head_dim=576), H100)
    with pytest.raises(WorkloadError, match="fa2_decode reads V apart"):
        attention(call("flash", "decode", 8192, page=64, **MLA), H100)
    with pytest.raises(WorkloadError, match="exceeds head_dim 512"):
        call("flashmla", "decode", 64, head_dim=512, head_dim_v=576, v_in_k=True)


def test_rows_with_scales_are_longer_than_their_elements() -> None:
    raw = call("flashmla_sparse", "decode", 8192, page=64, **MLA).model_dump()
    raw |= {"dtype": {"q": "bf16", "k": "fp8", "v": "fp8", "o": "bf16"}, "selection": {"kind": "random", "tokens": 512}}
    raw["layout"]["k_row_bytes"] = 656
    assert count_bytes(attention(parse_workload(raw), H100))["K"][0] == 2 * 512 * 656


def bytes_of_first(trace: Trace, programs: int) -> list[set[int]]:
    """Addresses of K, by 128 bytes, that each of the first programs reads."""
    pieces = expand(trace)
    keys = pieces[(pieces["op"] == READ) & (pieces["tensor"] == 1)]
    found: list[set[int]] = []
    for program in range(programs):
        mine = keys[keys["program"] == program]
        found.append({
            line for start, size in zip(mine["address"].tolist(), mine["bytes"].tolist(), strict=True)
            for line in range(start // 128, (start + size - 1) // 128 + 1)
        })  # fmt: skip
    return found


def test_a_cluster_shares_out_every_tile() -> None:
    asked = call("fa3", "prefill", 1024)
    together = bytes_of_first(attention(asked, H100), 2)
    alone = call("fa3", "prefill", 1024).model_dump() | {"tiling": {"cluster": 3}}  # does not divide eight q tiles
    assert together[0] | together[1] == bytes_of_first(attention(parse_workload(alone), H100), 1)[0]
    assert not together[0] & together[1]
    odd = attention(call("fa3", "prefill", 1100), H100)  # nine q tiles
    assert count_bytes(odd)["K"][0] == 8 * 9 * 1100 * 256
    assert count_bytes(attention(asked, H100))["K"][0] == 8 * 8 * 1024 * 256 // 2


def test_the_longest_programs_begin_where_the_kernel_says_so() -> None:
    def steps(kernel: str) -> list[int]:
        chunk = next(iter(attention(call(kernel, "prefill", 1024, "causal"), H100).chunks()))
        return [int(chunk.steps["repeats"][f : f + n].sum()) - 2 for f, n in chunk.programs[["first_step", "steps"]]]

    assert steps("fa3") == list(range(8, 0, -1))
    assert steps("cudnn") == list(range(1, 9))
    assert sum(np.array(steps("flash"))) == sum(range(2, 18, 2))


def test_what_the_workload_says_goes_before_the_kernel() -> None:
    raw = call("fa2", "decode", 65536).model_dump() | {"tiling": {"splits": 3, "block_kv": 64}}
    programs = sum(len(chunk.programs) for chunk in attention(parse_workload(raw), H100).chunks() if not chunk.barrier)
    assert programs == 3 * 8
    trace = attention(parse_workload(raw), H100)
    assert trace.scratchpad_bytes == 64 * 256 + 2 * 64 * 256 + 1024


def test_names_stand_for_kernels_by_use() -> None:
    assert find_kernel("PyTorch-Flash", "prefill") == find_kernel("Flash Attention 2", "prefill") == "fa2_prefill"
    assert [find_kernel("cuDNN", use) for use in ("prefill", "decode")] == ["cudnn_sdpa", "cudnn_sdpa_decode"]
    assert find_kernel("FA3_decode", "decode") == "fa3_decode"
    assert {kernel for kernels in ALIASES.values() for kernel in kernels.values()} <= set(kernel_names())
    assert all(load_kernel(kernel).phase == use for kernels in ALIASES.values() for use, kernel in kernels.items())
    with pytest.raises(WorkloadError, match=r"pfa is not for decode, it stands for ascend_fia_prefill \(prefill\)"):
        find_kernel("pfa", "decode")
    with pytest.raises(WorkloadError, match="no kernel 'fa9'; did you mean"):
        find_kernel("fa9", "decode")
    with pytest.raises(WorkloadError, match="head dimension 320 exceeds 256"):
        attention(call("fa2", "decode", 4096, head_dim=320), H100)


def test_a_workload_file_may_name_a_kernel_of_its_own(tmp_path: Path) -> None:
    from memgrain.workloads.kernels.names import FOLDER

    (tmp_path / "mine.yaml").write_text(
        (FOLDER / "fa2_decode.yaml").read_text().replace("block_kv: 128", "block_kv: 64")
    )
    (tmp_path / "call.yaml").write_text(
        (Path(FOLDER).parent / "examples" / "decode_dense.yaml").read_text().split("tiling:")[0] + "kernel: mine.yaml\n"
    )
    assert tiling(load_workload(tmp_path / "call.yaml")).block_kv == 64
