// A hash map from 64-bit keys to 64-bit values for many threads that all write: as many maps (heapwhy/map.h) as
// shards, each with its own lock. It gives memory back as each of them does.
//
//	struct hw_sharded_map *map = hw_sharded_map_create(16, NULL);
//	hw_sharded_map_put(map, key, value);
//	uint64_t value;
//	if (hw_sharded_map_get(map, key, &value))
//		...
//	hw_sharded_map_add(map, key, 1);                        // a counter: read, add and write as one
//
// Every key and value may be used. get, put, delete, add are linearizable; expected O(1), one lock each. For maps that
// are mostly read, heapwhy/read_map.h is faster.
#ifndef HEAPWHY_SHARDED_MAP_H
#define HEAPWHY_SHARDED_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_sharded_map;

// 1 to 256 shards; 0: 16. NULL when out of memory. The map is registered:
// hw_registration_name((struct hw_registration *)map, "users").
struct hw_sharded_map *hw_sharded_map_create(unsigned shards, struct hw_allocator *allocator);

// No thread may be using it. Accepts NULL.
void hw_sharded_map_destroy(struct hw_sharded_map *map);

// False when `key` is absent; `value` (may be NULL) is then untouched.
bool hw_sharded_map_get(struct hw_sharded_map *map, uint64_t key, uint64_t *value);

// Inserts or replaces. False when out of memory; the map is then as it was.
bool hw_sharded_map_put(struct hw_sharded_map *map, uint64_t key, uint64_t value);

// Adds to the value, which is 0 when `key` is absent. False when out of memory. `sum` may be NULL.
bool hw_sharded_map_add(struct hw_sharded_map *map, uint64_t key, uint64_t more, uint64_t *sum);

// True when `key` was there; `old` (may be NULL) is its value.
bool hw_sharded_map_delete(struct hw_sharded_map *map, uint64_t key, uint64_t *old);

// Calls `visit` for each entry, shard by shard under its lock, until it returns false. It must not use the map.
void hw_sharded_map_each(struct hw_sharded_map *map,
	bool (*visit)(void *context, uint64_t key, uint64_t value), void *context);

size_t hw_sharded_map_count(struct hw_sharded_map *map);
size_t hw_sharded_map_held_bytes(struct hw_sharded_map *map);

#ifdef __cplusplus
}
#endif

#endif
