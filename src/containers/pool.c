// Slabs with a bit a node, and an array of free nodes in front of them. See heapwhy/pool.h.
//
// A slab lies at a multiple of its size, so a node's address leads to its slab. The header, with a bit for each free
// node, lies inside, over nodes that are never given out; where exactly depends on the slab's address: at the same
// place in each slab, all headers would share a few sets of the caches. A free node's own memory is never touched:
// freeing a cold node costs no cache miss for it.
//
// Slabs are kept in lists by fullness, and nodes are taken from the fullest that is not full. Full slabs have a list,
// too, so that all can be found.
#include "heapwhy/pool.h"

#include <string.h>

enum {
	SLAB_MIN = 64 << 10,
	SLAB_NODES_MIN = 32,
	HEADER_ALIGNMENT = 64,
	COLORS_MAX = 128,
	BATCH = HW_POOL_READY / 2,
	SPARE_MAX = 64,
	QUARANTINE = 256,
	RECIPROCAL_SHIFT = 42, // exact for offsets in slabs and nodes up to HW_POOL_NODE_MAX
	FULL = HW_POOL_BUCKETS - 1,
};

// Where a node was allocated and freed last; debug mode only.
struct trace {
	const char *allocated, *freed; // freed: NULL while allocated, or never given out
};

struct hw_pool_slab {
	struct hw_pool_slab *next, *previous;
	struct trace *traces; // one a slot; NULL outside of debug mode
	uint32_t used, capacity;
	uint32_t bucket, bucket_first, bucket_last; // `used` of the slabs in this one's bucket
	uint32_t first_word;                        // no word before it has a free node
	uint64_t free[];                            // a bit a slot; no bit where the header lies
};

// The last nodes freed, in debug mode, oldest at `next`.
struct hw_pool_quarantine {
	struct hw_debug_witness witness;
	const struct hw_pool *pool;
	void *nodes[QUARANTINE];
	unsigned next;
};

static const struct hw_measure pool_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_pool, taken),
	HW_MEASURE_TIMES(HW_COUNT, struct hw_pool, ready_count, -1),
	HW_MEASURE_TIMES(HW_COUNT, struct hw_pool, quarantined, -1),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_pool, taken, node_bytes, 1),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_pool, ready_count, node_bytes, -1),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_pool, quarantined, node_bytes, -1),
	HW_MEASURE_PRODUCT(HW_HELD_BYTES, struct hw_pool, slab_count, slab_bytes, 1),
};
static const struct hw_kind pool_kind = HW_KIND("node pool", pool_measures);

static uint32_t power_of_two_above(uint32_t number)
{
	return number <= 1 ? 1 : 1u << (32 - __builtin_clz(number - 1));
}

static char *slab_memory(const struct hw_pool *pool, const void *inside)
{
	return (char *)((uintptr_t)inside & ~(pool->slab_bytes - 1));
}

static uint32_t header_offset(const struct hw_pool *pool, const char *memory)
{
	uintptr_t number = (uintptr_t)memory >> pool->slab_shift;

	return (uint32_t)(number & (pool->colors - 1)) * pool->header_bytes;
}

static struct hw_pool_slab *slab_of(const struct hw_pool *pool, const void *inside)
{
	char *memory = slab_memory(pool, inside);

	return (struct hw_pool_slab *)(memory + header_offset(pool, memory));
}

static uint32_t slot_of(const struct hw_pool *pool, const void *node)
{
	uint64_t offset = (uintptr_t)node & (pool->slab_bytes - 1);

	return (uint32_t)(offset * pool->reciprocal >> RECIPROCAL_SHIFT);
}

static void *slot_node(const struct hw_pool *pool, const struct hw_pool_slab *slab, uint32_t slot)
{
	return slab_memory(pool, slab) + slot * pool->node_bytes;
}

static uint32_t bitmap_words(const struct hw_pool *pool)
{
	return (pool->slots + 63) / 64;
}

// The slots that the header lies on and that are none for nodes: [first, end).
static void header_slots(
	const struct hw_pool *pool, const struct hw_pool_slab *slab, uint32_t *first, uint32_t *end)
{
	*first = slot_of(pool, slab);
	*end = slot_of(pool, (const char *)slab + pool->header_bytes - 1) + 1;
	if (*end > pool->slots)
		*end = pool->slots;
}

static void slab_link(struct hw_pool *pool, struct hw_pool_slab *slab, uint32_t bucket)
{
	struct hw_pool_slab **head = &pool->slabs[bucket];

	slab->bucket = bucket;
	slab->bucket_first = (bucket * slab->capacity + FULL - 1) / FULL;
	slab->bucket_last = ((bucket + 1) * slab->capacity + FULL - 1) / FULL - 1;
	slab->previous = NULL;
	slab->next = *head;
	if (*head)
		(*head)->previous = slab;
	*head = slab;
}

