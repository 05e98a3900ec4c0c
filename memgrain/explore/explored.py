"""The state of a search: every trial with its result or refusal, the Pareto front, and the hypervolume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memgrain.explore.pareto import Points, front, hypervolume, worst
from memgrain.explore.spec import Search
from memgrain.inputs.quantities import Dimension
from memgrain.runs.labels import words
from memgrain.runs.quantities import read
from memgrain.runs.tune import COLUMN

if TYPE_CHECKING:
    import optuna
    import pandas as pd

DONE = ("COMPLETE", "PRUNED")
"""States of trials that count: with values (COMPLETE) or refused (PRUNED). FAIL: interrupted, or proposed twice."""
TRIAL_ATTRIBUTE = "memgrain"
"""Attribute of a trial with its chip, its overrides, and either its row and violated constraints or the refusal."""
FEASIBLE, VIOLATES, REFUSED = "feasible", "violates", "refused"


@dataclass(frozen=True)
class Trial:
    """A point that was simulated or refused."""

    number: int
    """Number of the trial in the study."""
    chip: str
    """The chip."""
    overrides: dict[str, Any]
    """Overrides of the trial, without those of the whole search."""
    values: tuple[float, ...]
    """Objectives in the order of the search; empty if the point was refused."""
    violated: tuple[str, ...]
    """Violated constraints."""
    refused: str
    """Reason of the refusal; empty if the point was simulated."""
    row: str
    """Id of its row; empty if the point was refused."""
    tuned: dict[str, Any] = field(default_factory=dict)
    """Best values of the tuned keys."""

    @property
    def state(self) -> str:
        """feasible, violates or refused."""
        return REFUSED if self.refused else VIOLATES if self.violated else FEASIBLE


@dataclass(frozen=True)
class Explored:
    """A search and its trials."""

    search: Search
    """The specification."""
    path: Path
    """File of the rows."""
    trials: tuple[Trial, ...]
    """All trials that count, in the order of their proposals."""
    size: int | None
    """Number of points in the space; None if it is infinite."""

    @property
    def keys(self) -> list[str]:
        """The keys that vary, in the order of the search."""
        set_ = {key: None for trial in self.trials for key in trial.overrides}
        several = ["chip"] if len(self.search.chips) > 1 else []
        return [*several, *(key for key in {**dict.fromkeys(self.search.space), **set_} if key in set_)]

    @property
    def feasible(self) -> list[Trial]:
        """Trials that meet every constraint."""
        return [trial for trial in self.trials if trial.state == FEASIBLE]

    @property
    def front(self) -> list[Trial]:
        """Non-dominated feasible trials, ordered by the first objective, best first; of equal trials only the first."""
        feasible = self.feasible
        if not feasible:
            return []
        losses = self._losses(feasible)
        best = {tuple(loss): index for index, loss in reversed(list(enumerate(losses.tolist())))}
        kept = [index for index in np.flatnonzero(front(losses)).tolist() if best[tuple(losses[index])] == index]
        return [feasible[index] for index in sorted(kept, key=lambda index: losses[index].tolist())]

    def reference(self) -> list[float]:
        """Reference point of the hypervolume, in the objectives' own signs: as given, or the worst values of the
        front."""
        if self.search.reference:
            return [self.search.reference[name] for name in self.search.objectives]
        return list(map(float, worst(self._losses(self.feasible)) * self._signs()))

    def hypervolume(self) -> tuple[float, float]:
        """The dominated volume up to the reference, in the product of the objectives' units and as a fraction of the
        box between the reference and the best value of each objective; zero if nothing is feasible."""
        if not self.feasible:
            return 0.0, 0.0
        losses, limit = self._losses(self.feasible), np.array(self.reference()) * self._signs()
        box = float(np.prod(limit - losses.min(axis=0)))
        volume = hypervolume(losses, limit)
        return volume, volume / box if box > 0 else 0.0

    def reasons(self) -> list[tuple[str, int]]:
        """Reasons why points are refused or infeasible with their counts, the most frequent first."""
        counted = Counter(trial.refused or " and ".join(trial.violated) for trial in self.trials)
        del counted[""]
        return counted.most_common()

    def frame(self) -> pd.DataFrame:
        """One row per trial with number, chip, keys, objectives, state, reason and front. `attrs["units"]` holds the
        units of objectives that are quantities, `attrs["choices"]` the options of keys in the order of the search."""
        import pandas as pd

        best = {trial.number for trial in self.front}
        found = pd.DataFrame([self._record(trial) | {"front": trial.number in best} for trial in self.trials])
        found.attrs["units"] = self._units()
        listed = {key: values for key, values in self.search.space.items() if isinstance(values, list | tuple)}
        choices = {
            key: [words(key, value) if isinstance(value, Mapping) else value for value in values]
            for key, values in listed.items()
        }
        found.attrs["choices"] = {**choices, "chip": list(self.search.chips)}
        return found

    def _record(self, trial: Trial) -> dict[str, Any]:
        values = trial.values or (np.nan,) * len(self.search.objectives)
        return {
            "number": trial.number,
            "chip": trial.chip,
            **trial.overrides,
            **{COLUMN + key: value for key, value in trial.tuned.items()},
            **dict(zip(self.search.objectives, values, strict=True)),
            "state": trial.state,
            "reason": trial.refused or " and ".join(trial.violated),
            "row": trial.row,
        }

    def _units(self) -> dict[str, Dimension]:
        found = {}
        for name in self.search.objectives:
            texts = (trial.overrides[name] for trial in self.trials if isinstance(trial.overrides.get(name), str))
            unit = next((read(text, name)[1] for text in texts), None)
            if unit is not None:
                found[name] = unit
        return found

    def _losses(self, trials: list[Trial]) -> Points:
        """Objectives as numbers to be minimised: [trial, objective]."""
        return np.array([trial.values for trial in trials], dtype=np.float64) * self._signs()

    def _signs(self) -> Points:
        return np.array([1.0 if direction == "minimise" else -1.0 for direction in self.search.objectives.values()])


def read_trials(study: optuna.Study, search: Search) -> tuple[Trial, ...]:
    """The trials of a study that count."""
    found = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name in DONE:
            attributes = trial.user_attrs.get(TRIAL_ATTRIBUTE, {})
            violated, values = tuple(attributes.get("violated", ())), tuple(trial.values or ())
            chip, overrides = attributes.get("chip", search.chips[0]), attributes.get("overrides", {})
            answer = violated, attributes.get("refused", ""), attributes.get("row", ""), attributes.get("tuned", {})
            found.append(Trial(trial.number, chip, overrides, values, *answer))
    return tuple(found)
