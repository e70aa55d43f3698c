// Epochs: nothing is released under a reader, everything is once readers have left, and a stalled one bounds garbage.
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "heapwhy/epoch.h"
#include "heapwhy/registry.h"

enum { ALIVE = 0x600d, DEAD = 0xdead };

struct thing {
	struct hw_epoch_garbage garbage;
	atomic_uint state;
	size_t padding[10];
};

static atomic_size_t released;

static void thing_release(struct hw_epoch_garbage *garbage)
{
	struct thing *thing = (struct thing *)garbage;

	atomic_store(&thing->state, DEAD);
	atomic_fetch_add(&released, 1);
	free(thing);
}

static struct thing *thing_create(void)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	thing->garbage.release = thing_release;
	thing->garbage.bytes = sizeof(*thing);
	atomic_init(&thing->state, ALIVE);
	return thing;
}

static void nothing_is_released_under_a_reader(void **state)
{
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "reader");

	atomic_store(&released, 0);
	hw_epoch_enter(reader);
	hw_epoch_enter(reader);
	hw_epoch_retire(epoch, &thing_create()->garbage);
	hw_epoch_exit(reader);
	for (int i = 0; i < 5; i++)
		assert_int_equal(hw_epoch_flush(epoch), sizeof(struct thing));
	assert_int_equal(atomic_load(&released), 0);
	hw_epoch_exit(reader);
	assert_int_equal(hw_epoch_flush(epoch), 0);
	assert_int_equal(atomic_load(&released), 1);
	// Who enters after the retirement holds up nothing for good.
	hw_epoch_retire(epoch, &thing_create()->garbage);
	hw_epoch_enter(reader);
	hw_epoch_flush(epoch);
	hw_epoch_exit(reader);
	hw_epoch_enter(reader);
	hw_epoch_flush(epoch);
	assert_int_equal(atomic_load(&released), 2);
	hw_epoch_exit(reader);
	hw_epoch_leave(reader);
	hw_epoch_destroy(epoch);
}

static void a_stalled_reader_bounds_garbage_and_is_named(void **state)
{
	enum { LIMIT = 10000 };
	struct hw_epoch *epoch = hw_epoch_create(LIMIT, NULL);
	struct hw_epoch_reader *good = hw_epoch_join(epoch, "good");
	struct hw_epoch_reader *slow = hw_epoch_join(epoch, "a name that is much too long");
	struct hw_epoch_stall stalls[4];
	size_t admitted = 0;

	hw_epoch_enter(slow);
	for (int i = 0; i < 10000; i++) {
		hw_epoch_enter(good);
		if (hw_epoch_admit(epoch, sizeof(struct thing))) {
			hw_epoch_retire(epoch, &thing_create()->garbage);
			admitted++;
		}
		hw_epoch_exit(good);
		assert_true(hw_epoch_stats(epoch).garbage_bytes <= LIMIT);
	}
	assert_true(admitted >= LIMIT / sizeof(struct thing) - 1);
	assert_true(admitted <= LIMIT / sizeof(struct thing) + 1);
	struct hw_epoch_stats stats = hw_epoch_stats(epoch);
	assert_int_equal(stats.refused_count, 10000 - admitted);
	assert_int_equal(stats.stalled_count, 1);
	assert_int_equal(
		hw_registration_sum((struct hw_registration *)epoch, HW_STALLED_READERS), 1);
	usleep(2000);
	assert_int_equal(hw_epoch_stalled(epoch, stalls, 4), 1);
	assert_string_equal(stalls[0].name, "a name that is much too");
	assert_int_equal(stalls[0].thread, getpid());
	assert_true(stalls[0].stalled_ns >= 2000000);
	assert_int_equal(hw_epoch_stalled(epoch, stalls, 0), 0);

	hw_epoch_exit(slow);
	assert_true(hw_epoch_admit(epoch, sizeof(struct thing)));
	assert_int_equal(hw_epoch_flush(epoch), 0);
	assert_int_equal(hw_epoch_stalled(epoch, stalls, 4), 0);
	hw_epoch_leave(slow);
	hw_epoch_destroy(epoch); // frees the reader that has not left
}

