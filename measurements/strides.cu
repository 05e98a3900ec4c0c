// The part of the L2 that rows at a regular stride can use: a kernel reads rows of 256 B repeatedly. Under
// `ncu --metrics dram__bytes_read.sum` the last launch of each case gives the bytes that the L2 did not keep.
//
//   nvcc -O3 -arch=sm_90 -o strides strides.cu && ./strides        (prints a line for each case, in launch order)
//
// `share` is the number of blocks that read a row in a launch: 1, or all of them. Stride 0 means rows at random addresses.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>
#include <cuda_runtime.h>

#define CHECK(call)                                                                                      \
    do {                                                                                                 \
        cudaError_t error = (call);                                                                      \
        if (error != cudaSuccess) {                                                                      \
            std::fprintf(stderr, "%s: %s\n", #call, cudaGetErrorString(error));                          \
            return 1;                                                                                    \
        }                                                                                                \
    } while (0)

constexpr int ROW = 256, THREADS = 256, LANES = ROW / 16, LAUNCHES = 3;

// 16 threads read a row, 16 bytes each.
__global__ void sweep(const char *pool, const uint32_t *slots, uint64_t stride, uint32_t rows, int all, int *out) {
    uint32_t group = threadIdx.x / LANES, groups = THREADS / LANES;
    uint32_t first = all ? group : blockIdx.x * groups + group, step = all ? groups : gridDim.x * groups;
    int4 sum = make_int4(0, 0, 0, 0);
    for (uint32_t row = first; row < rows; row += step) {
        uint64_t at = slots ? uint64_t(slots[row]) * ROW : row * stride;
        int4 part;
        const char *address = pool + at + threadIdx.x % LANES * 16;
        asm volatile("ld.global.cg.v4.s32 {%0,%1,%2,%3}, [%4];"
                     : "=r"(part.x), "=r"(part.y), "=r"(part.z), "=r"(part.w) : "l"(address));
        sum.x ^= part.x, sum.y ^= part.y, sum.z ^= part.z, sum.w ^= part.w;
    }
    if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678) *out = 1;
}

int main() {
    const uint64_t KIB = 1 << 10, MIB = 1 << 20, POOL = 24ull << 30;
    cudaDeviceProp device;
    CHECK(cudaGetDeviceProperties(&device, 0));
    char *pool;
    int *out;
    uint32_t *slots;
    CHECK(cudaMalloc(&pool, POOL));
    CHECK(cudaMemset(pool, 1, POOL));
    CHECK(cudaMalloc(&out, 4));
    CHECK(cudaMalloc(&slots, 4 << 20));
    cudaEvent_t begin, end;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    std::mt19937_64 random(1);
    std::vector<uint64_t> strides = {256, 512, 768, KIB, 1280, 2 * KIB, 3 * KIB, 4 * KIB, 5 * KIB, 8 * KIB, 12 * KIB,
                                     16 * KIB, 32 * KIB, 64 * KIB, 80 * KIB, 256 * KIB, MIB, 0};
    std::printf("device,share,stride,working_set,microseconds\n");
    for (int all = 0; all < 2; all++)
        for (uint64_t stride : strides)
            for (uint64_t mib : {4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56}) {
                uint32_t rows = mib * MIB / ROW;
                if (rows * stride > POOL) continue;
                if (stride == 0) {
                    std::vector<uint32_t> chosen(rows);
                    for (auto &slot : chosen) slot = random() % (POOL / ROW);
                    CHECK(cudaMemcpy(slots, chosen.data(), rows * 4, cudaMemcpyHostToDevice));
                }
                float time = 0;
                for (int launch = 0; launch < LAUNCHES; launch++) {
                    CHECK(cudaEventRecord(begin));
                    sweep<<<all ? device.multiProcessorCount : 4 * device.multiProcessorCount, THREADS>>>(
                        pool, stride ? nullptr : slots, stride, rows, all, out);
                    CHECK(cudaEventRecord(end));
                    CHECK(cudaEventSynchronize(end));
                    CHECK(cudaEventElapsedTime(&time, begin, end));
                }
                std::printf("%s,%d,%llu,%llu,%.2f\n", device.name, all ? device.multiProcessorCount : 1,
                            (unsigned long long)stride, (unsigned long long)(mib * MIB), time * 1e3);
            }
    CHECK(cudaGetLastError());
    return 0;
}
