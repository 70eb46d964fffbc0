/* Runs 4 golden samples through tiny; prints PASS or FAIL, returns 0 or 1. */
#include "tiny.h"
#include <stdio.h>
#include <string.h>

#define SAMPLES 4u

static union {
    uint64_t align;
    uint8_t bytes[TINY_ARENA_BYTES];
} arena;
static tiny_input_t input[TINY_INPUT_COUNT];
static tiny_output_t output[TINY_OUTPUT_COUNT];
static const tiny_input_t GOLDEN_0[SAMPLES * TINY_INPUT_COUNT] = {
    -128, -128, -128, -128, -128, -128, 127, 127, 127, 127, 127, 127, 105, -127, -1, 82, -95, 76,
    -98, -9, 81, -51, -41, -57,
};

static const tiny_output_t GOLDEN_1[SAMPLES * TINY_OUTPUT_COUNT] = {
    1u, 2u, 0u, 2u,
};

int main(void)
{
    unsigned wrong = 0;
    for (size_t s = 0; s < SAMPLES; s++) {
        memcpy(input, GOLDEN_0 + s * TINY_INPUT_COUNT, sizeof input);
        if (tiny_run(arena.bytes, input, output) != TINY_OK) {
            wrong++;
            continue;
        }
        wrong += memcmp(output, GOLDEN_1 + s * TINY_OUTPUT_COUNT, sizeof output) != 0 ? 1u : 0u;
    }
    wrong += tiny_run(NULL, input, output) != TINY_ERROR_NULL ? 1u : 0u;
    printf("%s: %u samples, %u wrong\n", wrong == 0u ? "PASS" : "FAIL", SAMPLES, wrong);
    return wrong == 0u ? 0 : 1;
}
