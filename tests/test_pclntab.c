// debuginfo/pclntab: both formats from tables made by hand, and what is left of them after damage.
#include "test.h"

#include "debuginfo/pclntab.h"
#include "pclntab_image.h"

#define TEXT PCLNTAB_IMAGE_TEXT

struct opened {
	struct target *target;
	struct pclntab *table;
};

static void open_image(bool go_1_20, struct opened *out)
{
	struct pclntab_location location;
	size_t size;
	_cleanup_free_ uint8_t *bytes = pclntab_image(go_1_20, &size);

	assert_non_null(bytes);
	assert_true(pclntab_image_open(bytes, size, &out->target, &location));
	assert_success(pclntab_create(out->target, &location, &out->table));
}

static void close_image(struct opened *opened)
{
	pclntab_destroy(opened->table);
	target_destroy(opened->target);
}

static void assert_functions(bool go_1_20)
{
	struct opened opened;
	struct pcln_function function;

	open_image(go_1_20, &opened);
	assert_int_equal(pclntab_count(opened.table), 2);
	assert_true(pclntab_find(opened.table, TEXT + 0x3f, &function));
	assert_string_equal(function.name, "main.outer");
	assert_int_equal(function.entry, TEXT);
	assert_int_equal(function.end, TEXT + 0x40);
	assert_int_equal(function.args, 8);
	assert_int_equal(function.deferreturn, 0x30);
	assert_int_equal(function.start_line, go_1_20 ? 9 : 0);
	assert_true(pclntab_find(opened.table, TEXT + 0x40, &function));
	assert_string_equal(function.name, "runtime.goexit");
	assert_int_equal(function.flag, FUNC_FLAG_TOP_FRAME | FUNC_FLAG_ASM);
	assert_false(pclntab_find(opened.table, TEXT - 1, &function));
	assert_false(pclntab_find(opened.table, TEXT + 0x50, &function));
	assert_true(pclntab_find_name(opened.table, "runtime.goexit", &function));
	assert_int_equal(function.index, 1);
	assert_false(pclntab_find_name(opened.table, "runtime.goexi", &function));
	close_image(&opened);
}

static void functions_old(void **state)
{
	assert_functions(false);
}

static void functions_new(void **state)
{
	assert_functions(true);
}

static void values(void **state)
{
	struct opened opened;
	struct pcln_function function;
	remote_addr locals;
	const uint8_t *bytes;

	open_image(true, &opened);
	assert_true(pclntab_function(opened.table, 0, &function));
	assert_int_equal(pclntab_frame_size(opened.table, &function, TEXT), 0);
	assert_int_equal(pclntab_frame_size(opened.table, &function, TEXT + 7), 0);
	assert_int_equal(pclntab_frame_size(opened.table, &function, TEXT + 8), 40);
	assert_int_equal(pclntab_frame_size(opened.table, &function, TEXT + 0x40), -1);
	assert_int_equal(pclntab_data(opened.table, &function, PCDATA_STACK_MAP_INDEX, TEXT), -1);
	assert_int_equal(
		pclntab_data(opened.table, &function, PCDATA_STACK_MAP_INDEX, TEXT + 0x18), 1);
	assert_int_equal(pclntab_data(opened.table, &function, PCDATA_UNSAFE_POINT, TEXT), -1);
	locals = pclntab_funcdata(opened.table, &function, FUNCDATA_LOCALS_POINTER_MAPS);
	bytes = pclntab_funcdata_bytes(opened.table, locals, 10);
	assert_non_null(bytes);
	assert_int_equal(bytes[8], 5);
	assert_null(pclntab_funcdata_bytes(opened.table, locals, 1 << 20));
	assert_int_equal(pclntab_funcdata(opened.table, &function, FUNCDATA_STACK_OBJECTS), 0);
	close_image(&opened);
}

static void assert_position(
	const struct pcln_position *position, const char *function, const char *file, int line)
{
	assert_string_equal(position->function, function);
	assert_string_equal(position->file, file);
	assert_int_equal(position->line, line);
}

static void assert_positions(bool go_1_20)
{
	struct opened opened;
	struct pcln_function function;
	struct pcln_position positions[4];

	open_image(go_1_20, &opened);
	assert_true(pclntab_function(opened.table, 0, &function));
	assert_int_equal(pclntab_positions(opened.table, &function, TEXT + 4, positions, 4), 1);
	assert_position(&positions[0], "main.outer", "/main.go", 10);
	assert_int_equal(pclntab_positions(opened.table, &function, TEXT + 0x1c, positions, 4), 3);
	assert_position(&positions[0], "main.innermost", "/in.go", 30);
	assert_position(&positions[1], "main.inner", "/in.go", 20);
	assert_position(&positions[2], "main.outer", "/main.go", 10);
	assert_int_equal(pclntab_positions(opened.table, &function, TEXT + 0x1c, positions, 2), 2);
	assert_int_equal(pclntab_positions(opened.table, &function, TEXT + 0x40, positions, 4), 0);
	close_image(&opened);
}

static void positions_old(void **state)
{
	assert_positions(false);
}

static void positions_new(void **state)
{
	assert_positions(true);
}

// Asks everything there is to ask; the sanitizers watch.
static void ask_everything(const uint8_t *bytes, size_t size)
{
	struct pclntab_location location;
	struct target *target;
	struct pclntab *table;
	struct error *err;

	if (!pclntab_image_open(bytes, size, &target, &location))
		return;
	err = pclntab_create(target, &location, &table);
	if (err) {
		assert_int_equal(error_kind(err), ERROR_TARGET);
		error_destroy(err);
		target_destroy(target);
		return;
	}
	for (remote_addr pc = TEXT; pc < TEXT + 0x60; pc += 4) {
		struct pcln_position positions[8];
		struct pcln_function function;

		if (!pclntab_find(table, pc, &function))
			continue;
		pclntab_frame_size(table, &function, pc);
		pclntab_positions(table, &function, pc, positions, 8);
		pclntab_find_name(table, function.name, &function);
	}
	pclntab_destroy(table);
	target_destroy(target);
}

static void damage(void **state)
{
	size_t size;
	_cleanup_free_ uint8_t *bytes = pclntab_image(true, &size);
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	for (size_t i = 0; i < size; i++) {
		uint8_t right = bytes[i];
		for (size_t k = 0; k < ARRAY_COUNT(values); k++) {
			bytes[i] = values[k];
			ask_everything(bytes, size);
		}
		bytes[i] = right;
	}
	for (size_t shorter = 0; shorter < size; shorter++)
		ask_everything(bytes, shorter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_old),
		cmocka_unit_test(functions_new),
		cmocka_unit_test(values),
		cmocka_unit_test(positions_old),
		cmocka_unit_test(positions_new),
		cmocka_unit_test(damage),
	};

	return cmocka_run_group_tests_name("pclntab", tests, NULL, NULL);
}
