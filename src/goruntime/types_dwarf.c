// DWARF types to Go types.
//
// A reference is followed through names, pointers, slices and arrays until something known, a
// struct or a plain type comes up; then the chain is built from that end. A struct is published
// before its fields are read, so types that refer to themselves end there; the fields of all
// structs met are read afterwards, from a list. No step recurses, and a damaged file can at worst
// describe types that the type table's own checks cut short.
#include "goruntime/types_dwarf.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

enum {
	CHAIN_MAX = 32, // pointers to slices of arrays of ...
	FIELDS_MAX = 4096,
	PASSES_MAX = 64, // structs and arrays within each other
};
#define TYPE_SIZE_MAX (UINT64_C(1) << 40)

// A type made here whose inside is still to be read.
struct unfinished {
	struct go_type *type;
	dwarf_ref ref;
};

struct dwarf_types {
	struct type_table *table;
	const struct go_runtime *runtime;
	struct dwarf *dwarf;
	uint64_t bias;
	struct hw_map known; // dwarf_ref -> the type's id + 1, 0: is no type
	HW_VECTOR(struct unfinished) unfinished;
	HW_VECTOR(struct go_field) fields; // of the struct that is being read
	bool no_memory;
};

struct error *dwarf_types_create(struct type_table *table, const struct go_runtime *runtime,
	struct dwarf *dwarf, struct dwarf_types **out)
{
	struct dwarf_types *types = calloc(1, sizeof(*types));

	if (!types)
		return error_no_memory();
	types->table = table;
	types->runtime = runtime;
	types->dwarf = dwarf;
	types->bias = runtime->executable ? executable_bias(runtime->executable) : 0;
	hw_map_init(&types->known);
	*out = types;
	return NULL;
}

void dwarf_types_destroy(struct dwarf_types *types)
{
	if (!types)
		return;
	hw_map_deinit(&types->known);
	hw_vector_deinit(&types->unfinished);
	hw_vector_deinit(&types->fields);
	free(types);
}

static bool type_agrees(const struct go_type *type, const struct dwarf_type *told)
{
	return type && (!told->go_kind || told->go_kind == (unsigned)type->kind) &&
	       (!told->size || told->size == type->size);
}

// The type that the attribute DW_AT_go_runtime_type means: an offset from the start of the types;
// in old versions for a few types an address (cmd/link/internal/ld/dwarf.go, DW_CLS_GO_TYPEREF and
// DW_CLS_ADDRESS).
static const struct go_type *runtime_type(struct dwarf_types *types, const struct dwarf_type *told)
{
	const remote_addr places[] = {
		types->runtime->modules[0].types + told->runtime_type,
		types->bias + told->runtime_type,
	};

	if (!told->runtime_type)
		return NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct go_type *type = type_by_address(types->table, places[i]);
		if (type_agrees(type, told))
			return type;
	}
	return NULL;
}

static bool is_separator(char c)
{
	return strchr("*[](){},; <-", c) != NULL;
}

// The name as Go prints it: of each package only the path's last element.
static const char *short_name(struct dwarf_types *types, const char *name)
{
	char *out = type_alloc(types->table, strlen(name) + 1);
	size_t length = 0, token = 0;

	if (!out)
		return "";
	for (; *name; name++) {
		if (*name == '/') {
			length = token;
			continue;
		}
		out[length++] = *name;
		if (is_separator(*name))
			token = length;
	}
	out[length] = '\0';
	return out;
}

// The package of a named type: what stands before the last dot that is not in brackets.
static const char *package_of(struct dwarf_types *types, const char *name)
{
	size_t plain = strcspn(name, "[");

	if (!plain || is_separator(*name) || name[strcspn(name, "({ ")] != '\0')
		return "";
	while (plain > 0 && name[plain - 1] != '.')
		plain--;
	char *out = plain > 1 ? type_alloc(types->table, plain) : NULL;
	if (!out)
		return "";
	memcpy(out, name, plain - 1);
	return out;
}

