// The cache against an LRU under one lock (uthash) and one of sixteen shards (intrusive): a million keys by Zipf's law
// (0.99), a miss inserts; with room for a tenth of the keys, with the bytes that uthash takes for a tenth, and with
// scans in between. Hit ratios are of one thread, and only of the Zipf keys; operations are timed with two.
#include "threads.h"

#include <malloc.h>
#include <math.h>
#include <stdbool.h>
#include <uthash.h>

#include "heapwhy/cache.h"

enum {
	KEYS = 1000000,
	ROOM = KEYS / 10,
	TRACE = 8000000,
	THREADS = 2,
	SHARDS = 16,
	SCAN_EVERY = 50000,
	SCAN = 25000
};

static uint32_t trace[TRACE];

static double trace_sums[KEYS];

static void trace_make(void)
{
	uint64_t random = 1;
	double sum = 0;

	for (int i = 0; i < KEYS; i++)
		trace_sums[i] = sum += pow(i + 1, -0.99);
	for (int i = 0; i < TRACE; i++) {
		double wanted =
			(double)(bench_random(&random) >> 11) / (double)(UINT64_C(1) << 53) * sum;
		int low = 0, high = KEYS - 1;
		while (low < high) {
			int middle = (low + high) / 2;
			if (trace_sums[middle] < wanted)
				low = middle + 1;
			else
				high = middle;
		}
		trace[i] = (uint32_t)low;
	}
}

// An LRU under a lock; `hh` is uthash's, which keeps the entries in the order of insertion: a hit moves one to the end.
struct one {
	UT_hash_handle hh;
	uint64_t key, value;
};

struct one_lru {
	pthread_mutex_t lock;
	struct one *entries;
	size_t room;
};

// As in a program, a miss is a lookup and later, when the value is there, an insertion.
static bool one_use(void *context, uint64_t key)
{
	struct one_lru *lru = context;
	struct one *entry;

	pthread_mutex_lock(&lru->lock);
	HASH_FIND(hh, lru->entries, &key, sizeof(key), entry);
	if (entry) {
		HASH_DELETE(hh, lru->entries, entry);
		HASH_ADD(hh, lru->entries, key, sizeof(key), entry);
	}
	pthread_mutex_unlock(&lru->lock);
	if (entry)
		return true;

	pthread_mutex_lock(&lru->lock);
	if (HASH_COUNT(lru->entries) >= lru->room) {
		entry = lru->entries;
		HASH_DELETE(hh, lru->entries, entry);
	} else {
		entry = malloc(sizeof(*entry));
	}
	entry->key = key;
	HASH_ADD(hh, lru->entries, key, sizeof(key), entry);
	pthread_mutex_unlock(&lru->lock);
	return false;
}

// Shards with a chained table and a list through the entries.
struct entry {
	struct entry *chain, *newer, *older;
	uint64_t key, value;
};

struct lru_shard {
	_Alignas(64) pthread_mutex_t lock;
	struct entry ends; // newer: the oldest one; older: the newest one
	struct entry **table;
	size_t table_size, count, room;
};

static void entry_unlink(struct entry *entry)
{
	entry->newer->older = entry->older;
	entry->older->newer = entry->newer;
}

static void entry_link(struct lru_shard *shard, struct entry *entry)
{
	entry->newer = &shard->ends;
	entry->older = shard->ends.older;
	entry->older->newer = entry;
	shard->ends.older = entry;
}

static struct entry **entry_chain(struct lru_shard *shard, uint64_t key)
{
	return &shard->table[(uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
			     (shard->table_size - 1)];
}

static struct entry *shard_take(struct lru_shard *shard)
{
	struct entry *entry = shard->ends.newer, **chain;

	if (shard->count < shard->room) {
		shard->count++;
		return malloc(sizeof(*entry));
	}
	entry_unlink(entry);
	for (chain = entry_chain(shard, entry->key); *chain != entry;)
		chain = &(*chain)->chain;
	*chain = entry->chain;
	return entry;
}

static bool sharded_use(void *context, uint64_t key)
{
	struct lru_shard *shard =
		(struct lru_shard *)context + (key * UINT64_C(0xd6e8feb86659fd93) >> 60);
	struct entry **chain = entry_chain(shard, key);

	pthread_mutex_lock(&shard->lock);
	struct entry *entry = *chain;
	while (entry && entry->key != key)
		entry = entry->chain;
	if (entry) {
		entry_unlink(entry);
		entry_link(shard, entry);
	}
	pthread_mutex_unlock(&shard->lock);
	if (entry)
		return true;

	pthread_mutex_lock(&shard->lock);
	entry = shard_take(shard);
	entry->key = key;
	entry->chain = *chain;
	*chain = entry;
	entry_link(shard, entry);
	pthread_mutex_unlock(&shard->lock);
	return false;
}

static struct lru_shard *sharded_create(size_t room)
{
	struct lru_shard *shards = aligned_alloc(64, SHARDS * sizeof(*shards));

