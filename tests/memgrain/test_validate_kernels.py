"""Rows that name kernels: accepted names, and rows with unknown kernels."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from memgrain.cli import call
from memgrain.validation.cases import CaseMaker, ValidationCase
from memgrain.validation.records import read_records
from memgrain.workloads import Workload, kernel_names
from memgrain.workloads.kernels.names import FOLDER

PAPER = Path(__file__).parent.parent / "validation" / "fa3_paper.csv"
DECODE = {
    "device": "NVIDIA H100 80GB HBM3", "family": "decode", "selection": "dense", "head_dim": "128", "context": "2048",
    "batch": "1", "kv_heads": "8", "q_heads_per_kv_head": "4", "layout": "NHD", "kernel_time_us": "10",
}  # fmt: skip


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def made(path: Path) -> list[ValidationCase]:
    maker = CaseMaker(None, {}, False)
    return [maker.make(record) for record in read_records(path)]


def test_a_name_stands_for_prefill_or_decode_by_the_family(tmp_path: Path) -> None:
    prefill = {**DECODE, "family": "prefill", "heads": "8", "causal": "True"}
    path = write(
        tmp_path / "f.csv",
        *({**row, "id": str(n), "kernel": "PyTorch Flash"} for n, row in enumerate((DECODE, prefill))),
    )
    found = [case.call for case in made(path)]
    assert [asked.name for asked in found if isinstance(asked, Workload)] == ["fa2_decode", "fa2_prefill"]


def test_latent_rows_count_once_and_lie_in_pages(tmp_path: Path) -> None:
    row = {**DECODE, "id": "1", "kernel": "FlashMLA", "head_dim": "576", "kv_heads": "1", "q_heads_per_kv_head": "128"}
    (case,) = made(write(tmp_path / "f.csv", row))
    assert case.useful_bytes == 2048 * 1152
    assert case.useful_flops == 2 * 128 * 2048 * (576 + 512)
    assert isinstance(case.call, Workload)
    assert case.call.layout.model_dump() | {"page": 64, "kind": "paged"} == case.call.layout.model_dump()


def test_an_unknown_kernel_is_a_failure_of_its_row_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**DECODE, "id": str(n), "kernel": kernel} for n, kernel in enumerate(("nokernel", "flash", "pfa"))]
    assert call(["validate", str(write(tmp_path / "f.csv", *rows)), "-o", str(tmp_path / "out"), "-j", "1"]) == 2
    said = capsys.readouterr().err
    assert "row 0: no kernel 'nokernel'" in said
    assert "row 2: kernel pfa is not for decode" in said
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["1"]


def test_published_figures_become_cases_of_the_described_kernels() -> None:
    cases = made(PAPER)
    assert len(cases) == 108
    assert {case.call.name for case in cases if isinstance(case.call, Workload)} == {
        "fa2_prefill", "fa3_prefill", "cudnn_sdpa"
    }  # fmt: skip
    with PAPER.open(newline="") as file:
        for row in csv.DictReader(file):
            speed = float(row["useful_flops"]) / float(row["kernel_time_us"]) / 1e6
            assert speed == pytest.approx(float(row["published_tflops"]), rel=1e-3)


def test_kernels_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["kernels"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in kernel_names())
    assert call(["kernels", "FlashMLA"]) == 0
    assert capsys.readouterr().out == (FOLDER / "flashmla_dense.yaml").read_text()
    for name, said in (("fa3", "stands for fa3_prefill, fa3_decode; name one"), ("fa9", "no kernel 'fa9'")):
        assert call(["kernels", name]) == 2
        assert said in capsys.readouterr().err
