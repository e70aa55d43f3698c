// See heap_image.h. The metadata region holds, at fixed places, mheap_, allspans, the mspans and
// one heapArena; the entry of the table of arenas that leads to it is a region of its own.
#include "test.h"

#include "heap_image.h"

#include "goruntime/runtime_private.h"
#include "target/image.h"

enum {
	META_MHEAP = 0,
	META_ALLSPANS = 0x20000,
	META_MSPANS = 0x21000,
	META_MSPAN_BYTES = 512,
	META_BITS = 0x30000,
	META_ARENA = 0x100000,
	META_BYTES = 0x800000,
	TYPES_BYTES = 1 << 20,
};

#define IMAGE_ARENA_TABLE UINT64_C(0x600000000000)

void heap_image_init(struct heap_image *image, const char *version)
{
	struct layout *layout = &image->runtime.layout;

	memset(image, 0, sizeof(*image));
	assert_success(layout_choose(version, ARCH_AMD64, layout));
	image->contents = calloc(IMAGE_HEAP_PAGES, GO_PAGE_SIZE);
	image->metadata = calloc(1, META_BYTES);
	image->types = calloc(1, TYPES_BYTES);
	assert_true(image->contents && image->metadata && image->types);
	image->metadata_used = META_BITS;
	image->runtime.mheap = IMAGE_META + META_MHEAP;
	image->runtime.sweepgen = IMAGE_GENERATION;
	image->runtime.modules = &image->module;
	image->runtime.module_count = 1;
	heap_image_store(
		image, IMAGE_META + (uint32_t)layout->at.mheap_arenas, IMAGE_ARENA_TABLE, 8);
}

void heap_image_deinit(struct heap_image *image)
{
	heap_close(image->heap);
	memory_deinit(&image->runtime.memory);
	target_destroy(image->runtime.target);
	free(image->contents);
	free(image->metadata);
	free(image->types);
}

void *heap_image_at(struct heap_image *image, remote_addr address)
{
	if (address >= IMAGE_HEAP &&
		address < IMAGE_HEAP + (uint64_t)IMAGE_HEAP_PAGES * GO_PAGE_SIZE)
		return image->contents + (address - IMAGE_HEAP);
	if (address >= IMAGE_META && address < IMAGE_META + META_BYTES)
		return image->metadata + (address - IMAGE_META);
	assert_in_range(address, IMAGE_TYPES, IMAGE_TYPES + TYPES_BYTES - 1);
	return image->types + (address - IMAGE_TYPES);
}

void heap_image_store(struct heap_image *image, remote_addr address, uint64_t value, size_t size)
{
	memcpy(heap_image_at(image, address), &value, size);
}

static remote_addr bits_reserve(struct heap_image *image, uint32_t count)
{
	remote_addr address = IMAGE_META + image->metadata_used;

	image->metadata_used += bits_words(count) * 8;
	assert_true(image->metadata_used <= META_ARENA);
	return address;
}

// How many slots a span has: the pages without the bits that the version keeps in them.
static uint32_t slots_of(
	const struct layout *layout, uint32_t pages, uint32_t elem_size, bool noscan)
{
	uint32_t bytes = pages * GO_PAGE_SIZE;

	if (elem_size > 32768)
		return 1;
	if (layout->pointer_bits == POINTER_BITS_HEADER && elem_size <= HEAP_BITS_OBJECT_MAX &&
		!noscan)
		bytes -= bytes / 64;
	if (layout->inline_mark_bits && elem_size <= HEAP_BITS_OBJECT_MAX &&
		elem_size >= INLINE_MARKS_MIN)
		bytes -= INLINE_MARKS_BYTES;
	return bytes / elem_size;
}

struct image_span *heap_image_span(
	struct heap_image *image, uint32_t page, uint32_t pages, uint32_t elem_size, bool noscan)
{
	const struct layout *layout = &image->runtime.layout;
	const struct layout_offsets *at = &layout->at;
	size_t narrow = layout->pointer_bits == POINTER_BITS_HEADER ? 2 : 8;
	uint32_t index = image->span_count++;
	struct image_span *span = &image->spans[index];
	bool large = elem_size > 32768;

	assert_true(index < IMAGE_SPANS_MAX);
	*span = (struct image_span){
		.base = IMAGE_HEAP + (uint64_t)page * GO_PAGE_SIZE,
		.pages = pages,
		.elem_size = elem_size,
		.count = slots_of(layout, pages, elem_size, noscan),
		.noscan = noscan,
		.mspan = IMAGE_META + META_MSPANS + index * META_MSPAN_BYTES,
	};
	span->alloc_bits = bits_reserve(image, span->count);
	span->mark_bits = bits_reserve(image, span->count);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_startAddr, span->base, 8);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_npages, pages, 8);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_nelems, span->count, narrow);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_elemsize, elem_size, 8);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_limit,
		span->base + (uint64_t)span->count * elem_size, 8);
	heap_image_store(
		image, span->mspan + (uint32_t)at->mspan_spanclass, (large ? 0 : 2) | noscan, 1);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_state, SPAN_IN_USE, 1);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_sweepgen, IMAGE_GENERATION, 4);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_allocBits, span->alloc_bits, 8);
	heap_image_store(image, span->mspan + (uint32_t)at->mspan_gcmarkBits, span->mark_bits, 8);
	heap_image_store(image, IMAGE_META + META_ALLSPANS + index * 8, span->mspan, 8);
	return span;
}

