// A hash map from 64-bit keys to 64-bit values that gives memory back: it shrinks when a deletion leaves it less than
// 2/5 full or, where it has just grown, with half of its entries; and deletions leave nothing behind that would make
// lookups go further (no tombstones). 17.25 bytes a slot, of which at most 5/6 are used and, after growing, half of that.
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
// Any key may be used. When keys crowd together the map spreads them in another way, at the cost of a rebuild; where an
// adversary chooses keys to provoke that, call hw_map_seed() first. get, put, delete: expected O(1). Memory that is all
// zeros is a map, too. Not thread-safe; concurrent gets are fine.
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

enum { HW_MAP_LINE_SLOTS = 4 };

// How keys are looked up. The filter spares those that miss the line; to those that hit it is a detour. The map learns
// which of them prevail. The line alone is an answer as long as no key that was deleted may still be in it.
enum hw_map_order_ {
	HW_MAP_NO_TABLE_,
	HW_MAP_MOVING_, // from one table to another: see hw_map_rebuild_gradually()
	HW_MAP_FILTER_FIRST_,
	HW_MAP_LINE_AND_STATE_,
	HW_MAP_LINE_ALONE_,
};

// A cache line of entries; src/containers/map.c says how the table works.
struct hw_map_line {
	uint64_t keys[HW_MAP_LINE_SLOTS], values[HW_MAP_LINE_SLOTS];
};

struct hw_map {
	struct hw_registration registration;
	uint32_t *filters; // NULL when empty; two bits are 0 for each key whose home the line is
	uint8_t *states;   // these and the lines follow in the same block
	struct hw_map_line *lines;
	uint64_t multiplier; // odd
	uint64_t scale;      // 256 * lines
	size_t count;
	size_t grow_at;            // the count at which the map grows
	size_t shrink_at;          // the count below which it shrinks
	size_t held_bytes;         // taken from the allocator
	uint64_t foreign;          // a key that is not at home in line 0
	uint8_t order;             // enum hw_map_order_
	uint8_t hits;              // in favour of looking into the line first; a hint
	bool crowded;              // keys had to go far: the multiplier is not good for these keys
	bool stale;                // lines may hold keys that were deleted
	uint64_t changes;          // since init: keys inserted and deleted
	uint64_t rebuilt;          // how many of the changes were before the last rebuild
	struct hw_map_move_ *move; // NULL: this is the only table
	bool gradual;              // it is rebuilt in parts
	struct hw_allocator *allocator;
};

// Neither takes memory. The second one registers the map and takes an allocator (NULL: hw_heap); the first is for the
// many small ones that are nobody's business.
void hw_map_init(struct hw_map *map);
void hw_map_init_with(struct hw_map *map, struct hw_allocator *allocator);
void hw_map_deinit(struct hw_map *map);

// Chooses one of 2^63 ways to spread keys, by `seed`. The map must be empty.
void hw_map_seed(struct hw_map *map, uint64_t seed);

// A map that grows or shrinks is rebuilt: one call of many takes O(n). After this it is done in parts: each put and delete
// moves some ten lines, and none takes long. Until everything has moved both tables are held, and lookups take about
// twice as long. Still at once: what reserve and shrink do, and spreading keys anew.
// False: at once again; a rebuild that is going on is completed.
void hw_map_rebuild_gradually(struct hw_map *map, bool gradually);

// 256 * the home line + the key's pair of bits in its filter: the key's product with an odd number, as a fraction of
// 2^64, scaled. The product's upper bits are the well mixed ones.
static inline uint64_t hw_map_spot_(const struct hw_map *map, uint64_t key)
{
	return (uint64_t)((unsigned __int128)(key * map->multiplier) * map->scale >> 64);
}

// 256 different pairs of 32 bits.
extern const uint32_t hw_map_pairs_[256];

static inline bool hw_map_may_have_(const struct hw_map *map, uint64_t spot)
{
	return !(map->filters[spot >> 8] & hw_map_pairs_[(uint8_t)spot]);
}

