// The type table: lookups, and what follows from a type's structure (masks, offsets, map layouts).
//
// A type's pointer mask is computed from its structure, never read: the structure is complete in
// every abi.Type, so one way serves plain masks, GC programs (to 1.23), masks built on demand (1.24
// on) and types from DWARF. The exception are the bucket types that reflect.MapOf makes up to 1.23
// (reflect/type.go, bucketOf): they have a mask but no fields.
//
// Structures that come from a target may be damaged. type_set_fields() sees to it that the fields
// of a struct are disjoint and within it, so one that contains itself can only do so through a
// single field that fills it, and TYPE_DEPTH_MAX ends every walk.
#include "goruntime/types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "goruntime/types_private.h"

enum {
	MASK_WORDS_MAX = 1 << 20
}; // larger types (8 MiB) have no mask: nobody compares one that large

struct error *type_table_create(struct go_runtime *runtime, struct type_table **out)
{
	struct type_table *table = calloc(1, sizeof(*table));
	if (!table)
		return error_no_memory();
	table->runtime = runtime;
	hw_arena_init(&table->arena, 1 << 20);
	hw_map_init(&table->by_address);
	hw_map_init(&table->itabs);
	hw_map_init(&table->by_name);
	hw_map_init(&table->pointers);
	hw_map_init(&table->slices);

	struct error *err = NULL;
	for (unsigned i = 0; i < runtime->module_count && !err; i++)
		err = type_table_scan(table, &runtime->modules[i]);
	for (size_t i = 0; i < table->sections.count; i++) {
		free(table->sections.items[i].bytes);
		table->sections.items[i].bytes = NULL;
	}
	if (err) {
		type_table_destroy(table);
		return error_wrap(err, "reading the types");
	}
	*out = table;
	return NULL;
}

void type_table_destroy(struct type_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->sections.count; i++)
		free(table->sections.items[i].bytes);
	hw_vector_deinit(&table->sections);
	hw_vector_deinit(&table->types);
	hw_map_deinit(&table->by_address);
	hw_map_deinit(&table->itabs);
	hw_map_deinit(&table->by_name);
	hw_map_deinit(&table->pointers);
	hw_map_deinit(&table->slices);
	hw_arena_deinit(&table->arena);
	free(table);
}

uint32_t type_table_count(const struct type_table *table)
{
	return table->types.count;
}

const struct go_type *type_by_id(const struct type_table *table, uint32_t id)
{
	return id < table->types.count ? table->types.items[id] : NULL;
}

void type_table_statistics(const struct type_table *table, struct type_table_statistics *out)
{
	*out = table->statistics;
}

void *type_alloc(struct type_table *table, size_t bytes)
{
	return hw_arena_zalloc(&table->arena, bytes);
}

struct go_type *type_create(struct type_table *table)
{
	struct go_type *type = hw_arena_zalloc(&table->arena, sizeof(*type));
	if (!type || table->types.count >= UINT32_MAX >> 4 || !hw_vector_push(&table->types, type))
		return NULL;
	type->id = table->types.count - 1;
	type->name = type->package = "";
	return type;
}

bool type_table_read(struct type_table *table, remote_addr address, void *buffer, size_t size)
{
	for (size_t i = 0; i < table->sections.count; i++) {
		const struct type_section *section = &table->sections.items[i];
		if (section->bytes && address >= section->start && address < section->end &&
			size <= section->end - address) {
			memcpy(buffer, section->bytes + (address - section->start), size);
			return true;
		}
	}
	return memory_read(&table->runtime->memory, address, buffer, size);
}

static bool table_is_static(const struct type_table *table, remote_addr address)
{
	for (size_t i = 0; i < table->sections.count; i++)
		if (address - table->sections.items[i].start <
			table->sections.items[i].end - table->sections.items[i].start)
			return true;
	return false;
}

const struct go_type *type_by_address(struct type_table *table, remote_addr address)
{
	uint64_t found;

	if (!address || address & 7)
		return NULL;
	if (hw_map_get(&table->by_address, address, &found))
		return (const struct go_type *)(uintptr_t)found;
	return table_is_static(table, address) ? NULL : type_read_dynamic(table, address);
}

const struct go_type *type_known(const struct type_table *table, remote_addr address)
{
	uint64_t found;

	return hw_map_get(&table->by_address, address, &found)
		       ? (const struct go_type *)(uintptr_t)found
		       : NULL;
}

