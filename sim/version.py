"""The version of the model: part of every row's identity, raised whenever the same input may give other numbers."""

MODEL_VERSION = "8"
