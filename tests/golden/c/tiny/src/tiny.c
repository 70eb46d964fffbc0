/* tiny: the run function, one kernel call per layer. */
#include "tiny.h"
#include "tiny_kernels.h"
#include "tiny_weights.h"

#ifdef TINY_TRACE
#define TRACE(function, layer, values) function(layer, values)
#else
#define TRACE(function, layer, values)
#endif

int tiny_run(void *arena, const tiny_input_t *input, tiny_output_t *output)
{
    if (arena == NULL || input == NULL || output == NULL) {
        return TINY_ERROR_NULL;
    }
    if (((uintptr_t)arena & (TINY_ARENA_ALIGN - 1u)) != 0u) {
        return TINY_ERROR_ALIGN;
    }
    uint8_t *const base = (uint8_t *)arena;
    uint32_t *const linear = (uint32_t *)(void *)(base + 0); /* 8 bytes: bipolar(1,37) */
    int8_t *const linear_2 = (int8_t *)(void *)(base + 8); /* 3 bytes: int[-37,37](1,3) */
    TRACE(trace_values, "input", input);

    /* linear, from linear: int8_t activations by int8_t weights. */
    linear_int8_t_int8_t_6x37(input, tiny_linear_weights, tiny_linear_limit, linear);
    TRACE(trace_values_2, "linear", linear);

    /* linear_2, from linear: bipolar activations by bipolar weights, counting ones. */
    linear_bipolar1_bipolar_37x3(linear, tiny_linear_2_weights, linear_2);
    TRACE(trace_values_3, "linear_2", linear_2);

    /* classify, from classify: argmax. */
    argmax_3(linear_2, output);
    TRACE(trace_values_4, "classify", output);
    return TINY_OK;
}
