// The object pool: what it gives out, keeps, refuses and gives back, by one thread and by several.
#include "containers_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "heapwhy/object_pool.h"
#include "heapwhy/registry.h"

#include "faulty.h"

struct object {
	atomic_uint owner; // 0: in the pool
	unsigned created, resets;
	size_t grown;
	char rest[100];
};

static unsigned made, destroyed;
static bool making_fails;

static bool object_make(void *context, void *memory)
{
	struct object *object = memory;

	if (making_fails)
		return false;
	memset(object, 0, sizeof(*object));
	object->created = ++made;
	return true;
}

static void object_reset(void *context, void *memory)
{
	((struct object *)memory)->resets++;
	atomic_store(&((struct object *)memory)->owner, 0);
}

static void object_unmake(void *context, void *memory)
{
	destroyed++;
}

static size_t object_size(void *context, const void *memory)
{
	return sizeof(struct object) + ((const struct object *)memory)->grown;
}

static struct hw_object_pool_options options(struct faulty *faulty)
{
	faulty_init(faulty);
	made = destroyed = 0;
	return (struct hw_object_pool_options){
		.object_bytes = sizeof(struct object),
		.create = object_make,
		.reset = object_reset,
		.destroy = object_unmake,
		.size = object_size,
		.largest_bytes = 1000,
		.allocator = &faulty->allocator,
	};
}

static void what_is_put_is_got_again(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	struct object *first = hw_object_pool_get(local);

	assert_int_equal((uintptr_t)first % 16, 0);
	assert_int_equal(hw_object_pool_put(local, first), HW_PUT_KEPT);
	size_t allocations = atomic_load(&faulty.count);
	for (int i = 0; i < 1000; i++) {
		assert_ptr_equal(hw_object_pool_get(local), first);
		assert_int_equal(hw_object_pool_put(local, first), HW_PUT_KEPT);
	}
	assert_int_equal(atomic_load(&faulty.count), allocations);
	struct hw_object_pool_stats stats = hw_object_pool_stats(pool);
	assert_int_equal(stats.hits, 1000);
	assert_int_equal(stats.misses, 1);
	assert_int_equal(stats.object_count, 1);
	assert_int_equal(first->resets, 1001);
	assert_int_equal(hw_registration_sum((struct hw_registration *)pool, HW_HITS), 1000);
	assert_int_equal(hw_registration_sum((struct hw_registration *)pool, HW_HELD_BYTES),
		stats.held_bytes);
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(destroyed, 1);
	assert_int_equal(faulty_out(&faulty), 0);
}

