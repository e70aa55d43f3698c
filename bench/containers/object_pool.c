// The object pool, with its statistics and its check against double puts, against malloc and mimalloc: get and put of
// an object. What a fresh object must be set up with is all of it, or its first 64 bytes; a pooled one needs nothing.
// And the first 100 objects that a new pool gives out, set up, with and without warming it.
#include "bench.h"

#include <stdbool.h>

#include "heapwhy/object_pool.h"
#include "mimalloc.h"

enum { OPERATIONS = 2000000, HEADER = 64, FIRST = 100 };

struct contest {
	size_t bytes, initialised;
	struct hw_object_pool_local *local;
	void *(*alloc)(size_t bytes);
	void (*free)(void *memory);
};

static uint64_t pool_race(void *context)
{
	struct contest *contest = context;
	uint64_t operations = OPERATIONS;

	for (uint64_t i = 0; i < operations; i++) {
		void *object = hw_object_pool_get(contest->local);
		bench_keep(object);
		hw_object_pool_put(contest->local, object);
	}
	return operations;
}

static uint64_t malloc_race(void *context)
{
	struct contest *contest = context;
	uint64_t operations = contest->initialised > 4096 ? OPERATIONS / 20 : OPERATIONS;

	for (uint64_t i = 0; i < operations; i++) {
		void *object = contest->alloc(contest->bytes);
		memset(object, 0, contest->initialised);
		bench_keep(object);
		contest->free(object);
	}
	return operations;
}

static bool object_set_up(void *context, void *object)
{
	memset(object, 0, *(size_t *)context);
	return true;
}

static uint64_t first_gets(size_t bytes, bool warm)
{
	void *objects[FIRST];

	bench_pause();
	struct hw_object_pool *pool = hw_object_pool_create(&(struct hw_object_pool_options){
		.object_bytes = bytes, .create = object_set_up, .context = &bytes});
	struct hw_object_pool_local *local = hw_object_pool_join(pool);
	if (warm)
		hw_object_pool_warm(pool, FIRST);
	bench_resume();
	for (int i = 0; i < FIRST; i++) {
		objects[i] = hw_object_pool_get(local);
		bench_keep(objects[i]);
	}
	bench_pause();
	for (int i = 0; i < FIRST; i++)
		hw_object_pool_put(local, objects[i]);
	hw_object_pool_leave(local);
	hw_object_pool_destroy(pool);
	bench_resume();
	return FIRST;
}

static uint64_t warm_race(void *context)
{
	return first_gets(*(size_t *)context, true);
}

static uint64_t cold_race(void *context)
{
	return first_gets(*(size_t *)context, false);
}

int main(void)
{
	size_t sizes[] = {1 << 10, 64 << 10};

	mimalloc_load();
	for (int i = 0; i < 2; i++) {
		size_t bytes = sizes[i];
		struct hw_object_pool *pool = hw_object_pool_create(
			&(struct hw_object_pool_options){.object_bytes = bytes});
		struct contest ours = {.local = hw_object_pool_join(pool)};
		struct contest full = {bytes, bytes, NULL, malloc, free};
		struct contest header = {bytes, HEADER, NULL, malloc, free};
		struct contest other = {bytes, HEADER, NULL, mi_malloc, mi_free};
		char row[80];
		snprintf(row, sizeof(row), "object pool: get and put, %zu KiB", bytes >> 10);
		bench_race(row, (struct contestant[]){
					{"heapwhy", pool_race, &ours},
					{"malloc, all set up", malloc_race, &full},
					{"malloc, 64 bytes set up", malloc_race, &header},
					{"mimalloc, 64 bytes set up", malloc_race, &other},
					{NULL},
				});
		hw_object_pool_leave(ours.local);
		hw_object_pool_destroy(pool);
	}
	size_t first = 64 << 10;
	bench_race("object pool: the first 100 of 64 KiB",
		(struct contestant[]){{"heapwhy", warm_race, &first},
			{"heapwhy, not warmed", cold_race, &first}, {NULL}});
	return 0;
}
