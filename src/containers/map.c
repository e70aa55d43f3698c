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
#include <string.h>

enum {
	LINE_SLOTS = HW_MAP_LINE_SLOTS,
	ALL_USED = (1 << LINE_SLOTS) - 1,
	PASSED_ONE = 1 << LINE_SLOTS, // in a state
	PASSED_STUCK = 15 * PASSED_ONE,
	INSERTIONS_A_MENDING = 4,
	SPOTS = 256, // in a line
	LINES_MIN = 2,
	READ_AHEAD = 64 * sizeof(struct hw_map_line),
	PREPARED_AHEAD = 64,
	LONG_WAY = 128, // lines; where keys are spread well, none goes half as far
	BATCH = 32,
	HITS_CONVINCE = 64, // so many in a row make the map look into the line first
	MISS_COUNTS = 2,    // of them
};

// The golden ratio's fraction: consecutive keys fall as far apart as can be.
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

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

static inline size_t line_count(const struct hw_map *map)
{
	return map->scale / SPOTS;
}

static inline size_t line_after(const struct hw_map *map, size_t line)
{
	return ++line == line_count(map) ? 0 : line;
}

// A state: a bit for each slot that is used, and above them how many keys went past the line when it was full.
static inline unsigned slots_used(const struct hw_map *map, size_t line)
{
	return map->states[line] & ALL_USED;
}

static inline unsigned keys_passed(const struct hw_map *map, size_t line)
{
	return map->states[line] & ~(unsigned)ALL_USED;
}

// What the free slots of a line hold: a key that is at home elsewhere, so that no lookup finds it.
static inline uint64_t filler(const struct hw_map *map, size_t line)
{
	return line ? 0 : map->foreign;
}

static uint8_t line_order(const struct hw_map *map)
{
	return map->stale ? HW_MAP_LINE_AND_STATE_ : HW_MAP_LINE_ALONE_;
}

// Learns from a lookup that took the long way, in either order a few of a hundred. Readers may do so at the same time: it
// does not matter which of them is heard.
static void order_learn(const struct hw_map *map, bool hit)
{
	uint8_t *order = (uint8_t *)&map->order, *hits = (uint8_t *)&map->hits;
	uint8_t before = __atomic_load_n(hits, __ATOMIC_RELAXED), now = HITS_CONVINCE;
	bool filter_first = __atomic_load_n(order, __ATOMIC_RELAXED) == HW_MAP_FILTER_FIRST_;

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

uint64_t *hw_map_find_stray_(const struct hw_map *map, uint64_t key, uint64_t spot)
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
		     : hw_map_find_stray_(map, key, spot);
}

// A batch goes through in three rounds, each of which asks for the memory that the next one needs: the filters, then
// the lines.
size_t hw_map_get_many(const struct hw_map *map, const uint64_t *keys, size_t count,
	uint64_t *values, uint64_t absent)
{
	uint64_t spots[BATCH];
	size_t found = 0;

	for (size_t start = 0; start < count; start += BATCH) {
		size_t batch = count - start < BATCH ? count - start : BATCH;
		for (size_t i = 0; map->count && i < batch; i++) {
			spots[i] = hw_map_spot_(map, keys[start + i]);
			__builtin_prefetch(&map->filters[spots[i] / SPOTS]);
		}
		for (size_t i = 0; map->count && i < batch; i++)
			if (hw_map_may_have_(map, spots[i]))
				__builtin_prefetch(hw_map_line_(map, spots[i]));
		for (size_t i = start; i < start + batch; i++) {
			values[i] = absent;
			found += hw_map_get(map, keys[i], &values[i]);
		}
	}
	return found;
}

// Fills a slot of a line that has a free one.
static inline uint64_t *slot_fill(struct hw_map *map, size_t line, uint64_t key, uint64_t value)
{
	unsigned slot = (unsigned)__builtin_ctz(~(unsigned)map->states[line]);

	map->states[line] |= (uint8_t)(1u << slot);
	map->lines[line].keys[slot] = key;
	map->lines[line].values[slot] = value;
	return &map->lines[line].values[slot];
}

// The line for a key that is not in the map, which has room.
static inline size_t line_choose(struct hw_map *map, uint64_t spot)
{
	size_t line = spot / SPOTS, way = 0;

	map->filters[line] &= ~hw_map_pairs_[spot % SPOTS];
	while (__builtin_expect(slots_used(map, line) == ALL_USED, 0)) {
		if (keys_passed(map, line) != PASSED_STUCK)
			map->states[line] += PASSED_ONE;
		line = line_after(map, line);
		way++;
	}
	if (__builtin_expect(way >= LONG_WAY, 0))
		map->crowded = true;
	return line;
}

