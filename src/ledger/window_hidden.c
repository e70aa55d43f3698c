// References that nobody can follow: they lie in a part of their holder that nobody sees. strings.Split(line, ",")[:2] shows
// two of the strings in its array; what the others show of the line is out of sight.
#include <stdlib.h>

#include "base/error.h"
#include "base/search.h"
#include "ledger/window_scan.h"

// The first window of object `id`, or NULL.
static const struct window *windows_of(const struct window_vector *windows, object_id id)
{
	size_t at = FIRST_WHERE(i, windows->count, windows->items[i].object >= id);

	return at < windows->count && windows->items[at].object == id ? &windows->items[at] : NULL;
}

enum visibility { IN_SIGHT, IN_SPARE, OUT_OF_REACH };

static enum visibility reference_visibility(
	const struct window_scan *scan, const struct window *window)
{
	const struct window_vector *windows = scan->windows;
	const struct window *end = windows->items + windows->count;

	if (window->from_root || window->merged || window_seen(scan, window->holder))
		return IN_SIGHT;
	const struct window *onto = windows_of(windows, window->holder);
	if (!onto)
		return IN_SIGHT;
	uint64_t offset = (uint64_t)window->word * 8 -
			  heap_span_of(scan->analysis->heap, window->holder)->header_bytes;
	enum visibility best = OUT_OF_REACH;
	for (; onto < end && onto->object == window->holder && onto->extent.start <= offset;
		onto++) {
		if (offset < onto->extent.seen)
			return IN_SIGHT;
		if (offset < onto->extent.cap)
			best = IN_SPARE;
	}
	return best;
}

struct error *windows_hide(struct window_scan *scan)
{
	struct window *windows = scan->windows->items;
	size_t count = scan->windows->count, kept = 0;
	uint8_t *visibility = malloc(count + 1);

	if (!visibility)
		return error_no_memory();
	for (size_t i = 0; i < count; i++)
		visibility[i] = (uint8_t)reference_visibility(scan, &windows[i]);
	for (size_t first = 0, of_object; first < count; first += of_object) {
		of_object = windows_of_object(windows + first, count - first);
		bool in_sight = false;
		for (size_t i = first; i < first + of_object && !in_sight; i++)
			in_sight = visibility[i] == IN_SIGHT;
		for (size_t i = first; i < first + of_object; i++) {
			if (in_sight && visibility[i] == OUT_OF_REACH)
				continue;
			windows[kept] = windows[i];
			if (in_sight && visibility[i] == IN_SPARE)
				windows[kept].extent.seen = windows[i].extent.start;
			kept++;
		}
	}
	scan->windows->count = kept;
	free(visibility);
	return NULL;
}
