// Where the resident memory is: every resident byte in exactly one account.
//
//	struct ledger *ledger;
//	struct error *err = ledger_open(analysis, 0, &ledger);      // reads the heap
//	for (int i = 0; i < ACCOUNT_COUNT; i++)
//		printf("%s %" PRIu64 "\n", ledger_account_name(i), ledger->bytes[i]);
//	ledger_close(ledger);
//
// Objects are split by what is seen of them (windows.h), and by which of their pages are in memory: a
// large array that nobody wrote to takes none. docs/ledger.md tells where each number comes from.
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "goruntime/runtime_memory.h"
#include "ledger/windows.h"

struct analysis;

enum account {
	// Reachable objects:
	ACCOUNT_VIEWED, // somebody can see it, or nothing tells that nobody can
	ACCOUNT_PINNED, // nobody can ever see it again
	ACCOUNT_SPARE,  // capacity beyond the length of slices
	ACCOUNT_SLACK,  // empty slots of maps, places in channels' buffers
	// The rest of the heap:
	ACCOUNT_GARBAGE,  // allocated and unreachable: the next collection frees it
	ACCOUNT_ROUNDING, // more in a slot than its type needs; ends of spans too short for a slot
	ACCOUNT_FREE_SLOTS, // slots in spans in use that hold no object
	ACCOUNT_IDLE_SPANS, // the heap's pages in no span: free, not given back to the kernel
	ACCOUNT_STACKS,     // of goroutines, and the runtime's own
	// The runtime's own:
	ACCOUNT_WORK_BUFFERS,   // of the collector: objects yet to be scanned
	ACCOUNT_ARENA_TABLES,   // which span a page belongs to; pointer bitmaps up to 1.21
	ACCOUNT_PAGE_ALLOCATOR, // which pages are free
	ACCOUNT_SPAN_RECORDS,   // mspan, mcache
	ACCOUNT_HEAP_PROFILE,   // what pprof would show
	ACCOUNT_GC_METADATA,    // mark bits and the like
	ACCOUNT_OTHER_RUNTIME,
	// Everything else:
	ACCOUNT_BINARY, // code, data and bss of the executable
	ACCOUNT_THREAD_STACKS,
	ACCOUNT_C_HEAP,    // malloc's, and other memory that C code asked the kernel for
	ACCOUNT_LIBRARIES, // shared objects
	ACCOUNT_FILES,     // other files mapped into memory
	ACCOUNT_OTHER,     // shared memory, the kernel's own pages
	ACCOUNT_CHANGED,   // came between two readings of the kernel's numbers: not to be told
	ACCOUNT_COUNT,
};

struct ledger {
	bool known; // false: it is not known which pages are in memory, or what is garbage
	uint64_t resident_bytes;       // what the accounts add up to
	uint64_t bytes[ACCOUNT_COUNT]; // of resident memory
	uint64_t
		slack_bytes; // of slots, whether in memory or not (pinned and spare ones: see windows)
	uint64_t in_use_bytes; // spans in use
	struct runtime_counters counters;
	struct windows *windows;
};

const char *ledger_account_name(enum account account);

// Between typing and analysis_release_target(). `threads`: 0 means as many as the analysis has.
struct error *ledger_open(struct analysis *analysis, unsigned threads, struct ledger **out);
void ledger_close(struct ledger *ledger); // accepts NULL

#endif
