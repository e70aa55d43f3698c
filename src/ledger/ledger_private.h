// Inside the ledger: its two halves.
#ifndef LEDGER_LEDGER_PRIVATE_H
#define LEDGER_LEDGER_PRIVATE_H

#include "ledger/ledger.h"

// ---- ledger_heap.c: what lies in spans. Fills in the accounts from viewed to work buffers, but for idle spans.
struct error *ledger_count_heap(
	struct ledger *ledger, const struct analysis *analysis, unsigned threads);

// ---- ledger_process.c: everything else, from idle spans on.
struct error *ledger_count_process(struct ledger *ledger, const struct analysis *analysis);

#endif
