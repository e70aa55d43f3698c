// A ring: a queue of values, in segments of about 4 KiB that are used again. What the queue holds follows its length up
// and down; nothing is ever copied to grow.
//
//	struct hw_ring jobs;
//	hw_ring_init(&jobs, sizeof(struct job), 0, NULL);
//	struct job *job = hw_ring_push(&jobs);              // uninitialised; NULL when full or out of memory
//	...
//	struct job next;
//	while (hw_ring_pop(&jobs, &next))
//		...
//	hw_ring_deinit(&jobs);
//
//	first --v                          v-- first + count
//	[ . . 3 4 5 6 ] [ 7 8 9 a b c ] [ d e . . . . ]   + at most one spare segment
//
// Values stay at their addresses until they are popped. Push, pop and hw_ring_at() are O(1); a push that starts a
// segment may move the directory, a pointer for each segment. For one thread at a time. In debug mode (heapwhy/debug.h)
// values that were popped are overwritten, and forbidden to touch.
#ifndef HEAPWHY_RING_H
#define HEAPWHY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/registry.h"
#include "heapwhy/value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_ring {
	struct hw_registration registration;
	uint64_t count, limit; // values; and how many may be
	uint64_t value_bytes;  // rounded up to 8
	uint64_t first;      // the first value's slot, counted from the start of the first segment
	uint32_t copy_bytes; // as init was told
	uint32_t shift;      // a segment has 1 << shift slots
	bool debug;
	uint64_t
		first_end; // of the first segment: popping goes the slow way when `first` comes to it
	char **directory; // a ring of pointers to segments
	uint64_t directory_capacity, directory_first;
	uint64_t segment_count; // in use
	uint64_t held_bytes;
	char *spare;
	char *push_at;  // the next free slot
	char *push_end; // of its segment: pushing goes the slow way when `push_at` comes to it
	struct hw_allocator *allocator;
};

// `limit`: pushing fails beyond so many values; 0 means no limit. Takes no memory yet.
void hw_ring_init(
	struct hw_ring *ring, size_t value_bytes, uint64_t limit, struct hw_allocator *allocator);
void hw_ring_deinit(struct hw_ring *ring);

// A queue without values; its memory goes back. O(segments).
void hw_ring_clear(struct hw_ring *ring);

bool hw_ring_grow_(struct hw_ring *ring);
void hw_ring_popped_(struct hw_ring *ring);

// The `index`th value from the front; index < count.
static inline void *hw_ring_at(const struct hw_ring *ring, uint64_t index)
{
	uint64_t slot = ring->first + index;
	uint64_t segment = ring->directory_first + (slot >> ring->shift);

	if (segment >= ring->directory_capacity)
		segment -= ring->directory_capacity;
	slot &= (UINT64_C(1) << ring->shift) - 1;
	return ring->directory[segment] + slot * ring->value_bytes;
}

// The place of a new value at the back. NULL: the limit is reached, or out of memory.
static inline void *hw_ring_push(struct hw_ring *ring)
{
	if (__builtin_expect(ring->push_at == ring->push_end || ring->count == ring->limit, 0) &&
		!hw_ring_grow_(ring))
		return NULL;
	void *value = ring->push_at;
	ring->push_at += ring->value_bytes;
	ring->count++;
	return value;
}

// The value at the front; NULL when there is none.
static inline void *hw_ring_first(const struct hw_ring *ring)
{
	return ring->count ? hw_ring_at(ring, 0) : NULL;
}

// Copies the value at the front to `value` (may be NULL) and removes it. False when there is none.
static inline bool hw_ring_pop(struct hw_ring *ring, void *value)
{
	if (!ring->count)
		return false;
	if (value)
		hw_value_copy(value, hw_ring_at(ring, 0), ring->copy_bytes);
	ring->count--;
	if (__builtin_expect(++ring->first >= ring->first_end, 0))
		hw_ring_popped_(ring);
	return true;
}

#ifdef __cplusplus
}
#endif

#endif
