"""Does a step of a whole model add up, from weights and memory to exchanges, and is every mistake one line?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.patches import Rectangle

from memgrain import MemgrainError
from memgrain.cli import call
from memgrain.hwmodels import load_chip
from memgrain.models import ModelRequest, ModelRun, PrefetchPolicy, prompt_time, run_model
from memgrain.models.capacity import Capacity, cache_bytes, capacity
from memgrain.models.run import DRAFT, HEAD
from memgrain.plots.model_run import bars
from memgrain.sim.network.collectives import collective
from memgrain.workloads.layers.step import COMPONENTS, Shard
from memgrain.workloads.models.model import Model, load_model

HIDDEN, VOCAB, Q_HEADS, KV_HEADS, DIM, WINDOW = 256, 1024, 8, 2, 64, 64
DENSE, EXPERT, EXPERTS, ACTIVE = 512, 128, 8, 2
SMALL: dict[str, Any] = {
    "title": "Small",
    "hidden": HIDDEN,
    "vocab": VOCAB,
    "mtp_layers": 1,
    "weights": {"rest": "bf16"},
    "heads": {"kind": "grouped", "q_heads": Q_HEADS, "kv_heads": KV_HEADS, "head_dim": DIM},
    "attention": {"full": {"kind": "full"}, "window": {"kind": "sliding_window", "window": WINDOW}},
    "ffn": {
        "dense": {"kind": "dense", "size": DENSE},
        "moe": {"kind": "moe", "size": EXPERT, "routed": EXPERTS, "active": ACTIVE, "shared": 1},
    },
    "layers": [
        {"repeat": 1, "of": [{"attention": "full", "ffn": "dense"}]},
        {"repeat": 3, "of": [{"attention": "window", "ffn": "moe"}]},
    ],
    "caches": {"bf16": {"title": "bf16", "element": "bf16"}},
}
"""A model of four layers of two kinds; bf16 throughout."""
LATENT: dict[str, Any] = {
    **SMALL,
    "heads": {"kind": "latent", "q_heads": 8, "q_rank": 128, "kv_rank": 64, "rope": 16, "nope": 32, "v": 32},
    "attention": {"full": {"kind": "full"}},
    "layers": [{"repeat": 1, "of": [{"attention": "full", "ffn": "dense"}, {"attention": "full", "ffn": "moe"}]}],
}
SPARSE: dict[str, Any] = {
    **LATENT,
    "attention": {"full": {"kind": "dsa", "indexer": {"heads": 4, "dim": 32, "top_k": 128}}},
    "caches": {"bf16": {"title": "bf16", "element": "bf16", "index_row": 64}},
}
CORES = 4
"""Of the toy chip."""
DENSE_FFN, EXPERT_FFN = 3 * HIDDEN * DENSE, 3 * HIDDEN * EXPERT
QKV, OUT = HIDDEN * (Q_HEADS + 2 * KV_HEADS) * DIM, Q_HEADS * DIM * HIDDEN
TABLES = 2 * VOCAB * HIDDEN


@cache
def model(kind: str = "small", context: int | None = None) -> Model:
    raw = {**{"small": SMALL, "latent": LATENT, "sparse": SPARSE}[kind], "name": kind}
    raw |= {"context": context} if context else {}
    keys = [key for key in raw if key not in ("title", "name")]
    return Model.model_validate({**raw, "sources": {"T": {"cite": "invented for tests", "of": keys}}})


def question(asked: Model | None = None, phase: str = "decode", context: int = 512, **dials: Any) -> ModelRequest:
    return ModelRequest.of(load_chip("toy"), asked or model(), phase, context, **dials)  # type: ignore[arg-type]


@cache
def decode() -> ModelRun:
    return run_model(question())


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Writes a model's file, without some keys or with others, and says where it is."""

    def write(*without: str, **changed: Any) -> str:
        raw = {key: value for key, value in {**SMALL, **changed}.items() if key not in without}
        raw["sources"] = {"T": {"cite": "invented for tests", "of": [key for key in raw if key != "title"]}}
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        return str(path)

    return write


def test_a_step_adds_up() -> None:
    found, chip = decode(), decode().request.chip
    assert {line.layer: line.layers for line in found.lines} == {"full, dense": 1, "window, moe": 3, HEAD: 1}
    assert found.time == sum(found.of(component)[0] for component in COMPONENTS)
    assert found.read_bytes == sum(line.layers * line.read_bytes for line in found.lines)
    assert found.of("exchange") == (0, 0, 0)
    rate = 1024 * CORES * 10**9
    for line in found.lines:
        assert line.time >= line.read_bytes * 10**12 // chip.dram.bandwidth, line.stage
        assert line.time >= line.macs * 10**12 // rate, line.stage
    assert found.tokens_per_second == pytest.approx(1e12 / found.time)


