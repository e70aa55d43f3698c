// Memory for what dies together: 100,000 objects of 32 bytes made and let go of, and a buffer of 4 KiB for a moment.
//
// Fragmentation is the share of the held bytes that no live object uses: after the objects were made, and after half of
// them were given back, one here and one there. In an arena those stay until all go, which is what it is fast for.
#include "bench.h"

#include <stddef.h>

#include "account.h"
#include "heapwhy/arena.h"
#include "heapwhy/pool.h"
#include "heapwhy/scratch.h"
#include "mimalloc.h"

enum { OBJECTS = 100000, OBJECT_BYTES = 32, ROUNDS = 20, BUFFERS = 2000000, BUFFER_BYTES = 4096 };

static uint64_t *objects[OBJECTS];

static uint64_t arena_race(void *context)
{
	struct hw_arena arena;

	hw_arena_init(&arena, 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < OBJECTS; i++) {
			objects[i] = hw_arena_alloc(&arena, OBJECT_BYTES);
			*objects[i] = (uint64_t)i;
		}
		hw_arena_reset(&arena);
	}
	hw_arena_deinit(&arena);
	return ROUNDS * OBJECTS;
}

// In memory of the caller's, until it is used up.
static uint64_t fixed_race(void *context)
{
	static char memory[OBJECTS * OBJECT_BYTES + 16];
	struct hw_arena arena;

	for (int round = 0; round < ROUNDS; round++) {
		hw_arena_init_fixed(&arena, memory, sizeof(memory));
		for (int i = 0; i < OBJECTS; i++) {
			objects[i] = hw_arena_alloc(&arena, OBJECT_BYTES);
			*objects[i] = (uint64_t)i;
		}
		hw_arena_deinit(&arena);
	}
	return ROUNDS * OBJECTS;
}

#define MALLOC_RACE(name, ALLOC, FREE)                            \
	static uint64_t name##_race(void *context)                \
	{                                                         \
		for (int round = 0; round < ROUNDS; round++) {    \
			for (int i = 0; i < OBJECTS; i++) {       \
				objects[i] = ALLOC(OBJECT_BYTES); \
				*objects[i] = (uint64_t)i;        \
			}                                         \
			for (int i = 0; i < OBJECTS; i++)         \
				FREE(objects[i]);                 \
		}                                                 \
		return ROUNDS * OBJECTS;                          \
	}

MALLOC_RACE(glibc, malloc, free)
MALLOC_RACE(mimalloc, mi_malloc, mi_free)

static uint64_t scratch_race(void *context)
{
	for (int i = 0; i < BUFFERS; i++) {
		struct hw_scratch scratch = hw_scratch_begin();
		char *buffer = hw_scratch_alloc(&scratch, BUFFER_BYTES);
		buffer[0] = (char)i;
		bench_keep(buffer);
		hw_scratch_end(&scratch);
	}
	return BUFFERS;
}

#define BUFFER_RACE(name, ALLOC, FREE)                \
	static uint64_t name##_buffers(void *context) \
	{                                             \
		for (int i = 0; i < BUFFERS; i++) {   \
			char *buffer = ALLOC;         \
			buffer[0] = (char)i;          \
			bench_keep(buffer);           \
			FREE(buffer);                 \
		}                                     \
		return BUFFERS;                       \
	}

BUFFER_RACE(glibc, malloc(BUFFER_BYTES), free)
BUFFER_RACE(cleared, calloc(1, BUFFER_BYTES), free)
BUFFER_RACE(mimalloc, mi_malloc(BUFFER_BYTES), mi_free)

static void fragmentation_print(const char *when, const char *who, uint64_t live, uint64_t held)
{
	char row[80];

	snprintf(row, sizeof(row), "arena: percent of held bytes in no object, %s", when);
	bench_value(
		row, who, held ? 100 - 100.0 * (double)(live * OBJECT_BYTES) / (double)held : 0);
}

static void moved(void *context, void *from, void *to)
{
	objects[*(uint64_t *)to] = to;
}

// Held by malloc: what the process has grown by.
static void fragmentation_measure(void)
{
	struct hw_arena arena;
	struct hw_pool pool;

	account_start();
	hw_arena_init_with(&arena, 0, &account.allocator);
	for (int i = 0; i < OBJECTS; i++)
		hw_arena_alloc(&arena, OBJECT_BYTES);
	fragmentation_print("100,000 made", "heapwhy", OBJECTS, account.held);
	fragmentation_print("half given back", "heapwhy", OBJECTS / 2, account.held);
	hw_arena_deinit(&arena);

	account_start();
	hw_pool_init(&pool, OBJECT_BYTES, &account.allocator);
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = hw_pool_alloc(&pool);
		*objects[i] = (uint64_t)i;
	}
	fragmentation_print("100,000 made", "node pool", OBJECTS, account.held);
	for (int i = 0; i < OBJECTS; i += 2)
		hw_pool_free(&pool, objects[i]);
	fragmentation_print("half given back", "node pool", OBJECTS / 2, account.held);
	hw_pool_compact(&pool, moved, NULL);
	fragmentation_print("half given back", "node pool, compacted", OBJECTS / 2, account.held);
	hw_pool_deinit(&pool);

	memset(objects, 0, sizeof(objects));
	free(malloc(OBJECT_BYTES));
	uint64_t before = bench_resident();
	before = bench_resident();
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = malloc(OBJECT_BYTES);
		*objects[i] = (uint64_t)i;
	}
	fragmentation_print("100,000 made", "glibc", OBJECTS, bench_resident() - before);
	for (int i = 0; i < OBJECTS; i += 2)
		free(objects[i]);
	fragmentation_print("half given back", "glibc", OBJECTS / 2, bench_resident() - before);
	for (int i = 1; i < OBJECTS; i += 2)
		free(objects[i]);
}

int main(void)
{
	mimalloc_load();
	fragmentation_measure();
	bench_race("arena: 100,000 objects of 32 bytes made and given back",
		(struct contestant[]){{"heapwhy", arena_race}, {"heapwhy, fixed", fixed_race},
			{"glibc", glibc_race}, {"mimalloc", mimalloc_race}, {NULL}});
	bench_race("scratch: a buffer of 4 KiB for a moment",
		(struct contestant[]){{"heapwhy", scratch_race}, {"glibc", glibc_buffers},
			{"glibc, cleared", cleared_buffers}, {"mimalloc", mimalloc_buffers},
			{NULL}});
	return 0;
}
