"""Whole models: the time of a step, and what tokens cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from memgrain.api.points import ChipLike, name_of
from memgrain.cost import (
    TOKEN_KINDS,
    Bill,
    BreakEven,
    ChipCost,
    Driver,
    Site,
    TokenWork,
    bill,
    break_even,
    drivers,
    load_cost,
    load_site,
    work,
)
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.models import ModelRun
from memgrain.models import run_model as run_step
from memgrain.models.step_options import WEIGHTS, StepOptions
from memgrain.runs.options import RunOptions
from memgrain.runs.quantities import bandwidth_of
from memgrain.uncertainty import UncertainResult
from memgrain.uncertainty.steps import ModelStep, interval_of_step
from memgrain.workloads.layers.step import Stored
from memgrain.workloads.models.model import load_model

OF_SITE = "site."
"""How names of numbers of the site begin."""


def run_model(
    chip: ChipLike, model: str | Path, context: int, *, set: Mapping[str, Any] | None = None, **step: Any
) -> ModelRun:
    """Simulate a step of a whole model on a chip, or on several.

    `context` is the number of tokens of each sequence. Other keywords (phase, batch, tokens, chips, groups, weights,
    cache, …) are the fields of `memgrain.models.step_options.StepOptions`. Raises MemgrainError if the model does not
    fit the chips.
    """
    return run_step(_step(context, step).request(load_chip(chip, set or {}), load_model(str(model))))


def model_interval(
    chip: str | Path,
    model: str | Path,
    context: int,
    *,
    set: Mapping[str, Any] | None = None,
    options: RunOptions = RunOptions(),
    **step: Any,
) -> UncertainResult:
    """The interval from 5 to 95 % of a step's time (in decode, of the time per token), over 16 draws of the chip's
    uncertain numbers unless `options.samples` is given, and with the model's own error; keywords as in `run_model`."""
    wanted, described, changes = _step(context, step), load_model(str(model)), dict(set or {})
    found = run_step(wanted.request(load_chip(chip, changes), described))
    drawn = ModelStep(name_of(chip), changes, lambda where: wanted.request(where, described), found)
    return interval_of_step(drawn, options)[0]


def _step(context: int, keywords: Mapping[str, Any]) -> StepOptions:
    """Options of a step from keywords; lists become tuples."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in keywords.items()}
    return StepOptions(context, **values)


@dataclass(frozen=True)
class TokenCost:
    """What tokens of a model cost on chips."""

    cost: ChipCost
    """Costs of a chip."""
    site: Site
    """Costs of the site."""
    work: TokenWork
    """Seconds of work for each token."""
    bills: list[Bill]
    """What tokens cost, by kind: decode, prefill, cached."""

    def drivers(self) -> list[Driver]:
        """Numbers that move the cost of decode, the widest first."""
        return drivers(self.cost, self.site, "decode", self.work.seconds["decode"])

    def break_even(self, other: TokenCost) -> list[BreakEven]:
        """At which price or rent of this chip tokens cost what they cost on the other, by kind."""
        mine, theirs = self.work.seconds, other.work.seconds
        return [break_even(self.cost, other.cost, self.site, kind, mine[kind], theirs[kind]) for kind in TOKEN_KINDS]

    def frame(self) -> pd.DataFrame:
        """A row for each kind of token and amount: phase, amount, low, value, high."""
        rows = []
        for one in self.bills:
            amounts = {
                "rented_usd_per_million": one.rented,
                "owned_usd_per_million": one.owned,
                "joules_per_token": one.joules,
                "tco_usd_per_chip_year": one.tco_year,
            }
            for name, amount in amounts.items():
                ends = {"low": amount.low, "value": amount.value, "high": amount.high}
                rows.append({"phase": one.phase, "amount": name, **ends})
        return pd.DataFrame(rows)


def token_cost(
    chip: str | Path,
    model: str | Path,
    context: int,
    *,
    batch: int | None = None,
    chips: int = 1,
    groups: int = 1,
    weights: str | None = None,
    cache: str | None = None,
    cached_from: str | None = None,
    prices: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
) -> TokenCost:
    """What tokens of a model cost, rented and owned, as intervals: a decode step and a prompt are simulated.

    `cached_from` is the rate at which a chip gets a cached prefix ('25 GB/s'; None: that of its own memory), `prices` a
    YAML file of the chip's costs, `set` numbers of these and of the site (price='20000 USD', site.utilisation=0.4).
    """
    if weights not in WEIGHTS:
        raise MemgrainError(f"weights {weights} is none of {', '.join(filter(None, WEIGHTS))}; choose one of them")
    rate = None if cached_from is None else bandwidth_of(cached_from, "rate of a cached prefix")
    if rate == 0:
        raise MemgrainError(f"a cached prefix at {cached_from} never arrives; give a rate above 0")
    changes = dict(set or {})
    ours = {key: value for key, value in changes.items() if not key.startswith(OF_SITE)}
    cost = load_cost(Path(prices) if prices is not None else Path(name_of(chip)).stem, ours)
    site = load_site(None, {key.removeprefix(OF_SITE): changes[key] for key in changes if key not in ours})
    done = work(
        load_chip(chip),
        load_model(str(model)),
        context,
        batch,
        chips,
        groups,
        cast("Stored | None", weights),
        cache,
        rate,
    )
    return TokenCost(cost, site, done, [bill(cost, site, kind, done.seconds[kind]) for kind in TOKEN_KINDS])
