/* The least that runs tiny: everything is static, nothing is allocated. */
#include "tiny.h"
#include <stdio.h>

static union {
    uint64_t align;
    uint8_t bytes[TINY_ARENA_BYTES];
} arena;
static tiny_input_t input[TINY_INPUT_COUNT];
static tiny_output_t output[TINY_OUTPUT_COUNT];

int main(void)
{
    /* Fill the inputs here; they are 0 now. */
    const int error = tiny_run(arena.bytes, input, output);
    if (error != TINY_OK) {
        printf("tiny_run returned %d\n", error);
        return 1;
    }
    printf("first output: %g\n", (double)output[0]);
    return 0;
}
