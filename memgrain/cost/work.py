"""How many seconds of work a token takes, over all chips that make it: asked of the model run and of the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memgrain.cost.spec import Phase
from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.models import ModelRequest, ModelRun, prompt_time, run_model
from memgrain.models.capacity import cache_bytes
from memgrain.runs.task import budget
from memgrain.sim import simulate
from memgrain.workloads import stream
from memgrain.workloads.layers.step import Shard, Stored
from memgrain.workloads.models.model import Model

STREAM = 256 << 20
"""Bytes that are read at most to learn how fast a chip reads."""
LARGEST_PIECE = 1 << 20
"""Bytes of a piece of such a read at most."""
STAGES = 4
"""Pieces that a program of it has room for."""
PICOSECONDS = 1e12


@dataclass(frozen=True)
class Work:
    """Seconds of work of all chips for one token."""

    decode: ModelRun
    """The step of new tokens."""
    chunk: ModelRun
    """The last chunk of the prompt."""
    seconds: dict[Phase, float]
    """Seconds by kind of token."""


def work(
    chip: Chip,
    model: Model,
    context: int,
    batch: int | None = None,
    chips: int = 1,
    groups: int = 1,
    weights: Stored | None = None,
    cache: str | None = None,
    link: int | None = None,
) -> Work:
    """Simulate a decode step of `batch` sequences of `context` tokens, a prompt of that length, and the read of its
    cache; `groups` of chips have sequences of their own, and `batch` counts those of all (one a group if left out).

    A token of the prompt that is found in a prefix cache costs, in place of its computation, one read of what is kept
    of it: from the chips' own memory at the speed of a stream, all chips their part at once, or over a link of so many
    bytes a second into each chip. That is the least that a hit can cost: it pays nothing for keeping the prefix until
    it is asked for again, nor for the last token of a prompt, which is computed always. Raises MemgrainError if the
    model does not fit, and what `run_model` raises.
    """
    if min(chips, groups) < 1 or chips % groups:
        raise MemgrainError(f"{chips} chips cannot be {groups} groups of as many; choose a divisor of {chips}")
    whole = chips > 1 and any(ffn.routed for ffn in model.ffn.values())
    shard = Shard(tensor=chips // groups, data=groups, expert=whole)

    def request(phase: Phase, sequences: int) -> ModelRequest:
        kind: Literal["decode", "prefill"] = "prefill" if phase == "prefill" else "decode"
        return ModelRequest.of(chip, model, kind, context, sequences, shard=shard, weights=weights, cache=cache)

    decode = run_model(request("decode", groups if batch is None else batch))
    chunk = run_model(request("prefill", groups))
    prompt = context * groups
    kept = cache_bytes(decode.request, context)
    reading = read_time(chip, kept) if link is None else kept / link * PICOSECONDS
    return Work(
        decode,
        chunk,
        {
            "decode": decode.time * chips / decode.tokens / PICOSECONDS,
            "prefill": prompt_time(chunk) * chips / prompt / PICOSECONDS,
            "cached": reading * chips / prompt / PICOSECONDS,
        },
    )


def read_time(chip: Chip, size: int) -> float:
    """Picoseconds in which all cores of a chip read so many bytes of its memory, in pieces that fill their scratchpads;
    a large read is simulated in part."""
    room = budget(chip)
    piece = min(LARGEST_PIECE, 1 << (room.scratchpad_bytes // STAGES).bit_length() - 1)
    part = -(-min(size, STREAM) // piece) * piece
    return simulate(chip, stream(part, piece, room.cores, stages=STAGES)).time * size / part