// Its home: &map->lines[spot >> 8], in fewer instructions.
static inline struct hw_map_line *hw_map_line_(const struct hw_map *map, uint64_t spot)
{
	uint64_t offset = spot / (256 / sizeof(struct hw_map_line)) & -sizeof(struct hw_map_line);

	return (struct hw_map_line *)((char *)map->lines + offset);
}

// The slots whose key is `key`, a bit each. No branches on what is still on its way from memory, and few instructions
// that wait for it: they keep later lookups from starting. Vector units have the most room for those that wait.
static inline unsigned hw_map_match_(const struct hw_map_line *line, uint64_t key)
{
#ifdef __SSE2__
	__m128i sought = _mm_set1_epi64x((long long)key);
	__m128i first = _mm_cmpeq_epi32(sought, *(const __m128i *)line->keys);
	__m128i second = _mm_cmpeq_epi32(sought, *((const __m128i *)line->keys + 1));
	__m128i halves = _mm_packs_epi32(first, second);
	__m128i whole = _mm_cmpeq_epi32(halves, _mm_set1_epi32(-1));

	return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(whole));
#else
	unsigned match = 0;

	for (unsigned i = 0; i < HW_MAP_LINE_SLOTS; i++)
		match |= (unsigned)(line->keys[i] == key) << i;
	return match;
#endif
}

// The one of them that is used, for the states' lower bits say which are.
static inline unsigned hw_map_match_used_(const struct hw_map *map, uint64_t line, uint64_t key)
{
	return hw_map_match_(&map->lines[line], key) & map->states[line];
}

static inline bool hw_map_take_(const struct hw_map_line *home, uint64_t match, uint64_t *value)
{
	if (__builtin_expect(!match, 0))
		return false;
	if (value)
		*value = home->values[__builtin_ctzll(match)];
	return true;
}

bool hw_map_get_any_(const struct hw_map *map, uint64_t key, uint64_t *value);

// False when `key` is absent; `value` (may be NULL) is then untouched. Here are the usual cases, in as few instructions as can
// be: while a processor waits for memory it takes only so many more, and with them the next lookups.
static inline bool hw_map_get(const struct hw_map *map, uint64_t key, uint64_t *value)
{
	int order = __atomic_load_n(&map->order, __ATOMIC_RELAXED);
	uint64_t spot = hw_map_spot_(map, key);

	if (__builtin_expect(order == HW_MAP_LINE_ALONE_, 1)) {
		const struct hw_map_line *home = hw_map_line_(map, spot);
		if (hw_map_take_(home, hw_map_match_(home, key), value))
			return true;
	} else if (order == HW_MAP_FILTER_FIRST_) {
		if (!hw_map_may_have_(map, spot))
			return false;
	} else if (order == HW_MAP_LINE_AND_STATE_) {
		const struct hw_map_line *home = hw_map_line_(map, spot);
		if (hw_map_take_(home, hw_map_match_used_(map, spot >> 8, key), value))
			return true;
	}
	return hw_map_get_any_(map, key, value);
}

// Looks up many keys: values[i] becomes the value of keys[i], or `absent`. Returns how many were found. On a map that is
// larger than the caches this is faster than as many gets: they wait for memory together.
size_t hw_map_get_many(const struct hw_map *map, const uint64_t *keys, size_t count,
	uint64_t *values, uint64_t absent);

static inline unsigned hw_map_free_slots_(const struct hw_map *map, size_t line)
{
	return ~(unsigned)map->states[line] & ((1u << HW_MAP_LINE_SLOTS) - 1);
}

// In the filter: this is a key's home.
static inline void hw_map_mark_(const struct hw_map *map, uint64_t spot)
{
	map->filters[spot >> 8] &= ~hw_map_pairs_[(uint8_t)spot];
}

