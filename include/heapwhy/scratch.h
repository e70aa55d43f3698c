// Scratch memory: a buffer for a moment, without malloc, from an arena that each thread has.
//
//	struct hw_scratch scratch = hw_scratch_begin();
//	char *line = hw_scratch_alloc(&scratch, length);    // aligned to 16; NULL when out of memory
//	...
//	hw_scratch_end(&scratch);                           // all that was allocated since begin is gone
//
// Pairs nest, as calls do: a function may use scratch memory and call another one that does. What was handed out must
// not be kept, nor given to another thread. When the outermost pair ends, at most HW_SCRATCH_KEPT bytes stay with the
// thread; they go with it. All calls are O(1), except for an end that frees blocks.
#ifndef HEAPWHY_SCRATCH_H
#define HEAPWHY_SCRATCH_H

#include <stddef.h>

#include "heapwhy/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HW_SCRATCH_KEPT = 256 << 10 };

struct hw_scratch {
	struct hw_arena *arena; // the thread's; NULL when there was no memory for it
	struct hw_arena_mark mark;
};

struct hw_scratch hw_scratch_begin(void);
void hw_scratch_end(struct hw_scratch *scratch);

static inline void *hw_scratch_alloc(struct hw_scratch *scratch, size_t bytes)
{
	return scratch->arena ? hw_arena_alloc(scratch->arena, bytes) : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
