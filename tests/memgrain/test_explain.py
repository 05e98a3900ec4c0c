"""`explain` describes a number and names the functions that read it."""

from __future__ import annotations

import pytest

from memgrain.analysis.explain import explain
from memgrain.analysis.readers import TABLE, readers
from memgrain.cli import call
from memgrain.hwmodels import read_chip
from memgrain.workloads import Workload, known_keys
from tests.readers_table import text


def test_a_number_of_a_chip() -> None:
    found = explain("l2.ways")
    assert found.sentence == "lines of a set"
    assert found.unit == "whole number"
    toy = next(value for value in found.values if value.chip == "toy")
    assert toy.text == "16"
    assert toy.provenance is not None
    assert toy.provenance.source == "invented for tests"
    assert "mlu370_x8" in found.without
    assert any(reader.startswith("sim/cache/cache.py:") for reader in found.readers)
    assert "hwmodels/spec.py:Cache.sets" in found.readers


@pytest.mark.parametrize(
    ("path", "unit", "text"),
    [
        ("l2.capacity", "size in bytes", "1 MiB"),
        ("hbm.bandwidth", "bandwidth", "64 GB/s"),
        ("core.clock", "frequency", "1 GHz"),
        ("launch_overhead", "duration", "1 us"),
        ("l2.replacement", "one of lru, fifo", "lru"),
        ("hbm.channel_hash", "true or false", "true"),
        ("l2.sets", "derived", "512"),
        ("core.matmul.tile.k", "whole number", "16"),
        ("core.matmul.macs_per_cycle.fp8", "number", "2048"),
        ("core.vector.exps_per_cycle", "number", "16"),
        ("hbm.standard.timings.tRCD", "duration", "14 ns"),
    ],
)
def test_units_and_values_are_written_as_in_the_files(path: str, unit: str, text: str) -> None:
    found = explain(path, "toy")
    assert unit in found.unit
    assert found.values[0].text in (text, f"{text}.0")
    assert found.sentence


def test_a_key_of_a_workload_and_a_metric() -> None:
    found = explain("shape.head_dim")
    assert found.sentence == "Elements of a row of Q and K."
    assert any(reader.startswith("workloads/") for reader in found.readers)
    assert explain("amplification").sentence == "Bytes read from DRAM for each useful byte."


def test_every_number_of_a_chip_and_every_key_of_a_workload_can_be_explained() -> None:
    for path in read_chip("toy").provenance:
        if "constraints" not in path:
            assert explain(path, "toy").sentence, path
    for path in known_keys(Workload):
        assert explain(path).sentence or "." not in path, path


def test_the_table_of_readers_is_what_the_source_says() -> None:
    assert TABLE.read_text(encoding="utf-8") == text(), "write it anew: python -m tests.readers_table"
    assert explain("hbm.standard.timings.tRCD").readers == readers("DramStandard.timings.tRCD") != []
    assert not any("scratchpad" in reader for reader in readers("Cache.fill_granule")), "records are told apart"
    assert readers("no_such_number_anywhere") == []


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["explain", "l2.ways", "--chip", "h100_sxm"]) == 0
    text = capsys.readouterr().out
    for part in ("lines of a set", "h100_sxm", "assumed", "16 … 20", "read by", "sim/cache/cache.py:"):
        assert part in text
