"""A whole model on a chip, or on several: the time of a step, where it goes, and whether memory holds it."""

from __future__ import annotations

from codesign.model_run.ahead import Ahead
from codesign.model_run.capacity import Capacity
from codesign.model_run.job import ModelJob
from codesign.model_run.prompt import prompt_time
from codesign.model_run.question import Question
from codesign.model_run.run import Line, ModelRun, run_model

__all__ = ["Ahead", "Capacity", "Line", "ModelJob", "ModelRun", "Question", "prompt_time", "run_model"]
