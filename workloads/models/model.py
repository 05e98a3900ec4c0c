"""A model: its layers by kind, heads, caches and experts, with a source for every number; loaded by `load_model`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from memgrain.inputs.spelling import did_you_mean
from memgrain.workloads.catalog import read_entry
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.names import plain
from memgrain.workloads.models.attention import Attention
from memgrain.workloads.models.parts import CacheComponent, CacheForm, Count, Heads, ModelRecord

FOLDER = Path(__file__).parent
WeightType = Literal["bf16", "fp8", "fp4"]


class Citation(ModelRecord):
    """The source of some numbers."""

    cite: str = Field(min_length=1)
    """The source."""
    of: tuple[str, ...] = Field(min_length=1)
    """Numbers that it covers, as dotted keys of the file; a key covers all keys below it."""


class Doubt(ModelRecord):
    """Numbers that are uncertain."""

    of: tuple[str, ...] = Field(min_length=1)
    """Their dotted keys in the file."""
    reason: str = Field(min_length=1)
    """Why."""


class Assumption(ModelRecord):
    """Numbers that no source gives but the file needs."""

    of: tuple[str, ...] = Field(min_length=1)
    """Their dotted keys in the file."""
    range: tuple[float, float] | None = None
    """Lowest and highest conceivable value; absent if the number is a unit to multiply by."""
    reason: str = Field(min_length=1)
    """Justification of the value."""


class DenseFfn(ModelRecord):
    """A feed-forward network that processes every token."""

    kind: Literal["dense"]
    """The kind of network."""
    size: Count
    """Elements of its inner layer."""
    routed: Literal[0] = 0
    """It has no experts."""
    active: Literal[0] = 0
    """It has no experts."""
    shared: Literal[1] = 1
    """It is one network, for all tokens."""


class Moe(ModelRecord):
    """A mixture of experts."""

    kind: Literal["moe"]
    """The kind of network."""
    size: Count
    """Elements of an expert's inner layer."""
    routed: Count
    """Experts to choose from."""
    active: Count
    """Experts that a token uses."""
    shared: Annotated[int, Field(ge=0)] | None = None
    """Experts that all tokens use in addition; absent where no source says: none is counted."""
    routing: Literal["learned", "hash"] = "learned"
    """Whether a router chooses, or a hash of the token."""

    @model_validator(mode="after")
    def _fits(self) -> Moe:
        if self.active > self.routed:
            raise WorkloadError(f"active {self.active} exceeds the {self.routed} routed experts; lower it")
        return self


Ffn = Annotated[DenseFfn | Moe, Field(discriminator="kind")]


class Layer(ModelRecord):
    """A layer."""

    attention: str
    """Its attention, a key of the file's `attention`."""
    ffn: str | None = None
    """Its feed-forward network, a key of the file's `ffn`; absent where no source says."""


class LayerPattern(ModelRecord):
    """Consecutive layers: a pattern, repeated."""

    repeat: Count
    """Repetitions of the pattern."""
    of: tuple[Layer, ...] = Field(min_length=1)
    """The pattern."""


class Weights(ModelRecord):
    """Element types of the weights."""

    rest: WeightType
    """Type of all weights except routed experts."""
    experts: WeightType | None = None
    """Type of the routed experts' weights; absent: as the rest."""


class Parameters(ModelRecord):
    """Sizes that the model's publishers give."""

    total: Annotated[int, Field(ge=1)]
    """Parameters."""
    active: Annotated[int, Field(ge=1)]
    """Parameters that a token uses."""


