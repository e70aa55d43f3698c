// Bump allocation out of a list of blocks. See heapwhy/arena.h.
#include "heapwhy/arena.h"

#include <stdint.h>
#include <string.h>

#include "heapwhy/debug.h"

enum { DEFAULT_BLOCK = 64 << 10, LARGEST_BLOCK = 16 << 20 };

struct hw_arena_block {
	struct hw_arena_block *older;
	size_t bytes; // of the payload
	_Alignas(HW_ARENA_ALIGNMENT) char payload[];
};

static const struct hw_measure arena_measures[] = {
	HW_MEASURE(HW_USED_BYTES, struct hw_arena, used_bytes),
	HW_MEASURE(HW_HELD_BYTES, struct hw_arena, held_bytes),
};
static const struct hw_kind arena_kind = HW_KIND("arena", arena_measures);

void hw_arena_init(struct hw_arena *arena, size_t block_bytes)
{
	*arena = (struct hw_arena){
		.block_bytes = block_bytes ? block_bytes : DEFAULT_BLOCK,
		.debug = hw_debug_enabled(),
	};
}

void hw_arena_init_with(struct hw_arena *arena, size_t block_bytes, struct hw_allocator *allocator)
{
	hw_arena_init(arena, block_bytes);
	arena->allocator = allocator;
	hw_register(&arena->registration, &arena_kind, allocator);
}

void hw_arena_init_fixed(struct hw_arena *arena, void *memory, size_t bytes)
{
	size_t skip = -(uintptr_t)memory & (HW_ARENA_ALIGNMENT - 1);

	hw_arena_init(arena, 0);
	arena->fixed = true;
	arena->debug = false;
	arena->held_bytes = bytes;
	arena->end = (char *)memory + bytes;
	arena->next = skip < bytes ? (char *)memory + skip : arena->end;
}

static void block_free(struct hw_arena *arena, struct hw_arena_block *block)
{
	size_t bytes = sizeof(*block) + block->bytes;

	arena->held_bytes -= bytes;
	if (arena->debug)
		hw_debug_allow(block->payload, block->bytes);
	hw_free(arena->allocator, block, bytes, HW_ARENA_ALIGNMENT);
}

// Debug mode: what was handed out of the block from here on is idle.
static void block_idle(const struct hw_arena *arena, struct hw_arena_block *block, char *from)
{
	bool newest = block == arena->blocks;
	size_t bytes = (size_t)((newest ? arena->next : block->payload + block->bytes) - from);

	hw_debug_allow(from, bytes);
	hw_debug_poison(from, bytes);
	hw_debug_forbid(from, bytes);
}

void hw_arena_deinit(struct hw_arena *arena)
{
	hw_unregister(&arena->registration);
	for (struct hw_arena_block *block = arena->blocks, *older; block; block = older) {
		older = block->older;
		block_free(arena, block);
	}
	hw_arena_init(arena, arena->block_bytes);
}

// A block that holds at least `bytes`. An oversized request gets a block of its own size, so that
// the doubling is not thrown off by it.
static struct hw_arena_block *arena_add_block(struct hw_arena *arena, size_t bytes)
{
	size_t payload = bytes > arena->block_bytes ? bytes : arena->block_bytes;
	size_t all = sizeof(struct hw_arena_block) + payload;
	struct hw_arena_block *block =
		arena->fixed ? NULL : hw_alloc(arena->allocator, all, HW_ARENA_ALIGNMENT);

	if (!block)
		return NULL;
	block->bytes = payload;
	block->older = arena->blocks;
	arena->blocks = block;
	arena->held_bytes += all;
	arena->next = block->payload;
	arena->end = block->payload + payload;
	if (arena->debug)
		hw_debug_forbid(block->payload, payload);
	if (arena->block_bytes < LARGEST_BLOCK)
		arena->block_bytes *= 2;
	return block;
}

// What does not fit into the newest block, and everything in debug mode.
void *hw_arena_alloc_(struct hw_arena *arena, size_t bytes)
{
	if (bytes > SIZE_MAX / 2)
		return NULL;
	size_t rounded = (bytes + HW_ARENA_ALIGNMENT - 1) & ~(size_t)(HW_ARENA_ALIGNMENT - 1);
	if ((size_t)(arena->end - arena->next) < rounded && !arena_add_block(arena, rounded))
		return NULL;
	void *pointer = arena->next;
	arena->next += rounded;
	arena->used_bytes += rounded;
	if (__builtin_expect(arena->debug, 0))
		hw_debug_allow(pointer, bytes);
	return pointer;
}

void *hw_arena_zalloc(struct hw_arena *arena, size_t bytes)
{
	void *pointer = hw_arena_alloc(arena, bytes);

	if (pointer)
		memset(pointer, 0, bytes);
	return pointer;
}

void *hw_arena_calloc(struct hw_arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return hw_arena_zalloc(arena, bytes);
}

char *hw_arena_strndup(struct hw_arena *arena, const char *string, size_t length)
{
	length = strnlen(string, length);
	char *copy = hw_arena_alloc(arena, length + 1);

	if (copy) {
		memcpy(copy, string, length);
		copy[length] = '\0';
	}
	return copy;
}

void hw_arena_release(struct hw_arena *arena, struct hw_arena_mark mark)
{
	if (arena->debug && mark.block)
		block_idle(arena, mark.block, mark.next);
	while (arena->blocks != mark.block) {
		struct hw_arena_block *older = arena->blocks->older;
		block_free(arena, arena->blocks);
		arena->blocks = older;
	}
	if (!arena->fixed)
		arena->end = mark.block ? mark.block->payload + mark.block->bytes : NULL;
	arena->next = mark.next;
	arena->used_bytes = mark.used_bytes;
}

void hw_arena_reset(struct hw_arena *arena)
{
	struct hw_arena_block *largest = arena->blocks;

	if (arena->fixed) {
		hw_arena_init_fixed(arena, arena->end - arena->held_bytes, arena->held_bytes);
		return;
	}
	for (struct hw_arena_block *block = arena->blocks; block; block = block->older)
		if (block->bytes > largest->bytes)
			largest = block;
	if (arena->debug && largest)
		block_idle(arena, largest, largest->payload);
	for (struct hw_arena_block *block = arena->blocks, *older; block; block = older) {
		older = block->older;
		if (block != largest)
			block_free(arena, block);
	}
	arena->blocks = largest;
	arena->used_bytes = 0;
	arena->next = largest ? largest->payload : NULL;
	arena->end = largest ? largest->payload + largest->bytes : NULL;
	if (largest)
		largest->older = NULL;
}
