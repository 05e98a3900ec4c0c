"""Every number of every chip is read by somebody: perturb it, and some result moves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from memgrain import hwmodels
from memgrain.hwmodels.load import read_chip
from memgrain.models.request import ModelRequest
from memgrain.runs.task import budget
from memgrain.sim import Result, SimulationError, simulate
from memgrain.sim.network.collectives import collective
from memgrain.sim.network.schedule import MAKERS
from memgrain.workloads import Linear, MatrixRead, Trace, count_bytes, load_model
from memgrain.workloads.layers.stages import LayerStages
from memgrain.workloads.steps import synthetic
from memgrain.workloads.trace import PROGRAM, RUN, STEP, WRITE, Chunk, Cores, Tensor
from tests.properties.workloads_of import trace_of

CHOICES = {
    "replacement": ("lru", "fifo", "random"),
    "set_hash": ("none", "xor"),
    "write_policy": ("back", "through"),
    "page_policy": ("open", "closed"),
    "exchange": ("direct", "memory"),
    "uncached": ("serial", "parallel"),
}
NUMBER = re.compile(r"^([0-9.eE+-]+)\s*(.*)$")


def others(path: str, value: object) -> Iterator[object]:
    """Other values of a number or choice, as one would write them in YAML; coarse steps first."""
    key = path.rsplit(".", 1)[-1]
    if key in CHOICES:
        yield from (choice for choice in CHOICES[key] if choice != value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        for other in (value * 4, value // 4, value * 2, value // 2, value + 1, value - 1, value * 64, 1):
            if other > 0 and other != value:
                yield type(value)(other)
    elif isinstance(value, str) and (match := NUMBER.match(value)):
        for factor in (4, 0.25, 2, 0.5, 16, 1 / 16, 64, 1 / 256, 1 / 4096):
            number = float(match[1]) * factor
            yield f"{number:.6g} {match[2]}" if match[2] != "nCK" else f"{max(1, round(number))} nCK"
        if float(match[1]) == 0:
            yield f"300 {match[2]}"


def small(name: str) -> dict[str, object]:
    """Overrides that leave the chip a few cores and channels: the mechanisms are the same and the test is quick."""
    chip = hwmodels.load_chip(name)
    core, vector = chip.matmul_core, chip.vector_core
    count = 2 * core.cores_per_cluster
    found: dict[str, object] = {f"{core.name}.count": count}
    if vector is not core:
        found[f"{vector.name}.count"] = count * vector.count // core.count
    dram = chip.dram
    found |= {f"{dram.name}.channels": 2, f"{dram.name}.bandwidth": f"{2 * dram.bandwidth // dram.channels} B/s"}
    if chip.cache is not None and chip.cache.dirty_share is not None:
        found[f"{chip.cache.name}.dirty_share"] = 1.0  # so that small probes write enough back
    if chip.interconnect is not None:
        found["interconnect.node.chips"] = 4
    return found


def one_set(chip: hwmodels.Chip) -> Trace:
    """Lines that fall into one set of the last cache, in an order with locality, so that ways and policy decide."""
    cache = chip.cache
    assert cache is not None
    lines = np.arange(1 << 20)
    folded = lines ^ (lines >> 8) ^ (lines >> 16) ^ (lines >> 24) if cache.set_hash == "xor" else lines
    mine = lines[folded % cache.sets == 5][: 2 * cache.ways]
    rng = np.random.default_rng(7)
    order = mine[np.minimum(rng.geometric(1.5 / cache.ways, 1000), len(mine)) - 1].astype(np.int32)
    steps, runs, programs = np.zeros(1, STEP), np.zeros(1, RUN), np.zeros(1, PROGRAM)
    steps["load_runs"], steps["repeats"], programs["steps"] = 1, len(order) // 10, 1
    runs["stride"], runs["count"], runs["bytes"], runs["advance"] = cache.line, 10, cache.line, 10
    chunk = Chunk(programs, steps, runs, order)
    size = (1 << 20) * cache.line
    return Trace("one_set", (Tensor("X", 0, size, size),), "bf16", 0, 1, None, 0, 0, 0, lambda: iter([chunk]))


def probes(chip: hwmodels.Chip) -> dict[str, tuple[Trace, str]]:
    """Small traces that between them visit every mechanism, with the state of the caches before."""
    assert chip.matmul_core.matmul is not None
    cores = chip.matmul_core.count
    found = {
        f"prefill_{dtype}": (trace_of(chip, "causal", "bnsd", "prefill", dtype=dtype, kv_len=256), "cold")
        for dtype in chip.matmul_core.matmul.macs_per_cycle
    }
    wide = chip.dram.capacity // 2 // (1 << 20)
    found |= {
        "tall": (trace_of(chip, "dense", "bnsd", "prefill", kv_len=512, block_kv=256, stages=1), "cold"),
        "sync": (
            trace_of(chip, "causal", "bnsd", "prefill", kv_len=256, engine={"instruction": "mma", "groups": 1}),
            "cold",
        ),
        "topk": (trace_of(chip, "topk", "bsnd", "decode", kv_len=4096), "cold"),
        "dense": (trace_of(chip, "dense", "bsnd", "decode", kv_len=4096), "cold"),
        "stream": (synthetic.stream(cores << 18, 8192, 2 * cores), "cold"),
        "dirty": (synthetic.stream(cores << 18, 8192, 2 * cores), "dirty"),
        "twice": (synthetic.stream(4 << 20, 16384, 2 * cores, repeat_passes=2), "cold"),
        "again": (synthetic.stream(cores << 12, 1024, 4 * cores), "warm"),
        "rows": (synthetic.gather(100 * cores, 80, 80, 16, 1 << 22, "random", 50, seed=1), "cold"),
        "wide": (synthetic.gather(20 * cores, 64, 1 << 20, 0, wide, "random", 20, seed=1), "cold"),
        "wide_dirty": (synthetic.gather(100 * cores, 64, 1 << 20, 0, wide, "random", 20, seed=1), "dirty"),
        "write": (synthetic.stream(cores << 14, 1024, 2 * cores, op=WRITE), "cold"),
        "chase": (synthetic.pointer_chase(200, 64, 1 << 24, seed=1), "cold"),
    }
    if chip.cache is not None:
        found["one_set"] = (one_set(chip), "cold")
    if chip.vector_core.max_programs is not None and chip.vector_core is not chip.matmul_core:
        found |= {"vector": (rows_of(chip, "vector", True), "cold")}
    if chip.cache is not None and chip.cache.uncached is not None:
        found |= {"uncached": (rows_of(chip, "matmul", False), "cold")}
    return found


def rows_of(chip: hwmodels.Chip, cores: Cores, cached: bool) -> Trace:
    """All cores of a kind read the same rows, of which every other one lies at an odd address."""
    programs = 2 * (chip.vector_core if cores == "vector" else chip.matmul_core).count
    return MatrixRead(
        kind="matrix_read",
        name="rows",
        rows=16 * programs,
        columns=4095,
        dtype="fp16",
        tile=(16, 512),
        programs=programs,
        cores=cores,
        order="same",
        cached=cached,
        rows_per_step=4,
    ).trace()


def outcome(chip: hwmodels.Chip, probe: Trace, before: str) -> tuple[int, dict[str, int]]:
    result: Result = simulate(chip, probe, before=before)
    return result.time, result.counters


def dead(name: str) -> list[str]:
    """Numbers of a chip that move no result."""
    base = small(name)
    chip = hwmodels.load_chip(name, base)
    traces = probes(chip)
    usual = {probe: outcome(chip, *case) for probe, case in traces.items()}
    found = {path: base.get(path, item.value) for path, item in read_chip(name).provenance.items()}
    numbers = {path: value for path, value in found.items() if not path.endswith(tuple(ELSEWHERE))}
    links = {path: value for path, value in numbers.items() if path.startswith("interconnect.")}
    planned = {path: value for path, value in numbers.items() if path.endswith(".multicast")}
    alone = [
        path
        for path, value in numbers.items()
        if path not in links | planned and not moves(name, base, path, value, traces, usual)
    ]
    alone += [path for path in planned if product_of({**base, path: 1}, name) == product_of(base, name)]
    return alone + [path for path, value in links.items() if not moves_collectives(name, base, path, value)]


def product_of(base: dict[str, object], name: str) -> dict[str, tuple[int, int]]:
    """Bytes that a product cut for the chip asks for."""
    sizes = {"tokens": 1024, "inputs": 1024, "outputs": 1024}
    types = {"weights": "bf16", "dtype": "bf16", "out_dtype": "bf16"}
    asked = Linear.model_validate({"kind": "linear", "name": "product", **sizes, **types})
    return count_bytes(asked.trace(budget(hwmodels.load_chip(name, base))))


def collectives(chip: hwmodels.Chip) -> Iterator[int | str]:
    """Times of collectives of every kind within a node and over two, as far as the chip has links, or the refusal."""
    assert chip.interconnect is not None
    network = chip.interconnect.network
    for chips in (8, 2, 4, *([network.chips] if network and network.chips else [])):
        for op in MAKERS:
            for size in (1, 1 << 13, 1 << 15, 1 << 17, 1 << 21, 1 << 29):
                try:
                    yield collective(chip, op, size, chips).time
                except SimulationError as error:
                    yield str(error)


def moves_collectives(name: str, base: dict[str, object], path: str, value: object) -> bool:
    """Whether another value of a link changes the time of some collective, or is refused; or none can be had alone."""
    usual = list(collectives(hwmodels.load_chip(name, base)))
    tied = True
    for other in others(path, value):
        try:
            changed = hwmodels.load_chip(name, {**base, path: other})
        except hwmodels.HardwareError:
            continue
        tied = False
        if any(now != before for now, before in zip(collectives(changed), usual, strict=False)):
            return True
    return tied


def moves(
    name: str,
    base: dict[str, object],
    path: str,
    value: object,
    traces: dict[str, tuple[Trace, str]],
    usual: dict[str, tuple[int, dict[str, int]]],
) -> bool:
    """Whether another value changes the time or a counter of some probe, or is refused; or none can be had alone."""
    level, _, key = path.rpartition(".")
    beside = {f"{level}.{item}": it for item, it in COMPANIONS.get(key, {}).items()}
    context = {item if "." in item else f"{level}.{item}": it for item, it in CONTEXT.get(key, {}).items()}
    if context:
        base = {**base, **context}
        usual = {probe: outcome(hwmodels.load_chip(name, base), *case) for probe, case in traces.items()}
    tied = True
    for other in others(path, value):
        try:
            changed = hwmodels.load_chip(name, {**base, **beside, path: other})
        except hwmodels.HardwareError:
            continue
        tied = False
        for probe, case in traces.items():
            try:
                if outcome(changed, *case) != usual[probe]:
                    return True
            except SimulationError:
                return True
    return tied


ELSEWHERE = {
    ".standard.clock_period": "a chip's clock follows from its bandwidth: test_a_longer_clock_is_a_slower_channel",
    ".standard.timings.tCCD_S": "likewise the time of a burst: test_more_clocks_a_burst_are_a_slower_channel",
    ".standard.timings.tBL": "likewise",
    ".standard.shortest_clock": "bounds the bandwidth: test_the_shortest_clock_bounds_the_bandwidth",
    "pages.rows": "of a whole model's step: test_pages_are_those_of_a_models_step",
}
"""Numbers of a chip that move no probe here, and the test in which they move an answer."""
COMPANIONS = {"partitions": {"replicate": True, "far_latency": "1 us"}}
"""What has to be said beside another value of a number."""
CONTEXT = {"banks": {"clock": "10 MHz"}, "cores_per_cluster": {"port.bandwidth": "8 GB/s"}}
"""What is changed first, of the same level or, with a dot, of another one, so that a number comes to bear that is far
from binding otherwise."""


def test_pages_are_those_of_a_models_step() -> None:
    """Twice the tokens of a page are half the entries of a layer's block table."""
    model, entries = load_model("qwen3_8b"), []
    for rows in (64, 128):
        chip = hwmodels.load_chip("mlu370_x4", {"pages.rows": rows})
        asked = ModelRequest.of(chip, model, "decode", 8192)
        stages = LayerStages(model, asked.step, asked.shard, budget(chip), "auto").layer(model.order[0])
        tensors = [tensor for stage in stages if stage.trace for tensor in stage.trace.tensors]
        entries.append(sum(tensor.bytes for tensor in tensors if tensor.name == "table"))
    assert entries[0] == 2 * entries[1] > 0


QUICK = ["toy", "h100_sxm", "ascend_910b1", "mlu370_x4"]


@pytest.mark.parametrize("name", QUICK)
def test_every_parameter_matters(name: str) -> None:
    assert dead(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(hwmodels.chip_names()) - set(QUICK)))
def test_every_parameter_of_the_others_matters(name: str) -> None:
    assert dead(name) == []
