// Shards, each with a light lock, two queues and an index.
//
// S3-FIFO: a new entry joins the small queue, a tenth of the shard. When it comes to that queue's end, it joins the
// main queue if it was used twice meanwhile; otherwise it goes, and its hash is kept for a while: should its key come
// back, it joins the main queue at once. An entry that comes to the end of the main queue goes round again as often as
// it was used, up to three times. So a hit only counts, and what is decided is decided when room is needed.
//
// The entries, the index and the hashes of what went lie in one block a shard; queues and chains are numbers of
// entries. The hashes are kept in sets of eight, where a new one pushes out the oldest.
#include "heapwhy/cache.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "containers/light_lock.h"
#include "heapwhy/registry.h"

enum {
	LINE = 64,
	SHARDS = 16,
	SHARDS_MOST = 256,
	CAPACITY_LEAST = 64,
	INDEX_PARTS = 2,  // places in the index an entry
	GHOSTS = 8,       // hashes in a set
	USES_MOST = 3,    // that are counted
	USES_TO_STAY = 2, // in the small queue
	SMALL_PART = 10,  // the small queue is a tenth
	SWEEP_ON_PUT = 2,
	DROPS = 16,
};

#define NONE UINT32_MAX
#define BYTES_MOST ((UINT32_C(1) << 28) - 1)

struct entry {
	uint64_t key, value;
	uint32_t chain; // the next one with the same place in the index, or the next free one
	uint32_t newer, older;
	uint32_t bytes : 28, queue : 2,
		uses : 2; // a hit touches this line and its place in the index
};

enum queue_name { FREE, SMALL, MAIN, QUEUES };

struct queue {
	uint32_t newest, oldest;
	uint64_t count;
};

struct shard {
	_Alignas(LINE) struct light_lock lock;
	uint32_t capacity; // entries that fit into the block
	uint32_t free;     // the first free entry
	uint32_t unused;   // entries from here on were never used
	uint32_t hand;     // where the next sweep goes on
	char *block;
	struct entry *entries;
	uint64_t *expiries; // NULL: nothing expires
	uint32_t *index;    // INDEX_PARTS * `capacity` chains: most places have one entry or none
	uint32_t *ghosts;   // `capacity` hashes, 0: none
	struct queue queues[QUEUES];
	struct hw_cache_stats stats;
};

struct hw_cache {
	struct hw_registration registration;
	struct hw_cache_options options;
	uint64_t entry_limit, byte_limit; // of a shard
	uint64_t shard_count;
	atomic_uint sweep_shard;
	struct shard shards[];
};

#define OVER_SHARDS(what, field)                                                                 \
	{                                                                                        \
		(what), offsetof(struct hw_cache, shards) + offsetof(struct shard, field), 0, 0, \
			1, 0, sizeof(struct shard), offsetof(struct hw_cache, shard_count)       \
	}

static const struct hw_measure measures[] = {
	OVER_SHARDS(HW_COUNT, stats.entries),
	OVER_SHARDS(HW_USED_BYTES, stats.bytes),
	OVER_SHARDS(HW_HELD_BYTES, stats.held_bytes),
	OVER_SHARDS(HW_HITS, stats.hits),
	OVER_SHARDS(HW_MISSES, stats.misses),
	OVER_SHARDS(HW_EVICTIONS, stats.evicted),
	OVER_SHARDS(HW_REFUSALS, stats.refused),
	HW_MEASURE(HW_LIMIT_BYTES, struct hw_cache, options.byte_limit),
};
static const struct hw_kind kind = HW_KIND("cache", measures);

// What was let go of under the lock, to be released after it.
struct drops {
	unsigned count;
	struct drop {
		uint64_t key, value;
		enum hw_cache_reason reason;
	} drops[DROPS];
};

