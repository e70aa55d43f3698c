// goruntime/types_dwarf: the types of fixtures/go_program.S as Go types.
#include "test.h"

#include "file_target.h"
#include "goruntime/types_dwarf.h"

static char **fixtures;
static int fixture_count;

struct opened {
	struct target *target;
	struct go_module module;
	struct go_runtime runtime;
	struct dwarf *dwarf;
	struct type_table *table;
	struct dwarf_types *types;
};

// A runtime that has no types of its own: all of them must come from the debug information.
static void opened_init(struct opened *opened, const char *path)
{
	memset(opened, 0, sizeof(*opened));
	assert_success(file_target_open(path, 0, &opened->target));
	opened->runtime.target = opened->target;
	opened->runtime.modules = &opened->module;
	opened->runtime.module_count = 1;
	assert_success(executable_open(opened->target, &opened->runtime.executable));
	assert_success(executable_dwarf(opened->runtime.executable, &opened->dwarf));
	assert_success(memory_init(&opened->runtime.memory, opened->target, 1 << 16));
	assert_success(type_table_create(&opened->runtime, &opened->table));
	assert_success(
		dwarf_types_create(opened->table, &opened->runtime, opened->dwarf, &opened->types));
}

static void opened_deinit(struct opened *opened)
{
	dwarf_types_destroy(opened->types);
	type_table_destroy(opened->table);
	memory_deinit(&opened->runtime.memory);
	executable_destroy(opened->runtime.executable);
	target_destroy(opened->target);
}

static void check_struct(struct opened *opened)
{
	dwarf_ref ref = dwarf_struct(opened->dwarf, "main.order");
	const struct go_type *order = dwarf_types_get(opened->types, ref);

	assert_non_null(order);
	assert_ptr_equal(order, dwarf_types_get(opened->types, ref));
	assert_string_equal(order->name, "main.order");
	assert_string_equal(order->package, "main");
	assert_int_equal(order->kind, GO_STRUCT);
	assert_int_equal(order->size, 48);
	assert_int_equal(order->field_count, 4);
	// The string's address is the last word that can hold a pointer.
	assert_int_equal(order->pointer_bytes, 24);
	assert_int_equal(*type_mask(opened->table, order), 1 << 1 | 1 << 2);
	const struct go_field *next = &order->fields[1];
	assert_int_equal(next->type->kind, GO_POINTER);
	assert_ptr_equal(next->type->elem, order); // not another one of the same name
	assert_string_equal(next->type->name, "*main.order");
	assert_int_equal(order->fields[2].type->pointer_bytes, 8);
	assert_true(order->fields[3].embedded);
	assert_string_equal(order->fields[3].type->name, "main.header");
	assert_int_equal(order->fields[3].type->field_count, 2);
}

static void check_array(struct opened *opened)
{
	size_t count;
	const struct dwarf_global *globals = dwarf_globals(opened->dwarf, &count);
	const struct go_type *table = dwarf_types_get(opened->types, globals[1].type);

	assert_non_null(table);
	assert_int_equal(table->kind, GO_ARRAY);
	assert_int_equal(table->length, 4);
	assert_int_equal(table->size, 192);
	assert_int_equal(table->pointer_bytes, 3 * 48 + 24);
	assert_ptr_equal(table->elem, dwarf_types_get(opened->types, globals[0].type));
	assert_null(dwarf_types_get(opened->types, 0));
	assert_null(dwarf_types_get(opened->types, 1 << 30));
}

static void test_types(void **state)
{
	for (int i = 0; i < fixture_count; i++) {
		struct opened opened;
		opened_init(&opened, fixtures[i]);
		check_struct(&opened);
		check_array(&opened);
		opened_deinit(&opened);
	}
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
	};

	fixtures = arguments + 1;
	fixture_count = count - 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
