"""The DRAM level: channels of one standard, whose constraint table becomes delays and servers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.main_memory import Dram as DramSpec
from memgrain.sim.dram import state as st
from memgrain.sim.dram.bank_timing import serve_runs
from memgrain.sim.dram.state import PITCH, DramArrays
from memgrain.sim.levels.request import Request
from memgrain.sim.native.address import reciprocal

_LINE = 8
"""Words of a cache line of the host."""


class Dram:
    """All channels of a memory; see README.md beside this file.

    The unloaded latency of the spec is what a core measures with the row closed: what is left of it after activation,
    column access and burst is the way between core and controller.
    """

    def __init__(self, spec: DramSpec, tensors: tuple[str, ...]) -> None:
        self.name, self.spec, self.tensors = spec.name, spec, tensors
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        config = np.zeros(1, st.CONFIG)
        for fields in (_geometry(spec), _times(spec), _map(spec)):
            for name, value in fields.items():
                config[name] = value
        self.arrays = DramArrays(
            lanes=_lay_out(spec, config[0]),
            entries=np.zeros(st.QUEUED + spec.standard.banks, st.ENTRY),
            config=config,
            counts=np.zeros(1, st.COUNTS),
            tensors=np.zeros(len(tensors), st.TENSOR_COUNTS),
            answer=np.zeros(1, st.ANSWER),
        )
        self.forget()

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`; a request that reads waits for its reads only: its writes are posted."""
        serve_runs(request.runs, request.indices, request.first, request.count, repeat, now, *self.arrays)
        ((done, self.queue, self.first, self.came),) = self.arrays.answer.tolist()
        return int(done)

    def counters(self) -> dict[str, int]:
        """Bytes by direction (and tensor), accesses, and what became of their rows."""
        size = self.spec.smallest_access
        ((reads, writes, activates, conflicts, refreshes),) = self.arrays.counts.tolist()
        found = {
            "read_bytes": reads * size,
            "write_bytes": writes * size,
            "accesses": reads + writes,
            "activates": activates,
            "row_hits": reads + writes - activates,
            "row_misses": activates - conflicts,
            "row_conflicts": conflicts,
            "refreshes": refreshes,
        }
        for name, (read, written) in zip(self.tensors, self.arrays.tensors.tolist(), strict=True):
            if read or written:
                found[f"{name}.read_bytes"], found[f"{name}.write_bytes"] = read, written
        return found

    def forget(self) -> None:
        """Start counting and the clock anew, all rows closed; the channels' refreshes are spread over one interval."""
        lanes, config, channels = self.arrays.lanes, self.arrays.config[0], self.spec.channels
        for counts in (self.arrays.counts, self.arrays.tensors):
            counts[:] = np.zeros(1, counts.dtype)
        lanes[:] = 0
        size = self.spec.standard.banks * config.blocks * config.bank_rows * PITCH
        banks = lanes[config.banks_at :][:size].reshape(-1, config.bank_rows, PITCH)
        banks[:, st.OPEN_ROW] = st.NO_ROW
        banks[:, st.TAGS :] = -1
        of_channels = lanes[config.channels_at :][: config.blocks * st.CHANNEL_ROWS * PITCH]
        spread = int(config.refresh_interval) * (1 + np.arange(channels)) // channels
        for channel in range(channels):
            block = of_channels.reshape(-1, st.CHANNEL_ROWS, PITCH)[channel // PITCH]
            block[st.NEXT_REFRESH, channel % PITCH] = spread[channel]


def _lay_out(spec: DramSpec, config: np.record) -> NDArray[np.int64]:
    """Words for the state, aligned to a cache line of the host; enters into `config` where its parts begin."""
    standard, window = spec.standard, spec.window
    blocks, tags = -(-spec.channels // PITCH), -(-window // 4)
    row = blocks * PITCH
    parts = {
        "channels_at": st.CHANNEL_ROWS * row,
        "ranks_at": standard.ranks * row,
        "groups_at": standard.ranks * standard.bank_groups * st.GROUP_ROWS * row,
        "banks_at": standard.banks * (st.TAGS + tags) * row,
        "rings_at": standard.banks * window * st.RING_ROWS * row,
    }
    config.blocks, config.bank_rows, config.tag_rows = blocks, st.TAGS + tags, tags
    words = st.PARTS
    for part, size in parts.items():
        config[part] = words
        words += -(-size // _LINE) * _LINE
    lanes = np.zeros(words + _LINE, np.int64)
    skipped = -lanes.ctypes.data // 8 % _LINE
    return lanes[skipped : skipped + words]


def _geometry(spec: DramSpec) -> dict[str, int]:
    """Sizes, counts and policies, as fields of CONFIG."""
    standard = spec.standard
    chunk = spec.interleave // spec.smallest_access
    refreshed = {"all_bank": standard.banks, "per_rank": standard.banks // standard.ranks, "per_bank": 1}
    return {
        "access": spec.smallest_access,
        "access_bits": _bits(spec.smallest_access),
        "chunk": chunk,
        "chunk_bits": _bits(chunk),
        "channels": spec.channels,
        "ranks": standard.ranks,
        "groups": standard.bank_groups,
        "banks": standard.banks_per_group,
        "hashed": spec.channel_hash,
        "window": spec.window,
        "closed": spec.page_policy == "closed",
        "refreshed": refreshed[standard.refresh.kind],
    }


def _bits(size: int) -> int:
    """The logarithm of a power of two, -1 for other sizes."""
    return size.bit_length() - 1 if size & (size - 1) == 0 else -1


def _times(spec: DramSpec) -> dict[str, int]:
    """Delays and services in ps at the channels' data rate, as fields of CONFIG."""
    standard = spec.at_rate
    bursts = spec.smallest_access // standard.burst
    bus = max(spec.burst_time, bursts * standard.service("rank", "RD"))
    groups = standard.bank_groups
    turn_around = (
        standard.delay("rank", "RD", "WR")
        + (standard.delay("rank", "WR", "RD") * (groups - 1) + standard.delay("bank_group", "WR", "RD")) // groups
    )
    cycle = max(
        standard.delay("bank", "ACT", "ACT"),
        standard.delay("bank", "ACT", "PRE") + standard.delay("bank", "PRE", "ACT"),
    )
    every = standard.latency(standard.refresh.interval)
    return {
        "lead": spec.latency - spec.closed_row_time,
        "bus_time": bus,
        "group_time": bursts * standard.service("bank_group", "RD"),
        "write_extra": max(0, turn_around - 2 * bus) // spec.write_batch,
        "act_rank": standard.service("rank", "ACT"),
        "act_group": standard.service("bank_group", "ACT"),
        "act_channel": standard.service("channel", "ACT"),
        "row_cycle": cycle,
        "act_to_column": standard.delay("bank", "ACT", "RD"),
        "read_latency": standard.timings["tCL"],
        "write_latency": standard.timings["tCWL"],
        "read_to_pre": standard.delay("bank", "RD", "PRE"),
        "write_to_pre": standard.delay("bank", "WR", "PRE"),
        "pre_to_act": standard.delay("bank", "PRE", "ACT"),
        "rank_switch": max(0, standard.delay("other_rank", "RD", "RD") - bus // bursts),
        "refresh_interval": every * _geometry(spec)["refreshed"] // standard.banks,
        "refresh_time": standard.latency(standard.refresh.duration),
    }


def _map(spec: DramSpec) -> dict[str, Any]:
    """The address map from the bottom, as fields of CONFIG. A channel count that is no power of two works as any other;
    fields above the row have one value."""
    standard = spec.standard
    sizes = {
        "channel": spec.channels,
        "rank": standard.ranks,
        "bank_group": standard.bank_groups,
        "bank": standard.banks_per_group,
        "column": standard.row // spec.interleave,
        "row": 1,
    }
    maps = {
        "channel": "channel_map",
        "rank": "rank_map",
        "bank_group": "group_map",
        "bank": "bank_map",
        "row": "row_map",
    }
    fields = list(reversed(standard.fields))
    found: dict[str, Any] = {}
    below, lower = {}, 1
    for i, name in enumerate(fields):
        size = sizes[name] if i < fields.index("row") else 1
        if name in maps:
            found[maps[name]] = tuple((divisor, *reciprocal(divisor)) for divisor in (size, lower))
        below[name] = lower
        lower *= size
    neighbours = below["channel"] == 1
    banks = spec.channels * standard.bank_groups * standard.banks_per_group
    rounds = neighbours and sizes["column"] > 1 and below["column"] == banks
    return found | {
        "neighbours": neighbours,
        "round_chunks": below["column"] if rounds else 0,
        "row_chunks": below["column"] * sizes["column"] if rounds else 0,
    }
