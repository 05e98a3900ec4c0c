"""What README and docs show is what happens: every block of code is run as a file of its own, in an empty folder.

A block of Python is a script, a line of a shell block a command, a block of YAML a sweep or a chip; what the console
shows is the command's output. `make golden` writes that output anew.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pytest
import yaml

import memgrain
from memgrain import hwmodels, workloads

ROOT = Path(__file__).parent.parent
FILE = ROOT / "README.md"
PAGES = [FILE, *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
ARGUMENTS = ["run", "h100_sxm", "decode_topk", "--set", "shape.head_dim=96"]
KEPT = re.compile(
    r"decode_topk on|time |bound |validated|between|not validated|  \S|dram_read_bytes|l2_hit_rate|useful_bytes"
    r"|amplification|effective_bandwidth_share|bottleneck|\d+%"
)


def output() -> str:
    """The command and the lines of its output that README keeps."""
    found = subprocess.run(
        [sys.executable, "-c", "from memgrain.cli import main; main()", *ARGUMENTS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "116", "NO_COLOR": "1"},
    )
    kept = [line.rstrip() for line in found.stdout.splitlines() if KEPT.match(line)]
    return "\n".join([f"$ memgrain {' '.join(ARGUMENTS)}", *kept]) + "\n"


SMALLER = {
    "memgrain claims": "memgrain claims memory_of_mlu370",
    "memgrain run mlu370_x4 decode_topk --uncertainty": "memgrain run mlu370_x4 decode_topk --uncertainty --samples 4",
    "memgrain sweep ways.yaml --uncertainty": "memgrain sweep few.yaml --uncertainty --samples 2",
    "memgrain explore head_dim_for_910b -o out/search": "memgrain explore head_dim_for_910b -o out/search --trials 4",
    'memgrain.intervals("head_dim_by_ratio", "out/dims", metric="time_us", options=memgrain.RunOptions(samples=32))': (
        'memgrain.intervals("few.yaml", "out/dims", metric="time_us", options=memgrain.RunOptions(samples=2))'
    ),
}
"""What is asked for less where the whole takes minutes: the rest of the line stays."""
ELSEWHERE = ("make demo", "make test")
"""Lines that run where the project is built: here only their targets are looked up."""
SHOWN = ("text", "mermaid", "diff")
"""Languages of blocks that are not run here: diagrams, and the diff that `test_extending.py` applies."""
QUICK = ("memgrain trace", "memgrain quality", "make ")
"""Lines that take a second or two; the others are slow tests."""
FEW = """
name: few
chips: [toy]
workload: decode_topk
grid: {shape.head_dim: [64, 96]}
"""


class Block(NamedTuple):
    """A block of code of a page."""

    where: str
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    """All blocks of some languages, or of every one, in README and docs."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in FENCE.finditer(text):
            where = f"{page.name}:{text.count(chr(10), 0, fence.start()) + 1}"
            found.append(Block(where, fence[1], fence[2]))
    return [block for block in found if not languages or block.language in languages]


def commands() -> list[Any]:
    """The lines of the shell blocks, each a test, without their comments."""
    found = []
    for block in blocks("sh"):
        for number, line in enumerate(block.text.splitlines(), 1):
            command = re.sub(r"\s+#.*", "", line).strip()
            if command:
                marks = () if command.startswith(QUICK) else pytest.mark.slow
                found.append(pytest.param(command, block, id=f"{block.where}+{number}", marks=marks))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder but for the files that pages write down, with the command `memgrain` on its path."""
    for block in blocks("yaml"):
        (tmp_path / name_of(block)).write_text(block.text, encoding="utf-8")
    (tmp_path / "few.yaml").write_text(FEW, encoding="utf-8")
    objects = b"".join(
        struct.pack("<IQIq", *record) for record in ((0, 1, 65536, 2), (1, 2, 65536, -1), (2, 1, 65536, -1))
    )
    with pyarrow.CompressedOutputStream(str(tmp_path / "w1.oracleGeneral.zst"), "zstd") as file:
        file.write(objects)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    command = tmp_path / "bin" / "memgrain"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom memgrain.cli import main\nmain()\n", encoding="utf-8")
    command.chmod(0o755)
    return tmp_path


def name_of(block: Block) -> str:
    """The file of a block of YAML: a sweep has a `name`, a chip or a kernel a comment in its first line."""
    comment = re.search(r"# (\w+\.yaml)", block.text.splitlines()[0])
    return comment[1] if comment else f"{yaml.safe_load(block.text)['name']}.yaml"


def shell(command: str | list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder, with this package and the command of `folder` within its reach."""
    paths = {
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
        "NO_COLOR": "1",
    }
    return subprocess.run(
        command,
        cwd=folder,
        shell=isinstance(command, str),
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, **paths},
    )