void heap_image_allocate(struct heap_image *image, const struct image_span *span, uint32_t slot)
{
	uint8_t *byte = heap_image_at(image, span->alloc_bits + slot / 8);

	*byte |= 1 << slot % 8;
}

remote_addr heap_image_room(struct heap_image *image, size_t size)
{
	remote_addr address = IMAGE_TYPES + image->types_used;

	image->types_used += (size + 7) & ~(size_t)7;
	assert_true(image->types_used <= TYPES_BYTES);
	return address;
}

remote_addr heap_image_type(
	struct heap_image *image, uint64_t words, uint64_t pointer_words, const uint64_t *mask)
{
	remote_addr type = heap_image_room(image, 48);
	remote_addr bits = heap_image_room(image, bits_words(pointer_words) * 8);

	memcpy(heap_image_at(image, bits), mask, bits_words(pointer_words) * 8);
	heap_image_store(image, type, words * 8, 8);
	heap_image_store(image, type + 8, pointer_words * 8, 8);
	heap_image_store(image, type + 32, bits, 8);
	return type;
}

// Of the arena's bitmap: the byte and bit of a word of the span.
static uint8_t *arena_byte(struct heap_image *image, const struct image_span *span, uint64_t word,
	unsigned words_a_byte)
{
	uint64_t index = ((span->base + word * 8) & ((1 << ARENA_SHIFT) - 1)) / 8;

	return heap_image_at(image, IMAGE_META + META_ARENA +
					    (uint32_t)image->runtime.layout.at.heapArena_bitmap +
					    index / words_a_byte);
}

void heap_image_pointer(struct heap_image *image, const struct image_span *span, uint64_t word)
{
	const struct layout *layout = &image->runtime.layout;
	uint64_t bytes = (uint64_t)span->pages * GO_PAGE_SIZE;
	remote_addr bits = span->base + bytes - bytes / 64;

	switch (layout->pointer_bits) {
	case POINTER_BITS_TWO_BIT_ARENA:
		*arena_byte(image, span, word, 4) |= 1 << word % 4;
		break;
	case POINTER_BITS_ARENA:
		*arena_byte(image, span, word, 8) |= 1 << word % 8;
		break;
	case POINTER_BITS_HEADER:
		if (layout->inline_mark_bits && span->elem_size >= INLINE_MARKS_MIN)
			bits -= INLINE_MARKS_BYTES;
		*(uint8_t *)heap_image_at(image, bits + word / 8) |= 1 << word % 8;
		break;
	}
}

void heap_image_scan_on(struct heap_image *image, const struct image_span *span, uint64_t word)
{
	*arena_byte(image, span, word, 4) |= 0x10 << word % 4;
}

static void region_add(
	struct heap_image *image, remote_addr start, uint64_t size, const void *bytes)
{
	struct region region = {.start = start,
		.end = start + size,
		.readable = true,
		.writable = true,
		.path = ""};

	assert_success(image_add(image->runtime.target, &region, bytes));
}

void heap_image_open(struct heap_image *image)
{
	const struct layout_offsets *at = &image->runtime.layout.at;
	uint64_t entry = ((IMAGE_HEAP - ARENA_BASE_AMD64) >> ARENA_SHIFT) * 8;
	uint64_t table[4096 / 8] = {0};

	heap_image_store(
		image, IMAGE_META + (uint32_t)at->mheap_allspans, IMAGE_META + META_ALLSPANS, 8);
	heap_image_store(
		image, IMAGE_META + (uint32_t)at->mheap_allspans + 8, image->span_count, 8);
	heap_image_store(image, IMAGE_META + (uint32_t)at->mheap_allspans + 16, IMAGE_SPANS_MAX, 8);
	table[entry % 4096 / 8] = IMAGE_META + META_ARENA;
	assert_success(image_create(&image->runtime.target));
	region_add(image, IMAGE_TYPES, TYPES_BYTES, image->types);
	region_add(image, IMAGE_HEAP, (uint64_t)IMAGE_HEAP_PAGES * GO_PAGE_SIZE, image->contents);
	region_add(image, IMAGE_ARENA_TABLE + entry / 4096 * 4096, sizeof(table), table);
	region_add(image, IMAGE_META, META_BYTES, image->metadata);
	assert_success(memory_init(&image->runtime.memory, image->runtime.target, 0));
	assert_success(heap_open(&image->runtime, &image->heap));
}
