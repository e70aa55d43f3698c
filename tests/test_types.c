// goruntime/types: abi.Type records on an in-memory image, in the layouts of several versions,
// whole and damaged.
#include "test.h"

#include "goruntime/types.h"
#include "target/image.h"

enum {
	SECTION = 0x500000,
	SECTION_BYTES = 0x4000,
	HEAP = 0xc000000000,
	HEAP_BYTES = 0x2000,
	MASKS = 0x3000
};

// A type section under construction: records from the start, names from the middle on.
struct section {
	int minor;
	uint8_t bytes[SECTION_BYTES];
	uint32_t records, names;
};

static void put(struct section *section, uint32_t offset, uint64_t value, unsigned size)
{
	memcpy(section->bytes + offset, &value, size);
}

static uint32_t add_name(struct section *section, const char *name, uint8_t flags)
{
	uint32_t at = section->names, length = strlen(name);

	section->bytes[section->names++] = flags;
	if (length > 127)
		section->bytes[section->names++] = (length & 127) | 128;
	section->bytes[section->names++] = length > 127 ? length >> 7 : length;
	memcpy(section->bytes + section->names, name, length);
	section->names += length;
	return at;
}

struct record {
	const char *name, *package;
	enum go_kind kind;
	uint64_t size, pointer_bytes;
	uint64_t own[4]; // behind the common part
	uint32_t own_bytes;
	bool star;
};

// Adds a record and returns its address.
static remote_addr add_record(struct section *section, const struct record *record)
{
	uint32_t at = section->records;
	char starred[200];

	snprintf(starred, sizeof(starred), "%s%s", record->star ? "*" : "", record->name);
	put(section, at, record->size, 8);
	put(section, at + 8, record->pointer_bytes, 8);
	put(section, at + 16, at * 31, 4);
	section->bytes[at + 20] = (record->package ? 5 : 0) | (record->star ? 2 : 0);
	section->bytes[at + 21] = section->bytes[at + 22] = record->size % 8 ? 1 : 8;
	section->bytes[at + 23] = record->kind;
	if (record->kind == GO_POINTER)
		section->bytes[at + (section->minor >= 26 ? 20 : 23)] |= 32;
	put(section, at + 32, record->pointer_bytes ? SECTION + MASKS : 0, 8);
	put(section, at + 40, add_name(section, starred, 0), 4);
	memcpy(section->bytes + at + 48, record->own, sizeof(record->own));
	uint32_t end = at + 48 + record->own_bytes;
	if (record->package) {
		put(section, end, add_name(section, record->package, 0), 4);
		end += 16;
	}
	section->records = (end + 7) & ~7u;
	return SECTION + at;
}

struct fixture {
	struct section section;
	struct target *target;
	struct go_runtime runtime;
	struct go_module module;
	remote_addr string, pointer, order, slice, map, any, fields;
};

static remote_addr add_fields(struct section *section, unsigned count, const char *const *names,
	const remote_addr *types, const uint64_t *offsets)
{
	uint32_t at = section->records;

	section->records += 24 * count;
	for (unsigned i = 0; i < count; i++) {
		put(section, at + 24 * i, SECTION + add_name(section, names[i], i == 1 ? 8 : 0), 8);
		put(section, at + 24 * i + 8, types[i], 8);
		put(section, at + 24 * i + 16, offsets[i], 8);
	}
	return SECTION + at;
}

// string; main.order { name string; next *main.order; list [2]string }; *main.order; []*main.order;
// map[string]string
static void build_types(struct fixture *fixture, int minor)
{
	struct section *section = &fixture->section;

	memset(section, 0, sizeof(*section));
	section->minor = minor;
	section->records = 64;
	section->names = SECTION_BYTES / 2;
	fixture->string = add_record(section, &(struct record){"string", "", GO_STRING, 16, 8});
	fixture->any = add_record(section,
		&(struct record){"interface {}", NULL, GO_INTERFACE, 16, 16, {0, 0, 0, 0}, 32});
	remote_addr array = add_record(section,
		&(struct record){"[2]string", NULL, GO_ARRAY, 32, 24, {fixture->string, 0, 2}, 24});
	remote_addr order_at = SECTION + section->records + 64;
	fixture->pointer = add_record(
		section, &(struct record){"*main.order", NULL, GO_POINTER, 8, 8, {order_at}, 8});
	section->records = order_at - SECTION;
	section->records += 96;
	fixture->fields = add_fields(section, 3, (const char *const[]){"name", "next", "list"},
		(const remote_addr[]){fixture->string, fixture->pointer, array},
		(const uint64_t[]){0, 16, 24});
	uint32_t end = section->records;
	section->records = order_at - SECTION;
	fixture->order =
		add_record(section, &(struct record){"main.order", "example.org/main", GO_STRUCT,
					    56, 48, {0, fixture->fields, 3, 3}, 32, .star = true});
	section->records = end;
	fixture->slice = add_record(section,
		&(struct record){"[]*main.order", NULL, GO_SLICE, 24, 8, {fixture->pointer}, 8});
	fixture->map =
		add_record(section, &(struct record){"map[string]string", NULL, GO_MAP, 8, 8,
					    {fixture->string, fixture->string, fixture->order},
					    minor >= 27   ? 88
					    : minor >= 24 ? 64
							  : 40});
}

