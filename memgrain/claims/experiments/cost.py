"""Cost of a model's tokens on chips, absolute or relative to other chips; see `memgrain.cost`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.cost import Amount, Bill, Site, TokenKind, TokenWork, bill, load_cost, load_site, work
from memgrain.hwmodels import load_chip
from memgrain.models import ModelRun
from memgrain.runs.validated import LEVELS, bounded
from memgrain.workloads.models.model import load_model

CostQuantity = Literal["rented", "owned", "joules", "tco_year"]
UNITS: dict[CostQuantity, str] = {
    "rented": "$ a million tokens",
    "owned": "$ a million tokens",
    "joules": "J a token",
    "tco_year": "$ a year",
}


class CostOf(BaseModel):
    """A model on chips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chip: str = Field(min_length=1, description="a chip by name")
    model: str = Field(min_length=1, description="a model by name or file")
    context: int = Field(gt=0, description="tokens of each sequence, and of the prompt")
    chips: int = Field(default=1, gt=0, description="chips that share the model")
    batch: int = Field(default=1, gt=0, description="sequences decoded together")

    def work(self, options: ExperimentOptions) -> TokenWork:
        """Chip-seconds of work per token, simulated once for all cases of a run of the claims."""
        if self not in options.known:
            done = work(load_chip(self.chip), load_model(self.model), self.context, self.batch, self.chips)
            options.known[self] = done
        found: TokenWork = options.known[self]
        return found

    def bill(self, phase: TokenKind, site: Site, options: ExperimentOptions) -> tuple[Bill, ModelRun]:
        """The cost of its tokens, and the decode step whose error label applies to the time."""
        done = self.work(options)
        return bill(load_cost(self.chip), site, phase, done.seconds[phase]), done.decode

    def command(self) -> str:
        """The command that reproduces the cost."""
        chips = f" --chips {self.chips}" if self.chips > 1 else ""
        batch = f" --batch {self.batch}" if self.batch > 1 else ""
        return f"memgrain cost {self.chip} {self.model} --context {self.context}{chips}{batch}"


class Cost(BaseModel):
    """The cost of a model, and optionally the cost that it is divided by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cost"]
    what: CostQuantity = Field(description="rented, owned, joules or tco_year")
    phase: TokenKind = Field(description="decode, prefill or cached tokens")
    of: CostOf = Field(description="the model on chips")
    beside: CostOf | None = Field(default=None, description="what it is divided by; left out: the cost itself")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The cost with its interval over all ranges of the inputs and the validated error of the simulated time. In a
        ratio of two costs, the inputs of the common site keep their values and the inputs of each chip vary
        independently."""
        site = load_site()
        if self.beside is None:
            paid, step = self.of.bill(self.phase, site, options)
            amount = self._amount(paid)
            low, high = (1.0, 1.0) if self.what == "tco_year" else _ends([step], (1,))
            found = ValueInterval.of(amount.value, (amount.low * low, amount.high * high))
            return ExperimentResult(found, UNITS[self.what], self.of.command(), _note(step))
        fixed = _as_given(site)
        (ours, step), (theirs, other) = (side.bill(self.phase, fixed, options) for side in (self.of, self.beside))
        own, beside = self._amount(ours), self._amount(theirs)
        low, high = (1.0, 1.0) if self.what == "tco_year" else _ends([step, other], (1, -1))
        ends = own.low / beside.high * low, own.high / beside.low * high
        command = f"{self.of.command()} && {self.beside.command()}"
        notes = dict.fromkeys((_note(step), _note(other)))
        return ExperimentResult(ValueInterval.of(own.value / beside.value, ends), "", command, "; ".join(notes))

    def _amount(self, paid: Bill) -> Amount:
        """The selected amount of a bill."""
        amount: Amount = getattr(paid, self.what)
        return amount


def _ends(steps: Sequence[ModelRun], powers: Sequence[float]) -> tuple[float, float]:
    """Ends of the interval of the product of the steps' measured / predicted times, raised to `powers`."""
    errors = bounded([step.trust for step in steps])
    return errors.quantile(LEVELS[0], powers), errors.quantile(LEVELS[1], powers)


def _note(step: ModelRun) -> str:
    """The basis of the error of the time."""
    return f"{step.request.model.name} on {step.request.chip.name}: {step.trust.sentence}"


def _as_given(site: Site) -> Site:
    """The site with the values of its file and without ranges."""
    numbers = {name: getattr(site, name) for name in Site.model_fields}
    return Site(
        **{name: figure.model_copy(update={"range": None, "kind": "override"}) for name, figure in numbers.items()}
    )
