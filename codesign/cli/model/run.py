"""`memgrain model run`: a step of a whole model on a chip, or on several."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from codesign.model_run import ModelRun
    from codesign.model_run.ahead import Ahead, What, Where
    from hwmodels import Chip
    from workloads.layers.fusion import Fusion
    from workloads.layers.step import Stored
    from workloads.shape import Phase

FIGURES = (".png", ".pdf", ".svg")
"""Kinds of file that a figure is written as."""


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
    model: Annotated[str, typer.Argument(help="A model by name (see 'memgrain models') or a .yaml file.")],
    context: Annotated[int, typer.Option(help="Tokens of each sequence, the new ones included.")],
    phase: Annotated[str, typer.Option(help="decode or prefill.")] = "decode",
    batch: Annotated[int | None, typer.Option(help="Sequences of all chips; one a group of chips if left out.")] = None,
    tokens: Annotated[
        int | None, typer.Option(help="New tokens of a sequence: of a chunk in prefill (2048 if left out).")
    ] = None,
    accepted: Annotated[
        float | None,
        typer.Option(help="Decode: how many are accepted of all --tokens but one, the model's own drafts."),
    ] = None,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Prefill: simulate the first chunk too, and estimate the whole prompt.")
    ] = False,
    chips: Annotated[int, typer.Option(help="Chips that share the model.")] = 1,
    groups: Annotated[
        int, typer.Option(help="Groups of chips with sequences of their own (data parallel); divides --chips.")
    ] = 1,
    context_parts: Annotated[
        int, typer.Option(help="Decode: chips of a group that hold different tokens of the same KV heads.")
    ] = 1,
    experts: Annotated[
        str | None, typer.Option(help="whole: dealt out over all chips; cut: each cut over a group. whole if several.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="Form of the cache; one that the chip computes if left out.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Type of all weights: bf16, fp8, fp4, int8, int4; as released if left out.")
    ] = None,
    page: Annotated[
        int | None, typer.Option(help="Rows of a page of the cache; 64, on Ascend 128, if left out.")
    ] = None,
    memory_share: Annotated[float, typer.Option(help="Share of the chip's memory that may be taken.")] = 0.9,
    fusions: Annotated[
        list[str] | None,
        typer.Option("--fuse", help="Make kernels one: ffn, attention (with projections), layer. May be repeated."),
    ] = None,
    prefetch: Annotated[
        list[str] | None,
        typer.Option(help="Fetch before its kernel begins: weights, cache (K, V and index). May be repeated."),
    ] = None,
    prefetch_hit: Annotated[
        float | None, typer.Option(help="Probability that a prefetched piece is a right one; 1 if left out.")
    ] = None,
    prefetch_lead: Annotated[
        int | None, typer.Option(help="Kernels by which a prefetch is ahead; 1 if left out.")
    ] = None,
    prefetch_limit: Annotated[
        str | None, typer.Option(help="Bytes prefetched for a kernel at most, such as '8 MiB'; half of the last cache.")
    ] = None,
    prefetch_into: Annotated[
        str | None, typer.Option(help="Where to: cache, or scratchpad; cache if left out.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a number of the chip: l2.ways=32.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .png for the figure of where the time goes.")
    ] = None,
) -> None:
    """Simulate each kind of layer once, kernel by kernel, and print the time of a step, bytes and memory."""
    from codesign.errors import CodesignError
    from codesign.model_run import Question, prompt_time, run_model
    from codesign.overrides import parse
    from hwmodels import load_chip
    from workloads.layers.fusion import FUSIONS
    from workloads.layers.step import Shard
    from workloads.model import load_model
    from workloads.wrong import checked

    _one_of("phase", phase, ("decode", "prefill"))
    _one_of("experts", experts, (None, "whole", "cut"))
    _one_of("weights", weights, (None, "bf16", "fp8", "fp4", "int8", "int4"))
    if min(chips, groups) < 1:
        raise CodesignError(f"{chips} chips in {groups} groups; give at least 1 of each")
    if chips % groups:
        raise CodesignError(f"{chips} chips cannot be {groups} groups of as many; choose a divisor of {chips}")
    if prompt and phase != "prefill":
        raise CodesignError(f"--prompt is for --phase prefill, phase is {phase}; leave it out")
    if out is not None and out.suffix not in FIGURES:
        raise CodesignError(f"-o {out} is none of {', '.join(FIGURES)}; name one of these")
    asked = load_model(model)
    whole = experts == "whole" or (experts is None and chips > 1 and any(ffn.routed for ffn in asked.ffn.values()))
    for name in fusions or ():
        _one_of("fuse", name, FUSIONS)
    where = load_chip(chip, parse(set_ or []))
    ahead = _ahead(where, prefetch or [], prefetch_hit, prefetch_lead, prefetch_limit, prefetch_into)
    question = Question.of(
        where,
        asked,
        cast("Phase", phase),
        context,
        batch if batch is not None else groups,
        tokens,
        checked(
            Shard,
            {"tensor": chips // groups, "context": context_parts, "data": groups, "expert": whole},
            "chips",
        ),
        cache,
        cast("Stored | None", weights),
        page,
        memory_share,
        accepted=accepted,
        fusions=tuple(cast("list[Fusion]", fusions or [])),
        ahead=ahead,
    )
    found = run_model(question)
    whole_prompt = prompt_time(found) if prompt else None
    if out is not None:
        _draw(found, out)
    if as_json:
        print(json.dumps(answer(found, whole_prompt), indent=2))
    else:
        _print(found, whole_prompt)


def _ahead(
    chip: Chip, what: list[str], hit: float | None, lead: int | None, limit: str | None, into: str | None
) -> Ahead | None:
    """The dials of a prefetch, those left out filled in; None if nothing is to be fetched."""
    from codesign.errors import CodesignError
    from codesign.model_run import Ahead
    from codesign.model_run.ahead import WHAT
    from hwmodels.units import parse_bytes

    if not what:
        given = {"hit": hit, "lead": lead, "limit": limit, "into": into}
        if odd := [name for name, value in given.items() if value is not None]:
            raise CodesignError(
                f"--prefetch-{odd[0]} says how, and nothing is fetched; add --prefetch weights or cache"
            )
        return None
    for name in what:
        _one_of("prefetch", name, WHAT)
    _one_of("prefetch-into", into, (None, "cache", "scratchpad"))
    try:
        room = parse_bytes(limit) if limit else chip.cache.capacity // 2 if chip.cache else 1 << 20
    except ValueError as error:
        raise CodesignError(f"--prefetch-limit: {error}") from None
    chosen = tuple(cast("list[What]", list(dict.fromkeys(what))))
    return Ahead(
        chosen,
        1.0 if hit is None else hit,
        1 if lead is None else lead,
        room,
        cast("Where", into or "cache"),
    )


def _draw(found: ModelRun, out: Path) -> None:
    """Write the figure; raises CodesignError if it cannot be written."""
    from codesign.errors import CodesignError
    from codesign.plots.model_run import bars

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        bars(found).savefig(out)
    except OSError as error:
        raise CodesignError(f"cannot write {out} ({error.strerror}); choose another place with -o") from None


def answer(found: ModelRun, whole_prompt: int | None) -> dict[str, Any]:
    """Everything as plain values; times in us, `whole_prompt` in ps."""
    from workloads.layers.step import COMPONENTS

    asked, held = found.asked, found.capacity
    return {
        "chip": asked.chip.name,
        "model": asked.model.name,
        "step": asked.step.model_dump(),
        "shard": {**asked.shard.model_dump(), "chips": asked.shard.chips},
        "time_us": found.time / 1e6,
        "time_per_token_us": found.time_per_token / 1e6,
        "tokens_per_second": found.tokens_per_second,
        "prompt_time_us": None if whole_prompt is None else whole_prompt / 1e6,
        "read_bytes": found.read_bytes,
        "components": {
            name: {"time_us": time / 1e6, "bytes": moved, "macs": macs}
            for name in COMPONENTS
            for time, moved, macs in (found.of(name),)
        },
        "memory": {
            "bytes": held.memory,
            "weights": held.weights,
            "cache_of_a_sequence": held.sequence,
            "sequences": held.sequences,
            "activations": held.activations,
            "fits": held.fits,
            "most_sequences": held.most_sequences,
            "most_tokens": held.most_tokens,
        },
        **found.trust.columns(),
        "fused": [
            {"layer": kind, "layers": layers, **dataclasses.asdict(change)} for kind, layers, change in found.fused
        ],
        "prefetch": found.fetched,
        "stages": [
            {
                "layer": line.layer,
                "layers": line.layers,
                "stage": line.stage,
                "component": line.component,
                "time_us": line.time / 1e6,
                "bytes": line.read_bytes,
                "macs": line.macs,
            }
            for line in found.lines
        ],
    }


def _print(found: ModelRun, whole_prompt: int | None) -> None:
    from codesign.cli.tables import size_text, table, time_text
    from codesign.cli.terminal import console
    from workloads.layers.step import COMPONENTS

    screen, asked, held = console(), found.asked, found.capacity
    step, shard = asked.step, asked.shard
    sequences = step.batch * shard.data
    many = f"{shard.chips} x " if shard.chips > 1 else ""
    screen.print(f"[bold]{asked.model.title}[/bold] on {many}{asked.chip.title}")
    new = "a token" if step.tokens == 1 else f"{step.tokens:,} tokens"
    new += "" if asked.accepted is None else f" of which {1 + asked.accepted:g} count"
    groups = f" in each of {shard.data} groups of {shard.tensor}" if shard.data > 1 else ""
    screen.print(
        f"{step.phase} of {new} of {step.batch:,} sequence{'s' * (step.batch > 1)} of {step.context:,} tokens{groups}; "
        f"cache {step.cache}, products {step.product}",
        markup=False,
    )
    each = f", {time_text(round(found.time_per_token))} from token to token" if found.tokens > sequences else ""
    screen.print(
        f"\ntime {time_text(found.time)}{each}; {found.tokens_per_second:,.4g} tokens a second, "
        f"{found.tokens_per_second / shard.chips:,.4g} a chip; {size_text(found.read_bytes)} read from memory a chip\n"
        f"layers: {found.trust.sentence}\n",
        markup=False,
    )
    if whole_prompt is not None:
        screen.print(
            f"whole prompt about {time_text(whole_prompt)} in {-(-step.context // step.tokens):,} chunks\n",
            markup=False,
        )
    shown = table("component", ">time", ">share", ">bytes", ">G MAC")
    for name in COMPONENTS:
        time, moved, macs = found.of(name)
        if time:
            label = f"{name} (sent)" if name == "exchange" else name
            shown.add_row(label, time_text(time), f"{time / found.time:.1%}", size_text(moved), f"{macs / 1e9:,.4g}")
    screen.print(shown)
    shown = table("kind of layer", ">layers", ">time each", ">share", "most of it")
    for kind in dict.fromkeys(line.layer for line in found.lines):
        lines = [line for line in found.lines if line.layer == kind]
        each_time, count = sum(line.time for line in lines), lines[0].layers
        longest = sorted(lines, key=lambda line: -line.time)[:3]
        most = ", ".join(f"{line.stage} {line.time / 1e6:,.3g} us" for line in longest)
        shown.add_row(kind, str(count), time_text(each_time), f"{count * each_time / found.time:.1%}", most)
    screen.print()
    screen.print(shown)
    for kind, _, change in found.fused:
        screen.print(
            f"\nfused in {kind}: {change.name}, {change.kernels} kernels; {size_text(change.saved_bytes)} a layer no "
            f"longer move, a core keeps {size_text(change.kept_bytes)} beside tiles of {size_text(change.tile_bytes)}",
            markup=False,
        )
    if found.fetched:
        counts = {key: size_text(count) for key, count in found.fetched.items()}
        screen.print(
            f"\nprefetched {counts['bytes']}: {counts['used_bytes']} found, {counts['late_bytes']} too late, "
            f"{counts['lost_bytes']} evicted before use, {counts['wrong_bytes']} wrong guesses",
            markup=False,
        )
    screen.print(
        f"\nmemory of a chip: {size_text(held.weights)} weights, {size_text(held.sequence)} cache a sequence, "
        f"{size_text(held.activations)} activations of {size_text(held.memory)}; room for {held.most_sequences:,} "
        f"sequences of that length, or {held.most_tokens:,} tokens each",
        markup=False,
    )


def _one_of(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    from codesign.errors import CodesignError

    if value not in choices:
        known = ", ".join(choice for choice in choices if choice)
        raise CodesignError(f"--{name} {value} is none of {known}; choose one of them")