class Model(ModelRecord):
    """A model's description."""

    name: str = Field(min_length=1)
    """Name of its file."""
    title: str = Field(min_length=1)
    """Name in tables and figures."""
    note: str | None = None
    """Caveats for the reader of its figures."""
    hidden: Count | None = None
    """Elements of a token between layers; absent, here and below, where no source says."""
    vocab: Count | None = None
    """Tokens of the vocabulary."""
    context: Count | None = None
    """Tokens of the longest supported context."""
    mtp_layers: Annotated[int, Field(ge=0)] | None = None
    """Layers that predict tokens beyond the next one; not among `layers`, and not counted."""
    residual_streams: Count = 1
    """Parallel copies of the hidden state."""
    parameters: Parameters | None = None
    """Published sizes."""
    weights: Weights | None = None
    """Element types of the weights as released."""
    heads: Heads
    """Heads of every layer."""
    attention: dict[str, Attention]
    """Its kinds of attention, by name."""
    ffn: dict[str, Ffn] = Field(default_factory=dict)
    """Its kinds of feed-forward networks, by name."""
    layers: tuple[LayerPattern, ...] = Field(min_length=1)
    """Its layers, first to last."""
    caches: dict[str, CacheForm] = Field(min_length=1)
    """Forms of its cache; the first is the default."""
    sources: dict[str, Citation]
    """Sources of the numbers."""
    assumed: tuple[Assumption, ...] = ()
    """Assumed numbers."""
    unchecked: tuple[Doubt, ...] = ()
    """Numbers that were not checked against a primary source."""
    missing: tuple[str, ...] = ()
    """Parts that are left out because no source describes them."""

    @model_validator(mode="after")
    def _whole(self) -> Model:
        order = self.order
        for what, defined, used in (
            ("attention", set(self.attention), {layer.attention for layer in order}),
            ("ffn", set(self.ffn), {layer.ffn for layer in order if layer.ffn}),
        ):
            if defined != used:
                odd = ", ".join(sorted(defined ^ used))
                raise WorkloadError(f"{what} {odd} is not both described and in layers; name each in both places")
        scans = any(hasattr(kind, "indexer") for kind in self.attention.values())
        for name, cache in self.caches.items():
            cache.rows(self.heads)
            if scans != (cache.index_row is not None):
                rule = "needs index_row, a layer scans an index" if scans else "has index_row, no layer scans an index"
                raise WorkloadError(f"cache {name} {rule}; {'add' if scans else 'remove'} it")
        return self

    @model_validator(mode="after")
    def _sourced(self) -> Model:
        given = self.model_dump(exclude_unset=True, exclude={"sources", "assumed", "unchecked", "missing"})
        paths = dict(_leaves(given))
        said = [key for source in self.sources.values() for key in source.of]
        assumed = [key for item in self.assumed for key in item.of]
        for key in [*said, *assumed, *(key for doubt in self.unchecked for key in doubt.of)]:
            if not any(_covers(key, path) for path in paths):
                raise WorkloadError(f"'{key}' has a source or a doubt and is no key of the file; correct the key")
        for path, value in paths.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not any(_covers(key, path) for key in [*said, *assumed]):
                raise WorkloadError(f"{path} {value} has no source; name the key below a source's `of`, or as assumed")
        return self

    @property
    def order(self) -> tuple[Layer, ...]:
        """The layers one by one."""
        return tuple(layer for stretch in self.layers for _ in range(stretch.repeat) for layer in stretch.of)

    @property
    def kinds(self) -> dict[str, int]:
        """Number of layers of each kind of attention, in order of first appearance."""
        found: dict[str, int] = {}
        for layer in self.order:
            found[layer.attention] = found.get(layer.attention, 0) + 1
        return found

    def kept(self, kind: str, length: int, cache: str | None = None) -> tuple[CacheComponent, ...]:
        """Rows that a layer of that kind keeps of a sequence of `length` tokens; raises WorkloadError for an unknown
        kind or cache."""
        return self._kind(kind).kept(self.cache_form(cache).rows(self.heads), _positive(length))

    def read(self, kind: str, context: int, cache: str | None = None) -> tuple[CacheComponent, ...]:
        """Rows that a layer of that kind reads in a decode step of one sequence of `context` tokens, the new one
        included; errors as `kept`."""
        return self._kind(kind).read(self.cache_form(cache).rows(self.heads), _positive(context))

    def kept_bytes(self, length: int, cache: str | None = None) -> int:
        """Bytes that all layers keep of a sequence of `length` tokens."""
        return sum(count * part.bytes for kind, count in self.kinds.items() for part in self.kept(kind, length, cache))

    def read_bytes(self, context: int, cache: str | None = None) -> int:
        """Bytes of the cache that all layers read in a decode step of one sequence."""
        return sum(count * part.bytes for kind, count in self.kinds.items() for part in self.read(kind, context, cache))

    def read_rows(self, context: int, cache: str | None = None) -> int:
        """Rows of K and V (counted once where they are one row) that all layers read in a decode step, without an
        indexer's keys."""
        return sum(
            count * part.rows
            for kind, count in self.kinds.items()
            for part in self.read(kind, context, cache)
            if not part.component.startswith("index")
        )

    def _kind(self, kind: str) -> Attention:
        if kind not in self.attention:
            raise WorkloadError(f"model {self.name} has no attention '{kind}'; it has {', '.join(self.attention)}")
        return self.attention[kind]

    def cache_form(self, cache: str | None = None) -> CacheForm:
        """A form of the cache by name, or the first; raises WorkloadError for an unknown name."""
        if cache is None:
            return next(iter(self.caches.values()))
        if cache not in self.caches:
            raise WorkloadError(f"model {self.name} has no cache '{cache}'; it has {', '.join(self.caches)}")
        return self.caches[cache]


def model_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_model(name: str | Path) -> Model:
    """The model of that name (only letters and digits are compared), or of that YAML file.

    Raises WorkloadError, in one line, if there is none.
    """
    known = {plain(model): model for model in model_names()}
    path = FOLDER / f"{known[plain(str(name))]}.yaml" if plain(str(name)) in known else Path(name)
    if path.suffix not in (".yaml", ".yml"):
        mend = did_you_mean(plain(str(name)), known, 2, 0.5, "see memgrain model list")
        raise WorkloadError(f"no model '{name}'; {mend}")
    return read_entry(path, Model, model_names())


def _positive(tokens: int) -> int:
    if tokens < 1:
        raise WorkloadError(f"{tokens} tokens are no sequence; give 1 or more")
    return tokens


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys below a mapping or sequence, each with its value."""
    inner = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, tuple | list) else None
    if inner is None:
        yield path, node
        return
    for key, value in inner:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _covers(key: str, path: str) -> bool:
    """Whether a dotted key is `path` or a prefix of it."""
    return path == key or path.startswith(f"{key}.")
