// Timing of the instructions of an attention kernel on one SM of a Hopper GPU: alone, from several warps of a sub-core,
// and beside products on the tensor units. One JSON line a case; cycles are those of the SM clock.
// nvcc -O3 -gencode arch=compute_90a,code=sm_90a -std=c++17 -o instructions instructions.cu
// ./instructions > h200_instructions.jsonl
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#define CHECK(call)                                                                      \
    do {                                                                                 \
        cudaError_t status = (call);                                                     \
        if (status != cudaSuccess) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, cudaGetErrorString(status));      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

constexpr int ROUNDS = 256, CHAINS = 8;  // CHAINS independent registers; a latency uses one of them

// What one instruction does to a register; `x` is changed in place, so that a chain of them depends on itself.
#define OPERATION(name, type, code)                                        \
    struct name {                                                          \
        using T = type;                                                    \
        static constexpr const char *title = #name;                        \
        static constexpr unsigned stride = 16;                             \
        static __device__ __forceinline__ void run(T &x, T y, T z) { code; } \
    };
OPERATION(ffma_f32, float, asm volatile("fma.rn.f32 %0, %0, %1, %2;" : "+f"(x) : "f"(y), "f"(z)))
OPERATION(fadd_f32, float, asm volatile("add.rn.f32 %0, %0, %1;" : "+f"(x) : "f"(y)))
OPERATION(fmul_f32, float, asm volatile("mul.rn.f32 %0, %0, %1;" : "+f"(x) : "f"(y)))
OPERATION(fmnmx, float, asm volatile("max.f32 %0, %0, %1;" : "+f"(x) : "f"(y)))
OPERATION(fsel, float, asm volatile("{.reg .pred p; setp.gt.f32 p, %0, %1; selp.f32 %0, %0, %2, p;}" : "+f"(x) : "f"(y), "f"(z)))
OPERATION(mufu_ex2, float, asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x)))
OPERATION(f2fp_bf16, unsigned, asm volatile("cvt.rn.bf16x2.f32 %0, %1, %2;" : "+r"(x) : "f"(__uint_as_float(x)), "f"(__uint_as_float(y))))
OPERATION(hfma2_bf16, unsigned, asm volatile("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(x) : "r"(y), "r"(z)))
OPERATION(lop3, unsigned, asm volatile("lop3.b32 %0, %0, %1, %2, 0x96;" : "+r"(x) : "r"(y), "r"(z)))
OPERATION(imad, unsigned, asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(x) : "r"(y), "r"(z)))
OPERATION(imad_wide, uint64_t, asm volatile("mad.wide.u32 %0, %1, %2, %0;" : "+l"(x) : "r"((unsigned)x), "r"((unsigned)y)))
OPERATION(shift, unsigned, asm volatile("shf.l.wrap.b32 %0, %0, %1, 5;" : "+r"(x) : "r"(y)))
OPERATION(prmt, unsigned, asm volatile("prmt.b32 %0, %0, %1, 0x5410;" : "+r"(x) : "r"(y)))
OPERATION(shfl, unsigned, asm volatile("shfl.sync.bfly.b32 %0, %0, 1, 31, -1;" : "+r"(x)))
struct ldsm_x4 {
    using T = unsigned;
    static constexpr const char *title = "ldsm_x4";
    static constexpr unsigned stride = 16;
    static __device__ __forceinline__ void run(T &x, T, T) {
        unsigned a, b, c;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%0];" : "+r"(x), "=r"(a), "=r"(b), "=r"(c));
    }
};

