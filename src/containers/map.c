// A line of the cache holds four keys and their values. Every key has a home line. A key whose home is full becomes a
// stray: it goes to the next line that has room, and every full line that it passed counts it. A lookup ends at the first
// line that no key has passed.
//
// Beside the lines lie their filters, 4 bytes each: two bits of 32 are 0 for each key at home there. A lookup that misses
// touches nothing but a filter, as a rule, for one that hits the line alone is enough; which of them is asked first
// depends on what prevails. Both places are known from the key, so that neither waits for the other.
//
// Deleting a key counts down along its way, and clears a bit of the state; the line is not written. Until the next
// rebuild lookups that do not ask the filter therefore ask the state. Two things may be left behind, and only cost time:
// a count that has reached 15 stays there; filters keep bits of deleted keys, some for a while, some until a rebuild.
//
// The home line is a fraction of 2^64 times the number of lines, which may be any. So keys keep their order when the
// table grows or shrinks: a rebuild reads and writes memory in ascending order, and is cheap.
//
// The fraction is the key times an odd number, a cheap way to spread keys that is good for nearly all sets of keys with
// nearly all numbers (Dietzfelbinger et al., 1997). Should keys of a set crowd together, the number is replaced.
//
// Where the table is larger than the caches, the speed is that of memory, and what counts is how many lookups wait for
// it at the same time. The usual cases are therefore short and without branches that could be mispredicted late.
#include "heapwhy/map.h"

#include <stdlib.h>

#include "containers/map_table.h"

enum {
	INSERTIONS_A_MENDING = 4,
	BATCH = 32,
	HITS_CONVINCE = 64, // so many in a row make the map look into the line first
	MISS_COUNTS = 2,    // of them
	LINES_A_STEP = 8,   // of a gradual move: it ends before the next one can begin
};

static const struct hw_measure map_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_map, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_map, count, sizeof(struct hw_map_entry)),
	HW_MEASURE(HW_HELD_BYTES, struct hw_map, held_bytes),
};
static const struct hw_kind map_kind = HW_KIND("map", map_measures);

// A pair is a bit, and another one 1 to 8 bits above it.
#define PAIR(n) (UINT32_C(1) << (n) % 32 | UINT32_C(1) << ((n) % 32 + (n) / 32 + 1) % 32)
#define PAIRS_4(n) PAIR(n), PAIR((n) + 1), PAIR((n) + 2), PAIR((n) + 3)
#define PAIRS_16(n) PAIRS_4(n), PAIRS_4((n) + 4), PAIRS_4((n) + 8), PAIRS_4((n) + 12)
#define PAIRS_64(n) PAIRS_16(n), PAIRS_16((n) + 16), PAIRS_16((n) + 32), PAIRS_16((n) + 48)

const uint32_t hw_map_pairs_[SPOTS] = {PAIRS_64(0), PAIRS_64(64), PAIRS_64(128), PAIRS_64(192)};

// Learns from a lookup that took the long way, in either order a few of a hundred. Readers may do so at the same time: it
// does not matter which of them is heard.
static void order_learn(const struct hw_map *map, bool hit)
{
	uint8_t *order = (uint8_t *)&map->order, *hits = (uint8_t *)&map->hits;
	uint8_t before = __atomic_load_n(hits, __ATOMIC_RELAXED), now = HITS_CONVINCE;
	uint8_t order_before = __atomic_load_n(order, __ATOMIC_RELAXED);
	bool filter_first = order_before == HW_MAP_FILTER_FIRST_;

	if (order_before == HW_MAP_MOVING_)
		return;
	if (!hit)
		now = !filter_first && before > MISS_COUNTS ? before - MISS_COUNTS : 0;
	else if (before < HITS_CONVINCE)
		now = before + 1;
	if (now != before)
		__atomic_store_n(hits, now, __ATOMIC_RELAXED);
	if (filter_first && now == HITS_CONVINCE)
		__atomic_store_n(order, line_order(map), __ATOMIC_RELAXED);
	else if (!filter_first && !now)
		__atomic_store_n(order, HW_MAP_FILTER_FIRST_, __ATOMIC_RELAXED);
}

