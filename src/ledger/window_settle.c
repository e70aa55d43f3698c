// Windows in the order of their objects, and only those that are still worth keeping.
//
// Of an object that is referred to all over, a slab of a thousand nodes say, there are as many windows
// as pointers. Most such objects turn out to be seen whole when all windows are put together: those are
// dropped. Of the rest, windows that touch are made one where there are too many to be of use one by
// one; what they see together stays the same to the byte.
//
// Objects do not share windows, so threads sort and measure what lies in different buckets of them.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/together.h"
#include "ledger/window_scan.h"

enum { BUCKET_BITS = 11, BUCKETS = 1 << BUCKET_BITS, WINDOWS_KEPT = 64 };

static int compare(uint64_t one, uint64_t other)
{
	return one < other ? -1 : one > other;
}

static int window_compare(const void *left, const void *right)
{
	const struct window *a = left, *b = right;
	int order = compare(a->object, b->object);

	if (!order)
		order = compare(a->extent.start, b->extent.start);
	if (!order)
		order = compare(b->from_root, a->from_root);
	if (!order)
		order = compare(a->holder, b->holder);
	return order ? order : compare(a->word, b->word);
}

// Where each bucket's windows begin, and where they end.
struct buckets {
	size_t first[BUCKETS], end[BUCKETS];
};

// In place, for there may be many: into buckets by the highest bits of their objects' numbers, each window swapped into
// its own until all are there.
static void windows_distribute(
	struct window_vector *windows, object_id objects, struct buckets *out)
{
	size_t next[BUCKETS] = {0}, sum = 0;
	unsigned shift = 0;

	while (objects >> shift >= BUCKETS)
		shift++;
	for (size_t i = 0; i < windows->count; i++)
		next[windows->items[i].object >> shift]++;
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		size_t count = next[bucket];
		next[bucket] = out->first[bucket] = sum;
		sum += count;
		out->end[bucket] = sum;
	}
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		while (next[bucket] < out->end[bucket]) {
			struct window *here = &windows->items[next[bucket]];
			struct window *there = &windows->items[next[here->object >> shift]++];
			struct window moved = *here;
			*here = *there;
			*there = moved;
		}
	}
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
	const struct span **near, struct windowed_object *out)
{
	const struct span *span = *near =
		heap_span_near(scan->analysis->heap, *near, windows->object);
	uint64_t room = span->elem_size - span->header_bytes;
	struct object_type type;
	struct coverage coverage;

	extents_measure(&windows->extent, count, sizeof(*windows), &coverage);
	typing_of(scan->analysis->typing, windows->object, &type);
	uint64_t end = coverage.end;
	if (type.source == TYPED_EXACT && !type.array && type.type->size > end &&
		type.type->size <= room)
		end = type.type->size;
	if (!span_fits(span, end))
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
		windows[last].merged = true;
		if (from->seen > into->seen)
			into->seen = from->seen;
		if (from->cap > into->cap)
			into->cap = from->cap;
	}
	return last + 1;
}

static void windows_drop_whole(struct window_scan *scan)
{
	struct window_vector *windows = scan->windows;
	size_t kept = 0;

	for (size_t i = 0; i < windows->count; i++)
		if (!window_seen(scan, windows->items[i].object))
			windows->items[kept++] = windows->items[i];
	windows->count = kept;
}

// Threads take one bucket after the other.
struct settling {
	struct window_scan *scan;
	struct buckets buckets;
	_Atomic unsigned next;
};

// Sorts windows and leaves those that are worth keeping, at the start; returns how many.
static size_t bucket_settle(struct window_scan *scan, struct window *windows, size_t count)
{
	const struct span *span = NULL;
	size_t kept = 0;

	if (count > 1)
		qsort(windows, count, sizeof(*windows), window_compare);
	for (size_t first = 0, of_object; first < count; first += of_object) {
		struct window *object = windows + first;
		struct windowed_object measured;
		of_object = windows_of_object(object, count - first);
		size_t left =
			of_object > WINDOWS_KEPT ? windows_merge(object, of_object) : of_object;
		window_measure(scan, object, left, &span, &measured);
		if (!measured.spare && !measured.pinned) {
			window_see_whole(scan, measured.id, true);
			continue;
		}
		for (size_t i = 0; i < left; i++)
			windows[kept++] = object[i];
	}
	return kept;
}

static void settle_run(void *job)
{
	struct settling *settling = *(struct settling **)job;
	struct buckets *buckets = &settling->buckets;

	for (unsigned bucket; (bucket = atomic_fetch_add(&settling->next, 1)) < BUCKETS;)
		buckets->end[bucket] =
			buckets->first[bucket] +
			bucket_settle(settling->scan,
				settling->scan->windows->items + buckets->first[bucket],
				buckets->end[bucket] - buckets->first[bucket]);
}

void windows_settle(struct window_scan *scan)
{
	struct window_vector *windows = scan->windows;
	struct settling settling = {.scan = scan};
	struct settling *jobs[TOGETHER_MAX];
	size_t kept = 0;

	windows_drop_whole(scan);
	windows_distribute(windows, scan->analysis->heap->object_count, &settling.buckets);
	for (unsigned i = 0; i < scan->threads; i++)
		jobs[i] = &settling;
	together(settle_run, jobs, scan->threads, sizeof(jobs[0]));
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		size_t first = settling.buckets.first[bucket];
		size_t count = settling.buckets.end[bucket] - first;
		if (kept != first)
			memmove(windows->items + kept, windows->items + first,
				count * sizeof(*windows->items));
		kept += count;
	}
	windows->count = kept;
}