// What a softmax does to a score: scale and shift, exponential, sum, maximum, conversion (of two scores at once in a kernel).
struct softmax {
    using T = float;
    static constexpr const char *title = "softmax (ffma, ex2, fadd, fmnmx, f2fp)";
    static constexpr unsigned stride = 16;
    static __device__ __forceinline__ void run(T &x, T y, T z) {
        unsigned packed;
        ffma_f32::run(x, y, z), mufu_ex2::run(x, y, z), fadd_f32::run(x, y, z), fmnmx::run(x, y, z);
        asm volatile("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(x), "f"(y));
        x = __uint_as_float(packed);
    }
};
struct lds_32 {
    using T = unsigned;
    static constexpr const char *title = "lds_32";
    static constexpr unsigned stride = 4;
    static __device__ __forceinline__ void run(T &x, T, T) { asm volatile("ld.shared.u32 %0, [%0];" : "+r"(x)); }
};
struct lds_128 {
    using T = unsigned;
    static constexpr const char *title = "lds_128";
    static constexpr unsigned stride = 16;
    static __device__ __forceinline__ void run(T &x, T, T) {
        unsigned a, b, c;
        asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%0];" : "+r"(x), "=r"(a), "=r"(b), "=r"(c));
        x |= a & c;  // without a use of all, the compiler loads 4 B; all four words are equal
    }
};
struct sts_32 {
    using T = unsigned;
    static constexpr const char *title = "sts_32";
    static constexpr unsigned stride = 4;
    static __device__ __forceinline__ void run(T &x, T y, T) { asm volatile("st.volatile.shared.u32 [%0], %1;" ::"r"(x), "r"(y) : "memory"); }
};
struct sts_128 {
    using T = unsigned;
    static constexpr const char *title = "sts_128";
    static constexpr unsigned stride = 16;
    static __device__ __forceinline__ void run(T &x, T y, T) { asm volatile("st.volatile.shared.v4.u32 [%0], {%1,%1,%1,%1};" ::"r"(x), "r"(y) : "memory"); }
};
struct stsm_x4 {
    using T = unsigned;
    static constexpr const char *title = "stsm_x4";
    static constexpr unsigned stride = 16;
    static __device__ __forceinline__ void run(T &x, T y, T) { asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%1,%1,%1};" ::"r"(x), "r"(y) : "memory"); }
};

// Addresses for the loads: every slot of the 32 KiB holds the address of a slot of the same lane, 16 B apart a lane.
__device__ void fill(unsigned base, unsigned stride) {
    for (unsigned i = threadIdx.x * 4; i < 32768; i += blockDim.x * 4) {
        unsigned lane = (i / stride) & 31, next = base + lane * stride;
        asm volatile("st.shared.u32 [%0], %1;" ::"r"(base + i), "r"(next) : "memory");
    }
    __syncthreads();
}
template <class Op>
__global__ void one(long long *cycles, unsigned *out, unsigned seed, int chains) {
    extern __shared__ __align__(1024) char memory[];
    unsigned base = (unsigned)__cvta_generic_to_shared(memory);
    fill(base, Op::stride);
    typename Op::T x[CHAINS], y, z;
    unsigned own = base + (threadIdx.x & 31) * Op::stride;
    for (int i = 0; i < CHAINS; i++) x[i] = (typename Op::T)(own + i * 512);
    y = (typename Op::T)(own + seed), z = (typename Op::T)(own + 2 * seed);
    long long begin = 0, end = 0;
    for (int warm = 0; warm < 2; warm++) {
        __syncthreads();
        begin = clock64();
        if (chains == 1)
#pragma unroll 16
            for (int r = 0; r < ROUNDS; r++) Op::run(x[0], y, z);
        else
#pragma unroll 4
            for (int r = 0; r < ROUNDS; r++)
#pragma unroll
                for (int i = 0; i < CHAINS; i++) Op::run(x[i], y, z);
        __syncthreads();
        end = clock64();
    }
    unsigned sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += (unsigned)x[i];
    out[threadIdx.x] = sum;
    if (!threadIdx.x) *cycles = end - begin;
}

static long long *cycles_on_device;
static unsigned *out;
static double read_cycles(double count) {
    long long found;
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemcpy(&found, cycles_on_device, sizeof found, cudaMemcpyDeviceToHost));
    return found / count;
}
template <class Op>
static void alone() {
    for (int warps : {1, 4, 8, 16, 32}) {
        one<Op><<<1, warps * 32, 32768>>>(cycles_on_device, out, 0, 1);
        double latency = read_cycles(ROUNDS);
        one<Op><<<1, warps * 32, 32768>>>(cycles_on_device, out, 0, CHAINS);
        printf("{\"what\":\"%s\",\"warps\":%d,\"dependent_cycles\":%.2f,\"independent_cycles\":%.3f}\n", Op::title, warps, latency,
               read_cycles((double)ROUNDS * CHAINS));
    }
}

