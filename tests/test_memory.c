// Allocators, budgets, the register, arenas with marks, scratch memory, the slab allocator, slices.
#include "containers_test.h"

#include <pthread.h>

#include "heapwhy/arena.h"
#include "heapwhy/budget.h"
#include "heapwhy/map.h"
#include "heapwhy/scratch.h"
#include "heapwhy/slab.h"
#include "heapwhy/slice.h"

static void heap_aligns_and_resizes(void **state)
{
	static const size_t sizes[] = {1, 100, 5000, 70000, 3 << 20, 5 << 20, 9 << 20};

	for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 8)
		for (size_t pair = 0; pair < ARRAY_COUNT(sizes) * ARRAY_COUNT(sizes); pair++) {
			size_t size = sizes[pair / ARRAY_COUNT(sizes)];
			size_t other = sizes[pair % ARRAY_COUNT(sizes)];
			size_t smaller = other < size ? other : size;
			unsigned char *block = hw_alloc(NULL, size, alignment);
			assert_non_null(block);
			assert_int_equal((uintptr_t)block % alignment, 0);
			memset(block, 7, size);
			block = hw_resize(NULL, block, size, other, alignment);
			assert_non_null(block);
			assert_int_equal((uintptr_t)block % alignment, 0);
			assert_int_equal(block[0], 7);
			assert_int_equal(block[smaller / 2], 7);
			assert_int_equal(block[smaller - 1], 7);
			memset(block, 8, other);
			hw_free(NULL, block, other, alignment);
		}
	assert_null(hw_alloc(NULL, SIZE_MAX - 100, 16));
	assert_null(hw_alloc(NULL, SIZE_MAX / 2, 4096));
	hw_free(NULL, NULL, 100, 16);
}

static void called_back(struct hw_budget *budget, void *context)
{
	++*(int *)context;
}

static void budgets_add_up_and_refuse(void **state)
{
	struct hw_budget root, left, right;
	int calls = 0;

	hw_budget_init(&root, NULL, 1000);
	hw_budget_init(&left, &root, 600);
	hw_budget_init(&right, &root, 0);
	hw_budget_set_soft(&root, 500, called_back, &calls);
	assert_true(hw_budget_charge(&left, 400));
	assert_int_equal(calls, 0);
	assert_false(hw_budget_charge(&left, 201));
	assert_true(hw_budget_charge(&right, 150));
	assert_int_equal(calls, 1);
	assert_true(hw_budget_charge(&right, 400));
	assert_int_equal(calls, 1); // it is called when the limit is crossed, not while it is
	assert_false(hw_budget_charge(&right, 51));
	assert_false(hw_budget_charge(&right, SIZE_MAX));
	assert_int_equal(hw_budget_used(&root), 950);
	assert_int_equal(hw_budget_used(&right), 550); // the refused were taken back
	hw_budget_refund(&right, 500);
	assert_true(hw_budget_charge(&right, 100));
	assert_int_equal(calls, 2);
	assert_int_equal(hw_budget_peak(&root), 950);
	assert_int_equal(left.refusals, 1);
	assert_int_equal(root.refusals, 1);
	assert_int_equal(right.refusals, 1);
	hw_budget_refund(&right, 150);
	hw_budget_refund(&left, 400);
	assert_int_equal(hw_budget_used(&root), 0);

	void *block = hw_alloc(&left.allocator, 500, 16);
	assert_non_null(block);
	assert_null(hw_resize(&left.allocator, block, 500, 601, 16));
	assert_int_equal(hw_budget_used(&left), 500);
	block = hw_resize(&left.allocator, block, 500, 100, 16);
	assert_int_equal(hw_budget_used(&root), 100);
	block = hw_resize(&left.allocator, block, 100, 600, 16);
	assert_int_equal(hw_budget_used(&root), 600);
	hw_free(&left.allocator, block, 600, 16);
	assert_int_equal(hw_budget_used(&root), 0);

	struct failing_allocator failing = failing_allocator(0);
	left.backing = &failing.allocator;
	assert_null(hw_alloc(&left.allocator, 10, 16));
	assert_int_equal(hw_budget_used(&root), 0);
	hw_budget_deinit(&left);
	hw_budget_deinit(&right);
	hw_budget_deinit(&root);
}

