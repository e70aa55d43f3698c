// A hash map from 64-bit keys to 64-bit values: open addressing, linear probing, deletion by
// shifting back (no tombstones), at most 7/8 full. It shrinks when a deletion leaves it less than
// 1/8 full.
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
// Any key may be used. Keys are mixed, not hashed with a secret: do not feed it keys that an
// adversary chooses to collide without calling hw_map_seed() first. get, put, delete: expected
// O(1). Not thread-safe; concurrent gets are fine.
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

struct hw_map {
	struct hw_map_entry *entries; // 2^bits of them, NULL when empty
	uint64_t *used;               // a bit for each entry
	size_t count;
	unsigned bits;
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

// The value's place, inserted as `initial` when absent; valid until the next put or delete. NULL
// when out of memory.
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
