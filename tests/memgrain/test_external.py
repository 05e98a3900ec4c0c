"""Rows of third-party tables become the measured calls, and errors are one line."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from memgrain.cli import call
from memgrain.hwmodels import load_chip
from memgrain.validation import External, external
from memgrain.validation.cases import CaseMaker, ValidationCase
from memgrain.validation.external import OPS, PAGE, SYSTEMS, read_external
from memgrain.validation.product import Product
from memgrain.workloads import Contiguous, Paged, Workload

GENERATION: dict[str, Any] = {
    "framework": "VLLM",
    "version": "0.10.0",
    "device": "NVIDIA H100 80GB HBM3",
    "op_name": "generation_attention",
    "kernel_source": "vllm_flash_attn_fa3",
    "batch_size": 2,
    "isl": 1,
    "num_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "beam_width": 1,
    "attn_dtype": "bfloat16",
    "kv_cache_dtype": "bfloat16",
    "step": 511,
    "window_size": 0,
    "latency": 0.012,
}
"""A row in the form of the package, with invented numbers."""
CONTEXT = GENERATION | {"op_name": "context_attention", "isl": 256, "step": 0, "num_heads": 4}
PRODUCT: dict[str, Any] = {
    "framework": "VLLM",
    "version": "0.10.0",
    "device": "NVIDIA H100 80GB HBM3",
    "op_name": "gemm",
    "kernel_source": "torch.nn.functional.linear",
    "gemm_dtype": "bfloat16",
    "m": 16,
    "n": 512,
    "k": 2048,
    "latency": 0.004,
}
Rows = list[dict[str, Any]]


def table(root: Path, place: str, op: str, rows: Rows) -> None:
    folder = root / "h100_sxm" / place
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / f"{op}_perf.parquet")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tables in the package's place."""
    rows = [
        GENERATION,
        GENERATION | {"kv_cache_dtype": "fp8", "window_size": 128},
        GENERATION | {"step": 127, "window_size": 128},
        GENERATION | {"batch_size": 64, "step": 1023},
    ]
    table(tmp_path, "attention/vllm/0.10.0", "generation_attention", rows)
    table(tmp_path, "attention/vllm/0.9.2", "generation_attention", [GENERATION | {"batch_size": 1}] * 9)
    other = GENERATION | {"framework": "SGLang", "kernel_source": "fa3", "kv_cache_dtype": "fp8"}
    table(tmp_path, "attention/sglang/0.5.14", "generation_attention", [other])
    windowed = {"window_size": 128, "kv_cache_dtype": "fp8"}
    table(tmp_path, "attention/trtllm/1.0.0rc2", "context_attention", [CONTEXT | {"framework": "TRTLLM"} | windowed])
    latent = {name: cell for name, cell in GENERATION.items() if name not in ("head_dim", "num_key_value_heads")}
    latent |= {"op_name": "mla_generation", "kernel_source": "default", "num_heads": 128}
    table(tmp_path, "mla/trtllm/1.0.0rc2", "generation_mla", [latent | {"framework": "TRTLLM"}])
    products = [PRODUCT, PRODUCT | {"gemm_dtype": "fp8"}, PRODUCT | {"gemm_dtype": "fp8_block"}, PRODUCT | {"m": 2**28}]
    table(tmp_path, "gemm/vllm/0.10.0", "gemm", products)
    table(tmp_path, "gemm/trtllm/1.0.0rc2", "gemm", [PRODUCT | {"framework": "TRTLLM", "n": 8192}])
    table(tmp_path, "mla/sglang/0.5.14", "generation_mla", [latent | {"framework": "SGLang", "kv_cache_dtype": "fp8"}])
    monkeypatch.setattr(external, "_folder", lambda: tmp_path)
    return tmp_path


def made(op: str, backend: str | None = None) -> list[ValidationCase]:
    maker = CaseMaker("h100_sxm", {}, False)
    return [maker.make(record) for record in read_external(External("aiconfigurator", op, backend), "h100_sxm", {})]


