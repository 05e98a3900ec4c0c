// Energy of single activities on a Hopper GPU: each kernel repeats one operation for SECONDS while NVML counts energy.
// One CSV row an activity: amount per second, watts, the SM clock, the temperature.
// nvcc -O3 -gencode arch=compute_90a,code=sm_90a -std=c++17 -o power power.cu -ldl
// ./power > h200_power.csv; ./power follow > h200_clock.csv
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#define CHECK(call)                                                                      \
    do {                                                                                 \
        cudaError_t status = (call);                                                     \
        if (status != cudaSuccess) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, cudaGetErrorString(status));      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

constexpr double SETTLE = 0.8, SECONDS = 1.6;
constexpr int SMS = 132;

// NVML is loaded at run time, so that compilation needs neither its header nor its stub.
struct Nvml {
    void *device = nullptr;
    int (*energy)(void *, unsigned long long *);
    int (*power)(void *, unsigned *);
    int (*clock)(void *, int, unsigned *);
    int (*temperature)(void *, int, unsigned *);
    int (*throttle)(void *, unsigned long long *);
    Nvml() {
        void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
        if (!library) { fprintf(stderr, "no NVML: %s\n", dlerror()); exit(1); }
        auto init = (int (*)())dlsym(library, "nvmlInit_v2");
        auto handle = (int (*)(unsigned, void **))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
        energy = (int (*)(void *, unsigned long long *))dlsym(library, "nvmlDeviceGetTotalEnergyConsumption");
        power = (int (*)(void *, unsigned *))dlsym(library, "nvmlDeviceGetPowerUsage");
        clock = (int (*)(void *, int, unsigned *))dlsym(library, "nvmlDeviceGetClockInfo");
        temperature = (int (*)(void *, int, unsigned *))dlsym(library, "nvmlDeviceGetTemperature");
        throttle = (int (*)(void *, unsigned long long *))dlsym(library, "nvmlDeviceGetCurrentClocksEventReasons");
        if (!throttle) throttle = (int (*)(void *, unsigned long long *))dlsym(library, "nvmlDeviceGetCurrentClocksThrottleReasons");
        if (init() || handle(0, &device)) { fprintf(stderr, "NVML refuses\n"); exit(1); }
    }
};

using Clock = std::chrono::steady_clock;
static double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Cycles and nanoseconds at the start and at the end of the first block of a launch: their quotient is the actual
// clock of its SM, which NVML does not report.
__device__ longlong2 ends[2];
__device__ void note(int which) {
    if (blockIdx.x || threadIdx.x) return;
    long long ns;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns)::"memory");
    ends[which] = make_longlong2(clock64(), ns);
}
static double sm_mhz() {
    longlong2 found[2];
    CHECK(cudaMemcpyFromSymbol(found, ends, sizeof(found)));
    return 1e3 * (found[1].x - found[0].x) / (found[1].y - found[0].y);
}

// Run `launch` repeatedly, and print the amount of its activity per second beside the watts.
static void measure(Nvml &nvml, const char *name, const char *data, int sms, const char *unit, double amount,
                    const std::function<void()> &launch) {
    cudaEvent_t begin, end;
    double first_mhz = 0;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    if (amount > 0 || unit[0] == 's') {
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        launch();
        CHECK(cudaDeviceSynchronize());
        first_mhz = sm_mhz();
        auto start = Clock::now();
        while (since(start) < SETTLE) {
            for (int i = 0; i < 4; i++) launch();
            CHECK(cudaDeviceSynchronize());
        }
    } else {
        std::this_thread::sleep_for(std::chrono::duration<double>(SETTLE));
    }
    unsigned long long before = 0, after = 0;
    double clock_sum = 0, temperature_sum = 0;
    unsigned long long reasons = 0;
    int samples = 0, launches = 0;
    nvml.energy(nvml.device, &before);
    auto first = before;
    while (before == first) nvml.energy(nvml.device, &before);  // begin where the counter steps
    auto start = Clock::now();
    while (since(start) < SECONDS) {
        if (amount > 0 || unit[0] == 's') {
            for (int i = 0; i < 4; i++) launch();
            launches += 4;
            unsigned mhz = 0, celsius = 0;
            unsigned long long why = 0;
            nvml.clock(nvml.device, 1, &mhz);
            nvml.temperature(nvml.device, 0, &celsius);
            if (nvml.throttle) nvml.throttle(nvml.device, &why);
            clock_sum += mhz, temperature_sum += celsius, reasons |= why, samples++;
            CHECK(cudaDeviceSynchronize());
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            unsigned mhz = 0, celsius = 0;
            nvml.clock(nvml.device, 1, &mhz);
            nvml.temperature(nvml.device, 0, &celsius);
            clock_sum += mhz, temperature_sum += celsius, samples++;
        }
    }
    unsigned long long same = 0;
    nvml.energy(nvml.device, &same);
    after = same;
    while (after == same) nvml.energy(nvml.device, &after);
    double seconds = since(start);
    // all of the time counts as busy: the launches end soon before the counter steps
    double busy = seconds;
    float ms = 0;
    if (launches) {
        CHECK(cudaEventRecord(begin));
        for (int i = 0; i < 4; i++) launch();
        CHECK(cudaEventRecord(end));
        CHECK(cudaEventSynchronize(end));
        CHECK(cudaEventElapsedTime(&ms, begin, end));
    }
    printf("%s,%s,%d,%s,%.6g,%.4f,%.3f,%.2f,%.1f,%.1f,%llu,%.5f,%.1f,%.1f\n", name, data, sms, unit,
           launches ? amount * launches / busy : 0.0, seconds, (after - before) / 1e3, (after - before) / 1e3 / seconds,
           clock_sum / samples, temperature_sum / samples, reasons, ms / 4, first_mhz, launches ? sm_mhz() : 0.0);
    fflush(stdout);
}

