// From an address to the slot that holds it, in a handful of instructions and one cache miss: every
// pointer of the heap goes through here.
//
// Two levels, as in the runtime itself: the address space in chunks of 64 MiB, each chunk a table
// of its 8 KiB pages. A page's entry holds all that small objects need, so the spans themselves are
// not touched. Chunks without heap share one empty table, so nothing is tested on the way. Memory:
// 16 MiB of address space of which only touched pages are resident, and 128 KiB for each 64 MiB in
// which the heap has pages, wherever they lie.
#ifndef GORUNTIME_HEAP_INDEX_H
#define GORUNTIME_HEAP_INDEX_H

#include <stdint.h>

enum {
	INDEX_ADDRESS_BITS = 48, // user space on amd64 and arm64
	INDEX_CHUNK_SHIFT = 26,
	INDEX_PAGE_SHIFT = 13,
	INDEX_CHUNK_PAGES = 1 << (INDEX_CHUNK_SHIFT - INDEX_PAGE_SHIFT),
	INDEX_CHUNKS = 1 << (INDEX_ADDRESS_BITS - INDEX_CHUNK_SHIFT),
};

struct heap_page {
	uint32_t span;  // index of the span in use that holds this page
	uint32_t first; // id of the span's slot 0
	uint32_t magic; // ceil(2^32 / slot size), 0 for a large object
	uint16_t back;  // pages from the span's start to this one; 0 for a large object
	uint16_t count; // slots in the span; 0: no span in use holds this page
};

struct heap_index {
	uint32_t *chunks;        // INDEX_CHUNKS of them: which table; 0 is the empty one
	struct heap_page *pages; // tables of INDEX_CHUNK_PAGES entries
	uint32_t table_count;
};

// The entry of the page that holds `address`, which must be below 2^INDEX_ADDRESS_BITS.
static inline const struct heap_page *heap_index_page(
	const struct heap_index *index, uint64_t address)
{
	uint32_t table = index->chunks[address >> INDEX_CHUNK_SHIFT];
	uint64_t page = address >> INDEX_PAGE_SHIFT & (INDEX_CHUNK_PAGES - 1);

	return &index->pages[(uint64_t)table * INDEX_CHUNK_PAGES + page];
}

// Which slot of a small object's span holds `address`; at least page->count when it is in the rest
// at the span's end. Go divides in the same way (runtime/msize.go, class_to_divmagic), exactly for
// every slot size and span length it has.
static inline uint32_t heap_page_slot(const struct heap_page *page, uint64_t address)
{
	uint64_t offset = (address & ((1 << INDEX_PAGE_SHIFT) - 1)) +
			  ((uint64_t)page->back << INDEX_PAGE_SHIFT);

	return offset * page->magic >> 32;
}

#endif
