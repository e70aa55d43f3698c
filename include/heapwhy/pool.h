// A node pool: objects of one size, allocated and freed one by one, whose memory goes back in whole slabs.
//
//	struct hw_pool pool;
//	hw_pool_init(&pool, sizeof(struct order), NULL);
//	struct order *order = hw_pool_alloc(&pool);         // NULL when out of memory; not cleared
//	hw_pool_free(&pool, order);
//	hw_pool_deinit(&pool);                              // frees what is still allocated, too
//
// Both calls are O(1) and take about a nanosecond while they alternate: the last nodes freed wait in an array inside
// the descriptor. Beyond it, nodes come from slabs of 64 KiB (more for nodes over 2 KiB), the fullest slab first, so
// that the others run empty. An empty slab is returned at once, unless the pool has learned that it will need it
// again: each slab it had to take again after returning one lets it keep one more, up to 64, and what it keeps in vain
// it returns. hw_pool_trim() returns everything that holds no node.
//
// Not thread-safe: one thread at a time. Sizes are rounded up to 8 bytes, and nodes are aligned to the largest power
// of two that divides their size. In debug mode (heapwhy/debug.h) every free is checked.
#ifndef HEAPWHY_POOL_H
#define HEAPWHY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/debug.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	HW_POOL_READY = 64,
	HW_POOL_BUCKETS = 9, // slabs by fullness, in eighths; the last one's are full
	HW_POOL_NODE_MAX = 32 << 10,
};

struct hw_pool_slab;
struct hw_pool_quarantine;

struct hw_pool {
	struct hw_registration registration;
	uint64_t ready_count; // free nodes at hand, at the start of `ready`
	uint64_t ready_limit; // the count from which freeing takes the slow way
	uint64_t node_bytes;
	uint64_t taken;       // nodes out of the slabs: allocated, ready, or in quarantine
	uint64_t quarantined; // freed nodes that debug mode keeps out of use
	uint64_t slab_count, slab_bytes;
	uint64_t spare_count, spare_limit; // empty slabs kept, and how many may be
	struct hw_pool_slab *slabs[HW_POOL_BUCKETS], *spare;
	uint64_t reciprocal; // of node_bytes
	uint32_t slots;      // in a slab
	uint32_t header_bytes, colors, slab_shift;
	uint32_t returned;  // slabs returned and not taken again yet
	uint32_t spare_low; // the fewest spare slabs in this period
	uint32_t emptied;   // slabs that ran empty in this period
	struct hw_allocator *allocator;
	struct hw_pool_quarantine *quarantine; // debug mode only
	void *ready[HW_POOL_READY];
};

// `node_bytes` up to HW_POOL_NODE_MAX (with more, every allocation fails). Takes no memory yet.
void hw_pool_init(struct hw_pool *pool, size_t node_bytes, struct hw_allocator *allocator);
void hw_pool_deinit(struct hw_pool *pool);

// A node, or NULL when out of memory. / Takes a node back; NULL does nothing.
#define hw_pool_alloc(pool) hw_pool_alloc_at((pool), HW_HERE)
#define hw_pool_free(pool, node) hw_pool_free_at((pool), (node), HW_HERE)

// Returns every slab without an allocated node. O(slabs returned).
void hw_pool_trim(struct hw_pool *pool);

// Moves nodes together until all slabs but one are full, and returns the rest. `moved` is called for each node that
// now lies at `to`, a copy of what was at `from`; it mends the pointers to it. O(nodes moved).
typedef void hw_pool_moved(void *context, void *from, void *to);
void hw_pool_compact(struct hw_pool *pool, hw_pool_moved *moved, void *context);

static inline uint64_t hw_pool_live(const struct hw_pool *pool)
{
	return pool->taken - pool->ready_count - pool->quarantined;
}

static inline uint64_t hw_pool_held_bytes(const struct hw_pool *pool)
{
	return pool->slab_count * pool->slab_bytes;
}

void *hw_pool_refill_(struct hw_pool *pool, const char *here);
void hw_pool_drain_(struct hw_pool *pool, void *node, const char *here);

// The same for containers on top, which pass on where they were called; `here` is a constant like HW_HERE.
static inline void *hw_pool_alloc_at(struct hw_pool *pool, const char *here)
{
	if (__builtin_expect(pool->ready_count != 0, 1))
		return pool->ready[--pool->ready_count];
	return hw_pool_refill_(pool, here);
}

static inline void hw_pool_free_at(struct hw_pool *pool, void *node, const char *here)
{
	if (__builtin_expect(node && pool->ready_count < pool->ready_limit, 1))
		pool->ready[pool->ready_count++] = node;
	else
		hw_pool_drain_(pool, node, here);
}

#ifdef __cplusplus
}
#endif

#endif
