// Which allocations land in which slots.
#include "base/cleanup.h"
#include "goruntime/heap.h"
#include "goruntime/runtime_private.h"

// runtime/sizeclasses.go to 1.24, internal/runtime/gc/sizeclasses.go from 1.25: the same numbers in
// all versions
static const uint16_t size_classes[] = {0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176,
	192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896,
	1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376,
	6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432,
	19072, 20480, 21760, 24576, 27264, 28672, 32768};

// The greatest allocation that the next smaller class would take.
static uint64_t span_bytes_below(const struct span *span)
{
	uint8_t class = span->size_class;

	return class > 0 && class < ARRAY_COUNT(size_classes) ? size_classes[class - 1] : 0;
}

void span_measure(const struct heap *heap, struct span *span)
{
	// runtime/malloc.go, mallocHeaderSize: objects with pointers that are too long for the
	// span's own bits (1.22 on).
	bool header = heap->runtime->layout.pointer_bits == POINTER_BITS_HEADER && !span->noscan &&
		      span->size_class && span->elem_size > HEAP_BITS_OBJECT_MAX;
	uint64_t below = span_bytes_below(span);

	span->header_bytes = header ? 8 : 0;
	if (!span->size_class) {
		span->rounding_max = GO_PAGE_SIZE - 1;
		return;
	}
	// The header counts only where the smaller class would have one too.
	uint64_t least = below - (below > HEAP_BITS_OBJECT_MAX ? span->header_bytes : 0) + 1;
	uint64_t room = span->elem_size - span->header_bytes;
	span->rounding_max = room < least                  ? 0
			     : room - least < GO_PAGE_SIZE ? (uint16_t)(room - least)
							   : GO_PAGE_SIZE - 1;
}

uint64_t slot_bytes(const struct heap *heap, uint64_t bytes, bool noscan)
{
	bool headers = heap->runtime->layout.pointer_bits == POINTER_BITS_HEADER;
	uint64_t largest = size_classes[ARRAY_COUNT(size_classes) - 1];

	// runtime/msize.go, roundupsize, and mallocgc: 1.22 on keeps room for a header.
	if (bytes > (headers ? largest - 8 : largest))
		return (bytes + GO_PAGE_SIZE - 1) / GO_PAGE_SIZE * GO_PAGE_SIZE;
	if (headers && !noscan && bytes > HEAP_BITS_OBJECT_MAX)
		bytes += 8;
	for (size_t class = 1; class < ARRAY_COUNT(size_classes); class ++)
		if (size_classes[class] >= bytes)
			return size_classes[class];
	return largest;
}
