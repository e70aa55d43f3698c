// A heap of the Go runtime in miniature, for tests: spans with their bits, types, arenas, laid out
// as a given version of Go does it, in an image.
//
//	struct heap_image image;
//	heap_image_init(&image, "go1.22.12");
//	struct image_span *span = heap_image_span(&image, 0, 1, 48, false);
//	heap_image_allocate(span, 3);
//	heap_image_open(&image);              // image.heap
//	heap_image_deinit(&image);
//
// Until heap_image_open everything may be changed through heap_image_at(). Fails the running test
// by itself.
#ifndef TESTS_HEAP_IMAGE_H
#define TESTS_HEAP_IMAGE_H

#include "goruntime/bits.h"
#include "goruntime/heap.h"

enum { IMAGE_SPANS_MAX = 64, IMAGE_HEAP_PAGES = 512 };

#define IMAGE_HEAP UINT64_C(0xc000000000)
#define IMAGE_META UINT64_C(0x7f0000000000)
#define IMAGE_TYPES UINT64_C(0x500000)

enum { IMAGE_GENERATION = 10 }; // mheap_.sweepgen

struct image_span {
	remote_addr base;
	uint32_t pages, elem_size, count;
	bool noscan;
	remote_addr mspan, alloc_bits, mark_bits; // in the metadata
};

struct heap_image {
	struct go_runtime runtime;
	struct go_module module;
	struct heap *heap;
	struct image_span spans[IMAGE_SPANS_MAX];
	uint32_t span_count;
	uint8_t *contents, *metadata, *types; // the regions' bytes
	size_t types_used, metadata_used;
};

void heap_image_init(struct heap_image *image, const char *version);
void heap_image_deinit(struct heap_image *image);

// A swept span in use without allocated slots at page `page` of the heap; of one large object when
// `elem_size` is above 32 KiB.
struct image_span *heap_image_span(
	struct heap_image *image, uint32_t page, uint32_t pages, uint32_t elem_size, bool noscan);

// Sets a slot's bit in allocBits.
void heap_image_allocate(struct heap_image *image, const struct image_span *span, uint32_t slot);

// Our copy of the target's byte at `address`.
void *heap_image_at(struct heap_image *image, remote_addr address);
void heap_image_store(struct heap_image *image, remote_addr address, uint64_t value, size_t size);

// Room for `size` bytes among the types, 8-aligned; its address.
remote_addr heap_image_room(struct heap_image *image, size_t size);

// An abi.Type of `words` words with the given pointer words (bit i of mask[i / 64]).
remote_addr heap_image_type(
	struct heap_image *image, uint64_t words, uint64_t pointer_words, const uint64_t *mask);

// Says by the version's own mechanism that word `word` of the span is a pointer. For spans up to
// 512 B with POINTER_BITS_HEADER, for all spans with arena bitmaps.
void heap_image_pointer(struct heap_image *image, const struct image_span *span, uint64_t word);

// go 1.19: "there may be more pointers" on that word.
void heap_image_scan_on(struct heap_image *image, const struct image_span *span, uint64_t word);

void heap_image_open(struct heap_image *image);

#endif
