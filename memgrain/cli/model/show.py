"""`memgrain model show`: the layers, caches and bytes of a model with its sources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, ModelName
from memgrain.cli.tokens import token_count

if TYPE_CHECKING:
    from rich.console import Console

    from memgrain.workloads.models.model import Model

KI = 1024
LENGTHS = tuple(KI << shift for shift in (2, 4, 6, 7, 8, 9, 10))
"""Lengths for which bytes kept are shown: 4K to 1M tokens."""
CONTEXTS = tuple(KI << shift for shift in (6, 7, 8, 10))
"""Contexts for which bytes read by a decode step are shown, if none are named: 64K to 1M tokens."""
SEQUENCES = (1, 8, 64)
"""Sequences decoded together for which bytes of weights read by a step are shown."""


def command(
    name: ModelName,
    cache: Annotated[str | None, typer.Option(help="Form of its cache; the first of the file if left out.")] = None,
    context: Annotated[
        list[int] | None,
        typer.Option(
            parser=token_count,
            metavar="TOKENS",
            help="Tokens that bytes are shown for, 4K to 1M if left out. May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model: layers by kind, bytes kept and bytes read by a decode step, sources."""
    from memgrain.cli.terminal import console
    from memgrain.workloads.models.model import load_model

    model = load_model(name)
    form = cache or next(iter(model.caches))
    lengths, contexts = (tuple(dict.fromkeys(context or usual)) for usual in (LENGTHS, CONTEXTS))
    if as_json:
        print(json.dumps(_numbers(model, form, lengths, contexts), indent=2))
    else:
        _show(console(), model, form, lengths, contexts)


def _numbers(model: Model, form: str, lengths: tuple[int, ...], contexts: tuple[int, ...]) -> dict[str, Any]:
    """The JSON object."""
    return {
        **summary(model),
        "cache": form,
        "kept": {str(length): components(model, "kept", length, form) for length in lengths},
        "read": {str(size): components(model, "read", size, form) for size in contexts},
        "kept_bytes": {
            kept: {str(length): model.kept_bytes(length, kept) for length in lengths} for kept in model.caches
        },
        "read_bytes": {read: {str(size): model.read_bytes(size, read) for size in contexts} for read in model.caches},
        "weights": weights(model),
        "model": model.model_dump(mode="json"),
    }


def summary(model: Model) -> dict[str, Any]:
    """A model's line of the list; bytes a token are those of its first cache form at its longest context, or at 1M."""
    length = model.context or LENGTHS[-1]
    return {
        "name": model.name,
        "title": model.title,
        "layers": len(model.order),
        "kinds": model.kinds,
        "kv_bytes_per_token": round(model.kept_bytes(length) / length, 1),
        "context": model.context,
    }


def components(model: Model, what: str, length: int, cache: str) -> list[dict[str, Any]]:
    """Rows and bytes kept of that many tokens, or read at that context, by kind of layer and component."""
    return [
        {
            "kind": kind,
            "layers": layers,
            "component": part.component,
            "rows_per_layer": part.rows,
            "row_bytes": part.row_bytes,
            "bytes_per_layer": part.bytes,
            "bytes": layers * part.bytes,
        }
        for kind, layers in model.kinds.items()
        for part in (model.kept if what == "kept" else model.read)(kind, length, cache)
    ]


def weights(model: Model) -> dict[str, Any] | None:
    """Bytes of all weights, and of those that a decode step reads, by sequences: where all meet the same experts, and
    where each meets any with equal chance; None if the model's file does not give its weights."""
    from memgrain.workloads.errors import WorkloadError
    from memgrain.workloads.layers.matrices import met_bytes, weight_bytes
    from memgrain.workloads.layers.step import Shard, Step

    step = Step(phase="decode", batch=1, context=1)
    try:
        read = {str(many): list(met_bytes(model, step, many)) for many in SEQUENCES}
        return {"bytes": weight_bytes(model, step, Shard()), "read": read}
    except WorkloadError:
        return None


def _show(screen: Console, model: Model, form: str, lengths: tuple[int, ...], contexts: tuple[int, ...]) -> None:
    """Print a model: sizes, layers, bytes with that form of its cache, sources."""
    screen.print(f"[bold]{model.title}[/bold] ({model.name})")
    if model.note:
        screen.print(model.note, markup=False)
    screen.print(_facts(model), markup=False)
    screen.print()
    _print_layers(screen, model)
    limit = f", made for {model.context:,} tokens; * is beyond" if model.context else ""
    screen.print(f"\nbytes kept and read of one sequence{limit}", markup=False)
    _print_bytes(screen, model, form, "kept", lengths)
    _print_bytes(screen, model, form, "read", contexts)
    _print_weights(screen, model)
    screen.print()
    for source in model.sources.values():
        screen.print(f"source     {', '.join(source.of)}: {source.cite}", markup=False)
    for item in model.assumed:
        span = f" [{item.range[0]:g}, {item.range[1]:g}]" if item.range else ""
        screen.print(f"assumed    {', '.join(item.of)}{span}: {item.reason}", markup=False)
    for doubt in model.unchecked:
        screen.print(f"unchecked  {', '.join(doubt.of)}: {doubt.reason}", markup=False)
    for gap in model.missing:
        screen.print(f"not known  {gap}", markup=False)