static uint64_t cache_now(const struct hw_cache *cache)
{
	struct timespec now;

	if (!cache->options.ttl_ns)
		return 0;
	if (cache->options.now)
		return cache->options.now(cache->options.context);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// The full product of the key and an odd constant (the golden ratio's fraction), folded. The upper bits choose the
// shard, the lower ones the place in its index.
static inline uint64_t key_hash(uint64_t key)
{
	unsigned __int128 product = (unsigned __int128)key * UINT64_C(0x9e3779b97f4a7c15);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline struct shard *hash_shard(struct hw_cache *cache, uint64_t hash)
{
	return &cache->shards[(hash >> 48) * cache->shard_count >> 16];
}

static inline uint32_t *hash_chain(const struct shard *shard, uint64_t hash)
{
	return &shard->index[(hash & UINT32_MAX) * shard->capacity * INDEX_PARTS >> 32];
}

static inline uint32_t shard_find(const struct shard *shard, uint64_t key, uint64_t hash)
{
	if (!shard->capacity)
		return NONE;
	uint32_t at = *hash_chain(shard, hash);
	while (at != NONE && shard->entries[at].key != key)
		at = shard->entries[at].chain;
	return at;
}

static bool entry_expired(const struct shard *shard, uint32_t at, uint64_t now)
{
	return shard->expiries && shard->expiries[at] <= now;
}

static void queue_push(struct shard *shard, enum queue_name name, uint32_t at)
{
	struct queue *queue = &shard->queues[name];

	shard->entries[at].queue = name;
	shard->entries[at].newer = NONE;
	shard->entries[at].older = queue->newest;
	if (queue->newest == NONE)
		queue->oldest = at;
	else
		shard->entries[queue->newest].newer = at;
	queue->newest = at;
	queue->count++;
}

static void queue_remove(struct shard *shard, uint32_t at)
{
	struct queue *queue = &shard->queues[shard->entries[at].queue];
	const struct entry *entry = &shard->entries[at];

	if (entry->newer == NONE)
		queue->newest = entry->older;
	else
		shard->entries[entry->newer].older = entry->older;
	if (entry->older == NONE)
		queue->oldest = entry->newer;
	else
		shard->entries[entry->older].newer = entry->newer;
	queue->count--;
}

static uint32_t *ghost_set(const struct shard *shard, uint64_t hash)
{
	return &shard->ghosts[((hash & UINT32_MAX) * (shard->capacity / GHOSTS) >> 32) * GHOSTS];
}

static uint32_t ghost_hash(uint64_t hash)
{
	return (uint32_t)(hash >> 20) | 1;
}

static void ghost_add(struct shard *shard, uint64_t hash)
{
	uint32_t *set = ghost_set(shard, hash);

	memmove(&set[1], &set[0], (GHOSTS - 1) * sizeof(*set));
	set[0] = ghost_hash(hash);
}

static bool ghost_take(struct shard *shard, uint64_t hash)
{
	uint32_t *set = ghost_set(shard, hash);

	for (unsigned i = 0; i < GHOSTS; i++)
		if (set[i] == ghost_hash(hash)) {
			set[i] = 0;
			return true;
		}
	return false;
}

static size_t block_bytes(const struct hw_cache *cache, uint64_t capacity)
{
	return capacity * (sizeof(struct entry) + (cache->options.ttl_ns ? sizeof(uint64_t) : 0) +
				  (INDEX_PARTS + 1) * sizeof(uint32_t));
}

static void *carve(char **rest, size_t bytes)
{
	void *piece = *rest;

	*rest += bytes;
	return piece;
}

// An entry that is in no queue and in no chain yet.
static uint32_t entry_claim(struct shard *shard)
{
	uint32_t at = shard->free;

	if (at == NONE)
		return shard->unused++;
	shard->free = shard->entries[at].chain;
	return at;
}

static void entry_index(struct shard *shard, uint32_t at)
{
	uint32_t *chain = hash_chain(shard, key_hash(shard->entries[at].key));

	shard->entries[at].chain = *chain;
	*chain = at;
}

// Moves everything into a block for `capacity` entries; the ghosts are forgotten. False when out of memory.
static bool shard_rebuild(const struct hw_cache *cache, struct shard *shard, uint64_t capacity)
{
	struct hw_allocator *allocator = cache->registration.allocator;
	const struct entry *old_entries = shard->entries;
	const uint64_t *old_expiries = shard->expiries;
	char *old_block = shard->block;
	uint64_t old_capacity = shard->capacity;
	struct queue old_queues[QUEUES];

	memcpy(old_queues, shard->queues, sizeof(old_queues));
	capacity = (capacity + GHOSTS - 1) / GHOSTS * GHOSTS;
	char *block = hw_alloc(allocator, block_bytes(cache, capacity), LINE), *rest = block;
	if (!block)
		return false;
	shard->block = block;
	shard->capacity = (uint32_t)capacity;
	shard->entries = carve(&rest, capacity * sizeof(struct entry));
	shard->expiries = cache->options.ttl_ns ? carve(&rest, capacity * sizeof(uint64_t)) : NULL;
	size_t index_bytes = INDEX_PARTS * capacity * sizeof(uint32_t);
	shard->index = carve(&rest, index_bytes);
	shard->ghosts = carve(&rest, capacity * sizeof(uint32_t));
	memset(shard->index, 0xff, index_bytes);
	memset(shard->ghosts, 0, capacity * sizeof(uint32_t));
	shard->free = NONE;
	shard->unused = shard->hand = 0;
	for (unsigned name = SMALL; name < QUEUES; name++) {
		shard->queues[name] = (struct queue){NONE, NONE, 0};
		for (uint32_t from = old_queues[name].oldest; from != NONE;
			from = old_entries[from].newer) {
			uint32_t at = entry_claim(shard);
			shard->entries[at] = old_entries[from];
			if (shard->expiries)
				shard->expiries[at] = old_expiries[from];
			queue_push(shard, name, at);
			entry_index(shard, at);
		}
	}
	shard->stats.held_bytes = block_bytes(cache, capacity);
	hw_free(allocator, old_block, block_bytes(cache, old_capacity), LINE);
	return true;
}

static void shard_shrink(const struct hw_cache *cache, struct shard *shard)
{
	uint64_t wanted = shard->stats.entries * 2;

	if (shard->capacity > CAPACITY_LEAST && shard->stats.entries < shard->capacity / 4)
		shard_rebuild(cache, shard,
			wanted > CAPACITY_LEAST ? wanted : CAPACITY_LEAST); // may fail
}

// Lets go of an entry. There must be room in `drops`.
static void entry_drop(const struct hw_cache *cache, struct shard *shard, uint32_t at,
	enum hw_cache_reason reason, struct drops *drops)
{
	struct entry *entry = &shard->entries[at];
	uint32_t *chain = hash_chain(shard, key_hash(entry->key));

	while (*chain != at)
		chain = &shard->entries[*chain].chain;
	*chain = entry->chain;
	queue_remove(shard, at);
	if (cache->options.release)
		drops->drops[drops->count++] = (struct drop){entry->key, entry->value, reason};
	shard->stats.entries--;
	shard->stats.bytes -= entry->bytes;
	shard->stats.evicted += reason == HW_CACHE_EVICTED;
	shard->stats.expired += reason == HW_CACHE_EXPIRED;
	entry->queue = FREE;
	entry->chain = shard->free;
	shard->free = at;
}

static void drops_release(const struct hw_cache *cache, struct drops *drops)
{
	for (unsigned i = 0; i < drops->count; i++)
		cache->options.release(cache->options.context, drops->drops[i].key,
			drops->drops[i].value, drops->drops[i].reason);
	drops->count = 0;
}

// Has the memory come that the next eviction from the small queue will need: until then it has time.
static void shard_prefetch_oldest(const struct shard *shard)
{
	uint32_t at = shard->queues[SMALL].oldest;

	if (at == NONE)
		return;
	uint64_t hash = key_hash(shard->entries[at].key);
	__builtin_prefetch(hash_chain(shard, hash), 1);
	__builtin_prefetch(ghost_set(shard, hash), 1);
	if (shard->entries[at].newer != NONE)
		__builtin_prefetch(&shard->entries[shard->entries[at].newer], 1);
}

// Makes room for one entry. The shard is not empty.
static void shard_evict(
	const struct hw_cache *cache, struct shard *shard, uint64_t now, struct drops *drops)
{
	struct queue *small = &shard->queues[SMALL], *main = &shard->queues[MAIN];

	for (;;) {
		bool from_small = small->count * SMALL_PART >= shard->stats.entries || !main->count;
		uint32_t at = from_small ? small->oldest : main->oldest;
		struct entry *entry = &shard->entries[at];
		bool expired = entry_expired(shard, at, now);
		if (expired || entry->uses < (from_small ? USES_TO_STAY : 1)) {
			uint64_t hash = key_hash(entry->key);
			entry_drop(cache, shard, at, expired ? HW_CACHE_EXPIRED : HW_CACHE_EVICTED,
				drops);
			if (from_small && !expired)
				ghost_add(shard, hash);
			shard_prefetch_oldest(shard);
			return;
		}
		queue_remove(shard, at);
		entry->uses = from_small ? 0 : entry->uses - 1;
		queue_push(shard, MAIN, at);
	}
}

// Looks at `count` entries at most, and stops when there is no room in `drops`. Returns how many it looked at.
static size_t shard_sweep(const struct hw_cache *cache, struct shard *shard, size_t count,
	uint64_t now, struct drops *drops)
{
	size_t looked = 0;

	while (looked < count && looked < shard->unused && drops->count < DROPS) {
		if (shard->hand >= shard->unused)
			shard->hand = 0;
		if (shard->entries[shard->hand].queue != FREE &&
			entry_expired(shard, shard->hand, now))
			entry_drop(cache, shard, shard->hand, HW_CACHE_EXPIRED, drops);
		shard->hand++;
		looked++;
	}
	return looked;
}

enum outcome { TAKEN, REFUSED, DROPS_FULL };

// An entry of the block for one more; NONE when there is none and no memory.
static enum outcome shard_make_room(const struct hw_cache *cache, struct shard *shard,
	uint32_t bytes, uint64_t now, struct drops *drops)
{
	while (shard->stats.entries >= cache->entry_limit ||
		shard->stats.bytes + bytes > cache->byte_limit ||
		(shard->free == NONE && shard->unused == shard->capacity)) {
		uint64_t more = shard->capacity + shard->capacity / 2;
		if (shard->stats.entries < cache->entry_limit &&
			shard->stats.bytes + bytes <= cache->byte_limit) {
			if (more < CAPACITY_LEAST)
				more = CAPACITY_LEAST;
			if (more > cache->entry_limit)
				more = cache->entry_limit;
			if (shard_rebuild(cache, shard, more))
				continue;
		}
		// Without memory, too, an old one makes room.
		if (!shard->stats.entries)
			return REFUSED;
		if (drops->count == DROPS)
			return DROPS_FULL;
		shard_evict(cache, shard, now, drops);
	}
	return TAKEN;
}

static enum outcome shard_put(const struct hw_cache *cache, struct shard *shard, uint64_t hash,
	const struct entry *wanted, uint64_t expiry, uint64_t now, struct drops *drops)
{
	if (wanted->bytes > cache->byte_limit)
		return REFUSED;
	if (drops->count > DROPS - SWEEP_ON_PUT - 1)
		return DROPS_FULL;
	if (shard->expiries)
		shard_sweep(cache, shard, SWEEP_ON_PUT, now, drops);
	struct entry entry = *wanted;
	entry.queue = SMALL;
	uint32_t at = shard_find(shard, wanted->key, hash);
	if (at != NONE) {
		const struct entry *old = &shard->entries[at];
		entry.queue = old->queue;
		entry.uses = old->uses + (old->uses < USES_MOST);
		entry_drop(cache, shard, at,
			entry_expired(shard, at, now) ? HW_CACHE_EXPIRED : HW_CACHE_REPLACED,
			drops);
	} else if (shard->capacity && ghost_take(shard, hash)) {
		entry.queue = MAIN;
	}
	enum outcome outcome = shard_make_room(cache, shard, wanted->bytes, now, drops);
	if (outcome != TAKEN)
		return outcome;
	at = entry_claim(shard);
	shard->entries[at] = entry;
	if (shard->expiries)
		shard->expiries[at] = expiry;
	queue_push(shard, entry.queue, at);
	entry_index(shard, at);
	shard->stats.entries++;
	shard->stats.bytes += wanted->bytes;
	shard_shrink(cache, shard);
	return TAKEN;
}

struct hw_cache *hw_cache_create(const struct hw_cache_options *options)
{
	uint64_t shards = options->shards ? options->shards : SHARDS;
	size_t bytes = sizeof(struct hw_cache) + shards * sizeof(struct shard);

	if ((!options->entry_limit && !options->byte_limit) || shards > SHARDS_MOST)
		return NULL;
	struct hw_cache *cache = hw_alloc(options->allocator, bytes, _Alignof(struct hw_cache));
	if (!cache)
		return NULL;
	memset(cache, 0, bytes);
	cache->options = *options;
	cache->shard_count = shards;
	cache->entry_limit = (options->entry_limit + shards - 1) / shards;
	if (!options->entry_limit || cache->entry_limit > UINT32_MAX / 2)
		cache->entry_limit = UINT32_MAX / 2;
	cache->byte_limit =
		options->byte_limit ? (options->byte_limit + shards - 1) / shards : UINT64_MAX / 2;
	for (uint64_t i = 0; i < shards; i++) {
		struct shard *shard = &cache->shards[i];
		shard->free = NONE;
		for (unsigned name = SMALL; name < QUEUES; name++)
			shard->queues[name] = (struct queue){NONE, NONE, 0};
	}
	hw_register(&cache->registration, &kind, options->allocator);
	return cache;
}

void hw_cache_destroy(struct hw_cache *cache)
{
	if (!cache)
		return;
	struct hw_allocator *allocator = cache->registration.allocator;
	hw_cache_clear(cache);
	hw_unregister(&cache->registration);
	for (uint64_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];
		hw_free(allocator, shard->block, block_bytes(cache, shard->capacity), LINE);
	}
	hw_free(allocator, cache, sizeof(*cache) + cache->shard_count * sizeof(struct shard),
		_Alignof(struct hw_cache));
}

bool hw_cache_get(struct hw_cache *cache, uint64_t key, uint64_t *value)
{
	uint64_t hash = key_hash(key), now = cache_now(cache);
	struct shard *shard = hash_shard(cache, hash);
	struct drops drops;

	drops.count = 0;
	light_lock_take(&shard->lock);
	uint32_t at = shard_find(shard, key, hash);
	if (at != NONE && entry_expired(shard, at, now)) {
		entry_drop(cache, shard, at, HW_CACHE_EXPIRED, &drops);
		at = NONE;
	}
	if (at != NONE) {
		struct entry *entry = &shard->entries[at];
		uint64_t found = entry->value;
		if (entry->uses < USES_MOST)
			entry->uses++;
		shard->stats.hits++;
		if (cache->options.retain)
			cache->options.retain(cache->options.context, found);
		if (value)
			*value = found;
	} else {
		shard->stats.misses++;
	}
	light_lock_release(&shard->lock);
	drops_release(cache, &drops);
	return at != NONE;
}

bool hw_cache_put(
	struct hw_cache *cache, uint64_t key, uint64_t value, uint32_t bytes, uint64_t ttl_ns)
{
	uint64_t hash = key_hash(key), now = cache_now(cache), expiry;
	struct shard *shard = hash_shard(cache, hash);
	struct entry wanted = {.key = key, .value = value, .bytes = bytes & BYTES_MOST};
	struct drops drops;
	enum outcome outcome;

	drops.count = 0;
	if (__builtin_add_overflow(now, ttl_ns ? ttl_ns : cache->options.ttl_ns, &expiry))
		expiry = UINT64_MAX;
	do {
		light_lock_take(&shard->lock);
		outcome = bytes > BYTES_MOST
				  ? REFUSED
				  : shard_put(cache, shard, hash, &wanted, expiry, now, &drops);
		shard->stats.refused += outcome == REFUSED;
		light_lock_release(&shard->lock);
		drops_release(cache, &drops);
	} while (outcome == DROPS_FULL);
	return outcome == TAKEN;
}

bool hw_cache_delete(struct hw_cache *cache, uint64_t key)
{
	uint64_t hash = key_hash(key), now = cache_now(cache);
	struct shard *shard = hash_shard(cache, hash);
	bool expired = false;
	struct drops drops;

	drops.count = 0;
	light_lock_take(&shard->lock);
	uint32_t at = shard_find(shard, key, hash);
	if (at != NONE) {
		expired = entry_expired(shard, at, now);
		entry_drop(cache, shard, at, expired ? HW_CACHE_EXPIRED : HW_CACHE_DELETED, &drops);
		shard_shrink(cache, shard);
	}
	light_lock_release(&shard->lock);
	drops_release(cache, &drops);
	return at != NONE && !expired;
}

size_t hw_cache_sweep(struct hw_cache *cache, size_t entries)
{
	uint64_t now = cache_now(cache);
	size_t expired = 0;
	struct drops drops;

	drops.count = 0;
	for (uint64_t shards = cache->shard_count; cache->options.ttl_ns && shards && entries;
		shards--) {
		struct shard *shard =
			&cache->shards[atomic_load(&cache->sweep_shard) % cache->shard_count];
		light_lock_take(&shard->lock);
		size_t left = entries < shard->unused ? entries : shard->unused;
		entries -= left;
		while (left) {
			uint64_t before = shard->stats.expired;
			left -= shard_sweep(cache, shard, left, now, &drops);
			expired += shard->stats.expired - before;
			light_lock_release(&shard->lock);
			drops_release(cache, &drops);
			light_lock_take(&shard->lock);
			// Others may have shrunk it meanwhile.
			left = left < shard->unused ? left : shard->unused;
		}
		shard_shrink(cache, shard);
		light_lock_release(&shard->lock);
		if (entries)
			atomic_fetch_add(&cache->sweep_shard, 1);
	}
	return expired;
}

void hw_cache_clear(struct hw_cache *cache)
{
	struct drops drops;

	drops.count = 0;
	for (uint64_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];
		bool more = true;
		while (more) {
			light_lock_take(&shard->lock);
			for (unsigned name = SMALL; name < QUEUES; name++)
				while (shard->queues[name].count && drops.count < DROPS)
					entry_drop(cache, shard, shard->queues[name].oldest,
						HW_CACHE_CLEARED, &drops);
			more = shard->stats.entries;
			shard_shrink(cache, shard);
			light_lock_release(&shard->lock);
			drops_release(cache, &drops);
		}
	}
}

struct hw_cache_stats hw_cache_stats(struct hw_cache *cache)
{
	struct hw_cache_stats sum = {0};

	for (uint64_t i = 0; i < cache->shard_count; i++) {
		struct shard *shard = &cache->shards[i];
		light_lock_take(&shard->lock);
		sum.entries += shard->stats.entries;
		sum.bytes += shard->stats.bytes;
		sum.held_bytes += shard->stats.held_bytes;
		sum.hits += shard->stats.hits;
		sum.misses += shard->stats.misses;
		sum.evicted += shard->stats.evicted;
		sum.expired += shard->stats.expired;
		sum.refused += shard->stats.refused;
		light_lock_release(&shard->lock);
	}
	return sum;
}
