// What a closure's code can look at of what the closure captured.
//
// Found by following the captured words through the machine code of the function, and of the functions that it calls with
// them: which words of which memory are read, and where a pointer goes that cannot be followed any further (another
// goroutine's memory, an unknown function, the caller). Whatever is not understood counts as looked at; so what is not is
// shown not to be needed.
//
//	struct closure_uses *uses;
//	err = closure_uses_create(runtime, &uses);
//	err = closure_use_find(uses, code, 2, &use);        // of func() string: two words of results
//	if (use && !use->nodes[0].whole)
//		...                                         // something it captured may be unused
//	closure_uses_destroy(uses);
//
// Only amd64 code is read; of other code nothing is known.
#ifndef GORUNTIME_CLOSURE_USE_H
#define GORUNTIME_CLOSURE_USE_H

#include "goruntime/types.h"

enum { USE_NODES_MAX = 64, USE_WINDOWS_MAX = 12, USE_DEPTH_MAX = 4, USE_RESULTS_MAX = 9 };

// Bytes that the code may look at.
struct use_window {
	uint32_t offset; // from where the pointer leads
	uint32_t count;  // bytes, or elements if it is a slice's or a string's array
	bool elements;
	bool opaque; // what pointers in there lead to may be looked at, too
};

// Memory that a word leads to: node 0 is the closure's object, another's pointer is the word at `word` of its parent, which
// comes before it.
struct use_node {
	uint32_t parent, word;
	uint32_t depth;
	bool whole; // all of it, and all that it leads to, may be looked at
	uint32_t window_count;
	struct use_window windows[USE_WINDOWS_MAX];
};

struct closure_use {
	uint32_t count;
	struct use_node nodes[USE_NODES_MAX];
};

// How many registers hold what a func of this type returns, at most.
unsigned func_result_registers(
	struct type_table *types, struct memory *memory, const struct go_type *func);

struct closure_uses;
struct error *closure_uses_create(struct go_runtime *runtime, struct closure_uses **out);
void closure_uses_destroy(struct closure_uses *uses); // accepts NULL

// Of closures with this code. `results`: so many registers hold results when it returns; USE_RESULTS_MAX when that is not
// known. NULL when nothing is known. It lives as long as `uses`.
struct error *closure_use_find(struct closure_uses *uses, remote_addr code, unsigned results,
	const struct closure_use **out);

#endif
