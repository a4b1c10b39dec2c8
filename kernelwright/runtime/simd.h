// Vectors of the width that the compile target has, and the functions of them that kernels use.
//
// Only the vector extensions of GCC and Clang: no <immintrin.h>, which costs 0.2 s a build. Arithmetic, comparisons and
// ?: are the compiler's own. A mask is an `ivec` of 0 and -1. Scalars mix with vectors: 0.5f * x, max(x, 0.0f).
// Functions are exact to the number of units in the last place (ulp) that stands beside them, over the whole range,
// infinities, NaN, signed zeros and denormals included. Polynomials: least largest error by Lawson's iteration.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define SIMD_BYTES 64
#elif defined(__AVX2__)
#define SIMD_BYTES 32
#else
#define SIMD_BYTES 16
#endif

#define SIMD_INLINE inline __attribute__((always_inline))

namespace simd {

constexpr int width = SIMD_BYTES / 4;

typedef float vec __attribute__((vector_size(SIMD_BYTES)));
typedef int ivec __attribute__((vector_size(SIMD_BYTES)));
typedef long long lvec __attribute__((vector_size(2 * SIMD_BYTES)));
typedef float unaligned_vec __attribute__((vector_size(SIMD_BYTES), aligned(4), may_alias));
typedef int unaligned_ivec __attribute__((vector_size(SIMD_BYTES), aligned(4), may_alias));

constexpr float infinity = __builtin_inff();
constexpr float nan = __builtin_nanf("");

// ---- how many lanes count: all of them, or the first few at the end of a row

struct Full {
    constexpr operator int() const { return width; }
};

struct Part {
    int count;
    operator int() const { return count; }
};

constexpr long blocks(long n, long size) { return (n + size - 1) / size; }
constexpr long least(long a, long b) { return a < b ? a : b; }

// The index itself, or the nearest that there is.
constexpr long within(long index, long extent) { return index < 0 ? 0 : index < extent ? index : extent - 1; }

// Calls body(i, slot, lanes) for i from begin to end by the vector width. Slots 0..unroll-1 take turns: accumulators
// that are kept by slot don't wait for each other.
template <int unroll, class Body>
SIMD_INLINE void each(long begin, long end, Body body)
{
    long i = begin;
    for (; i + unroll * width <= end; i += unroll * width)
#pragma GCC unroll 8
        for (int slot = 0; slot < unroll; ++slot)
            body(i + slot * width, slot, Full{});
    for (; i + width <= end; i += width)
        body(i, 0, Full{});
    if (i < end)
        body(i, 0, Part{int(end - i)});
}

// ---- making vectors

SIMD_INLINE vec all(float x) { return x - vec{}; }
SIMD_INLINE vec all(vec x) { return x; }
SIMD_INLINE ivec all(int x) { return x - ivec{}; }
SIMD_INLINE ivec all(bool x) { return -int(x) - ivec{}; }
SIMD_INLINE ivec all(ivec x) { return x; }
SIMD_INLINE lvec all(long long x) { return x - lvec{}; }
SIMD_INLINE lvec all(long x) { return (long long)x - lvec{}; }
SIMD_INLINE lvec all(lvec x) { return x; }

template <class Make>
SIMD_INLINE vec lanewise(Make make)
{
    vec result{};
    for (int lane = 0; lane < width; ++lane)
        result[lane] = make(lane);
    return result;
}

// 0, 1, 2, ...
SIMD_INLINE ivec ascending()
{
    ivec result{};
    for (int lane = 0; lane < width; ++lane)
        result[lane] = lane;
    return result;
}

SIMD_INLINE lvec ascending(long first, long step)
{
    return (long long)first + (long long)step * __builtin_convertvector(ascending(), lvec);
}

// ---- conversions

SIMD_INLINE float to_float(long long x) { return float(x); }
SIMD_INLINE vec to_float(ivec x) { return __builtin_convertvector(x, vec); }
SIMD_INLINE vec to_float(lvec x) { return __builtin_convertvector(x, vec); }
SIMD_INLINE vec mask_to_float(ivec mask) { return (vec)(mask & (ivec)all(1.0f)); }
SIMD_INLINE float mask_to_float(bool mask) { return float(mask); }
SIMD_INLINE lvec mask_to_long(ivec mask) { return -__builtin_convertvector(mask, lvec); }
SIMD_INLINE long long mask_to_long(bool mask) { return mask; }
SIMD_INLINE lvec to_long(ivec x) { return __builtin_convertvector(x, lvec); }
SIMD_INLINE long long to_long(int x) { return x; }
SIMD_INLINE lvec to_long(vec x) { return __builtin_convertvector(x, lvec); }
SIMD_INLINE long long to_long(float x) { return (long long)x; }
SIMD_INLINE ivec mask_to_int(ivec mask) { return -mask; }
SIMD_INLINE int mask_to_int(bool mask) { return mask; }
SIMD_INLINE ivec narrow_mask(lvec mask) { return __builtin_convertvector(mask, ivec); }
SIMD_INLINE bool narrow_mask(bool mask) { return mask; }
SIMD_INLINE ivec invert(ivec mask) { return ~mask; }
SIMD_INLINE bool invert(bool mask) { return !mask; }

// ---- memory

SIMD_INLINE vec load(const float* p, Full) { return *(const unaligned_vec*)p; }
SIMD_INLINE void store(float* p, vec x, Full) { *(unaligned_vec*)p = x; }

#if SIMD_BYTES == 64
typedef unsigned short first_lanes;
SIMD_INLINE first_lanes first(Part lanes) { return first_lanes((1u << lanes.count) - 1); }
SIMD_INLINE vec load(const float* p, Part lanes) { return (vec)__builtin_ia32_loadups512_mask(p, vec{}, first(lanes)); }
SIMD_INLINE void store(float* p, vec x, Part lanes) { __builtin_ia32_storeups512_mask(p, x, first(lanes)); }
#elif SIMD_BYTES == 32
SIMD_INLINE ivec first(Part lanes) { return ascending() < lanes.count; }
SIMD_INLINE vec load(const float* p, Part lanes) { return __builtin_ia32_maskloadps256((const vec*)p, first(lanes)); }
SIMD_INLINE void store(float* p, vec x, Part lanes) { __builtin_ia32_maskstoreps256((vec*)p, first(lanes), x); }
#else
SIMD_INLINE vec load(const float* p, Part lanes)
{
    vec x{};
    for (int lane = 0; lane < lanes.count; ++lane)
        x[lane] = p[lane];
    return x;
}
SIMD_INLINE void store(float* p, vec x, Part lanes)
{
    for (int lane = 0; lane < lanes.count; ++lane)
        p[lane] = x[lane];
}
#endif

// Elements `stride` apart.
template <class Lanes>
SIMD_INLINE vec load(const float* p, long stride, Lanes lanes)
{
    vec x{};
    for (int lane = 0; lane < lanes; ++lane)
        x[lane] = p[lane * stride];
    return x;
}

template <class Lanes>
SIMD_INLINE void store(float* p, long stride, vec x, Lanes lanes)
{
    for (int lane = 0; lane < lanes; ++lane)
        p[lane * stride] = x[lane];
}

// The other element types: int32 as it is, int64 in a vector twice as long, bool as a mask.
template <class Lanes>
SIMD_INLINE ivec load(const int* p, long stride, Lanes lanes)
{
    ivec x{};
    for (int lane = 0; lane < lanes; ++lane)
        x[lane] = p[lane * stride];
    return x;
}

template <class Lanes>
SIMD_INLINE lvec load(const long long* p, long stride, Lanes lanes)
{
    lvec x{};
    for (int lane = 0; lane < lanes; ++lane)
        x[lane] = p[lane * stride];
    return x;
}

template <class Lanes>
SIMD_INLINE ivec load(const bool* p, long stride, Lanes lanes)
{
    ivec x{};
    for (int lane = 0; lane < lanes; ++lane)
        x[lane] = -int(p[lane * stride]);
    return x;
}

template <class Element, class Lanes>
SIMD_INLINE auto load(const Element* p, Lanes lanes)
{
    return load(p, 1, lanes);
}

template <class Lanes>
SIMD_INLINE void store(int* p, long stride, ivec x, Lanes lanes)
{
    for (int lane = 0; lane < lanes; ++lane)
        p[lane * stride] = x[lane];
}

template <class Lanes>
SIMD_INLINE void store(long long* p, long stride, lvec x, Lanes lanes)
{
    for (int lane = 0; lane < lanes; ++lane)
        p[lane * stride] = x[lane];
}

template <class Lanes>
SIMD_INLINE void store(bool* p, long stride, ivec x, Lanes lanes)
{
    for (int lane = 0; lane < lanes; ++lane)
        p[lane * stride] = x[lane] != 0;
}

template <class Element, class Value, class Lanes>
SIMD_INLINE void store(Element* p, Value x, Lanes lanes)
{
    store(p, 1, x, lanes);
}

// Past the caches, where `p` is on a vector boundary: an output that is larger than the caches is not read first.
SIMD_INLINE void stream(float* p, vec x, Full lanes)
{
    if ((unsigned long)p % sizeof(vec) != 0)
        return store(p, x, lanes);
#if defined(__clang__)
    __builtin_nontemporal_store(x, (vec*)p);
#elif SIMD_BYTES == 64
    __builtin_ia32_movntps512(p, x);
#elif SIMD_BYTES == 32
    __builtin_ia32_movntps256(p, x);
#else
    store(p, x, lanes);
#endif
}
SIMD_INLINE void stream(float* p, vec x, Part lanes) { store(p, x, lanes); }

// Call after the last `stream`, in each thread that did.
SIMD_INLINE void stream_end()
{
#if SIMD_BYTES >= 32
    __builtin_ia32_sfence();
#endif
}

// ---- choosing

SIMD_INLINE float select(bool mask, float yes, float no) { return mask ? yes : no; }
SIMD_INLINE long long select(bool mask, long long yes, long long no) { return mask ? yes : no; }
SIMD_INLINE vec select(ivec mask, vec yes, vec no) { return mask ? yes : no; }
SIMD_INLINE vec select(ivec mask, float yes, vec no) { return mask ? all(yes) : no; }
SIMD_INLINE vec select(ivec mask, vec yes, float no) { return mask ? yes : all(no); }
SIMD_INLINE vec select(ivec mask, float yes, float no) { return mask ? all(yes) : all(no); }
SIMD_INLINE ivec select(ivec mask, ivec yes, ivec no) { return mask ? yes : no; }
SIMD_INLINE lvec select(ivec mask, lvec yes, lvec no) { return __builtin_convertvector(mask, lvec) ? yes : no; }

// `x` in the lanes that count, `otherwise` in the rest.
SIMD_INLINE vec fill(vec x, float, Full) { return x; }
SIMD_INLINE vec fill(vec x, float otherwise, Part lanes)
{
    return ascending() < lanes.count ? x : all(otherwise);
}

// NaN wins, as in torch.maximum and torch.minimum.
SIMD_INLINE float max(float a, float b) { return a > b || a != a ? a : b; }
SIMD_INLINE float min(float a, float b) { return a < b || a != a ? a : b; }
SIMD_INLINE vec max(vec a, vec b)
{
    const vec larger = a > b ? a : b;
    return a != a ? a : larger;
}
SIMD_INLINE vec min(vec a, vec b)
{
    const vec smaller = a < b ? a : b;
    return a != a ? a : smaller;
}
SIMD_INLINE vec max(vec a, float b) { return b == b ? (a < b ? all(b) : a) : all(b); }
SIMD_INLINE vec min(vec a, float b) { return b == b ? (a > b ? all(b) : a) : all(b); }
SIMD_INLINE vec relu(vec x) { return x < 0.0f ? vec{} : x; }
SIMD_INLINE float relu(float x) { return x < 0.0f ? 0.0f : x; }
SIMD_INLINE vec max(float a, vec b) { return max(b, a); }
SIMD_INLINE vec min(float a, vec b) { return min(b, a); }

// ---- over the lanes of one vector

// Lane `l` of the result is lane `which[l]` of a, or of b where which[l] >= width.
SIMD_INLINE vec pick(vec a, vec b, ivec which)
{
#ifdef __clang__
    return lanewise([&](int lane) { return which[lane] < width ? a[which[lane]] : b[which[lane] - width]; });
#else
    return __builtin_shuffle(a, b, which);
#endif
}

// Halves are joined until one lane is left.
template <class Join>
SIMD_INLINE float join(vec x, Join both)
{
    const ivec lane = ascending();
#pragma GCC unroll 4
    for (int half = width / 2; half > 0; half /= 2)
        x = both(x, pick(x, x, lane ^ half));
    return x[0];
}
SIMD_INLINE float sum(vec x)
{
    return join(x, [](vec a, vec b) { return a + b; });
}

// ---- reductions of a row: `take` vectors in turns of four slots, then `result`

template <class Both>
struct Reduction {
    static constexpr int slots = 4;
    vec part[slots];
    SIMD_INLINE Reduction()
    {
        for (int slot = 0; slot < slots; ++slot)
            part[slot] = all(Both::start());
    }
    template <class Lanes>
    SIMD_INLINE void take(vec x, int slot, Lanes lanes)
    {
        part[slot] = Both::join(part[slot], fill(x, Both::start(), lanes));
    }
    SIMD_INLINE float result() const
    {
        const vec one = Both::join(Both::join(part[0], part[1]), Both::join(part[2], part[3]));
        return join(one, [](vec a, vec b) { return Both::join(a, b); });
    }
};

struct Adding {
    static constexpr float start() { return 0.0f; }
    template <class T>
    static SIMD_INLINE T join(T a, T b) { return a + b; }
};
struct Multiplying {
    static constexpr float start() { return 1.0f; }
    template <class T>
    static SIMD_INLINE T join(T a, T b) { return a * b; }
};
struct TakingLargest {
    static constexpr float start() { return -infinity; }
    template <class T>
    static SIMD_INLINE T join(T a, T b) { return max(a, b); }
};
struct TakingSmallest {
    static constexpr float start() { return infinity; }
    template <class T>
    static SIMD_INLINE T join(T a, T b) { return min(a, b); }
};

typedef Reduction<Adding> Sum;
typedef Reduction<Multiplying> Product;
typedef Reduction<TakingLargest> Largest;
typedef Reduction<TakingSmallest> Smallest;

// The results of several parts of a row, as one.
template <class Whole>
SIMD_INLINE float combined(const float* results, long count)
{
    Whole whole;
    each<4>(0, count, [&](long i, int slot, auto lanes) { whole.take(load(results + i, lanes), slot, lanes); });
    return whole.result();
}

// ---- exactly rounded

SIMD_INLINE vec abs(vec x) { return (vec)((ivec)x & 0x7fffffff); }
SIMD_INLINE float abs(float x) { return __builtin_fabsf(x); }
SIMD_INLINE ivec isnan(vec x) { return x != x; }
SIMD_INLINE bool isnan(float x) { return x != x; }
SIMD_INLINE vec with_sign(vec magnitude, vec sign)
{
    return (vec)(((ivec)magnitude & 0x7fffffff) | ((ivec)sign & int(0x80000000)));
}
SIMD_INLINE vec sqrt(vec x)
{
#if defined(__clang__)
    return __builtin_elementwise_sqrt(x);
#elif SIMD_BYTES == 64
    return (vec)__builtin_ia32_sqrtps512_mask(x, vec{}, -1, 4);
#elif SIMD_BYTES == 32
    return (vec)__builtin_ia32_sqrtps256(x);
#else
    return lanewise([&](int lane) { return __builtin_sqrtf(x[lane]); });
#endif
}
SIMD_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
SIMD_INLINE vec rsqrt(vec x) { return 1.0f / sqrt(x); }  // 1.5 ulp
SIMD_INLINE float rsqrt(float x) { return 1.0f / sqrt(x); }

// x * 2^n for whole n.
SIMD_INLINE vec scale(vec x, vec n)
{
#if SIMD_BYTES == 64
    return (vec)__builtin_ia32_scalefps512_mask(x, n, vec{}, -1, 4);
#else
    const ivec whole = __builtin_convertvector(n, ivec), half = whole >> 1;
    return x * (vec)((half + 127) << 23) * (vec)((whole - half + 127) << 23);
#endif
}

// The nearest whole number, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
SIMD_INLINE vec whole(vec x)
{
    const vec shifted = x + 12582912.0f;
    return shifted - 12582912.0f;
}

// ---- exponentials and logarithms

constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f, log2_e = 1.44269504f;

// e^r - 1 for |r| <= ln(2)/2
SIMD_INLINE vec expm1_reduced(vec r)
{
    vec p = 1.97900619e-4f * r + 1.39449432e-3f;
    p = p * r + 8.33349861e-3f;
    p = p * r + 4.16662917e-2f;
    p = p * r + 0.166666657f;
    p = p * r + 0.5f;
    return p * (r * r) + r;
}

// e^x for |x| <= 104.
SIMD_INLINE vec exp_bounded(vec x)
{
    const vec n = whole(x * log2_e);
    const vec r = x - n * ln2_high - n * ln2_low;
    return scale(expm1_reduced(r) + 1.0f, n);
}

SIMD_INLINE vec exp(vec x)  // 1 ulp
{
    x = x < -104.0f ? all(-104.0f) : x;
    x = x > 89.0f ? all(89.0f) : x;
    return exp_bounded(x);
}

SIMD_INLINE vec expm1(vec x)  // 2 ulp
{
    vec inside = x < -20.0f ? all(-20.0f) : x;
    inside = inside > 89.0f ? all(89.0f) : inside;
    const vec n = whole(inside * log2_e);
    const vec r = inside - n * ln2_high - n * ln2_low;
    const vec one = (vec)((127 - __builtin_convertvector(n, ivec)) << 23);  // 2^-n
    const vec result = scale(expm1_reduced(r) + (1.0f - (n > 126.0f ? vec{} : one)), n);
    return x == 0.0f ? x : result;
}

SIMD_INLINE vec log(vec x)  // 1 ulp
{
    const ivec tiny = x < 1.17549435e-38f;
    const ivec bits = (ivec)(tiny ? x * 8388608.0f : x);
    const ivec exponent = (bits - 0x3f3504f3) >> 23;  // mantissa from sqrt(1/2) to sqrt(2)
    const vec f = (vec)(bits - (exponent << 23)) - 1.0f;
    const vec n = __builtin_convertvector(exponent, vec) - (tiny ? all(23.0f) : vec{});
    vec p = 6.74663857e-2f * f - 0.116756514f;
    p = p * f + 0.118881628f;
    p = p * f - 0.124055892f;
    p = p * f + 0.142195523f;
    p = p * f - 0.166679963f;
    p = p * f + 0.200021192f;
    p = p * f - 0.250000089f;
    p = p * f + 0.333333135f;
    const vec square = f * f;
    const vec low = p * (square * f) + n * ln2_low - 0.5f * square;
    const vec result = n * ln2_high + (f + low);
    const vec edge = x == 0.0f ? all(-infinity) : (x > 0.0f ? x : all(nan));
    return ((x > 0.0f) & (x < infinity)) ? result : edge;
}

SIMD_INLINE vec log1p(vec x)  // 2 ulp
{
    const vec u = 1.0f + x;
    const vec main = log(u);
    const vec result = main + (x - (u - 1.0f)) / u;
    return ((u > 0.0f) & (u < infinity)) ? (u == 1.0f ? x : result) : main;
}

SIMD_INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exp(-x)); }  // 3 ulp above 1e-37

