// The sharded map: like a plain table, linearizable, counters lose nothing, and it gives memory back.
#include "containers_test.h"

#include <pthread.h>

#include "heapwhy/sharded_map.h"

#include "faulty.h"
#include "linear.h"

static bool sum_entries(void *context, uint64_t key, uint64_t value)
{
	uint64_t *sums = context;

	sums[0] += key;
	sums[1] += value;
	return --sums[2];
}

static void map_is_like_a_table(void **state)
{
	enum { KEYS = 3000 };
	uint64_t random = 1, values[KEYS] = {0}; // 0: absent
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_sharded_map *map = hw_sharded_map_create(5, &faulty.allocator);
	size_t empty = hw_sharded_map_held_bytes(map), count = 0, most = 0;

	for (unsigned step = 0; step < 100000; step++) {
		uint64_t key = next_random(&random) % KEYS, value = 0;
		switch (next_random(&random) % (step / 20000 % 2 ? 4 : 6)) {
		case 0:
			assert_int_equal(
				hw_sharded_map_get(map, key << 40, &value), values[key] != 0);
			assert_int_equal(value, values[key]);
			break;
		case 1:
		case 2:
			assert_int_equal(
				hw_sharded_map_delete(map, key << 40, &value), values[key] != 0);
			assert_int_equal(value, values[key]);
			count -= values[key] != 0;
			values[key] = 0;
			break;
		case 3:
			assert_true(hw_sharded_map_add(map, key << 40, 5, &value));
			count += !values[key];
			values[key] += 5;
			assert_int_equal(value, values[key]);
			break;
		default:
			assert_true(hw_sharded_map_put(map, key << 40, step + 1));
			count += !values[key];
			values[key] = step + 1;
		}
		if (step % 1000 == 0)
			assert_int_equal(hw_sharded_map_count(map), count);
		if (hw_sharded_map_held_bytes(map) > most)
			most = hw_sharded_map_held_bytes(map);
	}
	uint64_t sums[3] = {0, 0, UINT64_MAX}, keys = 0, total = 0;
	for (uint64_t key = 0; key < KEYS; key++) {
		keys += values[key] ? key << 40 : 0;
		total += values[key];
	}
	hw_sharded_map_each(map, sum_entries, sums);
	assert_int_equal(sums[0], keys);
	assert_int_equal(sums[1], total);
	sums[2] = 1; // stops after one
	hw_sharded_map_each(map, sum_entries, sums);
	assert_int_equal(sums[2], 0);
	for (uint64_t key = 0; key < KEYS; key++)
		hw_sharded_map_delete(map, key << 40, NULL);
	assert_true((hw_sharded_map_held_bytes(map) - empty) * 10 < most - empty);
	hw_sharded_map_destroy(map);
	assert_null(hw_sharded_map_create(257, &faulty.allocator));
	faulty.fail_at = 1;
	assert_null(hw_sharded_map_create(1, &faulty.allocator));
	assert_int_equal(faulty_out(&faulty), 0);
}

static void without_memory_the_map_is_as_it_was(void **state)
{
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_sharded_map *map = hw_sharded_map_create(4, &faulty.allocator);
	size_t refused = 0;

	for (uint64_t key = 0; key < 2000; key++) {
		faulty.fail_at = 1;
		bool put = key % 2 ? hw_sharded_map_put(map, key, key)
				   : hw_sharded_map_add(map, key, key, NULL);
		faulty.fail_at = 0;
		refused += !put;
		assert_int_equal(hw_sharded_map_get(map, key, NULL), put);
		assert_true(hw_sharded_map_put(map, key, key));
	}
	assert_true(refused >= 4);
	for (uint64_t key = 0; key < 2000; key++) {
		uint64_t value = UINT64_MAX;
		faulty.fail_at = 1; // failing to shrink is no failure
		assert_true(hw_sharded_map_delete(map, key, &value));
		assert_int_equal(value, key);
	}
	hw_sharded_map_destroy(map);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void *count_up(void *map)
{
	for (uint64_t i = 0; i < 50000; i++)
		hw_sharded_map_add(map, i % 100, 1, NULL);
	return NULL;
}

static void counters_lose_nothing(void **state)
{
	struct hw_sharded_map *map = hw_sharded_map_create(0, NULL);
	pthread_t threads[4];
	uint64_t value;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, map), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t key = 0; key < 100; key++) {
		assert_true(hw_sharded_map_get(map, key, &value));
		assert_int_equal(value, 2000);
	}
	hw_sharded_map_destroy(map);
}

enum { GET, PUT, DELETE, ADD };

static void choose(struct linear_operation *operation, uint64_t random)
{
	operation->kind = random % 4;
	operation->key = random >> 8 & 3;
	operation->argument = 1 + (random >> 16) % 1000;
}

static void perform(void *map, struct linear_operation *operation)
{
	uint64_t value;

	if (operation->kind == GET)
		operation->result = hw_sharded_map_get(map, operation->key, &value) ? value : 0;
	else if (operation->kind == PUT)
		hw_sharded_map_put(map, operation->key, operation->argument);
	else if (operation->kind == DELETE)
		operation->result = hw_sharded_map_delete(map, operation->key, &value) ? value : 0;
	else
		hw_sharded_map_add(map, operation->key, operation->argument, &operation->result);
}

static bool apply(struct linear_model *model, const struct linear_operation *operation)
{
	uint64_t *value = &model->words[operation->key], old = *value;

	if (operation->kind == GET)
		return operation->result == old;
	if (operation->kind == ADD) {
		*value += operation->argument;
		return operation->result == *value;
	}
	*value = operation->kind == PUT ? operation->argument : 0;
	return operation->kind == PUT || operation->result == old;
}

static void clear(void *map)
{
	for (uint64_t key = 0; key < 4; key++)
		hw_sharded_map_delete(map, key, NULL);
}

static void histories_are_linearizable(void **state)
{
	static const struct linear_subject linear = {3, 8, choose, perform, apply, clear};
	struct hw_sharded_map *map = hw_sharded_map_create(2, NULL);

	linear_rounds(&linear, map, 500);
	hw_sharded_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_is_like_a_table),
		cmocka_unit_test(without_memory_the_map_is_as_it_was),
		cmocka_unit_test(counters_lose_nothing),
		cmocka_unit_test(histories_are_linearizable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
