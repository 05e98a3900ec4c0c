"""A small causal language model of the Llama family, read from a GGUF file and run in NumPy, to record its attention.

Needs the packages gguf and tokenizers, which the project itself does not install; see docs/quality.md.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memgrain.quality.mass import Float32Array

BLOCK = 512
"""Number of positions whose next token is scored at a time."""
QUERIES = 64
"""Queries of a head processed at a time: 2 MiB of scores at 8,192 tokens, which fit into a host's cache."""


@dataclass(frozen=True)
class Attended:
    """Queries, keys and attention probabilities of one layer in the last steps."""

    queries: Float32Array
    """[head, step, dimension], after rotary embedding."""
    keys: Float32Array
    """[kv head, token, dimension], after rotary embedding."""
    probabilities: Float32Array
    """[head, step, token]; zero past a step's own token."""


class SmallModel:
    """Weights and tokenizer of a GGUF file; everything is computed in float32."""

    def __init__(self, path: Path) -> None:
        gguf = importlib.import_module("gguf")
        self._dequantize = importlib.import_module("gguf.quants").dequantize
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.layers: int = fields["llama.block_count"]
        self.heads: int = fields["llama.attention.head_count"]
        self.kv_heads: int = fields["llama.attention.head_count_kv"]
        self.context: int = fields["llama.context_length"]
        self._epsilon: float = fields["llama.attention.layer_norm_rms_epsilon"]
        self._base: float = fields["llama.rope.freq_base"]
        self._tokens, self._merges = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.merges"]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text: byte-level BPE with single digits."""
        tokenizers: Any = importlib.import_module("tokenizers")
        split: Any = importlib.import_module("tokenizers.pre_tokenizers")
        numbers = {token: number for number, token in enumerate(self._tokens)}
        merges = [tuple(merge.split(" ")) for merge in self._merges]
        tokenizer = tokenizers.Tokenizer(importlib.import_module("tokenizers.models").BPE(numbers, merges))
        tokenizer.pre_tokenizer = split.Sequence(
            [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)]
        )
        found: list[int] = tokenizer.encode(text).ids
        return found

    def attended(self, tokens: list[int], steps: int, losses: list[float]) -> Iterator[Attended]:
        """Yield the attention of the last `steps` positions of each layer, from the first; then append the mean loss to
        `losses`.

        The loss is in nats per token over all positions except the last; perplexity is its exponential.
        """
        state = self._weight("token_embd.weight")[np.array(tokens)]
        for layer in range(self.layers):
            weight = {name: self._weight(f"blk.{layer}.{name}.weight") for name in _NAMES}
            normed = self._normed(state, weight["attn_norm"])
            query = self._rotated(_split(normed @ weight["attn_q"].T, self.heads))
            key = self._rotated(_split(normed @ weight["attn_k"].T, self.kv_heads))
            value = _split(normed @ weight["attn_v"].T, self.kv_heads)
            mixed, last = _attention(query, key, value, steps)
            yield Attended(query[:, -steps:], key, last)
            state = state + mixed @ weight["attn_output"].T
            normed = self._normed(state, weight["ffn_norm"])
            gate = normed @ weight["ffn_gate"].T
            state = state + (gate / (1 + np.exp(-gate)) * (normed @ weight["ffn_up"].T)) @ weight["ffn_down"].T
        losses.append(self._loss(self._normed(state, self._weight("output_norm.weight")), tokens))

    def _loss(self, state: Float32Array, tokens: list[int]) -> float:
        words, total = self._weight("token_embd.weight"), 0.0
        for start in range(0, len(tokens) - 1, BLOCK):
            wanted = tokens[start + 1 : start + 1 + BLOCK]
            logits = state[start : start + len(wanted)] @ words.T
            top = logits.max(axis=1)
            norm = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
            total += float((norm - logits[np.arange(len(wanted)), wanted]).sum())
        return total / (len(tokens) - 1)

    def _weight(self, name: str) -> Float32Array:
        tensor = self._tensors[name]
        return np.asarray(self._dequantize(tensor.data, tensor.tensor_type), np.float32)

    def _normed(self, state: Float32Array, weight: Float32Array) -> Float32Array:
        scale = 1 / np.sqrt((state * state).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        normed: Float32Array = (state * scale * weight).astype(np.float32)
        return normed

    def _rotated(self, rows: Float32Array) -> Float32Array:
        """Apply rotary position embedding to neighbouring pairs, the order of this family's GGUF files."""
        _, tokens, dimension = rows.shape
        turns = self._base ** (-np.arange(0, dimension, 2) / dimension)
        angle = np.arange(tokens)[:, None] * turns
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        even, odd = rows[..., 0::2], rows[..., 1::2]
        found = np.empty_like(rows)
        found[..., 0::2], found[..., 1::2] = even * cos - odd * sin, even * sin + odd * cos
        return found


_NAMES = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")


def _split(rows: Float32Array, heads: int) -> Float32Array:
    return np.ascontiguousarray(rows.reshape(len(rows), heads, -1).transpose(1, 0, 2))


def _attention(
    query: Float32Array, key: Float32Array, value: Float32Array, steps: int
) -> tuple[Float32Array, Float32Array]:
    """Causal attention: the output [token, heads x dimension] and the probabilities of the last `steps` rows."""
    heads, tokens, dimension = query.shape
    group, scaled = heads // len(key), query * np.float32(1 / math.sqrt(dimension))
    mixed = np.empty((tokens, heads, dimension), np.float32)
    last = np.zeros((heads, steps, tokens), np.float32)
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(_head, scaled[head], key[head // group], value[head // group], mixed[:, head], last[head])
            for head in range(heads)
        ]
        for job in jobs:
            job.result()
    return mixed.reshape(tokens, -1), last


def _head(query: Float32Array, key: Float32Array, value: Float32Array, mixed: Float32Array, last: Float32Array) -> None:
    """Attention of one head, written into `mixed` [token, dimension] and `last` [step, token]."""
    tokens, before = len(query), len(query) - len(last)
    for start in range(0, tokens, QUERIES):
        stop = min(start + QUERIES, tokens)
        scores = query[start:stop] @ key[:stop].T
        scores[:, start:][~np.tri(stop - start, dtype=bool)] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        mixed[start:stop] = scores @ value[:stop] / total
        first = max(start, before)
        if first < stop:
            last[first - before : stop - before, :stop] = (scores / total)[first - start :]
