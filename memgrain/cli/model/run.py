"""`memgrain model run`: a step of a whole model on a chip, or on several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from memgrain.cli.tokens import token_count

if TYPE_CHECKING:
    from memgrain.hwmodels import Chip
    from memgrain.models import Question
    from memgrain.models.ahead import Ahead, What, Where
    from memgrain.workloads.layers.fusion import Fusion
    from memgrain.workloads.layers.step import Stored
    from memgrain.workloads.shape import Phase

FIGURES = (".png", ".pdf", ".svg")
"""Kinds of file that a figure is written as."""


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
    model: Annotated[str, typer.Argument(help="A model by name (see 'memgrain models') or a .yaml file.")],
    context: Annotated[
        int, typer.Option(parser=token_count, metavar="TOKENS", help="Tokens of each sequence, the new ones included.")
    ],
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
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Run the step on draws of the chip's uncertain numbers too, add the model's own error, and give the "
            "time from 5 to 95 %: in decode from token to token, with --prompt of the prompt.",
        ),
    ] = False,
    samples: Annotated[int | None, typer.Option(help="With --uncertainty: draws, 16 if left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --uncertainty: seed of the draws, 0 if left out.")] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", help="With --uncertainty: runs at a time; one a core if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .png for the figure of where the time goes.")
    ] = None,
) -> None:
    """Simulate each kind of layer once, kernel by kernel, and print the time of a step, bytes and memory."""
    from memgrain.cli.model.report import answer, draw, show, show_interval
    from memgrain.errors import CodesignError
    from memgrain.hwmodels import load_chip
    from memgrain.inputs.keys import validate
    from memgrain.models import Question, prompt_time, run_model
    from memgrain.runs.overrides import parse
    from memgrain.workloads.errors import WorkloadError
    from memgrain.workloads.layers.fusion import FUSIONS
    from memgrain.workloads.layers.step import Shard
    from memgrain.workloads.models.model import load_model

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
    _check_draws(uncertainty, {"--samples": samples, "--seed": seed, "-j": jobs})
    asked = load_model(model)
    whole = experts == "whole" or (experts is None and chips > 1 and any(ffn.routed for ffn in asked.ffn.values()))
    for name in fusions or ():
        _one_of("fuse", name, FUSIONS)
    shared = {"tensor": chips // groups, "context": context_parts, "data": groups, "expert": whole}
    shard, chip_set = validate(Shard, shared, "chips", WorkloadError), parse(set_ or [])

    def ask(where: Chip) -> Question:
        """The question on a chip, what is left open filled in from its numbers."""
        return Question.of(
            where,
            asked,
            cast("Phase", phase),
            context,
            batch if batch is not None else groups,
            tokens,
            shard,
            cache,
            cast("Stored | None", weights),
            page,
            memory_share,
            accepted=accepted,
            fusions=tuple(cast("list[Fusion]", fusions or [])),
            ahead=_ahead(where, prefetch or [], prefetch_hit, prefetch_lead, prefetch_limit, prefetch_into),
        )

    found = run_model(ask(load_chip(chip, chip_set)))
    whole_prompt = prompt_time(found) if prompt else None
    if out is not None:
        draw(found, out)
    if not as_json:
        show(found, whole_prompt)
    interval = None
    if uncertainty:
        from memgrain.cli.model.draws import interval_of

        interval = interval_of(chip, chip_set, ask, found, whole_prompt, samples, seed, jobs)
    if as_json:
        print(json.dumps(answer(found, whole_prompt, interval), indent=2))
    elif interval:
        show_interval(*interval)


def _ahead(
    chip: Chip, what: list[str], hit: float | None, lead: int | None, limit: str | None, into: str | None
) -> Ahead | None:
    """The dials of a prefetch, those left out filled in; None if nothing is to be fetched."""
    from memgrain.errors import CodesignError
    from memgrain.hwmodels.units import parse_bytes
    from memgrain.models import Ahead
    from memgrain.models.ahead import WHAT

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


def _check_draws(wanted: bool, given: dict[str, int | None]) -> None:
    """Raise CodesignError, before anything is simulated, for options that nothing would read or that cannot be."""
    from memgrain.cli.draws import refuse_idle

    if not wanted:
        return refuse_idle(name for name, value in given.items() if value is not None)
    from memgrain.uncertainty.each import FEW, check_draws

    samples = given["--samples"]
    check_draws(FEW if samples is None else samples, given["--seed"] or 0)


def _one_of(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    from memgrain.errors import CodesignError

    if value not in choices:
        known = ", ".join(choice for choice in choices if choice)
        raise CodesignError(f"--{name} {value} is none of {known}; choose one of them")
