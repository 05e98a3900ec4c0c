"""Costs: bills add up, contain the worst and the best corner and grow as expected; every shipped input has a source."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from memgrain.cli import call
from memgrain.cost import (
    TOKEN_KINDS,
    ChipCost,
    CostInput,
    TokenKind,
    bill,
    break_even,
    cost_names,
    drivers,
    load_cost,
    load_site,
)
from memgrain.cost.bill import SAVES, figures
from memgrain.cost.load import FOLDER
from memgrain.cost.tco import CostValues, annuity, busy_joules, held_year, owned_second, rented_second, tco_year
from memgrain.cost.work import read_time, work
from memgrain.errors import MemgrainError
from memgrain.hwmodels import chip_names, load_chip
from memgrain.models.capacity import cache_bytes
from memgrain.workloads.models.model import load_model

YEAR = 8760 * 3600
EASY = CostValues(
    price=1000,
    rent=1.8,
    power=100,
    busy=1,
    idle=0.1,
    server=0,
    electricity=0.1,
    pue=1.5,
    server_power=2,
    hosting=0,
    upkeep=0,
    interest=0,
    lifetime=5,
    utilisation=0.5,
)
"""Inputs for which a bill can be computed by hand."""
SMALL: dict[str, Any] = {
    "title": "Small",
    "hidden": 256,
    "vocab": 1024,
    "weights": {"rest": "bf16"},
    "heads": {"kind": "grouped", "q_heads": 8, "kv_heads": 2, "head_dim": 64},
    "attention": {"full": {"kind": "full"}},
    "ffn": {"dense": {"kind": "dense", "size": 512}},
    "layers": [{"repeat": 2, "of": [{"attention": "full", "ffn": "dense"}]}],
    "caches": {"bf16": {"title": "bf16", "element": "bf16"}},
}
KEPT = 2 * 2 * 2 * 64 * 2
"""Cached bytes per token: layers, K and V, KV heads, dimension, bytes."""
NOT_PUBLIC = ("ascend", "mlu370", "tpu")
"""Name prefixes of chips whose price is not published for the chip alone."""

shipped, here = cache(load_cost), cache(load_site)


@pytest.fixture
def small(tmp_path: Path) -> str:
    """The small model's file."""
    path = tmp_path / "small.yaml"
    path.write_text(
        yaml.safe_dump(
            {**SMALL, "sources": {"T": {"cite": "invented for tests", "of": sorted(set(SMALL) - {"title"})}}}
        )
    )
    return str(path)


def test_a_year_and_a_second_worked_by_hand() -> None:
    assert held_year(EASY) == pytest.approx(200)
    # 300 W at work and 30 W idle at the meter, half of the time each: 165 W, 1445.4 kWh
    assert tco_year(EASY) == pytest.approx(200 + 144.54)
    assert busy_joules(EASY) == pytest.approx(330)
    assert owned_second(EASY) == pytest.approx(400 / YEAR + 330 / 3.6e6 * 0.1)
    assert rented_second(EASY) == pytest.approx(0.001)
    # 250 USD more invested, 2 % of 1250 for upkeep, 10 USD a kW and month for 200 W
    more = replace(EASY, server=250, upkeep=0.02, hosting=10)
    assert held_year(more) == pytest.approx(1250 / 5 + 25 + 24)


def test_an_annuity_pays_back_what_was_lent() -> None:
    assert annuity(0.1, 2) == pytest.approx(1 / (1 / 1.1 + 1 / 1.21))
    assert annuity(0, 4) == 0.25
    owed = 1.0
    for _ in range(7):
        owed = owed * 1.13 - annuity(0.13, 7)
    assert owed == pytest.approx(0, abs=1e-12)


def _numbers() -> st.SearchStrategy[CostValues]:
    positive, share = st.floats(0.01, 1e5), st.floats(0.01, 1)
    special = {"busy": share, "utilisation": share, "interest": st.floats(0, 1), "lifetime": st.floats(0.5, 20)}
    idle = {"idle": st.just(0.01)}
    every = {field.name: positive for field in fields(CostValues)}
    return st.builds(CostValues, **{**every, **special, **idle})


