"""The measurement of replay.cu with replays from PyTorch: CUDAGraph.replay() in a Python loop between two events."""

import statistics

import cupy
import torch

SPIN = r'extern "C" __global__ void spin(long long c) { long long s = clock64(); while (clock64() - s < c) {} }'


def measure(kernels: int, blocks: int, cycles: int, replays: int) -> float:
    spin = cupy.RawKernel(SPIN, "spin")
    spin.compile()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
        for _ in range(kernels):
            spin((blocks,), (128,), (cupy.int64(cycles),))
    times = []
    for _ in range(21):
        for _ in range(3):
            graph.replay()
        torch.cuda.synchronize()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(replays):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) * 1000 / replays)
    return statistics.median(times)


print("device,from,kernels,blocks,early,spin_cycles,replays,us_per_replay")
for blocks in (1, 132):
    for cycles in (0, 4000, 20000, 40000):
        for kernels in (1, 2, 3, 4, 6):
            for replays in (6, 20):
                name = torch.cuda.get_device_name()
                time = measure(kernels, blocks, cycles, replays)
                print(f"{name},pytorch,{kernels},{blocks},0,{cycles},{replays},{time:.3f}")
