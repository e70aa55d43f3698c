// How the hash map gets another table. The home line is a fraction of the number of lines, so keys keep their order: the
// old table is read and the new one filled in ascending order, but for strays. A big one shrinks where it lies, and grows
// there, in descending order.
//
// This may be done in parts. A part ends after a line that no key has passed, so that the keys at home in the lines
// before are exactly those that were read: a key's home in the old table says in which one it is. Strays that went round
// from the last line to the first ones are left there until the end, when reading goes round after them. What was moved
// is deleted from the old table's states, and the new table is put in order just ahead of what is moved into it.
#include <string.h>

#include "containers/map_table.h"

enum {
	READ_AHEAD = 64 * sizeof(struct hw_map_line),
	PREPARED_AHEAD = 64,          // lines
	PREPARED_BELOW = 1024,        // the same in descending order
	LINES_READ = 64 / LINE_SLOTS, // at a time
	IN_PLACE_MARGIN = (PREPARED_AHEAD + 4) * sizeof(struct hw_map_line),
	IN_PLACE_WAY = 1024,     // lines that a key may be away from home
	IN_PLACE_FROM = 4 << 20, // bytes; of less, hw_heap copies, and promises no zeros
	PAGE = 4096,
};

// The golden ratio's fraction: consecutive keys fall as far apart as can be.
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

// What the free slots of a line hold: a key that is at home elsewhere, so that no lookup finds it.
static inline uint64_t filler(const struct hw_map *map, size_t line)
{
	return line ? 0 : map->foreign;
}

// The filters, then the states: where the block lies on huge pages, its end does not.
static size_t summary_bytes(size_t lines)
{
	size_t bytes = lines * (sizeof(uint32_t) + sizeof(uint8_t));

	return (bytes + sizeof(struct hw_map_line) - 1) & ~(sizeof(struct hw_map_line) - 1);
}

static inline size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void lines_free(struct hw_map *map, size_t line, size_t end)
{
	memset(map->filters + line, 0xff, (end - line) * sizeof(*map->filters));
	memset(map->states + line, 0, end - line);
	end = smaller(end, map->move->zero);
	for (; line < end; line++)
		for (unsigned i = 0; i < LINE_SLOTS; i++)
			map->lines[line].keys[i] = filler(map, line);
}

void hw_map_prepare_(struct hw_map *map, size_t end)
{
	size_t line = map->move->prepared;

	map->move->prepared = end = smaller(end + PREPARED_AHEAD, line_count(map));
	lines_free(map, line, end);
}

// A table that has just grown, and is therefore not half full, is given time to lose half of its entries: the deletions may
// be followed by more insertions, and moving what is left then is half the work.
static size_t shrink_limit(size_t count, size_t lines)
{
	size_t slots = lines * LINE_SLOTS, limit = slots * 2 / 5;

	if (lines < 2 * LINES_MIN)
		return 0;
	return count && count < slots / 2 && count / 2 < limit ? count / 2 : limit;
}

static size_t block_bytes(size_t lines)
{
	return summary_bytes(lines) + lines * sizeof(struct hw_map_line);
}

// The first line of a map's block, whose first `used` bytes were used before, from which on the memory is known to be fresh.
// Their free slots need no filler then: it is 0, but for the first line's.
static size_t line_zero(const struct hw_map *map, const char *block, size_t used)
{
	const char *fresh = block + ((used + PAGE - 1) & ~(size_t)(PAGE - 1));
	const char *lines = (const char *)map->lines;

	if ((map->allocator && map->allocator != &hw_heap) || map->held_bytes < IN_PLACE_FROM)
		return SIZE_MAX;
	if (fresh <= lines)
		return 1;
	return ((size_t)(fresh - lines) + sizeof(*map->lines) - 1) / sizeof(*map->lines);
}

static void block_place(struct hw_map *map, char *block, size_t lines)
{
	map->filters = (uint32_t *)block;
	map->states = (uint8_t *)(map->filters + lines);
	map->lines = (struct hw_map_line *)(block + summary_bytes(lines));
}

