// Read bandwidth of 2 GiB as one stream over all blocks, or as a stream of its own for each block (one or two arrays);
// and the times at which the indices, the rows and the sum of a small gather are ready.
// nvcc -O3 -arch=sm_90a streams.cu -o streams && ./streams > streams.jsonl
#include <cstdio>
#include <cstdint>
#include <vector>
#include <algorithm>
#include <cuda_runtime.h>
__device__ __forceinline__ uint64_t gt() { uint64_t t; asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)); return t; }
template <int U> __global__ void read(const uint4 *p, size_t per_block, size_t stride, int arrays, size_t half, unsigned *o) {
  unsigned s = 0; const uint4 *q = p + blockIdx.x * (stride == 1 ? per_block : (size_t)blockDim.x * U);
  size_t step = stride == 1 ? (size_t)blockDim.x * U : (size_t)gridDim.x * blockDim.x * U; size_t n = per_block / (blockDim.x * U);
  for (size_t i = 0; i < n; i++) for (int a = 0; a < arrays; a++) { uint4 v[U];
#pragma unroll
    for (int u = 0; u < U; u++) v[u] = __ldcg(q + a * half + i * step + u * blockDim.x + threadIdx.x);
#pragma unroll
    for (int u = 0; u < U; u++) s += v[u].x ^ v[u].y ^ v[u].z ^ v[u].w; }
  if (s == 0x12345) *o = s; }
__global__ void gather(const uint4 *p, const int *idx, int rows, int row16, uint64_t *t, float *o) {
  __shared__ int id[128]; __shared__ float w[4]; uint64_t t0 = gt();
  if (threadIdx.x < rows) id[threadIdx.x] = idx[blockIdx.x * rows + threadIdx.x]; __syncthreads(); uint64_t t1 = gt();
  int per = rows * row16 / 128; float s = 0; uint4 v[16];
#pragma unroll
  for (int u = 0; u < 16; u++) if (u < per) { int k = u * 128 + threadIdx.x; v[u] = __ldcg(p + (size_t)id[k / row16] * row16 + k % row16); }
#pragma unroll
  for (int u = 0; u < 16; u++) if (u < per) s += __uint_as_float(v[u].x) + __uint_as_float(v[u].y) + __uint_as_float(v[u].z) + __uint_as_float(v[u].w);
  for (int m = 16; m; m >>= 1) s += __shfl_xor_sync(~0u, s, m); if (threadIdx.x % 32 == 0) w[threadIdx.x / 32] = s; __syncthreads(); uint64_t t2 = gt();
  if (threadIdx.x == 0) { o[blockIdx.x] = w[0] + w[1] + w[2] + w[3]; __threadfence(); uint64_t t3 = gt(); t[blockIdx.x * 4] = t0; t[blockIdx.x * 4 + 1] = t1; t[blockIdx.x * 4 + 2] = t2; t[blockIdx.x * 4 + 3] = t3; } }
int main() { size_t B = 4ul << 30; uint4 *p; cudaMalloc(&p, B); cudaMemset(p, 1, B); unsigned *o; cudaMalloc(&o, 1 << 22); cudaEvent_t a, b; cudaEventCreate(&a); cudaEventCreate(&b); cudaDeviceProp pr; cudaGetDeviceProperties(&pr, 0);
  for (int blocks : {132, 264, 396, 528, 1056}) for (int arrays : {1, 2}) for (int stride : {1, 2}) { size_t per = (1ul << 30) / 16 / blocks / 4096 * 4096; float best = 1e9; 
    for (int r = 0; r < 4; r++) { cudaEventRecord(a); read<8><<<blocks, 256>>>(p, per, stride, arrays, B / 32, o); cudaEventRecord(b); cudaEventSynchronize(b); float ms; cudaEventElapsedTime(&ms, a, b); best = std::min(best, ms); }
    printf("{\"device\":\"%s\",\"what\":\"read\",\"blocks\":%d,\"bytes_in_flight_a_block\":32768,\"arrays\":%d,\"streams\":\"%s\",\"gbs\":%.1f}\n", pr.name, blocks, arrays, stride == 1 ? "one a block" : "one", per * 16.0 * blocks * arrays / best / 1e6); }
  int *idx; cudaMalloc(&idx, 4 << 20); uint64_t *t; cudaMalloc(&t, 1 << 22);
  for (int rb : {128, 256, 512}) for (int blocks : {132, 256, 512, 1024}) for (int spread : {1, 37}) for (int cold : {0, 1}) { int rows = std::min(128, 32768 / rb); if (rows * rb / 16 / 128 > 16) rows = 2048 * 16 / rb;
    std::vector<int> h(blocks * rows); for (size_t i = 0; i < h.size(); i++) h[i] = (int)(i * spread); cudaMemcpy(idx, h.data(), h.size() * 4, cudaMemcpyHostToDevice); std::vector<uint64_t> g(blocks * 4); float ms = 0;
    for (int r = 0; r < 3; r++) { if (cold) { read<8><<<1056, 256>>>(p + B / 32, (512ul << 20) / 16 / 1056, 1, 1, 0, o); } cudaDeviceSynchronize(); cudaEventRecord(a); gather<<<blocks, 128>>>(p, idx, rows, rb / 16, t, (float *)o); cudaEventRecord(b); cudaDeviceSynchronize(); cudaEventElapsedTime(&ms, a, b); }
    cudaMemcpy(g.data(), t, blocks * 32, cudaMemcpyDeviceToHost); uint64_t z = ~0ull; for (int i = 0; i < blocks; i++) z = std::min(z, g[i * 4]);
    double m[4] = {}, x[4] = {}; for (int i = 0; i < blocks; i++) for (int j = 0; j < 4; j++) { double v = (double)(g[i * 4 + j] - z); m[j] += v / blocks; x[j] = std::max(x[j], v); }
    printf("{\"device\":\"%s\",\"what\":\"gather\",\"row_bytes\":%d,\"rows\":%d,\"blocks\":%d,\"spread\":%d,\"cold\":%d,\"mean_ns\":[%.0f,%.0f,%.0f,%.0f],\"max_ns\":[%.0f,%.0f,%.0f,%.0f],\"event_us\":%.2f}\n", pr.name, rb, rows, blocks, spread, cold, m[0], m[1], m[2], m[3], x[0], x[1], x[2], x[3], ms * 1e3); }
  fprintf(stderr, "%s\n", cudaGetErrorString(cudaGetLastError())); }