def test_a_decode_row_is_the_call_that_was_measured(tables: Path) -> None:
    cases = made("generation_attention")
    assert len(cases) == 4, "the newest version of the backend with most rows"
    for case in cases:
        asked = case.call
        assert isinstance(asked, Workload)
        assert case.state == "warm"
        assert asked.layout == Paged(kind="paged", page=PAGE, inner="nhd", placement="shuffled")
        assert (asked.shape.q_heads, asked.shape.kv_heads, asked.shape.q_len) == (8, 2, 1)
    first, windowed, short, large = (case.call for case in cases)
    assert isinstance(first, Workload)
    assert isinstance(windowed, Workload)
    assert isinstance(short, Workload)
    assert (first.shape.kv_len, first.shape.batch, first.pattern.kind) == (512, 2, "dense")
    assert windowed.pattern.model_dump() == {"kind": "sliding_window", "window": 128, "sinks": 0}
    assert (windowed.dtypes.q, windowed.dtypes.k, windowed.dtypes.o) == ("fp8", "fp8", "bf16")
    assert short.pattern.kind == "dense", "a window as long as the context"
    moved = 2 * 2 * 2 * 512 * 64 * 2 + 2 * 2 * 8 * 64 * 2
    assert cases[0].useful_bytes == moved
    assert cases[1].useful_bytes == 2 * 2 * 2 * 128 * 64 + 2 * 8 * 64 * 3
    assert isinstance(large, Workload)
    assert [case.number for case in cases] == ["0", "1", "2", "3"]


def test_flash_attention_2_splits_only_for_groups(tables: Path) -> None:
    second = GENERATION | {"kernel_source": "vllm_flash_attn", "step": 65535}
    table(tables, "attention/vllm/0.11.0", "generation_attention", [second, second | {"num_heads": 2}])
    group, alone = (case.call for case in made("generation_attention", "vllm"))
    assert isinstance(group, Workload)
    assert isinstance(alone, Workload)
    assert isinstance(group.tiling.splits, int)
    assert group.tiling.splits > alone.tiling.splits == 1


def test_a_prefill_row_is_the_call_that_was_measured(tables: Path) -> None:
    (case,) = made("context_attention")
    asked = case.call
    assert isinstance(asked, Workload)
    assert (asked.phase, asked.shape.q_len, asked.shape.kv_len) == ("prefill", 256, 256)
    assert (asked.dtypes.q, asked.dtypes.k) == ("bf16", "bf16")
    assert asked.layout == Contiguous(kind="bsnd"), "where the projection left K and V"
    pairs = sum(min(query + 1, 128) for query in range(256))
    assert case.useful_flops == 4 * 64 * 4 * 2 * pairs


def test_a_latent_row_reads_v_with_k(tables: Path) -> None:
    (case,) = made("generation_mla", "trtllm")
    asked = case.call
    assert isinstance(asked, Workload)
    assert (asked.shape.head_dim, asked.shape.value_dim, asked.shape.v_in_k) == (576, 512, True)
    assert (asked.shape.q_heads, asked.shape.kv_heads, asked.shape.kv_len) == (128, 1, 512)
    assert case.useful_bytes == 2 * (512 * 576 + 128 * (576 + 512)) * 2
    assert made("generation_mla", "sglang") == [], "converts its fp8 cache first"


def test_a_product_row_is_the_layers_that_were_measured(tables: Path) -> None:
    plain, converted = made("gemm", "vllm")
    assert isinstance(plain.call, Product)
    assert isinstance(converted.call, Product)
    asked = plain.call.linear
    assert (asked.tokens, asked.outputs, asked.inputs, asked.weights) == (16, 512, 2048, "bf16")
    assert (plain.call.copies, plain.call.converted, converted.call.converted) == (6, None, "bf16")
    assert (converted.call.linear.weights, converted.call.linear.dtype) == ("fp8", "fp8")
    chip = load_chip("h100_sxm")
    names = {tensor.name for tensor in converted.call.kernels(chip)[0].tensors}
    assert {"X", "A", "C", *(f"W{layer}" for layer in range(6))} <= names, "weights of their own, the rest shared"
    assert len(converted.call.kernels(chip)) == 12
    assert converted.run()["predicted_time_us"] > plain.run()["predicted_time_us"], "a kernel more"
    assert plain.useful_flops == 2 * 16 * 512 * 2048
    (few,) = made("gemm", "trtllm")
    assert isinstance(few.call, Product)
    assert few.call.copies == 2, "as many as reach the size of the L2"


