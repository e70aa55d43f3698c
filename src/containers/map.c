// Slots come in groups of 15. A group's 15 tags, a byte of each key's hash (0: the slot is free), and its overflow
// count share 16 bytes, so one vector comparison finds the candidates among 15 slots, and a lookup that misses touches
// nothing but those 16 bytes, as a rule. The entries lie apart, 16 bytes each.
//
// A key belongs into its home group, or, where that is full, into the next group that has room.
// The overflow count of a group says how many keys went past it: a lookup ends at the first group whose count is 0.
// Deleting a key counts down along its way, so nothing is left behind. A count that reaches 255 stays there until the
// next rebuild; that only costs time.
//
// The home group is hash * groups / 2^32, for any number of groups. So the table can grow and shrink by half instead
// of by two, and keys keep their order of hashes: a rebuild reads and writes memory in ascending order, and is cheap.
#include "heapwhy/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	GROUP_SLOTS = 15,
	OVERFLOW_STUCK = 255,
	TAG_MASK = (1 << GROUP_SLOTS) - 1,
	HUGE_PAGE = 2 << 20,
	HUGE_FROM = 4 << 20, // larger blocks are mapped, on huge pages where the kernel allows
};

struct hw_map_group {
	uint8_t tags[GROUP_SLOTS];
	uint8_t overflow;
};

struct place {
	size_t group; // the home group
	uint8_t tag;
};

// The full product of the key and an odd constant (the golden ratio's fraction), folded: every bit of the key reaches
// both the group number and the tag.
static inline struct place map_place(const struct hw_map *map, uint64_t key)
{
	unsigned __int128 product =
		(unsigned __int128)(key ^ map->seed) * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
	uint8_t tag = (uint8_t)hash;

	tag += !tag;
	return (struct place){(hash >> 32) * map->group_count >> 32, tag};
}

static inline size_t group_next(const struct hw_map *map, size_t group)
{
	return ++group == map->group_count ? 0 : group;
}

// The slots of the group whose tag is `tag`, a bit each.
static inline unsigned group_match(const struct hw_map_group *group, uint8_t tag)
{
#ifdef __SSE2__
	__m128i tags = _mm_load_si128((const __m128i *)group);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) &
	       TAG_MASK;
#else
	unsigned match = 0;

	for (unsigned i = 0; i < GROUP_SLOTS; i++)
		match |= (unsigned)(group->tags[i] == tag) << i;
	return match;
#endif
}

// The slot of `key`, or SIZE_MAX.
static inline size_t map_find(const struct hw_map *map, uint64_t key, struct place place)
{
	for (;;) {
		const struct hw_map_group *group = &map->groups[place.group];
		unsigned match = group_match(group, place.tag);
		for (; match; match &= match - 1) {
			size_t slot = place.group * GROUP_SLOTS + (unsigned)__builtin_ctz(match);
			if (__builtin_expect(map->entries[slot].key == key, 1))
				return slot;
		}
		if (__builtin_expect(!group->overflow, 1))
			return SIZE_MAX;
		place.group = group_next(map, place.group);
	}
}