// The filters, then the states: where the block lies on huge pages, its end does not.
static size_t summary_bytes(size_t lines)
{
	size_t bytes = lines * (sizeof(uint32_t) + sizeof(uint8_t));

	return (bytes + sizeof(struct hw_map_line) - 1) & ~(sizeof(struct hw_map_line) - 1);
}

// Marks the slots of the lines from `line` to beyond `end` as free. Returns where it stopped.
static size_t lines_prepare(struct hw_map *map, size_t line, size_t end)
{
	end = end + PREPARED_AHEAD < line_count(map) ? end + PREPARED_AHEAD : line_count(map);
	for (; line < end; line++)
		for (unsigned i = 0; i < LINE_SLOTS; i++)
			map->lines[line].keys[i] = filler(map, line);
	return end;
}

// A table that has just grown is given some time: the next deletions may be followed by more insertions.
static size_t shrink_limit(size_t count, size_t lines)
{
	size_t limit = lines * LINE_SLOTS * 2 / 5, later = count - count / 4;

	if (lines < 2 * LINES_MIN)
		return 0;
	return count && later < limit ? later : limit;
}

// Gives the map a block of `lines` lines, all free, in place of the one it has. NULL when out of memory.
static bool map_renew(struct hw_map *map, size_t lines)
{
	if (lines > UINT32_MAX)
		return false;
	size_t summaries = summary_bytes(lines), bytes = summaries + lines * sizeof(*map->lines);
	char *block = hw_alloc(map->allocator, bytes, sizeof(*map->lines));
	if (!block)
		return false;
	memset(block, 0xff, lines * sizeof(*map->filters));
	memset(block + lines * sizeof(*map->filters), 0, lines);
	map->filters = (uint32_t *)block;
	map->states = (uint8_t *)(map->filters + lines);
	map->lines = (struct hw_map_line *)(block + summaries);
	if (!map->multiplier)
		map->multiplier = MULTIPLIER;
	map->scale = lines * SPOTS;
	for (map->foreign = 1; hw_map_spot_(map, map->foreign) < SPOTS;)
		map->foreign++;
	map->grow_at = lines * LINE_SLOTS * 5 / 6;
	map->shrink_at = shrink_limit(map->count, lines);
	map->stale = false;
	map->order =
		map->order < HW_MAP_LINE_AND_STATE_ ? HW_MAP_FILTER_FIRST_ : HW_MAP_LINE_ALONE_;
	map->rebuilt = map->changes;
	map->crowded = false;
	map->held_bytes = bytes;
	return true;
}

// Copies what is in a line, and has room for as much as could be in it. Returns how many entries it was; without branches,
// for they would go wrong half of the time.
static inline size_t line_read(const struct hw_map *map, size_t line, struct hw_map_entry *entries)
{
	size_t count = 0;

	for (unsigned i = 0; i < LINE_SLOTS; i++) {
		entries[count].key = map->lines[line].keys[i];
		entries[count].value = map->lines[line].values[i];
		count += map->states[line] >> i & 1;
	}
	return count;
}

// Moves everything into a block of `lines` lines. False when out of memory; the map is then as it was.
//
// New lines are filled in ascending order, but for strays. Their free slots are prepared just before, while they are in
// the cache.
static bool map_rebuild(struct hw_map *map, size_t lines)
{
	struct hw_map old = *map;
	size_t prepared = 0;

	if (!map_renew(map, lines))
		return false;
	for (size_t from = 0; from < line_count(&old);) {
		struct hw_map_entry entries[BATCH + LINE_SLOTS];
		size_t count = 0;
		for (; from < line_count(&old) && count < BATCH; from++) {
			__builtin_prefetch((char *)&old.lines[from] + READ_AHEAD);
			count += line_read(&old, from, entries + count);
		}
		for (size_t i = 0; i < count; i++) {
			size_t line = line_choose(map, hw_map_spot_(map, entries[i].key));
			if (line >= prepared)
				prepared = lines_prepare(map, prepared, line + 1);
			slot_fill(map, line, entries[i].key, entries[i].value);
		}
	}
	lines_prepare(map, prepared, lines);
	hw_free(map->allocator, old.filters, old.held_bytes, sizeof(*old.lines));
	return true;
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
	hw_free(map->allocator, map->filters, map->held_bytes, sizeof(*map->lines));
	hw_map_init(map);
}

static uint64_t multiplier_from(uint64_t seed)
{
	seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (MULTIPLIER + (seed ^ (seed >> 31))) | 1;
}

void hw_map_seed(struct hw_map *map, uint64_t seed)
{
	map->multiplier = multiplier_from(seed);
}