def less(text: str) -> str:
    """The text with less asked for; see SMALLER."""
    for whole, part in SMALLER.items():
        text = re.sub(rf"{re.escape(whole)}(?=$|\n)", part, text)
    return text


def test_output_is_what_the_command_prints() -> None:
    assert [block.text for block in blocks("console")] == [output()], "the output in README is old; run `make golden`"


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in blocks()} <= {"python", "sh", "yaml", "console", *SHOWN}
    everything = "\n".join(block.text for block in blocks())
    for whole in [*SMALLER, *ELSEWHERE]:
        assert whole in everything, f"no block has '{whole}' any more; drop it from this file"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block, id=block.where, marks=() if block.where.startswith(("README", "extending")) else pytest.mark.slow
        )
        for block in blocks("python")
    ],
)
def test_python_runs_as_a_script(block: Block, folder: Path) -> None:
    (folder / "script.py").write_text(less(block.text), encoding="utf-8")
    done = shell([sys.executable, "script.py"], folder)
    assert (done.returncode, done.stderr) == (0, "")
    for picture in re.findall(r'savefig\("(.*?)"\)', block.text):
        assert (folder / picture).stat().st_size > 10_000


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.where)
def test_yaml_loads(block: Block, folder: Path) -> None:
    from memgrain.runs.sweep import load_sweep

    path = folder / name_of(block)
    if "extends" in yaml.safe_load(block.text):
        assert hwmodels.load_chip(path).dram == hwmodels.load_chip(yaml.safe_load(block.text)["extends"]).dram
        return
    if "phase" in yaml.safe_load(block.text):
        assert workloads.load_kernel(str(path)).name == path.stem
        return
    sweep = load_sweep(path)
    points, refused = sweep.points()
    assert (len(points), refused) == (sweep.size(), [])


@pytest.mark.parametrize(("command", "block"), commands())
def test_shell_lines_run(command: str, block: Block, folder: Path) -> None:
    if command in ELSEWHERE:
        assert f"\n{command.removeprefix('make ')}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        return
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in block.text.splitlines()]
    before = [line for line in lines[: lines.index(command)] if folder_of(line) and folder_of(line) in command]
    if "external" in command:
        pytest.importorskip("aiconfigurator_core")
    for line in [*before, command]:
        done = shell(less(line), folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert done.stdout.strip() or "-o" in command


def folder_of(line: str) -> str:
    """What a line writes, which later lines may read; empty if it writes nothing."""
    found = re.search(r"-o (\S+)", line)
    return found[1] if found else ""


def test_numbers_of_the_prose() -> None:
    """What README says an answer rests on, run again with the other assumption."""
    text = " ".join(FILE.read_text(encoding="utf-8").split())

    def time(chip: str, **keys: object) -> str:
        overrides = {name.replace("__", "."): value for name, value in keys.items()}
        return f"{memgrain.run(chip, 'decode_topk', set=overrides).time / 1e6:.0f}"

    usual = [time("mlu370_x8", shape__head_dim=dim) for dim in (96, 128)]
    quick = [time("mlu370_x8", shape__head_dim=dim, nram__dma_startup="25 ns") for dim in (96, 128)]
    assert f"takes {usual[0]} µs with a head dimension of 96 and {usual[1]} with 128" in text
    assert quick[0] == quick[1]
    assert f"at 25 ns {quick[0]} µs with both" in text
    wide, narrow = (
        memgrain.run("ascend_910b1", "decode_topk", set={"shape.head_dim": 96, "l2.fill_granule": size}).metrics()
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