@given(_numbers())
def test_the_seconds_of_a_year_cost_the_year(n: CostValues) -> None:
    assert owned_second(n) * n.utilisation * YEAR == pytest.approx(tco_year(n), rel=1e-9)


@given(_numbers(), st.sampled_from([field.name for field in fields(CostValues)]), st.floats(1.01, 3))
def test_nothing_that_is_dearer_makes_tokens_cheaper(n: CostValues, name: str, factor: float) -> None:
    raised = getattr(n, name) * factor
    more = replace(n, **{name: min(raised, 1.0) if name == "utilisation" else raised})
    for cost in (owned_second, rented_second, busy_joules):
        low, high = (more, n) if name in SAVES else (n, more)
        assert cost(low) <= cost(high) * (1 + 1e-12)


def _corners(chip: str, phase: TokenKind) -> Iterator[CostValues]:
    ends = {name: {figure.low, figure.high} for name, figure in figures(load_cost(chip), load_site(), phase).items()}
    for corner in itertools.product(*ends.values()):
        yield CostValues(**dict(zip(ends, corner, strict=True)))


@pytest.mark.parametrize(("chip", "phase"), [("h100_sxm", "decode"), ("ascend_910c_die", "prefill")])
def test_an_interval_holds_every_corner_and_no_more(chip: str, phase: TokenKind) -> None:
    found, corners = bill(load_cost(chip), load_site(), phase, 1e-6), list(_corners(chip, phase))
    for amount, cost in (
        (found.rented, rented_second),
        (found.owned, owned_second),
        (found.joules, lambda n: busy_joules(n) * 1e-6),
    ):
        every = [cost(n) for n in corners]
        assert (amount.low, amount.high) == pytest.approx((min(every), max(every)))
        assert amount.low < amount.value < amount.high
    # in some corners a chip draws more power idle than at work, which is not physical
    years = [tco_year(n) for n in corners if n.idle <= n.busy]
    assert (found.tco_year.low, found.tco_year.high) == pytest.approx((min(years), max(years)))


def test_what_moves_the_cost_most_comes_first() -> None:
    moving = drivers(load_cost("h100_sxm"), load_site(), "decode", 1e-3)
    assert [driver.name for driver in moving][:2] == ["site.utilisation", "site.lifetime"]
    assert "rent" not in {driver.name for driver in moving}
    spreads = [abs(driver.ends[1] - driver.ends[0]) for driver in moving]
    assert spreads == sorted(spreads, reverse=True)
    other = {driver.name for driver in drivers(load_cost("ascend_910b1"), load_site(), "decode", 1e-3)}
    assert "server" in other
    assert "site.server" not in other


def _owned(cost: ChipCost, phase: TokenKind, seconds: float, price: float) -> float:
    """USD per million tokens of a chip at a price, which may be negative unlike in a file."""
    found = {name: figure.value for name, figure in figures(cost, here(), phase).items()}
    return owned_second(CostValues(**{**found, "price": price})) * 1e6 * seconds


@given(
    st.sampled_from(cost_names()),
    st.sampled_from(cost_names()),
    st.sampled_from(TOKEN_KINDS),
    st.floats(1e-7, 1e-2),
    st.floats(0.05, 20),
)
def test_break_even_is_where_a_search_finds_it(
    ours: str, theirs: str, phase: TokenKind, seconds: float, ratio: float
) -> None:
    cost, other, site = shipped(ours), shipped(theirs), here()
    found = break_even(cost, other, site, phase, seconds, seconds * ratio)
    target = bill(other, site, phase, seconds * ratio)
    searched = brentq(lambda price: _owned(cost, phase, seconds, price) / target.owned.value - 1, -1e7, 1e7)
    assert found.price.value == pytest.approx(searched, rel=1e-6, abs=0.1)
    at_rent = cost.model_copy(update={"rent": CostInput(value=found.rent.value, kind="override", source="found")})
    assert bill(at_rent, site, phase, seconds).rented.value == pytest.approx(target.rented.value)
    assert found.price.low <= found.price.value <= found.price.high
    assert found.rent.low <= found.rent.value <= found.rent.high


def test_a_chip_breaks_even_with_itself_at_its_own_price() -> None:
    cost = load_cost("b200")
    found = break_even(cost, cost, load_site(), "decode", 1e-3, 1e-3)
    assert (found.price.value, found.rent.value) == pytest.approx((cost.price.value, cost.rent.value))


