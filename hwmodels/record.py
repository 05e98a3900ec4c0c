"""The record that every specification here is: frozen, and closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
