// A ring of 64-bit items that many threads push to and many pop from.
//
//	struct hw_mpmc_ring *ring = hw_mpmc_ring_create(1000, NULL);
//	if (!hw_mpmc_ring_push(ring, (uintptr_t)job))
//		...                                             // full
//	uint64_t item;
//	if (hw_mpmc_ring_pop(ring, &item))
//		run((struct job *)(uintptr_t)item);
//
// Items are pointers or numbers, all values allowed; what a pointer points to passes over with it. Exactly the given
// capacity. First in, first out, linearizable: full means full and empty means empty. O(1), no lock and no allocation
// after create; but a thread that is suspended in the middle of a push or pop makes those wait (and yield) who need
// just its place. 16 bytes an item.
#ifndef HEAPWHY_MPMC_RING_H
#define HEAPWHY_MPMC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_mpmc_ring;

// NULL when out of memory, or when `capacity` is less than 2. The ring is registered:
// hw_registration_name((struct hw_registration *)ring, "jobs").
struct hw_mpmc_ring *hw_mpmc_ring_create(size_t capacity, struct hw_allocator *allocator);

// No thread may be using it. Accepts NULL.
void hw_mpmc_ring_destroy(struct hw_mpmc_ring *ring);

// False when full; pop: false when empty, `item` is then untouched.
bool hw_mpmc_ring_push(struct hw_mpmc_ring *ring, uint64_t item);
bool hw_mpmc_ring_pop(struct hw_mpmc_ring *ring, uint64_t *item);

// How many there were at some moment; exact when nobody is at work.
size_t hw_mpmc_ring_count(const struct hw_mpmc_ring *ring);

#ifdef __cplusplus
}
#endif

#endif
