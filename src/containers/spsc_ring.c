// Two positions that only count up, each written by one thread; each thread keeps what it last saw of the other's, so
// that in steady state the line with a position goes over only once a round.
#include "heapwhy/spsc_ring.h"

#include <stdatomic.h>
#include <string.h>

#include "containers/races.h"
#include "heapwhy/registry.h"

enum { LINE = 64 };

struct side {
	_Alignas(LINE) _Atomic uint64_t position;
	uint64_t other; // the other side's position, as last seen
	size_t place;   // position modulo capacity
};

struct hw_spsc_ring {
	struct hw_registration registration;
	size_t capacity, held_bytes;
	struct side push, pop;
	_Alignas(LINE) uint64_t items[];
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_HELD_BYTES, struct hw_spsc_ring, held_bytes),
	HW_MEASURE(HW_COUNT, struct hw_spsc_ring, push.position),
	HW_MEASURE_TIMES(HW_COUNT, struct hw_spsc_ring, pop.position, -1),
};
static const struct hw_kind kind = HW_KIND("spsc ring", measures);

struct hw_spsc_ring *hw_spsc_ring_create(size_t capacity, struct hw_allocator *allocator)
{
	size_t bytes;

	if (!capacity || __builtin_mul_overflow(capacity, sizeof(uint64_t), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(struct hw_spsc_ring), &bytes))
		return NULL;
	struct hw_spsc_ring *ring = hw_alloc(allocator, bytes, _Alignof(struct hw_spsc_ring));
	if (!ring)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	ring->capacity = capacity;
	ring->held_bytes = bytes;
	hw_register(&ring->registration, &kind, allocator);
	return ring;
}

void hw_spsc_ring_destroy(struct hw_spsc_ring *ring)
{
	if (!ring)
		return;
	hw_unregister(&ring->registration);
	hw_free(ring->registration.allocator, ring, ring->held_bytes,
		_Alignof(struct hw_spsc_ring));
}

static void side_advance(struct hw_spsc_ring *ring, struct side *side, uint64_t position)
{
	side->place = side->place + 1 == ring->capacity ? 0 : side->place + 1;
	atomic_store_explicit(&side->position, position + 1, memory_order_release);
}

bool hw_spsc_ring_push(struct hw_spsc_ring *ring, uint64_t item)
{
	struct side *side = &ring->push;
	uint64_t position = atomic_load_explicit(&side->position, memory_order_relaxed);

	if (position - side->other == ring->capacity) {
		side->other = atomic_load_explicit(&ring->pop.position, memory_order_acquire);
		if (position - side->other == ring->capacity)
			return false;
	}
	race_point();
	ring->items[side->place] = item;
	race_point();
	side_advance(ring, side, position);
	return true;
}

bool hw_spsc_ring_pop(struct hw_spsc_ring *ring, uint64_t *item)
{
	struct side *side = &ring->pop;
	uint64_t position = atomic_load_explicit(&side->position, memory_order_relaxed);

	if (position == side->other) {
		side->other = atomic_load_explicit(&ring->push.position, memory_order_acquire);
		if (position == side->other)
			return false;
	}
	race_point();
	*item = ring->items[side->place];
	race_point();
	side_advance(ring, side, position);
	return true;
}

size_t hw_spsc_ring_count(const struct hw_spsc_ring *ring)
{
	// What was popped was pushed before: in this order the difference is never negative.
	uint64_t popped = atomic_load_explicit(&ring->pop.position, memory_order_acquire);

	return atomic_load_explicit(&ring->push.position, memory_order_acquire) - popped;
}
