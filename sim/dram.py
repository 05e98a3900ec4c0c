"""The DRAM level: channels of one standard, its constraint table made into delays and servers, and how it answers."""

from __future__ import annotations

import numpy as np

from hwmodels.spec import Dram as DramSpec
from sim.compiled import bank_timing as bt
from sim.compiled.address import FIELDS
from sim.request import Request


class Dram:
    """All channels. State in ps: per channel the bus and the next refresh, per rank and bank group the servers, per
    bank its rows.

    The unloaded latency of the spec is what a core measures with the row closed: what is left after activation, column
    access and burst is the way between core and controller.
    """

    def __init__(self, spec: DramSpec, tensors: tuple[str, ...]) -> None:
        self.name, self.spec, self.tensors = spec.name, spec, tensors
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        standard = spec.standard
        bursts = spec.smallest_access // standard.burst
        bus = max(spec.burst_time, bursts * standard.service("rank", "RD"))
        groups = standard.bank_groups
        turn = (
            standard.delay("rank", "RD", "WR")
            + (standard.delay("rank", "WR", "RD") * (groups - 1) + standard.delay("bank_group", "WR", "RD")) // groups
        )
        turn = max(0, turn - 2 * bus)
        every = standard.latency(standard.refresh.interval)
        refreshed = {"all_bank": standard.banks, "per_rank": standard.banks // standard.ranks, "per_bank": 1}
        at_once = refreshed[standard.refresh.kind]
        cycle = max(
            standard.delay("bank", "ACT", "ACT"),
            standard.delay("bank", "ACT", "PRE") + standard.delay("bank", "PRE", "ACT"),
        )
        self.geometry = np.array(
            [
                spec.smallest_access,
                spec.interleave,
                spec.channel_hash,
                spec.channels,
                standard.ranks,
                standard.bank_groups,
                standard.banks_per_group,
                spec.window,
                spec.page_policy == "closed",
                spec.latency - spec.closed_row_time,
                bus,
                bursts * standard.service("bank_group", "RD"),
                turn // spec.write_batch,
                standard.service("rank", "ACT"),
                standard.service("bank_group", "ACT"),
                cycle,
                standard.delay("bank", "ACT", "RD"),
                standard.timings["tCL"],
                standard.delay("bank", "RD", "PRE"),
                standard.delay("bank", "WR", "PRE"),
                standard.delay("bank", "PRE", "ACT"),
                every * at_once // standard.banks,
                standard.latency(standard.refresh.duration),
                at_once,
                standard.service("channel", "ACT"),
                max(0, standard.delay("other_rank", "RD", "RD") - bus // bursts),
            ],
            np.int64,
        )
        sizes = {
            "row": 0,
            "rank": standard.ranks,
            "bank_group": standard.bank_groups,
            "bank": standard.banks_per_group,
            "channel": spec.channels,
            "column": standard.row // spec.interleave,
        }
        fields = list(reversed(standard.fields))
        self.order = np.array([FIELDS[field] for field in fields], np.int64)
        self.sizes = np.array([sizes[field] for field in fields], np.int64)
        groups = spec.channels * standard.ranks * standard.bank_groups
        self.channels = np.zeros((spec.channels, bt.CHANNEL_STATE), np.int64)
        self.acts = np.zeros((spec.channels, standard.ranks), np.int64)
        self.group_acts, self.group_columns = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
        self.banks = np.zeros((groups * standard.banks_per_group, bt.BANK_STATE), np.int64)
        self.ring = np.zeros((len(self.banks), spec.window, bt.RING_STATE), np.int64)
        self.counts = np.zeros(bt.COUNTS, np.int64)
        self.tensor_counts = np.zeros((len(tensors), bt.TENSOR_COUNTS), np.int64)
        self.moving = np.zeros(bt.MOVING, np.int64)
        self.forget()

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`; writes are posted: only reads are waited for."""
        bt.serve_runs(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            now,
            self.order,
            self.sizes,
            self.geometry,
            self.channels,
            self.acts,
            self.group_acts,
            self.group_columns,
            self.banks,
            self.ring,
            self.moving,
            self.counts,
            self.tensor_counts,
        )
        self.queue = int(self.moving[bt.QUEUE])
        self.first, self.came = int(self.moving[bt.FIRST]), int(self.moving[bt.CAME])
        return int(self.moving[bt.DONE])

    def counters(self) -> dict[str, int]:
        """Bytes by direction (and tensor), accesses, and what became of their rows."""
        size = self.spec.smallest_access
        accesses = int(self.counts[bt.READS] + self.counts[bt.WRITES])
        found = {
            "read_bytes": int(self.counts[bt.READS]) * size,
            "write_bytes": int(self.counts[bt.WRITES]) * size,
            "accesses": accesses,
            "activates": int(self.counts[bt.ACTIVATES]),
            "row_hits": accesses - int(self.counts[bt.ACTIVATES]),
            "row_misses": int(self.counts[bt.ACTIVATES] - self.counts[bt.CONFLICTS]),
            "row_conflicts": int(self.counts[bt.CONFLICTS]),
            "refreshes": int(self.counts[bt.REFRESHES]),
        }
        for i, tensor in enumerate(self.tensors):
            if self.tensor_counts[i].any():
                found[f"{tensor}.read_bytes"] = int(self.tensor_counts[i, bt.READ_BYTES])
                found[f"{tensor}.write_bytes"] = int(self.tensor_counts[i, bt.WRITE_BYTES])
        return found

    def forget(self) -> None:
        """Start counting and the clock anew, all rows closed; the channels' refreshes are spread over one interval."""
        for array in (
            self.channels,
            self.acts,
            self.group_acts,
            self.group_columns,
            self.banks,
            self.ring,
            self.counts,
            self.tensor_counts,
        ):
            array[...] = 0
        self.ring[:, :, bt.RING_ROW] = -1
        interval = int(self.geometry[bt.REFRESH_INTERVAL])
        self.channels[:, bt.NEXT_REFRESH] = interval * (1 + np.arange(self.spec.channels)) // self.spec.channels