__global__ void spin(long long cycles) {
    note(0);
    long long start = clock64();
    while (clock64() - start < cycles) {}
    note(1);
}
__global__ void nap(unsigned times) {
    for (unsigned i = 0; i < times; i++) __nanosleep(1000);
}
__global__ void fma_loop(float *out, float seed, int rounds) {
    note(0);
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = seed * (threadIdx.x * 8 + i + 1);
    float a = seed ? 0.9993f : 0.0f, b = seed ? 0.37f * seed : 0.0f;
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < 8; i++) asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(x[i]) : "f"(a), "f"(b));
    float sum = 0;
    for (int i = 0; i < 8; i++) sum += x[i];
    if (sum == 12345.f) *out = sum;
    note(1);
}
__global__ void exp_loop(float *out, float seed, int rounds) {
    note(0);
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = seed * (threadIdx.x * 8 + i + 1) * 1e-3f;
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < 8; i++) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x[i]));
    float sum = 0;
    for (int i = 0; i < 8; i++) sum += x[i];
    if (sum == 12345.f) *out = sum;
    note(1);
}
__global__ void int_loop(int *out, int seed, int rounds) {
    note(0);
    int x[8];
    for (int i = 0; i < 8; i++) x[i] = seed * (threadIdx.x * 8 + i + 1);
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < 8; i++) asm volatile("lop3.b32 %0, %0, %1, %2, 0x96;" : "+r"(x[i]) : "r"(seed * 77), "r"(x[(i + 1) & 7]));
    int sum = 0;
    for (int i = 0; i < 8; i++) sum += x[i];
    if (sum == 12345) *out = sum;
    note(1);
}
__global__ void shared_loop(const uint4 *in, uint4 *out, int rounds) {
    note(0);
    extern __shared__ uint4 tile[];
    for (int i = threadIdx.x; i < 4096; i += blockDim.x) tile[i] = in[i];
    __syncthreads();
    uint4 sum = make_uint4(0, 0, 0, 0);
    unsigned base = (unsigned)__cvta_generic_to_shared(tile);
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint4 v;
            unsigned at = base + (((threadIdx.x + (r * 4 + i) * blockDim.x) & 4095) << 4);
            asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
            sum.x ^= v.x;
        }
    if (sum.x == 0x12345678u) *out = sum;
    note(1);
}
// Reads `count` vectors of 16 B repeatedly; nanoseconds of sleep between rounds lower the rate.
__global__ void read_loop(const uint4 *in, uint4 *out, size_t count, int rounds, unsigned sleep) {
    note(0);
    uint4 sum = make_uint4(0, 0, 0, 0);
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (int r = 0; r < rounds; r++)
        for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i + 7 * step < count; i += 8 * step) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                uint4 v;
                asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(in + i + j * step));
                sum.x ^= v.x, sum.y ^= v.y, sum.z ^= v.z, sum.w ^= v.w;
            }
            if (sleep) __nanosleep(sleep);
        }
    if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678u) *out = sum;
    note(1);
}
__global__ void write_loop(uint4 *to, size_t count, unsigned seed) {
    note(0);
    size_t step = (size_t)gridDim.x * blockDim.x;
    unsigned x = seed * (threadIdx.x + blockIdx.x * 1024 + 1);
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        x = seed ? x * 1664525u + 1013904223u : 0;
        to[i] = make_uint4(x, x * 3, x * 5, x * 7);
    }
    note(1);
}
__global__ void mma_sync(float *out, const unsigned *in, int rounds) {
    note(0);
    unsigned a[4], b[2];
    float d[4][4] = {};
    for (int i = 0; i < 4; i++) a[i] = in[threadIdx.x * 4 + i];
    for (int i = 0; i < 2; i++) b[i] = in[8192 + threadIdx.x * 2 + i];
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int k = 0; k < 4; k++)
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                         : "+f"(d[k][0]), "+f"(d[k][1]), "+f"(d[k][2]), "+f"(d[k][3])
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    if (d[0][0] + d[1][1] + d[2][2] + d[3][3] == 12345.f) *out = d[0][0];
    note(1);
}
#define R8(x, n) x(n) x(n + 1) x(n + 2) x(n + 3) x(n + 4) x(n + 5) x(n + 6) x(n + 7)
// Two groups of a block multiply 64 x 256 each. With `trace`, the first block records its cycles and the time, in ns,
// after every `EVERY` rounds, which gives the clock over time.
constexpr int EVERY = 100;
template <bool FP8>
__global__ void __launch_bounds__(256) wgmma_loop(float *out, const uint4 *in, int rounds, longlong2 *trace = nullptr, int rest = 0) {
    note(0);
    extern __shared__ __align__(1024) uint4 tile[];  // stages of A 2 x 64 x 128 B and B 256 x 128 B
    uint4 *data = (uint4 *)(((uintptr_t)tile + 1023) & ~(uintptr_t)1023);
    constexpr int STAGES = 4, STAGE = (128 + 256) * 128;
    for (int i = threadIdx.x; i < STAGES * STAGE / 16; i += blockDim.x) data[i] = in[i];
    __syncthreads();
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    float d[128];
#pragma unroll
    for (int i = 0; i < 128; i++) d[i] = 0;
    unsigned base = (unsigned)__cvta_generic_to_shared(data), group = threadIdx.x / 128;
    auto descriptor = [](unsigned address) {
        return (uint64_t)((address & 0x3FFFF) >> 4) | ((uint64_t)1 << 16) | ((uint64_t)(1024 >> 4) << 32) | ((uint64_t)1 << 62);
    };
    for (int r = 0; r < rounds; r++) {
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int k = 0; k < 4; k++) {
            unsigned stage = base + (r % STAGES) * STAGE;
            uint64_t a = descriptor(stage + group * 8192 + k * 32), b = descriptor(stage + 16384 + k * 32);
#define D8(n) "+f"(d[n]), "+f"(d[n + 1]), "+f"(d[n + 2]), "+f"(d[n + 3]), "+f"(d[n + 4]), "+f"(d[n + 5]), "+f"(d[n + 6]), "+f"(d[n + 7])
#define ALL D8(0), D8(8), D8(16), D8(24), D8(32), D8(40), D8(48), D8(56), D8(64), D8(72), D8(80), D8(88), D8(96), D8(104), D8(112), D8(120)
#define LIST "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}"
            if constexpr (FP8)
                asm volatile("wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 " LIST ", %128, %129, 1, 1, 1;" : ALL : "l"(a), "l"(b));
            else
                asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 " LIST ", %128, %129, 1, 1, 1, 0, 0;" : ALL : "l"(a), "l"(b));
        }
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
        if (rest) {  // cycles without a product, so that a part of the units' time is used
            asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
            long long start = clock64();
            while (clock64() - start < rest) {}
        }
        if (trace && !blockIdx.x && !threadIdx.x && r % EVERY == 0) {
            long long ns;
            asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
            trace[r / EVERY] = make_longlong2(clock64(), ns);
        }
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 128; i++) sum += d[i];
    if (sum == 12345.f) *out = sum;
    note(1);
}
__global__ void fill_bf16(__nv_bfloat16 *to, size_t count, int how) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 31, x *= 0xBF58476D1CE4E5B9ull, x ^= x >> 27, x *= 0x94D049BB133111EBull, x ^= x >> 31;
    float u = ((x & 0xFFFFFF) + 1) / 16777217.f, v = ((x >> 24) & 0xFFFFFF) / 16777216.f;
    float normal = sqrtf(-2 * logf(u)) * cosf(6.2831853f * v);
    to[i] = __float2bfloat16(how == 0 ? 0.f : how == 1 ? normal : 1.f);
}
__global__ void fill_bits(unsigned *to, size_t count, int how) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 31, x *= 0xBF58476D1CE4E5B9ull, x ^= x >> 27;
    unsigned word = (unsigned)(x >> 16);
    to[i] = how == 0 ? 0 : how == 2 ? (word & 0xBFBFBFBFu) : word;  // 2: no exponent of e4m3 above half
}

