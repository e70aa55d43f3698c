// An allocator that counts: allocations, all bytes that were ever taken, what is held, and the most that was.
#ifndef BENCH_CONTAINERS_ACCOUNT_H
#define BENCH_CONTAINERS_ACCOUNT_H

#include <stdint.h>
#include <stdlib.h>

#include "heapwhy/allocator.h"

struct account {
	struct hw_allocator allocator;
	uint64_t allocations, allocated, held, peak;
};

static struct account account;

static inline void account_add(size_t bytes)
{
	account.allocations++;
	account.allocated += bytes;
	account.held += bytes;
	if (account.held > account.peak)
		account.peak = account.held;
}

// For those who would use malloc and free.
static inline void *account_take(size_t bytes)
{
	account_add(bytes);
	return malloc(bytes);
}

static inline void account_give(void *memory, size_t bytes)
{
	account.held -= bytes;
	free(memory);
}

static void *account_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	account_add(bytes);
	return hw_alloc(&hw_heap, bytes, alignment);
}

static void account_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	account.held -= bytes;
	hw_free(&hw_heap, memory, bytes, alignment);
}

static inline void account_start(void)
{
	account = (struct account){.allocator = {account_alloc, account_free, NULL}};
}

#endif
