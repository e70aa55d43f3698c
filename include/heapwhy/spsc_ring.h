// A ring of 64-bit items from one thread to another: one pushes, one pops, neither ever waits.
//
//	struct hw_spsc_ring *ring = hw_spsc_ring_create(1000, NULL);
//	if (!hw_spsc_ring_push(ring, (uintptr_t)request))       // the one thread
//		...                                             // full
//	uint64_t item;
//	while (hw_spsc_ring_pop(ring, &item))                   // the other one
//		handle((struct request *)(uintptr_t)item);
//
// Items are pointers or numbers, all values allowed; what a pointer points to passes over with it. Exactly the given
// capacity, not the next power of two. O(1), no system calls, no allocation after create. Each thread reads the
// other's position only when the ring looks full or empty to it. Linearizable.
#ifndef HEAPWHY_SPSC_RING_H
#define HEAPWHY_SPSC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_spsc_ring;

// NULL when out of memory, or when `capacity` is 0. The ring is registered:
// hw_registration_name((struct hw_registration *)ring, "requests").
struct hw_spsc_ring *hw_spsc_ring_create(size_t capacity, struct hw_allocator *allocator);

// No thread may be using it. Accepts NULL.
void hw_spsc_ring_destroy(struct hw_spsc_ring *ring);

// False when full; pop: false when empty, `item` is then untouched.
bool hw_spsc_ring_push(struct hw_spsc_ring *ring, uint64_t item);
bool hw_spsc_ring_pop(struct hw_spsc_ring *ring, uint64_t *item);

// Exact for the two threads as far as their own side goes. Any thread may ask.
size_t hw_spsc_ring_count(const struct hw_spsc_ring *ring);

#ifdef __cplusplus
}
#endif

#endif
