"""Does a description become the chip that it means, and a wrong one a line that says the mend?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memgrain.hwmodels import HardwareError, load_chip, load_standard, read_chip
from memgrain.hwmodels.load import FOLDER

TOY = (FOLDER / "chips" / "toy.yaml").read_text(encoding="utf-8")
WAYS = "ways: {value: 16, kind: derived, source: T}"
ONE_PART = "partitions: {value: 1, kind: derived, source: T}"
SIZE = "capacity: {value: 1 MiB, kind: derived, source: T}"


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (SIZE, "capacity: 50", "expected a size such as '50 MiB', got 50"),
        (SIZE, "capacity: 50 ns", "expected a size such as '50 MiB', got '50 ns'"),
        (SIZE, "capacity: -5 MiB", "got '-5 MiB'"),
        (SIZE, "capacity: 1e400 B", "does not fit into 64 bits"),
        (SIZE, "capacity: 1000 B", "capacity 1000 is not a multiple of line x ways x partitions = 2048; change ways"),
        (WAYS, "ways: -4", "expected ways > 0, got -4 @ l2.ways; set ways > 0"),
        (WAYS, "ways: 16.0", "expected an integer, got 16.0"),
        (WAYS, "ways: true", "expected an integer, got True"),
        (WAYS, "ways: 128", "at most 64 ways are simulated, got 128; lower ways"),
        (WAYS, "ways:", "got None"),
        (WAYS, "ways: 4\n    ways: 8", "key 'ways' stands twice"),
        (WAYS, WAYS + "\n    wayz: 4", "unknown key 'wayz' @ l2.wayz; did you mean 'l2.ways'"),
        ("    " + WAYS + "\n", "", "expected a value, got nothing @ l2.ways; add ways:"),
        (
            WAYS,
            "ways: {value: 16, kind: guess, source: T}",
            "kind 'guess' is none of measured, vendor, derived, assumed",
        ),
        (WAYS, "ways: {value: 16, source: T}", "kind None is none of"),
        (
            WAYS,
            "ways: {value: 16, kind: vendor, source: X}",
            "source 'X' is not listed under sources @ l2.ways; add it",
        ),
        (WAYS, "ways: {value: 16, kind: vendor, source: [X]}", "is not listed under sources"),
        (WAYS, "ways: {value: 16, kind: assumed, source: T}", "an assumed value needs a range and a reason @ l2.ways"),
        (WAYS, "ways: {value: 16, kind: assumed, source: T, range: , reason: x}", "needs a range and a reason"),
        (WAYS, "ways: {value: 16, kind: vendor, source: T, range: 5}", "range must be [lowest, highest], got 5"),
        (WAYS, "ways: {value: 16, kind: vendor, source: T, range: [5]}", "range must be [lowest, highest], got [5]"),
        ("replacement: lru", "replacement: mru", "got 'mru'"),
        (ONE_PART, "partitions: 2\n    replicate: true\n    far_latency: 1 ns", "the far partition is no nearer @ l2"),
        (
            ONE_PART,
            "partitions: 2",
            "replicate is for caches of several partitions, partitions is 2; add replicate @ l2",
        ),
        ("alignment:", "dma_rows: 4\n        alignment:", "describe one engine; give both or neither @ smem"),
        (
            "fill_granule: {value: 64 B",
            "fill_granule: {value: 16 B",
            "sector 32 <= fill_granule 16 <= line 128 must hold",
        ),
        (
            ONE_PART,
            "partitions: 8\n    replicate: true\n    far_latency: 1 us",
            "slices 4 must be a multiple of partitions 8",
        ),
        ("standard: hbm3", "standard: hbm33", "no DRAM standard 'hbm33'; did you mean 'hbm3'"),
        ("standard: hbm3", "standard: 3", "got 3"),
        ("latency: {value: 400 ns", "latency: {value: 4 ns", "latency 4000 ps is below the 32000 ps that a closed row"),
        (
            "  - kind: cache\n    name: l2",
            "  - name: l2",
            "expected a kind, got nothing @ l2.kind; add kind: cache or",
        ),
        (
            "  - kind: cache",
            "  - kind: cash",
            "link, dram, got 'cash' @ l2.kind; did you mean 'cache'?",
        ),
        ("name: l2", "name: hbm", "names must be unique and no field of a chip: hbm; rename"),
        (
            "    clock: {value: 1 GHz, kind: derived, source: T}\n    matmul",
            "    cores_per_cluster: 3\n    clock: 1 GHz\n    matmul",
            "count 4 is not a multiple of cores_per_cluster 3",
        ),
        ("{bf16: 1024", "{fp4: 1024", "got 'fp4'"),
        ("exps_per_cycle: {value: 16", "exps_per_cycle: {value: .inf", "finite number, got inf"),
        ("title: Toy", "title: [Toy", "not valid YAML"),
        ("title: Toy", "title: *x", "not valid YAML"),
        ("title: Toy", "title: !!python/name:os.system x", "not valid YAML"),
        ("sources:\n  T: invented for tests", "sources: [T]", "sources must map keys to citations, got list @ sources"),
        ("sources:\n  T: invented for tests", "sources:", "source 'T' is not listed under sources"),
        (TOY, "", "expected a mapping of keys, got NoneType"),
        (TOY, "[1]", "expected a mapping of keys, got list"),
        (TOY, "extends: nope", "no chip 'nope'; known: "),
        (TOY, "extends: toi", "did you mean 'toy'?"),
        (TOY, "extends: [toy]", "no chip '['toy']'"),
        (TOY, "extends: toy\nmemory: 5", "expected a list, got 5 @ memory; give a list"),
        (TOY, "extends: toy\nmemory: [{name: [l2]}]", "has no kind and does not extend one"),
        (TOY, "extends: toy\nmemory: [{name: l3, ways: 4}]", "or correct the name @ l3"),
        (TOY, "extends: toy\nmemory: [{name: l2, capacity: 7}]", "expected a size such as '50 MiB', got 7"),
    ],
)
def test_a_wrong_file_gives_one_line_with_the_mend(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    assert old in TOY
    text = TOY.replace(old, new)
    with pytest.raises(HardwareError) as caught:
        load_chip(write(tmp_path, text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("mine.yaml: ", "no "))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"title: \xff")
    for path, complaint in [(tmp_path / "none.yaml", "No such file"), (tmp_path / "latin.yaml", "not UTF-8 text")]:
        with pytest.raises(HardwareError, match=complaint):
            load_chip(path)


def test_unknown_names_suggest_a_known_one() -> None:
    with pytest.raises(HardwareError, match=r"no chip 'h100'; did you mean 'h100_sxm'\?; known: .*or give a \.yaml"):
        load_chip("h100")
    with pytest.raises(HardwareError, match=r"no DRAM standard 'hbm4'; did you mean 'hbm"):
        load_standard("hbm4")


@pytest.mark.parametrize("ring", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_circular_extends(ring: list[str], tmp_path: Path) -> None:
    for name, parent in zip(ring, ring[1:] + ring[:1], strict=True):
        write(tmp_path, f"extends: {parent}", name)
    with pytest.raises(HardwareError, match=r"a\.yaml: extends itself by way of a\.yaml.*; break the circle"):
        load_chip(tmp_path / "a.yaml")


def test_extending_changes_what_is_named_and_keeps_the_rest(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        extends: toy
        title: Mine
        sources: {M: measured by me}
        memory:
          - name: l2
            ways: {value: 32, kind: measured, source: M, range: [16, 64]}
        cores:
          - name: core
            matmul: {macs_per_cycle: {fp16: 2048}}
        """,
    )
    toy, mine = load_chip("toy"), read_chip(path)
    assert (mine.chip.name, mine.chip.title, mine.chip.note) == ("mine", "Mine", toy.note)
    assert mine.chip.cache is not None
    assert toy.cache is not None
    assert mine.chip.cache.ways == 32
    assert mine.chip.cache.model_copy(update={"ways": 16}) == toy.cache
    assert mine.chip.matmul_core.matmul is not None
    assert mine.chip.matmul_core.matmul.macs_per_cycle == {
        "bf16": 1024,
        "fp16": 2048,
        "fp8": 2048,
        "int8": 2048,
        "fp32": 256,
    }
    assert mine.chip.dram == toy.dram
    assert mine.provenance["l2.ways"].source == "measured by me"
    assert mine.provenance["l2.ways"].range == (16, 64)
    assert mine.provenance["l2.line"].source == "invented for tests"
    assert mine.provenance["core.matmul.macs_per_cycle.fp16"].kind == "unsourced"


