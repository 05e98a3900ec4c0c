"""The cycles in kernel descriptions are those that follow from the measurement of their code, by the formula here.

With all data in the L2, a launch of one program an SM takes launch + index (L2 latency) + load (latency and port) +
once + steps x step. More programs an SM add, each, issue slots, their place in the dispatcher and their port time.
`python -m tests.workloads.test_kernel_code` prints the lines.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from workloads import load_kernel

CSV = Path(__file__).parents[2] / "hwmodels" / "measurements" / "h100_kernel_code.csv"
CLOCK = 1980  # cycles a microsecond
LAUNCH, DISPATCH, START, LATENCY, PORT = 2.05, 132 * 0.0006, 0.03, 0.144, 126_700  # us, and bytes a us: h100_sxm.yaml


def derive(kind: str) -> list[dict[str, object]]:
    """Lines of `code` of the kernel triton_gt_<kind>."""
    table = pd.read_csv(CSV)
    table = table[table.kernel == kind]
    time = {(r.dim, str(r.variant), r.programs_per_sm, r.steps): r.time_ns / 1e3 for r in table.itertuples()}
    found = []
    for dim, variant in dict.fromkeys((dim, variant) for dim, variant, _, _ in time):
        many = max(per for d, v, per, _ in time if (d, v) == (dim, variant))
        selects = kind == "gather" or (kind == "decode" and variant == "True")
        if kind == "gather":
            size, step, shared = dim * int(variant), 0.0, 0.0
            many = 4  # eight programs do not fit an SM at every size
        else:
            tokens = 64 if dim <= (256 if kind == "decode" else 128) else 32
            size = tokens * dim * 4
            step = (time[dim, variant, 1, 16] - time[dim, variant, 1, 1]) / 15
            shared = min(step, (time[dim, variant, many, 16] - time[dim, variant, many, 1]) / 15 / many)
            if kind == "prefill" and dim > 64:
                shared = step  # registers leave room for one program: two ran one after the other
        first = time[dim, variant, 1, 1]
        once = first - step - LAUNCH - DISPATCH - START - LATENCY * (1 + selects) - size / PORT
        each = (time[dim, variant, many, 1] - first) / (many - 1) - shared - DISPATCH - size / PORT
        issue = min(max(each, 0), max(once, 0))
        found.append({
            "size": dim, "selects": selects, "step": (round(step * CLOCK), round(shared * CLOCK)),
            "once": (round(max(once, 0) * CLOCK), round(issue * CLOCK)),
        })  # fmt: skip
    return found


@pytest.mark.parametrize("kind", ["decode", "prefill", "gather"])
def test_cycles_follow_from_the_measurement(kind: str) -> None:
    assert [code.model_dump() for code in load_kernel(f"triton_gt_{kind}").code] == derive(kind)


if __name__ == "__main__":
    for kind in ("decode", "prefill", "gather"):
        print(kind)
        for line in derive(kind):
            print(
                f"  - {{size: {line['size']}, selects: {str(line['selects']).lower()}, step: {list(line['step'])}, "
                f"once: {list(line['once'])}}}"
            )
