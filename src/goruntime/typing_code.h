// Inside typing: what the program's own machine code tells about types, for executables without debug information.
//
// The scan runs over each function once, following constants through registers and stack slots:
//   - closures: newobject(T), then the address of code stored to its first word: what a closure of that code captures
//   - globals: a fresh T stored to one, a call that only makes sense if it holds a T (append, map operations, methods)
//   - which functions refer to which globals, for names
// Only amd64 is decoded; other targets have an empty result.
#ifndef GORUNTIME_TYPING_CODE_H
#define GORUNTIME_TYPING_CODE_H

#include "goruntime/typing_private.h"

enum fact_kind {
	FACT_POINTER, // the word points to a `type`
	FACT_SLICE,   // the three words are a []type
	FACT_VALUE,   // the word is a value of the pointer-shaped `type` (map, chan)
	FACT_IS,      // a `type` lies there
};

// Something the code says about a word of a module's data.
struct code_fact {
	remote_addr address;
	const struct go_type *type;
	enum fact_kind kind;
	uint32_t votes;
};

// Function `function` of module 0 refers to a word of data.
struct code_reference {
	remote_addr address;
	uint32_t function;
};

struct typing_code {
	HW_VECTOR(struct code_fact) facts;           // by address; the best one first
	HW_VECTOR(struct code_reference) references; // by address
	struct hw_map
		allocated; // ids of types that the code allocates -> bit 0: one, bit 1: arrays
	uint64_t bytes, functions, allocations, typed_allocations;
};

// The fact about `address` with the most votes, or NULL.
const struct code_fact *code_fact_at(const struct typing_code *code, remote_addr address);

#endif
