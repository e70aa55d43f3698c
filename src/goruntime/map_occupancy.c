// Layouts: typing_maps.c. Sizes when making: makeBucketArray and makemap in runtime/map.go (1.19 to
// 1.23); NewMap in internal/runtime/maps/map.go and newTable in table.go (1.24 on).
#include "goruntime/map_occupancy.h"

#include <string.h>

enum {
	HEADER_BYTES = 48,
	DELETED_PART_MIN = 4, // of the entries; a few are deleted while a map fills
	GROUP_SLOTS = 8,      // abi.MapGroupSlots, bucketCnt
	// runtime.hmap
	HMAP_FLAGS = 8,
	HMAP_B = 9,
	HMAP_OVERFLOW_COUNT = 10,
	HMAP_BUCKETS = 16,
	HMAP_OLD_BUCKETS = 24,
	HMAP_SAME_SIZE_GROW = 8,
	HMAP_B_MAX = 40,
	BUCKET_KEYS = 8,
	BUCKET_EMPTY = 1, // emptyRest, emptyOne
	BUCKET_BYTES_MAX = 4096,
	SAMPLED_BUCKETS = 1024,
	// internal/runtime/maps
	SWISS_DIRECTORY = 16,
	SWISS_DIRECTORY_LENGTH = 24,
	SWISS_DIRECTORY_MAX = 1 << 24,
	TABLE_BYTES = 32,
	TABLE_USED = 0,
	TABLE_CAPACITY = 2,
	TABLE_GROWTH_LEFT = 4,
	TABLE_GROUPS = 16,
	TABLE_SLOTS_MAX = 1024,
};

struct map_walk {
	const struct heap *heap;
	struct memory *memory;
	const struct go_type *group;
	uint64_t *arrays; // a bit for each object that is an array of groups; may be NULL
	struct map_occupancy map;
};

