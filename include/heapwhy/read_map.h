// A hash map from 64-bit keys to 64-bit values for many readers and few writers: readers take no lock and never wait,
// writers take turns. A deleted key's place is used again at once, and the table shrinks when it is a quarter full.
//
//	struct hw_read_map *map = hw_read_map_create(epoch, NULL);
//	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "worker 1");      // each reading thread
//	if (!hw_read_map_put(map, key, value))
//		...                                             // out of memory or refused; the map is as it was
//	uint64_t value;
//	if (hw_read_map_get(map, reader, key, &value))
//		...
//
// Every key and every value may be used. get, put, delete are linearizable: they take effect at one instant each.
// Costs: a get touches one or two cache lines; put and
// delete: expected O(1), amortised; 28 to 85 bytes an entry. What a value points to is the caller's: retire it with
// the same domain when readers may still use it.
// Garbage: tables that were outgrown, by the domain's limit. While a stalled reader keeps that at its limit, puts go on
// until the table is full, and then return false; deletes go on, without shrinking.
#ifndef HEAPWHY_READ_MAP_H
#define HEAPWHY_READ_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/epoch.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_read_map;

// Readers of `epoch` may read it; the domain must outlive the map. NULL when out of memory. The map is
// registered: hw_registration_name((struct hw_registration *)map, "routes").
struct hw_read_map *hw_read_map_create(struct hw_epoch *epoch, struct hw_allocator *allocator);

// No thread may be using the map. Accepts NULL.
void hw_read_map_destroy(struct hw_read_map *map);

// False when `key` is absent; `value` (may be NULL) is then untouched. Lock-free: tried again only when another
// thread changed the same bucket meanwhile.
bool hw_read_map_get(const struct hw_read_map *map, struct hw_epoch_reader *reader, uint64_t key,
	uint64_t *value);

// Inserts or replaces. False when out of memory, or when the table is full and may not be replaced (see above).
bool hw_read_map_put(struct hw_read_map *map, uint64_t key, uint64_t value);

// True when `key` was there; `old` (may be NULL) is its value.
bool hw_read_map_delete(struct hw_read_map *map, uint64_t key, uint64_t *old);

// Calls `visit` for each entry until it returns false; it may read and write the map. An entry that is there all the
// time is visited once; one that comes or goes meanwhile may be. O(capacity).
void hw_read_map_each(const struct hw_read_map *map, struct hw_epoch_reader *reader,
	bool (*visit)(void *context, uint64_t key, uint64_t value), void *context);

size_t hw_read_map_count(const struct hw_read_map *map);
size_t hw_read_map_held_bytes(const struct hw_read_map *map); // without garbage

#ifdef __cplusplus
}
#endif

#endif