static void slab_unlink(struct hw_pool *pool, struct hw_pool_slab *slab)
{
	if (slab->previous)
		slab->previous->next = slab->next;
	else
		pool->slabs[slab->bucket] = slab->next;
	if (slab->next)
		slab->next->previous = slab->previous;
}

// After `used` changed.
static inline void slab_place(struct hw_pool *pool, struct hw_pool_slab *slab)
{
	if (slab->used >= slab->bucket_first && slab->used <= slab->bucket_last)
		return;
	slab_unlink(pool, slab);
	slab_link(pool, slab, slab->used * FULL / slab->capacity);
}

static void slab_return(struct hw_pool *pool, struct hw_pool_slab *slab)
{
	char *memory = slab_memory(pool, slab);

	if (slab->traces) {
		hw_debug_allow(memory, header_offset(pool, memory));
		hw_debug_allow((char *)slab + pool->header_bytes,
			pool->slab_bytes - header_offset(pool, memory) - pool->header_bytes);
		hw_free(NULL, slab->traces, pool->slots * sizeof(struct trace), 16);
	}
	hw_free(pool->allocator, memory, pool->slab_bytes, pool->slab_bytes);
	pool->slab_count--;
}

static void spares_return(struct hw_pool *pool, uint64_t keep)
{
	while (pool->spare_count > keep) {
		struct hw_pool_slab *slab = pool->spare;
		pool->spare = slab->next;
		pool->spare_count--;
		pool->returned++;
		slab_return(pool, slab);
	}
}

// A period ends when the slabs allowed as spare could have been used four times over. Half of those that lay idle
// all the time are given up.
static void spares_decay(struct hw_pool *pool)
{
	if (++pool->emptied < 16 + 4 * pool->spare_limit)
		return;
	pool->spare_limit -= (pool->spare_low + 1) / 2;
	spares_return(pool, pool->spare_limit);
	pool->spare_low = (uint32_t)pool->spare_count;
	pool->emptied = 0;
	pool->returned = 0;
}

static void slab_emptied(struct hw_pool *pool, struct hw_pool_slab *slab)
{
	slab_unlink(pool, slab);
	slab->next = pool->spare;
	pool->spare = slab;
	pool->spare_count++;
	spares_return(pool, pool->spare_limit);
	spares_decay(pool);
}

static struct hw_pool_slab *slab_create(struct hw_pool *pool)
{
	if (!pool->slots)
		return NULL;
	char *memory = hw_alloc(pool->allocator, pool->slab_bytes, pool->slab_bytes);
	if (!memory)
		return NULL;
	struct hw_pool_slab *slab = slab_of(pool, memory);
	uint32_t words = bitmap_words(pool), first, end;
	memset(slab, 0, pool->header_bytes);
	memset(slab->free, 0xff, words * sizeof(slab->free[0]));
	if (pool->slots % 64)
		slab->free[words - 1] = (UINT64_C(1) << pool->slots % 64) - 1;
	header_slots(pool, slab, &first, &end);
	slab->capacity = pool->slots;
	for (uint32_t slot = first; slot < end; slot++, slab->capacity--)
		slab->free[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	if (pool->quarantine) {
		size_t bytes = pool->slots * sizeof(struct trace);
		slab->traces = hw_alloc(NULL, bytes, 16);
		if (!slab->traces) {
			hw_free(pool->allocator, memory, pool->slab_bytes, pool->slab_bytes);
			return NULL;
		}
		memset(slab->traces, 0, bytes);
		uint32_t before = header_offset(pool, memory), after = before + pool->header_bytes;
		hw_debug_forbid(memory, before);
		hw_debug_forbid(memory + after, pool->slab_bytes - after);
	}
	pool->slab_count++;
	if (pool->returned) {
		pool->returned--;
		if (pool->spare_limit < SPARE_MAX)
			pool->spare_limit++;
	}
	return slab;
}

// The fullest slab that is not full, if any.
static struct hw_pool_slab *slab_fullest(struct hw_pool *pool)
{
	for (int bucket = FULL - 1; bucket >= 0; bucket--)
		if (pool->slabs[bucket])
			return pool->slabs[bucket];
	return NULL;
}

// A slab with a free node; NULL when out of memory.
static struct hw_pool_slab *slab_choose(struct hw_pool *pool)
{
	struct hw_pool_slab *slab = slab_fullest(pool);