def test_weights_are_read_once_and_multiplied_once() -> None:
    """One token: every matrix that it meets is read whole, experts that it is not sent to are not."""
    found = decode()
    wanted = {
        "full, dense": {"qkv": QKV, "o": OUT, "gate_up": DENSE_FFN * 2 // 3, "down": DENSE_FFN // 3},
        "window, moe": {"qkv": QKV, "o": OUT, "gate_up": EXPERT_FFN * 2 // 3, "down": EXPERT_FFN // 3}
        | {"experts_gate_up": ACTIVE * EXPERT_FFN * 2 // 3, "experts_down": ACTIVE * EXPERT_FFN // 3}
        | {"router": HIDDEN * EXPERTS},
        HEAD: {"head": TABLES // 2},
    }
    for line in found.lines:
        if (elements := wanted[line.layer].pop(line.stage, None)) is not None:
            assert 2 * elements <= line.read_bytes <= 2.02 * elements + 1024, line
            assert line.macs == elements
        elif line.component in ("norm", "ffn", "head"):
            assert line.macs == 0
            assert line.read_bytes <= 4 * HIDDEN * ACTIVE + 2 * VOCAB
    assert not any(wanted.values()), "every matrix has its line"
    attend = {line.layer: line for line in found.lines if line.stage == "attend"}
    for layer, rows in (("full, dense", 512), ("window, moe", WINDOW)):
        cache = 2 * rows * KV_HEADS * DIM * 2
        assert cache <= attend[layer].read_bytes <= 1.05 * cache + 2 * Q_HEADS * DIM + 1024
        assert attend[layer].macs == 2 * rows * Q_HEADS * DIM


def test_memory_holds_as_much_as_is_said() -> None:
    asked = question(memory_share=0.01, batch=3)
    held = capacity(asked, 12345)
    layer = QKV + OUT
    weights = 2 * (TABLES + layer + DENSE_FFN + 3 * (layer + HIDDEN * EXPERTS + (EXPERTS + 1) * EXPERT_FFN))
    row = 2 * KV_HEADS * DIM * 2
    assert held.weights == weights
    assert held.sequence == row * (512 + 3 * WINDOW)
    room = int(0.01 * (4 << 30)) - weights - 12345
    assert held.most_tokens == (room // 3) // row - 3 * WINDOW
    assert held.most_sequences == room // held.sequence

    def fits(**changed: Any) -> bool:
        return capacity(replace(asked, step=asked.step.model_copy(update=changed)), 12345).fits

    for key, most in (("context", held.most_tokens), ("batch", held.most_sequences)):
        assert fits(**{key: most})
        assert not fits(**{key: most + 1})
    with pytest.raises(
        MemgrainError, match=r"small does not fit toy: .*; share it among 2 chips, or shorten the context to"
    ):
        run_model(question(memory_share=0.01, batch=1, context=100_000))


def test_the_layer_that_makes_drafts_is_held_too() -> None:
    without, drafts = (capacity(question(tokens=2, accepted=accepted), 0).weights for accepted in (None, 1.0))
    layer = QKV + OUT + HIDDEN * EXPERTS + (EXPERTS + 1) * EXPERT_FFN
    assert drafts - without == 2 * (layer + 2 * HIDDEN * HIDDEN)


@pytest.mark.parametrize(
    ("shard", "heads", "experts", "cache"),
    [
        (Shard(tensor=2), 1, EXPERTS / 2, 1 / 2),
        (Shard(tensor=2, expert=True), 1, EXPERTS / 2, 1 / 2),
        (Shard(tensor=2, data=2, expert=True), 1, EXPERTS / 4, 1 / 2),
        (Shard(tensor=4), 1, EXPERTS / 4, 1 / 2),
        (Shard(tensor=4, context=2), 1, EXPERTS / 4, 1 / 4),
    ],
)
def test_what_one_chip_holds(shard: Shard, heads: int, experts: float, cache: float) -> None:
    asked = question(shard=shard, batch=shard.data)
    held, parts = capacity(asked, 0), shard.tensor
    layer = HIDDEN * (Q_HEADS // parts + 2 * heads) * DIM + OUT // parts
    moe = HIDDEN * EXPERTS + int((1 / parts + experts) * EXPERT_FFN)
    assert held.weights == 2 * (TABLES // parts + layer + DENSE_FFN // parts + 3 * (layer + moe))
    assert cache_bytes(asked, 512) == cache * cache_bytes(question(), 512)


@pytest.mark.parametrize(
    ("shard", "wanted"),
    [
        (Shard(tensor=4), {"attention_sum": ("all_reduce", 2 * HIDDEN, 4), "ffn_sum": ("all_reduce", 2 * HIDDEN, 4)}),
        (
            Shard(tensor=2, data=2, expert=True),
            {
                "attention_sum": ("all_reduce", 2 * HIDDEN, 2),
                "dispatch": ("all_to_all", 2 * HIDDEN * ACTIVE, 4),
                "combine": ("all_to_all", 2 * HIDDEN * ACTIVE, 4),
                "ffn_sum": ("all_reduce", 2 * HIDDEN, 2),
            },
        ),
    ],
)
def test_exchanges_take_the_time_of_their_collectives(shard: Shard, wanted: dict[str, tuple[str, int, int]]) -> None:
    found = run_model(question(shard=shard, batch=shard.data))
    lines = {line.stage: line for line in found.lines if line.component == "exchange" and line.layer == "window, moe"}
    assert set(lines) == set(wanted)
    for name, (op, size, chips) in wanted.items():
        assert lines[name].time == collective(found.request.chip, op, size, chips).time
    logits = next(line for line in found.lines if line.stage == "logits")
    assert logits.time == collective(found.request.chip, "all_gather", 2 * VOCAB, shard.tensor).time
    assert found.tokens == shard.data


def test_several_new_tokens_are_checked_at_once() -> None:
    one, four = decode(), run_model(question(tokens=4))
    assert one.time < four.time < 4 * one.time
    assert four.tokens == 4
    heads = [next(line.macs for line in found.lines if line.stage == "head") for found in (one, four)]
    assert heads[1] == 4 * heads[0], "a row of logits for each draft"
    drafts = run_model(question(tokens=4, accepted=2.5))
    assert {line.layers for line in drafts.lines if line.layer == DRAFT} == {3}
    assert {line.stage for line in drafts.lines if line.layer == DRAFT} >= {"join", "attend", "head"}
    assert [line for line in drafts.lines if line.layer != DRAFT] == list(four.lines)
    assert drafts.time_per_token == pytest.approx(drafts.time / 3.5)


@pytest.mark.parametrize("fusion", ["ffn", "attention", "layer"])
def test_fused_kernels_read_less_and_are_fewer(fusion: str) -> None:
    plain, fused = decode(), run_model(question(fusions=(fusion,)))
    assert {kind for kind, _, _ in fused.fused} == {"full, dense", "window, moe"}
    assert all(change.saved_bytes > 0 and change.kernels > 1 for _, _, change in fused.fused)
    assert fused.time < plain.time
    assert len(fused.lines) < len(plain.lines) or fusion == "attention"
    macs = [sum(line.layers * line.macs for line in found.lines) for found in (plain, fused)]
    assert macs[0] == macs[1]


def test_what_is_prefetched_is_counted() -> None:
    ahead = PrefetchPolicy(("weights", "cache"), 1.0, 1, 1 << 18)
    plain, found = decode(), run_model(question(prefetch=ahead))
    assert plain.fetched == {}
    counts = found.fetched
    assert 0 < counts["used_bytes"] <= counts["bytes"]
    assert counts["used_bytes"] + counts["late_bytes"] + counts["lost_bytes"] <= counts["bytes"]
    assert counts["wrong_bytes"] == 0
    assert found.time < plain.time, "kernels between products leave the memory idle"
    assert [line.stage for line in found.lines] == [line.stage for line in plain.lines]
    none = run_model(question(prefetch=replace(ahead, limit=0)))
    assert none.fetched["bytes"] == 0
    assert [line.time for line in none.lines] == [line.time for line in plain.lines]


def test_a_chunk_of_a_prompt() -> None:
    """Causal attention of grouped heads: the pairs that are open, at most whole tiles more."""
    found = run_model(question(phase="prefill", context=1024, tokens=256))
    positions = np.arange(1024 - 256, 1024) + 1
    for line in found.lines:
        if line.stage == "attend":
            open_pairs = (positions if line.layer == "full, dense" else np.minimum(positions, WINDOW)).sum()
            exact = int(open_pairs) * Q_HEADS * 2 * DIM
            assert exact <= line.macs <= exact * (1.3 if line.layer == "full, dense" else 5), line
        elif line.stage == "qkv":
            assert line.macs == 256 * QKV
        elif line.stage == "head":
            assert line.macs == TABLES // 2, "the last token's alone"
    assert found.tokens_per_second == pytest.approx(256e12 / found.time)


def test_latent_heads_have_k_and_v_of_their_own_in_a_prompt() -> None:
    lines = {line.stage: line for line in run_model(question(model("latent"), "prefill", 512, tokens=128)).lines}
    assert lines["kv_b"].macs == 512 * 64 * 8 * (32 + 32), "of all rows that are kept"
    assert "k_b" not in lines
    assert "v_b" not in lines
    exact = int((np.arange(384, 512) + 1).sum()) * 8 * (32 + 16 + 32)
    assert exact <= lines["attend"].macs <= 1.3 * exact
    once = {line.stage: line for line in run_model(question(model("latent"))).lines}
    assert (once["k_b"].macs, once["v_b"].macs) == (8 * 32 * 64, 8 * 64 * 32)
    assert once["attend"].macs == 512 * 8 * (64 + 16 + 64)


def test_queries_of_a_sparse_prompt_read_rows_of_their_own() -> None:
    found = run_model(question(model("sparse"), "prefill", 512, tokens=64))
    lines = {line.stage: line for line in found.lines}
    assert lines["attend"].macs == 64 * 128 * 8 * (64 + 16 + 64)
    assert {"k_b", "v_b", "index_q", "index_k", "scan", "select"} <= set(lines)
    assert lines["scan"].macs >= 64 * 512 * 4 * 32 // 2


def test_a_whole_prompt_is_the_sum_of_its_chunks() -> None:
    chunks = [run_model(question(phase="prefill", context=end, tokens=256)) for end in (256, 512, 768, 1024)]
    assert prompt_time(chunks[-1]) == pytest.approx(sum(chunk.time for chunk in chunks), rel=0.03)
    assert prompt_time(chunks[0]) == chunks[0].time


def test_json_has_the_same_numbers(file: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "run", "toy", file(), "--context", "512", "--json"]) == 0
    said, found = json.loads(capsys.readouterr().out), decode()
    assert said["time_us"] == found.time / 1e6
    assert said["read_bytes"] == found.read_bytes
    assert sum(part["time_us"] for part in said["components"].values()) == pytest.approx(said["time_us"])
    assert [stage["time_us"] for stage in said["stages"]] == [line.time / 1e6 for line in found.lines]
    assert said["memory"]["most_tokens"] == found.capacity.most_tokens
    assert said["prompt_time_us"] is None


def test_what_is_printed(file: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["model", "run", "toy", file(), "--context", "512"]
    assert call([*asked, "--chips", "4", "--groups", "2", "--prefetch", "weights", "--fuse", "ffn"]) == 0
    text = capsys.readouterr().out
    for part in (
        "Small on 4 x Toy",
        "decode of a token of 1 sequence of 512 tokens in each of 2 groups of 2",
        "prefetched",
    ):
        assert part in text
    assert "exchange (sent)" in text
    assert "fused in window, moe: experts_gate_up to experts_down, 3 kernels" in text
    assert "from token to token" not in text, "both sequences get one"
    assert max(map(len, text.splitlines())) <= 120
    assert call([*asked, "--tokens", "3", "--accepted", "1"]) == 0
    text = capsys.readouterr().out
    assert "decode of 3 tokens of which 2 count of 1 sequence" in text
    assert "from token to token" in text
    assert call([*asked, "--phase", "prefill", "--tokens", "128", "--prompt"]) == 0
    assert "in 4 chunks" in capsys.readouterr().out


def test_the_figure(file: Callable[..., str], tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.png"
    assert call(["model", "run", "toy", file(), "--context", "512", "-o", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    axis = bars(decode()).axes[0]
    widths = [patch.get_width() for patch in axis.patches if isinstance(patch, Rectangle)]
    assert sum(widths) == pytest.approx(decode().time / 1e9)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1 x full, dense", "3 x window, moe", "1 x head"]


def test_chips_that_are_proposed_would_do() -> None:
    chip = load_chip("h100_sxm")
    for name in ("llama31_70b", "deepseek_v3", "kimi_k2"):
        asked = ModelRequest.of(chip, load_model(name), "decode", 32768)
        with pytest.raises(MemgrainError, match=r"among \d+ chips") as refused:
            run_model(asked)
        chips = int(re.search(r"among (\d+) chips", str(refused.value)).group(1))  # type: ignore[union-attr]
        many = any(ffn.routed for ffn in asked.model.ffn.values())

        def held(chips: int, asked: ModelRequest = asked, many: bool = many) -> Capacity:
            return capacity(replace(asked, shard=Shard(tensor=chips, expert=many)), 0)

        assert held(chips).fits
        assert not held(chips // 2).fits


SHORT = ["--context", "512"]


@pytest.mark.parametrize(
    ("chip", "arguments", "said"),
    [
        ("toy", ["--context", "3000000"], "context 3000000 exceeds the 1048576 tokens that small is made for"),
        ("toy", ["--context", "1048576", "--batch", "8"], r"small does not fit toy: .* among 2 chips, or shorten"),
        ("mlu370_s4", ["--context", "1048576", "--batch", "64"], r"does not fit mlu370_s4: .*; shorten the context to"),
        ("toy", [*SHORT, "--chips", "3"], "heads.q_heads 8 cannot be shared evenly by 3 chips; choose a divisor of 8"),
        ("toy", [*SHORT, "--chips", "4", "--groups", "3"], "4 chips cannot be 3 groups of as many"),
        ("toy", [*SHORT, "--groups", "0"], "1 chips in 0 groups; give at least 1 of each"),
        (
            "toy",
            [*SHORT, "--chips", "2", "--groups", "2", "--batch", "3"],
            "batch 3 cannot be shared evenly by 2 groups",
        ),
        ("toy", [*SHORT, "--context-parts", "2"], "context 2 does not divide the 1 chips of tensor"),
        ("toy", [*SHORT, "--chips", "2", "--context-parts", "2", "--phase", "prefill"], "2 context parts in prefill"),
        ("toy", [*SHORT, "--phase", "prefill", "--batch", "2"], "batch 2 in prefill, must be 1 for each group"),
        ("toy", [*SHORT, "--phase", "fill"], "phase fill is none of decode, prefill"),
        ("toy", [*SHORT, "--prompt"], "--prompt is for --phase prefill"),
        ("toy", [*SHORT, "--cache", "fp9"], "no cache 'fp9'; it has bf16"),
        ("toy", [*SHORT, "--weights", "int3"], "weights int3 is none of bf16, fp8"),
        ("toy", ["--context", "0"], "'0' is not a number of tokens; write one such as 32768, 32K or 1M"),
        ("toy", [*SHORT, "--page", "0"], "expected page >= 1, got 0"),
        ("toy", [*SHORT, "--tokens", "17"], "tokens is 17 in decode, at most 16"),
        ("toy", [*SHORT, "--tokens", "2", "--batch", "2"], "batch is 2 with 2 new tokens of each, must be 1"),
        ("toy", [*SHORT, "--tokens", "2", "--accepted", "2"], "accepted 2.0 of 1 drafts"),
        ("toy", [*SHORT, "--memory-share", "nan"], "memory share nan must be above 0"),
        ("toy", [*SHORT, "--fuse", "all"], "fuse all is none of ffn, attention, layer"),
        (
            "toy",
            [*SHORT, "--fuse", "ffn", "--phase", "prefill", "--set", "smem.capacity=64 KiB"],
            "fuse less, or lower",
        ),
        ("toy", [*SHORT, "--prefetch", "layers"], "prefetch layers is none of weights, cache"),
        (
            "toy",
            [*SHORT, "--prefetch", "weights", "--prefetch-hit", "2"],
            "hit_probability is 2.0, must be from 0 to 1",
        ),
        ("toy", [*SHORT, "--prefetch", "weights", "--prefetch-limit", "x"], "prefetch limit: expected a size"),
        ("toy", [*SHORT, "--prefetch-hit", "0.5"], "prefetch hit says how, and nothing is fetched"),
        ("toy", [*SHORT, "-o", "figure.txt"], r"-o figure.txt is none of \.png"),
        ("mlu370_s4", [*SHORT, "--chips", "2"], "mlu370_s4 has no interconnect"),
        ("mlu370_s4", [*SHORT, "--prefetch", "weights"], "mlu370_s4 has no cache to prefetch into"),
        ("ascend_910b2", [*SHORT, "--page", "16"], "takes pages of 128 or 512 or 1024 tokens, layout.page is 16"),
        ("toyy", SHORT, "no chip 'toyy'; did you mean 'toy'"),
    ],
)
def test_mistakes(
    chip: str, arguments: list[str], said: str, file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["model", "run", chip, file(context=1 << 20), *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("hidden", "model small has no hidden"),
        ("weights", "model small does not say the type of its weights; give one"),
    ],
)
def test_a_model_that_says_too_little(
    without: str, said: str, file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["model", "run", "toy", file(without), *SHORT]) == 2
    assert said in capsys.readouterr().err
    assert call(["model", "run", "toy", "none", *SHORT]) == 2
    assert "no model 'none'; see memgrain model list" in capsys.readouterr().err
