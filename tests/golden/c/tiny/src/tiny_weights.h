/* Tables of tiny: 394 bytes. Internal: include tiny.h instead. */

#ifndef TINY_WEIGHTS_H
#define TINY_WEIGHTS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const int8_t tiny_linear_weights[222];
extern const int32_t tiny_linear_limit[37];
extern const uint32_t tiny_linear_2_weights[6];

#ifdef __cplusplus
}
#endif
#endif
