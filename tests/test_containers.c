// libheapwhy's arena, vector and map, each against a plain model of what it should do.
#include "test.h"

#include "heapwhy/arena.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// xorshift64*: the same sequence on every run.
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static void arena_aligns_and_keeps(void **state)
{
	struct hw_arena arena;
	unsigned char *pieces[500];
	size_t sizes[500];
	uint64_t random = 1;

	hw_arena_init(&arena, 64);
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		sizes[i] = next_random(&random) % 300;
		pieces[i] = hw_arena_alloc(&arena, sizes[i]);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % 16, 0);
		memset(pieces[i], (int)(i & 0xff), sizes[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
		for (size_t b = 0; b < sizes[i]; b++)
			assert_int_equal(pieces[i][b], i & 0xff);
	assert_true(arena.used_bytes <= arena.held_bytes);
	hw_arena_deinit(&arena);
	assert_int_equal(arena.held_bytes, 0);
}

static void arena_reset_keeps_one_block(void **state)
{
	struct hw_arena arena;

	hw_arena_init(&arena, 0);
	hw_arena_reset(&arena);
	for (int i = 0; i < 1000; i++)
		assert_non_null(hw_arena_alloc(&arena, 1000));
	size_t held = arena.held_bytes;
	hw_arena_reset(&arena);
	assert_int_equal(arena.used_bytes, 0);
	assert_true(arena.held_bytes > 0 && arena.held_bytes < held);
	assert_non_null(hw_arena_alloc(&arena, 1000));
	hw_arena_deinit(&arena);
}

static void arena_refuses_what_overflows(void **state)
{
	struct hw_arena arena;

	hw_arena_init(&arena, 0);
	assert_null(hw_arena_calloc(&arena, SIZE_MAX / 2, 4));
	assert_null(hw_arena_alloc(&arena, SIZE_MAX - 3));
	unsigned char *zeros = hw_arena_calloc(&arena, 100, 7);
	for (int i = 0; i < 700; i++)
		assert_int_equal(zeros[i], 0);
	assert_string_equal(hw_arena_strndup(&arena, "heapwhy", 4), "heap");
	hw_arena_deinit(&arena);
}

static void vector_grows_shrinks_and_refuses(void **state)
{
	HW_VECTOR(uint32_t) numbers = HW_VECTOR_INIT;

	for (uint32_t i = 0; i < 10000; i++)
		assert_true(hw_vector_push(&numbers, i * 3));
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(numbers.items[i], i * 3);
	numbers.count = 10;
	hw_vector_shrink(&numbers);
	assert_int_equal(numbers.capacity, 10);
	assert_int_equal(numbers.items[9], 27);
	assert_false(hw_vector_reserve(&numbers, SIZE_MAX));
	assert_false(hw_vector_reserve(&numbers, SIZE_MAX / 4));
	assert_int_equal(numbers.count, 10);
	numbers.count = 0;
	hw_vector_shrink(&numbers);
	assert_null(numbers.items);
	hw_vector_deinit(&numbers);
}

// Keys from a small range, so that they meet again: runs wrap around, deletions shift.
static void map_behaves_like_an_array(void **state)
{
	enum { KEYS = 700, STEPS = 200000 };
	static uint64_t value_of[KEYS];
	static bool present[KEYS];
	size_t count = 0;
	uint64_t random = 42, value;
	struct hw_map map;

	hw_map_init(&map);
	hw_map_seed(&map, 99);
	assert_false(hw_map_get(&map, 0, &value));
	assert_false(hw_map_delete(&map, 0));
	for (int step = 0; step < STEPS; step++) {
		uint64_t key = next_random(&random) % KEYS;
		bool filling = step / 20000 % 2 == 0; // so that it grows and shrinks in turns
		switch (next_random(&random) % (filling ? 2 : 4)) {
		case 0:
			assert_true(hw_map_put(&map, key, (uint64_t)step));
			count += !present[key];
			present[key] = true;
			value_of[key] = (uint64_t)step;
			break;
		case 1:
			assert_int_equal(hw_map_get(&map, key, &value), present[key]);
			if (present[key])
				assert_int_equal(value, value_of[key]);
			break;
		default:
			assert_int_equal(hw_map_delete(&map, key), present[key]);
			count -= present[key];
			present[key] = false;
		}
		assert_int_equal(map.count, count);
	}
	size_t walked = 0;
	hw_map_each (&map, entry) {
		assert_true(entry->key < KEYS && present[entry->key]);
		assert_int_equal(entry->value, value_of[entry->key]);
		walked++;
	}
	assert_int_equal(walked, count);
	hw_map_deinit(&map);
}

static void map_takes_any_key(void **state)
{
	struct hw_map map;
	uint64_t value;

	hw_map_init(&map);
	uint64_t *place = hw_map_at(&map, UINT64_MAX, 5);
	assert_int_equal(*place, 5);
	*place += 1;
	assert_int_equal(*hw_map_at(&map, UINT64_MAX, 5), 6);
	assert_true(hw_map_put(&map, 0, 1));
	assert_true(hw_map_get(&map, 0, &value));
	assert_true(hw_map_get(&map, 0, NULL));
	assert_false(hw_map_get(&map, 1, &value));
	hw_map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_aligns_and_keeps),
		cmocka_unit_test(arena_reset_keeps_one_block),
		cmocka_unit_test(arena_refuses_what_overflows),
		cmocka_unit_test(vector_grows_shrinks_and_refuses),
		cmocka_unit_test(map_behaves_like_an_array),
		cmocka_unit_test(map_takes_any_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
