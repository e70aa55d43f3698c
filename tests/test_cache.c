// The cache: within its limits, never stale, fair to what is used often, linearizable, and it returns what it took.
#include "containers_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "heapwhy/cache.h"
#include "heapwhy/registry.h"

#include "faulty.h"
#include "linear.h"

enum { KEYS = 500 };

// What the cache was given and has not let go of, by the callbacks.
struct owner {
	atomic_uint held[KEYS];
	atomic_uint reasons[5];
	atomic_uint retained;
	_Atomic uint64_t clock;
};

static void owner_retain(void *context, uint64_t value)
{
	atomic_fetch_add(&((struct owner *)context)->retained, 1);
}

static void owner_release(void *context, uint64_t key, uint64_t value, enum hw_cache_reason reason)
{
	struct owner *owner = context;

	assert_int_equal(value % KEYS, key);
	assert_true(atomic_fetch_sub(&owner->held[key], 1) > 0);
	atomic_fetch_add(&owner->reasons[reason], 1);
}

static uint64_t owner_now(void *context)
{
	return atomic_load(&((struct owner *)context)->clock);
}

static struct hw_cache *cache_create(
	struct owner *owner, struct faulty *faulty, struct hw_cache_options options)
{
	memset(owner, 0, sizeof(*owner));
	faulty_init(faulty);
	options.context = owner;
	options.retain = owner_retain;
	options.release = owner_release;
	options.now = owner_now;
	options.allocator = &faulty->allocator;
	struct hw_cache *cache = hw_cache_create(&options);
	assert_non_null(cache);
	return cache;
}

static bool put(struct hw_cache *cache, struct owner *owner, uint64_t key, uint64_t turn,
	uint32_t bytes, uint64_t ttl)
{
	atomic_fetch_add(&owner->held[key], 1);
	bool taken = hw_cache_put(cache, key, turn * KEYS + key, bytes, ttl);
	if (!taken)
		atomic_fetch_sub(&owner->held[key], 1);
	return taken;
}

static void destroy(struct hw_cache *cache, struct owner *owner, struct faulty *faulty)
{
	hw_cache_destroy(cache);
	for (unsigned key = 0; key < KEYS; key++)
		assert_int_equal(atomic_load(&owner->held[key]), 0);
	assert_int_equal(faulty_out(faulty), 0);
}

// With room for all, it is a map.
static void a_large_cache_is_like_a_table(void **state)
{
	static uint64_t turns[KEYS], expiries[KEYS];
	uint64_t random = 1, now = 1, wanted = UINT64_MAX;
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(&owner, &faulty,
		(struct hw_cache_options){.entry_limit = 16 * KEYS, .shards = 3, .ttl_ns = 5000});

	for (uint64_t turn = 1; turn < 100000; turn++) {
		uint64_t key = next_random(&random) % KEYS, value = 0;
		bool there = turns[key] && expiries[key] > now;
		switch (next_random(&random) % (turn / 10000 % 2 ? 3 : 5)) {
		case 0:
			assert_int_equal(hw_cache_delete(cache, key), there);
			turns[key] = 0;
			break;
		case 1:
		case 2:
			assert_int_equal(hw_cache_get(cache, key, &value), there);
			wanted = there ? turns[key] * KEYS + key : 0;
			assert_int_equal(value, wanted);
			break;
		default: {
			uint64_t ttl = turn % 3 ? 0 : turn % 7 ? 200 : HW_CACHE_FOREVER;
			assert_true(put(cache, &owner, key, turn, 10, ttl));
			turns[key] = turn;
			expiries[key] = ttl == HW_CACHE_FOREVER ? ttl : now + (ttl ? ttl : 5000);
		}
		}
		if (turn % 1000 == 0)
			hw_cache_sweep(cache, 300);
		atomic_store(&owner.clock, ++now);
	}
	struct hw_cache_stats stats = hw_cache_stats(cache);
	assert_int_equal(stats.evicted, 0);
	assert_int_equal(stats.bytes, stats.entries * 10);
	assert_int_equal(atomic_load(&owner.retained), stats.hits);
	assert_int_equal(atomic_load(&owner.reasons[HW_CACHE_EXPIRED]), stats.expired);
	assert_int_equal(hw_registration_sum((struct hw_registration *)cache, HW_HITS), stats.hits);
	assert_int_equal(
		hw_registration_sum((struct hw_registration *)cache, HW_COUNT), stats.entries);
	destroy(cache, &owner, &faulty);
}

