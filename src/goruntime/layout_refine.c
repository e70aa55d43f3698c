// The layout as the executable's own debug information tells it.
//
// The linker drops the types that a program does not use, so a field may be missing here that the
// table knows, and the other way round for versions that the table has no row of.
#include "goruntime/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "debuginfo/dwarf.h"

struct layout_field {
	const char *name;
	size_t offset;         // in struct layout_offsets
	const char *structure; // Go's name, or several
	const char *path;      // NULL: the size of the struct
};

static const struct layout_field layout_fields[] = {
#define LAYOUT_FIELD(name, structure, field) \
	{#name, offsetof(struct layout_offsets, name), structure, field},
#define LAYOUT_SIZE(name, structure) \
	{#name, offsetof(struct layout_offsets, name), structure, NULL},
#include "goruntime/layout_fields.h"
#undef LAYOUT_FIELD
#undef LAYOUT_SIZE
};

enum { LAYOUT_FIELD_COUNT = sizeof(layout_fields) / sizeof(layout_fields[0]) };

static int32_t *layout_slot(struct layout_offsets *offsets, const struct layout_field *field)
{
	return (int32_t *)((char *)offsets + field->offset);
}

static bool field_read(struct dwarf *dwarf, const struct layout_field *field, int32_t *out)
{
	const char *names = field->structure;
	bool known = false;
	int64_t value;

	while (!known && *names) {
		char structure[64];
		size_t length = strcspn(names, "|");

		snprintf(structure, sizeof(structure), "%.*s", (int)length, names);
		known = field->path ? dwarf_field_offset(dwarf, structure, field->path, &value)
				    : dwarf_struct_size(dwarf, structure, &value);
		names += length + (names[length] == '|');
	}
	if (!known || value < 0 || value > INT32_MAX)
		return false;
	*out = (int32_t)value;
	return true;
}

struct error *layout_read(struct executable *executable, struct layout_offsets *out)
{
	struct dwarf *dwarf;
	struct error *err = executable_dwarf(executable, &dwarf);

	if (err)
		return err;
	for (size_t i = 0; i < LAYOUT_FIELD_COUNT; i++) {
		int32_t *slot = layout_slot(out, &layout_fields[i]);
		if (!field_read(dwarf, &layout_fields[i], slot))
			*slot = -1;
	}
	return NULL;
}

struct error *layout_refine(struct layout *layout, struct executable *executable, char **note)
{
	_cleanup_text_ struct text differences = TEXT_INIT;
	struct layout_offsets told;
	struct error *err = layout_read(executable, &told);

	if (err)
		return err;
	for (size_t i = 0; i < LAYOUT_FIELD_COUNT; i++) {
		const struct layout_field *field = &layout_fields[i];
		int32_t *known = layout_slot(&layout->at, field);
		int32_t value = *layout_slot(&told, field);
		if (value < 0 || value == *known)
			continue;
		text_printf(&differences, "%s%s is %d, not %d", differences.length ? ", " : "",
			field->name, value, *known);
		*known = value;
	}
	if (differences.failed)
		return error_no_memory();
	*note = NULL;
	if (differences.length == 0)
		return NULL;
	struct text sentence = TEXT_INIT;
	text_printf(&sentence, "the debug information differs from the layout of %s: %s",
		layout->at.version, differences.bytes);
	*note = text_take(&sentence);
	return *note ? NULL : error_no_memory();
}
