// Windows on counted blocks. See heapwhy/slice.h.
#include "heapwhy/slice.h"

#include <string.h>

enum { ALIGNMENT = 16 };

bool hw_slice_make(
	struct hw_slice *slice, const void *bytes, size_t length, struct hw_allocator *allocator)
{
	struct hw_slice_block *block =
		length > SIZE_MAX / 2 ? NULL
				      : hw_alloc(allocator, sizeof(*block) + length, ALIGNMENT);

	if (!block)
		return false;
	block->allocator = allocator;
	block->bytes = length;
	block->owners = 1;
	if (bytes)
		memcpy(block->data, bytes, length);
	*slice = (struct hw_slice){block, block->data, length};
	return true;
}

void hw_slice_share(struct hw_slice *slice, const struct hw_slice *of, size_t offset, size_t length)
{
	if (offset > of->length)
		offset = of->length;
	if (length > of->length - offset)
		length = of->length - offset;
	if (of->block)
		__atomic_fetch_add(&of->block->owners, 1, __ATOMIC_RELAXED);
	*slice = (struct hw_slice){of->block, of->data + offset, length};
}

void hw_slice_release(struct hw_slice *slice)
{
	struct hw_slice_block *block = slice->block;

	*slice = (struct hw_slice){0};
	// What other owners did to the bytes comes before freeing them.
	if (block && __atomic_sub_fetch(&block->owners, 1, __ATOMIC_ACQ_REL) == 0)
		hw_free(block->allocator, block, sizeof(*block) + block->bytes, ALIGNMENT);
}

bool hw_slice_clone(
	struct hw_slice *slice, const struct hw_slice *of, struct hw_allocator *allocator)
{
	return hw_slice_make(slice, of->data, of->length, allocator);
}

size_t hw_slice_pinned(const struct hw_slice *slice)
{
	return slice->block ? slice->block->bytes - slice->length : 0;
}

bool hw_slice_compact(struct hw_slice *slice, struct hw_allocator *allocator)
{
	struct hw_slice compact;

	if (!hw_slice_pinned(slice))
		return true;
	if (!hw_slice_clone(&compact, slice, allocator))
		return false;
	hw_slice_release(slice);
	*slice = compact;
	return true;
}
