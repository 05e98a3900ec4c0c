// Arrival times of groups of asynchronous copies that a block requests at once, from a cold L2.
#include <cstdio>
#include <cstdlib>
#include <vector>
#include <algorithm>
#include <cuda_runtime.h>
#include <cuda_pipeline.h>
#define OK(x) do { cudaError_t e = (x); if (e) { printf("%s\n", cudaGetErrorString(e)); exit(1); } } while (0)
constexpr int THREADS = 128, MOST = 8;
__device__ unsigned long long now() { unsigned long long t; asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)); return t; }
template <int GROUPS, int COPIES>
__global__ void arrive(const char *pool, const int *rows, int row_bytes, long long *out, unsigned *sink) {
    extern __shared__ char tile[];
    constexpr int BYTES = COPIES * THREADS * 16;
    long long t[GROUPS + 2];
    const char *from[GROUPS][COPIES];
    int per_row = row_bytes / 16, rows_per_group = BYTES / row_bytes;
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
        for (int c = 0; c < COPIES; c++) {
            int i = c * THREADS + threadIdx.x;
            from[g][c] = pool + (long)rows[((long)blockIdx.x * GROUPS + g) * rows_per_group + i / per_row] * row_bytes + i % per_row * 16;
        }
    __syncthreads();
    long long sum = 0;
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
        for (int c = 0; c < COPIES; c++) sum += (long long)from[g][c];
    if (sum == 1) sink[0] = 1;
    __syncthreads();
    t[0] = clock64();
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
#pragma unroll
        for (int c = 0; c < COPIES; c++)
            __pipeline_memcpy_async(tile + g * BYTES + (c * THREADS + threadIdx.x) * 16, from[g][c], 16);
        __pipeline_commit();
    }
    t[1] = clock64();
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        __pipeline_wait_prior(GROUPS - 1 - g);
        __syncthreads();
        t[g + 2] = clock64();
    }
    if (threadIdx.x == 0) {
        for (int g = 0; g < GROUPS + 2; g++) out[blockIdx.x * (MOST + 2) + g] = t[g] - t[0];
        sink[blockIdx.x] = tile[17];
    }
}
__global__ void flush(const float4 *x, long n, float *y) {
    float s = 0;
    for (long i = blockIdx.x * (long)blockDim.x + threadIdx.x; i < n; i += (long)gridDim.x * blockDim.x) s += x[i].x;
    if (s == 12345.f) *y = s;
}
int main() {
    char *pool, *other; int *rows; long long *out; unsigned *sink; float *y;
    long pool_bytes = 2L << 30;
    OK(cudaMalloc(&pool, pool_bytes)); OK(cudaMemset(pool, 1, pool_bytes));
    OK(cudaMalloc(&other, 512 << 20)); OK(cudaMemset(other, 0, 512 << 20));
    OK(cudaMalloc(&rows, 64 << 20)); OK(cudaMalloc(&out, 1 << 20)); OK(cudaMalloc(&sink, 1 << 16)); OK(cudaMalloc(&y, 4));
    srand(1);
    for (int blocks : {16, 66, 132, 264, 396})
        for (int kb : {8, 16, 32})
            for (int row : {256, 512, -1}) {
                if (blocks > 132 && kb * 4 * (blocks / 132) > 200) continue;
                auto kernel = kb == 8 ? arrive<4, 4> : kb == 16 ? arrive<4, 8> : arrive<4, 16>;
                OK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10));
                int row_bytes = row > 0 ? row : 512, group = kb << 10, per = group / row_bytes * 4;
                std::vector<int> list(blocks * per);
                long n = pool_bytes / row_bytes;
                for (int b = 0; b < blocks; b++)
                    for (int i = 0; i < per; i++)
                        list[b * per + i] = row > 0 ? (int)((((long)rand() << 16) ^ rand()) % n) : (int)(b * (n / blocks) + i);
                for (int &v : list) if (v < 0) v = -v;
                OK(cudaMemcpy(rows, list.data(), list.size() * 4, cudaMemcpyHostToDevice));
                std::vector<long long> all; std::vector<double> mean(6, 0), last(6, 0);
                int runs = 7;
                for (int k = 0; k < runs + 1; k++) {
                    flush<<<1056, 512>>>((float4 *)other, (512L << 20) / 16, y);
                    kernel<<<blocks, THREADS, group * 4>>>(pool, rows, row_bytes, out, sink);
                    OK(cudaDeviceSynchronize());
                    std::vector<long long> h(blocks * (MOST + 2));
                    OK(cudaMemcpy(h.data(), out, h.size() * 8, cudaMemcpyDeviceToHost));
                    if (!k) continue;
                    for (int g = 0; g < 6; g++) {
                        double s = 0; long long m = 0;
                        for (int b = 0; b < blocks; b++) { s += h[b * (MOST + 2) + g]; m = std::max(m, h[b * (MOST + 2) + g]); }
                        mean[g] += s / blocks / runs; last[g] += (double)m / runs;
                    }
                }
                printf("{\"blocks\": %d, \"group_bytes\": %d, \"pattern\": \"%s\", \"row_bytes\": %d, \"issued\": %.0f, \"mean\": [%.0f, %.0f, %.0f, %.0f], \"latest\": [%.0f, %.0f, %.0f, %.0f]}\n",
                       blocks, group, row > 0 ? "rows" : "stream", row_bytes, mean[1], mean[2], mean[3], mean[4], mean[5], last[2], last[3], last[4], last[5]);
            }
}