// Products on the tensor units: m64 n k16 of bf16, A from shared memory or from registers, n by template.
template <int N>
struct Product;
#define F4(n) "+f"(d[n]), "+f"(d[n + 1]), "+f"(d[n + 2]), "+f"(d[n + 3])
#define S0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define S1 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define S2 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define S3 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define S4 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define S5 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define S6 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define S7 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define H5 "%80,%81,%82,%83,%84,%85,%86,%87"
#define D16(n) F4(n), F4(n + 4), F4(n + 8), F4(n + 12)
#define PRODUCT(n, list, a0, a1, a2, a3, b, ...)                                                                                 \
    template <>                                                                                                                 \
    struct Product<n> {                                                                                                         \
        template <bool REGISTERS>                                                                                               \
        static __device__ __forceinline__ void run(float *d, const unsigned *a, uint64_t left, uint64_t right) {                \
            if constexpr (REGISTERS)                                                                                            \
                asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" list "}, {" a0 "," a1 "," a2 "," a3     \
                             "}, " b ", 1, 1, 1, 0;"                                                                            \
                             : __VA_ARGS__                                                                                      \
                             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(right));                                         \
            else                                                                                                                \
                asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" list "}, " a0 ", " a1 ", 1, 1, 1, 0, 0;" \
                             : __VA_ARGS__                                                                                      \
                             : "l"(left), "l"(right));                                                                          \
        }                                                                                                                       \
    };
PRODUCT(8, "%0,%1,%2,%3", "%4", "%5", "%6", "%7", "%8", F4(0))
PRODUCT(64, S0 "," S1, "%32", "%33", "%34", "%35", "%36", D16(0), D16(16))
PRODUCT(96, S0 "," S1 "," S2, "%48", "%49", "%50", "%51", "%52", D16(0), D16(16), D16(32))
PRODUCT(128, S0 "," S1 "," S2 "," S3, "%64", "%65", "%66", "%67", "%68", D16(0), D16(16), D16(32), D16(48))
PRODUCT(176, S0 "," S1 "," S2 "," S3 "," S4 "," H5, "%88", "%89", "%90", "%91", "%92", D16(0), D16(16), D16(32), D16(48), D16(64), F4(80), F4(84))
PRODUCT(192, S0 "," S1 "," S2 "," S3 "," S4 "," S5, "%96", "%97", "%98", "%99", "%100", D16(0), D16(16), D16(32), D16(48), D16(64), D16(80))
PRODUCT(256, S0 "," S1 "," S2 "," S3 "," S4 "," S5 "," S6 "," S7, "%128", "%129", "%130", "%131", "%132", D16(0), D16(16), D16(32), D16(48), D16(64), D16(80), D16(96), D16(112))

__device__ __forceinline__ uint64_t descriptor(unsigned address) {
    return (uint64_t)((address & 0x3FFFF) >> 4) | ((uint64_t)1 << 16) | ((uint64_t)(1024 >> 4) << 32) | ((uint64_t)1 << 62);
}
__device__ __forceinline__ void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int LEFT>
__device__ __forceinline__ void wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory"); }

// `groups` groups of four warps multiply; each issues BATCH products, commits, and waits until one batch is left (or none).
constexpr int most_groups(int n) { return n > 128 ? 2 : 3; }
template <int N, bool REGISTERS, int BATCH, bool DRAIN>
__global__ void __launch_bounds__(128 * most_groups(N)) products(long long *cycles, float *result, int rounds) {
    extern __shared__ __align__(1024) char memory[];
    unsigned base = ((unsigned)__cvta_generic_to_shared(memory) + 1023) & ~1023u, group = threadIdx.x / 128;
    for (unsigned i = threadIdx.x * 4; i < 98304; i += blockDim.x * 4) asm volatile("st.shared.u32 [%0], %1;" ::"r"(base + i), "r"(0) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    float d[N / 2] = {};
    unsigned a[4] = {};
    uint64_t left = descriptor(base + group * 8192), right = descriptor(base + 32768);
    long long begin = clock64();
    for (int r = 0; r < rounds; r++) {
        fence();
#pragma unroll
        for (int k = 0; k < BATCH; k++) Product<N>::template run<REGISTERS>(d, a, left, right);
        commit();
        wait<DRAIN ? 0 : 1>();
    }
    wait<0>();
    __syncthreads();
    long long end = clock64();
    float sum = 0;
    for (int i = 0; i < N / 2; i++) sum += d[i];
    result[threadIdx.x] = sum;
    if (!threadIdx.x) *cycles = end - begin;
}
template <int N, bool REGISTERS, int BATCH, bool DRAIN>
static void multiply_so() {
    auto kernel = products<N, REGISTERS, BATCH, DRAIN>;
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 100352));
    constexpr int TIMES = 1024 / BATCH;
    for (int groups = 1; groups <= most_groups(N); groups++) {
        for (int warm = 0; warm < 2; warm++) kernel<<<1, groups * 128, 100352>>>(cycles_on_device, (float *)out, TIMES);
        printf("{\"what\":\"wgmma m64n%dk16 bf16\",\"a\":\"%s\",\"groups\":%d,\"batch\":%d,\"drain\":%s,\"cycles_a_product\":%.2f}\n", N,
               REGISTERS ? "registers" : "shared", groups, BATCH, DRAIN ? "true" : "false", read_cycles(1.0 * TIMES * BATCH * groups));
    }
}
template <int N, bool REGISTERS>
static void multiply() {
    multiply_so<N, REGISTERS, 1, true>(), multiply_so<N, REGISTERS, 8, true>(), multiply_so<N, REGISTERS, 8, false>();
}

