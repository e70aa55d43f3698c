// Strings from a target, made safe to print and kept in an arena.
#ifndef OUTPUT_CLEAN_H
#define OUTPUT_CLEAN_H

#include "heapwhy/arena.h"

// NULL when out of memory.
const char *clean_string(struct hw_arena *arena, const char *untrusted);

#endif
