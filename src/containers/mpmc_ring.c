// Each cell has a turn (Vyukov 2010): position p may be pushed when the turn of its cell is p, and popped when it is
// p + 1. Whoever advances the position owns the cell until it sets the turn. A cell that is not at its turn says that
// the ring is full or empty, or only that another thread is not done with it; the other end's position tells which.
#include "heapwhy/mpmc_ring.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "containers/races.h"
#include "heapwhy/registry.h"

enum { LINE = 64, SPINS = 64 };

struct cell {
	_Atomic uint64_t turn;
	uint64_t item;
};

struct hw_mpmc_ring {
	struct hw_registration registration;
	size_t capacity, held_bytes;
	_Alignas(LINE) _Atomic uint64_t pushed; // positions
	_Alignas(LINE) _Atomic uint64_t popped;
	_Alignas(LINE) struct cell cells[];
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_HELD_BYTES, struct hw_mpmc_ring, held_bytes),
	HW_MEASURE(HW_COUNT, struct hw_mpmc_ring, pushed),
	HW_MEASURE_TIMES(HW_COUNT, struct hw_mpmc_ring, popped, -1),
};
static const struct hw_kind kind = HW_KIND("mpmc ring", measures);

struct hw_mpmc_ring *hw_mpmc_ring_create(size_t capacity, struct hw_allocator *allocator)
{
	size_t bytes;

	// With one cell, "popped" and "to be pushed in the next round" would be the same turn as "pushed".
	if (capacity < 2 || __builtin_mul_overflow(capacity, sizeof(struct cell), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(struct hw_mpmc_ring), &bytes))
		return NULL;
	struct hw_mpmc_ring *ring = hw_alloc(allocator, bytes, _Alignof(struct hw_mpmc_ring));
	if (!ring)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	ring->capacity = capacity;
	ring->held_bytes = bytes;
	for (size_t at = 0; at < capacity; at++)
		atomic_init(&ring->cells[at].turn, at);
	hw_register(&ring->registration, &kind, allocator);
	return ring;
}

void hw_mpmc_ring_destroy(struct hw_mpmc_ring *ring)
{
	if (!ring)
		return;
	hw_unregister(&ring->registration);
	hw_free(ring->registration.allocator, ring, ring->held_bytes,
		_Alignof(struct hw_mpmc_ring));
}

static void wait_a_little(unsigned *spins)
{
	if (++*spins % SPINS == 0)
		sched_yield();
}

// The cell of the next position, which is advanced. NULL when `limit` positions lie between it and `other`: nothing
// can be pushed (popped) that was not popped (pushed) before.
static struct cell *ring_claim(struct hw_mpmc_ring *ring, _Atomic uint64_t *next,
	const _Atomic uint64_t *other, uint64_t limit, uint64_t offset, uint64_t *claimed)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t position = atomic_load_explicit(next, memory_order_acquire);
		struct cell *cell = &ring->cells[position % ring->capacity];
		uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
		race_point();
		if (turn == position + offset) {
			if (atomic_compare_exchange_weak_explicit(next, &position, position + 1,
				    memory_order_acq_rel, memory_order_relaxed)) {
				*claimed = position;
				return cell;
			}
		} else if (position - atomic_load_explicit(other, memory_order_acquire) == limit) {
			// Neither position ever goes back, so it was full (empty) at that moment.
			return NULL;
		} else {
			wait_a_little(&spins);
		}
	}
}

bool hw_mpmc_ring_push(struct hw_mpmc_ring *ring, uint64_t item)
{
	uint64_t position;
	struct cell *cell =
		ring_claim(ring, &ring->pushed, &ring->popped, ring->capacity, 0, &position);

	if (!cell)
		return false;
	race_point();
	cell->item = item;
	race_point();
	atomic_store_explicit(&cell->turn, position + 1, memory_order_release);
	return true;
}

bool hw_mpmc_ring_pop(struct hw_mpmc_ring *ring, uint64_t *item)
{
	uint64_t position;
	struct cell *cell = ring_claim(ring, &ring->popped, &ring->pushed, 0, 1, &position);

	if (!cell)
		return false;
	race_point();
	*item = cell->item;
	race_point();
	atomic_store_explicit(&cell->turn, position + ring->capacity, memory_order_release);
	return true;
}

size_t hw_mpmc_ring_count(const struct hw_mpmc_ring *ring)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_acquire);

	return atomic_load_explicit(&ring->pushed, memory_order_acquire) - popped;
}