def test_copies_that_fit_the_cache_are_not_read_from_memory(tables: Path) -> None:
    small, large = made("gemm", "vllm")[0], made("gemm", "trtllm")[0]
    assert small.run()["predicted_dram_read_bytes"] == 0
    assert isinstance(large.call, Product)
    assert large.run()["predicted_dram_read_bytes"] == pytest.approx(large.call.linear.matrix_bytes, rel=0.1)


def test_kernels_beside_the_attention_cost_what_a_further_kernel_costs(tables: Path) -> None:
    (case,) = made("generation_attention", "sglang")
    barrier = load_chip("h100_sxm").barrier
    assert barrier is not None
    alone = ValidationCase(**{**vars(case), "other_kernels": 0}).run()["predicted_time_us"]
    assert case.other_kernels > 1
    assert case.run()["predicted_time_us"] == pytest.approx(alone + case.other_kernels * barrier / 1e6)


def test_the_report_is_by_bytes_of_k_and_v(
    tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(external, "LARGE_KV", 30_000_000)
    command = "validate --external aiconfigurator --chip h100_sxm --op generation_attention --json -j 1"
    assert call(command.split()) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = {name: found["rows"] for name, found in printed["families"].items()}
    assert rows == {"decode, KV in the L2": 3, "decode, KV over 30 MB": 1}
    assert printed["overall"]["rows"] == 4
    assert printed["overall"]["roofline_time_mape"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--external other --op generation_attention --chip h100_sxm", "no external source 'other'"),
        ("--external aiconfigurator --op generation_attention", "name one of a100_sxm"),
        ("--external aiconfigurator --chip h100_sxm", "name one of generation_attention"),
        ("--external aiconfigurator --chip toy --op generation_attention", "no rows of chip 'toy'"),
        ("--external aiconfigurator --chip a100_sxm --op generation_attention", "by any backend on a100_sxm"),
        ("--external aiconfigurator --chip h100_sxm --op generation_atention", "did you mean 'generation_attention'"),
        ("--external aiconfigurator --chip h100_sxm --op context_mla", "frameworks compute it in different ways"),
        ("--external aiconfigurator --chip h100_sxm --op dsa_context_module", "rows are whole modules"),
        ("--external aiconfigurator --chip h100_sxm --op context_attention --backend vllm", "choose backend trtllm"),
        ("--external aiconfigurator --chip h100_sxm --op context_attention --backend vlm", "did you mean 'vllm'"),
        ("rows.csv --external aiconfigurator", "both rows.csv and --external"),
        ("rows.csv --op generation_attention", "--op and --backend choose rows of --external"),
        ("", "no rows to validate; give a CSV file"),
    ],
)
def test_a_mistake_is_one_line(options: str, message: str, tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["validate", *options.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("memgrain: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_without_the_package_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = "validate --external aiconfigurator --chip h100_sxm --op generation_attention"
    assert call(command.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'memgrain[external]'" in said


@pytest.mark.skipif(importlib.util.find_spec("aiconfigurator_core") is None, reason="the extra 'external' is missing")
def test_every_row_of_the_package_becomes_a_record_and_every_kind_of_row_a_case() -> None:
    assert {path.name for path in external._folder().iterdir()} >= set(SYSTEMS.values())
    for op, chip in (
        ("generation_attention", "a100_sxm"),
        ("context_attention", "a100_sxm"),
        ("generation_mla", "h200_sxm"),
    ):
        assert op in OPS
        records = read_external(External("aiconfigurator", op, None), chip, {})
        assert len(records) > 1000
        maker = CaseMaker(chip, {}, False)
        cases = [maker.make(record) for record in records[::500]]
        assert all(case.useful_bytes > 0 for case in cases)
        assert Counter(record.real("kernel_time_us") is not None for record in records) == {True: len(records)}