enum { CHARGES = 100000, CHARGERS = 4 };

static void *charge_and_refund(void *context)
{
	struct hw_budget *budget = context;

	for (int i = 0; i < CHARGES; i++)
		if (hw_budget_charge(budget, 3))
			hw_budget_refund(budget, 3);
	return NULL;
}

static void budgets_count_in_threads(void **state)
{
	struct hw_budget root, leaf;
	pthread_t threads[CHARGERS];

	hw_budget_init(&root, NULL, 10);
	hw_budget_init(&leaf, &root, 0);
	for (int i = 0; i < CHARGERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge_and_refund, &leaf), 0);
	for (int i = 0; i < CHARGERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(hw_budget_used(&root), 0);
	assert_int_equal(hw_budget_used(&leaf), 0);
	assert_true(hw_budget_peak(&root) <= 10 && hw_budget_peak(&root) >= 3);
	hw_budget_deinit(&leaf);
	hw_budget_deinit(&root);
}

static bool is_registered(const void *container)
{
	for (struct hw_registration *r = hw_registry_next(NULL); r; r = hw_registry_next(r))
		if ((const void *)r == container)
			return true;
	return false;
}

static void register_shows_what_there_is(void **state)
{
	struct hw_map map;

	hw_map_init_with(&map, NULL);
	if (hw_registry.missed)
		skip(); // built without the register
	assert_memory_equal(hw_registry.magic, "hw-reg-1", 8);
	assert_true(is_registered(&map));
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(hw_map_put(&map, i, i));
	assert_string_equal(map.registration.kind->name, "map");
	assert_memory_equal(map.registration.kind->magic, "hw-kind", 8);
	assert_int_equal(hw_registration_sum(&map.registration, HW_COUNT), 1000);
	assert_int_equal(hw_registration_sum(&map.registration, HW_USED_BYTES), 16000);
	assert_int_equal(hw_registration_sum(&map.registration, HW_HELD_BYTES), map.held_bytes);
	assert_int_equal(hw_registration_sum(&map.registration, HW_HITS), 0);
	hw_map_deinit(&map);
	assert_false(is_registered(&map));
	hw_map_deinit(&map); // nothing to unregister
}

static void register_that_is_full_turns_away(void **state)
{
	enum { BUDGETS = 20000 };
	static struct hw_budget budgets[BUDGETS];
	uint64_t before = hw_registry.registered, missed = hw_registry.missed;

	for (int i = 0; i < BUDGETS; i++)
		hw_budget_init(&budgets[i], NULL, 0);
	assert_true(hw_registry.missed > missed);
	assert_true(hw_registry.registered <= hw_registry.slot_count);
	assert_int_equal(hw_registry.registered - before + hw_registry.missed - missed, BUDGETS);
	for (int i = 0; i < BUDGETS; i++)
		hw_budget_deinit(&budgets[i]);
	assert_int_equal(hw_registry.registered, before);
}

static void arena_goes_back_to_marks(void **state)
{
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	struct hw_arena arena;
	uint64_t random = 11;

	hw_arena_init_with(&arena, 100, &failing.allocator);
	for (int round = 0; round < 200; round++) {
		struct hw_arena_mark outer = hw_arena_mark(&arena);
		size_t used = arena.used_bytes;
		char *kept = hw_arena_alloc(&arena, 50);
		memset(kept, 5, 50);
		struct hw_arena_mark inner = hw_arena_mark(&arena);
		for (uint64_t i = 0; i < next_random(&random) % 50; i++)
			memset(hw_arena_alloc(&arena, 200), 6, 200);
		hw_arena_release(&arena, inner);
		assert_int_equal(kept[0], 5);
		assert_int_equal(kept[49], 5);
		assert_int_equal(arena.held_bytes, failing.bytes);
		hw_arena_release(&arena, outer);
		assert_int_equal(arena.used_bytes, used);
		if (round % 3 == 0)
			assert_non_null(hw_arena_alloc(&arena, 20));
	}
	hw_arena_reset(&arena);
	assert_true(failing.blocks <= 1);
	failing.left = 0;
	assert_null(hw_arena_alloc(&arena, 1 << 20));
	hw_arena_deinit(&arena);
	assert_int_equal(failing.blocks, 0);
}

