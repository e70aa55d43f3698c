// The read-mostly map: like a plain table, linearizable, and it gives memory back.
#include "containers_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "heapwhy/read_map.h"

#include "faulty.h"
#include "linear.h"

static bool sum_entries(void *context, uint64_t key, uint64_t value)
{
	uint64_t *sums = context;

	sums[0] += key;
	sums[1] += value;
	return true;
}

static void map_is_like_a_table(void **state)
{
	enum { KEYS = 700 };
	uint64_t random = 1, values[KEYS] = {0}; // 0: absent
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(0, &faulty.allocator);
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "test");
	struct hw_read_map *map = hw_read_map_create(epoch, &faulty.allocator);
	size_t count = 0, most = 0;

	for (unsigned step = 0; step < 60000; step++) {
		// In turns mostly insertions and mostly deletions, so that the table grows and shrinks.
		unsigned key = next_random(&random) % KEYS;
		uint64_t wide = key * UINT64_C(0x100000001), value = UINT64_MAX;
		bool grow = step / 5000 % 2 == 0;
		switch (next_random(&random) % 4) {
		case 0:
		case 1:
			if (grow) {
				count += !values[key];
				values[key] = step + 1;
				assert_true(hw_read_map_put(map, wide, step + 1));
			} else {
				assert_int_equal(
					hw_read_map_delete(map, wide, &value), values[key] != 0);
				if (values[key])
					assert_int_equal(value, values[key]);
				count -= values[key] != 0;
				values[key] = 0;
			}
			break;
		default:
			assert_int_equal(
				hw_read_map_get(map, reader, wide, &value), values[key] != 0);
			assert_int_equal(value, values[key] ? values[key] : UINT64_MAX);
		}
		assert_int_equal(hw_read_map_count(map), count);
		if (hw_read_map_held_bytes(map) > most)
			most = hw_read_map_held_bytes(map);
		if (step % 1000 == 0) {
			uint64_t sums[2] = {0}, keys = 0, total = 0;
			for (unsigned i = 0; i < KEYS; i++) {
				keys += values[i] ? i * UINT64_C(0x100000001) : 0;
				total += values[i];
			}
			hw_read_map_each(map, reader, sum_entries, sums);
			assert_int_equal(sums[0], keys);
			assert_int_equal(sums[1], total);
		}
	}
	for (unsigned key = 0; key < KEYS; key++)
		hw_read_map_delete(map, key * UINT64_C(0x100000001), NULL);
	assert_int_equal(hw_read_map_count(map), 0);
	assert_true(hw_read_map_held_bytes(map) * 10 < most);
	hw_read_map_destroy(map);
	hw_epoch_leave(reader);
	hw_epoch_destroy(epoch);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void deleted_keys_leave_nothing_behind(void **state)
{
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_read_map *map = hw_read_map_create(epoch, NULL);

	for (uint64_t key = 0; key < 1000; key++)
		assert_true(hw_read_map_put(map, key, key));
	size_t held = hw_read_map_held_bytes(map);
	// A window over ever new keys: the classic leak.
	for (uint64_t key = 1000; key < 200000; key++) {
		assert_true(hw_read_map_delete(map, key - 1000, NULL));
		assert_true(hw_read_map_put(map, key, key));
	}
	assert_true(hw_read_map_held_bytes(map) <= held);
	hw_read_map_destroy(map);
	hw_epoch_destroy(epoch);
}

