// The whole way from a process to an explained heap: capture, read, graph, agreement, types, names,
// dominators.
//
//	struct analysis *analysis;
//	struct error *err = analysis_open("4711", &options, &analysis);
//	... graph_retained(analysis->graph, analysis->holders[0].node) ...
//	analysis_close(analysis);
//
// The order keeps the frozen copy short and the memory low: whatever needs the target's bytes comes
// before analysis_release_target(), which the caller calls as soon as it has asked its last
// typing_edge(). An interruption (base/cancel.h) ends it between phases with ERROR_CANCELLED; the
// target is let go as after any error.
#ifndef GRAPH_ANALYSIS_H
#define GRAPH_ANALYSIS_H

#include "base/progress.h"
#include "goruntime/goroutine.h"
#include "goruntime/roots.h"
#include "goruntime/typing.h"
#include "graph/agreement.h"
#include "graph/graph.h"
#include "target/process.h"

struct analysis_options {
	struct capture_options capture;
	const char *exe;                 // of a core: the program that wrote it; NULL: looked for
	unsigned threads;                // 0: one a processor, at most 4
	const struct progress *progress; // NULL: nobody watches
	// Who gets the captured target when no runtime of Go's is found in it, to look at it otherwise
	// without stopping it again; NULL: nobody. Untouched when nothing was captured.
	struct target **rejected;
};

enum holder_kind {
	HOLDER_GLOBAL,    // one variable
	HOLDER_GOROUTINE, // all goroutines with the same stack, state and creator
	HOLDER_FINALIZER, // everything kept because a finalizer or cleanup will need it
	HOLDER_QUEUE,     // finalizers and cleanups that are ready to run
	HOLDER_RUNTIME,   // the runtime's own
};

// Who keeps objects alive, in the units that a report speaks of. Its retained size is
// graph_retained(graph, node).
struct holder {
	enum holder_kind kind;
	node_id node;
	uint32_t goroutines;      // HOLDER_GOROUTINE: how many
	uint32_t first_goroutine; // ... and the first one's index; UINT32_MAX otherwise
	uint64_t longest_wait_ns;
	bool named; // HOLDER_GLOBAL: `global` is filled in, else only global.start
	struct global_name global;
};

// Where a path begins: the finest thing that points into the heap. Node graph_holder_node(graph, i)
// for entry i.
struct root_holder {
	uint32_t holder;     // index in `holders`
	uint32_t goroutine;  // UINT32_MAX: none
	uint32_t first_root; // index in roots.list of its first root; UINT32_MAX: none
};

struct analysis_timings {
	uint64_t capture, read, graph, mark; // ns
	uint64_t typing, dominators;         // at the same time, if there are two threads
	uint64_t started;                    // clock_ns() at the start
};

struct analysis {
	struct target *target;
	struct go_runtime *runtime;
	struct heap *heap;
	struct goroutine_list *goroutines;
	struct roots roots;
	struct graph *graph; // with its dominators, tree and paths
	struct typing *typing;
	struct agreement agreement;

	struct root_holder *root_holders;
	uint32_t root_holder_count;
	struct holder *holders; // in no particular order
	uint32_t holder_count;
	uint32_t *goroutine_holders; // by goroutine: the holder that it belongs to

	unsigned threads; // that phases may use
	struct analysis_timings timings;
};

// `name` is a process id or a core file.
struct error *analysis_open(
	const char *name, const struct analysis_options *options, struct analysis **out);
void analysis_close(struct analysis *analysis); // accepts NULL

// The first step alone: the process is captured, the core opened.
struct error *analysis_open_target(
	const char *name, const struct analysis_options *options, struct target **out);

// Lets the process go. typing_edge() knows nothing from here on.
void analysis_release_target(struct analysis *analysis);

#endif
