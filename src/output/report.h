// The report as plain data: what `heapwhy TARGET` says, ready to be written as text or JSON.
//
// Nothing in it refers to the target or the analysis it was made from. Every string has been
// cleaned (text_append_untrusted): valid UTF-8 without control characters, so a writer may print it
// as it is. Sizes are bytes of size-class slots. Lists are sorted, largest first. Everything lives
// in the report's arena.
//
//	struct report *report;
//	struct error *err = report_build(&analysis, &options, &report);
//	err = report_text(report, &style, &text);
//	report_destroy(report);
#ifndef OUTPUT_REPORT_H
#define OUTPUT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "goruntime/runtime_memory.h"
#include "graph/agreement.h"
#include "heapwhy/arena.h"

struct analysis;
struct path_node;

// One account of the ledger: bytes of resident memory. The accounts add up to resident_bytes.
struct report_account {
	const char *name;
	uint64_t bytes;
};

// One step of the way from a holder down to what makes it big. Step 0 is the holder's variable or
// goroutine; each following one stands for all objects of one type that hang below the step before.
struct report_step {
	const char *kind; // "global", "stack", "object", ...
	const char *name; // the variable's name, or how the step before refers to it (".body",
			  // "captured x"); may be ""
	const char *type;
	uint64_t count; // objects
	uint64_t bytes; // retained by them
	bool at_least;  // counting stopped here: there are more
	bool internal;  // how Go builds a map, say: of no interest to most readers
};

struct report_holder {
	const char *name; // "main.cache", "1,000 goroutines in main.worker", "finalizers"
	const char *kind; // "global", "goroutine", "finalizer", "other"
	const char *type; // of a global, "" when unknown
	bool name_exact;  // false: the name was derived from the code that refers to it
	uint64_t shared;  // not a holder: so many objects that several holders keep; 0 otherwise
	const char **held_by; // some of those that refer to a shared object
	uint32_t held_by_count;
	uint64_t held_by_more; // how many others were seen
	uint64_t retained_bytes, objects;
	struct report_step *path;
	uint32_t path_count;
};

struct report_type {
	const char *name;
	uint64_t objects, bytes, retained_bytes;
	bool guessed, untyped;
};

struct report_frame {
	const char *function, *file; // file "" when unknown
	int32_t line;
};

struct report_stack {
	struct report_frame *frames; // innermost first
	uint32_t count;
	struct report_frame created_by; // function "" when unknown
};

// Goroutines with the same stack, state and creator.
struct report_goroutines {
	const char *state; // Go's own words: "chan send"
	uint64_t count, retained_bytes;
	uint64_t longest_wait_ns;
	uint64_t first_id; // the lowest goroutine id of the group
	bool system;
	struct report_stack stack;
};

// Something that is held for nothing (rules/rule.h).
struct report_finding {
	const char *rule, *account;
	uint64_t bytes, objects;
	const char *type; // "" when unknown
	bool proven;
	const char *what, *remedy, *condition; // sentences; `condition` may be ""
	uint64_t remedy_bytes;
	struct path_node *path; // from a root to one object that stands for all; may be empty
	uint32_t path_count;
	struct report_frame *allocated_at; // where that was allocated, innermost first; empty when
					   // the program's heap profile did not sample it
	uint32_t allocated_at_count;
	struct report_stack stack; // of a goroutine that it is about; empty for none
	const char *state;         // ... what that waits for, "" for none
	uint64_t longest_wait_ns;
};

struct report_heap {
	uint64_t live_bytes, live_objects;
	uint64_t garbage_bytes, garbage_objects;
	uint64_t typed_bytes, typed_objects;     // exactly
	uint64_t guessed_bytes, guessed_objects; // by likeness, not counted above
	uint64_t free_slot_bytes;                // in spans in use
	uint64_t
		unswept_bytes; // dead, and not yet freed by the sweeper; MemStats counts them as allocated
	uint64_t in_use_bytes; // spans in use
	// Of the live ones (ledger/windows.h): what nobody can see again, capacity beyond the length, empty slots of maps; and
	// what counts as seen only because nothing is known.
	uint64_t pinned_bytes, spare_bytes, slack_bytes, unjudged_bytes;
	uint64_t edges;
};

struct report_timings {
	double capture, read, graph, mark, typing, dominators, rules, total; // milliseconds
};

struct report {
	struct hw_arena arena;

	const char *target_kind; // "process"
	int pid;
	const char *exe, *go_version, *arch;
	bool stripped, pie, debug_info;
	const char *build_id; // "" when unknown
	uint64_t run_id;   // the same for all targets taken of one run of the program; 0: unknown
	uint64_t clock_ns; // when it was taken, by that machine's CLOCK_MONOTONIC; 0: unknown

	const char *capture_method; // "fork", "stop"
	const char *capture_reason; // why not the usual method, or ""
	uint64_t pause_ns;
	uint64_t threads, goroutine_count;

	struct agreement agreement; // its `why` is clean too
	uint64_t resident_bytes;
	struct report_account *ledger;
	uint32_t ledger_count;
	struct runtime_counters counters; // what the runtime itself says
	struct report_heap heap;

	struct report_type *types;
	uint32_t type_count;
	struct report_holder *holders;
	uint32_t holder_count;
	uint64_t holders_left_out; // small ones
	struct report_goroutines *goroutines;
	uint32_t goroutines_count; // groups

	struct report_finding *findings;
	uint32_t finding_count;
	uint64_t finding_bytes;     // held for nothing, by all findings together
	uint64_t findings_left_out; // small ones

	const char *notes; // about how the runtime was found, "" when nothing
	struct report_timings timings;
	uint64_t peak_memory_bytes; // heapwhy's own
};

struct report_options {
	bool only_ledger; // target, heap and ledger: holders, findings, goroutines and types stay empty
	uint32_t paths; // so many of the largest holders get a path below their first step
};

struct error *report_build(
	struct analysis *analysis, const struct report_options *options, struct report **out);
void report_destroy(struct report *report); // accepts NULL

#endif
