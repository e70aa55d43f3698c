// Slots come in groups of 15. A group's 15 tags, a byte of each key's hash (0: the slot is free), and its overflow
// count share 16 bytes, so one vector comparison finds the candidates among 15 slots, and a lookup that misses touches
// nothing but those 16 bytes, as a rule. The entries lie apart, 16 bytes each.
//
// A key belongs into its home group, or, where that is full, into the next group that has room.
// The overflow count of a group says how many keys went past it: a lookup ends at the first group whose count is 0.
// Deleting a key counts down along its way, so nothing is left behind. A count that reaches 255 stays there until the
// next rebuild; that only costs time.
//
// The home group is hash * groups / 2^64, for any number of groups. So keys keep their order of hashes when the table
// grows or shrinks: a rebuild reads and writes memory in ascending order, and is cheap.
//
// Where the table is larger than the caches, the speed is that of memory, and what counts is how many lookups wait for
// it at the same time. The usual cases are therefore short and without branches that could be mispredicted late.
#include "heapwhy/map.h"

#include <stdlib.h>
#include <string.h>

enum {
	GROUP_SLOTS = HW_MAP_GROUP_SLOTS,
	ALL_SLOTS = (1 << GROUP_SLOTS) - 1,
	OVERFLOW_STUCK = 255,
	BLOCK_ALIGNMENT = 64,
	BATCH = 32,
};

static const struct hw_measure map_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_map, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_map, count, sizeof(struct hw_map_entry)),
	HW_MEASURE(HW_HELD_BYTES, struct hw_map, held_bytes),
};
static const struct hw_kind map_kind = HW_KIND("map", map_measures);

static inline size_t group_next(const struct hw_map *map, size_t group)
{
	return ++group == map->group_count ? 0 : group;
}

struct hw_map_entry *hw_map_find_on_(
	const struct hw_map *map, uint64_t key, struct hw_map_place_ place)
{
	for (;;) {
		const struct hw_map_group *group = &map->groups[place.group];
		unsigned match = hw_map_match_(group, place.tag);
		for (; match; match &= match - 1) {
			size_t slot = place.group * GROUP_SLOTS + (unsigned)__builtin_ctz(match);
			if (map->entries[slot].key == key)
				return &map->entries[slot];
		}
		if (!group->overflow)
			return NULL;
		place.group = group_next(map, place.group);
	}
}

// A batch goes through in three rounds, each of which asks for the memory that the next one needs: the groups, then the
// first candidates in them.
size_t hw_map_get_many(const struct hw_map *map, const uint64_t *keys, size_t count,
	uint64_t *values, uint64_t absent)
{
	struct hw_map_place_ places[BATCH];
	const struct hw_map_entry *candidates[BATCH];
	size_t found = 0;

	for (size_t start = 0; start < count; start += BATCH) {
		size_t batch = count - start < BATCH ? count - start : BATCH;
		for (size_t i = 0; map->count && i < batch; i++) {
			places[i] = hw_map_place_(map, keys[start + i]);
			__builtin_prefetch(&map->groups[places[i].group]);
		}
		for (size_t i = 0; map->count && i < batch; i++) {
			size_t group = places[i].group;
			unsigned match = hw_map_match_(&map->groups[group], places[i].tag);
			candidates[i] = match ? &map->entries[group * GROUP_SLOTS +
							      (size_t)__builtin_ctz(match)]
					      : NULL;
			__builtin_prefetch(candidates[i]);
		}
		for (size_t i = 0; i < batch; i++) {
			const struct hw_map_entry *entry = map->count ? candidates[i] : NULL;
			if (!entry || entry->key != keys[start + i])
				entry = hw_map_find_(map, keys[start + i]);
			values[start + i] = entry ? entry->value : absent;
			found += entry != NULL;
		}
	}
	return found;
}

