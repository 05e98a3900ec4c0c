"""Every number of a chip and of a DRAM standard, halved and doubled: time goes the way that physics says.

`DIRECTIONS` says which way, by the last part of a number's name (with the level before it where that decides). What has
no direction stands in `EITHER` with the reason; `test_every_parameter_matters` sees to it that it moves a result. What
does not bind at a chip's own numbers binds at the point that `BINDS` states. A refusal counts as an answer if it is one
line that says what to do.

Programs that share units and channels take turns differently when one number changes, and short probes see more or
fewer refreshes: single probes may go the wrong way by `NOISE`, all together may not. So a quicker matrix unit makes the
H100's fp8 prefill longer by 1.3 % while two programs of a core take turns at its vector units; with one program a core,
or quick vector units, it never does. On two of the MLU370-X4's channels, fewer bytes in flight make a prefill shorter
by 1.3 %, as the next tile no longer comes between the first ones of the other cores; with six channels, or quick units,
nothing is left of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import log

import pytest

from memgrain import hwmodels
from memgrain.hwmodels.load import FOLDER, read_chip
from memgrain.sim import SimulationError
from memgrain.sim.dram.channel import Queues, keep_busy, one_channel
from memgrain.workloads import Trace
from tests.properties.test_every_parameter_matters import CHOICES, NUMBER, collectives, outcome, probes, small

FASTER, SLOWER = -1, 1
DIRECTIONS = {
    **dict.fromkeys(
        ("bandwidth", "write_bandwidth", "clock", "exps_per_cycle", "ops_per_cycle", "sync_share", "banks",
         "bank_width", "write_batch", "max_bytes_in_flight", "max_programs", "count", "bf16", "fp16", "fp8",
         "int8", "fp32", "l2.capacity", "tREFI", "copy_bandwidth", "pair_bandwidth", "share"),
        FASTER,
    ),
    **dict.fromkeys(
        ("latency", "far_latency", "program_start", "launch_overhead", "mixed_launch", "dispatch", "barrier",
         "dma_startup", "dma_row", "dma_merge", "interval", "tRP",
         "tRAS", "tCWL", "tCCD_L", "tRRD_S", "tRRD_L", "tFAW", "tRTP", "tWR", "tRTW", "tWTR_S", "tWTR_L", "tRFC",
         "tRTRS", "startup", "fence"),
        SLOWER,
    ),
}  # fmt: skip
"""What a larger value does to time."""
EITHER = {
    "capacity": "of a scratchpad: whether a program fits; of the DRAM: where the probes' rows lie",
    "m n k": "a smaller tile pads less, at the same rate",
    "multicast": "bytes of products, not time alone",
    "cores_per_cluster": "cores that share a port, at the same number of cores",
    "line": "larger lines fetch ahead, and leave fewer sets",
    "sector": "larger sectors fetch ahead, and fetch what nobody reads",
    "fill_granule": "as sectors",
    "ways": "at the same capacity more ways are fewer sets",
    "dirty_share": "write-backs move from one kernel to the next",
    "write_allocate": "a choice",
    "partitions": "near and far hits at the same capacity",
    "replicate": "near hits against capacity",
    "alignment": "rounds rows up and joins them",
    "dma_rows": "commands of a block, of which only the time between two counts",
    "largest": "size and number of requests",
    "smallest": "size and number of requests",
    "slices": "at the same bandwidth more slices are slower ones",
    "window": "joins rows that wait in one bank: see test_dram.test_a_window_joins_pending_rows",
    "channels": "at the same bandwidth more channels are slower ones",
    "interleave": "spreads streams, and splits rows",
    "channel_hash": "spreads strides, and breaks streams",
    "smallest_access": "fewer accesses, and bytes that nobody reads",
    "clock_period": "in a chip the clock follows from the bandwidth: see test_a_longer_clock_is_a_slower_channel",
    "shortest_clock": "only what the loader refuses: see test_the_shortest_clock_bounds_the_bandwidth",
    "burst": "bytes of a command at the same bandwidth",
    "ranks": "more banks, and turns between ranks",
    "bank_groups": "more banks, at another place of an address",
    "banks_per_group": "more banks, at another place of an address",
    "row": "more hits in an open row, at another place of an address",
    "tRCD": "a part of the chip's latency, which is of a closed row: a longer one leaves less for the way",
    "tCL": "a part of the chip's latency, likewise",
    "tBL": "clocks of a burst, of which the bandwidth sets the time",
    "tCCD_S": "clocks of a burst, likewise",
    "piece": "rows at odd addresses: fewer pieces, and fewer rows that suit",
    "rows": "pages of a whole model's step, which no probe here is: see test_every_parameter_matters",
    "chips": "where the nearer tier ends",
    "largest_exchange": "which protocol serves a size",
}
"""Numbers without a direction, and why."""
BINDS: dict[str, dict[str, object]] = {
    "bandwidth": {"bandwidth": "10 GB/s"},
    "write_bandwidth": {"write_bandwidth": "2 GB/s"},
    **{dtype: {dtype: 64} for dtype in ("fp8", "int8")},
    "l2.capacity": {"capacity": "4 MiB"},
    "banks": {"clock": "10 MHz"},
    "bank_width": {"clock": "10 MHz"},
    "clock": {"clock": "10 MHz"},
    "write_batch": {"write_batch": 2, "standard.timings.tRTW": "5 us"},
    "max_bytes_in_flight": {"max_bytes_in_flight": "2 KiB"},
    "max_programs": {"max_programs": 2},
    "dispatch": {"dispatch": "200 ns"},
    "mixed_launch": {"mixed_launch": "1 us"},
    "tRRD_S": {"tRRD_S": "20 ns", "tFAW": "80 ns"},
    "tFAW": {"tFAW": "200 ns"},
    "tRTRS": {"tRTRS": "20 ns"},
    "tCCD_L": {"tCCD_L": "30 ns"},
    **{name: {name: "1 us"} for name in ("tRAS", "tRP", "tRTP", "tRRD_L", "tWR")},
    **{name: {name: "5 us"} for name in ("tCWL", "tRTW", "tWTR_S", "tWTR_L")},
}
"""Points at which numbers bind that do not elsewhere: values beside the number, itself included."""
NOISE = 0.06
DRAM_PROBES = ("stream", "dirty", "rows", "wide", "wide_dirty", "chase", "topk")
Answer = Mapping[str, int] | str
Probes = dict[str, tuple[Trace, str]]


def scaled(value: object, factor: float) -> object:
    """A number as the YAML has it, times `factor`."""
    if isinstance(value, int):
        return max(1, round(value * factor))
    if isinstance(value, float):
        return value * factor
    match = NUMBER.match(str(value))
    assert match
    number = float(match[1]) * factor
    return f"{max(1, round(number))} nCK" if match[2] == "nCK" else f"{number:.9g} {match[2]}"


def direction(path: str) -> int | None:
    """Which way a number goes; None for those in `EITHER`."""
    level, _, key = path.rpartition(".")
    named = f"{level.rpartition('.')[2]}.{key}"
    found = DIRECTIONS.get(named, DIRECTIONS.get(key))
    if found is None:
        known = {name for names in EITHER for name in names.split()} | set(CHOICES)
        assert key in known or ".constraints." in path, f"{path} is neither in DIRECTIONS nor in EITHER"
    return found


def point(path: str) -> dict[str, object]:
    """The overrides at which the number binds."""
    level, _, key = path.rpartition(".")
    beside = BINDS.get(f"{level.rpartition('.')[2]}.{key}", BINDS.get(key, {}))
    return {f"{level}.{name}": value for name, value in beside.items()}


def one_line(error: Exception) -> str:
    """The message of a refusal: one line, with what to do behind a semicolon."""
    assert re.fullmatch(r"[^\n]+; [^\n]+", str(error)), error
    return str(error)


def times(name: str, overrides: dict[str, object], asked: Probes) -> Answer:
    """The time of each probe, or the refusal."""
    try:
        chip = hwmodels.load_chip(name, overrides)
        return {probe: outcome(chip, *case)[0] for probe, case in asked.items()}
    except (hwmodels.HardwareError, SimulationError) as error:
        return one_line(error)


def wrong(name: str, base: dict[str, object], path: str, value: object, asked: Probes, usual: Answer) -> str | None:
    """What is wrong with a number's direction at its own value or, if it does not bind there, at its point."""
    sign = direction(path) or 0
    for beside in ({}, point(path)):
        here = {**base, **beside}
        at = here.get(path, value)
        before = usual if not beside else times(name, here, asked)
        ends = [times(name, {**here, path: scaled(at, factor)}, asked) for factor in (0.5, 2)]
        bound = False
        for end, up in zip(ends, (-1, 1), strict=True):
            if isinstance(end, str) or isinstance(before, str):
                continue
            moved = {probe: sign * up * log(end[probe] / before[probe]) for probe in asked}
            worst = min(moved, key=lambda probe: moved[probe])
            if moved[worst] < -NOISE:
                return f"{path} {at} x{2.0**up:g}: {worst} goes the wrong way by {-moved[worst]:.1%}"
            if sum(moved.values()) < -NOISE:
                return f"{path} {at} x{2.0**up:g}: all probes together go the wrong way"
            bound |= max(moved.values()) > 1e-4 and sum(moved.values()) > 0
        if bound or all(isinstance(end, str) for end in ends):
            return None
    return f"{path}: binds neither at {value} nor at {point(path)}"


