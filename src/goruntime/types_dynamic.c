// Types that reflect made at run time (reflect.StructOf, SliceOf, MapOf, ...): their records lie on
// the heap.
//
// They have the layout of static records, but their names are in a table inside the runtime
// (negative name offsets, runtime.reflectOffs), so the name is rebuilt from the structure. Since
// any heap word may be offered here, a record must refer to types that are known already or are
// records themselves; how deep they may lie in each other is bounded.
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "goruntime/types_private.h"

enum {
	DYNAMIC_DEPTH_MAX = 4,
	DYNAMIC_FIELDS_MAX = 512,
	DYNAMIC_NAME_MAX = 300,
	REJECTED_MAX = 1 << 16
};

// Records still to be read, so that types inside types need no recursion.
struct dynamic {
	struct type_table *table;
	remote_addr waiting[DYNAMIC_DEPTH_MAX];
	unsigned count;
};

// A known type, or NULL after noting that `address` has to be read first.
static const struct go_type *dynamic_need(struct dynamic *dynamic, remote_addr address)
{
	uint64_t found;

	if (hw_map_get(&dynamic->table->by_address, address, &found))
		return (const struct go_type *)(uintptr_t)found;
	if (dynamic->count < DYNAMIC_DEPTH_MAX)
		dynamic->waiting[dynamic->count++] = address;
	return NULL;
}

static void dynamic_field_name(
	struct type_table *table, remote_addr address, struct go_field *field)
{
	uint8_t head[3];
	char bytes[128];

	field->name = "";
	if (!memory_read(&table->runtime->memory, address, head, sizeof(head)))
		return;
	size_t length = head[1] & 127, start = 2;
	if (head[1] & 128) {
		length |= (size_t)(head[2] & 127) << 7;
		start = 3;
	}
	if (length >= sizeof(bytes) ||
		!memory_read(&table->runtime->memory, address + start, bytes, length))
		return;
	char *name = hw_arena_strndup(&table->arena, bytes, length);
	if (name)
		field->name = name;
	field->embedded = head[0] & 8;
}

static bool dynamic_struct(struct dynamic *dynamic, const uint8_t *own, struct go_type *type)
{
	struct type_table *table = dynamic->table;
	remote_addr list;
	uint64_t count, capacity;

	memcpy(&list, own + 8, 8);
	memcpy(&count, own + 16, 8);
	memcpy(&capacity, own + 24, 8);
	if (count > capacity || count > DYNAMIC_FIELDS_MAX)
		return false;
	if (!count) // reflect's bucket types have no fields, only a mask
		return type->pointer_bytes != 0;

	struct go_field *fields = hw_arena_calloc(&table->arena, count, sizeof(*fields));
	if (!fields)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		remote_addr record[3];
		if (!memory_read(&table->runtime->memory, list + 24 * i, record, sizeof(record)))
			return false;
		fields[i].type = dynamic_need(dynamic, record[1]);
		if (!fields[i].type)
			return false;
		dynamic_field_name(table, record[0], &fields[i]);
		fields[i].offset = record[2];
	}
	type_set_fields(type, fields, count);
	return type->field_count == count;
}

static void dynamic_name(struct type_table *table, struct go_type *type)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	switch (type->kind) {
	case GO_POINTER:
		text_printf(&text, "*%s", type->elem->name);
		break;
	case GO_SLICE:
		text_printf(&text, "[]%s", type->elem->name);
		break;
	case GO_CHAN:
		text_printf(&text, "chan %s", type->elem->name);
		break;
	case GO_ARRAY:
		text_printf(&text, "[%" PRIu64 "]%s", type->length, type->elem->name);
		break;
	case GO_MAP:
		text_printf(&text, "map[%s]%s", type->key->name, type->elem->name);
		break;
	default:
		text_append(&text, "struct {");
		for (uint32_t i = 0; i < type->field_count && text.length < DYNAMIC_NAME_MAX; i++)
			text_printf(&text, "%s %s %s", i ? ";" : "", type->fields[i].name,
				type->fields[i].type->name);
		text_append(&text, type->field_count ? " }" : "}");
		break;
	}
	char *name = text.failed ? NULL : hw_arena_strndup(&table->arena, text.bytes, text.length);
	if (name)
		type->name = name;
}

// Reads one record into `type`. False: it is none, or needs others first (dynamic->count says so).
static bool dynamic_read(struct dynamic *dynamic, remote_addr address, struct go_type *type)
{
	struct type_table *table = dynamic->table;
	const struct layout *layout = &table->runtime->layout;
	uint8_t bytes[RECORD_BYTES_MAX] = {0};
	struct type_record record;
	remote_addr reference[3];

	if (!memory_read(&table->runtime->memory, address, bytes, 80) ||
		!record_decode(layout, bytes, &record) || record.name >= 0)
		return false;
	record_apply(layout, bytes, &record, type);
	type->runtime_type = address;
	memcpy(reference, bytes + RECORD_BYTES, sizeof(reference));

	switch (record.kind) {
	case GO_POINTER:
	case GO_SLICE:
	case GO_CHAN:
		type->elem = dynamic_need(dynamic, reference[0]);
		return type->elem;
	case GO_ARRAY:
		type->elem = dynamic_need(dynamic, reference[0]);
		type->length = reference[2];
		return type->elem &&
		       (type->elem->size ? type->length == type->size / type->elem->size
					 : !type->size);
	case GO_MAP:
		type->key = dynamic_need(dynamic, reference[0]);
		type->elem = dynamic_need(dynamic, reference[1]);
		type->group = dynamic_need(dynamic, reference[2]);
		return type->key && type->elem && type->group;
	case GO_STRUCT:
		return dynamic_struct(dynamic, bytes + RECORD_BYTES, type);
	default: // reflect makes no others that hold data
		return false;
	}
}

const struct go_type *type_read_dynamic(struct type_table *table, remote_addr address)
{
	struct dynamic dynamic = {.table = table};
	const struct go_type *result = NULL;

	// Depth first: what a record needs is read before the record is tried again. Each round
	// settles one address, so the rounds are bounded by what can be waiting; a circle of
	// records never settles and runs into the bound.
	dynamic.waiting[dynamic.count++] = address;
	for (unsigned round = 0; dynamic.count && round < 64; round++) {
		unsigned before = dynamic.count;
		remote_addr current = dynamic.waiting[before - 1];
		struct go_type type = {.name = "", .package = ""};

		bool good = !(current & 7) && dynamic_read(&dynamic, current, &type);
		if (!good && dynamic.count > before)
			continue;
		dynamic.count = before - 1;
		struct go_type *kept = good ? type_create(table) : NULL;
		if (kept) {
			type.id = kept->id;
			*kept = type;
			dynamic_name(table, kept);
		} else if (table->statistics.rejected++ > REJECTED_MAX) {
			return NULL; // what is offered are no types: do not remember every word of
				     // the heap
		}
		if (!hw_map_put(&table->by_address, current, (uintptr_t)kept))
			return NULL;
		result = kept;
	}
	return dynamic.count ? NULL : result;
}
