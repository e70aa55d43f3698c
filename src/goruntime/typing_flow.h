// Inside typing: following constants through one function's instructions.
//
// An abstract run over the code from top to bottom: what each register and stack slot holds, as far as that is an address,
// a freshly allocated value, or the result of a call. States meet at branch targets, where only what is equal on all ways
// survives; a target that something jumps back to starts from nothing.
#ifndef GORUNTIME_TYPING_FLOW_H
#define GORUNTIME_TYPING_FLOW_H

#include "goruntime/typing_code.h"

enum call_kind {
	CALL_OTHER,
	CALL_NEW,        // (type) -> pointer
	CALL_MALLOC,     // (size, type) -> pointer
	CALL_MAKE_SLICE, // (elem type, ...) -> pointer to array
	CALL_GROW_SLICE,
	CALL_MAP,        // (map type, map, ...)
	CALL_MAKE_VALUE, // (map or chan type, ...) -> map or chan
	CALL_BOX,        // (type, value) -> pointer that goes into an interface
	CALL_BARRIER,    // write barrier: keeps all registers
	CALL_DUFF,       // zeroes or copies memory: keeps most registers
};

enum value_kind {
	VALUE_NONE,
	VALUE_ADDRESS, // `what` is the address
	VALUE_LOADED,  // the word at address `what`
	VALUE_NEW,     // pointer to a fresh *(struct go_type *)what
	VALUE_ARRAY,   // pointer to a fresh array of them
	VALUE_TYPED,   // a value of that pointer-shaped type
	VALUE_RESULT,  // what the function at `what` returned
};

struct flow_value {
	uint64_t what;
	enum value_kind kind;
	uint32_t serial; // tells apart what different instructions made
};

struct flow_program {
	struct type_table *types;
	const struct pclntab *pclntab;
	const uint8_t *text; // the code of [start, end)
	remote_addr start, end;
	remote_addr data_start, data_end;
	bool grow_slice_type_first; // growslice(type, slice, cap) to 1.19; (ptr, len, cap, n, type) from 1.20
	struct hw_map calls;     // entry -> enum call_kind
	struct hw_map receivers; // entry of a method -> struct go_type of its pointer receiver
};

struct flow_store {
	remote_addr address; // of the global
	struct flow_value value;
};
struct flow_closure {
	remote_addr code;
	const struct go_type *type;
};
struct flow_allocation {
	const struct go_type *type;
	bool array;
};

// What one thread found.
struct flow_findings {
	HW_VECTOR(struct code_fact) facts;
	HW_VECTOR(struct flow_store) stores;
	HW_VECTOR(struct code_reference) references;
	HW_VECTOR(struct flow_closure) closures;
	HW_VECTOR(struct flow_allocation) allocations;
	struct hw_map
		returns; // entry of a function -> index in return_values, if all its returns agree
	HW_VECTOR(struct flow_value) return_values;
	uint64_t bytes, functions, allocation_calls;
	bool no_memory;
};
void flow_findings_init(struct flow_findings *findings);
void flow_findings_deinit(struct flow_findings *findings);

struct flow;
struct flow *flow_create(
	const struct flow_program *program, struct flow_findings *findings); // NULL: out of memory
void flow_destroy(struct flow *flow);                                        // accepts NULL
void flow_function(struct flow *flow, uint32_t index, remote_addr entry, remote_addr end);

#endif
