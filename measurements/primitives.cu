// Latency and throughput of the instructions of an attention kernel's inner loop, and of programs that do nothing.
// nvcc -O3 -arch=sm_90a primitives.cu -o primitives && ./primitives > primitives.jsonl
// ncu --metrics gpu__time_duration.sum --clock-control none --csv ./primitives launch   (times of empty kernels by grid)
#include <cstdio>
#include <cstdint>
#include <cstring>
#include <cuda_runtime.h>
#include <cuda_bf16.h>
constexpr int N = 512;
__device__ __forceinline__ void mma(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); }
__device__ __forceinline__ void load(const float *o, uint32_t a[4], uint32_t b[2]) {
  for (int i = 0; i < 4; i++) a[i] = __float_as_uint(o[threadIdx.x * 8 + i]); for (int i = 0; i < 2; i++) b[i] = __float_as_uint(o[threadIdx.x * 8 + 4 + i]); }
__global__ void mma_latency(long long *t, float *o) { float c[4] = {}; uint32_t a[4], b[2]; load(o, a, b); mma(c, a, b);
  long long s = clock64(); for (int i = 0; i < N; i++) mma(c, a, b); long long e = clock64();
  if (threadIdx.x == 0 && blockIdx.x == 0) *t = e - s; o[blockIdx.x * blockDim.x + threadIdx.x] = c[0]; }
__global__ void mma_rate(long long *t, float *o) { float c[8][4] = {}; uint32_t a[4], b[2]; load(o, a, b);
  __syncthreads(); long long s = clock64();
  for (int i = 0; i < N; i++) {
#pragma unroll
    for (int j = 0; j < 8; j++) mma(c[j], a, b); }
  __syncthreads(); long long e = clock64(); if (threadIdx.x == 0 && blockIdx.x == 0) *t = e - s; float x = 0; for (int j = 0; j < 8; j++) x += c[j][0];
  o[blockIdx.x * blockDim.x + threadIdx.x] = x; }
__global__ void ex2_latency(long long *t, float *o) { float x = o[0]; long long s = clock64();
  for (int i = 0; i < N; i++) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x)); long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = x; }
__global__ void ex2_rate(long long *t, float *o) { float x[8]; for (int j = 0; j < 8; j++) x[j] = o[j]; __syncthreads(); long long s = clock64();
  for (int i = 0; i < N; i++) {
#pragma unroll
    for (int j = 0; j < 8; j++) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x[j])); }
  __syncthreads(); long long e = clock64(); if (threadIdx.x == 0) *t = e - s; float y = 0; for (int j = 0; j < 8; j++) y += x[j]; o[threadIdx.x] = y; }
__global__ void fma_latency(long long *t, float *o) { float x = o[0]; long long s = clock64();
  for (int i = 0; i < N; i++) asm volatile("fma.rn.f32 %0, %0, %0, %0;" : "+f"(x)); long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = x; }
__global__ void shfl_latency(long long *t, float *o) { float x = o[threadIdx.x]; long long s = clock64();
  for (int i = 0; i < N; i++) x = __shfl_xor_sync(0xffffffff, x, 1); long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = x; }
__global__ void bar_latency(long long *t, float *o) { __syncthreads(); long long s = clock64();
  for (int i = 0; i < N; i++) __syncthreads(); long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = 0; }
__global__ void lds_latency(long long *t, float *o) { __shared__ volatile int p[1024]; for (int i = threadIdx.x; i < 1024; i += blockDim.x) p[i] = (i * 33 + 32) & 1023; __syncthreads();
  int i = threadIdx.x; long long s = clock64(); for (int k = 0; k < N; k++) i = p[i]; long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = i; }
__global__ void exchange_latency(long long *t, float *o) { __shared__ volatile float p[1024]; float x = o[threadIdx.x]; __syncthreads(); long long s = clock64();
  for (int k = 0; k < N; k++) { p[threadIdx.x] = x; __syncthreads(); x = p[(threadIdx.x + 32) & (blockDim.x - 1)]; __syncthreads(); } long long e = clock64(); if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = x; }