SIMD_INLINE vec tanh(vec x)  // 3 ulp
{
    const vec size = abs(x);
    const vec twice = expm1(2.0f * (size > 10.0f ? all(10.0f) : size));
    const vec result = twice / (twice + 2.0f);
    return with_sign(result, x);
}

SIMD_INLINE vec erf(vec x)  // 2 ulp
{
    const vec size = abs(x), square = x * x;
    vec near = 8.31681682e-5f * square - 8.13002465e-4f;
    near = near * square + 5.19990781e-3f;
    near = near * square - 2.68589426e-2f;
    near = near * square + 0.112836875f;
    near = near * square - 0.376126319f;
    near = near * square + 0.128379166f;
    near = near * x + x;
    const vec t = size > 4.05f ? all(4.05f) : size;
    vec far = 1.12312755e-5f * t - 3.22803564e-4f;
    far = far * t + 3.642458e-3f;
    far = far * t - 2.37620603e-2f;
    far = far * t + 0.106236875f;
    far = far * t + 0.635151327f;
    far = far * t + 0.12864849f;
    far = with_sign(1.0f - exp_bounded(-(far * t + t)), x);
    return size > 0.92f ? far : near;
}

// ---- angles

// sin(x + quarters * pi / 2) for |x| <= 8192: pi / 2 is taken off in four parts (Cody and Waite), of which n times the
// first three are exact.
SIMD_INLINE vec sin_bounded(vec x, int quarters)
{
    const vec n = whole(x * 0.636619772f);
    const vec r = (((x - n * 1.5703125f) - n * 4.83751297e-4f) - n * 7.54953362e-8f) - n * 2.56334407e-12f;
    const vec square = r * r;
    vec sine = 2.71808403e-6f * square - 1.98393085e-4f;
    sine = sine * square + 8.33332911e-3f;
    sine = sine * square - 0.166666672f;
    sine = r == 0.0f ? r : sine * (square * r) + r;
    vec cosine = -2.72053995e-7f * square + 2.47994558e-5f;
    cosine = cosine * square - 1.38888834e-3f;
    cosine = cosine * square + 4.16666679e-2f;
    cosine = cosine * (square * square) + (1.0f - 0.5f * square);
    const ivec quarter = __builtin_convertvector(n, ivec) + quarters;
    const vec result = (quarter & 1) != 0 ? cosine : sine;
    return (vec)((ivec)result ^ ((quarter & 2) << 30));
}

