// goruntime/: walking stacks, stack maps, GC programs, and the bulk reader, on bytes made by hand.
#include "test.h"

#include "goruntime/gc_program.h"
#include "goruntime/range_reader.h"
#include "goruntime/stack_map.h"
#include "goruntime/unwind.h"
#include "pclntab_image.h"
#include "target/image.h"

#define OUTER PCLNTAB_IMAGE_TEXT
#define GOEXIT (PCLNTAB_IMAGE_TEXT + 0x40)

enum { STACK_LOW = 0x700000, STACK_WORDS = 64, FRAME_WORDS = 6 };

struct fixture {
	struct target *target;
	struct go_module module;
	struct go_runtime runtime;
	struct unwinder unwinder;
	struct frame_vector frames;
	uint64_t words[STACK_WORDS];
	struct stack_bytes stack;
};

static int fixture_create(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct pclntab_location location;
	size_t size;
	_cleanup_free_ uint8_t *bytes = pclntab_image(true, &size);

	assert_true(pclntab_image_open(bytes, size, &fixture->target, &location));
	assert_success(pclntab_create(fixture->target, &location, &fixture->module.pclntab));
	fixture->module.min_pc = location.min_pc;
	fixture->module.max_pc = location.max_pc;
	fixture->runtime.target = fixture->target;
	fixture->runtime.modules = &fixture->module;
	fixture->runtime.module_count = 1;
	unwinder_init(&fixture->unwinder, &fixture->runtime);
	fixture->stack = (struct stack_bytes){
		(const uint8_t *)fixture->words, STACK_LOW, STACK_LOW + sizeof(fixture->words)};
	*state = fixture;
	return 0;
}

static int fixture_destroy(void **state)
{
	struct fixture *fixture = *state;

	hw_vector_deinit(&fixture->frames);
	unwinder_deinit(&fixture->unwinder);
	pclntab_destroy(fixture->module.pclntab);
	target_destroy(fixture->target);
	free(fixture);
	return 0;
}

// Two calls of main.outer on the stack, called by runtime.goexit.
static void push_frames(struct fixture *fixture)
{
	fixture->words[FRAME_WORDS - 1] = OUTER + 0x20;
	fixture->words[2 * FRAME_WORDS - 1] = GOEXIT + 1;
}

static void walk_to_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct unwind_start start = {.pc = OUTER + 0x18, .sp = STACK_LOW};
	const struct frame *frames;

	push_frames(fixture);
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_COMPLETE);
	assert_int_equal(fixture->frames.count, 3);
	frames = fixture->frames.items;
	assert_int_equal(frames[0].pc, OUTER + 0x17);
	assert_int_equal(frames[0].fp, STACK_LOW + 8 * FRAME_WORDS);
	assert_int_equal(frames[0].flags, FRAME_INNERMOST);
	assert_int_equal(frames[1].pc, OUTER + 0x1f);
	assert_int_equal(frames[1].sp, frames[0].fp);
	assert_int_equal(frames[2].pc, GOEXIT);
	assert_int_equal(frames[2].flags, 0);
}

// A running goroutine: its innermost frame has no valid map, and its pc is that of the next instruction.
static void walk_from_anywhere(void **state)
{
	struct fixture *fixture = *state;
	struct unwind_start start = {
		.pc = OUTER + 0x18, .sp = STACK_LOW, .exact = true, .unsettled = true};

	push_frames(fixture);
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_COMPLETE);
	assert_int_equal(fixture->frames.items[0].pc, OUTER + 0x18);
	assert_int_equal(fixture->frames.items[0].flags, FRAME_INNERMOST | FRAME_CONSERVATIVE);
	assert_int_equal(fixture->frames.items[1].flags, 0);
}

static void walk_astray(void **state)
{
	struct fixture *fixture = *state;
	struct unwind_start start = {.pc = OUTER + 0x18, .sp = STACK_LOW};

	fixture->words[FRAME_WORDS - 1] = 0x1234;
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_TRUNCATED);
	assert_int_equal(fixture->frames.count, 1);
	// A ring of return addresses ends where the stack ends.
	for (size_t i = 0; i < STACK_WORDS; i++)
		fixture->words[i] = OUTER + 0x20;
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_TRUNCATED);
	assert_int_equal(fixture->frames.count, 1 + STACK_WORDS / FRAME_WORDS);
	start.sp = STACK_LOW - 8;
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_TRUNCATED);
	start.sp = fixture->stack.high - 4;
	assert_int_equal(unwind(&fixture->unwinder, &fixture->stack, &start, &fixture->frames),
		UNWIND_TRUNCATED);
}