// Group 0 multiplies while `others` groups run `Op`, each a number of rounds: what each costs beside the other, if the other
// lasts longer.
template <int N, bool REGISTERS, class Op>
__global__ void __launch_bounds__(384) beside(long long *cycles, float *result, int batches, int rounds, int others) {
    extern __shared__ __align__(1024) char memory[];
    unsigned base = ((unsigned)__cvta_generic_to_shared(memory) + 1023) & ~1023u, group = threadIdx.x / 128;
    for (unsigned i = threadIdx.x * 4; i < 65536; i += blockDim.x * 4) asm volatile("st.shared.u32 [%0], %1;" ::"r"(base + i), "r"(0) : "memory");
    fill(base + 65536, Op::stride);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (group == 0) {
        float d[N / 2] = {};
        unsigned a[4] = {};
        uint64_t left = descriptor(base), right = descriptor(base + 32768);
        long long begin = clock64();
        for (int r = 0; r < batches; r++) {
            fence();
#pragma unroll
            for (int k = 0; k < 8; k++) Product<N>::template run<REGISTERS>(d, a, left, right);
            commit();
            wait<1>();
        }
        wait<0>();
        long long end = clock64();
        float sum = 0;
        for (int i = 0; i < N / 2; i++) sum += d[i];
        result[threadIdx.x] = sum;
        if (!threadIdx.x) cycles[0] = end - begin;
    } else if ((int)group <= others) {
        typename Op::T x[CHAINS], y, z;
        unsigned own = base + 65536 + (threadIdx.x & 31) * Op::stride;
        for (int i = 0; i < CHAINS; i++) x[i] = (typename Op::T)(own + i * 512);
        y = (typename Op::T)own, z = (typename Op::T)own;
        long long begin = clock64();
        for (int r = 0; r < rounds; r++)
#pragma unroll
            for (int i = 0; i < CHAINS; i++) Op::run(x[i], y, z);
        long long end = clock64();
        unsigned sum = 0;
        for (int i = 0; i < CHAINS; i++) sum += (unsigned)x[i];
        ((unsigned *)result)[threadIdx.x] = sum;
        if (threadIdx.x == 128) cycles[1] = end - begin;
    }
}
template <int N, bool REGISTERS, class Op>
static void contend() {
    auto kernel = beside<N, REGISTERS, Op>;
    constexpr int SHORT = 512, LONG = 65536;
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 132096));
    for (int others : {0, 1, 2}) {
        long long first[2], second[2];
        kernel<<<1, 384, 132096>>>(cycles_on_device, (float *)out, SHORT, others ? LONG : 0, others);
        CHECK(cudaDeviceSynchronize());
        CHECK(cudaMemcpy(first, cycles_on_device, sizeof first, cudaMemcpyDeviceToHost));
        if (others && first[1] < first[0]) fprintf(stderr, "%s: the others ended first\n", Op::title);
        kernel<<<1, 384, 132096>>>(cycles_on_device, (float *)out, LONG / 8, others ? 4 * SHORT : 0, others);
        CHECK(cudaDeviceSynchronize());
        CHECK(cudaMemcpy(second, cycles_on_device, sizeof second, cudaMemcpyDeviceToHost));
        if (others && second[0] < second[1]) fprintf(stderr, "%s: the products ended first\n", Op::title);
        printf("{\"what\":\"%s beside wgmma m64n%dk16\",\"a\":\"%s\",\"other_groups\":%d,\"cycles_a_product\":%.2f,\"cycles_an_instruction\":%.3f}\n",
               Op::title, N, REGISTERS ? "registers" : "shared", others, first[0] / (SHORT * 8.0),
               others ? second[1] / (4.0 * SHORT * CHAINS * others) : 0.0);
    }
}

