"""Claims: intervals, formulas, criteria and verdicts; every shipped claim loads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.claims import ExperimentOptions, claim_names, load_claim, load_claims, run_claims
from memgrain.claims.criterion import Criterion
from memgrain.claims.experiments import Best, LockIn, ReadBytesRatio
from memgrain.claims.formula import read_formula
from memgrain.claims.interval import ValueInterval, interval_of_formula
from memgrain.claims.result import rounded
from memgrain.claims.verdict import FAILS, HOLDS, OPEN, Decided, verdict
from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.runs.options import RunOptions

NUMBERS = st.floats(0.1, 100)
DOCS = Path(__file__).parents[2] / "docs"


@given(price=NUMBERS, words=NUMBERS, more=st.floats(1, 3))
def test_a_formula_lies_between_its_extremes(price: float, words: float, more: float) -> None:
    """A formula that rises in one number and falls in the other has its ends at opposite ends of the numbers."""
    formula = read_formula("price / words")
    numbers = {
        "price": ValueInterval(price, price * more, price * more),
        "words": ValueInterval(words, words, words * more),
    }
    found = interval_of_formula(formula, numbers)
    assert found.low == pytest.approx(price / (words * more))
    assert found.high == pytest.approx(price * more / words)
    assert found.low <= found.value <= found.high


def test_formulas_are_worked_out_as_python_does() -> None:
    names = {"a.b": 3.0, "c": 0.5}
    for text, value in [("2 * a.b ** 2 - c", 17.5), ("-(a.b + 1) / c", -8.0), ("log2(8) + min(a.b, c)", 3.5)]:
        assert read_formula(text)(names) == value
    assert read_formula("a.b * c * a.b").names == ("a.b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "cannot read the formula"),
        ("__import__('os')", "is no number, name"),
        ("a if b else c", "is no number, name"),
        ("'x' * 2", "is no number, name"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, message: str) -> None:
    with pytest.raises(MemgrainError, match=message):
        read_formula(text)


def test_a_formula_without_a_value_says_so() -> None:
    with pytest.raises(MemgrainError, match="has no value"):
        read_formula("1 / a")({"a": 0.0})


@given(low=st.floats(-10, 10), width=st.floats(0, 5), least=st.floats(-10, 10), room=st.floats(0, 5))
def test_a_criterion_decides_what_lies_on_one_side(low: float, width: float, least: float, room: float) -> None:
    """True and False apply to every number of the interval; an interval with numbers on both sides is open."""
    holds = Criterion(at_least=least, at_most=least + room).holds(ValueInterval(low, low, low + width))
    inside = [least <= number <= least + room for number in (low, low + width / 2, low + width)]
    if holds is not None:
        assert set(inside) == {holds}
    elif width == 0:
        raise AssertionError("one number is decided")


def test_verdicts() -> None:
    yes, no, unsure = Decided("it rains", True), Decided("it snows", False), Decided("it hails", None)
    assert verdict([yes, yes]) == HOLDS
    assert verdict([no]) == FAILS
    assert verdict([unsure, unsure]) == OPEN
    assert verdict([no, yes]) == "holds only if it rains"
    assert verdict([yes, no, unsure]) == "holds only if it rains; undecided if it hails"
    assert verdict([no, unsure]) == f"{FAILS}, or {OPEN} if it hails"


@pytest.mark.parametrize(("value", "text"), [(3300.4, "3,300"), (512.0, "512"), (0.3333, "0.333"), (2.5e7, "2.5e+07")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert rounded(value) == text


def test_every_claim_can_be_read() -> None:
    """The cases of a claim differ, and its title is one line."""
    for claim in load_claims():
        conditions = [(case.as_claimed, case.condition) for case in claim.cases]
        assert len(set(conditions)) == len(conditions), claim.name
        assert "\n" not in claim.title
        assert len(claim.title) < 90
    assert len({claim.title for claim in load_claims()}) == len(claim_names())


def test_the_page_has_every_claim() -> None:
    """`make claims` was run after a claim was added."""
    page = DOCS / "claims.md"
    for claim in load_claims():
        assert f"## {claim.title}\n" in page.read_text(encoding="utf-8"), "run 'make claims'"
        assert (DOCS / "claims" / f"{claim.name}.png").is_file()


def test_verdicts_follow_the_chip(tmp_path: Path) -> None:
    """The claim about lines of 128 bytes holds for a chip file with such lines."""
    chip = tmp_path / "mine.yaml"
    chip.write_text("extends: ascend_910b1\nmemory:\n  - {name: l2, line: 128 B, sector: 128 B, fill_granule: 128 B}\n")
    case = """
  - if: {condition}
    told: false
    measure: bytes of a line
    experiment: {{kind: formula, chip: {chip}, formula: l2.line, unit: B}}
    criterion: {{at_least: 128, at_most: 128}}"""
    cases = [case.format(condition=name, chip=name) for name in ("ascend_910b1", str(chip))]
    file = tmp_path / "lines.yaml"
    file.write_text(f"title: T\nwords: [W]\nmeaning: M\ncases:{''.join(cases)}\n")
    (found,) = run_claims([load_claim(str(file))], ExperimentOptions(RunOptions(tmp_path)))
    assert found.sourced == f"holds only if {chip}"
    assert found.as_claimed == ""


def test_a_ratio_on_the_toy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the context takes about twice the bytes; the JSON contains a command that reproduces it."""
    file = tmp_path / "twice.yaml"
    point = "{chip: toy, workload: decode_dense, set: {shape.kv_len: %d}}"
    file.write_text(
        "title: T\nwords: [W]\nmeaning: M\ncases:\n"
        "  - if: the context is twice as long\n    told: true\n    measure: bytes\n"
        f"    experiment: {{kind: ratio, metric: dram_read_bytes, over: {point % 2048}, under: {point % 1024}}}\n"
        "    criterion: {at_least: 1.9, at_most: 2.1}\n"
    )
    assert call(["claims", str(file), "--json", "-o", str(tmp_path / "rows")]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    (case,) = found["cases"]
    assert found["as_told"] == HOLDS
    assert math.isclose(case["found"][1], 2, rel_tol=0.05)
    assert "memgrain run toy decode_dense --set shape.kv_len=2048" in case["command"]


def test_designs_are_compared_on_chips_and_shown_in_a_matrix(tmp_path: Path) -> None:
    """Gathered rows of 100 elements are worse than rows of 128 with sectors. A wide port does not change the ranking of
    designs, so the best design of one toy costs nothing on the other."""
    other = tmp_path / "wide.yaml"
    other.write_text("extends: toy\nmemory:\n  - {name: l2, bandwidth: 2 TB/s}\n")
    narrow = {"shape.head_dim": 96}
    asked = {"chip": "toy", "workload": "decode_topk", "set": {"shape.kv_len": 2048}}
    best = Best.model_validate(
        {
            "kind": "best",
            "metric": "amplification",
            "point": asked,
            "design": narrow,
            "others": [{"shape.head_dim": 256}, {"shape.head_dim": 128}],
        }
    ).find(ExperimentOptions(RunOptions(tmp_path), draw=False))
    assert best.matrix is not None
    assert best.matrix.columns == ("head_dim 96", "head_dim 128", "head_dim 256")
    ((_, numbers),) = best.matrix.rows
    assert isinstance(best.found, ValueInterval)
    assert best.found.value == pytest.approx(numbers[0] / min(numbers[1:]))
    assert min(numbers) == 1
    locked = {
        "kind": "lock_in",
        "chips": ["toy", str(other)],
        "tuned_for": ["toy"],
        "run_on": [str(other)],
        "workload": "decode_topk",
        "set": {"shape.kv_len": 2048},
        "grid": {"shape.head_dim": [64, 96, 256]},
        "metric": "amplification",
    }
    found = LockIn.model_validate(locked).find(ExperimentOptions(RunOptions(tmp_path), draw=False))
    assert found.matrix is not None
    table = np.array([numbers for _, numbers in found.matrix.rows])
    assert table.shape == (2, 2)
    assert (np.diag(table) == 1).all()
    assert isinstance(found.found, ValueInterval)
    assert found.found.value == table[0, 1]
    with pytest.raises(ValueError, match="h100_sxm is none of the chips"):
        LockIn.model_validate(locked | {"run_on": ["h100_sxm"]})


def test_bytes_read_grow_with_the_cache_alone_and_less_beside_weights(tmp_path: Path) -> None:
    asked = {"kind": "reads", "model": "llama31_8b", "context": 131072, "beside": 65536}
    one, many = (
        ReadBytesRatio.model_validate({**asked, "sequences": n}).find(ExperimentOptions(RunOptions(tmp_path))).found
        for n in (1, 4096)
    )
    assert isinstance(one, ValueInterval)
    assert isinstance(many, ValueInterval)
    assert one.certain  # no experts
    assert 1 < one.value < many.value < 2
    assert many.value == pytest.approx(2, rel=1e-3)


def test_a_case_that_fails_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(
        "title: T\nwords: [W]\nmeaning: M\ncases:\n"
        "  - {if: a, told: false, measure: m, experiment: {kind: text, chip: none, of: vendor}, "
        "criterion: {one_of: [x]}}\n"
        "  - {if: b, told: false, measure: m, experiment: {kind: text, chip: toy, of: dram.standard}, "
        "criterion: {one_of: [x]}}\n"
    )
    assert call(["claims", str(file), "-o", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "no chip 'none'" in printed.out
    assert "1 cases have no answer" in printed.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("criterion: {at_least: 2, at_most: 1}", "at_least 2.0 is above at_most 1.0"),
        ("criterion: {}", "give at_least, at_most or both"),
        ("criterion: {at_most: 1}\n    more: 1", "unknown key 'more' @ cases.0.more; leave it out"),
    ],
)
def test_what_is_no_claim_is_refused(tmp_path: Path, change: str, message: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(
        "title: T\nwords: [W]\nmeaning: M\ncases:\n  - if: a\n    told: false\n    measure: m\n"
        f"    experiment: {{kind: kept, over: deepseek_v3, under: llama31_8b, context: 4096}}\n    {change}\n"
    )
    with pytest.raises(MemgrainError, match=message):
        load_claim(str(file))


def test_a_name_that_is_no_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["claims", "head_dim_69"]) == 2
    assert "did you mean 'head_dim_96'" in capsys.readouterr().err
