// Every call of libheapwhy that can run out of memory does so once, at each of its allocations. It must say so, leave
// everything as it was, so that the same call succeeds when it is made again, and lose nothing.
//
// malloc and its kin, and mmap, as the library calls them are this file's (--wrap, see meson.build): what does not go
// through an allocator of the caller's is met, too.
#include "containers_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "heapwhy/append_list.h"
#include "heapwhy/arena.h"
#include "heapwhy/boxed_list.h"
#include "heapwhy/cache.h"
#include "heapwhy/concurrent_list.h"
#include "heapwhy/key_space.h"
#include "heapwhy/kv.h"
#include "heapwhy/mpmc_ring.h"
#include "heapwhy/object_pool.h"
#include "heapwhy/pooled_list.h"
#include "heapwhy/read_map.h"
#include "heapwhy/ring.h"
#include "heapwhy/scratch.h"
#include "heapwhy/sharded_map.h"
#include "heapwhy/slab.h"
#include "heapwhy/slice.h"
#include "heapwhy/spsc_ring.h"
#include "heapwhy/stable_vector.h"
#include "heapwhy/vector.h"

enum { VALUES = 1000, ALLOCATIONS_MAX = 3000 };

static _Atomic long until_failure; // allocations up to the one that fails; below 1: none does
static atomic_long out;            // blocks from malloc that were not freed
static int failures;               // calls that failed in this run

