"""Does `memgrain trace` write, read and show traces, and say in one line what is wrong?"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from memgrain.cli import call
from memgrain.hwmodels import load_chip
from memgrain.runs.task import Task
from memgrain.sim import simulate
from memgrain.workloads import READ, Trace, WorkloadError, count_bytes, expand, load_trace, save_trace, stream
from memgrain.workloads.formats import FLAT_FORMATS, load

SHORT = ["--set", "shape.kv_len=4096"]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What `memgrain trace show` prints as JSON."""
    assert call(["trace", "show", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def topk() -> Trace:
    """decode_topk on toy, short."""
    (trace,) = Task("toy", {}, "decode_topk", {"shape.kv_len": 4096}).resolve().kernels()
    return trace


@pytest.mark.parametrize("name", FLAT_FORMATS)
def test_out_in_and_out_again(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suffix = FLAT_FORMATS[name].suffix
    first, own, second = (str(tmp_path / file) for file in (f"a{suffix}", "b.parquet", f"c{suffix}"))
    assert call(["trace", "export", "decode_topk", "-o", first, "--chip", "toy", "--granule", "64", *SHORT]) == 0
    assert call(["trace", "import", first, "-o", own]) == 0
    assert call(["trace", "export", own, "-o", second, "--format", name]) == 0
    assert Path(first).read_bytes() == Path(second).read_bytes()
    capsys.readouterr()
    rebuilt, original = shown(capsys, own), shown(capsys, "decode_topk", "--chip", "toy", "--granule", "64", *SHORT)
    for key in ("accesses", "distinct_lines", "stack_distances"):
        assert rebuilt[key] == original[key]
    assert rebuilt["programs"] == 1


def test_show_counts_what_brute_force_counts(capsys: pytest.CaptureFixture[str]) -> None:
    numbers, pieces = shown(capsys, "decode_topk", "--chip", "toy", *SHORT), expand(topk())
    cache = load_chip("toy").cache
    assert cache is not None
    line = cache.line
    touched: dict[int, set[int]] = {}
    for piece in pieces:
        low, high = int(piece["address"]), int(piece["address"]) + int(piece["bytes"]) - 1
        touched.setdefault(int(piece["tensor"]), set()).update(range(low // line, high // line + 1))
    names = [tensor.name for tensor in topk().tensors]
    assert {names[number]: len(lines) for number, lines in touched.items()} == {
        name: part["lines"] for name, part in numbers["tensors"].items()
    }
    assert {name: (part["read_bytes"], part["written_bytes"]) for name, part in numbers["tensors"].items()} == (
        count_bytes(topk())
    )
    assert numbers["granule"] == line
    assert numbers["accesses"] == numbers["distinct_lines"] + sum(d["accesses"] for d in numbers["stack_distances"])
    assert numbers["footprint_bytes"] == line * sum(map(len, touched.values()))


def test_passes_over_a_stream_come_back_at_its_length(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    save_trace(stream(bytes=100 * 64, piece=640, programs=2, repeat_passes=3), tmp_path / "stream.npz")
    numbers = shown(capsys, str(tmp_path / "stream.npz"))
    assert (numbers["programs"], numbers["steps"], numbers["runs"]) == (6, 30, 6)
    assert (numbers["accesses"], numbers["distinct_lines"], numbers["mean_uses"]) == (300, 100, 3.0)
    assert [d for d in numbers["stack_distances"] if d["accesses"]] == [{"from": 64, "to": 127, "accesses": 200}]


def test_several_kernels_are_one_stream_or_one_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--chip", "h100_sxm", "--set", "attention.shape.kv_len=8192"]
    every = shown(capsys, "decode_dsa", *short)
    each = [shown(capsys, "decode_dsa", "--kernel", kernel, *short) for kernel in every["kernels"]]
    assert every["accesses"] == sum(part["accesses"] for part in each)
    assert every["distinct_lines"] < sum(part["distinct_lines"] for part in each)
    out = str(tmp_path / "scan.npz")
    assert call(["trace", "export", "decode_dsa", "-o", out, "--kernel", "scan", *short]) == 0
    assert load_trace(out).name == "scan"


def test_what_was_read_in_can_be_simulated(tmp_path: Path) -> None:
    (tmp_path / "a.xdin").write_text("".join(f"{'rrw'[i % 3]} {64 * i:x} 40\n" for i in range(3000)))
    result = simulate(load_chip("toy"), load(tmp_path / "a.xdin"))
    assert result.counters["l2.X.read_bytes"] == 2000 * 64
    assert result.counters["l2.X.write_bytes"] == 1000 * 64


def test_two_objects_of_a_foreign_trace_take_their_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign, own = tmp_path / "w1.oracleGeneral.bin", str(tmp_path / "w1.oracleGeneral.parquet")
    foreign.write_bytes(struct.pack("<IQIqIQIq", 0, 1, 65536, -1, 1, 2, 65536, -1))
    assert shown(capsys, str(foreign))["footprint_bytes"] == 131072
    assert call(["trace", "import", str(foreign), "-o", own]) == 0
    capsys.readouterr()
    assert shown(capsys, own)["footprint_bytes"] == 131072


def test_table_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "addresses.png"
    assert call(["trace", "show", "decode_topk", "--chip", "toy", "--plot", str(picture), *SHORT]) == 0
    text = capsys.readouterr().out
    for part in ("programs", "footprint", "indices", "first use", str(picture)):
        assert part in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_mask_runs_as_a_recorded_selection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((2, 4096), bool)
    mask[0, :300], mask[1, 1000:1300] = True, True
    np.save(tmp_path / "mask.npy", mask)
    recorded = str(tmp_path / "recorded.npz")
    assert call(["trace", "import", str(tmp_path / "mask.npy"), "-o", recorded]) == 0
    assert "300 tokens" in capsys.readouterr().out
    assert call(["examples", "decode_topk"]) == 0
    workload = yaml.safe_load(capsys.readouterr().out)
    workload["shape"] |= {"kv_len": 4096}
    workload["selection"] = {"kind": "recorded", "path": recorded, "share": "all"}
    (trace,) = Task("toy", {}, workload, {}).resolve().kernels()
    k = next(tensor for tensor in trace.tensors if tensor.name == "K")
    pieces = expand(trace)
    read = pieces[(pieces["tensor"] == trace.tensors.index(k)) & (pieces["op"] == READ)]
    row = k.bytes // 4096 // workload["shape"]["kv_heads"]
    assert {(address - k.base) // row % 4096 for address in read["address"].tolist()} == set(range(1000, 1300))
    assert call(["trace", "import", str(tmp_path / "mask.npy"), "-o", recorded, "--query", "all"]) == 0
    with np.load(recorded) as file:
        assert file["positions"].shape == (1, 2, 300)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export decode_topk -o x.what", "give --format"),
        ("export decode_topk -o x.din --format dinn", "format 'dinn' is none of"),
        ("export decode_topk -o x.din --granule 48", "power of two"),
        ("export decode_topk -o no/x.din", "cannot be written (No such file or directory)"),
        ("export decode_topk -o no/x.npz", "cannot be written (No such file or directory)"),
        ("export decode_topk -o no/x.parquet", "cannot be written (No such file or directory)"),
        ("export decode_topk -o no/x.oracleGeneral.gz", "cannot be written (No such file or directory)"),
        ("export decode_topk -o x.parquet.gz", "leave out '.gz'"),
        ("export decode_tokp -o x.din", "did you mean 'decode_topk'"),
        ("export decode_topk -o x.din --chip toi", "did you mean 'toy'"),
        ("export decode_topk -o x.din --kernel scan", "no kernel 'scan'"),
        ("export decode_dsa -o x.npz", "holds one kernel"),
        ("export good.din -o good.din", "read and written at once"),
        ("export good.din -o x.npz --set shape.batch=2", "--set is for workloads"),
        ("import absent.din -o x.npz", "no such file"),
        ("import good.din -o x.din", "end it in .parquet or .npz"),
        ("import good.din -o x.npz --format what", "format 'what' is none of"),
        ("import bad.din -o x.npz", "line 1 is 'hello there'"),
        ("import bad.txt -o x.npz", "name the format"),
        ("import w1.lcs.zst -o x.npz", "make an oracleGeneral of it with libCacheSim's traceConv"),
        ("import bad.npz -o x.parquet", "not a saved trace"),
        ("import list.npy -o x.npz --kv-len 4", "token 4 is outside the context 0..3"),
        ("import list.npy -o x.txt", "end it in .npz or .npy"),
        ("import list.npy -o x.npz --query 1", "no query 1 among 1"),
        ("import list.npy -o x.npz --query last", "query 'last' is no number"),
        ("import flat.npy -o x.npz", "reshape it"),
        ("show bad.npz", "not a saved trace"),
        ("show list.npy", "neither name nor first line"),
        ("show good.din --plot x.txt", "end it in .png"),
        ("show good.din --plot no/x.png", "cannot be written"),
        ("shwo good.din", "no such command"),
    ],
)
def test_a_mistake_is_one_line(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.din").write_text("0 40\n")
    (tmp_path / "bad.din").write_text("hello there\n")
    (tmp_path / "bad.txt").write_text("hello there\n")
    (tmp_path / "bad.npz").write_bytes(b"PK\5\6" + bytes(range(30)))
    (tmp_path / "w1.lcs.zst").write_bytes(b"")
    np.save(tmp_path / "list.npy", np.array([[1, 4]]))
    np.save(tmp_path / "flat.npy", np.zeros(4, bool))
    assert call(["trace", *line.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("memgrain: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_an_empty_trace_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.din").write_text("")
    with pytest.raises(WorkloadError, match="no access"):
        load(tmp_path / "empty.din")