// Tries another multiplier. Not again until the map has changed by a quarter, so that it costs O(1) a change, whatever
// the keys.
static void map_respread(struct hw_map *map)
{
	uint64_t before = map->multiplier;

	if (map->changes - map->rebuilt < map->count / 4)
		return;
	map->multiplier = multiplier_from(before ^ (uintptr_t)map->lines);
	if (!map_rebuild(map, line_count(map)))
		map->multiplier = before;
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
	return count <= map->grow_at || map_rebuild(map, lines_for(count));
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

uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial)
{
	uint64_t spot = hw_map_spot_(map, key), *place;

	if (map->count) {
		__builtin_prefetch(hw_map_line_(map, spot), 1);
		if (hw_map_may_have_(map, spot) && (place = place_find(map, key, spot)))
			return place;
	}
	if (__builtin_expect(map->count >= map->grow_at, 0)) {
		if (!map_rebuild(map, map->scale ? line_count(map) * 2 : LINES_MIN))
			return NULL;
		spot = hw_map_spot_(map, key);
	}
	map->count++;
	map->changes++;
	size_t line = line_choose(map, spot);
	place = slot_fill(map, line, key, initial);
	// Deleted keys' bits may be others', too. To find out is dear, and a few bits too many do little harm.
	if (__builtin_expect(keys_come_and_go(map), 0) && spot % INSERTIONS_A_MENDING == 0 &&
		line == spot / SPOTS && !keys_passed(map, line))
		filter_mend(map, line);
	if (__builtin_expect(map->crowded, 0)) {
		map_respread(map);
		spot = hw_map_spot_(map, key);
		place = place_find(map, key, spot);
	}
	return place;
}

bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value)
{
	uint64_t *place = hw_map_at(map, key, value);

	if (place)
		*place = value;
	return place;
}

// The key stays in the line, which would have to go back to memory otherwise.
static inline void slot_clear(struct hw_map *map, size_t line, unsigned match)
{
	map->states[line] &= (uint8_t)~match;
	map->count--;
	map->changes++;
	if (__builtin_expect(!map->stale, 0)) {
		map->stale = true;
		if (map->order == HW_MAP_LINE_ALONE_)
			map->order = HW_MAP_LINE_AND_STATE_;
	}
}

// The same for a key that may be a stray.
static void entry_clear(struct hw_map *map, uint64_t key, size_t line, unsigned match)
{
	slot_clear(map, line, match);
	for (size_t at = hw_map_spot_(map, key) / SPOTS; at != line; at = line_after(map, at))
		if (keys_passed(map, at) != PASSED_STUCK)
			map->states[at] -= PASSED_ONE;
}

static bool map_delete_stray(struct hw_map *map, uint64_t key, uint64_t spot)
{
	const uint64_t *place = hw_map_find_stray_(map, key, spot);

	if (!place)
		return false;
	size_t slot = (size_t)(place - map->lines[0].values);
	entry_clear(map, key, slot / (2 * LINE_SLOTS), 1u << slot % (2 * LINE_SLOTS));
	return true;
}

// Not the filter first: nearly all deletions are of keys that are there.
bool hw_map_delete(struct hw_map *map, uint64_t key)
{
	if (__builtin_expect(!map->count, 0))
		return false;
	uint64_t spot = hw_map_spot_(map, key);
	unsigned match = hw_map_match_used_(map, spot / SPOTS, key);
	if (__builtin_expect(match != 0, 1))
		slot_clear(map, spot / SPOTS, match);
	else if (!map_delete_stray(map, key, spot))
		return false;
	if (__builtin_expect(map->count < map->shrink_at, 0))
		map_rebuild(map, lines_after_shrinking(map->count)); // failing is no failure
	return true;
}

bool hw_map_walk_on(const struct hw_map *map, struct hw_map_walk *walk)
{
	unsigned skip = walk->next_slot % LINE_SLOTS;

	for (size_t line = walk->next_slot / LINE_SLOTS; line < line_count(map); line++, skip = 0) {
		unsigned used = slots_used(map, line) & (~0u << skip);
		if (used) {
			unsigned slot = (unsigned)__builtin_ctz(used);
			walk->key = map->lines[line].keys[slot];
			walk->value = map->lines[line].values[slot];
			walk->next_slot = line * LINE_SLOTS + slot + 1;
			return true;
		}
	}
	return false;
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
	size_t slot = iterator->walk.next_slot - 1;
	entry_clear(map, iterator->walk.key, slot / LINE_SLOTS, 1u << slot % LINE_SLOTS);
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
		hw_free(map->allocator, map->filters, map->held_bytes, sizeof(*map->lines));
		map->order = HW_MAP_NO_TABLE_;
		map->lines = NULL;
		map->filters = NULL;
		map->scale = map->grow_at = map->shrink_at = map->held_bytes = 0;
		return true;
	}
	return lines >= line_count(map) || map_rebuild(map, lines);
}