static void open_image(struct fixture *fixture)
{
	struct region region = {
		.start = SECTION, .end = SECTION + SECTION_BYTES, .readable = true, .path = ""};
	int minor = fixture->section.minor;

	assert_success(image_create(&fixture->target));
	assert_success(image_add(fixture->target, &region, fixture->section.bytes));
	fixture->module = (struct go_module){.types = SECTION, .etypes = SECTION + SECTION_BYTES};
	fixture->runtime = (struct go_runtime){
		.target = fixture->target,
		.modules = &fixture->module,
		.module_count = 1,
		.layout = {.minor = minor, .maps = minor >= 24 ? MAP_SWISS : MAP_BUCKETS},
	};
	assert_success(memory_init(&fixture->runtime.memory, fixture->target, 0));
}

static void close_image(struct fixture *fixture)
{
	memory_deinit(&fixture->runtime.memory);
	target_destroy(fixture->target);
}

static void records_are_read(void **state)
{
	static const int minors[] = {19, 21, 23, 24, 26, 27};

	for (unsigned i = 0; i < ARRAY_COUNT(minors); i++) {
		static struct fixture fixture;
		struct type_table *table;

		build_types(&fixture, minors[i]);
		open_image(&fixture);
		assert_success(type_table_create(&fixture.runtime, &table));

		const struct go_type *order = type_by_address(table, fixture.order);
		assert_non_null(order);
		assert_string_equal(order->name, "main.order");
		assert_string_equal(order->package, "example.org/main");
		assert_int_equal(order->kind, GO_STRUCT);
		assert_int_equal(order->field_count, 3);
		assert_string_equal(order->fields[1].name, "next");
		assert_true(order->fields[1].embedded);
		assert_false(order->fields[0].embedded);
		assert_ptr_equal(order->fields[1].type->elem, order);
		assert_true(order->fields[1].type->direct);
		assert_int_equal(order->fields[2].type->length, 2);
		assert_ptr_equal(type_by_name(table, "example.org/main.order"), order);
		assert_null(type_by_name(table, "main.order"));
		assert_non_null(type_by_name(table, "[]*main.order"));

		const struct go_type *map = type_by_address(table, fixture.map);
		assert_non_null(map);
		assert_ptr_equal(map->key, type_by_address(table, fixture.string));
		assert_ptr_equal(map->group, order);
		assert_true(type_by_address(table, fixture.any)->empty_interface);
		assert_null(type_by_address(table, fixture.order + 8));
		assert_null(type_by_address(table, 0x1234));

		const uint64_t *mask = type_mask(table, order);
		assert_int_equal(*mask, 0x2d); // words 0, 2, 3, 5
		type_table_destroy(table);
		close_image(&fixture);
	}
}

static void offsets_are_described(void **state)
{
	static struct fixture fixture;
	struct type_table *table;
	char text[40], small[6];

	build_types(&fixture, 26);
	open_image(&fixture);
	assert_success(type_table_create(&fixture.runtime, &table));
	const struct go_type *order = type_by_address(table, fixture.order);

	assert_ptr_equal(
		type_describe_offset(order, 16, text, sizeof(text)), order->fields[1].type);
	assert_string_equal(text, "next");
	assert_non_null(type_describe_offset(order, 40, text, sizeof(text)));
	assert_string_equal(text, "list[1]");
	assert_null(type_describe_offset(order, 56, text, sizeof(text)));
	assert_string_equal(text, "");
	type_describe_offset(order, 40, small, sizeof(small));
	assert_string_equal(small, "list[");
	type_describe_offset(order, 40, NULL, 0);
	type_table_destroy(table);
	close_image(&fixture);
}

static void types_are_derived_once(void **state)
{
	static struct fixture fixture;
	struct type_table *table;

	build_types(&fixture, 26);
	open_image(&fixture);
	assert_success(type_table_create(&fixture.runtime, &table));
	const struct go_type *order = type_by_address(table, fixture.order);
	assert_ptr_equal(type_pointer_to(table, order), order->fields[1].type);
	const struct go_type *slice = type_slice_of(table, order);
	assert_string_equal(slice->name, "[]main.order");
	assert_ptr_equal(type_slice_of(table, order), slice);
	assert_int_equal(type_mask(table, slice)[0], 1);
	type_table_destroy(table);
	close_image(&fixture);
}

