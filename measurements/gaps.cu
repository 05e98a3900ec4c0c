// Time between two kernels, from the end of the last block of the first to the start of the first block of the second; and
// time from there until all blocks of the second that fit on the SMs have begun. In a stream, in a graph, and with
// programmatic dependent launch.
// nvcc -O3 -gencode arch=compute_90a,code=sm_90a -std=c++17 -o gaps gaps.cu && ./gaps > h200_gaps.csv
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                 \
    do {                                                                            \
        cudaError_t status = (call);                                                \
        if (status != cudaSuccess) {                                                \
            fprintf(stderr, "line %d: %s\n", __LINE__, cudaGetErrorString(status)); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

__device__ long long now() {
    long long ns;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
    return ns;
}
// Block n spins for `ns` + `more` * (n % 132) nanoseconds and records its start and its end.
__global__ void work(longlong2 *times, int ns, int more, int dependent) {
    extern __shared__ char room[];
    if (dependent) asm volatile("griddepcontrol.wait;" ::: "memory");
    long long begin = now();
    if (dependent == 1) asm volatile("griddepcontrol.launch_dependents;");
    long long length = ns + (long long)more * (blockIdx.x % 132);
    while (now() - begin < length) {}
    if (!threadIdx.x) times[blockIdx.x] = make_longlong2(begin, now());
}
enum Way { STREAM, GRAPH, STREAM_PDL, GRAPH_PDL };
static const char *NAMES[] = {"stream", "graph", "stream, pdl", "graph, pdl"};

static void launch(cudaStream_t stream, int blocks, int threads, int shared, longlong2 *times, int ns, int more, bool pdl, bool second) {
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks, config.blockDim = threads, config.dynamicSmemBytes = shared, config.stream = stream;
    cudaLaunchAttribute attribute;
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &attribute, config.numAttrs = pdl && second ? 1 : 0;
    CHECK(cudaLaunchKernelEx(&config, work, times, ns, more, pdl ? (second ? 2 : 1) : 0));
}

int main() {
    const int MOST = 132 * 16, CHAIN = 8, REPEATS = 25;
    longlong2 *times;
    CHECK(cudaMalloc(&times, sizeof(longlong2) * MOST * CHAIN));
    CHECK(cudaFuncSetAttribute(work, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 * 1024));
    std::vector<longlong2> host(MOST * CHAIN);
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    printf("way,first_blocks,second_blocks,threads,shared,spin_ns,more_ns,gap_ns,gap_p10,gap_p90,spread_ns,chain_ns_per_kernel\n");
    int sizes[] = {1, 32, 132, 264, 528, 1056};
    for (int way = 0; way < 4; way++)
        for (int threads : {128, 384})
            for (int shared : {0, 100 * 1024, 200 * 1024})
                for (int first : sizes)
                    for (int second : sizes) {
                        if (threads == 384 && (first != second)) continue;
                        for (int spin : {5000, 20000})
                            for (int more : {0, 20}) {
                                if (more && (first != 132 || second != 132)) continue;
                                if (spin == 20000 && first != second) continue;
                                bool pdl = way >= STREAM_PDL;
                                cudaGraph_t graph;
                                cudaGraphExec_t exec = nullptr;
                                auto enqueue = [&] {
                                    for (int k = 0; k < CHAIN; k++)
                                        launch(stream, k % 2 ? second : first, threads, shared, times + k * MOST, spin, more, pdl, k > 0);
                                };
                                if (way % 2) {
                                    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
                                    enqueue();
                                    CHECK(cudaStreamEndCapture(stream, &graph));
                                    CHECK(cudaGraphInstantiate(&exec, graph, 0));
                                }
                                std::vector<double> gaps, spreads, chains;
                                for (int r = 0; r < REPEATS; r++) {
                                    if (exec) CHECK(cudaGraphLaunch(exec, stream));
                                    else enqueue();
                                    CHECK(cudaStreamSynchronize(stream));
                                    if (r < 3) continue;
                                    CHECK(cudaMemcpy(host.data(), times, sizeof(longlong2) * MOST * CHAIN, cudaMemcpyDeviceToHost));
                                    long long zero = host[0].x, last = 0;
                                    for (int k = 0; k < CHAIN; k++) {
                                        int blocks = k % 2 ? second : first, room = std::min(blocks, 132);
                                        std::vector<long long> begins;
                                        long long end = 0;
                                        for (int b = 0; b < blocks; b++) begins.push_back(host[k * MOST + b].x), end = std::max(end, host[k * MOST + b].y);
                                        std::sort(begins.begin(), begins.end());
                                        if (k % 2) gaps.push_back(begins[0] - last), spreads.push_back(begins[room - 1] - begins[0]);
                                        last = end;
                                    }
                                    chains.push_back((last - zero) / (double)CHAIN);
                                }
                                auto at = [](std::vector<double> &v, double q) { std::sort(v.begin(), v.end()); return v[(size_t)(q * (v.size() - 1))]; };
                                printf("\"%s\",%d,%d,%d,%d,%d,%d,%.0f,%.0f,%.0f,%.0f,%.0f\n", NAMES[way], first, second, threads, shared, spin, more,
                                       at(gaps, .5), at(gaps, .1), at(gaps, .9), at(spreads, .5), at(chains, .5));
                                if (exec) { CHECK(cudaGraphExecDestroy(exec)); CHECK(cudaGraphDestroy(graph)); }
                            }
                    }
    return 0;
}
