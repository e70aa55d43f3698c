// abi.Type records: finding them all in a module's [types, etypes).
//
// The section is scanned linearly: every 8-aligned place that validates as a record is one. That
// finds the types that typelinks leaves out (and from 1.27 there are no typelinks), and costs
// milliseconds. A record is accepted when its numbers are consistent, its name is a name that a
// type of its kind can have, and its element types are records too.
//
// Layouts (internal/abi/type.go, 1.21 to 1.27; runtime/type.go and reflect/type.go, 1.19): the 48
// common bytes have not changed. What has:
//   - Kind bits 5 (value stored directly in interfaces) and 6 (GC program) to 1.25 and 1.23; TFlag
//   bit 5 from 1.26
//   - TFlag bit 4 (mask on demand) from 1.24
//   - the map record: 88 bytes with buckets; 112 from 1.24, 136 from 1.27 with groups
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "goruntime/types_private.h"

enum {
	KIND_MASK = 31,
	KIND_DIRECT = 32,
	FLAG_DIRECT = 32,
	NAME_BYTES_MAX = 4000,
	FIELDS_MAX = 1 << 14,
	SECTION_BYTES_MAX = 1 << 30,
};
#define TYPE_SIZE_MAX (UINT64_C(1) << 40)

enum { NAME_EMBEDDED = 8, NAME_FLAGS = 15 };