// What a mark's release and a reset take back is overwritten and forbidden in debug mode, and nothing else is.
static void arena_poisons_what_was_released(void **state)
{
	bool was = hw_debug_enabled();
	struct hw_arena arena;

	hw_debug_enable(true);
	hw_arena_init(&arena, 4096);
	char *kept = hw_arena_alloc(&arena, 100);
	memset(kept, 1, 100);
	struct hw_arena_mark mark = hw_arena_mark(&arena);
	char *released = hw_arena_zalloc(&arena, 100);
	assert_non_null(hw_arena_zalloc(&arena, 10000)); // in a block of its own
	hw_arena_release(&arena, mark);
	assert_true(hw_debug_is_poisoned(released, 100));
	assert_int_equal(kept[99], 1);
	assert_ptr_equal(hw_arena_alloc(&arena, 50), released);
	memset(released, 2, 50);
	assert_true(hw_debug_is_poisoned(released + 64, 36));
	hw_arena_reset(&arena);
	assert_true(hw_debug_is_poisoned(kept, 100));
	char *cleared = hw_arena_zalloc(&arena, 3000);
	assert_int_equal(cleared[2999], 0);
	hw_arena_deinit(&arena);
	hw_debug_enable(was);
}

static void fixed_arena_ends(void **state)
{
	char memory[1000];
	struct hw_arena arena;

	hw_arena_init_fixed(&arena, memory + 1, 900);
	for (int round = 0; round < 2; round++) {
		size_t count = 0;
		for (char *piece; (piece = hw_arena_alloc(&arena, 30)); count++) {
			assert_true(piece > memory && piece + 32 <= memory + 901);
			assert_int_equal((uintptr_t)piece % 16, 0);
		}
		assert_true(count == 27 || count == 28);
		hw_arena_reset(&arena);
	}
	hw_arena_deinit(&arena);
}

static void *scratch_in_a_thread(void *context)
{
	struct hw_scratch scratch = hw_scratch_begin();

	memset(hw_scratch_alloc(&scratch, 5000), 1, 5000);
	hw_scratch_end(&scratch);
	return scratch.arena ? context : NULL;
}

static void scratch_nests_and_gives_back(void **state)
{
	struct hw_scratch outer = hw_scratch_begin();
	char *kept = hw_scratch_alloc(&outer, 100);
	pthread_t thread;
	void *wrong;

	memset(kept, 3, 100);
	for (int i = 0; i < 10; i++) {
		struct hw_scratch inner = hw_scratch_begin();
		memset(hw_scratch_alloc(&inner, 300000), 4, 300000);
		hw_scratch_end(&inner);
		assert_int_equal(kept[99], 3);
	}
	struct hw_arena *arena = outer.arena;
	assert_true(arena->held_bytes < 100000);
	memset(hw_scratch_alloc(&outer, 2 << 20), 5, 2 << 20);
	hw_scratch_end(&outer);
	assert_true(arena->held_bytes <= HW_SCRATCH_KEPT);
	hw_scratch_end(&outer); // the second time does nothing
	assert_int_equal(pthread_create(&thread, NULL, scratch_in_a_thread, arena), 0);
	pthread_join(thread, &wrong);
	assert_null(wrong);
}

enum { BLOCKS = 2000 };