// Takes a free slot for a key that is not in the map.
static inline size_t map_claim(struct hw_map *map, struct place place)
{
	for (;;) {
		struct hw_map_group *group = &map->groups[place.group];
		unsigned free_slots = group_match(group, 0);
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

static bool block_is_mapped(size_t bytes)
{
	return bytes >= HUGE_FROM;
}

static void *block_alloc(size_t *bytes)
{
	if (!block_is_mapped(*bytes))
		return aligned_alloc(64, (*bytes + 63) & ~(size_t)63);
	// Mapped with room to start at a huge page's boundary, the margins given back.
	size_t wanted = (*bytes + 4095) & ~(size_t)4095;
	char *raw = mmap(NULL, wanted + HUGE_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	size_t head = -(uintptr_t)raw & (HUGE_PAGE - 1);
	if (head)
		munmap(raw, head);
	munmap(raw + head + wanted, HUGE_PAGE - head);
	madvise(raw + head, wanted, MADV_HUGEPAGE);
	*bytes = wanted;
	return raw + head;
}

static void block_free(void *block, size_t bytes)
{
	if (block && block_is_mapped(bytes))
		munmap(block, bytes);
	else
		free(block);
}

// Moves everything into a block of `groups` groups. False when out of memory; the map is then as it was.
static bool map_rebuild(struct hw_map *map, size_t groups)
{
	struct hw_map old = *map;
	size_t bytes = block_bytes(groups);
	struct hw_map_group *block = groups > UINT32_MAX ? NULL : block_alloc(&bytes);

	if (!block)
		return false;
	if (!block_is_mapped(bytes))
		memset(block, 0, groups * sizeof(*block)); // fresh mappings are zero
	map->groups = block;
	map->entries = (struct hw_map_entry *)(block + groups);
	map->group_count = groups;
	map->grow_at = groups * GROUP_SLOTS * 7 / 8;
	map->shrink_at = groups > 1 ? groups * GROUP_SLOTS * 3 / 8 : 0;
	map->held_bytes = bytes;
	hw_map_each (&old, entry)
		map->entries[map_claim(map, map_place(map, entry->key))] = *entry;
	block_free(old.groups, old.held_bytes);
	return true;
}

void hw_map_init(struct hw_map *map)
{
	*map = (struct hw_map){0};
}

void hw_map_deinit(struct hw_map *map)
{
	block_free(map->groups, map->held_bytes);
	hw_map_init(map);
}

void hw_map_seed(struct hw_map *map, uint64_t seed)
{
	map->seed = seed;
}

bool hw_map_get(const struct hw_map *map, uint64_t key, uint64_t *value)
{
	if (!map->groups)
		return false;
	size_t slot = map_find(map, key, map_place(map, key));
	if (slot == SIZE_MAX)
		return false;
	if (value)
		*value = map->entries[slot].value;
	return true;
}

uint64_t *hw_map_at(struct hw_map *map, uint64_t key, uint64_t initial)
{
	if (map->groups) {
		size_t slot = map_find(map, key, map_place(map, key));
		if (slot != SIZE_MAX)
			return &map->entries[slot].value;
	}
	if (map->count >= map->grow_at &&
		!map_rebuild(map, map->group_count + map->group_count / 2 + 1))
		return NULL;
	size_t slot = map_claim(map, map_place(map, key));
	map->entries[slot] = (struct hw_map_entry){key, initial};
	map->count++;
	return &map->entries[slot].value;
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
	if (!map->groups)
		return false;
	struct place place = map_place(map, key);
	size_t slot = map_find(map, key, place);
	if (slot == SIZE_MAX)
		return false;
	size_t group = slot / GROUP_SLOTS;
	map->groups[group].tags[slot % GROUP_SLOTS] = 0;
	for (size_t at = place.group; at != group; at = group_next(map, at))
		if (map->groups[at].overflow != OVERFLOW_STUCK)
			map->groups[at].overflow--;
	map->count--;
	if (map->count < map->shrink_at)
		map_rebuild(map, map->group_count - map->group_count / 3); // failing is no failure
	return true;
}

const struct hw_map_entry *hw_map_next(const struct hw_map *map, const struct hw_map_entry *entry)
{
	if (!map->groups)
		return NULL;
	size_t slot = entry ? (size_t)(entry - map->entries) + 1 : 0;
	unsigned skip = slot % GROUP_SLOTS;

	for (size_t group = slot / GROUP_SLOTS; group < map->group_count; group++, skip = 0) {
		unsigned used = ~group_match(&map->groups[group], 0) & TAG_MASK & (~0u << skip);
		if (used)
			return &map->entries[group * GROUP_SLOTS + (unsigned)__builtin_ctz(used)];
	}
	return NULL;
}
