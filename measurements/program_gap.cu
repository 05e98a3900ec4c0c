// Time between the end of one block and the start of the next on the same SM.
#include <cstdio>
#include <cstdlib>
#include <vector>
#include <algorithm>
#include <map>
#include <cuda_runtime.h>
__device__ int smid() { int s; asm volatile("mov.u32 %0, %smid;" : "=r"(s)); return s; }
__global__ void body(long long *t, float *o, long long wait, int store) {
    extern __shared__ char tile[];
    long long a = clock64();
    while (clock64() - a < wait) {}
    if (store) for (int i = 0; i < store; i++) o[((long)blockIdx.x * store + i) * blockDim.x + threadIdx.x] = a;
    __syncthreads();
    if (threadIdx.x == 0) { t[blockIdx.x * 3] = smid(); t[blockIdx.x * 3 + 1] = a; t[blockIdx.x * 3 + 2] = clock64(); }
}
int main() {
    long long *t; float *o; int blocks = 132 * 4;
    cudaMalloc(&t, blocks * 24); cudaMalloc(&o, 64 << 20);
    for (int smem : {8 << 10, 70 << 10, 200 << 10}) for (int threads : {128, 256}) for (int store : {0, 16}) for (long long wait : {2000ll, 6000ll}) {
        cudaFuncSetAttribute(body, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10);
        int per = smem > 100 << 10 ? 1 : smem > 20 << 10 ? 3 : 16; int n = 132 * per * 3; if (per == 16) n = 132 * 32;
        cudaFree(t); cudaMalloc(&t, n * 24);
        for (int r = 0; r < 3; r++) { body<<<n, threads, smem>>>(t, o, wait, store); cudaDeviceSynchronize(); }
        std::vector<long long> h(n * 3); cudaMemcpy(h.data(), t, n * 24, cudaMemcpyDeviceToHost);
        std::map<int, std::vector<std::pair<long long, long long>>> by; for (int i = 0; i < n; i++) by[h[3 * i]].push_back({h[3 * i + 1], h[3 * i + 2]});
        std::vector<long long> gaps; double first = 0;
        for (auto &kv : by) { auto v = kv.second; std::sort(v.begin(), v.end()); std::vector<long long> ends; 
            for (size_t i = 0; i < v.size(); i++) { if ((int)i < per) { first += (v[i].first - v[0].first) / (double)by.size() / per; } else { std::vector<long long> e; for (size_t j = 0; j < i; j++) e.push_back(v[j].second); std::sort(e.begin(), e.end()); gaps.push_back(v[i].first - e[i - per]); } } }
        std::sort(gaps.begin(), gaps.end());
        printf("{\"smem\": %d, \"threads\": %d, \"stores\": %d, \"wait\": %lld, \"resident\": %d, \"gap_cycles\": [%lld, %lld, %lld]}\n", smem, threads, store, wait, per, gaps[gaps.size() / 10], gaps[gaps.size() / 2], gaps[gaps.size() * 9 / 10]);
    }
}