// Takes a free slot for a key that is not in the map.
static inline size_t map_claim(struct hw_map *map, struct hw_map_place_ place)
{
	for (;;) {
		struct hw_map_group *group = &map->groups[place.group];
		unsigned free_slots = hw_map_match_(group, 0);
		if (__builtin_expect(free_slots != 0, 1)) {
			unsigned slot = (unsigned)__builtin_ctz(free_slots);
			group->tags[slot] = place.tag;
			return place.group * GROUP_SLOTS + slot;
		}
		if (group->overflow != OVERFLOW_STUCK)
			group->overflow++;
		place.group = group_next(map, place.group);
	}
}

static size_t block_bytes(size_t groups)
{
	return groups * (sizeof(struct hw_map_group) + GROUP_SLOTS * sizeof(struct hw_map_entry));
}

// Moves everything into a block of `groups` groups. False when out of memory; the map is then as it was.
static bool map_rebuild(struct hw_map *map, size_t groups)
{
	struct hw_map old = *map;
	size_t bytes = block_bytes(groups);
	struct hw_map_group *block =
		groups > UINT32_MAX ? NULL : hw_alloc(map->allocator, bytes, BLOCK_ALIGNMENT);

	if (!block)
		return false;
	memset(block, 0, groups * sizeof(*block));
	map->groups = block;
	map->entries = (struct hw_map_entry *)(block + groups);
	map->group_count = groups;
	map->grow_at = groups * GROUP_SLOTS * 7 / 8;
	map->shrink_at = groups > 1 ? groups * GROUP_SLOTS * 3 / 8 : 0;
	map->held_bytes = bytes;
	hw_map_each (&old, entry)
		map->entries[map_claim(map, hw_map_place_(map, entry->key))] = *entry;
	hw_free(map->allocator, old.groups, old.held_bytes, BLOCK_ALIGNMENT);
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
	hw_free(map->allocator, map->groups, map->held_bytes, BLOCK_ALIGNMENT);
	hw_map_init(map);
}

void hw_map_seed(struct hw_map *map, uint64_t seed)
{
	map->seed = seed;
}

// So that a map with `count` entries need not grow.
static size_t groups_for(size_t count)
{
	return count / (GROUP_SLOTS * 7 / 8) + 1;
}

bool hw_map_reserve(struct hw_map *map, size_t count)
{
	size_t groups = groups_for(count);

	return groups <= map->group_count || map_rebuild(map, groups);
}

// A key that is not in the map, whose home group is full, or which the map may be too small for.
static struct hw_map_entry *map_insert_slowly(struct hw_map *map, uint64_t key)
{
	size_t groups = map->group_count * 2 + 1;

	if (map->count >= map->grow_at && !map_rebuild(map, groups))
		return NULL;
	return &map->entries[map_claim(map, hw_map_place_(map, key))];
}

uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial)
{
	struct hw_map_place_ place = hw_map_place_(map, key);
	struct hw_map_group *group = &map->groups[place.group];
	struct hw_map_entry *entry;
	unsigned none;

	if (__builtin_expect(map->count >= map->grow_at || group->overflow ||
				     hw_map_match_(group, place.tag) ||
				     !(none = hw_map_match_(group, 0)),
		    0)) {
		entry = hw_map_find_(map, key);
		if (entry)
			return &entry->value;
		entry = map_insert_slowly(map, key);
		if (!entry)
			return NULL;
	} else {
		unsigned slot = (unsigned)__builtin_ctz(none);
		group->tags[slot] = place.tag;
		entry = &map->entries[place.group * GROUP_SLOTS + slot];
	}
	*entry = (struct hw_map_entry){key, initial};
	map->count++;
	map->changes++;
	return &entry->value;
}

bool hw_map_put(struct hw_map *map, uint64_t key, uint64_t value)
{
	uint64_t *place = hw_map_at(map, key, value);

	if (place)
		*place = value;
	return place;
}

