"""The cycles in the descriptions of the measured kernels are those with which the simulator gives the times that the
kernels took with all data in the L2.

Two times of a program that has an SM to itself (few and 16 steps) give the cycles of its course, two with several
programs an SM those of the issue slots. All SMs read the same lines there, which the H100 fetches once for its
neighbours; a chip of few SMs stands for that. Of FlashAttention-3, whose programs have an SM to themselves, the times
of one and of ONE_BY_ONE programs an SM, a tile each, give the cycles of a program and of a launch; steps are left to
the units. `python -m tests.memgrain.test_kernel_code` derives all lines anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgrain.hwmodels import load_chip
from memgrain.runs.task import budget
from memgrain.sim import simulate
from memgrain.workloads import Launch, Trace, attention, gather, load_kernel, parse_workload
from memgrain.workloads.kernels.parts import Call

HERE = Path(__file__).parents[2]
CSV = HERE / "measurements" / "h100_kernel_code.csv"
FLASH = CSV.with_name("h100_flash3_paged.csv")
KINDS = ("decode", "prefill", "gather")
SMS, MEASURED_SMS = 12, 132
CHIP = load_chip("h100_sxm", {"sm.count": SMS})
CYCLES = 1980  # a microsecond
ROUNDS, CLOSE = 8, 0.005
ONE_BY_ONE, LONGER = 16, (512, 2048)
BYTES = {"bf16": 2, "fp8": 1}


@dataclass(frozen=True)
class Code:
    """Cycles of a step and of the rest of a program: of its course, and of the issue slots."""

    step: float
    step_issue: float
    once: float
    once_issue: float

    def line(self) -> dict[str, tuple[int, int]]:
        return {
            "step_cycles": (round(self.step), round(self.step_issue)),
            "once_cycles": (round(self.once), round(self.once_issue)),
        }


def launches() -> dict[tuple[str, int, bool], Launch]:
    """What the compiler reported, by kernel, head dimension and whether lists are read, where a row says so."""
    rows = pd.read_csv(HERE / "tests" / "validation" / "h100_attention.csv")
    rows["selects"] = rows.selection.isin(["topk", "block"])
    return {
        key: Launch(num_warps=row.num_warps, num_stages=row.num_stages, regs=row.regs, shared=row.shared)
        for key, group in rows.groupby(["family", "head_dim", "selects"])
        for row in group.head(1).itertuples()
    }


LAUNCHES = launches()


def trace(kind: str, dim: int, variant: str, per: int, steps: int, code: Code | None) -> Trace:
    """The measured launch on the small chip: `per` programs an SM of `steps` steps, all on the same lines."""
    if kind == "gather":
        stride = dim if dim < 1024 else 1024
        kernel, rows = load_kernel("triton_gt_gather"), SMS * int(variant)
        rounds = kernel.code_for(dim, True).rounds
        found = gather(rows * per, dim, stride, 0, rows * 8, "sequential", int(variant), 1, rounds=rounds)
        cycles = code.line()["once_cycles"] if code else kernel.code_for(dim, True).once
        return replace(found, once_cycles=cycles, resident=per)
    selects = kind == "decode" and variant == "True"
    kernel = load_kernel(f"triton_gt_{kind}")
    launch = LAUNCHES.get((kind, dim, selects), Launch())
    tokens = kernel.tiles_for(dim).block_kv * steps
    raw: dict[str, object] = {
        "name": kind,
        "kind": "attention",
        "phase": kind,
        "dtype": "bf16",
        "layout": {"kind": "bnsd"},
    }
    if kind == "decode":
        heads, context = 16 * SMS * per, 4096
        raw["pattern"] = {"kind": "dense"} if selects else {"kind": "sliding_window", "window": tokens}
        raw |= {"selection": {"kind": "random", "tokens": tokens, "seed": 1}} if selects else {}
        launch = launch.model_copy(update={"block_m": 16, "splits": 1})
        raw["shape"] = {"q_heads": heads, "kv_heads": 1, "q_len": 1, "kv_len": context, "head_dim": dim, "batch": 1}
    else:
        raw["shape"] = {
            "q_heads": SMS * per,
            "kv_heads": 1,
            "q_len": 128,
            "kv_len": tokens,
            "head_dim": dim,
            "batch": 1,
        }
        raw["pattern"] = {"kind": "dense"}
    asked = parse_workload(raw)
    tiling = kernel.tiling(asked, launch, budget(CHIP))
    if code:
        tiling = tiling.model_copy(update=code.line())
    return attention(asked.model_copy(update={"tiling": tiling}), budget(CHIP))


def simulated(kind: str, dim: int, variant: str, per: int, steps: int, code: Code | None = None) -> float:
    """Time in us with all data in the L2."""
    asked = trace(kind, dim, variant, per, steps, code)
    return simulate(CHIP, asked, before=asked).time / 1e6


def measured(kind: str) -> dict[tuple[int, str], dict[tuple[int, int], float]]:
    """Times in us by (programs an SM, steps), by head dimension (bytes of a row) and variant."""
    table = pd.read_csv(CSV)
    table = table[table.kernel == kind]
    keys = table.assign(variant=table.variant.astype(str)).groupby(["dim", "variant"])
    return {key: {(r.programs_per_sm, r.steps): r.time_ns / 1e3 for r in rows.itertuples()} for key, rows in keys}


def points(kind: str, dim: int, times: dict[tuple[int, int], float]) -> tuple[int, int, int]:
    """Programs an SM of the crowded launches, and the steps of the short and of the long ones."""
    crowded = 4 if kind == "gather" else max(per for per, _ in times)
    if kind == "prefill" and dim > 64:
        crowded = 1  # registers leave room for one program: two ran one after the other
    return crowded, 4 if kind == "prefill" else 1, 1 if kind == "gather" else 16


def derive(kind: str, dim: int, variant: str, times: dict[tuple[int, int], float]) -> Code:
    """The cycles with which the simulated times are the measured ones, by fixed-point iteration."""
    crowded, short, long = points(kind, dim, times)
    span = max(1, long - short)
    slope = (times[1, long] - times[1, short]) / span * CYCLES
    code = Code(slope, slope / 2, 0.35 * CYCLES, 0.0)
    for _ in range(ROUNDS):
        off = {
            (per, steps): (simulated(kind, dim, variant, per, steps, code) - times[per, steps]) * CYCLES
            for per in {1, crowded}
            for steps in {short, long}
        }
        if all(abs(error) < CLOSE * times[key] * CYCLES for key, error in off.items()):
            break
        drift = (off[1, long] - off[1, short]) / span
        step = max(0.0, code.step - 0.9 * drift)
        once = max(0.0, code.once - 0.9 * (off[1, short] - (short - 1) * drift))
        step_issue, once_issue = code.step_issue, code.once_issue
        if crowded > 1:
            crowd_drift = (off[crowded, long] - off[crowded, short]) / span
            step_issue -= 0.9 * crowd_drift / crowded
            more = off[crowded, short] - off[1, short] - (short - 1) * (crowd_drift - drift)
            once_issue -= 0.7 * more / (crowded - 1)
        else:
            step_issue, once_issue = step, once
        code = Code(step, min(max(step_issue, 0.0), step), once, min(max(once_issue, 0.0), once))
    return code


def cases() -> list[tuple[str, int, str]]:
    return [(kind, *key) for kind in KINDS for key in measured(kind)]


@pytest.mark.parametrize(("kind", "dim", "variant"), cases()[::7])
def test_measured_times_come_back(kind: str, dim: int, variant: str) -> None:
    times = measured(kind)[dim, variant]
    crowded, short, long = points(kind, dim, times)
    for steps in {short, long}:
        assert simulated(kind, dim, variant, 1, steps) == pytest.approx(times[1, steps], rel=0.03)
        assert simulated(kind, dim, variant, crowded, steps) == pytest.approx(times[crowded, steps], rel=0.2)


def flash(dim: int, dtype: str, sequences: int, tokens: int, column: str = "kernel_time_us", most: int = 0) -> float:
    """Measured time in us; at most 0 the splits are as many as the rule gives."""
    table = pd.read_csv(FLASH).set_index(["dim", "dtype", "most_splits", "sequences", "tokens"])
    return float(table[column][dim, dtype, most, sequences, tokens])


def flash_simulated(dim: int, dtype: str, sequences: int, tokens: int, code: dict[str, object]) -> float:
    """The time of the attention kernel by the simulator, on the small chip."""
    shape = {"q_heads": 8, "kv_heads": 1, "q_len": 1, "kv_len": tokens, "head_dim": dim, "batch": sequences}
    raw: dict[str, object] = {"name": "flash", "kind": "attention", "phase": "decode", "shape": shape}
    raw |= {
        "layout": {"kind": "paged", "page": 64, "inner": "nhd", "placement": "shuffled"},
        "pattern": {"kind": "dense"},
    }
    asked = parse_workload({**raw, "dtype": {"q": dtype, "k": dtype, "v": dtype, "o": "bf16"}})
    tiling = load_kernel("fa3_decode").tiling(asked, Launch(), budget(CHIP))
    tiling = tiling.model_copy(update={"merge": None, **code})
    found = attention(asked.model_copy(update={"tiling": tiling}), budget(CHIP))
    return simulate(CHIP, found, before=found).time / 1e6


def derive_flash(dim: int, dtype: str) -> dict[str, object]:
    """Cycles of a step, of a program, of a launch (and for each program of it), of a program of the merge."""

    def off(per: int, tokens: int) -> float:
        simulated_time = flash_simulated(dim, dtype, SMS * per, tokens, code)
        return (flash(dim, dtype, MEASURED_SMS * per, tokens) - simulated_time) * CYCLES

    kernel, (short, long) = load_kernel("fa3_decode"), LONGER
    tiles = (long - short) / kernel.tiles_for(dim, Call(8, paged=True, element=BYTES[dtype])).block_kv
    step = once = 0.0
    for _ in range(ROUNDS):
        code: dict[str, object] = {
            "step_cycles": (round(step),) * 2,
            "once_cycles": (round(once),) * 2,
            "launch_cycles": (0, 0),
        }
        drift, more = off(1, long) - off(1, short), off(ONE_BY_ONE, 16) - off(1, 16)
        if max(abs(drift), abs(more)) < CLOSE * CYCLES:
            break
        step, once = max(0.0, step + drift / tiles), max(0.0, once + more / (ONE_BY_ONE - 1))
    walk = derive_walk(dim if dim != 192 else 128, dtype)
    base = round(max(0.0, once - walk * MEASURED_SMS))
    only = {**code, "once_cycles": (base, base)}
    alone = (flash(dim, dtype, 1, 16) - flash_simulated(dim, dtype, 1, 16, only)) * CYCLES
    each = (off(1, 16) - alone) / MEASURED_SMS
    return {
        "step": [round(step)] * 2,
        "once": [base] * 2,
        "walk": walk,
        "launch": [round(alone), max(0, round(each))],
        "merge": derive_merge(dim, dtype),
    }


def derive_walk(dim: int, dtype: str) -> float:
    """Cycles of a program for each sequence since the one before on its SM: with one and with eight KV heads a
    sequence, 1,024 sequences of a tile."""
    table = pd.read_csv(FLASH.with_name("h100_write_token.csv")).set_index(["dim", "dtype", "kv_heads", "sequences"])
    spent = {}
    for heads in (1, 8):
        many, one = (table.attention_us[dim, dtype, heads, sequences] for sequences in (1024, 1))
        spent[heads] = (many - one) / (1024 * heads / MEASURED_SMS - 1)
    return float(round((spent[1] - spent[8]) * CYCLES / (MEASURED_SMS - MEASURED_SMS / 8), 1))


def derive_merge(dim: int, dtype: str) -> list[float]:
    """Cycles of a program of the merge that has nothing to do, and those for each sequence: it looks for its own among
    all. Of the SM's programs half belong to sequences, half are spare."""
    kernel = load_kernel("fa3_decode")
    assert kernel.merge is not None
    sequences = np.array([MEASURED_SMS * per for per in (1, 2, 4, 7)])
    times = [flash(dim, dtype, number, 16, "combine_time_us", 32) for number in sequences.tolist()]
    programs = 2 * -(-dim // kernel.merge.columns) * sequences / MEASURED_SMS
    _, own, each = np.linalg.lstsq(np.column_stack([programs**0, programs, programs * sequences]), times)[0]
    return [max(0, round((own - (CHIP.matmul_core.program_start or 0) / 1e6) * CYCLES)), round(float(each) * CYCLES, 1)]


FLASH_CASES = [(dim, dtype) for dim in (64, 128, 192, 256) for dtype in BYTES]


@pytest.mark.parametrize(("dim", "dtype"), FLASH_CASES)
def test_measured_times_of_flash_attention_3_come_back(dim: int, dtype: str) -> None:
    assert flash_simulated(dim, dtype, 1, 16, {}) == pytest.approx(flash(dim, dtype, 1, 16), rel=0.02)
    shorter, longer = ((flash(dim, dtype, 1, n), flash_simulated(dim, dtype, 1, n, {})) for n in (16, 256))
    assert longer[1] - shorter[1] == pytest.approx(longer[0] - shorter[0], rel=0.55), "steps of a lone program"


if __name__ == "__main__":
    for size, dtype in FLASH_CASES if sys.argv[1:] in ([], ["flash"]) else ():
        cycles = ", ".join(f"{name}: {value}" for name, value in derive_flash(size, dtype).items())
        print(f"  - {{size: {size}, element: {BYTES[dtype]}, {cycles}}}", flush=True)
    for kind in [kind for kind in sys.argv[1:] or KINDS if kind in KINDS]:
        print(kind)
        for (dim, variant), times in measured(kind).items():
            line = derive(kind, dim, variant, times).line()
            selects = kind == "gather" or (kind == "decode" and variant == "True")
            step, once = (0, 0) if kind == "gather" else line["step_cycles"], line["once_cycles"]
            rounds = load_kernel("triton_gt_gather").code_for(dim, True).rounds if kind == "gather" else None
            print(
                f"  - {{size: {dim}, selects: {str(selects).lower()}, step: {list(step)}, once: {list(once)}"
                f"{f', rounds: {list(rounds)}' if rounds else ''}}}",
                flush=True,
            )
