// One sweep by ascending start: since [start, cap) begins where [start, seen) begins, both unions
// are measured with a cursor each.
#include "ledger/extents.h"

struct cursor {
	uint64_t end, bytes;
	extent_weigh *weigh;
	void *context;
};

// Adds what [start, end) has beyond the cursor, and moves it.
static void cursor_move(struct cursor *cursor, uint64_t start, uint64_t end)
{
	if (start < cursor->end)
		start = cursor->end;
	if (end <= start)
		return;
	cursor->bytes += cursor->weigh(cursor->context, start, end);
	cursor->end = end;
}

void extents_weigh(const struct extent *first, size_t count, size_t stride, extent_weigh *weigh,
	void *context, struct coverage *out)
{
	struct cursor viewed = {.weigh = weigh, .context = context}, reachable = viewed;
	uint64_t end = 0;

	for (size_t i = 0; i < count; i++) {
		const struct extent *extent =
			(const struct extent *)((const char *)first + i * stride);
		cursor_move(&viewed, extent->start, extent->seen);
		cursor_move(&reachable, extent->start, extent->cap);
		if (extent->cap > end)
			end = extent->cap;
	}
	*out = (struct coverage){
		.viewed = viewed.bytes, .spare = reachable.bytes - viewed.bytes, .end = end};
}

static uint64_t length(void *context, uint64_t start, uint64_t end)
{
	return end - start;
}

void extents_measure(const struct extent *first, size_t count, size_t stride, struct coverage *out)
{
	extents_weigh(first, count, stride, length, NULL, out);
}