// Makes the block, which is not prepared, the map's table.
static void block_use(struct hw_map *map, char *block, size_t lines)
{
	block_place(map, block, lines);
	map->scale = lines * SPOTS;
	for (map->foreign = 1; hw_map_spot_(map, map->foreign) < SPOTS;)
		map->foreign++;
	map->grow_at = lines * LINE_SLOTS * 5 / 6;
	map->shrink_at = shrink_limit(map->count, lines);
	map->rebuilt = map->changes;
	map->crowded = false;
	map->stale = false;
}

// Gives the map a block of `lines` lines, not prepared, in place of the one it has. False when out of memory.
static bool map_renew(struct hw_map *map, size_t lines, uint64_t multiplier)
{
	if (lines > UINT32_MAX)
		return false;
	char *block = hw_alloc(map->allocator, block_bytes(lines), sizeof(*map->lines));
	if (!block)
		return false;
	map->multiplier = multiplier ? multiplier : MULTIPLIER;
	block_use(map, block, lines);
	map->held_bytes = block_bytes(lines);
	return true;
}

// Strays went round as far as lines were passed.
static size_t lines_wrapped(const struct hw_map *map)
{
	size_t lines = line_count(map), wrapped = 0;

	if (lines && keys_passed(map, lines - 1))
		while (wrapped < lines && keys_passed(map, wrapped++))
			;
	return wrapped;
}

static bool move_begin(
	struct hw_map *map, struct hw_map_move_ *move, size_t lines, uint64_t multiplier)
{
	*move = (struct hw_map_move_){
		.old = *map, .order = map->order, .wrapped = lines_wrapped(map)};
	if (!map_renew(map, lines, multiplier))
		return false;
	move->zero = line_zero(map, (const char *)map->filters, 0);
	map->held_bytes += move->old.held_bytes;
	map->order = move->old.order = HW_MAP_MOVING_;
	map->move = move;
	return true;
}

// The slots that are used in some lines, a bit each.
static inline uint64_t slots_of(const struct hw_map *map, size_t first, size_t lines)
{
	uint64_t used = 0;

	for (size_t i = 0; i < lines; i++)
		used |= (uint64_t)slots_used(map, first + i) << i * LINE_SLOTS;
	return used;
}

// The same of a line, but for strays that went round; and the line is then without them. Such may have passed it: its count
// stays.
static uint64_t slots_take_own(const struct hw_map *map, size_t line)
{
	unsigned own = 0;

	for (unsigned used = slots_used(map, line); used; used &= used - 1) {
		unsigned slot = (unsigned)__builtin_ctz(used);
		if (hw_map_spot_(map, map->lines[line].keys[slot]) / SPOTS <= line)
			own |= 1u << slot;
	}
	map->states[line] &= (uint8_t)~own;
	return own;
}

// The same, and the lines are then empty.
static uint64_t slots_take(const struct hw_map *map, size_t first, size_t lines)
{
	uint64_t used = slots_of(map, first, lines);

	for (size_t line = first; line < first + lines; line++)
		__builtin_prefetch((const char *)&map->lines[line] + READ_AHEAD);
	memset(map->states + first, 0, lines);
	return used;
}

// Fills in what is in these slots of the lines from `from` on. Nearly all keys go to their home lines. The copy of what
// describes the table is one that no store can change: it stays in registers.
static void slots_move(struct hw_map *map, const struct hw_map_line *from, uint64_t used)
{
	const struct hw_map table = *map;

	for (; used; used &= used - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(used);
		uint64_t key = from[slot / LINE_SLOTS].keys[slot % LINE_SLOTS];
		uint64_t value = from[slot / LINE_SLOTS].values[slot % LINE_SLOTS];
		uint64_t spot = hw_map_spot_(&table, key);
		size_t line = spot / SPOTS;
		line_prepare(map, line);
		unsigned free_slots = hw_map_free_slots_(&table, line);
		if (__builtin_expect(free_slots, 1)) {
			hw_map_mark_(&table, spot);
		} else {
			line = line_choose(map, spot);
			free_slots = hw_map_free_slots_(map, line);
		}
		hw_map_fill_(&table, line, free_slots, key, value);
	}
}

// Where the keys begin in the new table that are at home from this line of the old one on.
static size_t line_scaled(const struct hw_map *map, size_t old_line)
{
	return (size_t)((unsigned __int128)old_line * line_count(map) /
			line_count(&map->move->old));
}

