"""Tilings of a layer's products with weights, for architectures where they are known; elsewhere `fit_linear` finds
them."""

from __future__ import annotations

from memgrain.workloads.steps.linear_tiling import LinearTiling

TILINGS: dict[str | None, LinearTiling] = {"sm90": LinearTiling(launch_cycles=(1500, 0))}
"""On an H100 the smallest product takes 2.4 to 2.6 us in a graph, a kernel that does nothing 1.1 to 1.3: less the
latency of its data, 1,500 cycles are those of cuBLAS's code (measurements/h100_product.csv)."""


def tiling(architecture: str | None) -> LinearTiling:
    """The tiling of a product on such chips."""
    return TILINGS.get(architecture, LinearTiling())