__global__ void cp_async_latency(long long *t, const char *g, float *o) { __shared__ __align__(16) char p[16384]; uint32_t d = (uint32_t)__cvta_generic_to_shared(p) + threadIdx.x * 16;
  const char *q = g + threadIdx.x * 16; for (int k = 0; k < 4; k++) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\ncp.async.commit_group;\ncp.async.wait_group 0;" :: "r"(d), "l"(q)); __syncthreads(); }
  long long s = clock64(); for (int k = 0; k < N; k++) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\ncp.async.commit_group;\ncp.async.wait_group 0;" :: "r"(d), "l"(q)); __syncthreads(); } long long e = clock64();
  if (threadIdx.x == 0) *t = e - s; o[threadIdx.x] = p[threadIdx.x]; }
__global__ void nothing(float *o) { if (o == nullptr) __trap(); }
__global__ void nothing_large(float *o) { extern __shared__ float s[]; if (o == nullptr) { s[0] = 1; __trap(); } }
int main(int argc, char **argv) {
  long long *t, h; float *o; char *g; cudaMalloc(&t, 8); cudaMalloc(&o, 1 << 24); cudaMalloc(&g, 1 << 24); cudaMemset(o, 0x3c, 1 << 24);
  cudaFuncSetAttribute(nothing_large, cudaFuncAttributeMaxDynamicSharedMemorySize, 71680);
  if (argc > 1 && !strcmp(argv[1], "launch")) { for (int grid : {1, 132, 264, 528, 1056, 4224, 16896, 67584}) for (int r = 0; r < 3; r++) { nothing<<<grid, 128>>>(o); nothing_large<<<grid, 128, 71680>>>(o); cudaDeviceSynchronize(); } return 0; }
  cudaDeviceProp p; cudaGetDeviceProperties(&p, 0);
#define RUN(label, call, blocks, threads, per) for (int w = 0; w < 2; w++) { call; cudaDeviceSynchronize(); } cudaMemcpy(&h, t, 8, cudaMemcpyDeviceToHost); \
  printf("{\"device\":\"%s\",\"what\":\"%s\",\"blocks\":%d,\"threads\":%d,\"cycles\":%.2f}\n", p.name, label, blocks, threads, (double)h / (N * per));
  for (int th : {32, 128, 256, 512}) { RUN("mma_latency", (mma_latency<<<1, th>>>(t, o)), 1, th, 1); }
  for (int th : {32, 128, 256, 512, 1024}) { RUN("mma_rate", (mma_rate<<<1, th>>>(t, o)), 1, th, 8); }
  for (int th : {128, 256, 512}) { RUN("mma_rate", (mma_rate<<<132, th>>>(t, o)), 132, th, 8); }
  for (int th : {32, 128, 512}) { RUN("ex2_latency", (ex2_latency<<<1, th>>>(t, o)), 1, th, 1); RUN("ex2_rate", (ex2_rate<<<1, th>>>(t, o)), 1, th, 8); RUN("fma_latency", (fma_latency<<<1, th>>>(t, o)), 1, th, 1);
    RUN("shfl_latency", (shfl_latency<<<1, th>>>(t, o)), 1, th, 1); RUN("bar_latency", (bar_latency<<<1, th>>>(t, o)), 1, th, 1); RUN("lds_latency", (lds_latency<<<1, th>>>(t, o)), 1, th, 1);
    RUN("exchange_latency", (exchange_latency<<<1, th>>>(t, o)), 1, th, 1); RUN("cp_async_latency", (cp_async_latency<<<1, th>>>(t, g, o)), 1, th, 1); }
  fprintf(stderr, "%s\n", cudaGetErrorString(cudaGetLastError())); }