static void the_longest_stalled_comes_first(void **state)
{
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *first = hw_epoch_join(epoch, "first");
	struct hw_epoch_reader *second = hw_epoch_join(epoch, "second");
	struct hw_epoch_stall stalls[2];

	// Both are behind; the first one was noticed earlier.
	hw_epoch_enter(first);
	hw_epoch_flush(epoch);
	hw_epoch_flush(epoch);
	usleep(1000);
	hw_epoch_exit(first);
	hw_epoch_enter(second);
	hw_epoch_flush(epoch);
	hw_epoch_exit(second);
	hw_epoch_enter(second);
	hw_epoch_enter(first);
	hw_epoch_flush(epoch);
	assert_int_equal(hw_epoch_stalled(epoch, stalls, 2), 2);
	assert_true(stalls[0].stalled_ns >= stalls[1].stalled_ns);
	assert_int_equal(hw_epoch_stalled(epoch, stalls, 1), 1);
	hw_epoch_destroy(epoch);
}

// Releasing may retire: a chain frees itself link by link.
static struct hw_epoch *chain_epoch;

static void chain_release(struct hw_epoch_garbage *garbage)
{
	struct thing *thing = (struct thing *)garbage;

	if (thing->padding[0]--)
		hw_epoch_retire(chain_epoch, garbage);
	else
		free(thing);
}

static void releasing_may_retire(void **state)
{
	struct thing *thing = thing_create();

	chain_epoch = hw_epoch_create(0, NULL);
	thing->garbage.release = chain_release;
	thing->garbage.bytes = 0;
	thing->padding[0] = 200;
	hw_epoch_retire(chain_epoch, &thing->garbage);
	hw_epoch_destroy(chain_epoch);
}

// Readers follow a pointer that writers exchange, and look whether what they hold is alive.
struct torture {
	struct hw_epoch *epoch;
	_Atomic(struct thing *) shared;
	atomic_bool stop;
	atomic_size_t dead_seen, looks;
};

static void *torture_read(void *argument)
{
	struct torture *torture = argument;
	struct hw_epoch_reader *reader = hw_epoch_join(torture->epoch, "torture");

	while (!atomic_load(&torture->stop)) {
		hw_epoch_enter(reader);
		struct thing *thing = atomic_load(&torture->shared);
		for (int i = 0; i < 20; i++)
			if (atomic_load(&thing->state) != ALIVE)
				atomic_fetch_add(&torture->dead_seen, 1);
		hw_epoch_exit(reader);
		atomic_fetch_add(&torture->looks, 1);
	}
	hw_epoch_leave(reader);
	return NULL;
}

static void *torture_write(void *argument)
{
	struct torture *torture = argument;

	for (int i = 0; i < 20000; i++) {
		while (!hw_epoch_admit(torture->epoch, sizeof(struct thing)))
			usleep(10);
		struct thing *old = atomic_exchange(&torture->shared, thing_create());
		hw_epoch_retire(torture->epoch, &old->garbage);
	}
	return NULL;
}

static void readers_never_see_the_dead(void **state)
{
	struct torture torture = {.epoch = hw_epoch_create(100 * sizeof(struct thing), NULL)};
	pthread_t readers[2], writers[2];

	atomic_store(&released, 0);
	atomic_init(&torture.shared, thing_create());
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, torture_read, &torture), 0);
		assert_int_equal(pthread_create(&writers[i], NULL, torture_write, &torture), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&torture.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	free(atomic_load(&torture.shared));
	hw_epoch_destroy(torture.epoch);
	assert_int_equal(atomic_load(&torture.dead_seen), 0);
	assert_int_equal(atomic_load(&released), 40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_released_under_a_reader),
		cmocka_unit_test(a_stalled_reader_bounds_garbage_and_is_named),
		cmocka_unit_test(the_longest_stalled_comes_first),
		cmocka_unit_test(releasing_may_retire),
		cmocka_unit_test(readers_never_see_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
