// A hash map from 64-bit keys to 64-bit values that gives memory back: it shrinks when a deletion leaves it less than
// 3/8 full, and deletions leave nothing behind that would slow lookups down (no tombstones). 17 bytes a slot, of which
// at most 7/8 are used and, after growing, half of that.
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
// A map that is not empty must stay at its address only if it was made by hw_map_init_with(), which registers it.
#ifndef HEAPWHY_MAP_H
#define HEAPWHY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "heapwhy/allocator.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_map_entry {
	uint64_t key, value;
};

enum { HW_MAP_GROUP_SLOTS = 15 };

// 16 bytes, at a multiple of 16. src/containers/map.c says how the table works.
struct hw_map_group {
	uint8_t tags[HW_MAP_GROUP_SLOTS]; // a byte of the key's hash; 0: the slot is free
	uint8_t overflow;                 // keys that went past this full group
};

struct hw_map {
	struct hw_registration registration;
	struct hw_map_group *groups; // NULL when empty; the entries follow them in the same block
	struct hw_map_entry *entries;
	size_t count;
	size_t group_count;
	size_t grow_at;    // the count at which the map grows
	size_t shrink_at;  // the count below which it shrinks
	size_t held_bytes; // taken from the allocator
	uint64_t seed;
	uint64_t changes; // since init: keys inserted and deleted
	struct hw_allocator *allocator;
};

// Neither takes memory. The second one registers the map and takes an allocator (NULL: hw_heap); the first is for the
// many small ones that are nobody's business.
void hw_map_init(struct hw_map *map);
void hw_map_init_with(struct hw_map *map, struct hw_allocator *allocator);
void hw_map_deinit(struct hw_map *map);

// Keys are mixed with `seed` from now on. The map must be empty.
void hw_map_seed(struct hw_map *map, uint64_t seed);

struct hw_map_place_ {
	size_t group; // the home group
	uint8_t tag;
};

// The full product of the key and an odd constant (the golden ratio's fraction), folded: every bit of the key reaches
// both the group number and the tag.
static inline struct hw_map_place_ hw_map_place_(const struct hw_map *map, uint64_t key)
{
	unsigned __int128 product =
		(unsigned __int128)(key ^ map->seed) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
	uint8_t tag = (uint8_t)hash;
	struct hw_map_place_ place = {
		(size_t)((unsigned __int128)hash * map->group_count >> 64), (uint8_t)(tag + !tag)};

	return place;
}

// The slots of the group whose tag is `tag`, a bit each.
static inline unsigned hw_map_match_(const struct hw_map_group *group, uint8_t tag)
{
	unsigned match = 0;

#ifdef __SSE2__
	__m128i tags = _mm_load_si128((const __m128i *)group);
	match = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag)));
#else
	for (unsigned i = 0; i < HW_MAP_GROUP_SLOTS; i++)
		match |= (unsigned)(group->tags[i] == tag) << i;
#endif
	return match & ((1u << HW_MAP_GROUP_SLOTS) - 1);
}

struct hw_map_entry *hw_map_find_on_(
	const struct hw_map *map, uint64_t key, struct hw_map_place_ place);

// Nearly always the home group has one slot with the tag, and it is the key's, or none and no overflow. All else goes
// the long way: two candidates, too, because the branch on an entry that is still on its way from memory, mispredicted,
// would hold up the lookups that follow.
static inline struct hw_map_entry *hw_map_find_(const struct hw_map *map, uint64_t key)
{
	if (!map->count)
		return NULL;
	struct hw_map_place_ place = hw_map_place_(map, key);
	const struct hw_map_group *group = &map->groups[place.group];
	unsigned match = hw_map_match_(group, place.tag);
	if (__builtin_expect(!(match & (match - 1)), 1)) {
		if (!match && __builtin_expect(!group->overflow, 1))
			return NULL;
		if (__builtin_expect(match, 1)) {
			struct hw_map_entry *entry =
				&map->entries[place.group * HW_MAP_GROUP_SLOTS +
					      (size_t)__builtin_ctzll(match)];
			if (__builtin_expect(entry->key == key, 1))
				return entry;
		}
	}
	return hw_map_find_on_(map, key, place);
}

// False when `key` is absent; `value` (may be NULL) is then untouched.
static inline bool hw_map_get(const struct hw_map *map, uint64_t key, uint64_t *value)
{
	const struct hw_map_entry *entry = hw_map_find_(map, key);

	if (entry && value)
		*value = entry->value;
	return entry;
}

// Looks up many keys: values[i] becomes the value of keys[i], or `absent`. Returns how many were found. On a map that is
// larger than the caches this is faster than as many gets: they wait for memory together.
size_t hw_map_get_many(const struct hw_map *map, const uint64_t *keys, size_t count,
	uint64_t *values, uint64_t absent);

// Inserts or replaces. False when out of memory.
bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value);

// The value's place, inserted as `initial` when absent; valid until the next put or delete. NULL when out of memory.
uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial);

// Room for `count` keys in all, so that inserting them takes no memory and no time to grow. False when out of memory.
// The next deletion may shrink the map again.
bool hw_map_reserve(struct hw_map *map, size_t count);

// True when `key` was there.
bool hw_map_delete(struct hw_map *map, uint64_t key);

// Walks the entries in no particular order; the map must not change meanwhile.
#define hw_map_each(map, entry)                                                \
	for (const struct hw_map_entry *entry = hw_map_next(map, NULL); entry; \
		entry = hw_map_next(map, entry))

const struct hw_map_entry *hw_map_next(const struct hw_map *map, const struct hw_map_entry *entry);

// A walk during which entries may go, through it only: any other insertion or deletion ends it and sets `failed`. What
// the removals leave over is given back by hw_map_shrink() or by the next deletion.
//
//	struct hw_map_iterator it = hw_map_iterate(&map);
//	while ((entry = hw_map_iterator_next(&it)))
//		if (entry->value == 0)
//			hw_map_iterator_remove(&it);
//	hw_map_shrink(&map);
struct hw_map_iterator {
	struct hw_map *map;
	const struct hw_map_entry *place; // the last entry returned
	bool removed;                     // it was removed
	bool failed;
	uint64_t changes;
};

static inline struct hw_map_iterator hw_map_iterate(struct hw_map *map)
{
	struct hw_map_iterator iterator = {map, NULL, true, false, map->changes};

	return iterator;
}

// NULL at the end, or when the map was changed by others.
const struct hw_map_entry *hw_map_iterator_next(struct hw_map_iterator *iterator);

// Removes the entry that was returned last. False when there is none, or when the map was changed by others.
bool hw_map_iterator_remove(struct hw_map_iterator *iterator);

// A copy of the entries as they are now, to be freed with free(). NULL with `count` 0 when the map is empty, NULL with
// another `count` when out of memory. O(n).
struct hw_map_entry *hw_map_snapshot(const struct hw_map *map, size_t *count);

// Rebuilds the map in as little memory as its entries need. False when there is no memory to do it. O(n).
bool hw_map_shrink(struct hw_map *map);

#ifdef __cplusplus
}
#endif

#endif