// The place of the value of a key that is not in its home line, or NULL.
static uint64_t *stray_find(const struct hw_map *map, uint64_t key, uint64_t spot)
{
	uint64_t *place = NULL;

	for (size_t line = spot / SPOTS; keys_passed(map, line) && !place;) {
		line = line_after(map, line);
		unsigned match = hw_map_match_used_(map, line, key);
		if (match)
			place = &map->lines[line].values[(unsigned)__builtin_ctz(match)];
	}
	order_learn(map, place);
	return place;
}

// The place of a key's value that the filter has not ruled out.
static inline uint64_t *place_find(const struct hw_map *map, uint64_t key, uint64_t spot)
{
	size_t line = spot / SPOTS;
	unsigned match = hw_map_match_used_(map, line, key);

	return match ? &map->lines[line].values[(unsigned)__builtin_ctz(match)]
		     : stray_find(map, key, spot);
}

static uint64_t *table_find(const struct hw_map *map, uint64_t key)
{
	uint64_t spot = hw_map_spot_(map, key);

	return hw_map_may_have_(map, spot) ? place_find(map, key, spot) : NULL;
}

bool hw_map_get_any_(const struct hw_map *map, uint64_t key, uint64_t *value)
{
	int order = __atomic_load_n(&map->order, __ATOMIC_RELAXED);
	uint64_t spot = hw_map_spot_(map, key);
	const uint64_t *place = NULL;

	if (order == HW_MAP_MOVING_)
		place = table_find(table_of(map, key), key);
	else if (order == HW_MAP_LINE_AND_STATE_ ||
		 (order != HW_MAP_NO_TABLE_ && hw_map_may_have_(map, spot)))
		place = place_find(map, key, spot);
	if (place && value)
		*value = *place;
	return place;
}

// A batch goes through in three rounds, each of which asks for the memory that the next one needs: the filters, then
// the lines.
size_t hw_map_get_many(const struct hw_map *map, const uint64_t *keys, size_t count,
	uint64_t *values, uint64_t absent)
{
	uint64_t spots[BATCH];
	size_t found = 0;
	bool settled = map->order > HW_MAP_MOVING_;

	for (size_t start = 0; start < count; start += BATCH) {
		size_t batch = count - start < BATCH ? count - start : BATCH;
		for (size_t i = 0; settled && i < batch; i++) {
			spots[i] = hw_map_spot_(map, keys[start + i]);
			__builtin_prefetch(&map->filters[spots[i] / SPOTS]);
		}
		for (size_t i = 0; settled && i < batch; i++)
			if (hw_map_may_have_(map, spots[i]))
				__builtin_prefetch(hw_map_line_(map, spots[i]));
		for (size_t i = start; i < start + batch; i++) {
			values[i] = absent;
			found += hw_map_get(map, keys[i], &values[i]);
		}
	}
	return found;
}

void hw_map_init(struct hw_map *map)
{
	*map = (struct hw_map){0};
}

void hw_map_init_with(struct hw_map *map, struct hw_allocator *allocator)
{
	hw_map_init(map);
	map->allocator = allocator;
	hw_register(&map->registration, &map_kind, allocator);
}

void hw_map_deinit(struct hw_map *map)
{
	hw_unregister(&map->registration);
	hw_map_free_(map);
	hw_map_init(map);
}

void hw_map_rebuild_gradually(struct hw_map *map, bool gradually)
{
	map->gradual = gradually;
	if (!gradually)
		hw_map_move_on_(map, SIZE_MAX);
}

// So that a map with `count` entries need not grow.
static size_t lines_for(size_t count)
{
	return count / LINE_SLOTS * 6 / 5 + LINES_MIN;
}

// 70 % full: fewer strays than in the smallest table, and it need not grow soon.
static size_t lines_after_shrinking(size_t count)
{
	return count / LINE_SLOTS * 10 / 7 + LINES_MIN;
}

bool hw_map_reserve(struct hw_map *map, size_t count)
{
	hw_map_move_on_(map, SIZE_MAX);
	return count <= map->grow_at || hw_map_rebuild_(map, lines_for(count));
}

// Makes the filter say what is in the line, which none of the keys at home there went past.
static void filter_mend(struct hw_map *map, size_t line)
{
	uint32_t filter = UINT32_MAX;

	for (unsigned used = slots_used(map, line); used; used &= used - 1) {
		uint64_t spot = hw_map_spot_(map, map->lines[line].keys[__builtin_ctz(used)]);
		if (spot / SPOTS == line)
			filter &= ~hw_map_pairs_[spot % SPOTS];
	}
	map->filters[line] = filter;
}

