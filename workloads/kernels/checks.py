"""Checks that a kernel can run a call: phase, position of V, element types, rows of K, pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.layout import Paged, Placement
from memgrain.workloads.shape import DTypes, element_bytes
from memgrain.workloads.workload import Workload

if TYPE_CHECKING:
    from memgrain.workloads.kernels.kernel import Kernel


def check_call(kernel: Kernel, workload: Workload) -> None:
    """Raise WorkloadError if the kernel does not compute such a call; `check_pages` checks the sizes of pages."""
    _check_phase(kernel, workload)
    _check_types(kernel, workload)
    _check_paged(kernel, workload)
    _check_rows(kernel, workload)


def check_pages(kernel: Kernel, workload: Workload) -> None:
    """Raise WorkloadError if the kernel does not take pages of that size."""
    if kernel.page_sizes and isinstance(workload.layout, Paged) and workload.layout.page not in kernel.page_sizes:
        raise WorkloadError(
            f"kernel {kernel.name} takes pages of {_either(kernel.page_sizes)} tokens, layout.page is "
            f"{workload.layout.page}; set it to {kernel.page or kernel.page_sizes[0]} or name another kernel"
        )


def offered(kernel: Kernel, workload: Workload) -> Workload:
    """The call as a serving framework passes it to its kernel. If the kernel takes Q, K and V of one type only, queries
    are converted to the type of the cache first (vLLM and SGLang do so for FlashAttention-3)."""
    types = workload.dtypes
    if kernel.kv_dtype is not None or types.q == types.k or types.k not in kernel.dtype:
        return workload
    return workload.model_copy(update={"dtype": types.model_copy(update={"q": types.k})})


def _check_phase(kernel: Kernel, workload: Workload) -> None:
    """Check the phase, and whether V is a part of K's rows."""
    if kernel.phase != workload.phase:
        raise WorkloadError(f"kernel {kernel.name} is for {kernel.phase}, the call is {workload.phase}; name another")
    if kernel.value_dim is not None and (not workload.shape.v_in_k or workload.shape.value_dim != kernel.value_dim):
        raise WorkloadError(
            f"kernel {kernel.name} reads V as the first {kernel.value_dim} elements of K's rows; set shape.v_in_k: "
            f"true and shape.head_dim_v: {kernel.value_dim}"
        )
    if workload.shape.v_in_k and kernel.value_dim is None:
        raise WorkloadError(f"kernel {kernel.name} reads V apart from K and shape.v_in_k is true; name another")


def _check_types(kernel: Kernel, workload: Workload) -> None:
    """Check element types: Q's must be one of the kernel's, K's and V's the same or the kernel's cache type."""
    types = workload.dtypes
    stored = kernel.kv_dtype or types.q
    if types.q not in kernel.dtype:
        rule = f"takes Q in {_either(kernel.dtype)}, dtype.q is {types.q}"
    elif types.k != stored:
        rule = f"takes K in {stored if kernel.kv_dtype else 'the type of Q, ' + types.q}, dtype.k is {types.k}"
    elif types.v != stored and not workload.shape.v_in_k:
        rule = f"takes V in the type of K, {stored}, dtype.v is {types.v}"
    else:
        return
    raise WorkloadError(f"kernel {kernel.name} {rule}; set dtype: {_types_for(kernel, types)}, or name another kernel")


def _types_for(kernel: Kernel, types: DTypes) -> str:
    """Types that the kernel takes and that are closest to `types`; the cache keeps its type, since it takes most
    memory."""
    near = next((one for one in (types.k, types.q) if one in kernel.dtype), kernel.dtype[0])
    if kernel.kv_dtype is not None:
        near = types.q if types.q in kernel.dtype else kernel.dtype[0]
    stored = kernel.kv_dtype or near
    output = types.o if types.o in kernel.dtype else near
    return f"{{q: {near}, k: {stored}, v: {stored}, o: {output}}}"


def _check_paged(kernel: Kernel, workload: Workload) -> None:
    """Check that K and V are in pages if the kernel needs pages."""
    if kernel.page is not None and not isinstance(workload.layout, Paged):
        inner = "nhd" if workload.layout.kind == "bsnd" else "hnd"
        raise WorkloadError(
            f"kernel {kernel.name} finds K and V in pages, layout.kind is {workload.layout.kind}; set layout: "
            f"{{kind: paged, page: {kernel.page}, inner: {inner}}}, or name another kernel"
        )


def _check_rows(kernel: Kernel, workload: Workload) -> None:
    """Check the bytes of rows of K and V against their elements, or against the kernel's own row size."""
    shape, types, layout = workload.shape, workload.dtypes, workload.layout
    own = kernel.row_bytes(shape.head_dim)
    plain = {"K": shape.head_dim * element_bytes(types.k), "V": shape.value_dim * element_bytes(types.v)}
    placed = Placement(layout, shape, types, None)
    for name in shape.kv_tensors:
        wanted, found = (own if name == "K" and own else plain[name]), placed.row(name)
        if found != wanted:
            parts = layout.k_parts if name == "K" else layout.v_parts
            mend = f"leave layout.{name.lower()}_parts out" if parts else ""
            if name == "K" and own:
                mend += f"{' and ' if mend else ''}set layout.k_row_bytes: {own}"
            of = "" if name == "K" and own else ", their elements alone"
            raise WorkloadError(
                f"kernel {kernel.name} reads rows of {name} of {wanted} B{of}, the layout has {found} B; "
                f"{mend or 'leave layout.k_row_bytes out'}, or name another kernel"
            )


def _either(values: tuple[object, ...]) -> str:
    """Values as text: "a, b or c"."""
    return " or ".join(map(str, values))