	memset(shards, 0, SHARDS * sizeof(*shards));
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&shards[i].lock, NULL);
		shards[i].ends.newer = shards[i].ends.older = &shards[i].ends;
		shards[i].table_size = 8192;
		shards[i].table = calloc(shards[i].table_size, sizeof(struct entry *));
		shards[i].room = room / SHARDS;
	}
	return shards;
}

static bool ours_use(void *cache, uint64_t key)
{
	uint64_t value;

	if (hw_cache_get(cache, key, &value))
		return true;
	hw_cache_put(cache, key, key, 1, 0);
	return false;
}

static double hit_percent(bool (*use)(void *cache, uint64_t key), void *cache, bool scans)
{
	uint64_t hits = 0, counted = 0, scanned = KEYS;

	for (int i = 0; i < TRACE; i++) {
		bool hit = use(cache, trace[i]);
		// The first half fills the cache.
		if (i >= TRACE / 2) {
			hits += hit;
			counted++;
		}
		if (scans && i % SCAN_EVERY == 0)
			for (int k = 0; k < SCAN; k++)
				use(cache, scanned++);
	}
	return 100.0 * (double)hits / (double)counted;
}

static struct hw_cache *ours_create(uint64_t room)
{
	return hw_cache_create(&(struct hw_cache_options){.entry_limit = room, .shards = SHARDS});
}

static void compare_hits(void)
{
	struct one_lru lru = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = ROOM};
	struct hw_cache *ours = ours_create(ROOM);
	struct mallinfo2 before = mallinfo2();
	double theirs = hit_percent(one_use, &lru, false);
	struct mallinfo2 after = mallinfo2();
	double bytes = (double)(after.uordblks - before.uordblks + after.hblkhd - before.hblkhd);

	double equal_entries = hit_percent(ours_use, ours, false);
	double entry_bytes = (double)hw_cache_stats(ours).held_bytes / ROOM;
	double equal_bytes =
		hit_percent(ours_use, ours_create((uint64_t)(bytes / entry_bytes)), false);
	bench_value("cache: bytes an entry", "heapwhy", entry_bytes);
	bench_value("cache: bytes an entry", "one lock, uthash", bytes / ROOM);
	bench_value("cache: percent of hits", "one lock, uthash", theirs);
	bench_value("cache: percent of hits", "heapwhy", equal_entries);
	bench_value("cache: points gained, equal entries", "heapwhy", equal_entries - theirs);
	bench_value("cache: points gained, equal bytes", "heapwhy", equal_bytes - theirs);

	struct one_lru scanned = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = ROOM};
	theirs = hit_percent(one_use, &scanned, true);
	double gained = hit_percent(ours_use, ours_create(ROOM), true) - theirs;
	bench_value("cache: points gained, with scans", "heapwhy", gained);
}

struct contest {
	bool (*use)(void *cache, uint64_t key);
	void *cache;
	int threads;
};

static void work(void *context, int number, uint64_t operations)
{
	struct contest *contest = context;
	uint64_t hits = 0, at = (uint64_t)number * TRACE / THREADS;

	for (uint64_t i = 0; i < operations; i++) {
		hits += contest->use(contest->cache, trace[at]);
		at = at + 1 == TRACE ? 0 : at + 1;
	}
	bench_keep(hits);
}

static uint64_t race(void *context)
{
	struct contest *contest = context;
	uint64_t operations = bench_quick() ? 100000 : 500000;

	// The others have pushed this one out of the processor's caches.
	bench_pause();
	bench_threads(contest->threads, operations / 2, work, contest);
	bench_resume();
	return bench_threads(contest->threads, operations, work, contest);
}

int main(void)
{
	struct one_lru lru = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = ROOM};
	struct contest contests[] = {{ours_use, ours_create(ROOM)}, {one_use, &lru},
		{sharded_use, sharded_create(ROOM)}};

	trace_make();
	compare_hits();
	for (int i = 0; i < 3; i++)
		for (int at = 0; at < TRACE / 8; at++)
			contests[i].use(contests[i].cache, trace[at]);
	for (int threads = 1; threads <= THREADS; threads++) {
		for (int i = 0; i < 3; i++)
			contests[i].threads = threads;
		bench_race(threads == 1 ? "cache: uses, 1 thread" : "cache: uses, 2 threads",
			(struct contestant[]){
				{"heapwhy", race, &contests[0], threads},
				{"one lock, uthash", race, &contests[1], threads},
				{"16 shards, intrusive", race, &contests[2], threads},
				{NULL},
			});
	}
	return 0;
}