static void without_memory_the_map_is_as_it_was(void **state)
{
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "test");

	for (int place = 1; place <= 2; place++) {
		faulty.fail_at = place;
		assert_null(hw_read_map_create(epoch, &faulty.allocator));
		assert_int_equal(faulty_out(&faulty), 0);
	}
	faulty.fail_at = 0;
	struct hw_read_map *map = hw_read_map_create(epoch, &faulty.allocator);
	uint64_t failures = 0;
	for (uint64_t key = 0; key < 3000; key++) {
		faulty.fail_at = key % 2 ? 0 : 1;
		if (!hw_read_map_put(map, key, key + 1)) {
			failures++;
			assert_false(hw_read_map_get(map, reader, key, NULL));
			faulty.fail_at = 0;
			assert_true(hw_read_map_put(map, key, key + 1));
		}
	}
	faulty.fail_at = 0;
	for (uint64_t key = 0; key < 3000; key++) {
		uint64_t value = 0;
		assert_true(hw_read_map_get(map, reader, key, &value));
		assert_int_equal(value, key + 1);
	}
	// Failing to shrink is no failure.
	for (uint64_t key = 0; key < 3000; key++) {
		faulty.fail_at = 1;
		assert_true(hw_read_map_delete(map, key, NULL));
	}
	hw_read_map_destroy(map);
	hw_epoch_destroy(epoch);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void a_stalled_reader_bounds_the_garbage(void **state)
{
	enum { LIMIT = 100000 };
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(LIMIT, NULL);
	struct hw_epoch_reader *stalled = hw_epoch_join(epoch, "stalled");
	struct hw_read_map *map = hw_read_map_create(epoch, &faulty.allocator);
	bool refused = false;

	hw_epoch_enter(stalled);
	for (unsigned round = 0; round < 20; round++) {
		for (uint64_t key = 0; key < 4000; key++)
			refused |= !hw_read_map_put(map, key, key);
		for (uint64_t key = 0; key < 4000; key++)
			hw_read_map_delete(map, key, NULL);
		assert_true(hw_epoch_stats(epoch).garbage_bytes <= LIMIT);
		assert_int_equal(faulty_out(&faulty),
			hw_epoch_stats(epoch).garbage_bytes + hw_read_map_held_bytes(map));
	}
	assert_true(refused);
	hw_epoch_exit(stalled);
	for (uint64_t key = 0; key < 4000; key++)
		assert_true(hw_read_map_put(map, key, key));
	hw_read_map_destroy(map);
	hw_epoch_destroy(epoch);
	assert_int_equal(faulty_out(&faulty), 0);
}

// Linearizability: a few keys in a small table, among them some that come and go to make it grow and shrink.
struct subject {
	struct hw_epoch *epoch;
	struct hw_read_map *map;
};

enum { GET, PUT, DELETE, MANY };

static void choose(struct linear_operation *operation, uint64_t random)
{
	operation->kind = random % 8 < 4   ? GET
			  : random % 8 < 6 ? PUT
			  : random % 8 < 7 ? DELETE
					   : MANY;
	operation->key = random >> 8 & 3;
	operation->argument = 1 + (random >> 16) % 1000;
}

// The reader joins for each operation: a thread of the harness has nowhere to keep it.
static void perform(void *container, struct linear_operation *operation)
{
	struct subject *subject = container;
	uint64_t value = 0;

	switch (operation->kind) {
	case GET: {
		static _Thread_local struct hw_epoch_reader *reader;
		static _Thread_local struct hw_epoch *joined;
		if (joined != subject->epoch) {
			reader = hw_epoch_join(subject->epoch, "linear");
			joined = subject->epoch;
		}
		if (hw_read_map_get(subject->map, reader, operation->key, &value))
			operation->result = value;
		break;
	}
	case PUT:
		assert_true(hw_read_map_put(subject->map, operation->key, operation->argument));
		break;
	case DELETE:
		if (hw_read_map_delete(subject->map, operation->key, &value))
			operation->result = value;
		break;
	default: // forces new tables, and deletes what it made
		for (uint64_t i = 0; i < 20; i++)
			hw_read_map_put(subject->map, 1000 + 100 * operation->thread + i, 1);
		for (uint64_t i = 0; i < 20; i++)
			hw_read_map_delete(subject->map, 1000 + 100 * operation->thread + i, NULL);
	}
}

static bool apply(struct linear_model *model, const struct linear_operation *operation)
{
	uint64_t *value = &model->words[operation->key], old = *value;

	switch (operation->kind) {
	case GET:
		return operation->result == old;
	case PUT:
		*value = operation->argument;
		return true;
	case DELETE:
		*value = 0;
		return operation->result == old;
	default:
		return true;
	}
}