static void it_stays_within_its_limits(void **state)
{
	uint64_t random = 1;
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.entry_limit = 100, .shards = 1});

	for (uint64_t turn = 1; turn < 20000; turn++) {
		assert_true(put(cache, &owner, next_random(&random) % KEYS, turn, 1, 0));
		assert_true(hw_cache_stats(cache).entries <= 100);
	}
	assert_int_equal(hw_cache_stats(cache).entries, 100);
	destroy(cache, &owner, &faulty);

	cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.byte_limit = 5000, .shards = 1});
	for (uint64_t turn = 1; turn < 20000; turn++) {
		uint32_t bytes = next_random(&random) % 1000 ? next_random(&random) % 30 : 4000;
		assert_true(put(cache, &owner, next_random(&random) % KEYS, turn, bytes, 0));
		assert_true(hw_cache_stats(cache).bytes <= 5000);
	}
	assert_false(put(cache, &owner, 1, 1, 5001, 0));
	assert_int_equal(hw_cache_stats(cache).refused, 1);
	destroy(cache, &owner, &faulty);
	assert_null(hw_cache_create(&(struct hw_cache_options){0}));
}

static void a_scan_does_not_push_out_what_is_used(void **state)
{
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.entry_limit = 100, .shards = 1});

	for (uint64_t turn = 1; turn <= 4; turn++)
		for (uint64_t key = 0; key < 50; key++)
			if (!hw_cache_get(cache, key, NULL))
				assert_true(put(cache, &owner, key, turn, 1, 0));
	for (uint64_t key = 50; key < KEYS; key++)
		assert_true(put(cache, &owner, key, 9, 1, 0));
	unsigned found = 0;
	for (uint64_t key = 0; key < 50; key++)
		found += hw_cache_get(cache, key, NULL);
	assert_int_equal(found, 50);
	destroy(cache, &owner, &faulty);
}

static void what_comes_back_soon_may_stay(void **state)
{
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.entry_limit = 64, .shards = 1});

	for (uint64_t key = 0; key < 70; key++)
		assert_true(put(cache, &owner, key, 1, 1, 0));
	assert_false(hw_cache_get(cache, 0, NULL)); // it was the first to go, and is remembered
	assert_true(put(cache, &owner, 0, 2, 1, 0));
	for (uint64_t key = 70; key < 170; key++)
		assert_true(put(cache, &owner, key, 1, 1, 0));
	assert_true(hw_cache_get(cache, 0, NULL));
	destroy(cache, &owner, &faulty);
}

static void what_has_expired_goes_in_four_ways(void **state)
{
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(&owner, &faulty,
		(struct hw_cache_options){.entry_limit = 1000, .shards = 1, .ttl_ns = 100});
	atomic_uint *expired = &owner.reasons[HW_CACHE_EXPIRED];

	for (uint64_t key = 0; key < 400; key++)
		assert_true(put(cache, &owner, key, 1, 1, key < 10 ? HW_CACHE_FOREVER : 0));
	size_t full = hw_cache_stats(cache).held_bytes;
	atomic_store(&owner.clock, 100);
	assert_false(hw_cache_get(cache, 20, NULL)); // looked up
	assert_int_equal(atomic_load(expired), 1);
	assert_false(hw_cache_delete(cache, 21)); // in the way
	assert_int_equal(atomic_load(expired), 2);
	for (int i = 0; i < 20; i++) // looked at by writers, two a time
		assert_true(put(cache, &owner, 450, 1, 1, 0));
	assert_true(atomic_load(expired) > 20 && atomic_load(expired) < 50);
	size_t left = hw_cache_stats(cache).entries;
	assert_int_equal(hw_cache_sweep(cache, 100000), left - 11);
	assert_int_equal(hw_cache_stats(cache).entries, 11);
	assert_true(hw_cache_stats(cache).held_bytes * 4 < full);
	for (uint64_t key = 0; key < 10; key++)
		assert_true(hw_cache_get(cache, key, NULL));
	assert_int_equal(hw_cache_sweep(cache, 100), 0);
	destroy(cache, &owner, &faulty);
}

static void it_shrinks(void **state)
{
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.entry_limit = 10000, .shards = 1});

	for (uint64_t key = 0; key < KEYS; key++)
		assert_true(put(cache, &owner, key, 1, 1, 0));
	size_t full = hw_cache_stats(cache).held_bytes;
	for (uint64_t key = 10; key < KEYS; key++)
		assert_true(hw_cache_delete(cache, key));
	assert_true(hw_cache_stats(cache).held_bytes * 4 < full);
	for (uint64_t key = 0; key < 10; key++)
		assert_true(hw_cache_get(cache, key, NULL));
	hw_cache_clear(cache);
	assert_int_equal(hw_cache_stats(cache).entries, 0);
	assert_int_equal(atomic_load(&owner.reasons[HW_CACHE_CLEARED]), 10);
	destroy(cache, &owner, &faulty);
}