static uint32_t load_u32(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint64_t load_u64(const uint8_t *bytes)
{
	uint64_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

bool record_decode(const struct layout *layout, const uint8_t *bytes, struct type_record *out)
{
	struct type_record record = {
		.size = load_u64(bytes),
		.pointer_bytes = load_u64(bytes + 8),
		.hash = load_u32(bytes + 16),
		.flags = bytes[20],
		.align = bytes[21],
		.field_align = bytes[22],
		.kind = bytes[23] & KIND_MASK,
		.gc_data = load_u64(bytes + 32),
		.name = (int32_t)load_u32(bytes + 40),
	};
	uint64_t size = record.size;

	if (record.kind < GO_BOOL || record.kind > GO_UNSAFE_POINTER)
		return false;
	if (!record.align || record.align & (record.align - 1) || record.align > 16 ||
		!record.field_align || record.field_align > 16)
		return false;
	if (size > TYPE_SIZE_MAX || size % record.align || record.pointer_bytes > size ||
		record.pointer_bytes & 7 || (record.pointer_bytes && !record.gc_data))
		return false;
	switch (record.kind) {
	case GO_BOOL:
	case GO_INT8:
	case GO_UINT8:
		if (size != 1)
			return false;
		break;
	case GO_INT16:
	case GO_UINT16:
		if (size != 2)
			return false;
		break;
	case GO_INT32:
	case GO_UINT32:
	case GO_FLOAT32:
		if (size != 4)
			return false;
		break;
	case GO_INT:
	case GO_INT64:
	case GO_UINT:
	case GO_UINT64:
	case GO_UINTPTR:
	case GO_FLOAT64:
	case GO_COMPLEX64:
	case GO_POINTER:
	case GO_UNSAFE_POINTER:
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
		if (size != 8)
			return false;
		break;
	case GO_STRING:
	case GO_INTERFACE:
	case GO_COMPLEX128:
		if (size != 16)
			return false;
		break;
	case GO_SLICE:
		if (size != 24)
			return false;
		break;
	default:
		break;
	}
	*out = record;
	return true;
}

uint64_t record_bytes(const struct layout *layout, enum go_kind kind)
{
	switch (kind) {
	case GO_ARRAY:
		return 72;
	case GO_CHAN:
		return 64;
	case GO_FUNC:
	case GO_POINTER:
	case GO_SLICE:
		return 56;
	case GO_INTERFACE:
	case GO_STRUCT:
		return 80;
	case GO_MAP:
		if (layout->maps == MAP_BUCKETS)
			return 88;
		return layout->minor >= 27 ? 136 : 112;
	default:
		return RECORD_BYTES;
	}
}

bool record_is_direct(const struct layout *layout, const uint8_t *bytes)
{
	return layout->minor >= 26 ? bytes[20] & FLAG_DIRECT : bytes[23] & KIND_DIRECT;
}

void record_apply(const struct layout *layout, const uint8_t *bytes,
	const struct type_record *record, struct go_type *type)
{
	type->kind = record->kind;
	type->size = record->size;
	type->pointer_bytes = record->pointer_bytes;
	type->hash = record->hash;
	type->direct = record_is_direct(layout, bytes);
}

// One module's section while it is read.
struct scan {
	struct type_table *table;
	const struct layout *layout;
	const struct type_section *section;
	uint64_t bytes;
};

// A name (abi.Name: flags, varint length, bytes) at `offset` of the section; NULL when there is
// none.
static const char *scan_name(
	const struct scan *scan, uint64_t offset, size_t *length, bool *embedded)
{
	const uint8_t *bytes = scan->section->bytes;
	uint64_t n = 0;

	if (offset >= scan->bytes || bytes[offset] & ~NAME_FLAGS)
		return NULL;
	if (embedded)
		*embedded = bytes[offset] & NAME_EMBEDDED;
	offset++;
	for (unsigned shift = 0;; shift += 7) {
		if (shift > 14 || offset >= scan->bytes)
			return NULL;
		n |= (uint64_t)(bytes[offset] & 127) << shift;
		if (!(bytes[offset++] & 128))
			break;
	}
	if (n > NAME_BYTES_MAX || n > scan->bytes - offset)
		return NULL;
	for (uint64_t i = 0; i < n; i++)
		if (bytes[offset + i] < ' ')
			return NULL;
	*length = n;
	return (const char *)bytes + offset;
}

static const char *scan_name_at(
	const struct scan *scan, remote_addr address, size_t *length, bool *embedded)
{
	return scan_name(scan, address - scan->section->start, length, embedded);
}

static bool name_starts(const char *name, size_t length, const char *prefix)
{
	size_t n = strlen(prefix);

	return length >= n && !memcmp(name, prefix, n);
}

// Could a type of this kind without a name of its own be printed like this?
static bool name_fits_kind(const char *name, size_t length, enum go_kind kind)
{
	if (name_starts(name, length, "noalg."))
		name += 6, length -= 6;
	switch (kind) {
	case GO_POINTER:
		return name_starts(name, length, "*");
	case GO_SLICE:
		return name_starts(name, length, "[]");
	case GO_ARRAY:
		return name_starts(name, length, "[");
	case GO_MAP:
		return name_starts(name, length, "map[");
	case GO_FUNC:
		return name_starts(name, length, "func(");
	case GO_CHAN:
		return name_starts(name, length, "chan") || name_starts(name, length, "<-chan");
	case GO_INTERFACE:
		return name_starts(name, length, "interface {");
	case GO_STRUCT:
		return name_starts(name, length, "struct {") || name_starts(name, length, "map.");
	default:
		return false;
	}
}

static const char *scan_type_name(
	const struct scan *scan, const struct type_record *record, size_t *length)
{
	const char *name;

	if (record->name <= 0)
		return NULL;
	name = scan_name(scan, record->name, length, NULL);
	if (name && record->flags & RECORD_EXTRA_STAR) {
		if (!*length || *name != '*')
			return NULL;
		name++, (*length)--;
	}
	if (!name || !*length)
		return NULL;
	if (!(record->flags & RECORD_NAMED) && !name_fits_kind(name, *length, record->kind))
		return NULL;
	return name;
}

static char *scan_copy(const struct scan *scan, const char *name, size_t length)
{
	char *copy = hw_arena_strndup(&scan->table->arena, name, length);
	return copy ? copy : "";
}

// The import path of a named type (abi.UncommonType.PkgPath, right behind the kind's record).
static const char *scan_package(
	const struct scan *scan, uint64_t offset, const struct type_record *record)
{
	uint64_t uncommon = offset + record_bytes(scan->layout, record->kind);
	size_t length;

	if (!(record->flags & RECORD_UNCOMMON) || !(record->flags & RECORD_NAMED) ||
		uncommon + 16 > scan->bytes)
		return "";
	int32_t name = (int32_t)load_u32(scan->section->bytes + uncommon);
	const char *package = name > 0 ? scan_name(scan, name, &length, NULL) : NULL;
	return package ? scan_copy(scan, package, length) : "";
}

static const struct go_type *scan_type(const struct scan *scan, remote_addr address)
{
	uint64_t found;

	return hw_map_get(&scan->table->by_address, address, &found)
		       ? (const struct go_type *)(uintptr_t)found
		       : NULL;
}

static bool scan_in_section(const struct scan *scan, remote_addr address)
{
	return address - scan->section->start < scan->bytes;
}

// The cheap half of validation: does the kind's own part point where it should?
static bool scan_kind_plausible(
	const struct scan *scan, uint64_t offset, const struct type_record *record)
{
	const uint8_t *own = scan->section->bytes + offset + RECORD_BYTES;
	uint64_t count;

	if (record_bytes(scan->layout, record->kind) > scan->bytes - offset)
		return false;
	switch (record->kind) {
	case GO_POINTER:
	case GO_SLICE:
	case GO_CHAN:
	case GO_ARRAY:
		return scan_in_section(scan, load_u64(own));
	case GO_MAP:
		return scan_in_section(scan, load_u64(own)) &&
		       scan_in_section(scan, load_u64(own + 8)) &&
		       scan_in_section(scan, load_u64(own + 16));
	case GO_STRUCT:
	case GO_INTERFACE:
		count = load_u64(own + 16);
		return count == load_u64(own + 24) && count <= FIELDS_MAX &&
		       (!count || scan_in_section(scan, load_u64(own + 8)));
	default:
		return true;
	}
}

static struct error *scan_fields(const struct scan *scan, const uint8_t *own, struct go_type *type)
{
	uint64_t count = load_u64(own + 16);
	uint64_t offset = load_u64(own + 8) - scan->section->start;

	if (!count)
		return NULL;
	if (offset > scan->bytes || count > (scan->bytes - offset) / 24)
		return NULL;
	struct go_field *fields = hw_arena_calloc(&scan->table->arena, count, sizeof(*fields));
	if (!fields)
		return error_no_memory();
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *field = scan->section->bytes + offset + 24 * i;
		size_t length;
		const char *name =
			scan_name_at(scan, load_u64(field), &length, &fields[i].embedded);
		fields[i].name = name ? scan_copy(scan, name, length) : "";
		fields[i].type = scan_type(scan, load_u64(field + 8));
		fields[i].offset = load_u64(field + 16);
	}
	type_set_fields(type, fields, count);
	return NULL;
}

// The second pass over a record: its references, now that all records are known.
static struct error *scan_link(const struct scan *scan, struct go_type *type)
{
	uint64_t offset = type->runtime_type - scan->section->start;
	const uint8_t *own = scan->section->bytes + offset + RECORD_BYTES;

	switch (type->kind) {
	case GO_ARRAY:
		type->elem = scan_type(scan, load_u64(own));
		type->length = load_u64(own + 16);
		if (!type->elem || (type->elem->size ? type->length != type->size / type->elem->size
						     : type->size != 0))
			type->elem = NULL, type->length = 0;
		break;
	case GO_POINTER:
	case GO_SLICE:
	case GO_CHAN:
		type->elem = scan_type(scan, load_u64(own));
		break;
	case GO_MAP:
		type->key = scan_type(scan, load_u64(own));
		type->elem = scan_type(scan, load_u64(own + 8));
		type->group = scan_type(scan, load_u64(own + 16));
		break;
	case GO_INTERFACE:
		type->empty_interface = !load_u64(own + 16);
		break;
	case GO_STRUCT:
		return scan_fields(scan, own, type);
	default:
		break;
	}
	return NULL;
}

static struct error *scan_records(const struct scan *scan)
{
	struct type_table *table = scan->table;

	for (uint64_t offset = -scan->section->start & 7; offset + RECORD_BYTES <= scan->bytes;) {
		const uint8_t *bytes = scan->section->bytes + offset;
		struct type_record record;
		size_t length;

		if (!record_decode(scan->layout, bytes, &record)) {
			offset += 8;
			continue;
		}
		const char *name = scan_type_name(scan, &record, &length);
		if (!name || !scan_kind_plausible(scan, offset, &record)) {
			table->statistics.rejected++;
			offset += 8;
			continue;
		}
		struct go_type *type = type_create(table);
		if (!type)
			return error_no_memory();
		record_apply(scan->layout, bytes, &record, type);
		type->name = scan_copy(scan, name, length);
		type->package = scan_package(scan, offset, &record);
		type->runtime_type = scan->section->start + offset;
		if (!hw_map_put(&table->by_address, type->runtime_type, (uintptr_t)type))
			return error_no_memory();
		table->statistics.accepted++;
		offset += record_bytes(scan->layout, record.kind);
	}
	return NULL;
}

struct error *type_table_scan(struct type_table *table, const struct go_module *module)
{
	uint64_t bytes = module->etypes - module->types;

	if (module->etypes <= module->types)
		return NULL;
	if (bytes > SECTION_BYTES_MAX)
		return error_create(ERROR_TARGET, "the type section is damaged: %llu bytes",
			(unsigned long long)bytes);

	struct type_section section = {.start = module->types, .end = module->etypes};
	section.bytes = malloc(bytes);
	if (!section.bytes)
		return error_no_memory();
	if (!hw_vector_push(&table->sections, section)) {
		free(section.bytes);
		return error_no_memory();
	}
	target_read_sparse(table->runtime->target, section.start, section.bytes, bytes);
	table->statistics.bytes += bytes;

	struct scan scan = {
		.table = table,
		.layout = &table->runtime->layout,
		.section = &table->sections.items[table->sections.count - 1],
		.bytes = bytes,
	};
	size_t first = table->types.count;
	struct error *err = scan_records(&scan);
	for (size_t i = first; i < table->types.count && !err; i++)
		err = scan_link(&scan, table->types.items[i]);
	return err;
}
