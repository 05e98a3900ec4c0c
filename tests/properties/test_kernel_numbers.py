"""Every number of a kernel file, halved and doubled: answers go the way that physics says, or are one line of refusal.

`DIRECTIONS` names the figure that a number moves and which way; `EITHER` has the numbers without a direction, with the
reason; `BINDS` has the point at which a number binds that does not at the kernel's own numbers. Each number is asked
through a file of its own and by a call that the kernel answers with the entry of `tiles` or `code` the number is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import pytest
import yaml

from memgrain import MemgrainError, hwmodels
from memgrain.runs.task import budget
from memgrain.sim import SimulationError, simulate
from memgrain.validation.calls import CALL, Gather
from memgrain.validation.records import Record
from memgrain.workloads import (
    Kernel,
    Launch,
    Workload,
    WorkloadError,
    attention,
    count_bytes,
    count_issued_macs,
    kernel_names,
    load_kernel,
)
from memgrain.workloads.kernels.names import FOLDER
from tests.properties.test_directions import NOISE, one_line, scaled
from tests.properties.test_every_parameter_matters import small

Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
MORE, FEWER = 1, -1
DIRECTIONS: dict[str, tuple[str, int]] = {
    "tiles.block_q": ("loads", FEWER),
    "tiles.block_kv": ("steps", FEWER),
    "tiles.num_stages": ("stages", MORE),
    "tiles.num_warps": ("resident", FEWER),
    "tiles.regs": ("resident", FEWER),
    "tiles.shared": ("resident", FEWER),
    "tiles.convert_cycles": ("time", MORE),
    "tiles.cluster": ("loads", FEWER),
    "pad_head_dim": ("macs", MORE),
    "merge.rows": ("programs", FEWER),
    "merge.columns": ("programs", FEWER),
    "merge.spare": ("time", MORE),
    "merge.ahead": ("time", FEWER),
    "k_row_bytes": ("loads", MORE),
    "pipeline.held_back": ("stages", FEWER),
    "engine.producer_warps": ("groups", FEWER),
    "engine.under_way": ("groups", MORE),
    "engine.copy_rows": ("time", FEWER),
    "occupancy.registers": ("resident", MORE),
    "occupancy.warps": ("resident", MORE),
    "occupancy.programs": ("resident", MORE),
    "occupancy.register_unit": ("resident", FEWER),
    "occupancy.reserved_bytes": ("resident", FEWER),
    **{f"code.{name}": ("time", MORE) for name in ("step.0", "step.1", "once.0", "once.1", "walk", "rounds.0")},
    **{f"code.{name}": ("time", MORE) for name in ("launch.0", "launch.1", "merge.0", "merge.1")},
    "code.rounds.1": ("time", FEWER),
}
"""What a larger value makes more or fewer of."""
EITHER = {
    "tiles.up_to": "which calls an entry is for",
    "tiles.element": "likewise",
    "tiles.rows_up_to": "likewise",
    "tiles.scratchpad_up_to": "likewise",
    "code.size": "likewise",
    "code.element": "likewise",
    "splits": "how many programs share a context: quicker until their partial outputs cost more",
    "pad_head_dim.i": "which sizes it computes: without one, the next",
    "value_dim": "which calls it computes",
    "page": "where the rows of K lie",
    "page_sizes": "which calls it computes",
}
"""Numbers without a direction, and why."""
SMALL = {"tiles.*.regs": 16, "tiles.*.shared": 2048}
BINDS: dict[str, dict[str, object]] = {
    "tiles.up_to": {"tiles.0.regs": 16, "tiles.0.shared": 2048},
    "tiles.block_q": {"pack_group": True},
    "tiles.num_warps": {"occupancy.warps": 16, **SMALL},
    "tiles.regs": {"tiles.*.regs": 128, "tiles.*.shared": 2048},
    "tiles.shared": {"tiles.*.regs": 16, "tiles.*.shared": 32768},
    "engine.producer_warps": {"tiles.*.num_warps": 12},
    "code.step.0": {"code.*.step.0": 100000},
    "code.step.1": {"code.*.step.1": 100000, "code.*.step.0": 200000, **SMALL},
    "code.once.0": {"code.*.once.0": 100000},
    "code.once.1": {"code.*.once.1": 100000, "code.*.once.0": 200000, **SMALL},
    "occupancy.registers": {"tiles.*.regs": 128, "tiles.*.shared": 2048},
    "occupancy.register_unit": {"occupancy.register_unit": 4096, **SMALL},
    "occupancy.warps": {"occupancy.warps": 32, **SMALL},
    "occupancy.programs": {"occupancy.programs": 2, **SMALL},
    "occupancy.reserved_bytes": {"occupancy.reserved_bytes": 32768, **SMALL},
}
"""Points at which numbers bind that do not elsewhere: other numbers of the file, * being every entry."""
FROM_ZERO = {"code.once.0": 10000, "code.once.1": 100000, "code.launch.1": 1000, "code.merge.0": 10000}
"""Values beside a number that is zero, where one is too little to be seen."""
CHIPS = {"sm80": "a100_sxm", "sm90": "h100_sxm", "sm100": "b200", "dav-2201": "ascend_910b1"}
Answer = Mapping[str, float] | str
Raw = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A call, as a row of measurements would name it."""

    chip: str
    head_dim: int
    causal: bool = False
    page: int | None = None
    fp8: bool = False
    group: int = 4
    selects: bool = False
    batch: int = 1
    rows: int = 1
    context: int = 2048

    def record(self, kernel: Kernel) -> Record:
        """The row."""
        cells: dict[str, object] = {"family": kernel.phase, "head_dim": self.head_dim, "context": self.context}
        if kernel.phase == "gather":
            pool = 4096 * self.head_dim
            cells = {"family": "gather", "n_rows": self.rows, "row_bytes": self.head_dim, "pool_bytes": pool}
        elif kernel.phase == "decode":
            heads = {"kv_heads": 1, "q_heads_per_kv_head": self.group, "batch": self.batch}
            chosen = {"selection": "topk", "selected_tokens": 512} if self.selects else {"selection": "dense"}
            cells |= heads | chosen
        else:
            cells |= {"heads": 4, "kv_heads": 1, "batch": 1, "causal": self.causal}
        if self.page is not None:
            cells["page"] = self.page
        if self.fp8:
            cells |= {"kv_dtype": "fp8", "dtype": kernel.dtype[0] if kernel.kv_dtype else "fp8", "o_dtype": "bf16"}
        return Record("calls.csv", "1", {name: str(value) for name, value in cells.items()})