// Two groups hand a named barrier to each other, as those of a kernel that takes turns do.
__global__ void turns(long long *cycles, int rounds) {
    unsigned group = threadIdx.x / 128;
    __syncthreads();
    long long begin = clock64();
    if (group == 1) asm volatile("bar.arrive 1, 256;" ::: "memory");
    for (int r = 0; r < rounds; r++) {
        if (group == 0) {
            asm volatile("bar.sync 1, 256;" ::: "memory");
            asm volatile("bar.arrive 2, 256;" ::: "memory");
        } else {
            asm volatile("bar.sync 2, 256;" ::: "memory");
            asm volatile("bar.arrive 1, 256;" ::: "memory");
        }
    }
    if (group == 0) asm volatile("bar.sync 1, 256;" ::: "memory");
    long long end = clock64();
    if (!threadIdx.x) *cycles = end - begin;
}
__global__ void mbarriers(long long *cycles, int rounds, int how) {
    __shared__ __align__(8) uint64_t barrier;
    unsigned at = (unsigned)__cvta_generic_to_shared(&barrier);
    if (!threadIdx.x) asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(how == 0 ? blockDim.x : 1u) : "memory");
    __syncthreads();
    long long begin = clock64();
    for (int r = 0; r < rounds; r++) {
        if (how == 0 || !threadIdx.x) asm volatile("{.reg .b64 s; mbarrier.arrive.shared::cta.b64 s, [%0];}" ::"r"(at) : "memory");
        unsigned done = 0;
        while (!done)
            asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(at), "r"(r & 1) : "memory");
    }
    long long end = clock64();
    if (!threadIdx.x) *cycles = end - begin;
}
// Bulk copies of `size` bytes from global memory by one thread: until the last has arrived, and to issue them.
__global__ void bulk(long long *cycles, const char *from, unsigned size, int copies, int rounds) {
    extern __shared__ __align__(1024) char memory[];
    __shared__ __align__(8) uint64_t barrier;
    unsigned at = (unsigned)__cvta_generic_to_shared(&barrier), to = (unsigned)__cvta_generic_to_shared(memory);
    if (threadIdx.x) return;
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    long long whole = 0, issue = 0;
    for (int r = 0; r < rounds; r++) {
        long long begin = clock64();
        asm volatile("{.reg .b64 s; mbarrier.arrive.expect_tx.shared::cta.b64 s, [%0], %1;}" ::"r"(at), "r"(size * copies) : "memory");
        for (int c = 0; c < copies; c++)
            asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to + c * size),
                         "l"(from + (size_t)c * size), "r"(size), "r"(at)
                         : "memory");
        long long issued = clock64();
        unsigned done = 0;
        while (!done)
            asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(at), "r"(r & 1) : "memory");
        if (r) whole += clock64() - begin, issue += issued - begin;  // the first brings the data into the L2
    }
    cycles[0] = whole, cycles[1] = issue;
}
// Loads and asynchronous copies of 16 B from the L2: cycles to issue one, by warps.
template <bool COPY>
__global__ void global_loads(long long *cycles, const uint4 *from, unsigned *result, int rounds) {
    extern __shared__ __align__(1024) char memory[];
    unsigned to = (unsigned)__cvta_generic_to_shared(memory) + threadIdx.x * 16;
    long long begin = 0, end = 0;
    unsigned sum = 0;
    for (int warm = 0; warm < 2; warm++) {
        __syncthreads();
        begin = clock64();
        for (int r = 0; r < rounds; r++)
#pragma unroll
            for (int i = 0; i < CHAINS; i++) {
                const uint4 *own = from + ((r * CHAINS + i) * blockDim.x + threadIdx.x) % 65536;
                if (COPY) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(own) : "memory");
                else {
                    uint4 v;
                    asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(own));
                    sum ^= v.x;
                }
            }
        if (COPY) asm volatile("cp.async.wait_all;" ::: "memory");
        __syncthreads();
        end = clock64();
    }
    result[threadIdx.x] = sum;
    if (!threadIdx.x) *cycles = end - begin;
}
template <int N, bool REGISTERS>
static void contend_all() {
    contend<N, REGISTERS, ffma_f32>(), contend<N, REGISTERS, fadd_f32>(), contend<N, REGISTERS, fmul_f32>(), contend<N, REGISTERS, fmnmx>();
    contend<N, REGISTERS, mufu_ex2>(), contend<N, REGISTERS, f2fp_bf16>(), contend<N, REGISTERS, lop3>(), contend<N, REGISTERS, imad>();
    contend<N, REGISTERS, shfl>(), contend<N, REGISTERS, lds_128>(), contend<N, REGISTERS, sts_128>(), contend<N, REGISTERS, softmax>();
}

