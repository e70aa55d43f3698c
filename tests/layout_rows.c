// Writes rows of src/goruntime/layout_table.c, out of the debug information of Go programs. For
// scripts/layouts.sh.
//
//	layout_rows EXECUTABLE                                  its row
//	layout_rows EXECUTABLE VERSION [FIELD=OFFSET]...        the row of VERSION, which differs in
//these fields
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "debuginfo/buildinfo.h"
#include "debuginfo/executable.h"
#include "file_target.h"
#include "goruntime/layout.h"

enum { COLUMNS = 100, TAB = 8 };

// `column` is where the line stands; items are separated by blanks and wrapped.
static void item_print(const char *name, int value, int *column)
{
	char item[128];
	int length = snprintf(item, sizeof(item), ".%s = %d,", name, value);

	if (*column + 1 + length > COLUMNS) {
		printf("\n\t ");
		*column = TAB + 1;
	} else if (*column > TAB + 1) {
		putchar(' ');
		++*column;
	}
	fputs(item, stdout);
	*column += length;
}

static void row_print(const char *version, const struct layout_offsets *offsets)
{
	int column = TAB + 1;

	printf("\t{\"%s\",\n\t ", version);
#define LAYOUT_FIELD(name, structure, field) item_print(#name, offsets->name, &column);
#define LAYOUT_SIZE(name, structure) item_print(#name, offsets->name, &column);
#include "goruntime/layout_fields.h"
#undef LAYOUT_FIELD
#undef LAYOUT_SIZE
	printf("},\n");
}

static bool override(struct layout_offsets *offsets, const char *assignment)
{
	size_t length = strcspn(assignment, "=");

	if (assignment[length] != '=')
		return false;
#define LAYOUT_SIZE(name, structure) LAYOUT_FIELD(name, structure, 0)
#define LAYOUT_FIELD(name, structure, field)                                      \
	if (strlen(#name) == length && strncmp(#name, assignment, length) == 0) { \
		offsets->name = atoi(assignment + length + 1);                    \
		return true;                                                      \
	}
#include "goruntime/layout_fields.h"
#undef LAYOUT_FIELD
#undef LAYOUT_SIZE
	return false;
}

static struct error *row_write(struct target *target, char **arguments)
{
	struct buildinfo *info = NULL;
	struct executable *executable = NULL;
	struct layout_offsets offsets = {0};

	struct error *err = buildinfo_read(target, &info);
	if (!err)
		err = executable_open(target, &executable);
	if (!err)
		err = layout_read(executable, &offsets);
	const char *version = arguments[0] ? arguments[0] : info ? info->go_version : "";
	for (char **more = arguments[0] ? arguments + 1 : arguments; !err && *more; more++) {
		if (!override(&offsets, *more))
			err = error_create(ERROR_USAGE, "no such field: %s", *more);
	}
	if (!err)
		row_print(version, &offsets);
	executable_destroy(executable);
	buildinfo_destroy(info);
	return err;
}

int main(int count, char **arguments)
{
	struct target *target;

	if (count < 2) {
		fprintf(stderr, "usage: layout_rows EXECUTABLE [VERSION [FIELD=OFFSET]...]\n");
		return ERROR_USAGE;
	}
	struct error *err = file_target_open(arguments[1], 0, &target);
	if (!err) {
		err = row_write(target, arguments + 2);
		target_destroy(target);
	}
	if (err) {
		fprintf(stderr, "layout_rows: %s\n", error_message(err));
		return error_kind(err);
	}
	return 0;
}