// Moves `part` lines or more. True when nothing is left to move.
static bool move_part(struct hw_map *map, size_t part)
{
	struct hw_map_move_ *move = map->move;
	struct hw_map *old = &move->old;
	size_t lines = line_count(old), end = move->read + smaller(part, lines - move->read);
	bool may_end = true;

	while (move->read < end || !may_end) {
		size_t round = move->read < lines ? 0 : lines, first = move->read - round, read = 1;
		bool passed = keys_passed(old, first);
		uint64_t used;
		if (__builtin_expect(move->read < move->wrapped, 0)) {
			used = slots_take_own(old, first);
		} else {
			if (move->read < end)
				read = smaller(end - move->read, LINES_READ);
			passed = keys_passed(old, first + read - 1);
			used = slots_take(old, first, read);
		}
		slots_move(map, &old->lines[first], used);
		move->read += read;
		may_end = !passed || move->read == 2 * lines;
	}
	if (move->read >= lines)
		return true;
	// A key that is at home before `moved` in the old table is not at home after this line in the new one.
	line_prepare(map, line_scaled(map, move->read));
	move->moved = move->read;
	return false;
}

static void move_over(struct hw_map *map)
{
	uint8_t order = map->move->order;

	map->order = order < HW_MAP_LINE_AND_STATE_ ? HW_MAP_FILTER_FIRST_ : line_order(map);
	map->move = NULL;
}

static void move_end(struct hw_map *map)
{
	struct hw_map_move_ *move = map->move;

	line_prepare(map, line_count(map) - 1);
	hw_free(map->allocator, move->old.filters, move->old.held_bytes, sizeof(*map->lines));
	map->held_bytes -= move->old.held_bytes;
	move_over(map);
}

void hw_map_move_on_(struct hw_map *map, size_t lines)
{
	struct hw_map_move_ *move = map->move;

	if (!move || !move_part(map, lines))
		return;
	move_end(map);
	hw_free(map->allocator, move, sizeof(*move), _Alignof(struct hw_map_move_));
	map->held_bytes -= sizeof(*move);
}

void hw_map_free_(struct hw_map *map)
{
	struct hw_map_move_ *move = map->move;
	size_t held = map->held_bytes;

	if (move) {
		held -= move->old.held_bytes + sizeof(*move);
		hw_free(map->allocator, move->old.filters, move->old.held_bytes,
			sizeof(*map->lines));
		hw_free(map->allocator, move, sizeof(*move), _Alignof(struct hw_map_move_));
	}
	hw_free(map->allocator, map->filters, held, sizeof(*map->lines));
}

// A smaller table takes the place of the one that is read: it begins so far before its lines that what is filled in, and
// prepared, lies before what is still to be read. For in the new table no key goes further than in the old one: of keys
// that are at home in lines a to b there, and therefore read from these, no more than fit into b - a lines go into lines
// from a times the tables' ratio on. Needs no memory but for the states. False: it cannot be done like this.
static bool map_shrink_in_place(struct hw_map *map, size_t lines)
{
	size_t old_lines = line_count(map), held = map->held_bytes;
	struct hw_map_move_ move = {.old = *map, .order = map->order, .zero = SIZE_MAX};

	if (lines >= old_lines || block_bytes(lines) < IN_PLACE_FROM ||
		summary_bytes(old_lines) - summary_bytes(lines) < IN_PLACE_MARGIN ||
		lines_wrapped(map))
		return false;
	move.old.states = hw_alloc(map->allocator, old_lines, 1);
	if (!move.old.states)
		return false;
	memcpy(move.old.states, map->states, old_lines);
	block_use(map, (char *)map->filters, lines);
	map->move = &move;
	move_part(map, SIZE_MAX);
	line_prepare(map, lines - 1);
	move_over(map);
	hw_free(map->allocator, move.old.states, old_lines, 1);
	char *block = hw_resize(
		map->allocator, map->filters, held, block_bytes(lines), sizeof(*map->lines));
	if (block) {
		block_place(map, block, lines);
		map->held_bytes = block_bytes(lines);
	}
	return true;
}

// No key has gone further than this.
static bool ways_are_short(const struct hw_map *map)
{
	size_t way = 0;

	for (size_t line = 0; line < line_count(map) && way <= IN_PLACE_WAY; line++)
		way = keys_passed(map, line) ? way + 1 : 0;
	return way <= IN_PLACE_WAY;
}

