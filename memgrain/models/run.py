"""Simulates a step of a model: each kind of layer once, kernel by kernel, counted for each layer of the kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memgrain.errors import MemgrainError
from memgrain.models.capacity import Capacity, capacity
from memgrain.models.request import ModelRequest
from memgrain.runs.task import budget
from memgrain.runs.validated import ErrorLabel, trust_in
from memgrain.sim import Result, simulate_sequence
from memgrain.sim.network.collectives import collective
from memgrain.sim.prefetch.prefetched import COUNTS
from memgrain.workloads.layers.attention import heads_on_chip
from memgrain.workloads.layers.fusion import Fused, fuse
from memgrain.workloads.layers.matrices import draft_layer
from memgrain.workloads.layers.stages import LayerStages
from memgrain.workloads.layers.step import COMPONENTS, KEPT, WEIGHTS, Component, Stage
from memgrain.workloads.layers.workload import in_sequence
from memgrain.workloads.models.model import Layer
from memgrain.workloads.trace import Trace

DRAFT = "draft"
"""Name of the passes of the layer that makes drafts."""
HEAD = "head"
"""Name of the kernels before and behind all layers."""


@dataclass(frozen=True)
class Line:
    """A kernel or an exchange of one kind of layer."""

    layer: str
    """Kind of layer: its attention and its feed-forward network, or HEAD."""
    layers: int
    """Layers of that kind."""
    stage: str
    """Name of the kernel or exchange."""
    component: Component
    """Component of the model that it belongs to."""
    time: int
    """Time in ps, once."""
    read_bytes: int
    """Bytes read from memory, once; sent to other chips, if it is an exchange."""
    macs: int
    """Multiply-accumulates that the algorithm needs, once."""


@dataclass(frozen=True)
class ModelRun:
    """The result of a step of a model."""

    request: ModelRequest
    """The request."""
    capacity: Capacity
    """Contents of the memory of a chip."""
    lines: tuple[Line, ...]
    """Kernels and exchanges, kind of layer by kind of layer, in order."""
    fused: tuple[tuple[str, int, Fused], ...]
    """Kind of layer, layers of that kind, and what a fusion changed in each."""
    fetched: dict[str, int]
    """Outcomes of prefetches in the whole step, by `memgrain.sim.prefetch.prefetched.COUNTS`; empty without any."""

    @property
    def time(self) -> int:
        """Time of the step in ps."""
        return sum(line.layers * line.time for line in self.lines)

    @property
    def tokens(self) -> float:
        """New tokens of a step that count, of all sequences of all chips."""
        request = self.request
        each = request.step.tokens if request.accepted is None else 1 + request.accepted
        return request.step.batch * request.shard.data * each

    @property
    def tokens_per_second(self) -> float:
        """New tokens a second, of all sequences of all chips."""
        return self.tokens * 1e12 / self.time

    @property
    def time_per_token(self) -> float:
        """Time in ps from a token of a sequence to its next one."""
        return self.time * self.request.step.batch * self.request.shard.data / self.tokens

    def of(self, component: Component) -> tuple[int, int, int]:
        """Time (ps), bytes from memory (exchanges: sent) and multiply-accumulates of a component in the whole step."""
        lines = [line for line in self.lines if line.component == component]
        return (
            sum(line.layers * line.time for line in lines),
            sum(line.layers * line.read_bytes for line in lines),
            sum(line.layers * line.macs for line in lines),
        )

    @property
    def trust(self) -> ErrorLabel:
        """The validation error of the step's time."""
        return trust_in(self.request.subject().in_time(self.time))

    @property
    def read_bytes(self) -> int:
        """Bytes that a chip reads from its memory."""
        return sum(self.of(component)[1] for component in COMPONENTS if component != "exchange")