// Neither filling nor emptying a map takes so many changes.
static inline bool keys_come_and_go(const struct hw_map *map)
{
	return map->changes - map->rebuilt > 2 * LINE_SLOTS * line_count(map);
}

// Where a key goes that is not in the table, which has room.
static uint64_t *table_insert(struct hw_map *map, uint64_t key, uint64_t spot, uint64_t value)
{
	size_t line = line_choose(map, spot);
	uint64_t *place = hw_map_fill_(map, line, hw_map_free_slots_(map, line), key, value);

	// Deleted keys' bits may be others', too. To find out is dear, and a few bits too many do little harm.
	if (__builtin_expect(map->stale, 0) && keys_come_and_go(map) &&
		spot % INSERTIONS_A_MENDING == 0 && line == spot / SPOTS && !keys_passed(map, line))
		filter_mend(map, line);
	return place;
}

// The map is moving, has room, and does not have the key. Whether keys crowd together is looked at when it has moved.
static uint64_t *map_insert_moving(struct hw_map *map, uint64_t key, uint64_t value)
{
	struct hw_map *table = table_of(map, key);

	map->count++;
	map->changes++;
	return table_insert(table, key, hw_map_spot_(table, key), value);
}

uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial)
{
	uint64_t spot, *place;

	if (__builtin_expect(map->move != NULL, 0)) {
		hw_map_move_on_(map, map->count < map->grow_at ? LINES_A_STEP : SIZE_MAX);
		if (map->move) {
			place = table_find(table_of(map, key), key);
			return place ? place : map_insert_moving(map, key, initial);
		}
	}
	spot = hw_map_spot_(map, key);
	if (map->count) {
		__builtin_prefetch(hw_map_line_(map, spot), 1);
		if (hw_map_may_have_(map, spot) && (place = place_find(map, key, spot)))
			return place;
	}
	if (__builtin_expect(map->count >= map->grow_at, 0)) {
		if (!hw_map_resize_(map, map->scale ? line_count(map) * 2 : LINES_MIN))
			return NULL;
		if (map->move)
			return map_insert_moving(map, key, initial);
		spot = hw_map_spot_(map, key);
	}
	map->count++;
	map->changes++;
	place = table_insert(map, key, spot, initial);
	if (__builtin_expect(map->crowded, 0)) {
		hw_map_respread_(map);
		place = table_find(map, key);
	}
	return place;
}

void hw_map_put_stray_(struct hw_map *map, uint64_t key, uint64_t spot, uint64_t value)
{
	table_insert(map, key, spot, value);
	if (__builtin_expect(map->crowded, 0))
		hw_map_respread_(map);
}

bool hw_map_put_any_(struct hw_map *map, uint64_t key, uint64_t value)
{
	uint64_t *place = hw_map_at(map, key, value);

	if (place)
		*place = value;
	return place;
}

static inline void slot_clear(struct hw_map *map, size_t line, unsigned match)
{
	hw_map_clear_(map, line, match);
	if (__builtin_expect(!map->stale, 0)) {
		map->stale = true;
		if (map->order == HW_MAP_LINE_ALONE_)
			map->order = HW_MAP_LINE_AND_STATE_;
	}
}

// The same for a key that may be a stray.
static void entry_clear(struct hw_map *map, uint64_t key, size_t slot)
{
	size_t line = slot / LINE_SLOTS;

	slot_clear(map, line, 1u << slot % LINE_SLOTS);
	for (size_t at = hw_map_spot_(map, key) / SPOTS; at != line; at = line_after(map, at))
		if (keys_passed(map, at) != PASSED_STUCK)
			map->states[at] -= PASSED_ONE;
}

static bool table_delete_stray(struct hw_map *map, uint64_t key, uint64_t spot)
{
	const uint64_t *place = stray_find(map, key, spot);

	if (!place)
		return false;
	size_t at = (size_t)(place - map->lines[0].values); // with the keys' places in between
	entry_clear(map, key, at / (2 * LINE_SLOTS) * LINE_SLOTS + at % (2 * LINE_SLOTS));
	return true;
}

// Not the filter first: nearly all deletions are of keys that are there.
static inline bool table_delete(struct hw_map *map, uint64_t key)
{
	uint64_t spot = hw_map_spot_(map, key);
	unsigned match = hw_map_match_used_(map, spot / SPOTS, key);

	if (__builtin_expect(!match, 0))
		return table_delete_stray(map, key, spot);
	slot_clear(map, spot / SPOTS, match);
	return true;
}

