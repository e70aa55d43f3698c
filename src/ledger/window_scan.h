// Inside windows: finds every reference to a live object and what it sees of it.
#ifndef LEDGER_WINDOW_SCAN_H
#define LEDGER_WINDOW_SCAN_H

#include "ledger/windows.h"

struct window_scan {
	const struct analysis *analysis;
	unsigned threads;
	uint64_t *seen;       // two bits for each object, SEEN_...
	uint64_t *map_arrays; // as in struct windows
	uint64_t map_used_bytes, map_slack_bytes;
	// Of all other references, in no particular order; some may be to whole objects by now.
	struct window_vector *windows;
};

// What is known of an object so far. Of what is not live all is known.
enum {
	SEEN_MAYBE_WHOLE = 1, // some reference sees it whole, or may do so
	SEEN_SURELY =
		2, // ... and that is known, not only possible; or all references have been judged
};

// Puts the windows in order, by object and start, and drops those of objects that are seen whole, by somebody or by all
// together. Other threads may set bits meanwhile.
void windows_settle(struct window_scan *scan);

// Then: takes back what references show that lie where nobody sees them: within the capacity of some slice it becomes
// spare, elsewhere it is dropped. Of an object that nobody else sees a part of, nothing: its holder is what is wasted.
struct error *windows_hide(struct window_scan *scan);

// How many of the `left` windows are of the first one's object.
size_t windows_of_object(const struct window *windows, size_t left);

// What an object's windows, in order, see together; fills in all but `first`. `span`: where the object before lay, NULL for
// the first one; it is moved. Returns the bytes of rounding.
uint64_t window_measure(const struct window_scan *scan, const struct window *windows, size_t count,
	const struct span **span, struct windowed_object *out);

static inline unsigned window_seen(const struct window_scan *scan, object_id id)
{
	return __atomic_load_n(&scan->seen[id >> 5], __ATOMIC_RELAXED) >> (id & 31) * 2 & 3;
}

// Some reference sees the object whole, or, unless `surely`, may do so.
static inline void window_see_whole(struct window_scan *scan, object_id id, bool surely)
{
	unsigned known = window_seen(scan, id);
	unsigned more = (SEEN_MAYBE_WHOLE | (surely ? SEEN_SURELY : 0)) & ~known;

	if (more)
		__atomic_fetch_or(
			&scan->seen[id >> 5], (uint64_t)more << (id & 31) * 2, __ATOMIC_RELAXED);
}

// Free what it holds with window_scan_deinit(), also after an error.
struct error *window_scan_run(struct window_scan *scan, struct analysis *analysis);
void window_scan_deinit(struct window_scan *scan);

#endif
