// An arena: allocations that die together.
//
// Memory comes in blocks that double in size; hw_arena_reset() keeps the largest one. Pointers stay
// valid until reset or deinit. Not thread-safe: one arena belongs to one thread at a time.
//
//	struct hw_arena arena;
//	hw_arena_init(&arena, 0);
//	struct node *node = hw_arena_zalloc(&arena, sizeof(*node));   // NULL when out of memory
//	hw_arena_deinit(&arena);                                      // frees everything
#ifndef HEAPWHY_ARENA_H
#define HEAPWHY_ARENA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hw_arena_block;

struct hw_arena {
	struct hw_arena_block *blocks; // newest first
	char *next, *end;              // the free part of the newest block
	size_t block_bytes;            // size of the next block
	size_t used_bytes;             // handed out since init or reset, padding included
	size_t held_bytes;             // taken from malloc
};

// `block_bytes` is the first block's size; 0 means 64 KiB. Takes no memory yet. O(1).
void hw_arena_init(struct hw_arena *arena, size_t block_bytes);

// Frees every block. O(blocks).
void hw_arena_deinit(struct hw_arena *arena);

// `bytes` bytes aligned to 16, or NULL when out of memory. Amortised O(1). zalloc clears them.
void *hw_arena_alloc(struct hw_arena *arena, size_t bytes);
void *hw_arena_zalloc(struct hw_arena *arena, size_t bytes);

// `count` elements of `size` bytes, cleared; NULL when out of memory or when the product overflows.
void *hw_arena_calloc(struct hw_arena *arena, size_t count, size_t size);

// A NUL-terminated copy of the first `length` bytes of `string`.
char *hw_arena_strndup(struct hw_arena *arena, const char *string, size_t length);

// Forgets all allocations and keeps the largest block. O(blocks).
void hw_arena_reset(struct hw_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
