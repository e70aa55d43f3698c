// GC programs: how Go up to 1.23 described the pointer words of types whose bitmap would be longer
// than 2 KiB.
#ifndef GORUNTIME_GC_PROGRAM_H
#define GORUNTIME_GC_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

// Runs the program in program[0 .. size), which writes one bit a word to `mask`, `words` of them;
// mask has room for that many, in whole bytes. False when the program is damaged; the bits that it
// did not write are then 0.
bool gc_program_run(const uint8_t *program, uint64_t size, uint8_t *mask, uint64_t words);

#endif
