// Windows in the order of their objects, and only those that are still worth keeping.
//
// Of an object that is referred to all over, a slab of a thousand nodes say, there are as many windows
// as pointers. Most such objects turn out to be seen whole when all windows are put together: those are
// dropped. Of the rest, windows that touch are made one where there are too many to be of use one by
// one; what they see together stays the same to the byte.
#include <stdlib.h>

#include "ledger/window_scan.h"

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS, WINDOWS_KEPT = 64 };

// Sorts by object, keeping the order of equal ones: one pass for each 11 bits of the number.
static bool windows_sort(struct window_vector *windows)
{
	struct window *other = malloc(windows->count * sizeof(*other) + 1);

	if (!other)
		return false;
	for (unsigned shift = 0; shift < 32; shift += RADIX_BITS) {
		size_t starts[RADIX + 1] = {0};

		for (size_t i = 0; i < windows->count; i++)
			starts[(windows->items[i].object >> shift & (RADIX - 1)) + 1]++;
		for (unsigned digit = 1; digit <= RADIX; digit++)
			starts[digit] += starts[digit - 1];
		for (size_t i = 0; i < windows->count; i++) {
			unsigned digit = windows->items[i].object >> shift & (RADIX - 1);
			other[starts[digit]++] = windows->items[i];
		}
		struct window *sorted = other;
		other = windows->items;
		windows->items = sorted;
		windows->capacity = windows->count;
	}
	free(other);
	return true;
}

static int window_compare(const void *left, const void *right)
{
	const struct window *a = left, *b = right;

	if (a->extent.start != b->extent.start)
		return a->extent.start < b->extent.start ? -1 : 1;
	return a->from_root != b->from_root ? (a->from_root ? -1 : 1)
	       : a->holder != b->holder     ? (a->holder < b->holder ? -1 : 1)
	       : a->offset < b->offset      ? -1
					    : a->offset > b->offset;
}

size_t windows_of_object(const struct window *windows, size_t left)
{
	size_t count = 1;

	while (count < left && windows[count].object == windows->object)
		count++;
	return count;
}

// The bytes behind the greatest capacity are rounding when that may be where the allocation ended,
// and pinned otherwise. A single value ends where its type does.
uint64_t window_measure(const struct window_scan *scan, const struct window *windows, size_t count,
	struct windowed_object *out)
{
	const struct heap *heap = scan->analysis->heap;
	const struct span *span = heap_span_of(heap, windows->object);
	uint64_t room = span->elem_size - span_header_bytes(heap, span);
	struct object_type type;
	struct coverage coverage;

	extents_measure(&windows->extent, count, sizeof(*windows), &coverage);
	typing_of_in(scan->analysis->typing, span, windows->object, &type);
	uint64_t end = coverage.end;
	if (type.source == TYPED_EXACT && !type.array && type.type->size > end &&
		type.type->size <= room)
		end = type.type->size;
	if (!span_fits(heap, span, end))
		end = room;
	*out = (struct windowed_object){
		.id = windows->object,
		.count = (uint32_t)count,
		.viewed = (uint32_t)coverage.viewed,
		.spare = (uint32_t)coverage.spare,
		.pinned = (uint32_t)(end - coverage.viewed - coverage.spare),
	};
	return room - end;
}

// Makes windows that touch one: the first one stands for all. Returns how many are left.
static size_t windows_merge(struct window *windows, size_t count)
{
	size_t last = 0;

	for (size_t i = 1; i < count; i++) {
		struct extent *into = &windows[last].extent;
		const struct extent *from = &windows[i].extent;
		if (from->start > into->seen) {
			windows[++last] = windows[i];
			continue;
		}
		if (from->seen > into->seen)
			into->seen = from->seen;
		if (from->cap > into->cap)
			into->cap = from->cap;
	}
	return last + 1;
}

static void windows_drop_whole(struct window_scan *scan)
{
	struct window_vector *windows = &scan->windows;
	size_t kept = 0;

	for (size_t i = 0; i < windows->count; i++)
		if (!window_bit(scan->whole, windows->items[i].object))
			windows->items[kept++] = windows->items[i];
	windows->count = kept;
}

bool windows_settle(struct window_scan *scan)
{
	struct window_vector *windows = &scan->windows;
	size_t kept = 0;

	windows_drop_whole(scan);
	if (!windows_sort(windows))
		return false;
	for (size_t first = 0, count; first < windows->count; first += count) {
		struct window *object = windows->items + first;
		struct windowed_object measured;
		count = windows_of_object(object, windows->count - first);
		if (count > 1)
			qsort(object, count, sizeof(*object), window_compare);
		size_t left = count > WINDOWS_KEPT ? windows_merge(object, count) : count;
		window_measure(scan, object, left, &measured);
		if (!measured.spare && !measured.pinned) {
			window_see_whole(scan, measured.id, true);
			continue;
		}
		for (size_t i = 0; i < left; i++)
			windows->items[kept++] = object[i];
	}
	windows->count = kept;
	return true;
}
