"""Load a workload from a YAML file and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from memgrain.inputs.keys import closest, in_line, known_keys, shown, validate
from memgrain.inputs.yaml_file import read_mapping
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.workload import Layers
from memgrain.workloads.steps.gemm import Gemm
from memgrain.workloads.steps.linear import Linear
from memgrain.workloads.steps.matrix import Elementwise, MatrixRead
from memgrain.workloads.steps.sparse_attention import SparseAttentionStep
from memgrain.workloads.workload import Workload

AnyWorkload = Workload | SparseAttentionStep | Layers | MatrixRead | Elementwise | Gemm | Linear
KINDS: dict[str, type[AnyWorkload]] = {
    "attention": Workload,
    "indexed": SparseAttentionStep,
    "layers": Layers,
    "matrix_read": MatrixRead,
    "elementwise": Elementwise,
    "gemm": Gemm,
    "linear": Linear,
}
"""Record of each kind of workload."""


YAML = (".yaml", ".yml")
"""Endings that mark a file rather than a name in the package."""


def load_workload(path: str | Path, overrides: Mapping[str, object] | None = None) -> Workload:
    """The attention workload of a YAML file; see `load_any`."""
    return _attention(load_any(path, overrides), Path(path).name)


def load_any(path: str | Path, overrides: Mapping[str, object] | None = None) -> AnyWorkload:
    """The workload of a YAML file, of any kind.

    `overrides` maps dotted keys ("shape.head_dim") to values and is applied before validation; strings are parsed as
    YAML. Files that the YAML or an override names are relative to the YAML's folder or, if they are not there, to the
    current one. Raises WorkloadError, in one line that names the file, the value, the rule, the key and the mend.
    """
    path = Path(path)
    raw = read_mapping(path, "begin with kind: attention", WorkloadError)
    for key, value in (overrides or {}).items():
        _override(raw, key, value, path.name)
    for part in (raw, raw.get("attention")):
        if isinstance(part, dict):
            _beside(part, "kernel", path)
            _beside(part.get("selection"), "path", path)
    _beside(raw, "model", path)
    return parse_any(raw, path.name)


def parse_workload(raw: Mapping[str, object], source: str = "workload") -> Workload:
    """The attention workload of a raw mapping; errors as WorkloadError in one line that begins with `source`."""
    return _attention(parse_any(raw, source), source)


def parse_any(
    raw: Mapping[str, object], source: str = "workload", overrides: Mapping[str, object] | None = None
) -> AnyWorkload:
    """The workload of a raw mapping, of any kind, with dotted overrides as `load_any` applies them.

    Raises WorkloadError in one line that begins with `source`.
    """
    tree = dict(raw)
    for key, value in (overrides or {}).items():
        _override(tree, key, value, source)
    return validate(_model(tree), tree, source, WorkloadError)


def _beside(part: object, key: str, path: Path) -> None:
    """Resolve a file that a part of a description names, if it lies beside the description's own."""
    if isinstance(part, dict) and isinstance(part.get(key), str) and (key == "path" or part[key].endswith(YAML)):
        beside = path.parent / part[key]
        part[key] = str(beside) if beside.exists() else part[key]


def _model(raw: Mapping[str, object]) -> type[AnyWorkload]:
    """The record of a raw mapping: by its kind, or attention, whose validation then reports the error."""
    return KINDS.get(str(raw.get("kind")), Workload)


def _attention(found: AnyWorkload, source: str) -> Workload:
    if isinstance(found, Workload):
        return found
    raise WorkloadError(f"{source}: kind is {found.kind}, and this needs an attention workload; give kind: attention")


def _override(raw: dict[str, Any], key: str, value: object, source: str) -> None:
    """Set the dotted `key` in `raw`; a string `value` is parsed as YAML."""
    keys = known_keys(_model(raw))
    if key not in keys:
        raise WorkloadError(f"{source}: unknown key '{key}' in the overrides; {closest(key, keys)}")
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise WorkloadError(f"{source}: override {key} is not valid YAML ({in_line(error)}); quote it") from None
    *path, last = key.split(".")
    at = raw
    for name in path:
        inner = at.get(name)
        if inner is None:
            inner = {}
        if name == "dtype" and not isinstance(inner, dict):
            inner = dict.fromkeys("qkvo", inner)
        if not isinstance(inner, dict):
            raise WorkloadError(
                f"{source}: cannot set '{key}': {name} is {shown(inner)}, not a mapping; write it as one"
            )
        at[name] = at = dict(inner)
    at[last] = value
