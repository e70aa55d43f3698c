// The hash map's table, for the sources that make up the map: map.c says how it works, map_rebuild.c replaces it.
#ifndef CONTAINERS_MAP_TABLE_H
#define CONTAINERS_MAP_TABLE_H

#include "heapwhy/map.h"

enum {
	LINE_SLOTS = HW_MAP_LINE_SLOTS,
	ALL_USED = (1 << LINE_SLOTS) - 1,
	PASSED_ONE = 1 << LINE_SLOTS, // in a state
	PASSED_STUCK = 15 * PASSED_ONE,
	SPOTS = 256, // in a line
	LINES_MIN = 2,
	LONG_WAY = 128, // lines; where keys are spread well, none goes half as far
};

// A table on its way into a larger or smaller one, which is the map's already.
struct hw_map_move_ {
	struct hw_map old; // of it, the table only
	size_t moved;      // the keys at home in so many lines of the old table are in the new one
	uint8_t order;     // of looking things up, before
	size_t read;       // lines of the old table; more than there are when strays went round
	size_t wrapped;    // so many lines at its start may hold strays from its end
	size_t prepared;   // lines of the new table
	size_t zero;       // from this line on they are fresh memory
};

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

// How to look things up where hits prevail.
static inline uint8_t line_order(const struct hw_map *map)
{
	return map->stale ? HW_MAP_LINE_AND_STATE_ : HW_MAP_LINE_ALONE_;
}

// Makes the lines before `end`, and some more, of a new table free.
void hw_map_prepare_(struct hw_map *map, size_t end);

// Before a line of a map that is moving is touched.
static inline void line_prepare(struct hw_map *map, size_t line)
{
	if (line >= map->move->prepared)
		hw_map_prepare_(map, line + 1);
}

// The line for a key that is not in the map, which has room.
static inline size_t line_choose(struct hw_map *map, uint64_t spot)
{
	size_t line = spot / SPOTS, way = 0;

	hw_map_mark_(map, spot);
	while (__builtin_expect(!hw_map_free_slots_(map, line), 0)) {
		if (keys_passed(map, line) != PASSED_STUCK)
			map->states[line] += PASSED_ONE;
		line = line_after(map, line);
		way++;
		if (map->move)
			line_prepare(map, line);
	}
	if (__builtin_expect(way >= LONG_WAY, 0))
		map->crowded = true;
	return line;
}

// Moves everything into a table of `lines` lines. False when out of memory; the map is then as it was.
bool hw_map_rebuild_(struct hw_map *map, size_t lines);

// The same, but where the map is to be rebuilt gradually this is only the beginning.
bool hw_map_resize_(struct hw_map *map, size_t lines);

// Moves `lines` more lines, if the map is moving; when those were the last ones, it is not any longer.
void hw_map_move_on_(struct hw_map *map, size_t lines);

// Frees what the map holds; the fields that describe it stay.
void hw_map_free_(struct hw_map *map);

// The table that has `key` if any has, while the map is moving.
static inline struct hw_map *table_of(const struct hw_map *map, uint64_t key)
{
	struct hw_map_move_ *move = map->move;
	bool moved = hw_map_spot_(&move->old, key) / SPOTS < move->moved;

	return moved ? (struct hw_map *)map : &move->old;
}

// Takes another multiplier, unless the map has hardly changed since the last rebuild: O(1) a change, whatever the keys.
void hw_map_respread_(struct hw_map *map);

#endif