static void clear(void *container)
{
	struct subject *subject = container;

	for (uint64_t key = 0; key < 4; key++)
		hw_read_map_delete(subject->map, key, NULL);
}

static void histories_are_linearizable(void **state)
{
	static const struct linear_subject linear = {3, 8, choose, perform, apply, clear};
	struct subject subject = {.epoch = hw_epoch_create(0, NULL)};

	subject.map = hw_read_map_create(subject.epoch, NULL);
	linear_rounds(&linear, &subject, 1500);
	hw_read_map_destroy(subject.map);
	hw_epoch_destroy(subject.epoch);
}

// A checker that accepts everything would be no checker.
static void the_checker_refuses_what_cannot_be(void **state)
{
	static const struct linear_subject linear = {2, 2, choose, perform, apply, clear};
	struct linear_operation late_get[] = {
		{.kind = PUT, .argument = 7, .begin_ns = 1, .end_ns = 2},
		{.kind = GET, .result = 0, .begin_ns = 3, .end_ns = 4},
	};
	struct linear_operation back[] = {
		{.kind = PUT, .argument = 7, .begin_ns = 1, .end_ns = 9},
		{.kind = GET, .result = 7, .begin_ns = 2, .end_ns = 3},
		{.kind = GET, .result = 0, .begin_ns = 4, .end_ns = 5},
	};

	assert_false(linear_check(&linear, late_get, 2));
	late_get[1].begin_ns = 2;
	assert_true(linear_check(&linear, late_get, 2));
	assert_false(linear_check(&linear, back, 3));
	back[2].result = 7;
	assert_true(linear_check(&linear, back, 3));
}

// Readers look for keys that are always there, while writers make the table grow, shrink and churn around them.
struct torture {
	struct hw_epoch *epoch;
	struct hw_read_map *map;
	atomic_bool stop;
	atomic_size_t wrong;
};

enum { LASTING = 64 };

static void *torture_read(void *argument)
{
	struct torture *torture = argument;
	struct hw_epoch_reader *reader = hw_epoch_join(torture->epoch, "torture");
	uint64_t random = 7;

	while (!atomic_load(&torture->stop)) {
		uint64_t key = next_random(&random) % 4000, value = key << 32;
		bool found = hw_read_map_get(torture->map, reader, key, &value);
		if ((key < LASTING && !found) || value >> 32 != key)
			atomic_fetch_add(&torture->wrong, 1);
	}
	hw_epoch_leave(reader);
	return NULL;
}

static void *torture_write(void *argument)
{
	struct torture *torture = argument;
	uint64_t random = (uintptr_t)&random;

	for (unsigned step = 0; step < 60000; step++) {
		uint64_t key = LASTING + next_random(&random) % (4000 - LASTING);
		if (step / 10000 % 2)
			hw_read_map_delete(torture->map, key, NULL);
		else
			hw_read_map_put(torture->map, key, key << 32 | step);
		if (step % 8 == 0)
			hw_read_map_put(torture->map, step % LASTING,
				(uint64_t)(step % LASTING) << 32 | step);
	}
	return NULL;
}

static void readers_find_what_is_always_there(void **state)
{
	struct torture torture = {.epoch = hw_epoch_create(0, NULL)};
	pthread_t readers[2], writers[2];

	torture.map = hw_read_map_create(torture.epoch, NULL);
	for (uint64_t key = 0; key < LASTING; key++)
		assert_true(hw_read_map_put(torture.map, key, key << 32));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, torture_read, &torture), 0);
		assert_int_equal(pthread_create(&writers[i], NULL, torture_write, &torture), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&torture.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&torture.wrong), 0);
	hw_read_map_destroy(torture.map);
	hw_epoch_destroy(torture.epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_is_like_a_table),
		cmocka_unit_test(deleted_keys_leave_nothing_behind),
		cmocka_unit_test(without_memory_the_map_is_as_it_was),
		cmocka_unit_test(a_stalled_reader_bounds_the_garbage),
		cmocka_unit_test(the_checker_refuses_what_cannot_be),
		cmocka_unit_test(histories_are_linearizable),
		cmocka_unit_test(readers_find_what_is_always_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
