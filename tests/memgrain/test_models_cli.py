"""Does `memgrain model list` and `show` print the models, and is every mistake one line?"""

from __future__ import annotations

import json

import pytest

from memgrain.cli import call
from memgrain.cli.tokens import token_count
from memgrain.workloads.models.model import model_names

KI = 1024
V4_PRO_READ = {64: 65e6, 128: 108e6, 256: 193e6, 1024: 706e6}
"""Bytes that a decode step of V4-Pro reads at so many Ki of context: survey of workloads of 2026-11-24, §1.3."""


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == model_names()
    pro = next(line for line in lines if line.startswith("deepseek_v4_pro"))
    for part in ("DeepSeek V4 Pro", "61", "31 hca + 30 csa", "5,036", "1,048,576"):
        assert part in pro
    assert call(["model", "list", "--json"]) == 0
    found = {line["name"]: line for line in json.loads(capsys.readouterr().out)}
    assert found["deepseek_v32"]["kv_bytes_per_token"] == 48_068
    assert found["gpt_oss_120b"]["kinds"] == {"window": 18, "full": 18}


def test_json_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "show", "deepseek_v4_pro", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for context, size in V4_PRO_READ.items():
        parts = found["read"][str(context * KI)]
        assert sum(part["bytes"] for part in parts) == pytest.approx(size, rel=0.02)
        assert found["read_bytes"]["fp8_fp4"][str(context * KI)] == pytest.approx(size, rel=0.02)
    for length in found["kept"]:
        assert sum(part["bytes"] for part in found["kept"][length]) == found["kept_bytes"]["fp8_fp4"][length]
    assert call(["model", "show", "deepseek_v4_pro", "--cache", "bf16", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert sum(part["bytes"] for part in other["kept"][str(1024 * KI)]) == pytest.approx(9.62 * 2**30, rel=0.001)
    assert other["model"]["unchecked"]


@pytest.mark.parametrize("name", model_names())
def test_every_model_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "show", name]) == 0
    text = capsys.readouterr().out
    for part in (", first to last", "4K", "1M", "kept, cache", "read by a decode step", "source "):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "show", "deepseek_v4_pro"]) == 0
    text = capsys.readouterr().out
    for part in (
        "29 x  hca + moe, csa + moe",
        "top_k",
        "65.2 MB",
        "108 MB",
        "193 MB",
        "706 MB",
        "ascend_950",
        "unchecked",
    ):
        assert part in text
    assert call(["model", "show", "qwen3_8b"]) == 0
    assert "64K*" in capsys.readouterr().out
    assert call(["model", "show", "article_v4"]) == 0
    text = capsys.readouterr().out
    assert "[0.05, 0.1]" in text
    assert "not known" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deepseek_v4_por"], "no model 'deepseek_v4_por'; did you mean 'deepseek_v4_pro'"),
        (["qwen3_8b", "--cache", "fp8"], "no cache 'fp8'; it has bf16"),
        ([], "missing argument 'name'"),
        (["none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_mistakes(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "show", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_former_verb_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["models", "qwen3_8b"]) == 2
    error = capsys.readouterr().err
    assert "'models' is no verb any more: write 'memgrain model list' or 'memgrain model show NAME'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("text", "count"), [("32768", 32768), ("32K", 32768), ("1M", 1 << 20), ("5 M", 5 << 20)])
def test_contexts_as_people_write_them(text: str, count: int) -> None:
    assert token_count(text) == count


@pytest.mark.parametrize("text", ["abc", "0", "-4K", "1.5", "32KB"])
def test_what_is_no_number_of_tokens_is_refused_in_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["model", "show", "llama31_8b", f"--context={text}"]) == 2
    error = capsys.readouterr().err
    assert "write one such as 32768, 32K or 1M" in error
    assert error.count("\n") == 1