// The clock over time: cycles per nanosecond during a product that begins after a second of idling, or after reads.
static void follow(Nvml &nvml, uint4 *buffer, float *out, const std::function<void(int)> &numbers, size_t big) {
    constexpr int ROUNDS = 1000000, SHARED = 4 * (128 + 256) * 128 + 1024;
    longlong2 *trace;
    std::vector<longlong2> host(ROUNDS / EVERY);
    CHECK(cudaMalloc(&trace, host.size() * sizeof(longlong2)));
    CHECK(cudaFuncSetAttribute(wgmma_loop<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED));
    printf("before,data,sms,us,sm_mhz,rounds\n");
    for (int reads : {0, 1})
        for (int how : {0, 1})
            for (int sms : {66, 132}) {
                numbers(how);
                std::this_thread::sleep_for(std::chrono::milliseconds(1000));
                size_t count = big / 16 / (SMS * 2 * 1024 * 8) * (SMS * 2 * 1024 * 8);
                if (reads)
                    for (int i = 0; i < 200; i++) read_loop<<<SMS * 2, 1024>>>(buffer, (uint4 *)out, count, 1, 0);
                wgmma_loop<false><<<sms, 256, SHARED>>>(out, buffer, ROUNDS, trace);
                CHECK(cudaDeviceSynchronize());
                CHECK(cudaMemcpy(host.data(), trace, host.size() * sizeof(longlong2), cudaMemcpyDeviceToHost));
                size_t last = 0;
                double wanted = 0;
                for (size_t i = 1; i < host.size(); i++) {
                    double us = (host[i].y - host[0].y) / 1e3;
                    if (us < wanted || host[i].y == host[last].y) continue;
                    printf("%s,%s,%d,%.1f,%.1f,%zu\n", reads ? "reads" : "idle", how ? "random" : "zeros", sms, us,
                           1e3 * (host[i].x - host[last].x) / (host[i].y - host[last].y), (i - last) * EVERY);
                    last = i, wanted = us < 1000 ? us + 50 : us * 1.05;
                }
            }
}

