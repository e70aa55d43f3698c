// A hash map from 64-bit keys to 64-bit values that gives memory back: it shrinks when a deletion leaves it less than
// 3/8 full, and deletions leave nothing behind that would slow lookups down (no tombstones). 17 bytes a slot, at most
// 7/8 of the slots used.
//
//	struct hw_map map;
//	hw_map_init(&map);
//	if (!hw_map_put(&map, key, value))
//		...                                     // out of memory; the map is as it was
//	uint64_t value;
//	if (hw_map_get(&map, key, &value))
//		...
//	hw_map_each (&map, entry)
//		use(entry->key, entry->value);
//	hw_map_deinit(&map);
//
// Any key may be used. Keys are mixed, not hashed with a secret: do not feed it keys that an adversary chooses to
// collide without calling hw_map_seed() first. get, put, delete: expected O(1). Not thread-safe; concurrent gets are fine.
#ifndef HEAPWHY_MAP_H
#define HEAPWHY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hw_map_entry {
	uint64_t key, value;
};

struct hw_map_group;

struct hw_map {
	struct hw_map_group *groups; // NULL when empty; the entries follow them in the same block
	struct hw_map_entry *entries;
	size_t count;
	size_t group_count;
	size_t grow_at;    // the count at which the map grows
	size_t shrink_at;  // the count below which it shrinks
	size_t held_bytes; // taken from malloc or mmap
	uint64_t seed;
};

void hw_map_init(struct hw_map *map);
void hw_map_deinit(struct hw_map *map);

// Keys are mixed with `seed` from now on. The map must be empty.
void hw_map_seed(struct hw_map *map, uint64_t seed);

// False when `key` is absent; `value` (may be NULL) is then untouched.
bool hw_map_get(const struct hw_map *map, uint64_t key, uint64_t *value);

// Inserts or replaces. False when out of memory.
bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value);

// The value's place, inserted as `initial` when absent; valid until the next put or delete. NULL when out of memory.
uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial);

// True when `key` was there.
bool hw_map_delete(struct hw_map *map, uint64_t key);

// Walks the entries in no particular order; the map must not change meanwhile.
#define hw_map_each(map, entry)                                                \
	for (const struct hw_map_entry *entry = hw_map_next(map, NULL); entry; \
		entry = hw_map_next(map, entry))

const struct hw_map_entry *hw_map_next(const struct hw_map *map, const struct hw_map_entry *entry);

#ifdef __cplusplus
}
#endif

#endif