static void slab_gives_any_size(void **state)
{
	static struct hw_slab slab;
	static struct {
		unsigned char *memory;
		size_t bytes;
	} blocks[BLOCKS];
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	uint64_t random = 17;

	for (size_t bytes = 1; bytes <= HW_SLAB_SMALL_MAX + 10; bytes++) {
		size_t rounded = hw_slab_rounded(bytes);
		assert_true(rounded >= bytes && (bytes <= 64 || rounded - bytes <= bytes / 8));
		assert_int_equal(hw_slab_rounded(rounded), rounded);
	}
	hw_slab_init(&slab, &failing.allocator);
	for (int step = 0; step < 100000; step++) {
		uint64_t chance = next_random(&random);
		size_t place = chance % BLOCKS;
		if (blocks[place].memory) {
			size_t bytes = blocks[place].bytes;
			assert_int_equal(blocks[place].memory[0], place % 256);
			assert_int_equal(blocks[place].memory[bytes - 1], place % 256);
			hw_slab_free(&slab, blocks[place].memory, bytes);
			blocks[place].memory = NULL;
		} else {
			size_t bytes = 1 + (chance >> 20) % (step % 50 ? 300 : 9000);
			blocks[place].memory = hw_slab_alloc(&slab, bytes);
			blocks[place].bytes = bytes;
			memset(blocks[place].memory, (int)(place % 256), bytes);
		}
		assert_int_equal(hw_budget_used(&slab.held), failing.bytes);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		if (blocks[i].memory)
			hw_slab_free(&slab, blocks[i].memory, blocks[i].bytes);
	hw_slab_trim(&slab);
	assert_int_equal(slab.used_bytes, 0);
	assert_int_equal(failing.blocks, 0);
	for (size_t alignment = 1; alignment <= 8192; alignment *= 2)
		for (size_t bytes = 1; bytes < 6000; bytes += 777) {
			void *block = hw_alloc(&slab.allocator, bytes, alignment);
			assert_int_equal((uintptr_t)block % alignment, 0);
			memset(block, 1, bytes);
			hw_free(&slab.allocator, block, bytes, alignment);
		}
	hw_slab_trim(&slab);
	failing.left = 0;
	assert_null(hw_slab_alloc(&slab, 10));
	assert_null(hw_slab_alloc(&slab, 10000));
	assert_int_equal(slab.count, 0);
	hw_slab_deinit(&slab);
	assert_int_equal(failing.blocks, 0);
}

static void slices_know_what_they_pin(void **state)
{
	struct failing_allocator failing = failing_allocator(2);
	struct hw_slice body, head, tail, copy = {0}, nothing;

	assert_true(hw_slice_make(&body, "0123456789", 10, &failing.allocator));
	hw_slice_share(&head, &body, 0, 3);
	hw_slice_share(&tail, &body, 8, 100);
	hw_slice_share(&nothing, &body, 11, 1);
	assert_int_equal(tail.length, 2);
	assert_int_equal(nothing.length, 0);
	hw_slice_release(&nothing);
	assert_int_equal(hw_slice_pinned(&body), 0);
	assert_int_equal(hw_slice_pinned(&head), 7);
	hw_slice_release(&body);
	assert_int_equal(failing.blocks, 1);
	assert_memory_equal(tail.data, "89", 2);

	assert_true(hw_slice_compact(&head, &failing.allocator));
	assert_int_equal(hw_slice_pinned(&head), 0);
	assert_memory_equal(head.data, "012", 3);
	assert_false(hw_slice_compact(&tail, &failing.allocator)); // no memory left
	assert_false(hw_slice_clone(&copy, &tail, &failing.allocator));
	assert_false(hw_slice_make(&copy, NULL, SIZE_MAX, NULL));
	assert_null(copy.block);
	assert_memory_equal(tail.data, "89", 2);
	hw_slice_release(&tail);
	assert_int_equal(failing.blocks, 1);
	hw_slice_release(&head);
	hw_slice_release(&head); // empty already
	assert_int_equal(failing.blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_aligns_and_resizes),
		cmocka_unit_test(budgets_add_up_and_refuse),
		cmocka_unit_test(budgets_count_in_threads),
		cmocka_unit_test(register_shows_what_there_is),
		cmocka_unit_test(register_that_is_full_turns_away),
		cmocka_unit_test(arena_goes_back_to_marks),
		cmocka_unit_test(arena_poisons_what_was_released),
		cmocka_unit_test(fixed_arena_ends),
		cmocka_unit_test(scratch_nests_and_gives_back),
		cmocka_unit_test(slab_gives_any_size),
		cmocka_unit_test(slices_know_what_they_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
