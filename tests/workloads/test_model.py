"""Do the models keep and read what was published of them?

Numbers in tables here are typed from a survey of workloads of 2026-11-24, by its sections (§1.3 entries and bytes read,
§1.4 sizes, §2 methods, §3 configurations); it cites configurations, the DeepSeek-V4 report, the README of FlashMLA, a
blog of vLLM, and the papers on NSA and Quest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.models.model import FOLDER, Model, load_model, model_names

KI = 1024
MI = KI * KI
GIB = 2**30

CONFIGURATIONS = {  # §3: layers, hidden, query heads, vocabulary, longest context, {cache: KV bytes a token}
    "llama31_8b": (32, 4096, 32, 128256, 131072, {"bf16": 131_072}),
    "llama31_70b": (80, 8192, 64, 128256, 131072, {"bf16": 327_680}),
    "llama31_405b": (126, 16384, 128, 128256, 131072, {"bf16": 516_096}),
    "yi_34b_200k": (60, 7168, 56, 64000, 200000, {"bf16": 245_760}),
    "deepseek_v2": (60, 5120, 128, 102400, 131072, {"bf16": 69_120}),
    "deepseek_v3": (61, 7168, 128, 129280, 163840, {"bf16": 70_272}),
    "deepseek_v32": (61, 7168, 128, 129280, 163840, {"bf16": 78_324, "fp8": 48_068}),
    "deepseek_v4_flash": (43, 4096, 64, 129280, 1_048_576, {"bf16": 6_885, "fp8_fp4": 3_517}),
    "deepseek_v4_pro": (61, 7168, 128, 129280, 1_048_576, {"bf16": 9_856, "fp8_fp4": 5_036}),
    "qwen3_8b": (36, 4096, 32, 151936, 40960, {"bf16": 147_456}),
    "qwen3_32b": (64, 5120, 64, 151936, 40960, {"bf16": 262_144}),
    "qwen3_235b_a22b": (94, 4096, 64, 151936, 40960, {"bf16": 192_512}),
    "kimi_k2": (61, 7168, 64, 163840, 131072, {"bf16": 70_272}),
    "glm5": (78, 6144, 64, 154880, 202752, {"bf16": 100_152, "fp8": 61_464}),
    "minimax_m3": (60, 6144, 64, 200064, 1_048_576, {"bf16": 122_880}),
}

EXPERTS = {  # §3, §1.2: routed, active, size
    "deepseek_v2": (160, 6, 1536),
    "deepseek_v3": (256, 8, 2048),
    "deepseek_v32": (256, 8, 2048),
    "deepseek_v4_flash": (256, 6, 2048),
    "deepseek_v4_pro": (384, 6, 3072),
    "qwen3_235b_a22b": (128, 8, 1536),
    "kimi_k2": (384, 8, 2048),
    "glm5": (256, 8, 2048),
    "minimax_m3": (128, 4, 3072),
    "gpt_oss_120b": (128, 4, 2880),
}


def rows(model: str, kind: str, context: int) -> dict[str, int]:
    """Rows that a layer reads, by component."""
    return {part.component: part.rows for part in load_model(model).read(kind, context)}


def read_bytes(model: str, kind: str, context: int, cache: str | None = None) -> dict[str, int]:
    """Bytes that a layer reads, by component."""
    return {part.component: part.bytes for part in load_model(model).read(kind, context, cache)}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_and_bytes_kept_of_a_token(name: str) -> None:
    layers, hidden, q_heads, vocab, context, kept = CONFIGURATIONS[name]
    model = load_model(name)
    assert (len(model.order), model.hidden, model.heads.q_heads) == (layers, hidden, q_heads)
    assert (model.vocab, model.context) == (vocab, context)
    for cache, size in kept.items():
        assert round(model.kept_bytes(context, cache) / context) == size


@pytest.mark.parametrize("name", EXPERTS)
def test_experts(name: str) -> None:
    experts = [ffn for ffn in load_model(name).ffn.values() if ffn.kind == "moe"]
    assert {(ffn.routed, ffn.active, ffn.size) for ffn in experts} == {EXPERTS[name]}


def test_windows_bound_what_gpt_oss_keeps() -> None:
    model = load_model("gpt_oss_120b")  # §3: 73,728 B a token, of which 36,864 without bound
    assert model.kept_bytes(128) / 128 == 73_728
    assert (model.kept_bytes(100_000) - model.kept_bytes(90_000)) / 10_000 == 36_864


@pytest.mark.parametrize(
    ("context", "pro", "flash", "hca"),
    [
        (64, 1152, 640, 640),
        (128, 1152, 640, 1152),
        (256, 1152, 640, 2176),
        (512, 1152, 640, 4224),
        (1024, 1152, 640, 8320),
    ],
)
def test_entries_read_by_a_layer_of_v4(context: int, pro: int, flash: int, hca: int) -> None:
    """§1.3, entries read per decoded token and layer."""
    for name, csa in (("deepseek_v4_pro", pro), ("deepseek_v4_flash", flash)):
        read = rows(name, "csa", context * KI)
        assert read.pop("index scan") == context * KI // 4
        assert sum(read.values()) == csa
        assert sum(rows(name, "hca", context * KI).values()) == hca


def test_rows_read_by_all_layers_of_v4() -> None:
    assert load_model("deepseek_v4_pro").read_rows(MI) == 292_480  # §1.3, totals
    assert load_model("deepseek_v4_flash").read_rows(MI) == 180_096


@pytest.mark.parametrize(
    ("context", "scan", "hca", "total"),
    [(64, 1.11, 0.37, 65), (128, 2.23, 0.67, 108), (256, 4.46, 1.27, 193), (1024, 17.83, 4.86, 706)],
)
def test_bytes_read_by_v4_pro(context: int, scan: float, hca: float, total: float) -> None:
    """§1.3, MB per decoded token: gathered 0.67 in a CSA layer at any length, its index scan, an HCA layer, all 61."""
    csa = read_bytes("deepseek_v4_pro", "csa", context * KI)
    assert csa["window KV"] + csa["selected KV"] == pytest.approx(0.67e6, abs=0.005e6)
    assert csa["index scan"] == pytest.approx(scan * 1e6, abs=0.006e6)
    dense = sum(read_bytes("deepseek_v4_pro", "hca", context * KI).values())
    assert dense == pytest.approx(hca * 1e6, abs=0.006e6)
    assert load_model("deepseek_v4_pro").read_bytes(context * KI) == pytest.approx(total * 1e6, rel=0.005)


@pytest.mark.parametrize(
    ("name", "cache", "gib"),
    [
        ("deepseek_v4_pro", "bf16", 9.62),
        ("deepseek_v4_pro", "fp8_fp4", 4.92),
        ("deepseek_v4_pro", "fp8", 5.39),
        ("deepseek_v4_pro", "ascend_950", 5.81),
        ("deepseek_v4_flash", "bf16", 6.72),
        ("deepseek_v4_flash", "fp8_fp4", 3.43),
    ],
)
def test_a_million_tokens_of_v4(name: str, cache: str, gib: float) -> None:
    assert load_model(name).kept_bytes(MI, cache) / GIB == pytest.approx(gib, abs=0.006)  # §1.4


def test_layers_of_v4_in_order() -> None:
    """§1.2: Pro begins with two HCA layers, Flash with two windows; then CSA and HCA in turn; three are hash-routed."""
    for name, first, kinds in (
        ("deepseek_v4_pro", "hca", {"hca": 31, "csa": 30}),
        ("deepseek_v4_flash", "window", {"window": 2, "csa": 21, "hca": 20}),
    ):
        model = load_model(name)
        names = [layer.attention for layer in model.order]
        assert model.kinds == kinds
        assert names[:2] == [first, first]
        assert names[2::2] == ["csa"] * len(names[2::2])
        assert names[3::2] == ["hca"] * len(names[3::2])
        assert [layer.ffn for layer in model.order] == ["hash"] * 3 + ["moe"] * (len(names) - 3)


def test_dsa() -> None:
    """§2: 132 B to each token scanned, 2048 rows of 656 or 1152 B; §2 facts: 8.72 GiB of bf16 at 128K in 62 layers."""
    for name in ("deepseek_v32", "glm5"):
        for cache, row in (("fp8", 656), ("bf16", 1152)):
            read = read_bytes(name, "dsa", 131_072, cache)
            assert read == {"selected KV": 2048 * row, "index scan": 132 * 131_072}
    kept = load_model("deepseek_v32").kept("dsa", 131_072, "bf16")
    assert kept[0].bytes * 62 / GIB == pytest.approx(8.72, abs=0.005)
    assert sum(rows("deepseek_v32", "dsa", 1000).values()) == 2000


def test_nsa() -> None:
    """§2: floor((s - 32) / 16) + 16 * 64 + 512 tokens, about 5.6K at 64K; a block has 24,576 B of K, 16,384 of V."""
    assert load_model("nsa_27b").read_rows(64 * KI) / 30 / 4 / 2 == pytest.approx(5.6e3, rel=0.01)
    read = read_bytes("nsa_27b", "nsa", 64 * KI)
    assert read["selected K"] == 4 * 16 * 24_576
    assert read["selected V"] == 4 * 16 * 16_384
    assert read["window K"] == 4 * 512 * 384
    assert rows("nsa_27b", "nsa", 20).get("compressed K") == 0


def test_quest() -> None:
    """§2: pages of 4 KiB of K and of V, a list for each query head; (S/16) · 2 · d · 2 B of keys for each KV head."""
    read = read_bytes("llama31_8b_quest", "quest", 131_072)
    assert read["selected K"] == read["selected V"] == 32 * (2048 // 16) * 4096
    assert read["index scan"] == 8 * (131_072 // 16) * 2 * 128 * 2


def test_blocks_of_minimax_m3() -> None:
    """§2: 16 blocks of 128 tokens for each of 4 groups, 32 KiB of K and of V a block; the first three layers dense."""
    read = read_bytes("minimax_m3", "blocks", MI)
    assert read == {"selected K": 4 * 16 * 32 * KI, "selected V": 4 * 16 * 32 * KI}
    assert [layer.attention for layer in load_model("minimax_m3").order] == ["full"] * 3 + ["blocks"] * 57


def test_the_article() -> None:
    """Heads of 96 (192-byte rows, §4.6), and 5 to 10 % of the context beside a window of unknown size."""
    model = load_model("article_v4")
    selected = model.read("hierarchical", MI)[0]
    assert (selected.row_bytes, selected.rows) == (192, 104_857)
    raw = model.model_dump(exclude_unset=True)
    raw["attention"]["hierarchical"] |= {"ratio": 0.05, "window": 4096}
    raw["assumed"][0]["of"] += ("attention.hierarchical.window",)
    read = {part.component: part.rows for part in Model.model_validate(raw).read("hierarchical", MI)}
    assert (read["window K"], read["selected K"]) == (4096, 52_224)


@given(
    name=st.sampled_from(model_names()),
    length=st.integers(1, 2 * MI),
    more=st.integers(0, MI),
)
def test_longer_contexts_keep_and_read_no_less(name: str, length: int, more: int) -> None:
    model = load_model(name)
    for cache in model.caches:
        assert 0 < model.kept_bytes(length, cache) <= model.kept_bytes(length + more, cache)
        assert 0 < model.read_bytes(length, cache) <= model.read_bytes(length + more, cache)
        if "quest" not in model.kinds and "nsa" not in model.kinds:  # which read rows more than once
            assert model.read_bytes(length, cache) <= model.kept_bytes(length, cache)
        if set(model.kinds) <= {"full", "mla", "window"}:
            assert model.read_bytes(length, cache) == model.kept_bytes(length, cache)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("llama31_8b", "meta-llama--Meta-Llama-3.1-8B"),
        ("llama31_70b", "meta-llama--Meta-Llama-3.1-70B"),
        ("llama31_405b", "meta-llama--Meta-Llama-3.1-405B"),
        ("qwen3_8b", "Qwen--Qwen3-8B"),
        ("qwen3_32b", "Qwen--Qwen3-32B"),
        ("qwen3_235b_a22b", "Qwen--Qwen3-235B-A22B"),
        ("gpt_oss_120b", "openai--gpt-oss-120b"),
        ("deepseek_v3", "deepseek-ai--DeepSeek-V3"),
        ("deepseek_v32", "deepseek-ai--DeepSeek-V3.2"),
        ("deepseek_v4_flash", "deepseek-ai--DeepSeek-V4-Flash"),
        ("deepseek_v4_pro", "deepseek-ai--DeepSeek-V4-Pro"),
        ("kimi_k2", "moonshotai--Kimi-K2-Instruct"),
        ("glm5", "zai-org--GLM-5"),
        ("minimax_m3", "MiniMaxAI--MiniMax-M3"),
    ],
)
def test_against_the_released_configuration(name: str, file: str) -> None:
    """Where the extra `external` is installed, every number that config.json has too is the same."""
    external = pytest.importorskip("aiconfigurator_core")
    path = Path(external.__file__).parent / "model_configs" / f"{file}_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = load_model(name)
    ours: dict[str, Any] = {
        "hidden_size": model.hidden,
        "vocab_size": model.vocab,
        "max_position_embeddings": model.context,
        "num_hidden_layers": len(model.order),
        "num_attention_heads": model.heads.q_heads,
    }
    if model.mtp_layers is not None:
        ours["num_nextn_predict_layers"] = model.mtp_layers
    if model.heads.kind == "grouped":
        ours |= {"num_key_value_heads": model.heads.kv_heads, "head_dim": model.heads.head_dim}
        config.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
    elif model.heads.kind == "latent":
        ours |= {"kv_lora_rank": model.heads.kv_rank, "qk_rope_head_dim": model.heads.rope}
        ours |= {"qk_nope_head_dim": model.heads.nope, "v_head_dim": model.heads.v, "q_lora_rank": model.heads.q_rank}
    else:
        ours |= {
            "head_dim": model.heads.head_dim,
            "qk_rope_head_dim": model.heads.rope,
            "q_lora_rank": model.heads.q_rank,
        }
        ours |= {"o_groups": model.heads.o_groups, "o_lora_rank": model.heads.o_rank, "hc_mult": model.residual_streams}
    for kind in model.attention.values():
        if kind.kind in ("dsa", "csa"):
            indexer = kind.indexer
            ours |= {"index_n_heads": indexer.heads, "index_head_dim": indexer.dim, "index_topk": indexer.top_k}
        if kind.kind in ("csa", "hca", "sliding_window"):
            ours["sliding_window"] = kind.window
        if kind.kind == "blocks":
            config |= config["sparse_attention_config"]
            ours |= {
                "sparse_block_size": kind.block,
                "sparse_topk_blocks": kind.blocks,
                "sparse_local_block": kind.local,
            }
            ours |= {"sparse_num_index_heads": kind.index_heads, "sparse_index_dim": kind.index_dim}
    for ffn in model.ffn.values():
        if ffn.kind == "dense":
            ours["dense_intermediate_size" if name == "minimax_m3" else "intermediate_size"] = ffn.size
            continue
        ours["intermediate_size" if name == "gpt_oss_120b" else "moe_intermediate_size"] = ffn.size
        ours["num_experts_per_tok"] = ffn.active
        ours[next(key for key in ("n_routed_experts", "num_local_experts", "num_experts") if key in config)] = (
            ffn.routed
        )
        if ffn.shared:
            ours["n_shared_experts"] = ffn.shared
    if "dense" in model.ffn and "moe" in model.ffn:
        ours["first_k_dense_replace"] = sum(layer.ffn == "dense" for layer in model.order)
    if "compress_ratios" in config:
        ratios = [getattr(model.attention[layer.attention], "ratio", 0) for layer in model.order]
        ours["compress_ratios"] = [*ratios, 0]  # the last is that of the layer for the next token
        ours["num_hash_layers"] = sum(layer.ffn == "hash" for layer in model.order)
    if "layer_types" in config:
        types = {"window": "sliding_attention", "full": "full_attention"}
        ours["layer_types"] = [types[layer.attention] for layer in model.order]
    assert ours == {key: config.get(key) for key in ours}


@pytest.mark.parametrize("name", model_names())
def test_what_is_remembered_or_secondary_stays_marked(name: str) -> None:
    marked = {key for doubt in load_model(name).unchecked for key in doubt.of}
    wanted = {"deepseek_v2": {"layers", "ffn", "vocab"}, "yi_34b_200k": {"hidden", "heads", "layers", "ffn"}}
    assert wanted.get(name, set()) <= marked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab": None, "hiden": 4096}, "hiden"),
        ({"mtp_layers": 3}, "mtp_layers 3 has no source"),
        ({"attention": {"full": {"kind": "full"}, "spare": {"kind": "full"}}}, "spare is not both described and in"),
        ({"caches": {"bf16": {"title": "rows", "kv_row": 256}}}, "K and V are apart"),
        ({"caches": {"bf16": {"title": "rows"}}}, "either element or kv_row"),
        ({"caches": {"bf16": {"title": "rows", "element": "bf16", "index_row": 4}}}, "no layer scans an index"),
        ({"heads": {"kind": "grouped", "q_heads": 33, "kv_heads": 8, "head_dim": 128}}, "no multiple of kv_heads 8"),
        ({"unchecked": [{"of": ["layer"], "reason": "why"}]}, "'layer' has a source or a doubt"),
    ],
)
def test_mistakes_in_a_file_are_one_line(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    raw = yaml.safe_load((FOLDER / "llama31_8b.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw | change), encoding="utf-8")
    with pytest.raises(WorkloadError, match=r"^mine.yaml: ") as caught:
        load_model(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names() -> None:
    assert load_model("DeepSeek-V4-Pro").name == "deepseek_v4_pro"
    with pytest.raises(WorkloadError, match="did you mean 'kimi_k2'"):
        load_model("kimi_k3")
    with pytest.raises(WorkloadError, match="no cache 'fp4'; it has bf16"):
        load_model("qwen3_8b").kept("full", 1, "fp4")
    with pytest.raises(WorkloadError, match="no attention 'csa'; it has full"):
        load_model("qwen3_8b").read("csa", 1)
    with pytest.raises(WorkloadError, match="0 tokens are no sequence"):
        load_model("qwen3_8b").read_bytes(0)
