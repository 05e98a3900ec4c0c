"""Points and sweeps: tasks, rows on disk, worker processes, overrides, tuning, labels of validation."""
