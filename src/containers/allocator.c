// malloc for small blocks, the kernel for large ones. See heapwhy/allocator.h.
#include "heapwhy/allocator.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PAGE = 4096,
	HUGE_PAGE = 2 << 20,
	MAPPED_FROM = 4 << 20,
	MALLOC_ALIGNMENT = 16,
};

static bool block_is_mapped(size_t bytes, size_t alignment)
{
	return bytes >= MAPPED_FROM || alignment >= PAGE;
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
}

// The kernel puts a mapping right below the last one, so the place is often right at once. If not, a mapping with
// room for the right place is made, and its margins are given back.
static void *pages_map(size_t bytes, size_t alignment)
{
	int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	char *raw = mmap(NULL, bytes, access, flags, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	if (!((uintptr_t)raw & (alignment - 1)))
		return raw;
	munmap(raw, bytes);
	raw = mmap(NULL, bytes + alignment, access, flags, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	size_t head = -(uintptr_t)raw & (alignment - 1);
	if (head)
		munmap(raw, head);
	munmap(raw + head + bytes, alignment - head);
	return raw + head;
}

static void *heap_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	if (bytes > PTRDIFF_MAX / 2)
		return NULL;
	if (!block_is_mapped(bytes, alignment))
		return alignment <= MALLOC_ALIGNMENT
			       ? malloc(bytes)
			       : aligned_alloc(
					 alignment, (bytes + alignment - 1) & ~(alignment - 1));
	if (bytes < MAPPED_FROM)
		return pages_map(whole_pages(bytes), alignment);
	void *memory = pages_map(whole_pages(bytes), alignment > HUGE_PAGE ? alignment : HUGE_PAGE);
	if (memory)
		madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static void heap_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	if (!block_is_mapped(bytes, alignment))
		free(memory);
	else if (munmap(memory, whole_pages(bytes)))
		// The process has no mappings left to split: the range is lost, but not its memory.
		madvise(memory, bytes, MADV_DONTNEED);
}

// Moves the pages, not what is in them.
static void *pages_grow(void *memory, size_t held, size_t bytes)
{
	if (mremap(memory, held, bytes, 0) != MAP_FAILED)
		return memory;
	void *place = pages_map(bytes, HUGE_PAGE);
	if (!place)
		return NULL;
	if (mremap(memory, held, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) != MAP_FAILED)
		return place;
	munmap(place, bytes);
	return NULL;
}

static void *heap_resize(
	struct hw_allocator *self, void *memory, size_t old_bytes, size_t bytes, size_t alignment)
{
	if (bytes < MAPPED_FROM && old_bytes < MAPPED_FROM && alignment <= MALLOC_ALIGNMENT)
		return realloc(memory, bytes);
	if (bytes <= old_bytes && block_is_mapped(bytes, alignment)) {
		size_t kept = whole_pages(bytes), held = whole_pages(old_bytes);
		if (kept < held)
			heap_free(self, (char *)memory + kept, held - kept, PAGE);
		return memory;
	}
	void *moved = NULL;
	if (old_bytes >= MAPPED_FROM && bytes > old_bytes && alignment <= HUGE_PAGE)
		moved = pages_grow(memory, whole_pages(old_bytes), whole_pages(bytes));
	if (moved)
		return moved;
	moved = heap_alloc(self, bytes, alignment);
	if (moved) {
		memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
		heap_free(self, memory, old_bytes, alignment);
	}
	return moved;
}

struct hw_allocator hw_heap = {heap_alloc, heap_free, heap_resize};

void *hw_alloc(struct hw_allocator *allocator, size_t bytes, size_t alignment)
{
	if (!allocator)
		allocator = &hw_heap;
	return allocator->alloc(allocator, bytes, alignment);
}

void hw_free(struct hw_allocator *allocator, void *memory, size_t bytes, size_t alignment)
{
	if (!allocator)
		allocator = &hw_heap;
	if (memory)
		allocator->free(allocator, memory, bytes, alignment);
}

void *hw_resize(struct hw_allocator *allocator, void *memory, size_t old_bytes, size_t bytes,
	size_t alignment)
{
	if (!allocator)
		allocator = &hw_heap;
	if (!memory)
		return allocator->alloc(allocator, bytes, alignment);
	if (allocator->resize)
		return allocator->resize(allocator, memory, old_bytes, bytes, alignment);
	void *moved = allocator->alloc(allocator, bytes, alignment);
	if (moved) {
		memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
		allocator->free(allocator, memory, old_bytes, alignment);
	}
	return moved;
}
