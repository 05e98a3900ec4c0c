"""Every kernel on every chip: it runs where it exists, and is refused or marked elsewhere."""

from __future__ import annotations

import pytest

from memgrain.hwmodels import chip_names, load_chip
from memgrain.runs.task import GENERIC, Task
from memgrain.workloads import Budget, WorkloadError, kernel_names, load_kernel
from memgrain.workloads.kernels.kernel import defaults

SHORT = {"shape.kv_len": 2048}


def workload_of(name: str) -> tuple[str, dict[str, object]]:
    kernel = load_kernel(name)
    if kernel.value_dim is not None:
        own = {"layout.k_row_bytes": kernel.row_bytes(576)} if kernel.k_row_bytes else {}
        stored = kernel.kv_dtype or kernel.dtype[0]
        types = {"dtype": {"q": kernel.dtype[0], "k": stored, "v": stored, "o": kernel.dtype[0]}}
        return "decode_mla", {**SHORT, "shape.batch": 1, **own, **types}
    if kernel.phase == "prefill":
        return "prefill_causal", {**SHORT, "shape.q_len": 2048, "dtype": kernel.dtype[0]}
    page = kernel.page_sizes[0] if kernel.page_sizes else 16
    return "decode_paged", {**SHORT, "shape.batch": 1, "layout.page": page, "dtype": kernel.dtype[0]}


@pytest.mark.parametrize("name", [name for name in kernel_names() if load_kernel(name).phase != "gather"])
def test_a_kernel_runs_where_it_exists_and_is_refused_elsewhere(name: str) -> None:
    kernel, (workload, settings) = load_kernel(name), workload_of(name)
    for chip in chip_names():
        point = Task(chip, {}, workload, {**settings, "kernel": name}).resolve()
        if load_chip(chip).architecture in kernel.architectures:
            assert point.kernels()
            assert point.kernel() == name
        else:
            with pytest.raises(WorkloadError, match=f"kernel {name} is for .* the chip is .* set kernel: auto"):
                point.kernels()


def test_auto_takes_the_chips_own_and_says_where_there_is_none() -> None:
    own = {chip: Task(chip, {}, "decode_mla", {**SHORT, "shape.batch": 1}).resolve() for chip in chip_names()}
    assert {chip for chip, point in own.items() if point.kernel() == "flashmla_dense"} == {"h100_sxm", "h200_sxm"}
    assert own["b200"].kernel() == f"{GENERIC} (none is described for this call on sm100)"
    assert own["b200"].row(own["b200"].simulate())["kernel"] == own["b200"].kernel()
    paged = {"shape.batch": 1, "kernel": "auto", "layout.page": 128, **SHORT}
    found = {chip: Task(chip, {}, "decode_paged", paged).resolve().kernel() for chip in ("a100_sxm", "ascend_910b2")}
    assert found == {"a100_sxm": "fa2_decode", "ascend_910b2": "ascend_fia_decode"}


def test_a_kernel_on_a_chip_that_it_is_not_for_is_marked() -> None:
    settings = {**SHORT, "shape.batch": 1, "kernel": "flashmla", "any_chip": True}
    point = Task("b200", {}, "decode_mla", settings).resolve()
    assert point.kernel() == "flashmla_dense as if on b200: it is for sm90"
    assert point.simulate().time > 0


def test_a_chip_that_says_no_architecture_runs_no_described_kernel() -> None:
    with pytest.raises(WorkloadError, match="the chip has no architecture in its file"):
        load_kernel("fa3_decode").check_chip(Budget(1, 1 << 20, 1, architecture=""))


def test_each_architecture_has_one_default_for_a_call() -> None:
    for architecture in {load_chip(chip).architecture for chip in chip_names()}:
        kinds = [(kernel.phase, kernel.value_dim, kernel.kv_dtype) for kernel in defaults(architecture)]
        assert len(kinds) == len(set(kinds))
