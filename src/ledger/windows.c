// The references that window_scan.c found, put in order by object, and measured.
#include "ledger/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ledger/window_scan.h"

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS };

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

struct measuring {
	const struct analysis *analysis;
	HW_VECTOR(struct windowed_object) objects;
	HW_VECTOR(struct extent) extents;
	struct windows *out;
};

// The bytes behind the greatest capacity are rounding when that may be where the allocation ended,
// and pinned otherwise. A single value ends where its type does.
static bool measure_object(
	struct measuring *measuring, struct window *list, size_t count, size_t first)
{
	const struct heap *heap = measuring->analysis->heap;
	struct windowed_object object = {
		.id = list->object, .first = (uint32_t)first, .count = (uint32_t)count};
	const struct span *span = heap_span_of(heap, object.id);
	uint64_t room = span->elem_size - span_header_bytes(heap, span);
	struct object_type type;
	struct coverage coverage;

	if (count > 1)
		qsort(list, count, sizeof(*list), window_compare);
	measuring->extents.count = 0;
	if (!hw_vector_reserve(&measuring->extents, count))
		return false;
	for (size_t i = 0; i < count; i++)
		measuring->extents.items[measuring->extents.count++] = list[i].extent;
	extents_measure(measuring->extents.items, count, &coverage);
	typing_of_in(measuring->analysis->typing, span, object.id, &type);
	uint64_t end = coverage.end;
	if (type.source == TYPED_EXACT && !type.array && type.type->size > end &&
		type.type->size <= room)
		end = type.type->size;
	if (!span_fits(heap, span, end))
		end = room;
	object.viewed = (uint32_t)coverage.viewed;
	object.spare = (uint32_t)coverage.spare;
	object.pinned = (uint32_t)(end - coverage.viewed - coverage.spare);
	struct windows *out = measuring->out;
	out->rounding_bytes += room - end;
	out->spare_bytes += object.spare;
	out->pinned_bytes += object.pinned;
	return hw_vector_push(&measuring->objects, object);
}

// Measures all objects and drops the windows of those that are seen whole after all.
static bool measure_all(struct measuring *measuring, struct window_scan *scan)
{
	struct window_vector *windows = &scan->windows;
	size_t kept = 0;

	for (size_t first = 0; first < windows->count;) {
		object_id id = windows->items[first].object;
		size_t count = 1;
		while (first + count < windows->count && windows->items[first + count].object == id)
			count++;
		if (!measure_object(measuring, windows->items + first, count, kept))
			return false;
		const struct windowed_object *object =
			&measuring->objects.items[measuring->objects.count - 1];
		scan->judged[id >> 6] |= UINT64_C(1) << (id & 63);
		if (object->spare || object->pinned) {
			memmove(windows->items + kept, windows->items + first,
				count * sizeof(*windows->items));
			kept += count;
		} else {
			measuring->objects.count--;
		}
		first += count;
	}
	windows->count = kept;
	return true;
}

static void count_unjudged(
	const struct analysis *analysis, const struct window_scan *scan, struct windows *out)
{
	for (uint32_t i = 0; i < analysis->heap->span_count; i++) {
		const struct span *span = &analysis->heap->spans[i];
		for (object_id id = span->first; id < span->first + span->count; id++) {
			if (!heap_bit(scan->live, id) || heap_bit(scan->judged, id))
				continue;
			out->unjudged_objects++;
			out->unjudged_bytes += span->elem_size;
		}
	}
}

static struct error *windows_build(
	struct analysis *analysis, struct window_scan *scan, unsigned threads, struct windows *out)
{
	struct measuring measuring = {.analysis = analysis, .out = out};
	struct error *err = window_scan_run(scan, analysis, threads);

	if (!err && scan->windows.count > UINT32_MAX)
		err = error_create(ERROR_TARGET, "the heap has too many references");
	if (!err && (!windows_sort(&scan->windows) || !measure_all(&measuring, scan)))
		err = error_no_memory();
	hw_vector_deinit(&measuring.extents);
	if (err) {
		hw_vector_deinit(&measuring.objects);
		return err;
	}
	count_unjudged(analysis, scan, out);
	hw_vector_shrink(&scan->windows);
	hw_vector_shrink(&measuring.objects);
	out->list = take_pointer(scan->windows.items);
	out->count = scan->windows.count;
	out->objects = measuring.objects.items;
	out->object_count = measuring.objects.count;
	out->map_arrays = take_pointer(scan->map_arrays);
	out->map_used_bytes = scan->map_used_bytes;
	out->map_slack_bytes = scan->map_slack_bytes;
	return NULL;
}

struct error *windows_open(struct analysis *analysis, unsigned threads, struct windows **out)
{
	struct windows *windows = calloc(1, sizeof(*windows));
	struct window_scan scan = {0};

	if (!windows)
		return error_no_memory();
	struct error *err =
		windows_build(analysis, &scan, threads ? threads : analysis->threads, windows);
	window_scan_deinit(&scan);
	if (err) {
		windows_close(windows);
		return error_wrap(err, "finding out what is still seen");
	}
	*out = windows;
	return NULL;
}

void windows_close(struct windows *windows)
{
	if (!windows)
		return;
	free(windows->list);
	free(windows->objects);
	free(windows->map_arrays);
	free(windows);
}

const struct windowed_object *windows_from(const struct windows *windows, object_id id)
{
	size_t low = 0, high = windows->object_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (windows->objects[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return windows->objects + low;
}

const struct windowed_object *windows_find(const struct windows *windows, object_id id)
{
	const struct windowed_object *object = windows_from(windows, id);

	return object < windows->objects + windows->object_count && object->id == id ? object
										     : NULL;
}