static void without_memory_it_makes_do(void **state)
{
	struct owner owner;
	struct faulty faulty;
	struct hw_cache *cache = cache_create(
		&owner, &faulty, (struct hw_cache_options){.entry_limit = 10000, .shards = 1});

	faulty.fail_at = 1;
	assert_null(hw_cache_create(
		&(struct hw_cache_options){.entry_limit = 1, .allocator = &faulty.allocator}));
	faulty.fail_at = 1;
	assert_false(put(cache, &owner, 1, 1, 1, 0)); // no block at all
	faulty.fail_at = 0;
	assert_true(put(cache, &owner, 1, 1, 1, 0));
	for (uint64_t key = 2; key < KEYS; key++) {
		faulty.fail_at = 1; // the block cannot grow: old entries make room
		assert_true(put(cache, &owner, key, 1, 1, 0));
		assert_true(hw_cache_get(cache, key, NULL));
	}
	struct hw_cache_stats stats = hw_cache_stats(cache);
	assert_int_equal(stats.entries, 64);
	assert_int_equal(stats.evicted, KEYS - 1 - 64);
	assert_int_equal(stats.refused, 1);
	for (uint64_t key = 0; key < KEYS; key++) {
		faulty.fail_at = 1; // failing to shrink is no failure
		hw_cache_delete(cache, key);
	}
	destroy(cache, &owner, &faulty);
}

enum { GET, PUT, DELETE };

static void choose(struct linear_operation *operation, uint64_t random)
{
	operation->kind = random % 8 < 4 ? GET : random % 8 < 6 ? PUT : DELETE;
	operation->key = random >> 8 & 3;
	operation->argument = 1 + (random >> 16) % 1000;
}

static void perform(void *cache, struct linear_operation *operation)
{
	uint64_t value;

	if (operation->kind == GET)
		operation->result = hw_cache_get(cache, operation->key, &value) ? value : 0;
	else if (operation->kind == PUT)
		assert_true(hw_cache_put(cache, operation->key, operation->argument, 1, 0));
	else
		operation->result = hw_cache_delete(cache, operation->key);
}

static bool apply(struct linear_model *model, const struct linear_operation *operation)
{
	uint64_t *value = &model->words[operation->key], old = *value;

	if (operation->kind == GET)
		return operation->result == old;
	*value = operation->kind == PUT ? operation->argument : 0;
	return operation->kind == PUT || operation->result == (old != 0);
}

static void clear(void *cache)
{
	hw_cache_clear(cache);
}

static void histories_are_linearizable(void **state)
{
	static const struct linear_subject linear = {3, 8, choose, perform, apply, clear};
	struct hw_cache *cache =
		hw_cache_create(&(struct hw_cache_options){.entry_limit = 1000, .shards = 2});

	linear_rounds(&linear, cache, 1500);
	hw_cache_destroy(cache);
}

struct torture {
	struct hw_cache *cache;
	struct owner owner;
	atomic_uint wrong;
};

static void *torture_run(void *argument)
{
	struct torture *torture = argument;
	uint64_t random = (uintptr_t)&random, value;

	for (uint64_t turn = 1; turn < 30000; turn++) {
		uint64_t key = next_random(&random) % KEYS;
		unsigned choice = next_random(&random) % 16;
		if (choice < 8) {
			if (hw_cache_get(torture->cache, key, &value) && value % KEYS != key)
				atomic_fetch_add(&torture->wrong, 1);
		} else if (choice < 14) {
			put(torture->cache, &torture->owner, key, turn, turn % 20,
				choice == 9 ? 100 : 0);
		} else if (choice < 15) {
			hw_cache_delete(torture->cache, key);
		} else {
			hw_cache_sweep(torture->cache, 50);
		}
		atomic_fetch_add(&torture->owner.clock, 1);
		if (turn % 10000 == 0)
			hw_cache_clear(torture->cache);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	static struct torture torture;
	struct faulty faulty;
	pthread_t threads[4];

	torture.cache = cache_create(&torture.owner, &faulty,
		(struct hw_cache_options){
			.entry_limit = 200, .byte_limit = 3000, .shards = 2, .ttl_ns = 1000});
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, torture_run, &torture), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&torture.wrong), 0);
	assert_int_equal(atomic_load(&torture.owner.retained), hw_cache_stats(torture.cache).hits);
	destroy(torture.cache, &torture.owner, &faulty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_cache_is_like_a_table),
		cmocka_unit_test(it_stays_within_its_limits),
		cmocka_unit_test(a_scan_does_not_push_out_what_is_used),
		cmocka_unit_test(what_comes_back_soon_may_stay),
		cmocka_unit_test(what_has_expired_goes_in_four_ways),
		cmocka_unit_test(it_shrinks),
		cmocka_unit_test(without_memory_it_makes_do),
		cmocka_unit_test(histories_are_linearizable),
		cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