@lru_cache
def chip_of(name: str) -> hwmodels.Chip:
    """The chip with a few cores and channels."""
    few = small(name)
    core = hwmodels.load_chip(name).matmul_core.name
    return hwmodels.load_chip(name, {**few, f"{core}.count": 8} if name != "ascend_910b1" else few)


def calls(raw: Raw) -> list[Asked]:
    """Calls that between them are answered with every entry of a kernel's file, the plainest first."""
    conditions = {name for entry in raw["tiles"] for name in entry}
    pads = raw.get("pad_head_dim", "none")
    limits = {entry.get("up_to", entry.get("size")) for entry in [*raw["tiles"], *raw.get("code", ())]} - {None}
    limits |= {*pads} if isinstance(pads, list) else {72} if isinstance(pads, int) else set()
    prefill, decode = raw["phase"] == "prefill", raw["phase"] == "decode"
    chips = [CHIPS[name] for name in raw["architectures"]]
    asked = product(
        chips if "scratchpad_up_to" in conditions else chips[-1:],
        pads if "value_dim" in raw else sorted({*limits, 4096 if raw["phase"] == "gather" else 256}),
        [False, True] if prefill else [False],
        [None, *raw.get("page_sizes", [64] if "paged" in conditions else [])],
        [False, True] if decode and "element" in conditions else ["kv_dtype" in raw],
        [4, 64, 128] if decode else [1],
        [False, True] if decode else [False],
        [1, 3] if decode else [1],
        [64, 2048] if raw["phase"] == "gather" else [1],
    )
    return [Asked(*values) for values in asked]


