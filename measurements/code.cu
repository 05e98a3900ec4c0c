// Cost of cold code: time of straight-line code of N instructions, first after the L2 was filled with other data, then again at once.
// nvcc -O1 -arch=sm_90a code.cu -o code && ncu --metrics gpu__time_duration.sum --clock-control none --cache-control none --csv ./code
#include <cstdio>
#include <cuda_runtime.h>
template <int N> __global__ void straight(float *o) {
  float x[8]; for (int j = 0; j < 8; j++) x[j] = o[j];
#pragma unroll
  for (int i = 0; i < N / 8; i++) {
#pragma unroll
    for (int j = 0; j < 8; j++) asm volatile("fma.rn.f32 %0, %0, %0, %0;" : "+f"(x[j])); }
  float s = 0; for (int j = 0; j < 8; j++) s += x[j]; if (s == 1.2345f) o[threadIdx.x] = s; }
__global__ void fill(const uint4 *p, size_t n, unsigned *o) { unsigned s = 0; for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) { uint4 v = p[i]; s += v.x ^ v.y; } if (s == 0x12345) *o = s; }
int main() { float *o; cudaMalloc(&o, 4096); cudaMemset(o, 0, 4096); uint4 *b; size_t n = 512ul << 20; cudaMalloc(&b, n); cudaMemset(b, 1, n); unsigned *u; cudaMalloc(&u, 4);
#define ONE(N) for (int r = 0; r < 3; r++) { fill<<<1056, 256>>>(b, n / 16, u); straight<N><<<132, 128>>>(o); straight<N><<<132, 128>>>(o); straight<N><<<528, 128>>>(o); }
  ONE(8) ONE(64) ONE(128) ONE(256) ONE(512) ONE(1024) ONE(2048) ONE(4096) cudaDeviceSynchronize(); printf("%s\n", cudaGetErrorString(cudaGetLastError())); }
