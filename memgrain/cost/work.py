"""Chip-seconds of work per token, from a model run and from the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memgrain.cost.spec import TokenKind
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
"""Maximum number of simulated bytes when measuring the read bandwidth of a chip."""
LARGEST_PIECE = 1 << 20
"""Maximum size of one piece of that read, in bytes."""
STAGES = 4
"""Pieces in flight per program."""
PICOSECONDS = 1e12


@dataclass(frozen=True)
class TokenWork:
    """Chip-seconds of work per token."""

    decode: ModelRun
    """The decode step."""
    chunk: ModelRun
    """The last chunk of the prompt."""
    seconds: dict[TokenKind, float]
    """Chip-seconds by kind of token."""


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
) -> TokenWork:
    """Simulate a decode step of `batch` sequences of `context` tokens, a prompt of that length, and the read of its
    cache. The chips form `groups` with sequences of their own; `batch` counts the sequences of all groups (default: one
    per group).

    A prompt token found in a prefix cache costs one read of its cached bytes in place of its computation. The read
    comes from the chips' own memory at streaming speed, all chips in parallel, or over a `link` of that many bytes per
    second into each chip. This is a lower bound: it leaves out the storage of the prefix and the last token of a
    prompt, which is always computed. Raises MemgrainError if the model does not fit, and the errors of `run_model`.
    """
    if min(chips, groups) < 1 or chips % groups:
        raise MemgrainError(f"{chips} chips cannot be {groups} groups of as many; choose a divisor of {chips}")
    whole = chips > 1 and any(ffn.routed for ffn in model.ffn.values())
    shard = Shard(tensor=chips // groups, data=groups, expert=whole)

    def request(phase: TokenKind, sequences: int) -> ModelRequest:
        kind: Literal["decode", "prefill"] = "prefill" if phase == "prefill" else "decode"
        return ModelRequest.of(chip, model, kind, context, sequences, shard=shard, weights=weights, cache=cache)

    decode = run_model(request("decode", groups if batch is None else batch))
    chunk = run_model(request("prefill", groups))
    prompt = context * groups
    kept = cache_bytes(decode.request, context)
    reading = read_time(chip, kept) if link is None else kept / link * PICOSECONDS
    return TokenWork(
        decode,
        chunk,
        {
            "decode": decode.time * chips / decode.tokens / PICOSECONDS,
            "prefill": prompt_time(chunk) * chips / prompt / PICOSECONDS,
            "cached": reading * chips / prompt / PICOSECONDS,
        },
    )


def read_time(chip: Chip, size: int) -> float:
    """Picoseconds in which all cores of a chip read `size` bytes of memory, in pieces that fill their scratchpads. Of a
    large read only a part is simulated and scaled."""
    room = budget(chip)
    piece = min(LARGEST_PIECE, 1 << (room.scratchpad_bytes // STAGES).bit_length() - 1)
    part = -(-min(size, STREAM) // piece) * piece
    return simulate(chip, stream(part, piece, room.cores, stages=STAGES)).time * size / part
