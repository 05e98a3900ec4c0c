"""One question asked once, and many asked at once: tasks, rows, sweeps, worker processes, labels."""