const struct go_type *type_of_itab(struct type_table *table, remote_addr itab)
{
	// runtime/runtime2.go to 1.22, internal/abi/iface.go from 1.23
	struct {
		remote_addr inter, type;
		uint32_t hash, unused;
	} record;
	uint64_t found;

	if (!itab || itab & 7)
		return NULL;
	if (hw_map_get(&table->itabs, itab, &found))
		return (const struct go_type *)(uintptr_t)found;
	if (hw_map_get(&table->by_address, itab, &found) && found)
		return (const struct go_type *)(uintptr_t)found;

	const struct go_type *type = NULL;
	if (type_table_read(table, itab, &record, sizeof(record))) {
		const struct go_type *inter = type_by_address(table, record.inter);
		type = inter && inter->kind == GO_INTERFACE ? type_by_address(table, record.type)
							    : NULL;
		// Those that are made while the program runs have none: runtime/iface.go, itabInit (init
		// to 1.22).
		if (type && record.hash && type->hash != record.hash)
			type = NULL;
	}
	if (!type)
		return type_by_address(table, itab);
	hw_map_put(&table->itabs, itab, (uintptr_t)type);
	return type;
}

// FNV-1a; a collision only makes a lookup fail.
static uint64_t name_hash(uint64_t hash, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#define NAME_HASH_START UINT64_C(0xcbf29ce484222325)

// The name without its package's last element: "Server" of "http.Server", "list[a.b]" of
// "main.list[a.b]".
static const char *type_local_name(const struct go_type *type)
{
	size_t plain = strcspn(type->name, "[");

	while (plain > 0 && type->name[plain - 1] != '.')
		plain--;
	return type->name + plain;
}

static uint64_t type_name_hash(const struct go_type *type)
{
	const char *local = type->name;
	uint64_t hash = NAME_HASH_START;

	if (*type->package) {
		local = type_local_name(type);
		hash = name_hash(hash, type->package, strlen(type->package));
		hash = name_hash(hash, ".", 1);
	}
	return name_hash(hash, local, strlen(local));
}

static bool type_is_called(const struct go_type *type, const char *name)
{
	size_t package = strlen(type->package);

	if (!package)
		return !strcmp(type->name, name);
	return !strncmp(type->package, name, package) && name[package] == '.' &&
	       !strcmp(type_local_name(type), name + package + 1);
}

const struct go_type *type_by_name(struct type_table *table, const char *name)
{
	for (; table->named < table->types.count; table->named++) {
		struct go_type *type = table->types.items[table->named];
		if (*type->name && !type->synthetic)
			hw_map_at(&table->by_name, type_name_hash(type), (uintptr_t)type);
	}
	uint64_t found;
	if (!hw_map_get(&table->by_name, name_hash(NAME_HASH_START, name, strlen(name)), &found))
		return NULL;
	const struct go_type *type = (const struct go_type *)(uintptr_t)found;
	return type_is_called(type, name) ? type : NULL;
}

static const struct go_type *type_derive(struct type_table *table, struct hw_map *cache,
	const struct go_type *elem, enum go_kind kind, const char *prefix)
{
	uint64_t found;

	if (hw_map_get(cache, elem->id, &found))
		return (const struct go_type *)(uintptr_t)found;
	for (; table->derived < table->types.count; table->derived++) {
		const struct go_type *type = table->types.items[table->derived];
		if (type->elem && !*type->package && type->kind == GO_POINTER)
			hw_map_at(&table->pointers, type->elem->id, (uintptr_t)type);
		else if (type->elem && !*type->package && type->kind == GO_SLICE)
			hw_map_at(&table->slices, type->elem->id, (uintptr_t)type);
	}
	if (hw_map_get(cache, elem->id, &found))
		return (const struct go_type *)(uintptr_t)found;

	struct go_type *type = type_create(table);
	size_t length = strlen(elem->name) + strlen(prefix) + 1;
	char *name = type ? hw_arena_alloc(&table->arena, length) : NULL;
	if (!name)
		return NULL;
	snprintf(name, length, "%s%s", prefix, elem->name);
	type->name = name;
	type->kind = kind;
	type->elem = elem;
	type->size = kind == GO_POINTER ? 8 : 24;
	type->pointer_bytes = 8;
	type->direct = kind == GO_POINTER;
	hw_map_put(cache, elem->id, (uintptr_t)type);
	return type;
}

const struct go_type *type_pointer_to(struct type_table *table, const struct go_type *elem)
{
	return type_derive(table, &table->pointers, elem, GO_POINTER, "*");
}

const struct go_type *type_slice_of(struct type_table *table, const struct go_type *elem)
{
	return type_derive(table, &table->slices, elem, GO_SLICE, "[]");
}

void type_set_fields(struct go_type *type, struct go_field *fields, uint32_t count)
{
	uint64_t end = 0;
	uint32_t good = 0;

	for (; good < count; good++) {
		const struct go_field *field = &fields[good];
		if (!field->type || field->offset < end || field->offset > type->size ||
			field->type->size > type->size - field->offset)
			break;
		end = field->offset + field->type->size;
	}
	type->fields = fields;
	type->field_count = good;
}

void type_walk_begin(struct type_walk *walk, const struct go_type *type)
{
	walk->depth = 1;
	walk->stack[0].type = type;
	walk->stack[0].offset = 0;
	walk->stack[0].next = 0;
}

bool type_walk_next(struct type_walk *walk)
{
	while (walk->depth > 0) {
		const struct go_type *type = walk->stack[walk->depth - 1].type;
		uint64_t offset = walk->stack[walk->depth - 1].offset;
		uint64_t next = walk->stack[walk->depth - 1].next++;
		const struct go_type *inner = NULL;

		if (type->kind == GO_STRUCT) {
			if (next < type->field_count) {
				inner = type->fields[next].type;
				offset += type->fields[next].offset;
			}
		} else if (type->kind == GO_ARRAY) {
			if (type->elem && type->elem->size && type->elem->pointer_bytes &&
				next < type->length) {
				inner = type->elem;
				offset += next * type->elem->size;
			}
		} else {
			walk->depth--;
			if (!type->pointer_bytes)
				continue;
			walk->leaf = type;
			walk->offset = offset;
			return true;
		}
		if (!inner) {
			walk->depth--;
		} else if (inner->pointer_bytes && walk->depth < TYPE_DEPTH_MAX) {
			walk->stack[walk->depth].type = inner;
			walk->stack[walk->depth].offset = offset;
			walk->stack[walk->depth].next = 0;
			walk->depth++;
		}
	}
	return false;
}

// The mask that reflect gave a type without fields.
static void mask_read(
	struct type_table *table, const struct go_type *type, uint64_t *mask, uint64_t words)
{
	uint8_t bytes[RECORD_BYTES];
	struct type_record record;

	if (!type->runtime_type ||
		!type_table_read(table, type->runtime_type, bytes, sizeof(bytes)) ||
		!record_decode(&table->runtime->layout, bytes, &record) || !record.gc_data ||
		record.flags & RECORD_MASK_ON_DEMAND)
		return;
	type_table_read(table, record.gc_data, mask, (words + 7) / 8);
}

const uint64_t *type_mask(struct type_table *table, const struct go_type *type)
{
	uint64_t words = (type->pointer_bytes + 7) / 8;

	if (type->mask || !words || words > MASK_WORDS_MAX)
		return type->mask;
	uint64_t *mask = hw_arena_calloc(&table->arena, (words + 63) / 64, sizeof(*mask));
	if (!mask)
		return NULL;
	if (type->kind == GO_STRUCT && !type->field_count)
		mask_read(table, type, mask, words);

	struct type_walk walk;
	type_walk_begin(&walk, type);
	while (type_walk_next(&walk)) {
		// An interface's first word is a type or an itab, which the collector never
		// follows.
		uint64_t word = walk.offset / 8 + (walk.leaf->kind == GO_INTERFACE ? 1 : 0);
		if (word >= words)
			break;
		mask[word / 64] |= UINT64_C(1) << (word % 64);
	}
	((struct go_type *)type)->mask = mask;
	return mask;
}

// Appends to a buffer of fixed size; what does not fit is cut.
static size_t describe_append(char *buffer, size_t size, size_t used, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static size_t describe_append(char *buffer, size_t size, size_t used, const char *format, ...)
{
	va_list arguments;

	if (used + 1 >= size)
		return used;
	va_start(arguments, format);
	int n = vsnprintf(buffer + used, size - used, format, arguments);
	va_end(arguments);
	return n < 0 ? used : used + n;
}

static const struct go_field *type_field_at(const struct go_type *type, uint64_t offset)
{
	// The first field that ends after `offset`.
	size_t at = FIRST_WHERE(
		i, type->field_count, type->fields[i].offset + type->fields[i].type->size > offset);

	return at < type->field_count && type->fields[at].offset <= offset ? &type->fields[at]
									   : NULL;
}

const struct go_type *type_describe_offset(
	const struct go_type *type, uint64_t offset, char *buffer, size_t size)
{
	size_t used = 0;

	if (size)
		buffer[0] = '\0';
	if (offset >= type->size)
		return NULL;
	for (unsigned depth = 0; depth < TYPE_DEPTH_MAX; depth++) {
		if (type->kind == GO_STRUCT) {
			const struct go_field *field = type_field_at(type, offset);
			if (!field)
				return NULL;
			used = describe_append(
				buffer, size, used, "%s%s", used ? "." : "", field->name);
			offset -= field->offset;
			type = field->type;
		} else if (type->kind == GO_ARRAY && type->elem && type->elem->size) {
			used = describe_append(buffer, size, used, "[%llu]",
				(unsigned long long)(offset / type->elem->size));
			offset %= type->elem->size;
			type = type->elem;
		} else {
			return type;
		}
	}
	return NULL;
}

const struct go_type *type_owner_at(const struct go_type *type, uint64_t offset)
{
	const struct go_type *owner = NULL;

	for (unsigned depth = 0; type && type->size && depth < TYPE_DEPTH_MAX; depth++) {
		offset %= type->size;
		if (type->kind == GO_ARRAY) {
			type = type->elem;
			continue;
		}
		const struct go_field *field =
			type->kind == GO_STRUCT ? type_field_at(type, offset) : NULL;
		if (!field)
			break;
		owner = type;
		offset -= field->offset;
		type = field->type;
	}
	return owner;
}

static const struct go_field *type_field_named(const struct go_type *type, const char *name)
{
	for (uint32_t i = 0; type->kind == GO_STRUCT && i < type->field_count; i++)
		if (!strcasecmp(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}

// Map internals (cmd/compile/internal/reflectdata/map*.go; reflect.MapOf makes the same with
// capitals): bucket { topbits; keys [8]K; elems [8]V; overflow } to 1.23, group { ctrl; slots
// [8]struct { key; elem } } from 1.24, or group { ctrl; keys [8]K; elems [8]V } (1.27 with
// GOEXPERIMENT=mapsplitgroup). A key or elem above 128 bytes is replaced by a pointer to it.
bool type_map_layout(struct type_table *table, const struct go_type *map, struct map_layout *out)
{
	if (map->kind != GO_MAP || !map->group || !map->key || !map->elem)
		return false;
	const struct go_type *group = map->group;
	const struct go_field *slots = type_field_named(group, "slots");
	const struct go_type *key, *elem;
	struct map_layout layout = {.group = group};

	if (slots) {
		const struct go_type *slot = slots->type->elem;
		const struct go_field *k = slot ? type_field_named(slot, "key") : NULL;
		const struct go_field *e = slot ? type_field_named(slot, "elem") : NULL;
		if (!k || !e)
			return false;
		layout.keys = slots->offset + k->offset;
		layout.elems = slots->offset + e->offset;
		layout.key_stride = layout.elem_stride = slot->size;
		key = k->type;
		elem = e->type;
	} else {
		const struct go_field *k = type_field_named(group, "keys");
		const struct go_field *e = type_field_named(group, "elems");
		const struct go_field *overflow = type_field_named(group, "overflow");
		if (!k || !e || !k->type->elem || !e->type->elem)
			return false;
		layout.keys = k->offset;
		layout.elems = e->offset;
		key = k->type->elem;
		elem = e->type->elem;
		layout.key_stride = key->size;
		layout.elem_stride = elem->size;
		if (overflow)
			layout.overflow = overflow->offset;
	}
	layout.indirect_key = key->kind == GO_POINTER && key != map->key && map->key->size > 128;
	layout.indirect_elem =
		elem->kind == GO_POINTER && elem != map->elem && map->elem->size > 128;
	*out = layout;
	return true;
}
