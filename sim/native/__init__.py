"""Hot loops over lines and bursts: arrays and integers in, arrays and integers out; numpy and numba only."""
