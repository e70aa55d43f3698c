// Inside typing: following values through one function's code.
//
// An abstract run over the steps of a function: what each register and stack slot holds, as far as that is an address, a
// pointer to a value of known type, or the result of a call. States meet where ways through the code meet, and only
// what is equal on all of them survives; loops are run until nothing changes.
#ifndef GORUNTIME_TYPING_FLOW_H
#define GORUNTIME_TYPING_FLOW_H

#include "goruntime/typing_private.h"
#include "goruntime/typing_decode.h"

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

enum call_kind {
	CALL_OTHER,
	CALL_NEW,        // (type) -> pointer
	CALL_MALLOC,     // (size, type) -> pointer
	CALL_MAKE_SLICE, // (elem type, ...) -> pointer to array
	CALL_GROW_SLICE,
	CALL_MAP,        // (map type, map, ...)
	CALL_MAKE_VALUE, // (map or chan type, ...) -> map or chan
	CALL_MAKE_MAP,   // () -> map
	CALL_BARRIER,    // write barrier: keeps all registers
	CALL_MORE_STACK, // keeps the closure's object
	CALL_DUFF,       // zeroes or copies memory: keeps most registers
	CALL_STORE,      // (address, pointer)
	CALL_NO_RETURN,
};

enum value_kind {
	VALUE_NONE,
	VALUE_NIL,
	VALUE_ADDRESS, // `what` is the address
	VALUE_LOADED,  // the word at address `what`
	VALUE_POINTER, // pointer to a *(struct go_type *)what
	VALUE_ARRAY,   // pointer to an array of them
	VALUE_TYPED,   // a value of that pointer-shaped type
	VALUE_RESULT,  // what the function at `what` returned
};

struct flow_value {
	uint64_t what;
	enum value_kind kind;
	uint32_t
		maker; // tells apart what different instructions allocated: offset in the function, 0: none
};

static inline const struct go_type *flow_value_type(const struct flow_value *value)
{
	return (const struct go_type *)(uintptr_t)value->what;
}

// What all functions have in common.
struct flow_program {
	struct type_table *types;
	const struct pclntab *pclntab;
	const uint8_t *text; // the code of [start, end)
	remote_addr start, end;
	remote_addr data_start, data_end;
	bool grow_slice_type_first; // growslice(type, slice, cap) to 1.19; (ptr, len, cap, n, type) from 1.20
	struct hw_map calls;     // entry -> enum call_kind
	struct hw_map receivers; // entry of a method -> struct go_type of its pointer receiver
	const struct go_type
		*map_header;    // runtime.hmap or maps.Map, NULL when the program has none
	struct hw_map generics; // entry of a method of a generic type -> its name
	struct hw_map takers;   // entry of a function of the runtime -> bits of the registers in
				// which it is given addresses of variables
	// Entry of a closure -> struct go_type that RDX points to; NULL: not known yet.
	const struct hw_map *captures;
};

struct flow_store {
	remote_addr address; // of the global
	struct flow_value value;
};
struct flow_closure {
	remote_addr code;
	const struct go_type *type;
};
// A method of a generic type is called for a global, with a dictionary that tells which instance it is.
struct flow_generic {
	remote_addr address, dictionary, method;
	enum fact_kind kind;
};

// What one thread found.
struct flow_findings {
	HW_VECTOR(struct code_fact) facts;
	HW_VECTOR(struct flow_store) stores;
	HW_VECTOR(struct code_reference) references;
	HW_VECTOR(struct flow_closure) closures;
	HW_VECTOR(struct flow_generic) generics;
	HW_VECTOR(const struct go_type *) maps; // whose operations flow_frame()'s function calls
	struct hw_map
		returns; // entry of a function -> index in return_values, if all its returns agree
	HW_VECTOR(struct flow_value) return_values;
	uint64_t bytes, functions;
	bool no_memory;
};
void flow_findings_init(struct flow_findings *findings);
void flow_findings_deinit(struct flow_findings *findings);

// A word of the frame that holds a known value while a call is running.
struct flow_slot {
	int64_t offset; // from RSP
	struct flow_value value;
};
enum { FLOW_SLOTS_MAX = 48 };

// Is it the struct of a closure object: struct { F uintptr; captured variables }?
bool flow_is_closure_type(const struct go_type *type);

struct flow;
struct flow *flow_create(
	const struct flow_program *program, struct flow_findings *findings); // NULL: out of memory
void flow_destroy(struct flow *flow);                                        // accepts NULL

// Adds what the function tells to the findings, if a look at its bytes promises anything.
void flow_function(struct flow *flow, uint32_t index, remote_addr entry, remote_addr end);

// What is known of a frame beforehand. Offsets are from RSP.
struct flow_frame {
	remote_addr entry, end; // of its function
	remote_addr pc;         // that the call it waits for returns to
	int64_t locals_end;     // here begin what the call saved and the caller's words
	// The variables that have pointers and whose addresses are taken, all of them.
	const struct flow_object {
		int64_t offset, size;
	} * objects;
	size_t object_count;
};

// What the frame holds during the call. Returns how many of `slots` were filled. Adds the types of the maps that the
// function works with to the findings.
unsigned flow_frame(
	struct flow *flow, const struct flow_frame *frame, struct flow_slot slots[FLOW_SLOTS_MAX]);

#endif
