// See faulty.h. Each block is preceded by a line with its size.
#include "test.h"

#include "faulty.h"

enum { HEAD = 64 };

static size_t block_bytes(size_t bytes)
{
	return (bytes + 2 * HEAD - 1) / HEAD * HEAD;
}

static void *faulty_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	struct faulty *faulty = (struct faulty *)self;

	assert_true(alignment <= HEAD);
	if (atomic_fetch_sub(&faulty->fail_at, 1) == 1)
		return NULL;
	char *block = aligned_alloc(HEAD, block_bytes(bytes));
	assert_non_null(block);
	*(size_t *)block = bytes;
	atomic_fetch_add(&faulty->bytes, bytes);
	atomic_fetch_add(&faulty->count, 1);
	memset(block + HEAD, 0xa5, bytes);
	return block + HEAD;
}

static void faulty_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	struct faulty *faulty = (struct faulty *)self;
	char *block = (char *)memory - HEAD;

	assert_int_equal(*(size_t *)block, bytes);
	atomic_fetch_sub(&faulty->bytes, bytes);
	free(block);
}

void faulty_init(struct faulty *faulty)
{
	*faulty = (struct faulty){.allocator = {.alloc = faulty_alloc, .free = faulty_free}};
}

size_t faulty_out(const struct faulty *faulty)
{
	return atomic_load(&faulty->bytes);
}
