// What a function of the runtime refers to: the addresses in its instructions. A second witness for
// variables that were found by their structure, and the only one for plain words such as gcphase.
#ifndef GORUNTIME_OPERANDS_H
#define GORUNTIME_OPERANDS_H

#include "goruntime/runtime.h"

struct operand {
	remote_addr address; // in the main program's data
	bool load;           // a whole word is loaded from there into a register
	bool address_taken;  // only the address is loaded (lea)
};

// The memory operands relative to the program counter in the main program's function `name`, in
// order, as far as they lie in its data; at most `max`. Returns how many, 0 when there is no such
// function.
size_t function_operands(
	const struct go_runtime *runtime, const char *name, struct operand *out, size_t max);

#endif
