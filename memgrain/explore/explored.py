"""What a search has found: every trial with its answer or its reason, the front, and the hypervolume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memgrain.explore.pareto import Points, front, hypervolume, worst
from memgrain.explore.spec import Search
from memgrain.runs.labels import words
from memgrain.runs.quantities import Unit, read
from memgrain.runs.tune import COLUMN

if TYPE_CHECKING:
    import optuna
    import pandas as pd

DONE = ("COMPLETE", "PRUNED")
"""States of trials that count: with values, and refused. FAIL is what was interrupted, or proposed twice."""
ANSWER = "memgrain"
"""Attribute of a trial: its chip, its overrides, and its row and what that violates, or why it was refused."""
FEASIBLE, VIOLATES, REFUSED = "feasible", "violates", "refused"


@dataclass(frozen=True)
class Trial:
    """A point that was tried."""

    number: int
    """Its number in the study."""
    chip: str
    """The chip."""
    overrides: dict[str, Any]
    """What was set, those of the whole search apart."""
    values: tuple[float, ...]
    """The objectives in the order of the search; empty if it was refused."""
    violated: tuple[str, ...]
    """The constraints that it does not meet."""
    refused: str
    """Why it cannot be; empty if it can."""
    row: str
    """Id of its row; empty if it was refused."""
    tuned: dict[str, Any] = field(default_factory=dict)
    """The best values of what was tuned."""

    @property
    def state(self) -> str:
        """feasible, violates or refused."""
        return REFUSED if self.refused else VIOLATES if self.violated else FEASIBLE


@dataclass(frozen=True)
class Explored:
    """A search and its trials."""

    search: Search
    """The search."""
    path: Path
    """The rows."""
    trials: tuple[Trial, ...]
    """All trials that count, in the order in which they were asked."""
    size: int | None
    """Points of the space; None if there is no end of them."""

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
        """Those of them that no other beats, ordered by the first objective, best first; of equal ones, the first."""
        feasible = self.feasible
        if not feasible:
            return []
        losses = self._losses(feasible)
        best = {tuple(loss): place for place, loss in reversed(list(enumerate(losses.tolist())))}
        kept = [place for place in np.flatnonzero(front(losses)).tolist() if best[tuple(losses[place])] == place]
        return [feasible[place] for place in sorted(kept, key=lambda place: losses[place].tolist())]

    def reference(self) -> list[float]:
        """Where the hypervolume ends, in the objectives' own sign: as given, or the worst of the front."""
        if self.search.reference:
            return [self.search.reference[name] for name in self.search.objectives]
        return list(map(float, worst(self._losses(self.feasible)) * self._signs()))

    def hypervolume(self) -> tuple[float, float]:
        """What the front dominates up to the reference, in the objectives' units multiplied, and as a share of the box
        between the reference and the best of each objective; zero where nothing is feasible."""
        if not self.feasible:
            return 0.0, 0.0
        losses, limit = self._losses(self.feasible), np.array(self.reference()) * self._signs()
        box = float(np.prod(limit - losses.min(axis=0)))
        volume = hypervolume(losses, limit)
        return volume, volume / box if box > 0 else 0.0

    def reasons(self) -> list[tuple[str, int]]:
        """Why points are refused or not feasible, and how many, the most frequent first."""
        counted = Counter(trial.refused or " and ".join(trial.violated) for trial in self.trials)
        del counted[""]
        return counted.most_common()

    def frame(self) -> pd.DataFrame:
        """A row for each trial: number, chip, keys, objectives, state, reason, front; `attrs["units"]` has the units of
        objectives that are quantities, `attrs["choices"]` the options of keys in the search's order."""
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

    def _units(self) -> dict[str, Unit]:
        found = {}
        for name in self.search.objectives:
            texts = (trial.overrides[name] for trial in self.trials if isinstance(trial.overrides.get(name), str))
            unit = next((read(text, name)[1] for text in texts), None)
            if unit is not None:
                found[name] = unit
        return found

    def _losses(self, trials: list[Trial]) -> Points:
        """Objectives as numbers that are to be small: [trial, objective]."""
        return np.array([trial.values for trial in trials], dtype=np.float64) * self._signs()

    def _signs(self) -> Points:
        return np.array([1.0 if way == "minimise" else -1.0 for way in self.search.objectives.values()])


def read_trials(study: optuna.Study, search: Search) -> tuple[Trial, ...]:
    """The trials of a study that count."""
    found = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name in DONE:
            said = trial.user_attrs.get(ANSWER, {})
            violated, values = tuple(said.get("violated", ())), tuple(trial.values or ())
            chip, overrides = said.get("chip", search.chips[0]), said.get("overrides", {})
            answer = violated, said.get("refused", ""), said.get("row", ""), said.get("tuned", {})
            found.append(Trial(trial.number, chip, overrides, values, *answer))
    return tuple(found)
