"""`memgrain model run`: a step of a whole model on a chip, or on several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, ChipName, ModelName, SetChip
from memgrain.cli.tokens import token_count

if TYPE_CHECKING:
    from memgrain.models.step_options import StepOptions
    from memgrain.runs.options import RunOptions

FIGURES = (".png", ".pdf", ".svg")
"""File types of figures."""


def command(
    chip: ChipName,
    model: ModelName,
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
    set_: SetChip = None,
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
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A .png for the figure of where the time goes.")
    ] = None,
) -> None:
    """Simulate each kind of layer once, kernel by kernel, and print the time of a step, bytes and memory."""
    from memgrain.cli.draws import refuse_idle
    from memgrain.errors import MemgrainError
    from memgrain.models.step_options import StepOptions
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse

    if prompt and phase != "prefill":
        raise MemgrainError(f"--prompt is for --phase prefill, phase is {phase}; leave it out")
    if out is not None and out.suffix not in FIGURES:
        raise MemgrainError(f"-o {out} is none of {', '.join(FIGURES)}; name one of these")
    if not uncertainty:
        refuse_idle({"--samples": samples, "--seed": seed, "-j": jobs})
    step = StepOptions(
        context,
        phase,
        batch,
        tokens,
        accepted,
        chips,
        groups,
        context_parts,
        experts,
        cache,
        weights,
        page,
        memory_share,
        tuple(fusions or ()),
        tuple(prefetch or ()),
        prefetch_hit,
        prefetch_lead,
        prefetch_limit,
        prefetch_into,
    )
    options = RunOptions(jobs=jobs, samples=samples, seed=seed or 0)
    _run(chip, parse(set_ or []), model, step, options if uncertainty else None, prompt, out, as_json)


def _run(
    chip: str,
    chip_set: dict[str, Any],
    model: str,
    step: StepOptions,
    draws: RunOptions | None,
    prompt: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Simulate the step, with `draws` its interval too, and print."""
    from memgrain.cli.model.report import answer, draw, show, show_interval
    from memgrain.hwmodels import load_chip
    from memgrain.models import prompt_time, run_model
    from memgrain.workloads.models.model import load_model

    described = load_model(model)
    found = run_model(step.request(load_chip(chip, chip_set), described))
    whole_prompt = prompt_time(found) if prompt else None
    if out is not None:
        draw(found, out)
    if not as_json:
        show(found, whole_prompt)
    interval = None
    if draws is not None:
        from memgrain.cli.model.draws import interval_of

        interval = interval_of(chip, chip_set, lambda where: step.request(where, described), found, whole_prompt, draws)
    if as_json:
        print(json.dumps(answer(found, whole_prompt, interval), indent=2))
    elif interval:
        show_interval(*interval)
