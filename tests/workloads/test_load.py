"""Is a workload read from YAML, overridden by dotted keys, and refused in one line that names the mend?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from memgrain.workloads import (
    Budget,
    Linear,
    SparseAttentionStep,
    Workload,
    WorkloadError,
    attention,
    count_bytes,
    load_any,
    load_workload,
    parse_workload,
)

EXAMPLES = Path(str(__import__("workloads").__file__)).parent / "examples"
H100 = Budget(cores=132, scratchpad_bytes=228 << 10, max_programs=32)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_load_and_make_traces(path: Path) -> None:
    workload = load_any(path)
    assert workload.name == path.stem
    for line in path.read_text().splitlines():
        assert line.endswith(":") or "# " in line
    if isinstance(workload, Linear):
        assert count_bytes(workload.trace(H100))["W"][0] == workload.matrix_bytes
        return
    assert isinstance(workload, Workload | SparseAttentionStep)
    steps = workload.kernels(H100) if isinstance(workload, SparseAttentionStep) else (attention(workload, H100),)
    trace = next(trace for trace in steps if trace.name in ("attend", workload.name))
    useful = next(tensor.useful_bytes for tensor in trace.tensors if tensor.name == "K")
    assert count_bytes(trace)["K"][0] >= useful > 0


def test_there_is_an_example_of_each_kind() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.yaml")} == {
        "decode_dense",
        "decode_topk",
        "decode_hierarchical",
        "decode_mla",
        *(f"decode_{mechanism}" for mechanism in ("dsa", "csa", "hca", "nsa", "quest", "moba")),
        *(f"decode_{mechanism}" for mechanism in ("streaming", "h2o", "article_scan", "article_tree")),
        *(f"prefill_{mechanism}" for mechanism in ("a_shape", "vertical_slash", "blocks", "dsa")),
        "decode_paged",
        "linear_decode",
        *(f"decode_{layout}" for layout in ("nz", "latent_rope", "v4_pages")),
        "chunk_topk",
        "prefill_causal",
        "prefill_window",
    }


def test_overrides_are_yaml_and_validated() -> None:
    changed = load_workload(
        EXAMPLES / "decode_topk.yaml",
        {"shape.head_dim": "96", "selection.ratio": 0.5, "dtype.k": "fp8", "tiling.pad_head_dim": "pow2"},
    )
    assert (changed.shape.head_dim, changed.dtypes.k, changed.dtypes.q) == (96, "fp8", "bf16")
    assert changed.selection is not None
    assert changed.selection.count(100, 1) == 50
    assert changed.kv_bytes == 8 * 131072 * 96 * (1 + 2)


def test_an_override_may_add_a_section() -> None:
    changed = load_workload(EXAMPLES / "decode_dense.yaml", {"selection.kind": "random", "selection.ratio": "0.5"})
    assert changed.selection is not None
    assert load_workload(EXAMPLES / "decode_topk.yaml", {"selection": "null"}).selection is None


def test_held_width_decides_query_heads(tmp_path: Path) -> None:
    raw = yaml.safe_load((EXAMPLES / "decode_dense.yaml").read_text())
    del raw["shape"]["q_heads"]
    raw["hold"] = {"q_heads_times_head_dim": 8192}
    path = tmp_path / "held.yaml"
    path.write_text(yaml.safe_dump(raw))
    heads = [load_workload(path, {"shape.head_dim": str(d)}).shape.q_heads for d in (64, 96, 128, 200)]
    assert heads == [128, 80, 64, 40]
    assert parse_workload(load_workload(path).model_dump()) == load_workload(path)
    with pytest.raises(WorkloadError, match=r"^held.yaml: .*fewer than kv_heads 8 heads; raise it to at least 16000$"):
        load_workload(path, {"shape.head_dim": "2000"})
    with pytest.raises(WorkloadError, match="contradicts hold"):
        load_workload(path, {"shape.q_heads": "8"})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"shape.head_dim": "-4"}, "topk.yaml: expected head_dim >= 1, got -4 @ shape.head_dim; set head_dim >= 1"),
        (
            {"shape.hed_dim": "4"},
            "topk.yaml: unknown key 'shape.hed_dim' in the overrides; did you mean 'shape.head_dim'",
        ),
        ({"windw": "4"}, "topk.yaml: unknown key 'windw' in the overrides; did you mean"),
        ({"selection.ratio": "2"}, "expected ratio <= 1, got 2 @ selection.ratio"),
        ({"selection.share": "none"}, "expected 'head', 'group' or 'all', got 'none' @ selection.share"),
        ({"pattern.kind": "denze"}, "got 'denze' @ pattern.kind; did you mean 'dense'?"),
        ({"pattern.window": "4"}, "unknown key 'window' @ pattern.window; leave it out"),
        ({"layout.kind": "paged"}, "expected a value, got nothing @ layout.page; add page:"),
        ({"shape.q_heads": "60"}, "q_heads 60 is no multiple of kv_heads 8; use 56 query heads @ shape"),
        (
            {"shape.q_len": "200000", "pattern.kind": "causal"},
            "q_len 200000 exceeds kv_len 131072, and under pattern causal",
        ),
        ({"shape.kv_len": "many"}, "got 'many' @ shape.kv_len"),
        ({"selection": "null", "pattern": "{kind: hierarchical, window: 8}"}, "there is no selection; add selection:"),
        ({"pattern": "{kind: block_sparse, block: 8}"}, "selection unit 1 is not the pattern's block of 8"),
        ({"tiling.block_kv": "soon"}, "expected an integer or 'auto', got 'soon' @ tiling.block_kv; give an integer"),
        (
            {"tiling.pad_head_dim": "0"},
            "expected 'none' or 'pow2' or pad_head_dim >= 1 or a list, got 0 @ tiling.pad_head_dim",
        ),
        ({"dtype": "bf8"}, "got 'bf8' @ dtype"),
        ({"dtype.k": "bf8"}, "got 'bf8' @ dtype.k"),
        ({"selection": "{kind: random}"}, "selection has neither of ratio and tokens"),
        ({"shape": "7"}, "expected a mapping, got 7 @ shape"),
        ({"shape.batch": "[1"}, "override shape.batch is not valid YAML"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, overrides: dict[str, str], message: str) -> None:
    path = tmp_path / "topk.yaml"
    path.write_text((EXAMPLES / "decode_topk.yaml").read_text())
    with pytest.raises(WorkloadError) as caught:
        load_workload(path, overrides)
    assert message in str(caught.value)
    assert str(caught.value).startswith("topk.yaml: ")
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize("content", ["- a list", "a: [", "", "kind: attention\nnames: x"])
def test_broken_files_are_named_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    for broken in (path, tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(WorkloadError) as caught:
            load_workload(broken)
        assert f"{broken.name}: " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_recorded_path_is_relative_to_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "kept.npy", np.arange(0, 4096, 2, dtype=np.int32))
    path = tmp_path / "recorded.yaml"
    path.write_text((EXAMPLES / "decode_topk.yaml").read_text())
    workload = load_workload(path, {"selection": "{kind: recorded, path: kept.npy, share: all}"})
    assert count_bytes(attention(workload, H100))["K"] == (8 * 2048 * 256, 0)
    with pytest.raises(WorkloadError, match="recorded selection holds one decode step"):
        load_workload(path, {"selection": "{kind: recorded, path: kept.npy}", "phase": "prefill"})