static uint64_t word_at(const uint8_t *bytes, unsigned offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint16_t half_at(const uint8_t *bytes, unsigned offset)
{
	uint16_t half;

	memcpy(&half, bytes + offset, sizeof(half));
	return half;
}

// Counts the object at `address`, an array of groups: its groups, 0 when it is no heap object.
static uint64_t add_groups(struct map_walk *walk, remote_addr address)
{
	object_id id = heap_find(walk->heap, address);

	if (id == OBJECT_NONE)
		return 0;
	const struct span *span = heap_span(walk->heap, address);
	uint64_t room = span->elem_size - span->header_bytes;
	walk->map.bytes += span->elem_size;
	if (walk->arrays)
		__atomic_fetch_or(
			&walk->arrays[id >> 6], UINT64_C(1) << (id & 63), __ATOMIC_RELAXED);
	walk->map.slots += room / walk->group->size * GROUP_SLOTS;
	return room / walk->group->size;
}

// ---- buckets

// Follows the chains of an array of buckets. Those in the array itself, made in advance, are counted
// already. Each bucket is in one chain: more steps than there can be buckets are damage.
static bool add_overflow(struct map_walk *walk, remote_addr buckets, uint64_t count, uint64_t room)
{
	uint64_t size = walk->group->size, left = room + walk->heap->object_count;
	remote_addr end = buckets + room * size;

	for (uint64_t i = 0; i < count; i++) {
		remote_addr bucket = buckets + i * size;
		while ((bucket = memory_u64(walk->memory, bucket + size - 8)) != 0) {
			if (!left-- || heap_find(walk->heap, bucket) == OBJECT_NONE)
				return false;
			walk->map.overflow++;
			if (bucket < buckets || bucket >= end)
				add_groups(walk, bucket);
		}
	}
	return true;
}

static bool add_bucket_array(
	struct map_walk *walk, remote_addr buckets, uint64_t count, bool chains)
{
	if (!buckets)
		return true;
	uint64_t room = add_groups(walk, buckets);
	if (room < count)
		return !room; // not on the heap: with the function that made it on a stack
	return !chains || add_overflow(walk, buckets, count, room);
}

static bool walk_buckets(struct map_walk *walk, const uint8_t *header)
{
	uint8_t b = header[HMAP_B];
	bool chains = half_at(header, HMAP_OVERFLOW_COUNT) != 0;

	if (b > HMAP_B_MAX || walk->group->size < 16)
		return false;
	uint64_t count = UINT64_C(1) << b;
	if (!add_bucket_array(walk, word_at(header, HMAP_BUCKETS), count, chains))
		return false;
	if (!(header[HMAP_FLAGS] & HMAP_SAME_SIZE_GROW) && count > 1)
		count /= 2;
	// Chains of old buckets are counted by nothing.
	return add_bucket_array(walk, word_at(header, HMAP_OLD_BUCKETS), count, true);
}

// ---- groups

static bool add_table(struct map_walk *walk, remote_addr address)
{
	uint8_t table[TABLE_BYTES];

	if (!memory_read(walk->memory, address, table, sizeof(table)))
		return false;
	uint64_t used = half_at(table, TABLE_USED), capacity = half_at(table, TABLE_CAPACITY);
	uint64_t growth = capacity <= GROUP_SLOTS ? capacity - 1 : capacity * 7 / 8;
	uint64_t left = half_at(table, TABLE_GROWTH_LEFT);
	if (!capacity || capacity > TABLE_SLOTS_MAX || used + left > growth)
		return false;
	walk->map.tombstones += growth - used - left;
	add_groups(walk, word_at(table, TABLE_GROUPS));
	return true;
}

// Several neighbouring entries of the directory may lead to one table.
static bool walk_groups(struct map_walk *walk, const uint8_t *header)
{
	remote_addr directory = word_at(header, SWISS_DIRECTORY), last = 0;
	uint64_t length = word_at(header, SWISS_DIRECTORY_LENGTH);

	if (!length) {
		add_groups(walk, directory);
		return true;
	}
	object_id id = heap_find(walk->heap, directory);
	if (length > SWISS_DIRECTORY_MAX || id == OBJECT_NONE ||
		length * 8 > heap_size(walk->heap, id))
		return false;
	for (uint64_t i = 0; i < length; i++) {
		remote_addr table = memory_u64(walk->memory, directory + i * 8);
		if (table != last && !add_table(walk, table))
			return false;
		last = table;
	}
	return true;
}

// ---- what would be enough

static uint64_t power_of_two_from(uint64_t number)
{
	uint64_t power = 1;

	while (power < number)
		power *= 2;
	return power;
}

// runtime/map.go, overLoadFactor: 6.5 entries a bucket; 6 in 1.21.
static uint64_t buckets_needed(const struct heap *heap, uint64_t entries)
{
	uint64_t halves = heap->runtime->layout.minor == 21 ? 12 : 13, buckets = 1;

	while (entries > GROUP_SLOTS && entries > halves * buckets / 2)
		buckets *= 2;
	// Overflow buckets made in advance.
	return buckets >= 16 ? buckets + buckets / 16 : buckets;
}

uint64_t map_bytes_needed(const struct heap *heap, const struct go_type *group, uint64_t entries)
{
	bool noscan = !group->pointer_bytes;

	if (!entries)
		return 0;
	if (entries > UINT64_C(1) << HMAP_B_MAX)
		return UINT64_MAX;
	if (heap->runtime->layout.maps == MAP_BUCKETS)
		return slot_bytes(heap, buckets_needed(heap, entries) * group->size, noscan);
	if (entries <= GROUP_SLOTS)
		return slot_bytes(heap, group->size, noscan);
	uint64_t capacity = entries * GROUP_SLOTS / (GROUP_SLOTS - 1);
	uint64_t tables = power_of_two_from((capacity + TABLE_SLOTS_MAX - 1) / TABLE_SLOTS_MAX);
	uint64_t slots = capacity / tables < GROUP_SLOTS ? GROUP_SLOTS : capacity / tables;
	slots = power_of_two_from(slots);
	return tables * slot_bytes(heap, slots / GROUP_SLOTS * group->size, noscan);
}

bool map_occupancy(const struct heap *heap, const struct typing *typing, struct memory *memory,
	object_id id, struct map_occupancy *out)
{
	return map_occupancy_mark(heap, typing, memory, id, NULL, out);
}

bool map_measure(const struct heap *heap, struct memory *memory, const struct go_type *header,
	remote_addr address, uint64_t *arrays, struct map_occupancy *out)
{
	uint8_t bytes[HEADER_BYTES];

	if (header->group->size < GROUP_SLOTS ||
		!memory_read(memory, address, bytes, sizeof(bytes)))
		return false;
	struct map_walk walk = {
		.heap = heap,
		.memory = memory,
		.group = header->group,
		.arrays = arrays,
		.map = {.key = header->key, .elem = header->elem, .entries = word_at(bytes, 0)},
	};
	bool good = heap->runtime->layout.maps == MAP_SWISS ? walk_groups(&walk, bytes)
							    : walk_buckets(&walk, bytes);
	if (!good || walk.map.entries > walk.map.slots)
		return false;
	uint64_t used = walk.map.entries * walk.group->size / GROUP_SLOTS;
	walk.map.slack_bytes = walk.map.bytes > used ? walk.map.bytes - used : 0;
	walk.map.rebuilt_bytes = map_bytes_needed(heap, walk.group, walk.map.entries);
	*out = walk.map;
	return true;
}

bool map_occupancy_mark(const struct heap *heap, const struct typing *typing, struct memory *memory,
	object_id id, uint64_t *arrays, struct map_occupancy *out)
{
	struct object_type header;

	typing_of(typing, id, &header);
	return header.source == TYPED_EXACT && !header.array && type_is_map_header(header.type) &&
	       map_measure(heap, memory, header.type, heap_address(heap, id), arrays, out);
}

// ---- what deleting leaves

// runtime/map.go, mapdelete: a key without pointers stays, of a string its length does (map_faststr.go).
static bool key_was_deleted(const struct go_type *key, const uint8_t *bytes)
{
	if (key->kind == GO_STRING)
		return !word_at(bytes, 0) && word_at(bytes, 8);
	for (uint64_t i = 0; i < key->size; i++)
		if (bytes[i])
			return true;
	return false;
}

// Of a few buckets, spread over all: slots with entries, and slots that had some.
static bool buckets_sample(struct memory *memory, const struct go_type *header, remote_addr buckets,
	uint64_t count, uint64_t *entries, uint64_t *deleted)
{
	uint64_t step = count / SAMPLED_BUCKETS + 1, size = header->group->size;
	uint8_t bucket[BUCKET_BYTES_MAX];

	*entries = *deleted = 0;
	if (size > sizeof(bucket) || BUCKET_KEYS + GROUP_SLOTS * header->key->size > size)
		return false;
	for (uint64_t i = 0; i < count; i += step) {
		if (!memory_read(memory, buckets + i * size, bucket, size))
			return false;
		for (unsigned slot = 0; slot < GROUP_SLOTS; slot++) {
			const uint8_t *key = bucket + BUCKET_KEYS + slot * header->key->size;
			if (bucket[slot] > BUCKET_EMPTY)
				++*entries;
			else
				*deleted += key_was_deleted(header->key, key);
		}
	}
	return true;
}

bool map_was_fuller(const struct heap *heap, struct memory *memory, const struct go_type *header,
	remote_addr address, const struct map_occupancy *map)
{
	const struct go_type *key = header->key;
	uint64_t entries = map->entries, deleted = map->tombstones;
	uint8_t bytes[HEADER_BYTES];

	if (!map->entries)
		return true;
	if (heap->runtime->layout.maps == MAP_BUCKETS &&
		((key->pointer_bytes && key->kind != GO_STRING) || !key->size ||
			!memory_read(memory, address, bytes, sizeof(bytes)) ||
			bytes[HMAP_B] > HMAP_B_MAX || word_at(bytes, HMAP_OLD_BUCKETS) ||
			!buckets_sample(memory, header, word_at(bytes, HMAP_BUCKETS),
				UINT64_C(1) << bytes[HMAP_B], &entries, &deleted)))
		return true;
	return deleted > entries / DELETED_PART_MIN;
}