// Fills one of a line's free slots. Returns the value's place.
static inline uint64_t *hw_map_fill_(
	const struct hw_map *map, size_t line, unsigned free_slots, uint64_t key, uint64_t value)
{
	unsigned slot = (unsigned)__builtin_ctz(free_slots);

	map->lines[line].keys[slot] = key;
	map->lines[line].values[slot] = value;
	map->states[line] |= (uint8_t)(1u << slot);
	return &map->lines[line].values[slot];
}

bool hw_map_put_any_(struct hw_map *map, uint64_t key, uint64_t value);

// The key is not in the map, which has room but not at the key's home.
void hw_map_put_stray_(struct hw_map *map, uint64_t key, uint64_t spot, uint64_t value);

// Inserts or replaces. False when out of memory. Here is what happens nearly always while a map is filled: the filter knows
// that the key is new, and most home lines have room.
static inline bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value)
{
	if (__builtin_expect(
		    !map->stale && map->count < map->grow_at && map->order > HW_MAP_MOVING_, 1)) {
		uint64_t spot = hw_map_spot_(map, key);
		unsigned free_slots = hw_map_free_slots_(map, spot >> 8);
		if (__builtin_expect(!hw_map_may_have_(map, spot), 1)) {
			map->count++;
			map->changes++;
			if (__builtin_expect(free_slots, 1)) {
				hw_map_mark_(map, spot);
				hw_map_fill_(map, spot >> 8, free_slots, key, value);
			} else {
				hw_map_put_stray_(map, key, spot, value);
			}
			return true;
		}
	}
	return hw_map_put_any_(map, key, value);
}

// The value's place, inserted as `initial` when absent; valid until the next put or delete. NULL when out of memory.
uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial);

// Room for `count` keys in all, so that inserting them takes no memory and no time to grow. False when out of memory.
// The next deletion may shrink the map again.
bool hw_map_reserve(struct hw_map *map, size_t count);

bool hw_map_delete_any_(struct hw_map *map, uint64_t key);
void hw_map_shrink_some_(struct hw_map *map);

// Frees a slot. The key stays in the line, which would have to go back to memory otherwise.
static inline void hw_map_clear_(struct hw_map *map, size_t line, unsigned match)
{
	map->states[line] &= (uint8_t)~match;
	map->count--;
	map->changes++;
}

// True when `key` was there. Here is what happens nearly always once something was deleted: the key is in its home line.
static inline bool hw_map_delete(struct hw_map *map, uint64_t key)
{
	if (__builtin_expect(map->stale && map->order > HW_MAP_MOVING_, 1)) {
		uint64_t line = hw_map_spot_(map, key) >> 8;
		unsigned match = hw_map_match_used_(map, line, key);
		if (__builtin_expect(match != 0, 1)) {
			hw_map_clear_(map, line, match);
			if (__builtin_expect(map->count < map->shrink_at, 0))
				hw_map_shrink_some_(map);
			return true;
		}
	}
	return hw_map_delete_any_(map, key);
}

// Walks the entries in no particular order; the map must not change meanwhile. `entry` is a pointer to a copy of each.
#define hw_map_each(map, entry)                                                   \
	for (struct hw_map_walk entry##_walk = {0, 0, 0}, *entry = &entry##_walk; \
		hw_map_walk_on(map, entry);)

struct hw_map_walk {
	uint64_t key, value;
	size_t next_slot; // 0 to begin with
};

// False at the end.
bool hw_map_walk_on(const struct hw_map *map, struct hw_map_walk *walk);

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
	struct hw_map_walk walk; // at the last entry returned
	bool removed;            // there is none, or it was removed
	bool failed;
	uint64_t changes;
};

static inline struct hw_map_iterator hw_map_iterate(struct hw_map *map)
{
	struct hw_map_iterator iterator = {map, {0, 0, 0}, true, false, map->changes};

	return iterator;
}

// NULL at the end, or when the map was changed by others.
const struct hw_map_walk *hw_map_iterator_next(struct hw_map_iterator *iterator);

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