def numbers(name: str, base: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Every number of a chip that has a direction, links to other chips aside."""
    for path, item in read_chip(name, base).provenance.items():
        value = base.get(path, item.value)
        is_number = not isinstance(value, bool) and (isinstance(value, int | float) or NUMBER.match(str(value)))
        if is_number and not path.startswith("interconnect.") and direction(path) is not None:
            yield path, value


QUICK = ["toy"]


def own(name: str) -> set[str]:
    """Numbers of a chip that no other test covers: not those of its standard and, where it extends another chip, only
    what differs from that."""
    parent = re.search(r"^extends: (\w+)", (FOLDER / "chips" / f"{name}.yaml").read_text(encoding="utf-8"), re.M)
    known = {} if parent is None else read_chip(parent[1]).provenance
    return {
        path
        for path, item in read_chip(name).provenance.items()
        if ".standard." not in path and (path not in known or known[path].value != item.value)
    }


def check_chip(name: str, paths: set[str] | None = None) -> None:
    base = small(name)
    asked = probes(hwmodels.load_chip(name, base))
    usual = times(name, base, asked)
    mine = [(path, value) for path, value in numbers(name, base) if paths is None or path in paths]
    found = [wrong(name, base, path, value, asked, usual) for path, value in mine]
    assert [line for line in found if line] == []


@pytest.mark.parametrize("name", QUICK)
def test_time_goes_the_way_that_physics_says(name: str) -> None:
    check_chip(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(hwmodels.chip_names()) - set(QUICK)))
def test_time_of_the_others_goes_the_way_that_physics_says(name: str) -> None:
    check_chip(name, own(name))


def check_standard(name: str) -> None:
    """The toy before two channels of the standard at its own clock."""
    standard = hwmodels.load_standard(name)
    access = max(64, standard.burst)
    base: dict[str, object] = {
        **small("toy"),
        "hbm.standard": name,
        "hbm.bandwidth": f"{2 * standard.peak} B/s",
        "hbm.smallest_access": f"{access} B",
        "l2.fill_granule": f"{access} B",
    }
    asked = {probe: case for probe, case in probes(hwmodels.load_chip("toy", base)).items() if probe in DRAM_PROBES}
    usual = times("toy", base, asked)
    mine = [(path, value) for path, value in numbers("toy", base) if path.startswith("hbm.standard.")]
    assert len(mine) > 10
    found = [wrong("toy", base, path, value, asked, usual) for path, value in mine]
    assert [line for line in found if line] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", hwmodels.standard_names())
def test_time_goes_the_way_that_a_standard_says(name: str) -> None:
    check_standard(name)


LINKED = [
    pytest.param(name, marks=[] if name in ("toy", "ascend_910b1") else pytest.mark.slow)
    for name in hwmodels.chip_names()
    if hwmodels.load_chip(name).interconnect
]


@pytest.mark.parametrize("name", LINKED)
def test_collectives_go_the_way_that_physics_says(name: str) -> None:
    """Of 2 to 8 chips, within a node as the chip has it and over nodes of four."""
    unmoved: set[str] = {path for path, _ in links(name)}
    for base in ({}, {"interconnect.node.chips": 4}):
        usual = list(collectives(hwmodels.load_chip(name, base)))
        for path, value in links(name):
            for factor in (0.5, 2):
                try:
                    changed = hwmodels.load_chip(name, {**base, path: scaled(value, factor)})
                except hwmodels.HardwareError as error:
                    one_line(error)
                    continue
                for now, before in zip(collectives(changed), usual, strict=False):
                    if not (isinstance(now, str) or isinstance(before, str)):
                        assert (direction(path) or 0) * (factor - 1) * (now - before) >= 0, (path, factor)
                        if now != before:
                            unmoved.discard(path)
    assert unmoved == set()


def links(name: str) -> Iterator[tuple[str, object]]:
    """Every number of a chip's links that has a direction."""
    for path, item in read_chip(name).provenance.items():
        if path.startswith("interconnect.") and NUMBER.match(str(item.value)) and direction(path) is not None:
            yield path, item.value


@pytest.mark.parametrize("name", hwmodels.standard_names())
def test_a_longer_clock_is_a_slower_channel(name: str) -> None:
    standard = hwmodels.load_standard(name)
    found = {}
    for factor in (1, 2, 4):
        spec = one_channel(standard.at(Fraction(standard.clock_period * factor)), 8, "open")
        found[factor] = keep_busy(spec, (standard.burst * i for i in range(10**5)), 10_000_000, Queues(32, 8)).bandwidth
    assert found[1] > found[2] > found[4]
    assert found[4] < 0.6 * found[1]


@pytest.mark.parametrize("name", hwmodels.standard_names())
def test_more_clocks_a_burst_are_a_slower_channel(name: str) -> None:
    """The bus is free again after the longer of tBL and tCCD_S, at the same clock."""
    usual = hwmodels.load_standard(name)
    for timing in {"tBL", "tCCD_S"} & usual.timings.keys():
        longer = usual.model_copy(update={"timings": {**usual.timings, timing: 2 * usual.burst_time}})
        found = [
            keep_busy(one_channel(spec, 8, "open"), (spec.burst * i for i in range(10**5)), 10_000_000, Queues(32, 8))
            for spec in (usual, longer)
        ]
        assert found[1].bandwidth < 0.7 * found[0].bandwidth, timing


@pytest.mark.parametrize("name", hwmodels.standard_names())
def test_the_shortest_clock_bounds_the_bandwidth(name: str) -> None:
    standard = hwmodels.load_standard(name)
    access = max(64, standard.burst)
    rest = {"hbm.standard": name, "hbm.smallest_access": f"{access} B", "l2.fill_granule": f"{access} B"}
    most = 4 * standard.fastest.peak
    assert hwmodels.load_chip("toy", {**rest, "hbm.bandwidth": f"{most} B/s"}).dram.bandwidth == most
    with pytest.raises(
        hwmodels.HardwareError, match=rf"4 channels of {name} carry at most .* raise hbm.channels to 5 or"
    ):
        hwmodels.load_chip("toy", {**rest, "hbm.bandwidth": f"{most * 101 // 100} B/s"})
    faster = {**rest, "hbm.bandwidth": f"{most * 11 // 10} B/s", "hbm.standard.shortest_clock": "200 ps"}
    assert hwmodels.load_chip("toy", faster).dram.at_rate.clock_period >= 200
