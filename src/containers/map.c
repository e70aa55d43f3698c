// Linear probing with backward-shift deletion: a run of used entries between two holes is kept such
// that every entry can be reached from its home without crossing a hole. Deleting an entry opens a
// hole; the entries behind it move forward into it unless their home lies behind the hole. So there
// are no tombstones, and lookups stay short.
#include "heapwhy/map.h"

#include <stdlib.h>

enum { SMALLEST_BITS = 4 };

static inline size_t map_capacity(const struct hw_map *map)
{
	return map->entries ? (size_t)1 << map->bits : 0;
}

static inline bool map_used(const struct hw_map *map, size_t at)
{
	return map->used[at >> 6] >> (at & 63) & 1;
}

// The home of `key`: a multiplicative mix (the finaliser of MurmurHash3, a public-domain bijection
// of 64-bit words).
static inline size_t map_home(const struct hw_map *map, uint64_t key)
{
	key ^= map->seed;
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	return (size_t)(key >> (64 - map->bits));
}

// Where `key` is, or the hole where it belongs. The map has at least one hole.
static size_t map_find(const struct hw_map *map, uint64_t key)
{
	size_t mask = map_capacity(map) - 1, at = map_home(map, key);

	while (map_used(map, at) && map->entries[at].key != key)
		at = (at + 1) & mask;
	return at;
}

static bool map_resize(struct hw_map *map, unsigned bits)
{
	struct hw_map old = *map;
	size_t capacity = (size_t)1 << bits;
	struct hw_map_entry *entries = malloc(capacity * sizeof(*entries));
	uint64_t *used = calloc((capacity + 63) / 64, sizeof(*used));

	if (!entries || !used) {
		free(entries);
		free(used);
		return false;
	}
	map->entries = entries;
	map->used = used;
	map->bits = bits;
	hw_map_each (&old, entry) {
		size_t at = map_find(map, entry->key);
		map->entries[at] = *entry;
		map->used[at >> 6] |= UINT64_C(1) << (at & 63);
	}
	free(old.entries);
	free(old.used);
	return true;
}

void hw_map_init(struct hw_map *map)
{
	*map = (struct hw_map){0};
}

void hw_map_deinit(struct hw_map *map)
{
	free(map->entries);
	free(map->used);
	hw_map_init(map);
}

void hw_map_seed(struct hw_map *map, uint64_t seed)
{
	map->seed = seed;
}

bool hw_map_get(const struct hw_map *map, uint64_t key, uint64_t *value)
{
	if (!map->entries)
		return false;
	size_t at = map_find(map, key);
	if (!map_used(map, at))
		return false;
	if (value)
		*value = map->entries[at].value;
	return true;
}

uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial)
{
	if (map->entries) {
		size_t at = map_find(map, key);
		if (map_used(map, at))
			return &map->entries[at].value;
	}
	size_t capacity = map_capacity(map);
	if (map->count >= capacity - capacity / 8 &&
		!map_resize(map, map->entries ? map->bits + 1 : SMALLEST_BITS))
		return NULL;
	size_t at = map_find(map, key);
	map->entries[at] = (struct hw_map_entry){key, initial};
	map->used[at >> 6] |= UINT64_C(1) << (at & 63);
	map->count++;
	return &map->entries[at].value;
}

bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value)
{
	uint64_t *place = hw_map_at(map, key, value);

	if (place)
		*place = value;
	return place;
}

bool hw_map_delete(struct hw_map *map, uint64_t key)
{
	if (!map->entries)
		return false;
	size_t hole = map_find(map, key), mask = map_capacity(map) - 1;
	if (!map_used(map, hole))
		return false;
	for (size_t at = (hole + 1) & mask; map_used(map, at); at = (at + 1) & mask) {
		size_t home = map_home(map, map->entries[at].key);
		// The entry may move when the hole lies on its way from home to here, cyclically.
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			map->entries[hole] = map->entries[at];
			hole = at;
		}
	}
	map->used[hole >> 6] &= ~(UINT64_C(1) << (hole & 63));
	map->count--;
	if (map->bits > SMALLEST_BITS && map->count < map_capacity(map) / 8)
		map_resize(map, map->bits - 1); // failing to shrink is no failure
	return true;
}

const struct hw_map_entry *hw_map_next(const struct hw_map *map, const struct hw_map_entry *entry)
{
	size_t capacity = map_capacity(map);

	for (size_t at = entry ? (size_t)(entry - map->entries) + 1 : 0; at < capacity; at++)
		if (map_used(map, at))
			return &map->entries[at];
	return NULL;
}