static struct go_type *type_make(
	struct dwarf_types *types, const struct dwarf_type *told, enum go_kind kind, uint64_t size)
{
	struct go_type *type = size <= TYPE_SIZE_MAX ? type_create(types->table) : NULL;

	if (!type)
		return NULL;
	type->name = short_name(types, told->name);
	type->package = package_of(types, told->name);
	type->kind = kind;
	type->size = size;
	return type;
}

// A type that is one word, which points to something.
static struct go_type *type_make_word(
	struct dwarf_types *types, const struct dwarf_type *told, enum go_kind kind)
{
	struct go_type *type = type_make(types, told, kind, 8);

	if (type) {
		type->pointer_bytes = 8;
		type->direct = true;
	}
	return type;
}

// Types whose inside is read later: structs.
static const struct go_type *struct_make(struct dwarf_types *types, const struct dwarf_type *told)
{
	struct go_type *type = type_make(types, told, GO_STRUCT, told->size);
	struct unfinished later = {type, told->ref};

	if (type && !hw_vector_push(&types->unfinished, later))
		types->no_memory = true;
	return type;
}

static const struct go_type *interface_make(
	struct dwarf_types *types, const struct dwarf_type *told)
{
	struct go_type *type = type_make(types, told, GO_INTERFACE, 16);
	struct dwarf_type inside;

	if (type) {
		type->pointer_bytes = 16;
		type->empty_interface = dwarf_type(types->dwarf, told->elem, &inside) &&
					strcmp(inside.name, "runtime.eface") == 0;
	}
	return type;
}

// Where a chain of references ends: a type that is there, or can be made without knowing another
// one. NULL: go on with the next link.
static const struct go_type *chain_end(struct dwarf_types *types, const struct dwarf_type *told)
{
	const struct go_type *type = runtime_type(types, told);

	// Names of pointers, slices and so on are not unique: two packages may end alike.
	if (!type && *told->name && !is_separator(*told->name)) {
		type = type_by_name(types->table, told->name);
		if (!type_agrees(type, told))
			type = NULL;
	}
	if (type)
		return type;
	switch (told->go_kind) {
	case GO_INTERFACE:
		return interface_make(types, told);
	case GO_FUNC:
	case GO_MAP: // its group is unknown, so it cannot be followed; it cannot have been made
		     // either
	case GO_UNSAFE_POINTER:
		return type_make_word(types, told, (enum go_kind)told->go_kind);
	case GO_CHAN:
	case GO_SLICE:
		return NULL;
	}
	switch (told->kind) {
	case DWARF_STRUCT:
		return struct_make(types, told);
	case DWARF_FUNCTION:
		return type_make_word(types, told, GO_FUNC);
	case DWARF_BASE:
		return type_make(
			types, told, told->go_kind ? told->go_kind : GO_UINTPTR, told->size);
	case DWARF_POINTER:
		return told->elem ? NULL : type_make_word(types, told, GO_UNSAFE_POINTER);
	case DWARF_ARRAY:
	case DWARF_TYPEDEF:
		return NULL;
	}
	return NULL;
}

static dwarf_ref chain_next(const struct dwarf_type *told)
{
	return told->go_kind == GO_CHAN || told->go_kind == GO_SLICE ? told->go_elem : told->elem;
}

static const struct go_type *array_make(
	struct dwarf_types *types, const struct dwarf_type *told, const struct go_type *elem)
{
	if (elem->size && told->length > TYPE_SIZE_MAX / elem->size)
		return NULL;
	struct go_type *type = type_make(types, told, GO_ARRAY, told->length * elem->size);
	struct unfinished later = {type, 0};

	if (!type)
		return NULL;
	type->elem = elem;
	type->length = told->length;
	if (!hw_vector_push(&types->unfinished, later))
		types->no_memory = true;
	return type;
}

// The type of one link, whose next link is `elem`.
static const struct go_type *link_make(
	struct dwarf_types *types, const struct dwarf_type *told, const struct go_type *elem)
{
	if (told->go_kind == GO_SLICE)
		return type_slice_of(types->table, elem);
	if (told->go_kind == GO_CHAN) {
		struct go_type *type = type_make_word(types, told, GO_CHAN);
		if (type)
			type->elem = elem;
		return type;
	}
	if (told->kind == DWARF_POINTER)
		return type_pointer_to(types->table, elem);
	if (told->kind == DWARF_ARRAY)
		return array_make(types, told, elem);
	return elem; // another name for it
}