def numbers(raw: object, path: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number of a file by its dotted path, places of lists included."""
    if isinstance(raw, Mapping | list):
        for key, value in raw.items() if isinstance(raw, Mapping) else enumerate(raw):
            yield from numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        yield path, raw


def changed(raw: object, path: str, value: object) -> Any:
    """The file with another value at `path`, which may be new."""
    key, _, rest = path.partition(".")
    if isinstance(raw, list):
        mine = [key in (str(i), "*") for i in range(len(raw))]
        new = [changed(item, rest, value) if rest else value for item in raw]
        return [there if it else item for it, there, item in zip(mine, new, raw, strict=True)]
    assert isinstance(raw, Mapping)
    return {**raw, key: changed(raw.get(key, {}), rest, value) if rest else value}


def name_of(path: str) -> str:
    """The number's name in the tables: its path without the place of an entry."""
    name = re.sub(r"^(tiles|code)\.\d+", r"\1", re.sub(r"^pad_head_dim\.\d+", "pad_head_dim.i", path))
    return name if name in DIRECTIONS else re.sub(r"\.\d+$", "", name)


def described(folder: Path, raw: Raw) -> Kernel:
    """The kernel of a file of its own, with its name."""
    path = folder / f"{raw['file']}.yaml"
    path.write_text(yaml.dump({name: value for name, value in raw.items() if name != "file"}, Dumper=Dumper))
    return load_kernel(path)


def cut(kernel: Kernel, asked: Asked) -> Gather | Workload:
    """The call as the kernel cuts it."""
    launch = Launch()
    if kernel.engine is None:  # compiled by Triton, which reports what the file leaves out
        launch = Launch(regs=24, shared=512)
    found = CALL[kernel.phase](asked.record(kernel), kernel, launch, budget(chip_of(asked.chip)))[0]
    assert isinstance(found, Gather | Workload)
    return found


def places(folder: Path, raw: Raw) -> dict[str, list[Asked]]:
    """Calls by the entries of `tiles` and `code` that answer them, which marks in these entries show."""
    tiles = [{**entry, "block_kv": 1 + i} for i, entry in enumerate(raw["tiles"])]
    code = [{**entry, "once": [i, i]} for i, entry in enumerate(raw.get("code", ()))]
    code = [entry | ({"walk": 0} if "walk" in entry else {}) for entry in code]
    kernel = described(folder, {**raw, "tiles": tiles, "code": code})
    found: dict[str, list[Asked]] = {}
    for asked in calls(raw):
        try:
            workload = cut(kernel, asked)
        except WorkloadError:
            continue
        if isinstance(workload, Gather):
            block, once = workload.block_n, workload.once_cycles
        else:
            block, once = int(workload.tiling.block_kv), workload.tiling.once_cycles
        if block <= len(tiles):
            found.setdefault(f"tiles.{block - 1}", []).append(asked)
            found.setdefault("", []).append(asked)
        found.setdefault(f"code.{once[0]}", []).append(asked)
    return found


def answer(folder: Path, raw: Raw, asked: Asked) -> Answer:
    """Time and counts of a call, or the refusal."""
    try:
        kernel = described(folder, raw)
        workload = cut(kernel, asked)
        chip = chip_of(asked.chip)
        trace = workload.trace() if isinstance(workload, Gather) else attention(workload, budget(chip))
        result = simulate(chip, trace)
    except (WorkloadError, SimulationError, MemgrainError) as error:
        return one_line(error)
    found: dict[str, float] = {"time": result.time, **result.counters, "macs": count_issued_macs(trace)}
    found["programs"] = sum(len(chunk.programs) for chunk in trace.chunks())
    found["steps"] = sum(int(chunk.steps["repeats"].sum()) for chunk in trace.chunks())
    found["loads"] = count_bytes(trace).get("K", (0, 0))[0]
    found["resident"] = trace.resident or 0
    found["stages"] = trace.stages
    found["groups"] = trace.engine[1] if trace.engine else 0
    return found


def wrong(folder: Path, raw: Raw, path: str, value: float, asked: list[Asked]) -> str | None:
    """What is wrong with a number at its own value or, if it does not bind there, at its point."""
    name = name_of(path)
    assert name in DIRECTIONS or name in EITHER, f"{path} is neither in DIRECTIONS nor in EITHER"
    beside = BINDS.get(name, {})
    for point in ({}, beside):
        here = raw
        for key, it in point.items():
            if key in SMALL and "engine" not in raw:
                continue  # its launch says so, see `cut`
            here = changed(here, key, it)
        at = dict(numbers(here))[path]
        values = {up: scaled(at, 2.0**up) if at > 0 else at + up * FROM_ZERO.get(name, 1) for up in (-1, 1)}
        files = {up: changed(here, path, other) for up, other in values.items() if other != at}
        refused = []
        for call in asked:
            before = answer(folder, here, call)
            ends = {up: answer(folder, file, call) for up, file in files.items()}
            refused.append(all(isinstance(end, str) and end != before for end in ends.values()))
            if isinstance(before, str):
                continue
            found = [compared(name, end, before, up) for up, end in ends.items()]
            if against := [line for line in found if isinstance(line, str)]:
                return f"{path} {at}: {against[0]} ({call})"
            if any(found):
                return None
        if any(refused):
            return None
    return f"{path} {value} moves nothing, nor at {beside}"


def compared(name: str, end: Answer, before: Mapping[str, float], up: int) -> str | bool:
    """What is wrong with an answer beside the usual one, or whether the number moves it."""
    if isinstance(end, str):
        return name in EITHER
    if name in EITHER:
        return end != before
    figure, sign = DIRECTIONS[name]
    if figure != "time":
        moved = sign * up * (end[figure] - before[figure])
        return f"{figure} {before[figure]} becomes {end[figure]} at x{2.0**up:g}" if moved < 0 else moved > 0
    longer = sign * up * log(end["time"] / before["time"])
    return f"time goes the wrong way by {-longer:.1%} at x{2.0**up:g}" if longer < -NOISE else longer > 1e-4


def check(folder: Path, name: str) -> list[str]:
    """What is wrong with the numbers of a kernel's file."""
    raw = {"file": name, **yaml.safe_load((FOLDER / f"{name}.yaml").read_text())}
    calls_of = places(folder, raw)
    found = []
    for path, value in numbers({key: it for key, it in raw.items() if key != "file"}):
        part, _, place = path.partition(".")
        where = f"{part}.{place.split('.')[0]}" if part in ("tiles", "code") else ""
        if where not in calls_of:
            found.append(f"{path}: no call is answered with this entry")
        elif line := wrong(folder, raw, path, value, calls_of[where]):
            found.append(line)
    return found


QUICK = ["ascend_fia_decode", "cudnn_sdpa"]


@pytest.mark.parametrize("name", QUICK)
def test_answers_go_the_way_that_physics_says(name: str, tmp_path: Path) -> None:
    assert check(tmp_path, name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(kernel_names()) - set(QUICK)))
def test_answers_of_the_others_go_the_way_that_physics_says(name: str, tmp_path: Path) -> None:
    assert check(tmp_path, name) == []