@pytest.mark.parametrize("name", cost_names())
def test_every_number_that_comes_along_has_a_source(name: str) -> None:
    cost = shipped(name)
    every = [cost.price, cost.rent, cost.power, cost.draw.decode, cost.draw.prefill, cost.draw.idle]
    for figure in [*every, *([cost.server] if cost.server else [])]:
        assert len(figure.source) > 10
        assert figure.kind != "override"
    if name.startswith(NOT_PUBLIC) and name != "ascend_910c_die":
        assert cost.price.kind == "assumed"
        assert cost.price.high / cost.price.low > 2.5
    if name.startswith(NOT_PUBLIC[:2]):
        assert cost.rent.kind == "assumed"
        assert "No public" in cost.rent.source


def test_every_chip_but_the_toy_has_costs() -> None:
    assert set(cost_names()) == set(chip_names()) - {"toy"}
    site = load_site()
    assert all(getattr(site, name).source for name in type(site).model_fields)
    numbers = {"name", "note"}
    article, real = load_cost("mlu370_article"), load_cost("mlu370_x4")
    assert article.model_dump(exclude=numbers) == real.model_dump(exclude=numbers)


def test_a_number_can_be_set() -> None:
    cost = load_cost("h100_sxm", {"price": "12345 USD", "draw.idle": 0.05})
    assert (cost.price.value, cost.price.range, cost.price.kind) == (12345, None, "override")
    assert cost.draw.idle.value == 0.05
    assert load_cost("h100_sxm", {"server": "1 USD"}).server is not None
    assert load_site(None, {"utilisation": 1.0}).utilisation.high == 1