static void remember(struct dwarf_types *types, dwarf_ref ref, const struct go_type *type)
{
	if (!hw_map_put(&types->known, ref, type ? (uint64_t)type->id + 1 : 0))
		types->no_memory = true;
}

// The type of a reference, known to its size; the insides of structs may still be unfinished.
static const struct go_type *type_resolve(struct dwarf_types *types, dwarf_ref ref)
{
	struct dwarf_type chain[CHAIN_MAX];
	const struct go_type *type = NULL;
	unsigned length = 0;
	uint64_t found;

	for (; ref && !type && length < CHAIN_MAX; length++) {
		if (hw_map_get(&types->known, ref, &found)) {
			type = found ? type_by_id(types->table, found - 1) : NULL;
			break;
		}
		if (!dwarf_type(types->dwarf, ref, &chain[length]))
			break;
		type = chain_end(types, &chain[length]);
		if (type) {
			remember(types, ref, type);
			break;
		}
		ref = chain_next(&chain[length]);
	}
	while (length-- > 0) {
		if (type)
			type = link_make(types, &chain[length], type);
		remember(types, chain[length].ref, type);
	}
	return type;
}

static bool field_take(void *context, const struct dwarf_field *told)
{
	struct dwarf_types *types = context;
	struct go_field field = {
		.name = told->name,
		.type = type_resolve(types, told->type),
		.offset = told->offset,
		.embedded = told->embedded,
	};

	if (!field.type || types->fields.count == FIELDS_MAX)
		return false;
	if (!hw_vector_push(&types->fields, field))
		types->no_memory = true;
	return !types->no_memory;
}

static void struct_finish(struct dwarf_types *types, const struct unfinished *unfinished)
{
	types->fields.count = 0;
	dwarf_fields(types->dwarf, unfinished->ref, field_take, types);
	size_t count = types->fields.count;
	struct go_field *fields = count ? type_alloc(types->table, count * sizeof(*fields)) : NULL;
	if (!fields)
		return;
	memcpy(fields, types->fields.items, count * sizeof(*fields));
	type_set_fields(unfinished->type, fields, (uint32_t)count);
}

static uint64_t pointer_bytes(const struct go_type *type)
{
	uint64_t bytes = 0;

	if (type->kind == GO_ARRAY)
		return type->length && type->elem->pointer_bytes
			       ? (type->length - 1) * type->elem->size + type->elem->pointer_bytes
			       : 0;
	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct go_field *field = &type->fields[i];
		if (field->type->pointer_bytes)
			bytes = field->offset + field->type->pointer_bytes;
	}
	return bytes;
}

// Those that lie in others come later in the list, mostly: so one pass from its end, mostly.
static void pointer_bytes_spread(struct dwarf_types *types)
{
	bool changed = true;

	for (int pass = 0; pass < PASSES_MAX && changed; pass++) {
		changed = false;
		for (size_t i = types->unfinished.count; i-- > 0;) {
			struct go_type *type = types->unfinished.items[i].type;
			uint64_t bytes = pointer_bytes(type);
			changed |= bytes != type->pointer_bytes;
			type->pointer_bytes = bytes;
		}
	}
}

const struct go_type *dwarf_types_get(struct dwarf_types *types, dwarf_ref ref)
{
	const struct go_type *type = type_resolve(types, ref);

	if (!types->unfinished.count)
		return types->no_memory ? NULL : type;
	for (size_t i = 0; i < types->unfinished.count; i++) {
		struct unfinished unfinished = types->unfinished.items[i];
		if (unfinished.type->kind == GO_STRUCT)
			struct_finish(types, &unfinished);
	}
	pointer_bytes_spread(types);
	types->unfinished.count = 0;
	return types->no_memory ? NULL : type;
}