def _facts(model: Model) -> str:
    """Sizes in lines of words."""
    keys = ("hidden", "vocab", "context", "mtp_layers")
    facts = [f"{key} {value:,}" for key in keys if (value := getattr(model, key)) is not None]
    facts.append(f"heads {_settings(model.heads)}")
    if model.residual_streams > 1:
        facts.append(f"residual_streams {model.residual_streams}")
    if model.parameters:
        facts.append(f"parameters {model.parameters.total:,}, {model.parameters.active:,} active")
    if model.weights:
        facts.append(f"weights {_settings(model.weights)}")
    return "\n".join(facts)


def _print_layers(screen: Console, model: Model) -> None:
    """The layers from first to last, then what each kind is."""
    from memgrain.cli.tables import table

    screen.print(f"{len(model.order)} layer{'s' * (len(model.order) > 1)}, first to last")
    for stretch in model.layers:
        names = ", ".join(layer.attention + (f" + {layer.ffn}" if layer.ffn else "") for layer in stretch.of)
        screen.print(f"  {stretch.repeat:>4} x  {names}", markup=False)
    shown = table("name", ">layers", "what", "numbers")
    for name, count in model.kinds.items():
        shown.add_row(name, str(count), "attention", f"{_settings(model.attention[name])}")
    for name, ffn in model.ffn.items():
        count = sum(layer.ffn == name for layer in model.order)
        shown.add_row(name, str(count), "ffn", _settings(ffn))
    for name, cache in model.caches.items():
        shown.add_row(name, "", "cache", f"{_settings(cache, ('title',))}: {cache.title}")
    screen.print(shown)


def _print_bytes(screen: Console, model: Model, form: str, what: str, lengths: tuple[int, ...]) -> None:
    """A table of bytes by component for some lengths, with the sums for every form of the cache."""
    from memgrain.cli.tables import size_text, table

    which = "kept" if what == "kept" else "read by a decode step"
    first = f"{which}, cache {form}"
    columns = [_length(length, model.context) for length in lengths]
    longest = model.context or lengths[-1]
    at = _length(longest, None) if longest % KI == 0 else f"{longest:,}"
    shown = table(
        first,
        ">row B",
        f">rows a layer at {at}",
        *([">B a token"] if what == "kept" else []),
        *(f">{c}" for c in columns),
    )
    found = [components(model, what, length, form) for length in (longest, *lengths)]
    for place, at_longest in enumerate(found[0]):
        per_token = [f"{at_longest['bytes'] / longest:,.0f}"] if what == "kept" else []
        shown.add_row(
            f"{at_longest['layers']} {at_longest['kind']}: {at_longest['component']}",
            str(at_longest["row_bytes"]),
            f"{at_longest['rows_per_layer']:,}",
            *per_token,
            *(size_text(column[place]["bytes"]) for column in found[1:]),
        )
    total = model.kept_bytes if what == "kept" else model.read_bytes
    for name in (form, *(other for other in model.caches if other != form)):
        per_token = [f"{total(longest, name) / longest:,.0f}"] if what == "kept" else []
        sums = (size_text(total(length, name)) for length in lengths)
        shown.add_row(f"all layers, {name}", "", "", *per_token, *sums, style="bold" if name == form else None)
    screen.print(shown)


def _print_weights(screen: Console, model: Model) -> None:
    """Print the bytes of the weights, and those that a decode step reads, by number of sequences."""
    from memgrain.cli.tables import size_text

    known = weights(model)
    if known is None:
        return
    size = size_text(known["bytes"])
    screen.print(f"\nweights {size}, embeddings included; a decode step reads of them", markup=False)
    for many, (alike, apart) in known["read"].items():
        experts = f" if all meet the same experts, {size_text(apart)} if each meets any" if apart > alike else ""
        who = "1 sequence" if many == "1" else f"{many} sequences"
        screen.print(f"  for {who}: {size_text(alike)}{experts}", markup=False)


def _settings(part: Any, without: tuple[str, ...] = ()) -> str:
    """The keys of a part of the file with their values, those of parts within it in brackets."""
    texts = []
    for key in type(part).model_fields:
        value = getattr(part, key)
        if value is None or key in without or key not in part.model_fields_set:
            continue
        if hasattr(value, "model_fields_set"):
            texts.append(f"{key} ({_settings(value)})")
        else:
            texts.append(str(value) if key == "kind" else f"{key} {str(value).lower()}")
    return ", ".join(texts)


def _length(length: int, limit: int | None) -> str:
    """A number of tokens as people write it, with * beyond what the model is made for."""
    text = f"{length // KI**2}M" if length >= KI**2 else f"{length // KI}K"
    return f"{text}*" if limit is not None and length > limit else text
