// debuginfo/: executables, build information and debug information, on fixtures/go_program.S built
// with DWARF 4 and 5, fixed and position independent, plain and compressed; then on the same files
// damaged.
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "debuginfo/buildinfo.h"
#include "debuginfo/dwarf.h"
#include "executable_exercise.h"
#include "file_target.h"
#include "goruntime/layout.h"
#include "target/image.h"

enum { BIAS_PIE = 0x10000 };

static char **fixtures;
static int fixture_count;

// One fixture, opened.
struct opened {
	struct target *target;
	struct executable *executable;
	struct dwarf *dwarf;
	struct symbol handle, func1;
};

static void fixture_open(const char *path, struct opened *out)
{
	// Only a position independent program can lie elsewhere.
	uint64_t bias = strstr(path, "pie") ? BIAS_PIE : 0;

	assert_success(file_target_open(path, bias, &out->target));
	assert_success(executable_open(out->target, &out->executable));
	assert_int_equal(executable_is_pie(out->executable), bias != 0);
	assert_int_equal(executable_bias(out->executable), bias);
	assert_success(executable_dwarf(out->executable, &out->dwarf));
	assert_true(executable_symbol_by_name(out->executable, "main.handle", &out->handle));
	assert_true(executable_symbol_by_name(out->executable, "main.handle.func1", &out->func1));
}

static void fixture_close(struct opened *opened)
{
	executable_destroy(opened->executable);
	target_destroy(opened->target);
}

typedef void (*fixture_check)(struct opened *opened);

static void each_fixture(fixture_check check)
{
	assert_true(fixture_count >= 1);
	for (int i = 0; i < fixture_count; i++) {
		struct opened opened;
		fixture_open(fixtures[i], &opened);
		check(&opened);
		fixture_close(&opened);
	}
}

static void check_symbols(struct opened *opened)
{
	struct symbol symbol;

	assert_true(executable_has_symbols(opened->executable));
	assert_true(executable_has_dwarf(opened->executable));
	assert_string_equal(executable_build_id(opened->executable), "abc/def/1");
	assert_int_equal(opened->handle.size, 64);
	remote_addr handle = opened->handle.address;
	assert_true(executable_symbol(opened->executable, handle + 63, &symbol));
	assert_string_equal(symbol.name, "main.handle");
	assert_true(executable_symbol(opened->executable, handle + 64, &symbol));
	assert_string_equal(symbol.name, "main.handle.func1");
	assert_false(executable_symbol(opened->executable, handle + 64 + 32, &symbol));
	assert_false(executable_symbol(opened->executable, 0, &symbol));
	assert_false(executable_symbol_by_name(opened->executable, "main.other", &symbol));
}

static void test_symbols(void **state)
{
	each_fixture(check_symbols);
}

static void check_buildinfo(struct opened *opened)
{
	struct buildinfo *info;
	char value[8];

	assert_success(buildinfo_read(opened->target, &info));
	assert_string_equal(info->go_version, "go1.26.11");
	assert_string_equal(info->main_path, "example.com/shop");
	assert_string_equal(info->main.version, "(devel)");
	assert_int_equal(info->dependency_count, 1);
	assert_string_equal(info->dependencies[0].path, "example.com/lib");
	assert_string_equal(info->dependencies[0].replacement->version, "v1.2.4");
	assert_string_equal(buildinfo_setting(info, "-race"), "true");
	assert_string_equal(buildinfo_setting(info, "-ldflags"), "-X \"main.v=1\"");
	assert_null(buildinfo_setting(info, "-tags"));
	assert_true(buildinfo_godebug(info, "asynctimerchan", value, sizeof(value)));
	assert_string_equal(value, "1");
	assert_false(buildinfo_godebug(info, "async", value, sizeof(value)));
	buildinfo_destroy(info);
}

static void test_buildinfo(void **state)
{
	each_fixture(check_buildinfo);
}

// Programs to go 1.17 have pointers in the header.
static void test_buildinfo_with_pointers(void **state)
{
	struct target *target;
	struct buildinfo *info;
	const remote_addr base = 0x1000;
	struct {
		char magic[14];
		uint8_t pointer_size, flags;
		uint64_t version, modules;
		uint64_t version_words[2], modules_words[2];
		char text[16];
	} data = {
		.magic = "\xff Go buildinf:",
		.pointer_size = 8,
		.version = base + 32,
		.modules = base + 48,
		.version_words = {base + 64, 8},
		.text = "go1.17.3",
	};
	struct region region = {
		.start = base,
		.end = base + sizeof(data),
		.readable = true,
		.writable = true,
		.is_file = true,
		.is_exe = true,
		.path = "program",
	};

	assert_success(image_create(&target));
	assert_success(image_add(target, &region, &data));
	assert_success(buildinfo_read(target, &info));
	assert_string_equal(info->go_version, "go1.17.3");
	assert_int_equal(info->setting_count, 0);
	buildinfo_destroy(info);
	target_destroy(target);
}

