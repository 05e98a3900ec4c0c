"""What README shows is what happens: its Python block runs, its chip loads, and its output is the command's.

`make golden` writes the output anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import codesign
import hwmodels

ROOT = Path(__file__).parent.parent
FILE = ROOT / "README.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
ARGUMENTS = ["run", "h100_sxm", "decode_topk", "--set", "shape.head_dim=96"]
KEPT = re.compile(
    r"decode_topk on|time |validated|between|not validated|  \S|dram_read_bytes|l2_hit_rate|useful_bytes"
    r"|amplification|effective_bandwidth_share|bottleneck|\d+%"
)


def output() -> str:
    """The command and the lines of its output that README keeps."""
    found = subprocess.run(
        [sys.executable, "-c", "from codesign.cli import main; main()", *ARGUMENTS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "116", "NO_COLOR": "1"},
    )
    kept = [line.rstrip() for line in found.stdout.splitlines() if KEPT.match(line)]
    return "\n".join([f"$ memgrain {' '.join(ARGUMENTS)}", *kept]) + "\n"


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", FILE.read_text(encoding="utf-8"), re.DOTALL)


def test_output_is_what_the_command_prints() -> None:
    assert blocks("console") == [output()], "the output in README is old; run `make golden`"


def test_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert (tmp_path / "out" / "dims" / "h100.png").stat().st_size > 10_000


def test_yaml_blocks_load(tmp_path: Path) -> None:
    sweep, chip = blocks("yaml")
    (tmp_path / "my_chip.yaml").write_text(chip, encoding="utf-8")
    assert hwmodels.load_chip(tmp_path / "my_chip.yaml").dram == hwmodels.load_chip("h100_sxm").dram
    (tmp_path / "ways.yaml").write_text(sweep, encoding="utf-8")
    assert yaml.safe_load(sweep)["set"] == {"shape.kv_len": 1048576}
    from codesign.sweep_file import load_sweep

    points, refused = load_sweep(tmp_path / "ways.yaml").points()
    assert (len(points), refused) == (18, [])


def test_numbers_of_the_prose() -> None:
    """What README says an answer rests on, run again with the other assumption."""
    text = " ".join(FILE.read_text(encoding="utf-8").split())

    def time(chip: str, **keys: object) -> str:
        overrides = {name.replace("__", "."): value for name, value in keys.items()}
        return f"{codesign.run(chip, 'decode_topk', overrides).time / 1e6:.0f}"

    slow, slow_too = (time("mlu370_x8", shape__head_dim=dim) for dim in (96, 128))
    quick = [time("mlu370_x8", shape__head_dim=dim, nram__dma_startup="10 ns") for dim in (96, 128)]
    assert slow == slow_too
    assert f"takes {slow} µs with a head dimension of 96 and with 128 alike" in text
    assert f"at 10 ns it takes {quick[0]} and {quick[1]} µs" in text
    wide, narrow = (
        codesign.run("ascend_910b1", "decode_topk", {"shape.head_dim": 96, "l2.fill_granule": size}).metrics()
        for size in ("512 B", "128 B")
    )
    read = (
        f"{wide['amplification']:.1f} bytes are read for each useful one at 512, {narrow['amplification']:.1f} at 128"
    )
    assert read in text


def test_files_that_are_named_exist() -> None:
    for path in re.findall(r"\]\(([\w/.]+)\)", FILE.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def write() -> None:
    """Write the output anew."""
    FILE.write_text(BLOCK.sub(lambda _: output(), FILE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