static void maps_of_frames(void **state)
{
	struct fixture *fixture = *state;
	struct frame frame = {.pc = OUTER, .sp = STACK_LOW, .fp = STACK_LOW + 8 * FRAME_WORDS};
	struct frame_maps maps;
	const struct frame_map *map;

	frame_maps_init(&maps, &fixture->runtime);
	map = frame_map(&maps, &frame); // at the entry: map 0
	assert_int_equal(map->local_words, 3);
	assert_int_equal(map->locals[0], 5);
	assert_int_equal(map->arg_words, 1);
	assert_int_equal(map->args[0], 1);
	frame.pc = OUTER + 0x1f;
	map = frame_map(&maps, &frame);
	assert_int_equal(map->locals[0], 2);
	assert_int_equal(map->args[0], 0);
	assert_int_equal(map->target, OUTER + 0x1f);
	frame.flags = FRAME_PANICKED; // goes on with the call of deferreturn
	map = frame_map(&maps, &frame);
	assert_int_equal(map->target, OUTER + 0x30);
	frame.function = 1; // no maps at all
	frame.flags = 0;
	frame.pc = GOEXIT + 1;
	map = frame_map(&maps, &frame);
	assert_true(map->locals_missing);
	assert_false(map->args_missing);
	assert_int_equal(map->kind, FUNCTION_RUNTIME);
	frame_maps_deinit(&maps);
}

static void gc_programs(void **state)
{
	// Two literal bits 1, 0; those again three times; then, by numbers in bytes of their own, the last 4 twice.
	static const uint8_t program[] = {2, 1, 0x82, 3, 0x80, 4, 2, 0};
	static const uint8_t backwards[] = {1, 1, 0x85, 1, 0};
	static const uint8_t endless[] = {1, 1, 0x81, 0xff, 0xff, 0xff, 0xff, 0x7f, 0};
	uint8_t mask[3];

	assert_true(gc_program_run(program, sizeof(program), mask, 20));
	assert_int_equal(mask[0], 0x55);
	assert_int_equal(mask[1], 0x55);
	assert_int_equal(mask[2], 0);
	assert_false(gc_program_run(program, 3, mask, 20));
	assert_false(gc_program_run(backwards, sizeof(backwards), mask, 20));
	assert_true(gc_program_run(endless, sizeof(endless), mask, 20));
	assert_int_equal(mask[2], 0xf);
}

static void ranges_in_bulk(void **state)
{
	enum { SIZE = 1 << 16 };
	struct region region = {
		.start = 0x10000, .end = 0x10000 + SIZE, .readable = true, .path = ""};
	struct range ranges[] = {{0x18000, 0x18010, 2}, {0x10008, 0x10010, 0},
		{0x1fff8, 0x20010, 3}, {0x1000c, 0x10020, 9}, {0x11000, 0x11000, 1}};
	_cleanup_free_ uint8_t *bytes = malloc(SIZE);
	struct range_reader reader;
	const struct range *range;
	const uint8_t *read;
	struct target *target;
	uint32_t owner = 0;

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i / 8);
	assert_success(image_create(&target));
	assert_success(image_add(target, &region, bytes));
	range_reader_init(&reader, target, ranges, ARRAY_COUNT(ranges));
	while (range_reader_next(&reader, &range, &read)) {
		assert_int_equal(range->owner, owner++); // 9 overlaps 0
		for (remote_addr at = range->low; at < range->high; at++)
			assert_int_equal(read[at - range->low],
				at < region.end ? bytes[at - region.start] : 0);
	}
	assert_int_equal(owner, 4);
	assert_success(range_reader_end(&reader));
	target_destroy(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(walk_to_the_end, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			walk_from_anywhere, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(walk_astray, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(maps_of_frames, fixture_create, fixture_destroy),
		cmocka_unit_test(gc_programs),
		cmocka_unit_test(ranges_in_bulk),
	};

	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