def run_model(request: ModelRequest) -> ModelRun:
    """Simulate a step.

    Raises MemgrainError if the model does not fit the chips, WorkloadError or SimulationError if it cannot be run.
    """
    places, held = budget(request.chip), capacity(request, 0)
    if not held.fits:
        raise MemgrainError(held.refusal(request))
    writer = LayerStages(request.model, request.step, request.shard, places, "auto")
    kinds: dict[str, tuple[int, tuple[Stage, ...]]] = {}
    fused: list[tuple[str, int, Fused]] = []
    for layer in dict.fromkeys(request.model.order):
        name, count, stages = _name(layer), request.model.order.count(layer), writer.layer(layer)
        for fusion in request.fusions:
            stages, changes = fuse(stages, fusion, places)
            fused += [(name, count, change) for change in changes]
        kinds[name] = count, stages
    kinds[HEAD] = 1, writer.head()
    if request.accepted is not None and request.step.tokens > 1:
        kinds[DRAFT] = request.step.tokens - 1, _draft(request)
    held = capacity(request, max(_activations(stages) for _, stages in kinds.values()))
    if not held.fits:
        raise MemgrainError(held.refusal(request))
    lines, fetched = [], Counter[str]()
    for name, (count, stages) in kinds.items():
        found, counts = _lines(request, name, count, stages)
        lines += found
        fetched.update({key: count * number for key, number in counts.items()})
    return ModelRun(request, held, tuple(lines), tuple(fused), dict(fetched))


def _draft(request: ModelRequest) -> tuple[Stage, ...]:
    """A pass of the layer that makes drafts: the product that joins the last token's hidden state with the new one's
    embedding (DeepSeek-V3, arXiv 2412.19437, section 2.2), the layer, and the head."""
    one = request.step.model_copy(update={"tokens": 1})
    writer = LayerStages(request.model, one, request.shard, budget(request.chip), "auto")
    return (writer.join(), *writer.layer(draft_layer(request.model)), *writer.head())


def _page_bytes(request: ModelRequest) -> int:
    """Bytes of a page of one tensor of the cache, with all heads that a chip has."""
    rows = request.model.cache_form(request.step.cache).rows(request.model.heads)
    heads = heads_on_chip(request.model, request.shard)
    return request.step.page * heads.kv_heads * rows.streams[0][1]


def _lines(request: ModelRequest, name: str, count: int, stages: Sequence[Stage]) -> tuple[list[Line], dict[str, int]]:
    """The stages of a kind of layer, simulated one after the other, and the outcomes of prefetches."""
    kernels = in_sequence(tuple(stages))
    orders = request.prefetch.orders(kernels, _page_bytes(request)) if request.prefetch else ()
    result = simulate_sequence(request.chip, kernels, name=name, prefetch=orders, following=name != HEAD)
    ran = iter(result.kernels)
    lines = [_line(request, name, count, stage, None if stage.trace is None else next(ran)) for stage in stages]
    counts = {key: result.counters.get(f"prefetch.{key}") for key in COUNTS}
    return lines, {key: count for key, count in counts.items() if count is not None}


def _line(request: ModelRequest, name: str, count: int, stage: Stage, ran: Result | None) -> Line:
    if ran is not None:
        read = ran.counters[f"{ran.dram}.read_bytes"]
        return Line(name, count, stage.name, stage.component, ran.time, read, ran.macs)
    assert stage.exchange is not None
    passed = collective(request.chip, stage.exchange.op, stage.exchange.bytes, stage.exchange.chips)
    return Line(name, count, stage.name, stage.component, passed.time, passed.sent_bytes, 0)


def _activations(stages: Sequence[Stage]) -> int:
    """Bytes of the tensors of a layer that are neither weights nor cache."""
    sizes: dict[str, int] = {}
    for stage in stages:
        for name, size in _tensors(stage.trace, stage.names) if stage.trace is not None else ():
            sizes[name] = max(sizes.get(name, 0), size)
    return sum(size for name, size in sizes.items() if name not in KEPT and not name.startswith(WEIGHTS))


def _tensors(trace: Trace, names: Mapping[str, str]) -> list[tuple[str, int]]:
    """Name in the step, and bytes, of each tensor of a kernel."""
    return [(names.get(tensor.name, tensor.name), tensor.bytes) for tensor in trace.tensors]


def _name(layer: Layer) -> str:
    """A kind of layer in words."""
    return layer.attention if layer.ffn is None else f"{layer.attention}, {layer.ffn}"
