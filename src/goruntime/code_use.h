// What code can look at of what it has: a closure's of what the closure captured, that of a function which waits for a call of
// what its frame holds.
//
// Found by following the pointers through the machine code of the function, and of the functions that it calls with them:
// which words of which memory are read, and where a pointer goes that cannot be followed any further (another goroutine's
// memory, an unknown function, the caller). Whatever is not understood counts as looked at; so what is not is shown not to
// be needed.
//
//	struct code_uses *uses;
//	err = code_uses_create(runtime, &uses);
//	err = code_use_of_closure(uses, code, 2, &use);     // of func() string: two words of results
//	if (use && !use->nodes[0].whole)
//		...                                         // something it captured may be unused
//	code_uses_destroy(uses);
//
// Only amd64 code is read; of other code nothing is known.
#ifndef GORUNTIME_CODE_USE_H
#define GORUNTIME_CODE_USE_H

#include "goruntime/goroutine.h"
#include "goruntime/types.h"

enum {
	USE_NODES_MAX = 64,
	USE_WINDOWS_MAX = 12,
	USE_DEPTH_MAX = 4,
	USE_RESULTS_MAX = 9,
	USE_SLOTS_MAX = 32,
};

// Bytes that the code may look at.
struct use_window {
	uint32_t offset; // from where the pointer leads
	uint32_t count;  // bytes, or elements if it is a slice's or a string's array
	bool elements;
	bool opaque; // what pointers in there lead to may be looked at, too
};

// Memory that a word leads to. The first nodes are what the code has: the closure's object, or what the slots of a frame
// point to. Another's pointer is the word at `word` of its parent, which comes before it.
struct use_node {
	uint32_t parent, word;
	uint32_t depth;
	bool whole; // all of it, and all that it leads to, may be looked at
	uint32_t window_count;
	struct use_window windows[USE_WINDOWS_MAX];
};

struct code_use {
	uint32_t first; // so many nodes have no parent
	uint32_t count;
	struct use_node nodes[USE_NODES_MAX];
};

// How many registers hold what a func of this type returns, at most.
unsigned func_result_registers(
	struct type_table *types, struct memory *memory, const struct go_type *func);

struct code_uses;
struct error *code_uses_create(struct go_runtime *runtime, struct code_uses **out);
void code_uses_destroy(struct code_uses *uses); // accepts NULL

// Of closures with this code. `results`: so many registers hold results when it returns; USE_RESULTS_MAX when that is not
// known. NULL when nothing is known. It lives as long as `uses`.
struct error *code_use_of_closure(
	struct code_uses *uses, remote_addr code, unsigned results, const struct code_use **out);

// What is asked about a frame. Who sends to a channel or closes it looks at it in neither case.
enum frame_question {
	FRAME_RECEIVES, // who may receive from channels
	FRAME_WAKES, // or wake others: who takes or releases a lock looks at all that it belongs to
};

// The same for what is still to be executed of the function that the frame is of, which waits for a call to return: node i is
// what the word at slots[i] points to. NULL also for frames that wait for no call, and for more than USE_SLOTS_MAX slots.
struct error *code_use_of_frame(struct code_uses *uses, enum frame_question question,
	const struct frame *frame, const remote_addr *slots, unsigned count,
	const struct code_use **out);

#endif
