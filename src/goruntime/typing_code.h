// Inside typing: what the program's own machine code tells about types, for executables without debug information.
//
// The scan runs over each function once, following constants through registers and stack slots:
//   - closures: newobject(T), then the address of code stored to its first word: what a closure of that code captures
//   - globals: a fresh T stored to one, a call that only makes sense if it holds a T (append, map operations, methods)
//   - which functions refer to which globals, for names
// Only amd64 is decoded; other targets have an empty result.
#ifndef GORUNTIME_TYPING_CODE_H
#define GORUNTIME_TYPING_CODE_H

#include "goruntime/typing_flow.h"

struct typing_code {
	struct flow_program *program; // NULL: not amd64, or the text could not be read
	struct hw_map returns;        // entry of a function -> index in return_values
	HW_VECTOR(struct flow_value)
	return_values; // what every call of it returns; never another function's result
	HW_VECTOR(struct code_fact) facts;           // by address; the best one first
	HW_VECTOR(struct code_reference) references; // by address
	uint64_t bytes, functions;
};

// The fact about `address` with the most votes, or NULL.
const struct code_fact *code_fact_at(const struct typing_code *code, remote_addr address);

// Index of the first reference to `address` or behind it.
size_t code_first_reference(const struct typing_code *code, remote_addr address);

// Length of the package's path in a function's name.
size_t code_package_length(const char *name);

// What `value` is when it is the result of a call: what that function returns, through functions that return others'
// results. Other values stay what they are; VALUE_NONE when unknown.
struct flow_value code_result(const struct typing_code *code, struct flow_value value);

// Claims what `word` points to, if it holds `value`.
void typing_claim_flow(struct typing *typing, remote_addr word, const struct flow_value *value);

#endif