static void fields_must_fit(void **state)
{
	struct go_type word = {.kind = GO_INT, .size = 8}, type = {.kind = GO_STRUCT, .size = 24};
	struct go_field fields[] = {
		{"a", &word, 0, false}, {"b", &word, 4, false}, {"c", &word, 16, false}};

	type_set_fields(&type, fields, 3); // b overlaps a
	assert_int_equal(type.field_count, 1);
	fields[1].offset = 8;
	type_set_fields(&type, fields, 3);
	assert_int_equal(type.field_count, 3);
	fields[2].offset = UINT64_MAX - 2;
	type_set_fields(&type, fields, 3);
	assert_int_equal(type.field_count, 2);
}

// A struct that contains itself, as only damage can make it, ends every walk.
static void circles_end(void **state)
{
	struct go_type type = {.kind = GO_STRUCT, .size = 16, .pointer_bytes = 8};
	struct go_field field = {"self", &type, 0, false};
	struct type_walk walk;
	char text[64];

	type_set_fields(&type, &field, 1);
	type_walk_begin(&walk, &type);
	assert_false(type_walk_next(&walk));
	assert_null(type_describe_offset(&type, 0, text, sizeof(text)));
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

// Asks everything of every type.
static void use_table(struct type_table *table)
{
	struct map_layout layout;
	char text[100];

	for (uint32_t id = 0; id < type_table_count(table) && id < 100; id++) {
		const struct go_type *type = type_by_id(table, id);
		type_mask(table, type);
		for (uint64_t offset = 0; offset < type->size && offset < 100; offset += 8)
			type_describe_offset(type, offset, text, sizeof(text));
		type_map_layout(table, type, &layout);
		type_pointer_to(table, type);
		type_by_name(table, type->name);
	}
}

static void damaged_types_do_no_harm(void **state)
{
	static struct fixture fixture;
	uint64_t seed = 88172645463325252;

	for (unsigned round = 0; round < 3000; round++) {
		struct type_table *table;

		build_types(&fixture, 19 + round % 9);
		unsigned hits = 1 + random_next(&seed) % 8;
		for (unsigned i = 0; i < hits; i++) {
			uint64_t value = random_next(&seed);
			uint32_t at = value % (SECTION_BYTES / 2 + 256);
			if (value >> 60 < 4) // plausible words do more damage than noise
				put(&fixture.section, at & ~7u,
					(uint64_t[]){fixture.order, fixture.map, fixture.string,
						SECTION + at}[value >> 60],
					8);
			else
				fixture.section.bytes[at] = value >> 32;
		}
		open_image(&fixture);
		struct error *err = type_table_create(&fixture.runtime, &table);
		if (!err) {
			use_table(table);
			type_of_itab(table, SECTION + random_next(&seed) % SECTION_BYTES / 8 * 8);
			type_table_destroy(table);
		}
		error_destroy(err);
		close_image(&fixture);
	}
}

// reflect.SliceOf(order) and a pointer to it, made at run time: records on the heap with negative
// name offsets.
static void runtime_types_are_read(void **state)
{
	static struct fixture fixture;
	static uint8_t heap[HEAP_BYTES];
	struct type_table *table;
	struct section made = {.minor = 24};

	build_types(&fixture, 24);
	open_image(&fixture);
	made.names = SECTION_BYTES / 2;
	add_record(&made, &(struct record){"", NULL, GO_SLICE, 24, 8, {fixture.order}, 8});
	put(&made, 40, -5, 4);
	memcpy(heap, made.bytes, 64);
	made.records = 0;
	add_record(&made, &(struct record){"", NULL, GO_POINTER, 8, 8, {HEAP}, 8});
	put(&made, 40, -6, 4);
	memcpy(heap + 64, made.bytes, 64);
	made.records = 0;
	add_record(
		&made, &(struct record){"", NULL, GO_POINTER, 8, 8, {HEAP + 128}, 8}); // to itself
	put(&made, 40, -7, 4);
	memcpy(heap + 128, made.bytes, 64);
	struct region region = {
		.start = HEAP, .end = HEAP + HEAP_BYTES, .readable = true, .path = ""};
	assert_success(image_add(fixture.target, &region, heap));
	assert_success(type_table_create(&fixture.runtime, &table));

	const struct go_type *pointer = type_by_address(table, HEAP + 64);
	assert_non_null(pointer);
	assert_string_equal(pointer->name, "*[]main.order");
	assert_ptr_equal(pointer->elem, type_by_address(table, HEAP));
	assert_null(type_by_address(table, HEAP + 128));
	assert_null(type_by_address(table, HEAP + 512));
	type_table_destroy(table);
	close_image(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(offsets_are_described),
		cmocka_unit_test(types_are_derived_once),
		cmocka_unit_test(fields_must_fit),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(runtime_types_are_read),
		cmocka_unit_test(damaged_types_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
