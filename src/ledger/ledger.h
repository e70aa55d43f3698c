// Where the resident memory is: every resident byte in exactly one account.
//
//	struct ledger ledger;
//	ledger_compute(&analysis, &ledger);
//	for (int i = 0; i < ACCOUNT_COUNT; i++)
//		printf("%s %" PRIu64 "\n", ledger_account_name(i), ledger.bytes[i]);
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct analysis;

enum account {
	ACCOUNT_LIVE,       // reachable objects, slots counted whole
	ACCOUNT_GARBAGE,    // allocated and unreachable: the next collection frees it
	ACCOUNT_FREE_SLOTS, // slots in spans in use that hold no object
	ACCOUNT_ROUNDING,   // ends of spans that are too short for a slot
	ACCOUNT_IDLE_SPANS, // the heap's pages in no span: free, not given back to the kernel
	ACCOUNT_STACKS, // stacks of goroutines, and what else the runtime takes spans for by hand
	ACCOUNT_OTHER,  // everything outside the heap's mappings: code, runtime tables, C, files
	ACCOUNT_COUNT,
};

struct ledger {
	bool known;                    // false: the kernel did not tell which pages are in memory
	uint64_t resident_bytes;       // what the accounts add up to
	uint64_t bytes[ACCOUNT_COUNT]; // of resident memory
};

const char *ledger_account_name(enum account account);

void ledger_compute(const struct analysis *analysis, struct ledger *out);

#endif