	if (slab)
		return slab;
	slab = pool->spare;
	if (slab) {
		pool->spare = slab->next;
		if (--pool->spare_count < pool->spare_low)
			pool->spare_low = (uint32_t)pool->spare_count;
	} else {
		slab = slab_create(pool);
	}
	if (slab)
		slab_link(pool, slab, 0);
	return slab;
}

// Takes up to `wanted` nodes out of the slab, in ascending order.
static uint32_t slab_take(
	struct hw_pool *pool, struct hw_pool_slab *slab, void **nodes, uint32_t wanted)
{
	uint32_t count = 0, word = slab->first_word, words = bitmap_words(pool);

	for (; word < words && count < wanted; word++) {
		uint64_t bits = slab->free[word];
		char *memory = slot_node(pool, slab, word * 64);
		for (; bits && count < wanted; bits &= bits - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(bits);
			nodes[count] = memory + bit * pool->node_bytes;
			__builtin_prefetch(nodes[count++], 1); // about to be written
		}
		slab->free[word] = bits;
		if (bits)
			break;
	}
	slab->first_word = word;
	slab->used += count;
	slab_place(pool, slab);
	pool->taken += count;
	return count;
}

// Gives a node back to its slab, which has to be settled afterwards. False: it is there already.
static inline bool slab_put(struct hw_pool *pool, struct hw_pool_slab *slab, const void *node)
{
	uint32_t slot = slot_of(pool, node);
	uint64_t bit = UINT64_C(1) << slot % 64;

	if (slab->free[slot / 64] & bit)
		return false;
	slab->free[slot / 64] |= bit;
	if (slot / 64 < slab->first_word)
		slab->first_word = slot / 64;
	slab->used--;
	pool->taken--;
	return true;
}

// Puts the slab where it belongs now; an empty one may be gone afterwards.
static inline void slab_settle(struct hw_pool *pool, struct hw_pool_slab *slab)
{
	if (slab->used)
		slab_place(pool, slab);
	else
		slab_emptied(pool, slab);
}

static void slab_give(struct hw_pool *pool, const void *node)
{
	struct hw_pool_slab *slab = slab_of(pool, node);

	slab_put(pool, slab, node);
	slab_settle(pool, slab);
}

// Freeing goes the slow way when the array is full. When the last allocated node comes back it does so too, provided
// that there is a slab to be returned: then everything goes.
static void pool_set_limit(struct hw_pool *pool)
{
	bool returnable = pool->slab_count > pool->spare_limit;

	pool->ready_limit = HW_POOL_READY;
	if (pool->quarantine)
		pool->ready_limit = 0;
	else if (returnable && pool->taken <= HW_POOL_READY)
		pool->ready_limit = pool->taken ? pool->taken - 1 : 0;
}

// The nodes that have waited longest go back to their slabs. All headers are asked for before the first is used, and
// neighbours in the array, which often come from the same slab, share its settling.
static void pool_flush(struct hw_pool *pool, uint64_t count, const char *here)
{
	struct hw_pool_slab *slabs[HW_POOL_READY + 1];

	for (uint64_t i = 0; i < count; i++) {
		slabs[i] = slab_of(pool, pool->ready[i]);
		__builtin_prefetch(slabs[i], 1);
		__builtin_prefetch(&slabs[i]->free[slot_of(pool, pool->ready[i]) / 64], 1);
	}
	slabs[count] = NULL;
	for (uint64_t i = 0; i < count; i++) {
		void *node = pool->ready[i];
		if (!slab_put(pool, slabs[i], node))
			hw_debug_report(&(struct hw_violation){
				HW_FREED_TWICE, node, pool->node_bytes, here, NULL, NULL});
		if (slabs[i] != slabs[i + 1])
			slab_settle(pool, slabs[i]);
	}
	pool->ready_count -= count;
	memmove(pool->ready, pool->ready + count, pool->ready_count * sizeof(pool->ready[0]));
	pool_set_limit(pool);
}

static void *debug_alloc(struct hw_pool *pool, const char *here)
{
	struct hw_pool_slab *slab = slab_choose(pool);
	void *node;

	if (!slab)
		return NULL;
	slab_take(pool, slab, &node, 1);
	struct trace *trace = &slab->traces[slot_of(pool, node)];
	if (trace->freed && !hw_debug_is_poisoned(node, pool->node_bytes))
		hw_debug_report(&(struct hw_violation){HW_WRITTEN_AFTER_FREE, node,
			pool->node_bytes, here, trace->freed, trace->allocated});
	*trace = (struct trace){here, NULL};
	hw_debug_given(pool, node, pool->node_bytes);
	return node;
}

// The slab among these in which this address lies in a slot for nodes; NULL: none.
static struct hw_pool_slab *slabs_search(
	const struct hw_pool *pool, struct hw_pool_slab *slab, const void *memory)
{
	uint32_t first, end, slot = slot_of(pool, memory);

	while (slab && slab_memory(pool, slab) != slab_memory(pool, memory))
		slab = slab->next;
	if (!slab)
		return NULL;
	header_slots(pool, slab, &first, &end);
	return slot < pool->slots && (slot < first || slot >= end) ? slab : NULL;
}

static struct hw_pool_slab *slab_search(const struct hw_pool *pool, const void *memory)
{
	struct hw_pool_slab *found = slabs_search(pool, pool->spare, memory);