int main(int count, char **arguments) {
    Nvml nvml;
    size_t big = (size_t)8 << 30;
    char *buffer;
    float *out;
    CHECK(cudaMalloc(&buffer, big));
    CHECK(cudaMalloc(&out, 1 << 20));
    auto bits = [&](int how, size_t bytes) { fill_bits<<<(unsigned)((bytes / 4 + 255) / 256), 256>>>((unsigned *)buffer, bytes / 4, how); CHECK(cudaDeviceSynchronize()); };
    auto numbers = [&](int how) { fill_bf16<<<(unsigned)((1 << 24) / 256), 256>>>((__nv_bfloat16 *)buffer, 1 << 24, how); CHECK(cudaDeviceSynchronize()); };
    if (count > 1) {
        follow(nvml, (uint4 *)buffer, out, numbers, big);
        return 0;
    }
    printf("activity,data,sms,unit,per_second,seconds,joules,watts,nvml_mhz,celsius,reasons,launch_ms,first_mhz,last_mhz\n");
    measure(nvml, "idle", "", 0, "none", 0, [] {});
    for (int sms : {1, 33, 66, 132}) measure(nvml, "nap", "", sms, "s", sms, [&] { nap<<<sms, 32>>>(10000); });
    for (int sms : {1, 33, 66, 132}) measure(nvml, "spin", "", sms, "s", sms, [&] { spin<<<sms, 32>>>(20000000); });
    measure(nvml, "spin 1024", "", SMS, "s", SMS, [&] { spin<<<SMS, 1024>>>(20000000); });
    const int R = 200000;
    for (int sms : {66, 132})
        for (float seed : {0.f, 1.3f}) {
            const char *data = seed ? "random" : "zeros";
            measure(nvml, "fma", data, sms, "lane fma", 8.0 * R * 1024 * sms, [&] { fma_loop<<<sms, 1024>>>(out, seed, R); });
        }
    for (float seed : {0.f, -1.3f}) measure(nvml, "ex2", seed ? "random" : "zeros", SMS, "exponential", 8.0 * R / 4 * 1024 * SMS, [&] { exp_loop<<<SMS, 1024>>>(out, seed, R / 4); });
    for (int seed : {0, 12345677}) measure(nvml, "lop3", seed ? "random" : "zeros", SMS, "lane operation", 8.0 * R * 1024 * SMS, [&] { int_loop<<<SMS, 1024>>>((int *)out, seed, R); });
    CHECK(cudaFuncSetAttribute(shared_loop, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    for (int how : {0, 1}) {
        bits(how, 1 << 20);
        measure(nvml, "shared", how ? "random" : "zeros", SMS, "byte", 4.0 * 20000 * 1024 * 16 * SMS, [&] { shared_loop<<<SMS, 1024, 65536>>>((uint4 *)buffer, (uint4 *)out, 20000); });
    }
    for (int how : {0, 1}) {
        bits(how, 64 << 20);
        for (int times : {1, 2}) {
            size_t count = (size_t)SMS * 512 * 8 * times;
            std::string name = "L2 read, " + std::to_string(count * 16 >> 20) + " MiB";
            measure(nvml, name.c_str(), how ? "random" : "zeros", SMS, "byte", 16.0 * count * 1000 / times, [&] { read_loop<<<SMS, 512>>>((uint4 *)buffer, (uint4 *)out, count, 1000 / times, 0); });
        }
    }
    for (int how : {0, 1}) {
        bits(how, big);
        size_t count = big / 16 / (SMS * 2 * 1024 * 8) * (SMS * 2 * 1024 * 8);
        for (unsigned sleep : {0u, 10000u, 30000u, 90000u}) {
            std::string name = "DRAM read, sleep " + std::to_string(sleep);
            measure(nvml, name.c_str(), how ? "random" : "zeros", SMS, "byte", 16.0 * count, [&] { read_loop<<<SMS * 2, 1024>>>((uint4 *)buffer, (uint4 *)out, count, 1, sleep); });
        }
    }
    for (unsigned seed : {0u, 77u}) measure(nvml, "DRAM write", seed ? "random" : "zeros", SMS, "byte", (double)big, [&] { write_loop<<<SMS * 2, 1024>>>((uint4 *)buffer, big / 16, seed); });
    for (int how : {0, 1}) {
        numbers(how);
        for (int sms : {66, 132}) measure(nvml, "mma.sync bf16", how ? "random" : "zeros", sms, "mac", 4.0 * 40000 * 16 * 2048 * sms, [&] { mma_sync<<<sms, 512>>>(out, (unsigned *)buffer, 40000); });
    }
    constexpr int SHARED = 4 * (128 + 256) * 128 + 1024;
    CHECK(cudaFuncSetAttribute(wgmma_loop<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED));
    CHECK(cudaFuncSetAttribute(wgmma_loop<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED));
    for (int how : {0, 1, 3}) {
        numbers(how);
        const char *data = how == 0 ? "zeros" : how == 1 ? "random" : "ones";
        for (int sms : {33, 66, 99, 132})
            measure(nvml, "wgmma bf16", data, sms, "mac", 4.0 * 20000 * 2 * 64 * 256 * 16 * sms, [&] { wgmma_loop<false><<<sms, 256, SHARED>>>(out, (uint4 *)buffer, 20000); });
    }
    for (int how : {0, 1}) {
        numbers(how);
        for (int rest : {128, 512, 1024, 3072})
            for (int sms : {66, 132}) {
                std::string name = "wgmma bf16, rest " + std::to_string(rest);
                measure(nvml, name.c_str(), how ? "random" : "zeros", sms, "mac", 4.0 * 10000 * 2 * 64 * 256 * 16 * sms, [&] { wgmma_loop<false><<<sms, 256, SHARED>>>(out, (uint4 *)buffer, 10000, nullptr, rest); });
            }
    }
    for (int how : {0, 2}) {
        bits(how, 1 << 20);
        for (int sms : {66, 132})
            measure(nvml, "wgmma e4m3", how ? "random" : "zeros", sms, "mac", 4.0 * 20000 * 2 * 64 * 256 * 32 * sms, [&] { wgmma_loop<true><<<sms, 256, SHARED>>>(out, (uint4 *)buffer, 20000); });
    }
    measure(nvml, "idle", "after", 0, "none", 0, [] {});
    return 0;
}
