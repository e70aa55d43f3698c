// The objects behind maps and channels.
//
// Their own types (runtime.hmap, internal/runtime/maps.Map and table, runtime.hchan) do not say
// what they hold, so each map type and each channel element gets synthetic types with the same
// layout and a program that knows. Layouts:
//
//	hmap (runtime/map.go, 1.19 to 1.23): count; flags u8, B u8, noverflow u16, hash0 u32;
// buckets; oldbuckets; nevacuate; 		extra *mapextra { overflow, oldoverflow *[]*bmap;
// nextOverflow *bmap } 	Map (internal/runtime/maps/map.go, 1.24 on): used; seed; dirPtr;
//dirLen; depths; clearSeq (1.25 on) 	table (maps/table.go, 1.24 on): used, capacity, growthLeft
//u16, localDepth u8; index; groups { data; lengthMask }
#include <stdio.h>
#include <string.h>

#include "goruntime/typing_private.h"

enum {
	HMAP_FLAGS = 8,
	HMAP_B = 9,
	HMAP_BUCKETS = 16,
	HMAP_OLD_BUCKETS = 24,
	HMAP_EXTRA = 40,
	HMAP_SAME_SIZE_GROW = 8, // flag: growing to as many buckets as before
	HMAP_B_MAX = 40,
	SWISS_DIRECTORY = 16,
	SWISS_DIRECTORY_LENGTH = 24,
	SWISS_DIRECTORY_MAX = 1 << 24,
	TABLE_GROUPS = 16,
	TABLE_LENGTH_MASK = 24,
};

// What is made up for one map type.
struct map_types {
	const struct go_type *header, *extra, *table, *table_pointer;
};