// Whether a table of `lines` lines can be made around this one, from the last line to the first. What lies before the lines
// becomes longer: a line that is prepared lies behind those still to be read, although their keys may have gone away from
// home, and although more is prepared than is needed at once. No key goes round, for none has.
static bool can_grow_in_place(const struct hw_map *map, size_t lines)
{
	size_t old_lines = line_count(map);

	if (lines < 2 * old_lines || block_bytes(old_lines) < IN_PLACE_FROM)
		return false;
	size_t ahead = IN_PLACE_WAY * (lines / old_lines + 1) + PREPARED_BELOW + LINES_READ;
	return summary_bytes(lines) - summary_bytes(old_lines) >= ahead * sizeof(*map->lines) &&
	       (!map->allocator || map->allocator->resize) && !lines_wrapped(map) &&
	       ways_are_short(map);
}

// Moves everything, from the last line to the first.
static void move_descending(struct hw_map *map)
{
	const struct hw_map *old = &map->move->old;
	size_t prepared = line_count(map);

	for (size_t first, end = line_count(old); end; end = first) {
		first = end > LINES_READ ? end - LINES_READ : 0;
		size_t home = first > IN_PLACE_WAY ? first - IN_PLACE_WAY : 0;
		home = line_scaled(map, home);
		if (home < prepared) {
			home = home > PREPARED_BELOW ? home - PREPARED_BELOW : 0;
			lines_free(map, home, prepared);
			prepared = home;
		}
		for (size_t line = first; line < end; line++)
			__builtin_prefetch((const char *)&old->lines[line] - READ_AHEAD);
		slots_move(map, &old->lines[first], slots_of(old, first, end - first));
	}
}

// What lies before the lines is made elsewhere, and copied over the old one at the end.
static bool map_grow_in_place(struct hw_map *map, size_t lines)
{
	struct hw_map_move_ move = {.old = *map, .order = map->order, .prepared = lines};

	if (!can_grow_in_place(map, lines))
		return false;
	char *summary = hw_alloc(map->allocator, summary_bytes(lines), sizeof(*map->lines));
	if (!summary)
		return false;
	char *block = hw_resize(map->allocator, map->filters, map->held_bytes, block_bytes(lines),
		sizeof(*map->lines));
	if (block) {
		block_place(&move.old, block, line_count(map));
		block_use(map, block, lines);
		map->held_bytes = block_bytes(lines);
		move.zero = line_zero(map, block, move.old.held_bytes);
		map->filters = (uint32_t *)summary;
		map->states = (uint8_t *)(map->filters + lines);
		map->move = &move;
		move_descending(map);
		memcpy(block, summary, summary_bytes(lines));
		block_place(map, block, lines);
		move_over(map);
	}
	hw_free(map->allocator, summary, summary_bytes(lines), sizeof(*map->lines));
	return block;
}

static bool map_move_at_once(struct hw_map *map, size_t lines, uint64_t multiplier)
{
	struct hw_map_move_ move;

	hw_map_move_on_(map, SIZE_MAX);
	if (multiplier == map->multiplier &&
		(map_shrink_in_place(map, lines) || map_grow_in_place(map, lines)))
		return true;
	if (!move_begin(map, &move, lines, multiplier))
		return false;
	move_part(map, SIZE_MAX);
	move_end(map);
	return true;
}

bool hw_map_rebuild_(struct hw_map *map, size_t lines)
{
	return map_move_at_once(map, lines, map->multiplier);
}

bool hw_map_resize_(struct hw_map *map, size_t lines)
{
	if (!map->gradual || !map->count)
		return hw_map_rebuild_(map, lines);
	hw_map_move_on_(map, SIZE_MAX);
	struct hw_map_move_ *move =
		hw_alloc(map->allocator, sizeof(*move), _Alignof(struct hw_map_move_));
	if (!move)
		return false;
	if (!move_begin(map, move, lines, map->multiplier)) {
		hw_free(map->allocator, move, sizeof(*move), _Alignof(struct hw_map_move_));
		return false;
	}
	map->held_bytes += sizeof(*move);
	return true;
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

void hw_map_respread_(struct hw_map *map)
{
	if (map->changes - map->rebuilt >= map->count / 4)
		map_move_at_once(map, line_count(map),
			multiplier_from(map->multiplier ^ (uintptr_t)map->lines));
}
