// What the tests of libheapwhy's containers share: chance that repeats itself, and memory that runs out.
#ifndef TESTS_CONTAINERS_TEST_H
#define TESTS_CONTAINERS_TEST_H

#include "test.h"

#include "heapwhy/allocator.h"
#include "heapwhy/debug.h"

// xorshift64*: the same sequence on every run.
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

// Counts what is out, and refuses the allocation when `left` has come down to 0.
struct failing_allocator {
	struct hw_allocator allocator;
	uint64_t left; // allocations that still succeed; UINT64_MAX: all
	size_t blocks, bytes;
};

static inline void *failing_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	struct failing_allocator *failing = (struct failing_allocator *)self;

	if (!failing->left)
		return NULL;
	if (failing->left != UINT64_MAX)
		failing->left--;
	void *memory = hw_alloc(&hw_heap, bytes, alignment);
	assert_non_null(memory);
	assert_int_equal((uintptr_t)memory % alignment, 0);
	failing->blocks++;
	failing->bytes += bytes;
	return memory;
}

static inline void failing_free(
	struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	struct failing_allocator *failing = (struct failing_allocator *)self;

	hw_free(&hw_heap, memory, bytes, alignment);
	failing->blocks--;
	failing->bytes -= bytes;
}

static inline struct failing_allocator failing_allocator(uint64_t left)
{
	return (struct failing_allocator){{failing_alloc, failing_free, NULL}, left, 0, 0};
}

// A handler that keeps the last violation.
static struct hw_violation last_violation;
static int violation_count;

static inline void keep_violation(const struct hw_violation *violation)
{
	last_violation = *violation;
	violation_count++;
}

#endif