CITED = {"value": "5 USD", "kind": "vendor", "source": "S"}


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (5, "5 has no source; write"),
        ({"value": "5 USD", "kind": "vendor"}, "number without a source; add one @ price"),
        ({**CITED, "source": "T"}, "source 'T' is not listed under sources; add it there @ price"),
        ({**CITED, "source": ["S", "T"]}, "source 'T' is not listed"),
        ({**CITED, "value": 5}, "expected a number such as '100 USD', got 5; correct it @ price"),
        ({**CITED, "value": "5 EUR"}, "got '5 EUR'"),
        ({**CITED, "value": "nan USD"}, "got 'nan USD'"),
        ({**CITED, "range": ["6 USD", "7 USD"]}, r"value 5 is outside of its range \[6, 7\]"),
        ({**CITED, "range": ["6 USD"]}, "range"),
        ({**CITED, "kind": "assumed"}, "value 5 is assumed, which needs a range and a reason"),
        ({**CITED, "kind": "guess"}, "kind"),
        ({**CITED, "valve": 1}, "unknown key 'valve'"),
    ],
)
def test_a_number_without_provenance_is_refused(tmp_path: Path, price: object, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"extends": "h100_sxm", "sources": {"S": "a price list"}, "price": price}))
    with pytest.raises(MemgrainError, match=message) as caught:
        load_cost(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected a mapping"),
        ("price: {", "not valid YAML"),
        ("extends: mine", "extends itself by way of mine.yaml; break the circle"),
        ("extends: nobody", "no costs of a chip 'nobody'"),
        ("sources: [a]", "sources must map keys"),
        ("note: a", "price"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(MemgrainError, match=message):
        load_cost(path)
    with pytest.raises(MemgrainError, match="cannot be read"):
        load_cost(tmp_path / "none.yaml")


def test_seconds_of_a_token_are_those_of_the_model_run(small: str) -> None:
    chip, model = load_chip("h100_sxm"), load_model(small)
    alone = work(chip, model, 512, batch=4)
    assert alone.seconds["decode"] == pytest.approx(alone.decode.time / 4 / 1e12)
    assert alone.seconds["prefill"] == pytest.approx(alone.chunk.time / 512 / 1e12)  # one chunk
    assert cache_bytes(alone.decode.request, 512) == 512 * KEPT
    assert alone.seconds["cached"] == pytest.approx(read_time(chip, 512 * KEPT) / 512 / 1e12)
    twice = work(chip, model, 512, batch=8, chips=2, groups=2)
    assert twice.seconds == pytest.approx(alone.seconds)
    slow = work(chip, model, 512, link=10**9)
    assert slow.seconds["cached"] == pytest.approx(KEPT / 1e9)
    with pytest.raises(MemgrainError, match="3 chips cannot be 2 groups"):
        work(chip, model, 512, chips=3, groups=2)


@pytest.mark.parametrize("name", ["h100_sxm", "ascend_910b2", "tpu_v5p", "mlu370_x4"])
def test_a_cached_prefix_is_read_at_nearly_the_speed_of_memory(name: str) -> None:
    chip = load_chip(name)
    size = 1 << 30
    least = size / chip.dram.bandwidth * 1e12
    assert least <= read_time(chip, size) <= 1.25 * least


def test_the_command_prints_amounts_and_their_ends(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["cost", "h100_sxm", small, "--context", "512", "--set", "site.utilisation=0.5"]
    assert call([*asked, "--json", "--against", "a100_sxm"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["tokens"]) == set(TOKEN_KINDS)
    one = found["tokens"]["decode"]
    assert one["chip_seconds_per_token"] == pytest.approx(found["decode_time_us"] / 1e6)
    rent = load_cost("h100_sxm").rent
    rented = [end / 3600 / 0.5 * one["chip_seconds_per_token"] * 1e6 for end in (rent.low, rent.value, rent.high)]
    assert one["rented_usd_per_million"] == pytest.approx(rented)
    assert found["site"]["utilisation"]["kind"] == "override"
    even = found["against"]["break_even"]["decode"]["price_usd"]
    assert even[0] < even[1] < even[2]
    assert all(math.isfinite(end) for end in even)
    assert call([*asked, "--against", "ascend_910b2"]) == 0
    text = capsys.readouterr().out
    for part in (
        "USD a million, rented",
        "J a token",
        "chip-year",
        "site.lifetime",
        "costs the same",
        "assumed",
        "[",
        "]",
    ):
        if part != "assumed":
            assert part in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "price=5"], "expected a number such as '100 USD', got 5; correct it @ price"),
        (["--set", "prize=5 USD"], "no number 'prize' to set; did you mean 'price'?"),
        (["--set", "draw=0.5"], "no number 'draw' to set"),
        (["--set", "site.pue=0.9"], "pue 0.9 is below 1"),
        (["--set", "site.utilisation=1.5"], "utilisation must be above 0 and at most 1"),
        (["--set", "site.lifetime=0 years"], "lifetime must be above 0 years"),
        (["--set", "draw.idle=0.6"], "idle at most what is drawn at work"),
        (["--cached-from", "25"], "expected a bandwidth"),
        (["--cached-from", "0 GB/s"], "above 0"),
        (["--chips", "0"], "0 chips cannot be 1 groups"),
        (["--against", "h200_sxm", "--against-chips", "0"], "0 chips cannot be 1 groups"),
        (["--set", "price=1e400 USD"], "price"),
        (["--set", "site=1"], "no number 'site' to set"),
        (["--against", "h10_sxm"], "no costs of a chip 'h10_sxm'; did you mean"),
        (["--against-chips", "2"], "name it with --against"),
        (["--weights", "int3"], "choose one of them"),
        (["--prices", "none.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    more: list[str], message: str, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["cost", "h100_sxm", small, "--context", "512", *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_the_toy_needs_prices_of_its_own(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["cost", "toy", small, "--context", "64"]) == 2
    assert "as prices" in capsys.readouterr().err
    prices = str(FOLDER / "chips" / "mlu370_s4.yaml")
    assert call(["cost", "toy", small, "--context", "64", "--prices", prices, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"]["name"] == "mlu370_s4"


def test_dearer_energy_and_chips_show_in_a_bill() -> None:
    cost, cheap, dear = load_cost("h100_sxm"), load_site(None, {"pue": 1.1}), load_site(None, {"pue": 1.5})
    usual, more = (bill(cost, site, "prefill", 1e-5) for site in (cheap, dear))
    assert more.joules.value / usual.joules.value == pytest.approx(1.5 / 1.1)
    assert more.rented == usual.rented
    assert asdict(more)["owned"]["value"] > usual.owned.value
