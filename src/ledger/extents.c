// One sweep by ascending start: since [start, cap) begins where [start, seen) begins, both unions
// are measured with a cursor each.
#include "ledger/extents.h"

#include <stdlib.h>

static int extent_compare(const void *left, const void *right)
{
	const struct extent *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

// Adds to `bytes` what [start, end) has beyond `*cursor`, and moves the cursor.
static void sweep(uint64_t start, uint64_t end, uint64_t *cursor, uint64_t *bytes)
{
	if (start < *cursor)
		start = *cursor;
	if (end <= start)
		return;
	*bytes += end - start;
	*cursor = end;
}

void extents_measure(struct extent *extents, size_t count, struct coverage *out)
{
	uint64_t viewed = 0, reachable = 0, viewed_end = 0, reachable_end = 0;

	if (count > 1)
		qsort(extents, count, sizeof(*extents), extent_compare);
	for (size_t i = 0; i < count; i++) {
		sweep(extents[i].start, extents[i].seen, &viewed_end, &viewed);
		sweep(extents[i].start, extents[i].cap, &reachable_end, &reachable);
	}
	uint64_t end = 0;
	for (size_t i = 0; i < count; i++)
		if (extents[i].cap > end)
			end = extents[i].cap;
	*out = (struct coverage){.viewed = viewed, .spare = reachable - viewed, .end = end};
}