static bool map_delete_moving(struct hw_map *map, uint64_t key)
{
	struct hw_map *table = table_of(map, key);

	if (!table_delete(table, key))
		return false;
	if (table != map) {
		map->count--;
		map->changes++;
	}
	return true;
}

void hw_map_shrink_some_(struct hw_map *map)
{
	hw_map_resize_(map, lines_after_shrinking(map->count)); // failing is no failure
}

bool hw_map_delete_any_(struct hw_map *map, uint64_t key)
{
	if (__builtin_expect(map->order <= HW_MAP_MOVING_, 0)) {
		hw_map_move_on_(map, LINES_A_STEP);
		if (map->order <= HW_MAP_MOVING_)
			return map->move && map_delete_moving(map, key);
	}
	if (!table_delete(map, key))
		return false;
	if (map->count < map->shrink_at)
		hw_map_shrink_some_(map);
	return true;
}

// The slots of `lines` lines are numbered from `first` on.
static bool table_walk_on(
	const struct hw_map *map, struct hw_map_walk *walk, size_t first, size_t lines)
{
	size_t next = walk->next_slot > first ? walk->next_slot - first : 0;
	unsigned skip = next % LINE_SLOTS;

	for (size_t line = next / LINE_SLOTS; line < lines; line++, skip = 0) {
		unsigned used = slots_used(map, line) & (~0u << skip);
		if (used) {
			unsigned slot = (unsigned)__builtin_ctz(used);
			walk->key = map->lines[line].keys[slot];
			walk->value = map->lines[line].values[slot];
			walk->next_slot = first + line * LINE_SLOTS + slot + 1;
			return true;
		}
	}
	return false;
}

// While the map is moving the old table's slots come after the new one's; what was moved is not in them any more.
bool hw_map_walk_on(const struct hw_map *map, struct hw_map_walk *walk)
{
	size_t lines = line_count(map);

	if (!map->move)
		return table_walk_on(map, walk, 0, lines);
	const struct hw_map *old = &map->move->old;
	return table_walk_on(map, walk, 0, map->move->prepared) ||
	       table_walk_on(old, walk, lines * LINE_SLOTS, line_count(old));
}

static bool iterator_is_valid(struct hw_map_iterator *iterator)
{
	if (iterator->changes != iterator->map->changes)
		iterator->failed = true;
	return !iterator->failed;
}

const struct hw_map_walk *hw_map_iterator_next(struct hw_map_iterator *iterator)
{
	if (!iterator_is_valid(iterator))
		return NULL;
	iterator->removed = !hw_map_walk_on(iterator->map, &iterator->walk);
	return iterator->removed ? NULL : &iterator->walk;
}

// The map is not rebuilt meanwhile: the walk goes by places.
bool hw_map_iterator_remove(struct hw_map_iterator *iterator)
{
	struct hw_map *map = iterator->map;

	if (iterator->removed || !iterator_is_valid(iterator))
		return false;
	size_t slot = iterator->walk.next_slot - 1, own_slots = line_count(map) * LINE_SLOTS;
	if (slot < own_slots) {
		entry_clear(map, iterator->walk.key, slot);
	} else {
		entry_clear(&map->move->old, iterator->walk.key, slot - own_slots);
		map->count--;
		map->changes++;
	}
	iterator->changes = map->changes;
	iterator->removed = true;
	return true;
}

struct hw_map_entry *hw_map_snapshot(const struct hw_map *map, size_t *count)
{
	struct hw_map_entry *entries = map->count ? malloc(map->count * sizeof(*entries)) : NULL;
	size_t filled = 0;

	if (entries)
		hw_map_each (map, entry)
			entries[filled++] = (struct hw_map_entry){entry->key, entry->value};
	*count = map->count;
	return entries;
}

bool hw_map_shrink(struct hw_map *map)
{
	size_t lines = lines_for(map->count);

	if (!map->count) {
		hw_map_free_(map);
		map->move = NULL;
		map->order = HW_MAP_NO_TABLE_;
		map->lines = NULL;
		map->filters = NULL;
		map->scale = map->grow_at = map->shrink_at = map->held_bytes = 0;
		return true;
	}
	hw_map_move_on_(map, SIZE_MAX);
	return lines >= line_count(map) || hw_map_rebuild_(map, lines);
}