// Larger angles go to the C library, lane by lane.
#define SIMD_ANGLE(name, function, quarters)                                                              \
    SIMD_INLINE vec name(vec x)                                                                           \
    {                                                                                                     \
        if (join(abs(x), [](vec a, vec b) { return max(a, b); }) <= 8192.0f)                              \
            return sin_bounded(x, quarters);                                                              \
        return lanewise([&](int lane) { return function(x[lane]); });                                     \
    }
SIMD_ANGLE(sin, __builtin_sinf, 0)  // 2 ulp
SIMD_ANGLE(cos, __builtin_cosf, 1)  // 3 ulp
#undef SIMD_ANGLE

// ---- from the C library, lane by lane: right, and slow

#define SIMD_LANEWISE(name, function)                                        \
    SIMD_INLINE float name(float x) { return function(x); }                  \
    SIMD_INLINE vec name(vec x)                                              \
    {                                                                        \
        return lanewise([&](int lane) { return function(x[lane]); });        \
    }
SIMD_LANEWISE(tan, __builtin_tanf)
SIMD_LANEWISE(asin, __builtin_asinf)
SIMD_LANEWISE(acos, __builtin_acosf)
SIMD_LANEWISE(atan, __builtin_atanf)
SIMD_LANEWISE(sinh, __builtin_sinhf)
SIMD_LANEWISE(cosh, __builtin_coshf)
SIMD_LANEWISE(exp2, __builtin_exp2f)
SIMD_LANEWISE(log2, __builtin_log2f)
SIMD_LANEWISE(log10, __builtin_log10f)
SIMD_LANEWISE(floor, __builtin_floorf)
SIMD_LANEWISE(ceil, __builtin_ceilf)
SIMD_LANEWISE(trunc, __builtin_truncf)
SIMD_LANEWISE(round, __builtin_rintf)
#undef SIMD_LANEWISE

SIMD_INLINE float pow(float x, float y) { return __builtin_powf(x, y); }
SIMD_INLINE vec pow(vec x, vec y)
{
    return lanewise([&](int lane) { return __builtin_powf(x[lane], y[lane]); });
}
SIMD_INLINE vec pow(vec x, float y) { return pow(x, all(y)); }
SIMD_INLINE vec pow(float x, vec y) { return pow(all(x), y); }

// ---- the same functions of one number

#define SIMD_SCALAR(name) \
    inline float name(float x) { return name(all(x))[0]; }
SIMD_SCALAR(exp)
SIMD_SCALAR(expm1)
SIMD_SCALAR(log)
SIMD_SCALAR(log1p)
SIMD_SCALAR(sigmoid)
SIMD_SCALAR(tanh)
SIMD_SCALAR(erf)
SIMD_SCALAR(sin)
SIMD_SCALAR(cos)
#undef SIMD_SCALAR

}  // namespace simd

using namespace simd;
