// The concurrent list: like a plain set, linearizable; walks see what is always there once.
#include "containers_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "heapwhy/concurrent_list.h"

#include "faulty.h"
#include "linear.h"

// Counted four slots at a time, as the header allows.
static size_t count_by_segments(struct hw_concurrent_list *list)
{
	struct hw_concurrent_list_cursor cursor = {NULL};
	size_t items = 0;

	while (hw_concurrent_list_more(list, &cursor)) {
		assert_int_equal((uintptr_t)cursor.slots % 32, 0);
		for (size_t at = 0; at < cursor.count; at += 4)
			for (size_t lane = 0; lane < 4; lane++)
				items += cursor.slots[at + lane] != 0;
	}
	return items;
}

static void list_is_like_a_set(void **state)
{
	enum { ITEMS = 2000 };
	bool there[ITEMS + 1] = {false};
	uint64_t random = 3;
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "test");
	struct hw_concurrent_list *list = hw_concurrent_list_create(epoch, &faulty.allocator);
	size_t empty = hw_concurrent_list_held_bytes(list), count = 0, most = 0;

	for (unsigned step = 0; step < 60000; step++) {
		uint64_t item = 1 + next_random(&random) % ITEMS;
		// What differs in one half only must not be taken for the same.
		uint64_t wide = item << 32 | (item & 7);
		bool grow = step / 10000 % 2 == 0;
		if (next_random(&random) % 4 < 2) {
			assert_int_equal(
				hw_concurrent_list_contains(list, reader, wide), there[item]);
			assert_false(hw_concurrent_list_contains(list, reader, wide ^ 8));
		} else if (grow) {
			assert_int_equal(hw_concurrent_list_add(list, wide),
				there[item] ? HW_LIST_THERE : HW_LIST_DONE);
			count += !there[item];
			there[item] = true;
		} else {
			assert_int_equal(hw_concurrent_list_remove(list, wide), there[item]);
			count -= there[item];
			there[item] = false;
		}
		assert_int_equal(hw_concurrent_list_count(list), count);
		if (hw_concurrent_list_held_bytes(list) > most)
			most = hw_concurrent_list_held_bytes(list);
		if (step % 1000)
			continue;
		size_t seen = 0;
		hw_epoch_enter(reader);
		hw_concurrent_list_each (list, cursor, found) {
			assert_true(there[found >> 32]);
			seen++;
		}
		assert_int_equal(seen, count);
		assert_int_equal(count_by_segments(list), count);
		hw_epoch_exit(reader);
	}
	assert_true(most > empty + ITEMS / 2 * sizeof(uint64_t));
	for (uint64_t item = 1; item <= ITEMS; item++)
		hw_concurrent_list_remove(list, item << 32 | (item & 7));
	assert_int_equal(hw_concurrent_list_held_bytes(list), empty);
	assert_false(hw_concurrent_list_remove(list, 0));
	assert_false(hw_concurrent_list_contains(list, reader, 0));
	hw_concurrent_list_destroy(list);
	hw_epoch_destroy(epoch);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void a_walk_can_be_left(void **state)
{
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "test");
	struct hw_concurrent_list *list = hw_concurrent_list_create(epoch, NULL);
	int seen = 0;

	for (uint64_t item = 1; item <= 100; item++)
		assert_int_equal(hw_concurrent_list_add(list, item), HW_LIST_DONE);
	hw_epoch_enter(reader);
	hw_concurrent_list_each (list, cursor, item)
		if (item && ++seen == 10)
			break;
	hw_epoch_exit(reader);
	assert_int_equal(seen, 10);
	hw_concurrent_list_destroy(list);
	hw_epoch_destroy(epoch);
}

