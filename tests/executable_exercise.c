// See executable_exercise.h.
#include "executable_exercise.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/buildinfo.h"
#include "debuginfo/dwarf.h"
#include "file_target.h"
#include "goruntime/layout.h"
#include "goruntime/types_dwarf.h"

enum { ENTRIES_MAX = 200, TYPES_DEPTH = 8 };

// What is touched must be readable, NUL-terminated memory.
static size_t touched;

static void touch(const char *string)
{
	touched += strlen(string);
}

struct walk {
	struct dwarf *dwarf;
	unsigned left;  // entries that may still be looked at
	dwarf_ref next; // a field's type to go on with
};

static bool field_touch(void *context, const struct dwarf_field *field)
{
	struct walk *walk = context;

	touch(field->name);
	walk->next = field->type;
	return walk->left && --walk->left;
}

// Follows the type and the last of its fields a few steps.
static void type_walk(struct walk *walk, dwarf_ref ref)
{
	struct dwarf_type type;

	for (int depth = 0; depth < TYPES_DEPTH && dwarf_type(walk->dwarf, ref, &type); depth++) {
		touch(type.name);
		walk->next = 0;
		if (type.kind == DWARF_STRUCT)
			dwarf_fields(walk->dwarf, ref, field_touch, walk);
		ref = walk->next ? walk->next : type.elem ? type.elem : type.go_elem;
	}
}

static bool variable_touch(void *context, const struct dwarf_variable *variable)
{
	struct walk *walk = context;
	uint64_t end = 0;

	touch(variable->name);
	type_walk(walk, variable->type);
	if (variable->piece_count == 0 || variable->piece_count > DWARF_PIECES_MAX)
		__builtin_trap();
	for (unsigned i = 0; i < variable->piece_count; i++) {
		if (variable->pieces[i].start != end)
			__builtin_trap();
		end += variable->pieces[i].size;
	}
	return walk->left && --walk->left;
}

static void dwarf_exercise(struct dwarf *dwarf, remote_addr first_code)
{
	struct walk walk = {.dwarf = dwarf, .left = ENTRIES_MAX};
	struct dwarf_function function;
	int64_t value;
	size_t count;

	const struct dwarf_global *globals = dwarf_globals(dwarf, &count);
	for (size_t i = 0; i < count && walk.left; i++, walk.left--) {
		touch(globals[i].name);
		type_walk(&walk, globals[i].type);
	}
	walk.left = ENTRIES_MAX;
	for (remote_addr pc = first_code; pc < first_code + 256; pc += 8) {
		if (!dwarf_function_at(dwarf, pc, &function))
			continue;
		if (pc < function.low || pc >= function.high)
			__builtin_trap();
		dwarf_locals(dwarf, pc, pc + 8, variable_touch, &walk);
		dwarf_captures(dwarf, function.low, field_touch, &walk);
	}
	dwarf_constant(dwarf, "main.limit", &value);
	dwarf_field_offset(dwarf, "main.order", "header.size|id", &value);
	dwarf_struct_size(dwarf, "main.order", &value);
}

// All types as Go types, on a table that knows none: every one has to be made.
static void types_exercise(
	struct target *target, struct executable *executable, struct dwarf *dwarf)
{
	struct go_module module = {0};
	struct go_runtime runtime = {
		.target = target, .executable = executable, .modules = &module, .module_count = 1};
	struct type_table *table = NULL;
	struct dwarf_types *types = NULL;
	size_t count;

	struct error *err = memory_init(&runtime.memory, target, 1 << 16);
	if (!err)
		err = type_table_create(&runtime, &table);
	if (!err)
		err = dwarf_types_create(table, &runtime, dwarf, &types);
	const struct dwarf_global *globals = dwarf_globals(dwarf, &count);
	for (size_t i = 0; !err && i < count && i < ENTRIES_MAX; i++) {
		const struct go_type *type = dwarf_types_get(types, globals[i].type);
		if (!type)
			continue;
		touch(type->name);
		if (type->pointer_bytes > type->size)
			__builtin_trap();
		type_mask(table, type);
	}
	error_destroy(err);
	dwarf_types_destroy(types);
	type_table_destroy(table);
	memory_deinit(&runtime.memory);
}

static void target_exercise(struct target *target, bool *opened)
{
	struct buildinfo *info;
	struct executable *executable;
	struct dwarf *dwarf;
	struct symbol symbol;
	struct layout_offsets offsets;

	struct error *err = buildinfo_read(target, &info);
	if (!err) {
		touch(info->go_version);
		for (size_t i = 0; i < info->setting_count; i++)
			touch(info->settings[i].value);
		buildinfo_destroy(info);
	}
	error_destroy(err);

	err = executable_open(target, &executable);
	*opened = !err;
	if (err) {
		error_destroy(err);
		return;
	}
	remote_addr code = executable_bias(executable);
	for (size_t i = 0; i < target->region_count; i++) {
		if (target->regions[i].executable)
			code = target->regions[i].start;
	}
	touch(executable_build_id(executable));
	for (remote_addr at = code; at < code + 4096; at += 16) {
		if (executable_symbol(executable, at, &symbol))
			touch(symbol.name);
	}
	if (executable_symbol_by_name(executable, "main.handle", &symbol))
		code = symbol.address;
	err = executable_dwarf(executable, &dwarf);
	if (!err) {
		dwarf_exercise(dwarf, code);
		types_exercise(target, executable, dwarf);
		err = layout_read(executable, &offsets);
	}
	error_destroy(err);
	executable_destroy(executable);
}

bool executable_exercise(const void *bytes, size_t size)
{
	char path[64];
	struct target *target;
	bool opened = false;
	_cleanup_close_ int fd = memfd_create("executable", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		__builtin_trap();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct error *err = file_target_open(path, 0, &target);
	if (!err) {
		target_exercise(target, &opened);
		target_destroy(target);
	}
	error_destroy(err);
	return opened;
}