static uint64_t word_at(const uint8_t *bytes, unsigned offset)
{
	uint64_t word;
	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static struct go_type *synthetic(
	struct typing *typing, const char *prefix, const char *name, const char *suffix)
{
	struct go_type *type = type_create(typing->types);
	size_t size = strlen(prefix) + strlen(name) + strlen(suffix) + 1;
	char *text = typing_alloc(typing, size);

	if (!type || !text) {
		typing->no_memory = true;
		return NULL;
	}
	snprintf(text, size, "%s%s%s", prefix, name, suffix);
	type->name = text;
	type->kind = GO_STRUCT;
	type->synthetic = true;
	return type;
}

static void copy_layout(struct go_type *type, const struct go_type *model, uint64_t size)
{
	type->size = model && model->size >= size ? model->size : size;
	if (!model)
		return;
	type->fields = model->fields;
	type->field_count = model->field_count;
	type->pointer_bytes = model->pointer_bytes;
}

static bool make_bucket_types(
	struct typing *typing, const struct go_type *map, struct map_types *types)
{
	struct type_table *table = typing->types;
	struct go_type *extra = synthetic(typing, "", map->name, " (overflow list)");
	const struct go_type *bucket = type_pointer_to(table, map->group);
	const struct go_type *list = bucket ? type_slice_of(table, bucket) : NULL;
	const struct go_type *pointer = list ? type_pointer_to(table, list) : NULL;
	struct go_field *fields = typing_alloc(typing, 3 * sizeof(*fields));

	if (!extra || !pointer || !fields)
		return false;
	fields[0] = (struct go_field){.name = "overflow", .type = pointer};
	fields[1] = (struct go_field){.name = "oldoverflow", .type = pointer, .offset = 8};
	fields[2] = (struct go_field){.name = "nextOverflow", .type = bucket, .offset = 16};
	extra->size = extra->pointer_bytes = 24;
	type_set_fields(extra, fields, 3);
	types->extra = extra;
	return true;
}

static bool make_table_types(
	struct typing *typing, const struct go_type *map, struct map_types *types)
{
	const struct go_type *model = type_by_name(typing->types, "internal/runtime/maps.table");
	struct go_type *table = synthetic(typing, "", map->name, " (table)");
	struct go_type *pointer = synthetic(typing, "", map->name, " (directory)");

	if (!table || !pointer)
		return false;
	copy_layout(table, model, MAP_TABLE_BYTES);
	table->pointer_bytes = TABLE_GROUPS + 8;
	pointer->kind = GO_POINTER;
	pointer->size = pointer->pointer_bytes = 8;
	pointer->direct = true;
	pointer->elem = table;
	types->table = table;
	types->table_pointer = pointer;
	return typing_set_program(typing, table, OP_MAP_TABLE, map);
}

static const struct map_types *map_types(struct typing *typing, const struct go_type *map)
{
	uint64_t found;

	if (hw_map_get(&typing->headers, map->id, &found))
		return (const struct map_types *)(uintptr_t)found;
	bool swiss = typing->heap->runtime->layout.maps == MAP_SWISS;
	struct map_types *types = typing_alloc(typing, sizeof(*types));
	struct go_type *header = map->group ? synthetic(typing, "", map->name, "") : NULL;
	bool good = types && header &&
		    (swiss ? make_table_types(typing, map, types)
			   : make_bucket_types(typing, map, types));

	if (good) {
		copy_layout(header, swiss ? typing->known.swiss_map : typing->known.hmap,
			MAP_HEADER_BYTES);
		header->elem = map->elem;
		header->key = map->key;
		header->group = map->group;
		types->header = header;
		good = typing_set_program(typing, header, OP_MAP_HEADER, map);
	}
	if (!hw_map_put(&typing->headers, map->id, good ? (uintptr_t)types : 0))
		typing->no_memory = true;
	return good ? types : NULL;
}

const struct go_type *typing_map_header(struct typing *typing, const struct go_type *map)
{
	const struct map_types *types = map_types(typing, map);

	return types ? types->header : NULL;
}

// From 16 buckets on some of an array of buckets are overflow buckets made in advance
// (runtime/map.go, makeBucketArray).
static void claim_buckets(
	struct typing *typing, const struct go_type *bucket, remote_addr address, uint64_t count)
{
	const struct span *span;
	object_id id = typing_find(typing, address, &span);

	if (id == OBJECT_NONE || !bucket->size)
		return;
	uint64_t room = (span->elem_size - span->header_bytes) / bucket->size;
	if (count >= 16 && room > count)
		count = room;
	if (count <= room)
		typing_claim_as(typing, count > 1 ? CLAIM_BY_SLICE : CLAIM_BY_POINTER, address,
			bucket, count);
}

static void follow_buckets(struct typing *typing, const struct go_type *map,
	const struct map_types *types, const uint8_t *header)
{
	uint8_t b = header[HMAP_B];

	if (b > HMAP_B_MAX)
		return;
	uint64_t count = UINT64_C(1) << b;
	claim_buckets(typing, map->group, word_at(header, HMAP_BUCKETS), count);
	if (!(header[HMAP_FLAGS] & HMAP_SAME_SIZE_GROW) && count > 1)
		count /= 2;
	claim_buckets(typing, map->group, word_at(header, HMAP_OLD_BUCKETS), count);
	typing_claim_as(typing, CLAIM_BY_POINTER, word_at(header, HMAP_EXTRA), types->extra, 1);
}

static void follow_directory(struct typing *typing, const struct go_type *map,
	const struct map_types *types, const uint8_t *header)
{
	remote_addr directory = word_at(header, SWISS_DIRECTORY);
	uint64_t length = word_at(header, SWISS_DIRECTORY_LENGTH);

	if (!length) // up to 8 elements: one group and no table
		typing_claim_as(typing, CLAIM_BY_POINTER, directory, map->group, 1);
	else if (length <= SWISS_DIRECTORY_MAX)
		typing_claim_as(typing, CLAIM_BY_SLICE, directory, types->table_pointer, length);
}

void typing_follow_map(struct typing *typing, const struct go_type *map, const uint8_t *header)
{
	const struct map_types *types = map_types(typing, map);

	if (!types)
		return;
	if (typing->heap->runtime->layout.maps == MAP_SWISS)
		follow_directory(typing, map, types, header);
	else
		follow_buckets(typing, map, types, header);
}

void typing_follow_table(struct typing *typing, const struct go_type *map, const uint8_t *table)
{
	remote_addr groups = word_at(table, TABLE_GROUPS);
	uint64_t mask = word_at(table, TABLE_LENGTH_MASK);

	if (groups && mask < UINT32_MAX)
		typing_claim_as(typing, CLAIM_BY_SLICE, groups, map->group, mask + 1);
}

const struct go_type *typing_chan_header(struct typing *typing, const struct go_type *elem)
{
	uint64_t found;

	if (!elem)
		return typing->known.hchan;
	// Maps and channels share the table: no type is both a map and a channel's element under
	// one key.
	uint64_t key = (uint64_t)elem->id | UINT64_C(1) << 32;
	if (hw_map_get(&typing->headers, key, &found))
		return (const struct go_type *)(uintptr_t)found;
	struct go_type *header = synthetic(typing, "chan ", elem->name, "");
	if (!header)
		return NULL;
	copy_layout(header, typing->known.hchan, typing->heap->runtime->layout.at.hchan_size);
	// Channels of elements without pointers lie in memory without pointers, with the buffer
	// behind (runtime/chan.go).
	if (!elem->pointer_bytes)
		header->pointer_bytes = 0;
	header->elem = elem;
	if (!hw_map_put(&typing->headers, key, (uintptr_t)header) ||
		!typing_set_program(typing, header, OP_CHAN_HEADER, header))
		typing->no_memory = true;
	return header;
}

void typing_follow_chan(struct typing *typing, const uint8_t *hchan, remote_addr self)
{
	const struct layout_offsets *at = &typing->heap->runtime->layout.at;
	const struct go_type *elem =
		type_by_address(typing->types, word_at(hchan, at->hchan_elemtype));
	uint64_t capacity = word_at(hchan, at->hchan_dataqsiz);
	remote_addr buffer = word_at(hchan, at->hchan_buf);

	if (!elem)
		return;
	typing_claim_as(typing, CLAIM_WHOLE, self, typing_chan_header(typing, elem), 1);
	if (elem->pointer_bytes && elem->size && capacity && capacity < UINT32_MAX &&
		buffer != self)
		typing_claim_as(typing, CLAIM_BY_SLICE, buffer, elem, capacity);
}
