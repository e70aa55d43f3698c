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

// Free what it holds with window_scan_deinit(), also after an error.
struct error *window_scan_run(
	struct window_scan *scan, struct analysis *analysis, unsigned threads);
void window_scan_deinit(struct window_scan *scan);

#endif
