// An arena a thread. See heapwhy/scratch.h.
#include "heapwhy/scratch.h"

#include <pthread.h>
#include <stdlib.h>

enum { FIRST_BLOCK = 16 << 10 };

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_error;
static __thread struct hw_arena *mine;

static void arena_free(void *arena)
{
	mine = NULL;
	hw_arena_deinit(arena);
	free(arena);
}

static void key_make(void)
{
	key_error = pthread_key_create(&key, arena_free);
}

// The key is there for its destructor only: finding the arena goes through the faster thread-local variable.
static struct hw_arena *arena_make(void)
{
	pthread_once(&once, key_make);
	struct hw_arena *arena = key_error ? NULL : malloc(sizeof(*arena));
	if (!arena)
		return NULL;
	hw_arena_init_with(arena, FIRST_BLOCK, NULL);
	hw_registration_name(&arena->registration, "scratch");
	if (pthread_setspecific(key, arena)) {
		arena_free(arena);
		return NULL;
	}
	return arena;
}

struct hw_scratch hw_scratch_begin(void)
{
	if (!mine)
		mine = arena_make();
	struct hw_scratch scratch = {.arena = mine};
	if (mine)
		scratch.mark = hw_arena_mark(mine);
	return scratch;
}

void hw_scratch_end(struct hw_scratch *scratch)
{
	struct hw_arena *arena = scratch->arena;

	if (!arena)
		return;
	scratch->arena = NULL;
	if (scratch->mark.used_bytes || scratch->mark.block == arena->blocks) {
		hw_arena_release(arena, scratch->mark);
		return;
	}
	// The outermost end, and blocks were added: the largest is kept for the next time, unless it is too large.
	hw_arena_reset(arena);
	if (arena->held_bytes > HW_SCRATCH_KEPT) {
		hw_arena_release(arena, (struct hw_arena_mark){NULL, NULL, 0});
		arena->block_bytes = FIRST_BLOCK;
	}
}
