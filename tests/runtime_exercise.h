// Everything that heapwhy does with a runtime, from opening it to the types, on any target.
#ifndef TESTS_RUNTIME_EXERCISE_H
#define TESTS_RUNTIME_EXERCISE_H

#include "graph/agreement.h"

struct runtime_outcome {
	struct agreement agreement;
	uint64_t allocated_bytes;
	uint64_t faults;        // of reading the heap's contents
	uint64_t typed_objects; // exactly, as if stripped
	uint32_t goroutines;
	size_t roots;
	unsigned root_kinds; // bit k: there are roots of kind k
};

struct error *runtime_exercise(struct target *target, struct runtime_outcome *out);

#endif
