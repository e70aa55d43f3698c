// Where containers get their memory from.
//
// Every container that takes memory is told an allocator when it is made; NULL means hw_heap. An allocator is a table
// of functions that gets itself as its first argument, so one with a state embeds the table (hw_budget does):
//
//	struct hw_budget budget;
//	hw_budget_init(&budget, NULL, 64 << 20);
//	hw_pool_init(&pool, sizeof(struct node), &budget.allocator);
//
// Containers say how much they give back, so an allocator needs no headers. An allocator that several containers of
// different threads use must be thread-safe; hw_heap and budgets are.
#ifndef HEAPWHY_ALLOCATOR_H
#define HEAPWHY_ALLOCATOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hw_allocator {
	// `bytes` (not 0) at a multiple of `alignment`, a power of two; NULL when they cannot be had. Not cleared.
	void *(*alloc)(struct hw_allocator *self, size_t bytes, size_t alignment);

	// Takes back what alloc or resize gave; both numbers are those of the request.
	void (*free)(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment);

	// Makes a block larger or smaller, moving it if need be. NULL: refused, the block is as it was. May be NULL
	// itself: then hw_resize() copies.
	void *(*resize)(struct hw_allocator *self, void *memory, size_t old_bytes, size_t bytes,
		size_t alignment);
};

// malloc. From 4 MiB on, and where whole pages must be aligned, the kernel: such blocks are returned to it at once,
// and those from 4 MiB on lie on huge pages where the kernel allows it. These are zero, and so is, behind the old block's
// last page, what makes one of them larger.
extern struct hw_allocator hw_heap;

// The same on any allocator; NULL is hw_heap, and hw_free() of NULL memory does nothing.
void *hw_alloc(struct hw_allocator *allocator, size_t bytes, size_t alignment);
void hw_free(struct hw_allocator *allocator, void *memory, size_t bytes, size_t alignment);
void *hw_resize(struct hw_allocator *allocator, void *memory, size_t old_bytes, size_t bytes,
	size_t alignment);

#ifdef __cplusplus
}
#endif

#endif
