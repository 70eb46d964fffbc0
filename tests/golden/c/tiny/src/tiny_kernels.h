/* Kernels of tiny, specialised for its shapes. Internal: include tiny.h instead. */

#ifndef TINY_KERNELS_H
#define TINY_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* The kernels shift negative numbers right and rely on copies of the sign coming in. */
typedef char tiny_needs_arithmetic_shift[((-1) >> 1) == -1 ? 1 : -1];

/* Ones of each nibble. */
static inline uint32_t nibbles(uint32_t x)
{
    x -= (x >> 1) & 0x55555555u;
    return (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
}

/* Sum of the two nibbles of each byte. */
static inline uint32_t octets(uint32_t x)
{
    return (x & 0x0f0f0f0fu) + ((x >> 4) & 0x0f0f0f0fu);
}

/* Sum of the four bytes, known to be below 256. */
static inline uint32_t sum_octets_small(uint32_t x)
{
    return (x * 0x01010101u) >> 24;
}

/* Weighted sums of 6 inputs, 4 rows at a time. */
static inline void rows4_6(const int8_t *x, const int8_t *w, int32_t *sums)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    for (size_t i = 0; i < 6u; i++) {
        const int32_t value = (int32_t)x[i];
        sum0 += value * (int32_t)w[0];
        sum1 += value * (int32_t)w[1];
        sum2 += value * (int32_t)w[2];
        sum3 += value * (int32_t)w[3];
        w += 4;
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* Weighted sums of 6 inputs, 1 row at a time. */
static inline int32_t rows1_6(const int8_t *x, const int8_t *w)
{
    int32_t sum0 = 0;
    for (size_t i = 0; i < 6u; i++) {
        const int32_t value = (int32_t)x[i];
        sum0 += value * (int32_t)w[0];
        w += 1;
    }
    return sum0;
}

/* 6 inputs, 37 outputs: int8_t activations by int8_t weights. */
static inline void linear_int8_t_int8_t_6x37(
    const int8_t *x, const int8_t *w, const int32_t *limit, uint32_t *y)
{
    const int8_t *row = w;
    for (size_t base = 0; base < 37u; base += 32u) {
        const size_t n = 37u - base < 32u ? 37u - base : 32u;
        size_t j = 0;
        uint32_t bits0 = 0u;
        for (; j + 4u <= n; j += 4u) {
            int32_t dots[4];
            rows4_6(x, row, dots);
            row += 24u;
            for (size_t k = 0; k < 4u; k++) {
                const size_t o = base + j + k;
                const int32_t dot = dots[k];
                const int32_t acc = (int32_t)dot;
                const int32_t v = acc >= limit[o] ? 1 : (-1);
                bits0 = (bits0 >> 1) | ((uint32_t)(v > 0) << 31u);
            }
        }
        for (; j < n; j++) {
            const size_t o = base + j;
            const int32_t dot = rows1_6(x, row);
            row += 6u;
            const int32_t acc = (int32_t)dot;
            const int32_t v = acc >= limit[o] ? 1 : (-1);
            bits0 = (bits0 >> 1) | ((uint32_t)(v > 0) << 31u);
        }
        y[base / 32u] = (uint32_t)(bits0 >> (32u - n));
    }
}

/* Ones in 2 words: x[i] ^ w[i]. */
static inline uint32_t count_bipolar1_bipolar_2(const uint32_t *x, const uint32_t *w)
{
    const uint32_t x0 = x[0] ^ w[0];
    const uint32_t x1 = x[1] ^ w[1];
    return sum_octets_small(octets(nibbles(x0) + nibbles(x1)));
}

/* 37 inputs, 3 outputs: bipolar activations by bipolar weights, counting ones. */
static inline void linear_bipolar1_bipolar_37x3(const uint32_t *x, const uint32_t *w, int8_t *y)
{
    const uint32_t *row = w;
    size_t j = 0;
    for (; j < 3u; j++) {
        const size_t o = j;
        const uint32_t dot = count_bipolar1_bipolar_2(x, row);
        row += 2u;
        const int32_t acc = 37 - 2 * (int32_t)dot;
        const int32_t v = (int32_t)acc;
        y[o] = (int8_t)v;
    }
}

/* Index of the greatest of 3, the lowest of equals. */
static inline void argmax_3(const int8_t *x, uint8_t *y)
{
    size_t best = 0;
    const int32_t first = (int32_t)x[0u];
    int32_t most = first;
    for (size_t i = 1; i < 3u; i++) {
        const int32_t value = (int32_t)x[0u + i];
        if (value > most) {
            most = value;
            best = i;
        }
    }
    y[0] = (uint8_t)best;
}

#ifdef TINY_TRACE
/* CRC-32 as in zlib, over the four little-endian bytes of each element. */
static inline uint32_t trace_crc(uint32_t crc, int32_t value)
{
    const uint32_t bits = (uint32_t)value;
    for (unsigned shift = 0; shift < 32u; shift += 8u) {
        crc ^= (bits >> shift) & 0xffu;
        for (unsigned bit = 0; bit < 8u; bit++) {
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
        }
    }
    return crc;
}

static inline void trace_values(const char *layer, const int8_t *x)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < 6u; i++) {
        const int32_t value = (int32_t)x[i];
        const int32_t v = (int32_t)value;
        crc = trace_crc(crc, v);
#if TINY_TRACE > 1
        tiny_trace_value(layer, (uint32_t)i, v);
#endif
    }
    tiny_trace(layer, ~crc);
}

static inline void trace_values_2(const char *layer, const uint32_t *x)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < 37u; i++) {
        const size_t value_at = i;
        const uint32_t *const value_word = x + (value_at >> 5);
        const unsigned value_bit = (unsigned)(value_at & 31u);
        const int32_t value = ((*value_word >> value_bit) & 1u) != 0u ? 1 : -1;
        const int32_t v = (int32_t)value;
        crc = trace_crc(crc, v);
#if TINY_TRACE > 1
        tiny_trace_value(layer, (uint32_t)i, v);
#endif
    }
    tiny_trace(layer, ~crc);
}

static inline void trace_values_3(const char *layer, const int8_t *x)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < 3u; i++) {
        const int32_t value = (int32_t)x[i];
        const int32_t v = (int32_t)value;
        crc = trace_crc(crc, v);
#if TINY_TRACE > 1
        tiny_trace_value(layer, (uint32_t)i, v);
#endif
    }
    tiny_trace(layer, ~crc);
}

static inline void trace_values_4(const char *layer, const uint8_t *x)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < 1u; i++) {
        const int32_t value = (int32_t)x[i];
        const int32_t v = (int32_t)value;
        crc = trace_crc(crc, v);
#if TINY_TRACE > 1
        tiny_trace_value(layer, (uint32_t)i, v);
#endif
    }
    tiny_trace(layer, ~crc);
}
#endif
#endif
