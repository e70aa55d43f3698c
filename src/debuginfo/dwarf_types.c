// Types, fields and constants of the debug information.
#include "debuginfo/dwarf_private.h"

#include <string.h>

enum { TYPEDEFS_MAX = 16, PATH_MAX_BYTES = 256 };

static bool kind_of(int tag, enum dwarf_kind *kind)
{
	switch (tag) {
	case DW_TAG_base_type:
	case DW_TAG_unspecified_type:
		*kind = DWARF_BASE;
		return true;
	case DW_TAG_pointer_type:
		*kind = DWARF_POINTER;
		return true;
	case DW_TAG_structure_type:
		*kind = DWARF_STRUCT;
		return true;
	case DW_TAG_array_type:
		*kind = DWARF_ARRAY;
		return true;
	case DW_TAG_typedef:
		*kind = DWARF_TYPEDEF;
		return true;
	case DW_TAG_subroutine_type:
		*kind = DWARF_FUNCTION;
		return true;
	default:
		return false;
	}
}

// Go gives arrays a subrange with the number of elements, or with the last index.
static uint64_t array_length(Dwarf_Die *array)
{
	Dwarf_Die child;
	uint64_t number;

	if (dwarf_child(array, &child) != 0)
		return 0;
	do {
		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		if (entry_number(&child, DW_AT_count, &number))
			return number;
		if (entry_number(&child, DW_AT_upper_bound, &number))
			return number + 1;
	} while (dwarf_siblingof(&child, &child) == 0);
	return 0;
}

static uint64_t number_or_zero(Dwarf_Die *entry, unsigned attribute)
{
	uint64_t number;

	return entry_number(entry, attribute, &number) ? number : 0;
}

bool dwarf_type(struct dwarf *dwarf, dwarf_ref ref, struct dwarf_type *out)
{
	Dwarf_Die entry;
	struct dwarf_type type = {.ref = ref};

	if (!dwarf_entry(dwarf, ref, &entry) || !kind_of(dwarf_tag(&entry), &type.kind))
		return false;
	const char *name = dwarf_diename(&entry);
	type.name = name ? name : "";
	type.go_kind =
		number_or_zero(&entry, DW_AT_go_kind) & 31; // flags above were of old versions
	type.size = number_or_zero(&entry, DW_AT_byte_size);
	type.runtime_type = number_or_zero(&entry, DW_AT_go_runtime_type);
	type.elem = entry_reference(&entry, DW_AT_type);
	type.go_key = entry_reference(&entry, DW_AT_go_key);
	type.go_elem = entry_reference(&entry, DW_AT_go_elem);
	if (type.kind == DWARF_ARRAY)
		type.length = array_length(&entry);
	*out = type;
	return true;
}

void dwarf_fields(struct dwarf *dwarf, dwarf_ref structure, dwarf_field_visit visit, void *context)
{
	Dwarf_Die entry, child;

	if (!dwarf_entry(dwarf, structure, &entry) || dwarf_child(&entry, &child) != 0)
		return;
	do {
		struct dwarf_field field = {0};
		if (dwarf_tag(&child) != DW_TAG_member ||
			!entry_number(&child, DW_AT_data_member_location, &field.offset))
			continue;
		const char *name = dwarf_diename(&child);
		field.name = name ? name : "";
		field.type = entry_reference(&child, DW_AT_type);
		Dwarf_Attribute embedded;
		bool flag;
		field.embedded = dwarf_attr(&child, DW_AT_go_embedded_field, &embedded) &&
				 dwarf_formflag(&embedded, &flag) == 0 && flag;
		if (!visit(context, &field))
			return;
	} while (dwarf_siblingof(&child, &child) == 0);
}

dwarf_ref dwarf_struct(struct dwarf *dwarf, const char *name)
{
	Dwarf_Die entry;

	return dwarf_find(dwarf, name, DW_TAG_structure_type, &entry) ? dwarf_dieoffset(&entry) : 0;
}

struct field_search {
	const char *name;
	size_t length;
	struct dwarf_field found;
	bool ok;
};

static bool field_match(void *context, const struct dwarf_field *field)
{
	struct field_search *search = context;

	if (strlen(field->name) != search->length ||
		strncmp(field->name, search->name, search->length) != 0)
		return true;
	search->found = *field;
	search->ok = true;
	return false;
}

// The struct behind any number of names for it; 0 when it is something else.
static dwarf_ref struct_behind(struct dwarf *dwarf, dwarf_ref ref)
{
	struct dwarf_type type;

	for (int i = 0; i < TYPEDEFS_MAX && dwarf_type(dwarf, ref, &type); i++) {
		if (type.kind == DWARF_STRUCT)
			return ref;
		if (type.kind != DWARF_TYPEDEF)
			break;
		ref = type.elem;
	}
	return 0;
}

// Follows one path of field names ("a.b", `length` bytes long).
static bool path_offset(
	struct dwarf *dwarf, dwarf_ref structure, const char *path, size_t length, int64_t *offset)
{
	uint64_t sum = 0;

	while (length) {
		const char *dot = memchr(path, '.', length);
		size_t part = dot ? (size_t)(dot - path) : length;
		struct field_search search = {.name = path, .length = part};
		dwarf_fields(dwarf, structure, field_match, &search);
		if (!search.ok)
			return false;
		sum += search.found.offset;
		path += part + (dot != NULL);
		length -= part + (dot != NULL);
		if (length)
			structure = struct_behind(dwarf, search.found.type);
	}
	*offset = (int64_t)sum;
	return true;
}

bool dwarf_field_offset(
	struct dwarf *dwarf, const char *structure, const char *path, int64_t *offset)
{
	dwarf_ref ref = dwarf_struct(dwarf, structure);

	while (ref && *path) {
		size_t length = strcspn(path, "|");
		if (path_offset(dwarf, ref, path, length, offset))
			return true;
		path += length + (path[length] == '|');
	}
	return false;
}

bool dwarf_struct_size(struct dwarf *dwarf, const char *structure, int64_t *size)
{
	Dwarf_Die entry;
	uint64_t bytes;

	if (!dwarf_find(dwarf, structure, DW_TAG_structure_type, &entry) ||
		!entry_number(&entry, DW_AT_byte_size, &bytes))
		return false;
	*size = (int64_t)bytes;
	return true;
}

bool dwarf_constant(struct dwarf *dwarf, const char *name, int64_t *value)
{
	Dwarf_Die entry;
	Dwarf_Attribute attribute;
	Dwarf_Sword number;

	if (!dwarf_find(dwarf, name, DW_TAG_constant, &entry) ||
		!dwarf_attr(&entry, DW_AT_const_value, &attribute) ||
		dwarf_formsdata(&attribute, &number) != 0)
		return false;
	*value = number;
	return true;
}