	for (int bucket = 0; bucket < HW_POOL_BUCKETS && !found; bucket++)
		found = slabs_search(pool, pool->slabs[bucket], memory);
	return found;
}

static bool quarantine_find(
	const struct hw_debug_witness *witness, const void *memory, struct hw_violation *known)
{
	const struct hw_pool *pool = ((const struct hw_pool_quarantine *)witness)->pool;
	const struct hw_pool_slab *slab = slab_search(pool, memory);

	if (!slab)
		return false;
	uint32_t slot = slot_of(pool, memory);
	*known = (struct hw_violation){
		.memory = slot_node(pool, slab, slot),
		.bytes = pool->node_bytes,
		.before = slab->traces[slot].freed,
		.allocated = slab->traces[slot].allocated,
	};
	return true;
}

static void debug_free(struct hw_pool *pool, void *node, const char *here)
{
	struct hw_pool_slab *slab = slab_search(pool, node);
	struct hw_violation violation = {HW_NOT_FROM_HERE, node, pool->node_bytes, here};

	if (!slab || slot_node(pool, slab, slot_of(pool, node)) != node) {
		hw_debug_report(&violation);
		return;
	}
	struct trace *trace = &slab->traces[slot_of(pool, node)];
	if (trace->freed || !trace->allocated) {
		violation.mistake = HW_FREED_TWICE;
		violation.before = trace->freed;
		violation.allocated = trace->allocated;
		hw_debug_report(&violation);
		return;
	}
	trace->freed = here;
	hw_debug_given_back(pool, node, pool->node_bytes);
	struct hw_pool_quarantine *quarantine = pool->quarantine;
	void **place = &quarantine->nodes[quarantine->next++ % QUARANTINE];
	if (*place)
		slab_give(pool, *place);
	else
		pool->quarantined++;
	*place = node;
}

static void quarantine_flush(struct hw_pool *pool)
{
	struct hw_pool_quarantine *quarantine = pool->quarantine;

	for (unsigned i = 0; quarantine && i < QUARANTINE; i++) {
		if (quarantine->nodes[i])
			slab_give(pool, quarantine->nodes[i]);
		quarantine->nodes[i] = NULL;
	}
	pool->quarantined = 0;
}

void *hw_pool_refill_(struct hw_pool *pool, const char *here)
{
	if (pool->quarantine)
		return debug_alloc(pool, here);
	struct hw_pool_slab *slab = slab_choose(pool);
	if (!slab)
		return NULL;
	void *nodes[BATCH];
	uint32_t count = slab_take(pool, slab, nodes, BATCH);
	// Reversed, so that they are handed out in ascending order.
	for (uint32_t i = 1; i < count; i++)
		pool->ready[count - 1 - i] = nodes[i];
	pool->ready_count = count - 1;
	pool_set_limit(pool);
	return nodes[0];
}

void hw_pool_drain_(struct hw_pool *pool, void *node, const char *here)
{
	if (!node)
		return;
	if (pool->quarantine) {
		debug_free(pool, node, here);
		return;
	}
	if (pool->ready_count == HW_POOL_READY)
		pool_flush(pool, BATCH, here);
	pool->ready[pool->ready_count++] = node;
	if (pool->ready_count == pool->taken)
		pool_flush(pool, pool->ready_count, here);
}

void hw_pool_init(struct hw_pool *pool, size_t node_bytes, struct hw_allocator *allocator)
{
	uint64_t node = node_bytes ? (node_bytes + 7) & ~(size_t)7 : 8;
	bool possible = node <= HW_POOL_NODE_MAX;
	if (!possible)
		node = HW_POOL_NODE_MAX; // every allocation will fail
	uint32_t slab = power_of_two_above((uint32_t)node * SLAB_NODES_MIN);
	if (slab < SLAB_MIN)
		slab = SLAB_MIN;

	*pool = (struct hw_pool){
		.node_bytes = node,
		.slab_bytes = slab,
		.slab_shift = (uint32_t)__builtin_ctz(slab),
		.reciprocal = ((UINT64_C(1) << RECIPROCAL_SHIFT) + node - 1) / node,
		.allocator = allocator,
	};
	pool->slots = (uint32_t)(pool->slab_bytes / node);
	uint32_t header =
		(uint32_t)(sizeof(struct hw_pool_slab) + bitmap_words(pool) * sizeof(uint64_t));
	pool->header_bytes = (header + HEADER_ALIGNMENT - 1) & ~(uint32_t)(HEADER_ALIGNMENT - 1);
	pool->colors = COLORS_MAX;
	while (pool->colors * pool->header_bytes > pool->slab_bytes)
		pool->colors /= 2;
	if (!possible)
		pool->slots = 0;
	if (hw_debug_enabled()) {
		// Without memory for it, the pool is one without checks.
		pool->quarantine = hw_alloc(NULL, sizeof(*pool->quarantine), 16);
		if (pool->quarantine) {
			*pool->quarantine = (struct hw_pool_quarantine){
				.witness.find = quarantine_find, .pool = pool};
			hw_debug_witness_add(&pool->quarantine->witness);
			hw_debug_owner(pool);
		}
	}
	pool_set_limit(pool);
	hw_register(&pool->registration, &pool_kind, allocator);
}

void hw_pool_deinit(struct hw_pool *pool)
{
	hw_unregister(&pool->registration);
	if (pool->quarantine) {
		hw_debug_witness_remove(&pool->quarantine->witness);
		hw_debug_goodbye(pool);
	}
	spares_return(pool, 0);
	for (int bucket = 0; bucket < HW_POOL_BUCKETS; bucket++)
		for (struct hw_pool_slab *slab = pool->slabs[bucket], *next; slab; slab = next) {
			next = slab->next;
			slab_return(pool, slab);
		}
	hw_free(NULL, pool->quarantine, sizeof(*pool->quarantine), 16);
	*pool = (struct hw_pool){0};
}

void hw_pool_trim(struct hw_pool *pool)
{
	quarantine_flush(pool);
	pool_flush(pool, pool->ready_count, HW_HERE);
	pool->spare_limit = 0;
	spares_return(pool, 0);
	pool->returned = 0; // what was returned on request is not regretted
	pool_set_limit(pool);
}

// The emptiest slab that holds nodes, other than `not_this`; NULL when all the others are full.
static struct hw_pool_slab *slab_to_empty(struct hw_pool *pool, struct hw_pool_slab *not_this)
{
	for (int bucket = 0; bucket < FULL; bucket++)
		for (struct hw_pool_slab *slab = pool->slabs[bucket]; slab; slab = slab->next)
			if (slab != not_this)
				return slab;
	return NULL;
}

static void node_move(struct hw_pool *pool, struct hw_pool_slab *from_slab, void *from,
	struct hw_pool_slab *to_slab, void *to)
{
	if (pool->quarantine) {
		struct trace *trace = &from_slab->traces[slot_of(pool, from)];
		to_slab->traces[slot_of(pool, to)] = *trace;
		*trace = (struct trace){0};
		hw_debug_moved(pool, from, to, pool->node_bytes);
	} else {
		memcpy(to, from, pool->node_bytes);
	}
}

// Moves nodes from one slab to the other until the one is empty or the other full.
static void slab_merge(struct hw_pool *pool, struct hw_pool_slab *from, struct hw_pool_slab *to,
	hw_pool_moved *moved, void *context)
{
	uint32_t first, end, left = from->used, room = to->capacity - to->used;

	header_slots(pool, from, &first, &end);
	for (uint32_t slot = 0; left && room; slot++) {
		bool in_header = slot >= first && slot < end;
		if (in_header || from->free[slot / 64] >> slot % 64 & 1)
			continue;
		void *node = slot_node(pool, from, slot), *place = NULL;
		slab_take(pool, to, &place, 1);
		node_move(pool, from, node, to, place);
		moved(context, node, place);
		slab_give(pool, node); // the last time, `from` may be returned
		left--;
		room--;
	}
}

void hw_pool_compact(struct hw_pool *pool, hw_pool_moved *moved, void *context)
{
	struct hw_pool_slab *to, *from;

	hw_pool_trim(pool);
	while ((to = slab_fullest(pool)) && (from = slab_to_empty(pool, to)))
		slab_merge(pool, from, to, moved, context);
	hw_pool_trim(pool);
}