int main() {
    CHECK(cudaMalloc(&cycles_on_device, 64));
    CHECK(cudaMalloc(&out, 1 << 20));
    char *data;
    CHECK(cudaMalloc(&data, 64 << 20));
    CHECK(cudaMemset(data, 0, 64 << 20));
    alone<ffma_f32>(), alone<fadd_f32>(), alone<fmul_f32>(), alone<fmnmx>(), alone<fsel>(), alone<mufu_ex2>();
    alone<f2fp_bf16>(), alone<hfma2_bf16>(), alone<lop3>(), alone<imad>(), alone<imad_wide>();
    alone<softmax>(), alone<shift>(), alone<prmt>(), alone<shfl>(), alone<lds_32>(), alone<lds_128>(), alone<sts_32>(), alone<sts_128>();
    alone<ldsm_x4>(), alone<stsm_x4>();
    multiply<8, false>(), multiply<64, false>(), multiply<96, false>(), multiply<128, false>(), multiply<176, false>();
    multiply<192, false>(), multiply<256, false>();
    multiply<64, true>(), multiply<96, true>(), multiply<128, true>(), multiply<176, true>(), multiply<192, true>();
    contend_all<128, false>(), contend_all<128, true>(), contend_all<176, false>(), contend_all<64, true>();
    turns<<<1, 256>>>(cycles_on_device, 1000);
    printf("{\"what\":\"named barrier, two groups in turns\",\"cycles_a_turn\":%.2f}\n", read_cycles(2000));
    for (int threads : {32, 128, 256})
        for (int how : {0, 1}) {
            mbarriers<<<1, threads>>>(cycles_on_device, 1000, how);
            printf("{\"what\":\"mbarrier arrive and wait\",\"threads\":%d,\"arriving\":%d,\"cycles\":%.2f}\n", threads, how ? 1 : threads, read_cycles(1000));
        }
    CHECK(cudaFuncSetAttribute(bulk, cudaFuncAttributeMaxDynamicSharedMemorySize, 132096));
    for (unsigned size : {128u, 512u, 2048u, 8192u, 16384u})
        for (int copies : {1, 2, 4, 8}) {
            if (size * copies > 131072) continue;
            long long found[2];
            bulk<<<1, 32, 132096>>>(cycles_on_device, data, size, copies, 101);
            CHECK(cudaDeviceSynchronize());
            CHECK(cudaMemcpy(found, cycles_on_device, sizeof found, cudaMemcpyDeviceToHost));
            printf("{\"what\":\"bulk copy out of the L2\",\"bytes\":%u,\"copies\":%d,\"cycles\":%.1f,\"issue_cycles\":%.1f}\n", size, copies,
                   found[0] / 100.0, found[1] / 100.0);
        }
    CHECK(cudaFuncSetAttribute(global_loads<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 32768));
    for (int warps : {1, 4, 8, 16, 32}) {
        global_loads<false><<<1, warps * 32, 32768>>>(cycles_on_device, (uint4 *)data, out, 64);
        double loads = read_cycles(64.0 * CHAINS * warps);
        global_loads<true><<<1, warps * 32, 32768>>>(cycles_on_device, (uint4 *)data, out, 64);
        printf("{\"what\":\"16 B a thread out of the L2\",\"warps\":%d,\"cycles_a_warp_load\":%.2f,\"cycles_a_warp_copy\":%.2f}\n", warps, loads,
               read_cycles(64.0 * CHAINS * warps));
    }
    CHECK(cudaGetLastError());
}