// The build's files are large: mmap is mmap64 to the linker.
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);
void *__real_mmap64(void *place, size_t bytes, int access, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __wrap_free(void *memory);
void *__wrap_mmap64(void *place, size_t bytes, int access, int flags, int fd, off_t offset);

static bool fails(void)
{
	return atomic_fetch_sub(&until_failure, 1) == 1;
}

static void *counted(void *memory)
{
	atomic_fetch_add(&out, memory != NULL);
	return memory;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	if (fails())
		return NULL;
	return memory ? __real_realloc(memory, bytes) : counted(__real_realloc(NULL, bytes));
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return fails() ? NULL : counted(__real_aligned_alloc(alignment, bytes));
}

void __wrap_free(void *memory)
{
	atomic_fetch_sub(&out, memory != NULL);
	__real_free(memory);
}

void *__wrap_mmap64(void *place, size_t bytes, int access, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : __real_mmap64(place, bytes, access, flags, fd, offset);
}

// The call's result. Only one allocation fails in each run, so the second try finds memory.
#define TRY(call) ((call) || (failures++, assert_true(until_failure < 1), (call)))
#define MUST(call) assert_true(TRY(call))

static void use_vectors(void)
{
	HW_VECTOR(uint64_t) vector = HW_VECTOR_INIT;
	HW_STABLE_VECTOR(uint64_t) stable;

	hw_stable_vector_init(&stable, 0, NULL);
	for (uint64_t i = 0; i < VALUES; i++) {
		MUST(hw_vector_push(&vector, i));
		MUST(hw_stable_vector_push(&stable, i));
	}
	for (uint64_t i = 0; i < VALUES; i++)
		assert_true(vector.items[i] == i && stable.items[i] == i);
	vector.count = 10;
	hw_vector_shrink(&vector);
	assert_int_equal(vector.items[9], 9);
	hw_vector_deinit(&vector);
	hw_stable_vector_deinit(&stable);
}

static void *use_scratch(void *context)
{
	struct hw_scratch scratch = hw_scratch_begin();

	if (!scratch.arena) {
		failures++;
		scratch = hw_scratch_begin();
	}
	MUST(hw_scratch_alloc(&scratch, 100));
	MUST(hw_scratch_alloc(&scratch, 100000));
	hw_scratch_end(&scratch);
	return NULL;
}

// In a thread of its own, or the arena would be there already.
static void use_arenas(void)
{
	struct hw_arena arena;
	pthread_t thread;

	hw_arena_init(&arena, 100);
	for (int i = 0; i < 20; i++) {
		MUST(hw_arena_alloc(&arena, 50));
		MUST(hw_arena_zalloc(&arena, 50));
		MUST(hw_arena_calloc(&arena, 5, 10));
		char *copy = NULL;
		MUST(copy = hw_arena_strndup(&arena, "words", 5));
		assert_string_equal(copy, "words");
	}
	hw_arena_deinit(&arena);
	assert_int_equal(pthread_create(&thread, NULL, use_scratch, NULL), 0);
	pthread_join(thread, NULL);
}

static void use_pools(void)
{
	static struct hw_slab slab;
	void *nodes[VALUES], *block = NULL;
	struct hw_pool pool;

	hw_pool_init(&pool, 300, NULL);
	for (int i = 0; i < VALUES; i++) {
		MUST(nodes[i] = hw_pool_alloc(&pool));
		memset(nodes[i], 1, 300);
	}
	assert_int_equal(hw_pool_live(&pool), VALUES);
	for (int i = 0; i < VALUES; i++)
		hw_pool_free(&pool, nodes[i]);
	hw_pool_deinit(&pool);

	hw_slab_init(&slab, NULL);
	for (size_t bytes = 1; bytes < 20000; bytes *= 3) {
		MUST(block = hw_slab_alloc(&slab, bytes));
		memset(block, 1, bytes);
		hw_slab_free(&slab, block, bytes);
	}
	assert_int_equal(slab.count, 0);
	hw_slab_deinit(&slab);
}

static void use_pools_in_debug_mode(void)
{
	bool was = hw_debug_enabled();

	hw_debug_enable(true);
	use_pools();
	hw_debug_enable(was);
}

static void use_lists(void)
{
	struct hw_pooled_list pooled;
	struct hw_boxed_list boxed;
	uint64_t *place = NULL;
	void **values;
	size_t count;

	hw_pooled_list_init(&pooled, sizeof(uint64_t), NULL);
	hw_boxed_list_init(&boxed, NULL, NULL);
	for (uint64_t i = 0; i < VALUES; i++) {
		MUST(place = i % 2 ? hw_pooled_list_push_back(&pooled)
				   : hw_pooled_list_push_front(&pooled));
		*place = i;
		MUST(i % 2 ? hw_boxed_list_push_back(&boxed, place)
			   : hw_boxed_list_push_front(&boxed, place));
		assert_int_equal(boxed.count, i + 1);
		assert_int_equal(pooled.count, i + 1);
	}
	MUST(values = hw_pooled_list_snapshot(&pooled, &count));
	assert_int_equal(count, VALUES);
	free(values);
	hw_boxed_list_deinit(&boxed);
	hw_pooled_list_deinit(&pooled);
}

static void use_rings(void)
{
	struct hw_spsc_ring *spsc = NULL;
	struct hw_mpmc_ring *mpmc = NULL;
	struct hw_ring ring;
	uint64_t *place = NULL, value;

	hw_ring_init(&ring, sizeof(uint64_t), 0, NULL);
	for (uint64_t i = 0; i < 20 * VALUES; i++) {
		MUST(place = hw_ring_push(&ring));
		*place = i;
	}
	for (uint64_t i = 0; i < 20 * VALUES; i++) {
		assert_true(hw_ring_pop(&ring, &value));
		assert_int_equal(value, i);
	}
	hw_ring_deinit(&ring);
	MUST(spsc = hw_spsc_ring_create(10, NULL));
	MUST(mpmc = hw_mpmc_ring_create(10, NULL));
	assert_true(hw_spsc_ring_push(spsc, 1) && hw_mpmc_ring_push(mpmc, 1));
	hw_spsc_ring_destroy(spsc);
	hw_mpmc_ring_destroy(mpmc);
}

static void use_maps(void)
{
	struct hw_sharded_map *sharded = NULL;
	struct hw_map_entry *entries;
	uint64_t *place = NULL, value;
	struct hw_map map, gradual;
	size_t count;

	hw_map_init(&map);
	hw_map_init(&gradual);
	hw_map_rebuild_gradually(&gradual, true);
	MUST(sharded = hw_sharded_map_create(4, NULL));
	for (uint64_t i = 0; i < VALUES; i++) {
		MUST(hw_map_put(&map, i, i));
		MUST(hw_map_put(&gradual, i, i));
		MUST(hw_sharded_map_put(sharded, i, i));
	}
	for (uint64_t i = VALUES; i < 2 * VALUES; i++) {
		MUST(place = hw_map_at(&map, i, i));
		MUST(hw_sharded_map_add(sharded, i, i, NULL));
	}
	MUST(entries = hw_map_snapshot(&map, &count));
	assert_int_equal(count, 2 * VALUES);
	free(entries);
	MUST(hw_map_reserve(&map, 5 * VALUES));
	// Shrinking takes memory, too, and need not succeed.
	for (uint64_t i = 0; i < VALUES; i++)
		assert_true(hw_map_delete(&gradual, i));
	hw_map_deinit(&gradual);
	for (uint64_t i = 0; i < 2 * VALUES; i++) {
		assert_true(hw_map_get(&map, i, &value) && value == i);
		assert_true(hw_map_delete(&map, i));
		assert_true(hw_sharded_map_delete(sharded, i, &value) && value == i);
	}
	MUST(hw_map_shrink(&map));
	hw_map_deinit(&map);
	hw_sharded_map_destroy(sharded);
}

static void use_readers(void)
{
	struct hw_concurrent_list *list = NULL;
	struct hw_epoch_reader *reader = NULL;
	struct hw_append_list *appended = NULL;
	struct hw_read_map *map = NULL;
	struct hw_epoch *epoch = NULL;
	uint64_t value;

	MUST(epoch = hw_epoch_create(0, NULL));
	MUST(reader = hw_epoch_join(epoch, "reader"));
	MUST(list = hw_concurrent_list_create(epoch, NULL));
	MUST(map = hw_read_map_create(epoch, NULL));
	MUST(appended = hw_append_list_create(sizeof(uint64_t), 0, NULL));
	for (uint64_t i = 0; i < VALUES; i++) {
		MUST(hw_concurrent_list_add(list, i + 1) != HW_LIST_FULL);
		MUST(hw_read_map_put(map, i, i));
		MUST(hw_append_list_append(appended, &i));
	}
	assert_int_equal(hw_concurrent_list_count(list), VALUES);
	for (uint64_t i = 0; i < VALUES; i++) {
		assert_true(hw_concurrent_list_contains(list, reader, i + 1));
		assert_true(hw_read_map_get(map, reader, i, &value) && value == i);
		assert_int_equal(*(const uint64_t *)hw_append_list_at(appended, i), i);
		assert_true(hw_concurrent_list_remove(list, i + 1));
		assert_true(hw_read_map_delete(map, i, NULL));
	}
	hw_append_list_destroy(appended);
	hw_read_map_destroy(map);
	hw_concurrent_list_destroy(list);
	hw_epoch_leave(reader);
	hw_epoch_destroy(epoch);
}

static void use_caches(void)
{
	struct hw_object_pool_local *local = NULL;
	struct hw_object_pool *pool = NULL;
	struct hw_cache *cache = NULL;
	void *objects[100];
	uint64_t value;

	MUST(cache = hw_cache_create(&(struct hw_cache_options){.entry_limit = 100, .shards = 2}));
	for (uint64_t i = 0; i < VALUES; i++)
		if (TRY(hw_cache_put(cache, i, i, 1, 0)) && hw_cache_get(cache, i, &value))
			assert_int_equal(value, i);
	hw_cache_destroy(cache);

	MUST(pool = hw_object_pool_create(&(struct hw_object_pool_options){.object_bytes = 100}));
	MUST(local = hw_object_pool_join(pool));
	for (int i = 0; i < 100; i++)
		MUST(objects[i] = hw_object_pool_get(local));
	for (int i = 0; i < 100; i++) // without memory to keep it an object is destroyed
		assert_true(hw_object_pool_put(local, objects[i]) != HW_PUT_DOUBLE);
	MUST(hw_object_pool_warm(pool, 200) == 200);
	hw_object_pool_leave(local);
	assert_int_equal(hw_object_pool_destroy(pool), 0);
}

static void use_entries(void)
{
	struct hw_handles handles;
	struct hw_weak_map weak;
	struct hw_key_space keys;
	struct hw_kv *entry = NULL, *old = NULL;
	hw_handle handle = 0;
	uint64_t key;

	hw_handles_init(&handles, NULL);
	hw_weak_map_init(&weak, &handles, NULL);
	for (uint64_t i = 0; i < VALUES; i++) {
		MUST(handle = hw_handle_make(&handles, &handles));
		MUST(hw_weak_map_put(&weak, i, handle));
		assert_ptr_equal(hw_weak_map_get(&weak, i), &handles);
	}
	MUST(entry = hw_kv_make("key", 3, "value", 5, NULL));
	MUST(hw_kv_update(&entry, "a longer value than before", 26));
	MUST(old = hw_kv_replace(&entry, "third", 5));
	assert_memory_equal(hw_kv_value(old), "a longer", 8);
	hw_kv_release(old);
	assert_true(hw_handle_move(&handles, handle, entry));
	MUST(hw_kv_update_handle(&handles, handle, "a longer value once more", 24));
	hw_kv_release(hw_handle_get(&handles, handle));
	hw_weak_map_deinit(&weak);
	hw_handles_deinit(&handles);

	hw_key_space_init(&keys, NULL);
	MUST(hw_key_invalidate(&keys, "session"));
	MUST(hw_key_invalidate_entity(&keys, "session", 1));
	MUST(hw_key_expire_versions(&keys, "session", 2));
	assert_false(hw_key_make(&keys, "session", 1, 1, &key));
	hw_key_space_deinit(&keys);
}

static void use_slices(void)
{
	struct hw_slice body = {0}, head = {0}, copy = {0};

	MUST(hw_slice_make(&body, "0123456789", 10, NULL));
	hw_slice_share(&head, &body, 0, 3);
	MUST(hw_slice_clone(&copy, &body, NULL));
	MUST(hw_slice_compact(&head, NULL));
	assert_memory_equal(head.data, "012", 3);
	assert_memory_equal(copy.data, "0123456789", 10);
	hw_slice_release(&head);
	hw_slice_release(&copy);
	hw_slice_release(&body);
}

static void each_allocation_fails_once(void **state)
{
	void (*const uses[])(void) = {use_vectors, use_arenas, use_pools, use_pools_in_debug_mode,
		use_lists, use_rings, use_maps, use_readers, use_caches, use_entries, use_slices};

	for (size_t use = 0; use < ARRAY_COUNT(uses); use++) {
		int runs_with_failures = 0;
		for (long at = 1; at < ALLOCATIONS_MAX; at++) {
			long before = atomic_load(&out);
			failures = 0;
			atomic_store(&until_failure, at);
			uses[use]();
			long left = atomic_exchange(&until_failure, 0);
			assert_int_equal(atomic_load(&out), before);
			runs_with_failures += failures > 0;
			if (left > 0)
				break; // there were fewer allocations
			assert_true(at + 1 < ALLOCATIONS_MAX);
		}
		assert_true(runs_with_failures > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