static void without_memory_the_list_is_as_it_was(void **state)
{
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_concurrent_list *list = NULL;

	for (int place = 1; !list; place++) {
		faulty.fail_at = place;
		list = hw_concurrent_list_create(epoch, &faulty.allocator);
		assert_true(list ? place == 18 : faulty_out(&faulty) == 0);
	}
	size_t full = 0;
	for (uint64_t item = 1; item <= 1000; item++) {
		faulty.fail_at = 1;
		if (hw_concurrent_list_add(list, item) == HW_LIST_DONE)
			continue;
		full++;
		assert_int_equal(hw_concurrent_list_count(list), item - 1);
		faulty.fail_at = 0;
		assert_int_equal(hw_concurrent_list_add(list, item), HW_LIST_DONE);
	}
	assert_true(full >= 16);
	for (uint64_t item = 1; item <= 1000; item++) {
		faulty.fail_at = 1; // failing to shrink is no failure
		assert_true(hw_concurrent_list_remove(list, item));
	}
	hw_concurrent_list_destroy(list);
	hw_epoch_destroy(epoch);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void a_stalled_reader_bounds_the_garbage(void **state)
{
	enum { LIMIT = 20000 };
	struct faulty faulty;
	faulty_init(&faulty);
	struct hw_epoch *epoch = hw_epoch_create(LIMIT, NULL);
	struct hw_epoch_reader *stalled = hw_epoch_join(epoch, "stalled");
	struct hw_concurrent_list *list = hw_concurrent_list_create(epoch, &faulty.allocator);
	bool full = false;

	hw_epoch_enter(stalled);
	for (int round = 0; round < 20; round++) {
		for (uint64_t item = 1; item <= 3000; item++)
			full |= hw_concurrent_list_add(list, item) == HW_LIST_FULL;
		for (uint64_t item = 1; item <= 3000; item++)
			hw_concurrent_list_remove(list, item);
		assert_int_equal(hw_concurrent_list_count(list), 0);
		assert_true(hw_epoch_stats(epoch).garbage_bytes <= LIMIT);
		assert_int_equal(faulty_out(&faulty),
			hw_epoch_stats(epoch).garbage_bytes + hw_concurrent_list_held_bytes(list));
	}
	assert_true(full);
	hw_epoch_exit(stalled);
	for (uint64_t item = 1; item <= 3000; item++)
		assert_int_equal(hw_concurrent_list_add(list, item), HW_LIST_DONE);
	hw_concurrent_list_destroy(list);
	hw_epoch_destroy(epoch);
}

struct subject {
	struct hw_epoch *epoch;
	struct hw_concurrent_list *list;
};

enum { CONTAINS, ADD, REMOVE };

// Items of one segment, by trying: they share an array, which grows and shrinks.
static uint64_t same_segment(unsigned index)
{
	uint64_t item = 1;

	for (;; item++)
		if (item * UINT64_C(0x9e3779b97f4a7c15) >> 60 == 5 && index-- == 0)
			return item;
}

static void choose(struct linear_operation *operation, uint64_t random)
{
	operation->kind = random % 8 < 3 ? CONTAINS : random % 8 < 6 ? ADD : REMOVE;
	operation->key = (random >> 8) % 12;
}

static void perform(void *container, struct linear_operation *operation)
{
	static _Thread_local struct hw_epoch_reader *reader;
	static _Thread_local struct hw_epoch *joined;
	struct subject *subject = container;
	uint64_t item = same_segment((unsigned)operation->key);

	if (joined != subject->epoch) {
		reader = hw_epoch_join(subject->epoch, "linear");
		joined = subject->epoch;
	}
	if (operation->kind == CONTAINS)
		operation->result = hw_concurrent_list_contains(subject->list, reader, item);
	else if (operation->kind == ADD)
		operation->result = hw_concurrent_list_add(subject->list, item) == HW_LIST_DONE;
	else
		operation->result = hw_concurrent_list_remove(subject->list, item);
}

static bool apply(struct linear_model *model, const struct linear_operation *operation)
{
	uint64_t *there = &model->words[operation->key], was = *there;

	if (operation->kind == CONTAINS)
		return operation->result == was;
	*there = operation->kind == ADD;
	return operation->result == (was != *there);
}

static void clear(void *container)
{
	for (unsigned key = 0; key < 12; key++)
		hw_concurrent_list_remove(((struct subject *)container)->list, same_segment(key));
}

static void histories_are_linearizable(void **state)
{
	static const struct linear_subject linear = {3, 8, choose, perform, apply, clear};
	struct subject subject = {.epoch = hw_epoch_create(0, NULL)};

	subject.list = hw_concurrent_list_create(subject.epoch, NULL);
	linear_rounds(&linear, &subject, 1500);
	hw_concurrent_list_destroy(subject.list);
	hw_epoch_destroy(subject.epoch);
}

// Walks count the items that are always there, while others come and go and arrays are replaced.
struct torture {
	struct hw_epoch *epoch;
	struct hw_concurrent_list *list;
	atomic_bool stop;
	atomic_size_t wrong;
};

enum { LASTING = 100 };

static void *torture_walk(void *argument)
{
	struct torture *torture = argument;
	struct hw_epoch_reader *reader = hw_epoch_join(torture->epoch, "torture");

	while (!atomic_load(&torture->stop)) {
		size_t lasting = 0;
		hw_epoch_enter(reader);
		hw_concurrent_list_each (torture->list, cursor, item)
			lasting += item <= LASTING;
		hw_epoch_exit(reader);
		if (lasting != LASTING ||
			!hw_concurrent_list_contains(torture->list, reader, LASTING))
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
		uint64_t item = LASTING + 1 + next_random(&random) % 2000;
		if (step / 5000 % 2)
			hw_concurrent_list_remove(torture->list, item);
		else
			hw_concurrent_list_add(torture->list, item);
	}
	return NULL;
}

static void walks_see_what_is_always_there_once(void **state)
{
	struct torture torture = {.epoch = hw_epoch_create(0, NULL)};
	pthread_t readers[2], writers[2];

	torture.list = hw_concurrent_list_create(torture.epoch, NULL);
	for (uint64_t item = 1; item <= LASTING; item++)
		assert_int_equal(hw_concurrent_list_add(torture.list, item), HW_LIST_DONE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, torture_walk, &torture), 0);
		assert_int_equal(pthread_create(&writers[i], NULL, torture_write, &torture), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&torture.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&torture.wrong), 0);
	hw_concurrent_list_destroy(torture.list);
	hw_epoch_destroy(torture.epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_is_like_a_set),
		cmocka_unit_test(a_walk_can_be_left),
		cmocka_unit_test(without_memory_the_list_is_as_it_was),
		cmocka_unit_test(a_stalled_reader_bounds_the_garbage),
		cmocka_unit_test(histories_are_linearizable),
		cmocka_unit_test(walks_see_what_is_always_there_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
