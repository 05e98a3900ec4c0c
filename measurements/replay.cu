// Time of one replay of a CUDA graph of kernels in sequence, with replays back to back between two events.
// nvcc -O3 -arch=sm_90a replay.cu -o replay && ./replay > h100_replay.csv
#include <cstdio>
#include <algorithm>
#include <vector>
#include <cuda_runtime.h>
__global__ void spin(long long cycles) { long long s = clock64(); while (clock64() - s < cycles) {} }
__global__ void spin_early(long long cycles) {  // as a kernel for programmatic dependent launch does
  asm volatile("griddepcontrol.launch_dependents;"); asm volatile("griddepcontrol.wait;" ::: "memory");
  long long s = clock64(); while (clock64() - s < cycles) {} }
static void launch(bool early, int blocks, long long cycles, cudaStream_t q) {
  if (!early) { spin<<<blocks, 128, 0, q>>>(cycles); return; }
  cudaLaunchConfig_t c = {}; c.gridDim = blocks; c.blockDim = 128; c.stream = q;
  cudaLaunchAttribute a = {}; a.id = cudaLaunchAttributeProgrammaticStreamSerialization; a.val.programmaticStreamSerializationAllowed = 1;
  c.attrs = &a; c.numAttrs = 1; cudaLaunchKernelEx(&c, spin_early, cycles); }
int main() {
  cudaDeviceProp p; cudaGetDeviceProperties(&p, 0); cudaStream_t q; cudaStreamCreate(&q);
  printf("device,from,kernels,blocks,early,spin_cycles,replays,us_per_replay\n");
  for (bool early : {false, true}) for (int blocks : {1, 132, 528}) for (long long cycles : {0LL, 4000LL, 20000LL, 40000LL})
    for (int kernels : {1, 2, 3, 4, 6, 8}) {
      cudaGraph_t g; cudaGraphExec_t e; cudaStreamBeginCapture(q, cudaStreamCaptureModeGlobal);
      for (int k = 0; k < kernels; k++) launch(early, blocks, cycles, q);
      cudaStreamEndCapture(q, &g); cudaGraphInstantiate(&e, g, 0);
      for (int replays : {6, 20, 200}) {
        std::vector<float> times; cudaEvent_t a, b; cudaEventCreate(&a); cudaEventCreate(&b);
        for (int r = 0; r < 21; r++) {
          for (int w = 0; w < 3; w++) cudaGraphLaunch(e, q);
          cudaStreamSynchronize(q); cudaEventRecord(a, q);
          for (int i = 0; i < replays; i++) cudaGraphLaunch(e, q);
          cudaEventRecord(b, q); cudaEventSynchronize(b); float ms; cudaEventElapsedTime(&ms, a, b); times.push_back(ms * 1000 / replays); }
        std::sort(times.begin(), times.end());
        printf("%s,c++,%d,%d,%d,%lld,%d,%.3f\n", p.name, kernels, blocks, early, cycles, replays, times[10]); }
      cudaGraphExecDestroy(e); cudaGraphDestroy(g); }
  if (cudaDeviceSynchronize() != cudaSuccess) { fprintf(stderr, "failed\n"); return 1; } return 0; }