// Against a plain count: nothing is lost, nothing is given out twice.
static void every_object_has_one_owner(void **state)
{
	enum { OBJECTS = 1000 };
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	wanted.idle_bytes = 40000;
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);
	struct hw_object_pool_local *locals[2] = {
		hw_object_pool_join(pool), hw_object_pool_join(pool)};
	struct object *out[OBJECTS];
	size_t count = 0;
	uint64_t random = 1;

	for (unsigned step = 0; step < 100000; step++) {
		struct hw_object_pool_local *local = locals[next_random(&random) % 2];
		bool more = next_random(&random) % 8 < (step / 2000 % 2 ? 3 : 5);
		if (more && count < OBJECTS) {
			struct object *object = hw_object_pool_get(local);
			assert_int_equal(atomic_exchange(&object->owner, 1), 0);
			out[count++] = object;
		} else if (!more && count) {
			size_t at = next_random(&random) % count;
			hw_object_pool_put(local, out[at]);
			out[at] = out[--count];
		}
		if (step % 1000 == 999) {
			hw_object_pool_age(pool);
			struct hw_object_pool_stats stats = hw_object_pool_stats(pool);
			assert_int_equal(stats.object_count, made - destroyed);
			assert_true(stats.object_count >= count);
			// The depot's limit and two magazines of 64 for each local.
			assert_true(stats.object_count <=
				    count + 40000 / sizeof(struct object) + 4 * 64);
		}
	}
	hw_object_pool_leave(locals[0]);
	hw_object_pool_leave(locals[1]);
	assert_int_equal(hw_object_pool_destroy(pool), count);
	assert_int_equal(made - destroyed, count);
	for (size_t i = 0; i < count; i++)
		hw_free(&faulty.allocator, (char *)out[i] - 16, sizeof(struct object) + 16, 16);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void a_second_put_is_refused_and_both_places_are_named(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	hw_debug_handler *before = hw_debug_set_handler(keep_violation);
	hw_debug_enable(true);
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);
	hw_debug_enable(false);
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	struct object *object = hw_object_pool_get(local);

	violation_count = 0;
	hw_object_pool_put(local, object);
	const char *second = HW_HERE;
	assert_int_equal(hw_object_pool_put_at(local, object, second), HW_PUT_DOUBLE);
	assert_int_equal(violation_count, 1);
	assert_int_equal(last_violation.mistake, HW_FREED_TWICE);
	assert_ptr_equal(last_violation.memory, object);
	assert_ptr_equal(last_violation.here, second);
	assert_non_null(strstr(last_violation.before, "test_object_pool.c:"));
	assert_int_equal(hw_object_pool_stats(pool).refused_double, 1);
	assert_ptr_equal(hw_object_pool_get(local), object);
	struct object *other = hw_object_pool_get(local);
	assert_ptr_not_equal(other, object);
	hw_debug_set_handler(before);
	hw_object_pool_put(local, object);
	hw_object_pool_put(local, other);
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void what_has_grown_too_large_is_not_kept(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	struct object *object = hw_object_pool_get(local);

	object->grown = 1000;
	assert_int_equal(hw_object_pool_put(local, object), HW_PUT_LARGE);
	assert_int_equal(destroyed, 1);
	assert_int_equal(hw_object_pool_stats(pool).refused_large, 1);
	assert_int_equal(hw_object_pool_stats(pool).object_count, 0);
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void what_nobody_needs_is_freed_after_two_generations(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);

	assert_int_equal(hw_object_pool_warm(pool, 200), 200);
	assert_int_equal(made, 200);
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	struct object *objects[71] = {hw_object_pool_get(local)};
	assert_true(objects[0]->created <= 200); // not a new one
	assert_int_equal(hw_object_pool_stats(pool).misses, 0);
	assert_int_equal(hw_object_pool_age(pool), 0);
	// A victim is as good as any, while it is there.
	for (size_t i = 1; i < ARRAY_COUNT(objects); i++)
		objects[i] = hw_object_pool_get(local);
	assert_int_equal(hw_object_pool_stats(pool).misses, 0);
	assert_int_equal(hw_object_pool_age(pool), 128);
	assert_int_equal(destroyed, 128);
	assert_int_equal(hw_object_pool_age(pool), 0);
	for (size_t i = 0; i < ARRAY_COUNT(objects); i++)
		hw_object_pool_put(local, objects[i]);
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void a_spare_is_stolen_and_an_idle_one_ages(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	struct hw_object_pool *pool = hw_object_pool_create(&wanted);
	struct hw_object_pool_local *rich = hw_object_pool_join(pool),
				    *poor = hw_object_pool_join(pool);
	void *objects[100];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 100; i++)
			objects[i] = hw_object_pool_get(rich);
		for (int i = 0; i < 100; i++)
			hw_object_pool_put(rich, objects[i]);
		if (round)
			break;
		// One magazine of 64 is the spare, the rest is loaded.
		for (int i = 0; i < 64; i++)
			objects[i] = hw_object_pool_get(poor);
		assert_int_equal(hw_object_pool_stats(pool).misses, 100);
		assert_int_equal(hw_object_pool_stats(pool).steals, 1);
		for (int i = 0; i < 64; i++)
			hw_object_pool_put(poor, objects[i]);
	}
	size_t held = hw_object_pool_stats(pool).object_count;
	for (int i = 0; i < 4; i++)
		hw_object_pool_age(pool);
	assert_true(hw_object_pool_stats(pool).object_count <= held - 64);
	hw_object_pool_leave(rich);
	hw_object_pool_leave(poor);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void without_memory_nothing_is_lost(void **state)
{
	struct faulty faulty;
	struct hw_object_pool_options wanted = options(&faulty);
	struct hw_object_pool *pool = NULL;
	void *objects[200];

	for (int place = 1; !pool; place++) {
		faulty.fail_at = place;
		pool = hw_object_pool_create(&wanted);
		assert_true(pool ? place == 3 : faulty_out(&faulty) == 0);
	}
	faulty.fail_at = 0;
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	for (int i = 0; i < 200; i++) {
		faulty.fail_at = 1;
		assert_null(hw_object_pool_get(local));
		making_fails = true;
		assert_null(hw_object_pool_get(local));
		making_fails = false;
		objects[i] = hw_object_pool_get(local);
		assert_non_null(objects[i]);
	}
	size_t excess = 0;
	for (int i = 0; i < 200; i++) {
		faulty.fail_at = i % 3 == 0;
		excess += hw_object_pool_put(local, objects[i]) == HW_PUT_EXCESS;
	}
	assert_true(excess > 0 && excess < 10);
	faulty.fail_at = 1;
	assert_int_equal(hw_object_pool_warm(pool, 10), 0);
	faulty.fail_at = 4; // the magazine and two objects
	assert_int_equal(hw_object_pool_warm(pool, 10), 2);
	faulty.fail_at = 0;
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void only_so_many_threads_can_join(void **state)
{
	struct hw_object_pool *pool = hw_object_pool_create(
		&(struct hw_object_pool_options){.object_bytes = 8, .alignment = 64, .threads = 2});
	struct hw_object_pool_local *first = hw_object_pool_join(pool),
				    *second = hw_object_pool_join(pool);

	assert_null(hw_object_pool_join(pool));
	void *object = hw_object_pool_get(first);
	assert_int_equal((uintptr_t)object % 64, 0);
	hw_object_pool_put(second, object);
	hw_object_pool_leave(first);
	assert_ptr_equal(hw_object_pool_join(pool), first);
	hw_object_pool_leave(first);
	hw_object_pool_leave(second);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
}

// Objects go round between threads; each must have one owner at any time.
struct torture {
	struct hw_object_pool *pool;
	_Atomic(struct object *) exchange[8];
	atomic_size_t wrong;
};

enum { TORTURE_THREADS = 4 };

static struct object *torture_get(struct torture *torture, struct hw_object_pool_local *local)
{
	struct object *object = hw_object_pool_get(local);

	if (atomic_exchange(&object->owner, 1))
		atomic_fetch_add(&torture->wrong, 1);
	return object;
}

static void *torture_both(void *argument)
{
	struct torture *torture = argument;
	struct hw_object_pool_local *local = hw_object_pool_join(torture->pool);
	struct object *mine[150];
	size_t count = 0;
	uint64_t random = (uintptr_t)local;

	for (unsigned step = 0; step < 60000; step++) {
		bool more = next_random(&random) % 8 < (step / 1000 % 2 ? 3 : 5);
		if (more && count < ARRAY_COUNT(mine)) {
			mine[count++] = torture_get(torture, local);
		} else if (count) {
			// Put what another thread got.
			struct object *object =
				atomic_exchange(&torture->exchange[step % 8], mine[--count]);
			if (object)
				hw_object_pool_put(local, object);
		}
		if (step % 5000 == 0)
			hw_object_pool_age(torture->pool);
	}
	while (count)
		hw_object_pool_put(local, mine[--count]);
	hw_object_pool_leave(local);
	return NULL;
}

enum { PASSED = 10000 }; // objects from each taker to the givers

static void *torture_take(void *argument)
{
	struct torture *torture = argument;
	struct hw_object_pool_local *local = hw_object_pool_join(torture->pool);

	for (unsigned step = 0, slot = 0; step < PASSED; step++) {
		struct object *object = torture_get(torture, local), *none = NULL;
		while (!atomic_compare_exchange_strong(
			&torture->exchange[slot++ % 8], &none, object)) {
			none = NULL;
			if (slot % 8 == 0)
				sched_yield();
		}
	}
	hw_object_pool_leave(local);
	return NULL;
}

static void *torture_give(void *argument)
{
	struct torture *torture = argument;
	struct hw_object_pool_local *local = hw_object_pool_join(torture->pool);

	for (unsigned step = 0, slot = 0; step < PASSED; step++) {
		struct object *object;
		while (!(object = atomic_exchange(&torture->exchange[slot++ % 8], NULL)))
			if (slot % 8 == 0)
				sched_yield();
		hw_object_pool_put(local, object);
	}
	hw_object_pool_leave(local);
	return NULL;
}

static bool torture_make(void *context, void *memory)
{
	atomic_init(&((struct object *)memory)->owner, 0);
	return true;
}

static void torture_reset(void *context, void *memory)
{
	struct torture *torture = context;

	if (atomic_exchange(&((struct object *)memory)->owner, 0) != 1)
		atomic_fetch_add(&torture->wrong, 1);
}

// `runs`: what the even threads do, and the odd ones.
static void torture_pool(size_t object_bytes, size_t idle_bytes, void *(*const runs[2])(void *))
{
	struct torture torture = {NULL};
	struct faulty faulty;
	pthread_t threads[TORTURE_THREADS];

	faulty_init(&faulty);
	torture.pool = hw_object_pool_create(&(struct hw_object_pool_options){
		.object_bytes = object_bytes,
		.idle_bytes = idle_bytes,
		.create = torture_make,
		.reset = torture_reset,
		.context = &torture,
		.allocator = &faulty.allocator,
	});
	for (int i = 0; i < TORTURE_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, runs[i % 2], &torture), 0);
	for (int i = 0; i < TORTURE_THREADS; i++)
		pthread_join(threads[i], NULL);
	struct hw_object_pool_local *local = hw_object_pool_join(torture.pool);
	for (int i = 0; i < 8; i++)
		if (atomic_load(&torture.exchange[i]))
			hw_object_pool_put(local, atomic_load(&torture.exchange[i]));
	hw_object_pool_leave(local);
	assert_int_equal(atomic_load(&torture.wrong), 0);
	assert_int_equal(hw_object_pool_stats(torture.pool).refused_double, 0);
	assert_int_equal(hw_object_pool_destroy(torture.pool), 0);
	assert_int_equal(faulty_out(&faulty), 0);
}

static void threads_never_share_an_object(void **state)
{
	torture_pool(
		sizeof(struct object), 30000, (void *(*[])(void *)){torture_both, torture_both});
}

// Large objects come in magazines of four, and without a depot whoever takes must steal: spares change hands all the
// time.
static void threads_never_share_a_magazine(void **state)
{
	torture_pool(100000, 1, (void *(*[])(void *)){torture_take, torture_give});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_got_again),
		cmocka_unit_test(every_object_has_one_owner),
		cmocka_unit_test(a_second_put_is_refused_and_both_places_are_named),
		cmocka_unit_test(what_has_grown_too_large_is_not_kept),
		cmocka_unit_test(what_nobody_needs_is_freed_after_two_generations),
		cmocka_unit_test(a_spare_is_stolen_and_an_idle_one_ages),
		cmocka_unit_test(without_memory_nothing_is_lost),
		cmocka_unit_test(only_so_many_threads_can_join),
		cmocka_unit_test(threads_never_share_an_object),
		cmocka_unit_test(threads_never_share_a_magazine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
