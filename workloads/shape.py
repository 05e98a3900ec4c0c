"""The shape of an attention call: heads, lengths, head dimensions and element types."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError

DType = Literal["bf16", "fp16", "fp8", "int8", "fp32"]
Phase = Literal["prefill", "decode"]

_ELEMENT_BYTES: dict[DType, int] = {"bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "fp32": 4}


def element_bytes(dtype: DType) -> int:
    """Bytes of one element of `dtype`."""
    return _ELEMENT_BYTES[dtype]


class DTypes(BaseModel):
    """Element types of the four tensors of an attention call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: DType
    """Queries; also the type in which the matrix products run."""
    k: DType
    """Keys as they lie in memory."""
    v: DType
    """Values as they lie in memory."""
    o: DType
    """Outputs."""


class AttentionShape(BaseModel):
    """Sizes of Q [batch, q_heads, q_len, head_dim], K [batch, kv_heads, kv_len, head_dim] and V [.., head_dim_v].

    Query i of q_len sits at absolute position `kv_len - q_len + i`: the queries are the last tokens of the context.
    Only under the pattern dense, which gives them no position, may there be more queries than keys (cross attention).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(ge=1, le=2**20)
    """Number of sequences."""
    q_heads: int = Field(ge=1, le=2**16)
    """Query heads; a multiple of kv_heads."""
    kv_heads: int = Field(ge=1, le=2**16)
    """Key and value heads (equal to q_heads: multi-head; 1: multi-query)."""
    q_len: int = Field(ge=1, le=2**31 - 1)
    """Query tokens of a sequence: 1 in plain decoding, the prompt in prefill."""
    kv_len: int = Field(ge=1, le=2**31 - 1)
    """Tokens of context, the query tokens included where they have a position in it; token numbers are int32."""
    head_dim: int = Field(ge=1, le=2**16)
    """Elements of a row of Q and K."""
    head_dim_v: int | None = Field(default=None, ge=1, le=2**16)
    """Elements of a row of V and O; head_dim where absent."""
    v_in_k: bool = False
    """Whether V is the beginning of each row of K (multi-head latent attention), so that one read gives both."""

    @model_validator(mode="after")
    def _fits(self) -> AttentionShape:
        if self.q_heads % self.kv_heads:
            raise WorkloadError(
                f"q_heads {self.q_heads} is no multiple of kv_heads {self.kv_heads}; "
                f"use {self.q_heads // self.kv_heads * self.kv_heads or self.kv_heads} query heads"
            )
        if self.v_in_k and self.value_dim > self.head_dim:
            raise WorkloadError(
                f"head_dim_v {self.value_dim} exceeds head_dim {self.head_dim}, of whose rows V is the beginning; "
                "lower it, or set v_in_k: false"
            )
        return self

    @property
    def group(self) -> int:
        """Query heads that share one key/value head."""
        return self.q_heads // self.kv_heads

    @property
    def value_dim(self) -> int:
        """Elements of a row of V and O."""
        return self.head_dim_v or self.head_dim

    @property
    def kv_tensors(self) -> str:
        """Letters of the tensors that hold the context: K alone, or K and V."""
        return "K" if self.v_in_k else "KV"

    def position(self, query: int) -> int:
        """Absolute position (token number) of query `query`."""
        return self.kv_len - self.q_len + query

    def positions(self) -> NDArray[np.int64]:
        """Absolute positions of all queries as a column, [q_len, 1]."""
        return np.arange(self.kv_len - self.q_len, self.kv_len, dtype=np.int64)[:, None]