// Frees the entry's slot, which may lie behind its home group.
static void entry_clear(
	struct hw_map *map, const struct hw_map_entry *entry, struct hw_map_place_ place)
{
	size_t slot = (size_t)(entry - map->entries), group = slot / GROUP_SLOTS;
	map->groups[group].tags[slot % GROUP_SLOTS] = 0;
	for (size_t at = place.group; at != group; at = group_next(map, at))
		if (map->groups[at].overflow != OVERFLOW_STUCK)
			map->groups[at].overflow--;
}

// An entry that is not in its home group, or where the group has several candidates.
static bool map_delete_slowly(struct hw_map *map, uint64_t key, struct hw_map_place_ place)
{
	const struct hw_map_entry *entry = hw_map_find_on_(map, key, place);

	if (entry)
		entry_clear(map, entry, place);
	return entry;
}

bool hw_map_delete(struct hw_map *map, uint64_t key)
{
	if (!map->count)
		return false;
	struct hw_map_place_ place = hw_map_place_(map, key);
	struct hw_map_group *group = &map->groups[place.group];
	unsigned match = hw_map_match_(group, place.tag);
	size_t slot = match ? (size_t)__builtin_ctzll(match) : 0;

	if (__builtin_expect(match && !(match & (match - 1)) &&
				     map->entries[place.group * GROUP_SLOTS + slot].key == key,
		    1))
		group->tags[slot] = 0;
	else if (!map_delete_slowly(map, key, place))
		return false;
	map->changes++;
	if (--map->count < map->shrink_at)
		map_rebuild(map, map->group_count / 2 + 1); // failing is no failure
	return true;
}

const struct hw_map_entry *hw_map_next(const struct hw_map *map, const struct hw_map_entry *entry)
{
	if (!map->groups)
		return NULL;
	size_t slot = entry ? (size_t)(entry - map->entries) + 1 : 0;
	unsigned skip = slot % GROUP_SLOTS;

	for (size_t group = slot / GROUP_SLOTS; group < map->group_count; group++, skip = 0) {
		unsigned used = ~hw_map_match_(&map->groups[group], 0) & ALL_SLOTS & (~0u << skip);
		if (used)
			return &map->entries[group * GROUP_SLOTS + (unsigned)__builtin_ctz(used)];
	}
	return NULL;
}

static bool iterator_is_valid(struct hw_map_iterator *iterator)
{
	if (iterator->changes != iterator->map->changes)
		iterator->failed = true;
	return !iterator->failed;
}

const struct hw_map_entry *hw_map_iterator_next(struct hw_map_iterator *iterator)
{
	if (!iterator_is_valid(iterator))
		return NULL;
	iterator->place = hw_map_next(iterator->map, iterator->place);
	iterator->removed = !iterator->place;
	return iterator->place;
}

// The map is not rebuilt meanwhile: the walk goes by places.
bool hw_map_iterator_remove(struct hw_map_iterator *iterator)
{
	struct hw_map *map = iterator->map;

	if (iterator->removed || !iterator_is_valid(iterator))
		return false;
	entry_clear(map, iterator->place, hw_map_place_(map, iterator->place->key));
	map->count--;
	iterator->changes = ++map->changes;
	iterator->removed = true;
	return true;
}

struct hw_map_entry *hw_map_snapshot(const struct hw_map *map, size_t *count)
{
	struct hw_map_entry *entries = map->count ? malloc(map->count * sizeof(*entries)) : NULL;
	size_t filled = 0;

	if (entries)
		hw_map_each (map, entry)
			entries[filled++] = *entry;
	*count = map->count;
	return entries;
}

bool hw_map_shrink(struct hw_map *map)
{
	size_t groups = groups_for(map->count);

	if (!map->count) {
		hw_free(map->allocator, map->groups, map->held_bytes, BLOCK_ALIGNMENT);
		map->groups = NULL;
		map->entries = NULL;
		map->group_count = map->grow_at = map->shrink_at = map->held_bytes = 0;
		return true;
	}
	return groups >= map->group_count || map_rebuild(map, groups);
}
