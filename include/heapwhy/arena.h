// An arena: allocations that die together.
//
// Memory comes in blocks that double in size; hw_arena_reset() keeps the largest one. Or an arena lies in memory of the
// caller's, and never takes any. Pointers stay valid until reset, deinit, or hw_arena_release() of an earlier mark. Not
// thread-safe: one arena belongs to one thread at a time. In debug mode (heapwhy/debug.h) what was released is
// overwritten, and forbidden to touch; fixed arenas are left out.
//
//	struct hw_arena arena;
//	hw_arena_init(&arena, 0);
//	struct node *node = hw_arena_zalloc(&arena, sizeof(*node));   // NULL when out of memory
//	struct hw_arena_mark mark = hw_arena_mark(&arena);
//	...                                                           // allocations that are needed for a while
//	hw_arena_release(&arena, mark);                               // are gone; the node is still there
//	hw_arena_deinit(&arena);                                      // frees everything
#ifndef HEAPWHY_ARENA_H
#define HEAPWHY_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HW_ARENA_ALIGNMENT = 16 };

struct hw_arena_block;

struct hw_arena {
	struct hw_registration registration;
	struct hw_arena_block *blocks; // newest first
	char *next, *end;              // the free part of the newest block
	size_t block_bytes;            // size of the next block
	size_t used_bytes;             // handed out since init or reset, padding included
	size_t held_bytes; // taken from the allocator, or given by hw_arena_init_fixed()
	bool fixed, debug;
	struct hw_allocator *allocator;
};

// `block_bytes` is the first block's size; 0 means 64 KiB. Takes no memory yet. O(1).
void hw_arena_init(struct hw_arena *arena, size_t block_bytes);

// The same, registered, and with an allocator (NULL: hw_heap). Such an arena must stay at its address.
void hw_arena_init_with(struct hw_arena *arena, size_t block_bytes, struct hw_allocator *allocator);

// An arena in `bytes` bytes at `memory`, which stay the caller's: when they are used up, allocations return NULL.
void hw_arena_init_fixed(struct hw_arena *arena, void *memory, size_t bytes);

// Frees every block. O(blocks).
void hw_arena_deinit(struct hw_arena *arena);

void *hw_arena_alloc_(struct hw_arena *arena, size_t bytes);

// `bytes` bytes (not 0) aligned to HW_ARENA_ALIGNMENT, or NULL when out of memory. Amortised O(1). zalloc clears them.
static inline void *hw_arena_alloc(struct hw_arena *arena, size_t bytes)
{
	size_t rounded = (bytes + HW_ARENA_ALIGNMENT - 1) & ~(size_t)(HW_ARENA_ALIGNMENT - 1);
	size_t room = (size_t)((uintptr_t)arena->end - (uintptr_t)arena->next);

	if (__builtin_expect(rounded < bytes || rounded > room || arena->debug, 0))
		return hw_arena_alloc_(arena, bytes);
	void *pointer = arena->next;
	arena->next += rounded;
	arena->used_bytes += rounded;
	return pointer;
}

void *hw_arena_zalloc(struct hw_arena *arena, size_t bytes);

// `count` elements of `size` bytes, cleared; NULL when out of memory or when the product overflows.
void *hw_arena_calloc(struct hw_arena *arena, size_t count, size_t size);

// A NUL-terminated copy of the first `length` bytes of `string`; NULL when out of memory.
char *hw_arena_strndup(struct hw_arena *arena, const char *string, size_t length);

// A point to go back to: release frees all that was allocated since. Marks nest; releasing one ends those set after it.
// O(blocks freed).
struct hw_arena_mark {
	struct hw_arena_block *block;
	char *next;
	size_t used_bytes;
};

static inline struct hw_arena_mark hw_arena_mark(const struct hw_arena *arena)
{
	struct hw_arena_mark mark = {arena->blocks, arena->next, arena->used_bytes};

	return mark;
}

void hw_arena_release(struct hw_arena *arena, struct hw_arena_mark mark);

// Forgets all allocations and keeps the largest block. O(blocks).
void hw_arena_reset(struct hw_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