static void test_buildinfo_absent(void **state)
{
	struct target *target;
	struct buildinfo *info = NULL;

	assert_success(image_create(&target));
	struct error *err = buildinfo_read(target, &info);
	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	assert_null(info);
	error_destroy(err);
	target_destroy(target);
}

// A file that is not what was loaded: here one byte of the notes in memory differs.
static void test_replaced_file(void **state)
{
	struct opened opened;
	struct executable *executable = NULL;
	char path[] = "/tmp/heapwhy-test-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_close_ int from = open(fixtures[0], O_RDONLY | O_CLOEXEC);
	char buffer[1 << 16];

	ssize_t size = read(from, buffer, sizeof(buffer));
	assert_true(size > 0 && size < (ssize_t)sizeof(buffer));
	assert_int_equal(write(fd, buffer, size), size);
	assert_success(file_target_open(fixtures[0], 0, &opened.target));
	char *note = memmem(buffer, size, "abc/def/1", 9);
	assert_non_null(note);
	assert_int_equal(pwrite(fd, "X", 1, note - buffer), 1);
	char *original = opened.target->exe_path;
	opened.target->exe_path = path;
	struct error *err = executable_open(opened.target, &executable);
	opened.target->exe_path = original;
	unlink(path);
	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	error_destroy(err);
	target_destroy(opened.target);
}

struct fields {
	unsigned count;
	struct dwarf_field list[8];
};

static bool field_collect(void *context, const struct dwarf_field *field)
{
	struct fields *fields = context;

	fields->list[fields->count++] = *field;
	return fields->count < 8;
}

static void check_types(struct opened *opened)
{
	struct dwarf *dwarf = opened->dwarf;
	struct dwarf_type type, elem;
	struct fields fields = {0};
	int64_t number;

	dwarf_ref order = dwarf_struct(dwarf, "main.order");
	assert_true(dwarf_type(dwarf, order, &type));
	assert_string_equal(type.name, "main.order");
	assert_int_equal(type.kind, DWARF_STRUCT);
	assert_int_equal(type.go_kind, 25);
	assert_int_equal(type.size, 48);
	assert_int_equal(type.runtime_type, 0xc0);
	dwarf_fields(dwarf, order, field_collect, &fields);
	assert_int_equal(fields.count, 4);
	assert_string_equal(fields.list[1].name, "next");
	assert_int_equal(fields.list[1].offset, 8);
	assert_false(fields.list[2].embedded);
	assert_true(fields.list[3].embedded);
	assert_true(dwarf_type(dwarf, fields.list[1].type, &elem));
	assert_int_equal(elem.kind, DWARF_POINTER);
	assert_int_equal(elem.elem, order);

	assert_true(dwarf_field_offset(dwarf, "main.order", "header.size", &number));
	assert_int_equal(number, 40);
	assert_true(dwarf_field_offset(dwarf, "main.order", "gone.size|name.len", &number));
	assert_int_equal(number, 24);
	assert_false(dwarf_field_offset(dwarf, "main.order", "next.id", &number));
	assert_false(dwarf_field_offset(dwarf, "main.other", "id", &number));
	assert_true(dwarf_struct_size(dwarf, "main.header", &number));
	assert_int_equal(number, 16);
	assert_true(dwarf_constant(dwarf, "main.limit", &number));
	assert_int_equal(number, 314);
	assert_true(dwarf_constant(dwarf, "main.none", &number));
	assert_int_equal(number, -1);
}

static void test_types(void **state)
{
	each_fixture(check_types);
}

static void check_globals(struct opened *opened)
{
	struct symbol symbol;
	size_t count;
	const struct dwarf_global *globals = dwarf_globals(opened->dwarf, &count);

	assert_int_equal(count, 2);
	assert_string_equal(globals[0].name, "main.first");
	assert_true(executable_symbol_by_name(opened->executable, "main.first", &symbol));
	assert_int_equal(globals[0].address, symbol.address);
	assert_int_equal(globals[0].type, dwarf_struct(opened->dwarf, "main.order"));
	assert_string_equal(globals[1].name, "main.table");
	assert_int_equal(globals[1].address, symbol.address + symbol.size);
}

static void test_globals(void **state)
{
	each_fixture(check_globals);
}

// What the debug information says wins over the table; what it does not say stays.
static void check_layout(struct opened *opened)
{
	struct layout layout, before;
	char *note;

	assert_success(layout_choose("go1.26.11", ARCH_AMD64, &layout));
	before = layout;
	assert_success(layout_refine(&layout, opened->executable, &note));
	assert_int_equal(layout.at.special_kind, 99);
	assert_non_null(strstr(note, "special_kind is 99, not 16"));
	assert_null(strstr(note, "special_next"));
	free(note);
	layout.at.special_kind = before.at.special_kind;
	assert_memory_equal(&layout.at, &before.at, sizeof(layout.at));

	layout.at.special_kind = 99;
	assert_success(layout_refine(&layout, opened->executable, &note));
	assert_null(note);
}

