// Inside windows: finds every reference to a live object and what it sees of it.
#ifndef LEDGER_WINDOW_SCAN_H
#define LEDGER_WINDOW_SCAN_H

#include "heapwhy/vector.h"
#include "ledger/windows.h"

struct window_vector {
	struct window *items;
	size_t count, capacity;
};

struct window_scan {
	const struct analysis *analysis;
	const uint64_t *live;
	uint64_t *whole;      // a bit for each object: some reference sees it whole, or may do so
	uint64_t *judged;     // ... and that is known, not only possible
	uint64_t *map_arrays; // as in struct windows
	uint64_t map_used_bytes, map_slack_bytes;
	// Of all other references, in no particular order; some may be to whole objects by now.
	struct window_vector windows;
};

// Puts the windows in order, by object and start, and drops those of objects that are seen whole, by somebody or by all
// together. Other threads may set bits meanwhile. False: out of memory.
bool windows_settle(struct window_scan *scan);

// How many of the `left` windows are of the first one's object.
size_t windows_of_object(const struct window *windows, size_t left);

// What an object's windows, in order, see together; fills in all but `first`. Returns the bytes of rounding.
uint64_t window_measure(const struct window_scan *scan, const struct window *windows, size_t count,
	struct windowed_object *out);

// Some reference sees the object whole, or, unless `judged`, may do so.
static inline void window_see_whole(struct window_scan *scan, object_id id, bool judged)
{
	uint64_t bit = UINT64_C(1) << (id & 63);

	if (!(__atomic_load_n(&scan->whole[id >> 6], __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(&scan->whole[id >> 6], bit, __ATOMIC_RELAXED);
	if (judged && !(__atomic_load_n(&scan->judged[id >> 6], __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(&scan->judged[id >> 6], bit, __ATOMIC_RELAXED);
}

static inline bool window_bit(const uint64_t *bits, object_id id)
{
	return __atomic_load_n(&bits[id >> 6], __ATOMIC_RELAXED) >> (id & 63) & 1;
}

// Free what it holds with window_scan_deinit(), also after an error.
struct error *window_scan_run(
	struct window_scan *scan, struct analysis *analysis, unsigned threads);
void window_scan_deinit(struct window_scan *scan);

#endif
