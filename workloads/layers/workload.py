"""Layers of a model as a workload: the kernels of one chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layers.attention import Kernels
from memgrain.workloads.layers.fusion import Fusion, fuse
from memgrain.workloads.layers.stages import LayerStages
from memgrain.workloads.layers.step import KEPT, WEIGHTS, Shard, Stage, Step
from memgrain.workloads.models.model import load_model
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.sequence import in_one_memory
from memgrain.workloads.trace import Trace

OWN = (WEIGHTS, *KEPT, "table")
"""Prefixes of the names of tensors that each layer has for itself."""


class Layers(BaseModel):
    """Layers of one kind, one after the other, without exchanges between chips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["layers"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    model: str = Field(min_length=1)
    """A model by name, or its YAML file."""
    layer: Annotated[int, Field(ge=0)] = 0
    """Number of the layer, from 0."""
    repeat: Size = 1
    """Number of such layers, each with its own weights and cache."""
    step: Step
    """The step."""
    shard: Shard = Shard()
    """How chips share them; the workload is one chip's."""
    kernels: Kernels | None = None
    """auto: attention runs the chip's own kernels; absent: tiles are chosen without one."""
    fusions: tuple[Fusion, ...] = ()
    """Which kernels are fused."""

    def traces(self, budget: Budget) -> tuple[Trace, ...]:
        """The kernels in order, in one memory; raises WorkloadError if the model or layer does not exist, or does not
        fit."""
        model = load_model(self.model)
        if self.layer >= len(model.order):
            raise WorkloadError(f"layer {self.layer} of {model.name}, which has {len(model.order)}; name another")
        stages = LayerStages(model, self.step, self.shard, budget, self.kernels).layer(model.order[self.layer])
        for fusion in self.fusions:
            stages, _ = fuse(stages, fusion, budget)
        return in_sequence(stages, self.repeat)


def in_sequence(stages: tuple[Stage, ...], repeat: int = 1) -> tuple[Trace, ...]:
    """The kernels of some stages in one memory, repeated for each layer."""
    kernels = [stage for stage in stages if stage.trace is not None]
    traces = [stage.named for stage in kernels] * repeat
    names = [_own(stage, number) for number in range(repeat) for stage in kernels]
    return in_one_memory(traces, names)


def _own(stage: Stage, number: int) -> Mapping[str, str]:
    """The names of a stage's tensors in layer `number`."""
    assert stage.trace is not None
    found = {tensor.name: stage.names.get(tensor.name, tensor.name) for tensor in stage.trace.tensors}
    if number == 0:
        return found
    return {own: f"{name} {number}" if name.startswith(OWN) else name for own, name in found.items()}
