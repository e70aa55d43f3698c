// A cache from 64-bit keys to 64-bit values for many threads, limited in entries, in bytes and in time. What goes is
// decided by S3-FIFO (Yang et al. 2023): new entries pass through a small queue first, so that a scan of things that
// are used once does not push out what is used often. A hit moves nothing.
//
//	struct hw_cache *cache = hw_cache_create(&(struct hw_cache_options){
//		.byte_limit = 64 << 20, .ttl_ns = 30 * UINT64_C(1000000000), .release = session_release});
//	if (!hw_cache_put(cache, key, (uintptr_t)session, session_bytes(session), 0))
//		...                                             // not taken in: it is still the caller's
//	uint64_t value;
//	if (hw_cache_get(cache, key, &value))
//		...
//	hw_cache_sweep(cache, 1000);                            // now and then
//
// Expiry: an expired entry is never found. It is dropped when it is looked up, when it is in the way, when a put comes
// by (each looks at two more entries), and by hw_cache_sweep(). Time is monotonic; its resolution is a few ms.
// Ownership: a value that is a pointer needs `retain`, which get calls for the caller while the entry cannot go, and
// `release`, which is called once for each value that the cache lets go of.
// Memory: 44 bytes an entry, 52 when entries can expire, in one block a shard, that grows and shrinks with the entries.
// The limits are divided among the shards evenly: a cache with few entries should have few shards.
// Costs: get, put, delete expected O(1), under the lock of one shard. get, put and delete of a key are linearizable.
// Callbacks: `retain` runs under that lock and must not use the cache; `release` runs without a lock.
#ifndef HEAPWHY_CACHE_H
#define HEAPWHY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_cache;

enum hw_cache_reason {
	HW_CACHE_EVICTED, // to stay within a limit
	HW_CACHE_EXPIRED,
	HW_CACHE_REPLACED, // by another value for the same key
	HW_CACHE_DELETED,
	HW_CACHE_CLEARED, // by clear or destroy
};

#define HW_CACHE_FOREVER UINT64_MAX

// Zero, or NULL, is a good choice for all but the limits, one of which is needed.
struct hw_cache_options {
	uint64_t entry_limit; // 0: none
	uint64_t byte_limit;  // for the sum of the `bytes` given with puts; 0: none
	uint64_t ttl_ns; // 0: entries never expire. HW_CACHE_FOREVER: only those whose put says so
	unsigned shards; // at most 256; 0: 16
	void *context;   // for the callbacks

	void (*retain)(void *context, uint64_t value);
	void (*release)(void *context, uint64_t key, uint64_t value, enum hw_cache_reason reason);
	// Nanoseconds that never go back; NULL: the system's monotonic clock.
	uint64_t (*now)(void *context);

	struct hw_allocator *allocator;
};

struct hw_cache_stats {
	uint64_t entries, bytes;
	uint64_t held_bytes; // of the cache itself, without what values point to
	uint64_t hits, misses;
	uint64_t evicted, expired;
	uint64_t refused; // puts that were larger than a shard's share, or found no memory
};

// The options are copied. NULL when out of memory, or when there is no limit at all. The cache is registered:
// hw_registration_name((struct hw_registration *)cache, "sessions").
struct hw_cache *hw_cache_create(const struct hw_cache_options *options);

// Releases all values. No thread may be using the cache. Accepts NULL.
void hw_cache_destroy(struct hw_cache *cache);

// False when `key` is absent or expired; `value` (may be NULL) is then untouched, and nothing is retained.
bool hw_cache_get(struct hw_cache *cache, uint64_t key, uint64_t *value);

// Inserts or replaces. `bytes` is what the entry costs, less than 256 MiB; `ttl_ns` 0 means the cache's,
// HW_CACHE_FOREVER none. False: it is not taken in, and still the caller's.
bool hw_cache_put(
	struct hw_cache *cache, uint64_t key, uint64_t value, uint32_t bytes, uint64_t ttl_ns);

// True when `key` was there, and not expired.
bool hw_cache_delete(struct hw_cache *cache, uint64_t key);

// Looks at up to `entries` entries, going on where the last sweep stopped, and drops the expired ones. Returns how
// many these were. O(entries).
size_t hw_cache_sweep(struct hw_cache *cache, size_t entries);

void hw_cache_clear(struct hw_cache *cache);

struct hw_cache_stats hw_cache_stats(struct hw_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