def test_extending_a_file_beside_it_and_a_standard_beside_it(tmp_path: Path) -> None:
    standard = (FOLDER / "dram" / "hbm2e.yaml").read_text(encoding="utf-8")
    write(tmp_path, standard.replace("value: 14 ns", "value: 15 ns"), "hbm3")
    write(tmp_path, "extends: toy\ntitle: Middle", "middle")
    chip = load_chip(write(tmp_path, "extends: middle\nvendor: me"))
    assert (chip.title, chip.vendor, chip.dram.standard.timings["tRCD"]) == ("Middle", "me", 15_000)


def test_a_new_level_is_appended(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        extends: toy
        cores:
          - name: core
            near:
              - {kind: link, name: port, scope: core, bandwidth: 1 GB/s, latency: 1 ns}
        """,
    )
    assert [level.name for level in load_chip(path).levels] == ["smem", "port", "l2", "hbm"]


@pytest.mark.parametrize(
    ("dotted", "value", "read"),
    [
        ("l2.ways", 32, lambda chip: chip.cache.ways == 32),
        ("l2.ways", "32", lambda chip: chip.cache.ways == 32),
        ("l2.capacity", "2 MiB", lambda chip: chip.cache.capacity == 2**21),
        ("l2.replacement", "plru", lambda chip: chip.cache.replacement == "plru"),
        ("smem.banks", 16, lambda chip: chip.scratchpad.banks == 16),
        ("core.clock", "2 GHz", lambda chip: chip.matmul_core.clock == 2 * 10**9),
        ("core.matmul.macs_per_cycle.fp16", 99, lambda chip: chip.matmul_core.matmul.macs_per_cycle["fp16"] == 99),
        ("launch_overhead", "5 us", lambda chip: chip.launch_overhead == 5_000_000),
        ("hbm.standard", "ddr5", lambda chip: chip.dram.standard.name == "ddr5"),
        ("hbm.standard.timings.tFAW", "30 ns", lambda chip: chip.dram.standard.service("channel", "ACT") == 7_500),
        ("hbm.standard.timings.tFAW", "100 nCK", lambda chip: chip.dram.standard.timings["tFAW"] == 76_400),
    ],
)
def test_overrides(dotted: str, value: Any, read: Any) -> None:
    found = read_chip("toy", {dotted: value})
    assert read(found.chip)
    assert found.provenance[dotted].kind == "override"
    assert not read(load_chip("toy"))


def test_a_standard_and_one_of_its_timings_can_be_overridden_in_turn() -> None:
    chip = load_chip("toy", {"hbm.standard": "hbm2e", "hbm.standard.timings.tRCD": "20 ns"})
    assert (chip.dram.standard.name, chip.dram.standard.timings["tRCD"]) == ("hbm2e", 20_000)


@pytest.mark.parametrize(
    ("dotted", "value", "complaint"),
    [
        ("l2.wayz", 3, "no 'l2.wayz' to override; did you mean 'ways'?; keys there: "),
        ("l3.ways", 3, "no 'l3' to override"),
        ("ways", 3, "no 'ways' to override; keys there: title"),
        ("l2.ways.x", 3, "no 'l2.ways.x' to override"),
        ("", 3, "no '' to override"),
        ("l2.capacity", 7, "expected a size such as '50 MiB', got 7"),
        ("l2.ways", "[1", "'[1' is not a YAML value; quote or correct it @ l2.ways"),
        ("l2.ways", 0, "expected ways > 0, got 0"),
        ("l2.ways", "many", "expected an integer, got 'many'"),
        ("hbm.standard", "hbm9", "no DRAM standard 'hbm9'"),
        ("hbm.standard.timings.tXX", "8 ns", "no 'hbm.standard.timings.tXX' to override"),
        ("cores", [], "at least 1 item"),
    ],
)
def test_wrong_overrides(dotted: str, value: Any, complaint: str) -> None:
    with pytest.raises(HardwareError) as caught:
        load_chip("toy", {dotted: value})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chip_cannot_be_changed_and_is_equal_to_itself_read_again() -> None:
    chip = load_chip("toy")
    assert chip == load_chip("toy")
    with pytest.raises(ValueError, match="frozen"):
        chip.title = "other"


def test_provenance_of_a_standard_goes_by_the_name_of_its_level() -> None:
    item = read_chip("toy").provenance["hbm.standard.timings.tFAW"]
    assert (item.path, item.value, item.kind, item.range) == (
        "hbm.standard.timings.tFAW",
        "20 ns",
        "derived",
        ("15 ns", "30 ns"),
    )


PART = """
extends: toy
sources: {ME: me}
memory:
  - name: hbm
    standard: {extends: hbm3, timings: {tFAW: {value: 16 ns, kind: measured, source: ME, range: [15 ns, 17 ns]}}}
"""


def test_a_chip_changes_a_timing_of_its_standard(tmp_path: Path) -> None:
    """The rest stays the standard's, with its sources; a chip that names another standard takes nothing over."""
    path = write(tmp_path, PART)
    found, toy = read_chip(path), read_chip("toy")
    assert found.chip.dram.standard.timings == toy.chip.dram.standard.timings | {"tFAW": 16_000}
    assert (found.chip.dram.standard.name, found.chip.dram.standard.row) == ("hbm3", 1024)
    item = found.provenance["hbm.standard.timings.tFAW"]
    assert (item.kind, item.source, item.range) == ("measured", "me", ("15 ns", "17 ns"))
    assert found.provenance.keys() == toy.provenance.keys()
    assert found.provenance["hbm.standard.timings.tRFC"] == toy.provenance["hbm.standard.timings.tRFC"]
    other = read_chip(write(tmp_path, "extends: mine\nmemory: [{name: hbm, standard: hbm2e}]", "other"))
    assert other.chip.dram.standard == load_standard("hbm2e")
    assert load_chip(path, {"hbm.standard.timings.tFAW": "18 ns"}).dram.standard.timings["tFAW"] == 18_000


def test_a_timing_that_the_standard_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"mine\.yaml: hbm3 has no timing 'tFAV'; did you mean 'tFAW'"):
        load_chip(write(tmp_path, PART.replace("tFAW", "tFAV")))