static void test_layout(void **state)
{
	each_fixture(check_layout);
}

struct variables {
	unsigned count;
	struct dwarf_variable list[8];
};

static bool variable_collect(void *context, const struct dwarf_variable *variable)
{
	struct variables *variables = context;

	variables->list[variables->count++] = *variable;
	return variables->count < 8;
}

static void check_locals(struct opened *opened)
{
	struct variables at = {0};
	remote_addr handle = opened->handle.address;

	// Outside the location list and the block: the parameter and the indirect variable.
	dwarf_locals(opened->dwarf, handle, 0, variable_collect, &at);
	assert_int_equal(at.count, 2);
	assert_string_equal(at.list[0].name, "o");
	assert_true(at.list[0].parameter);
	assert_int_equal(at.list[0].pieces[0].place, PLACE_STACK);
	assert_int_equal(at.list[0].pieces[0].offset, 8);
	assert_string_equal(at.list[1].name, "old");
	assert_true(at.list[1].indirect);
	assert_int_equal(at.list[1].pieces[0].offset, -24);

	// Inside both.
	at.count = 0;
	dwarf_locals(opened->dwarf, handle + 20, 0, variable_collect, &at);
	assert_int_equal(at.count, 4);
	const struct dwarf_variable *text = &at.list[1];
	assert_string_equal(text->name, "text");
	assert_int_equal(text->piece_count, 2);
	assert_int_equal(text->pieces[0].place, PLACE_STACK);
	assert_int_equal(text->pieces[0].offset, -32);
	assert_int_equal(text->pieces[0].size, 8);
	assert_int_equal(text->pieces[1].place, PLACE_REGISTER);
	assert_int_equal(text->pieces[1].reg, 3);
	assert_int_equal(text->pieces[1].start, 8);
	assert_string_equal(at.list[3].name, "&boxed");
	assert_int_equal(at.list[3].pieces[0].offset, -48);

	// A call that ends where the location list begins: what was saved for it; one that ends where the list does.
	at.count = 0;
	dwarf_locals(opened->dwarf, handle + 7, handle + 8, variable_collect, &at);
	assert_int_equal(at.count, 3);
	assert_string_equal(at.list[1].name, "text");
	at.count = 0;
	dwarf_locals(opened->dwarf, handle + 31, handle + 32, variable_collect, &at);
	assert_int_equal(at.count, 4);
	assert_int_equal(at.list[1].piece_count, 2);

	// Behind the location list, still in the block.
	at.count = 0;
	dwarf_locals(opened->dwarf, handle + 32, 0, variable_collect, &at);
	assert_int_equal(at.count, 3);
	at.count = 0;
	dwarf_locals(opened->dwarf, handle + 4096, 0, variable_collect, &at);
	assert_int_equal(at.count, 0);
}

static void test_locals(void **state)
{
	each_fixture(check_locals);
}

static void check_captures(struct opened *opened)
{
	struct fields captures = {0};

	dwarf_captures(opened->dwarf, opened->func1.address, field_collect, &captures);
	assert_int_equal(captures.count, 2);
	assert_string_equal(captures.list[0].name, "o");
	assert_int_equal(captures.list[0].offset, 8);
	assert_string_equal(captures.list[1].name, "&count");
	assert_int_equal(captures.list[1].offset, 16);
	captures.count = 0;
	dwarf_captures(opened->dwarf, opened->func1.address + 1, field_collect, &captures);
	assert_int_equal(captures.count, 0);
}

static void test_captures(void **state)
{
	each_fixture(check_captures);
}

// Whatever is cut off or overwritten: errors or fewer answers, no crash. The sanitizer build sees
// the rest.
static void test_damaged(void **state)
{
	uint8_t file[1 << 16], damaged[1 << 16];
	uint64_t random = 0x9e3779b97f4a7c15;

	for (int i = 0; i < fixture_count; i++) {
		_cleanup_close_ int fd = open(fixtures[i], O_RDONLY | O_CLOEXEC);
		ssize_t size = read(fd, file, sizeof(file));
		assert_true(size > 0 && size < (ssize_t)sizeof(file));
		assert_true(executable_exercise(file, size));
		for (ssize_t cut = 0; cut < size; cut += 61)
			executable_exercise(file, cut);
		for (int round = 0; round < 1000; round++) {
			memcpy(damaged, file, size);
			for (int flip = 0; flip <= round % 8; flip++) {
				random = random * 6364136223846793005 + 1442695040888963407;
				damaged[(random >> 33) % size] = (uint8_t)(random >> 25);
			}
			executable_exercise(damaged, size);
		}
	}
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_buildinfo),
		cmocka_unit_test(test_buildinfo_with_pointers),
		cmocka_unit_test(test_buildinfo_absent),
		cmocka_unit_test(test_replaced_file),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_globals),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_locals),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_damaged),
	};

	fixtures = arguments + 1;
	fixture_count = count - 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
