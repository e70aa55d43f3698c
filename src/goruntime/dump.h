// What of a Go program must be in a core so that it can be analysed: spans in use, the runtime's own
// memory, stacks, global variables; not reserved address space, and not what the executable holds.
//
//	struct dump_ranges ranges = HW_VECTOR_INIT;
//	struct error *err = dump_select(heap, false, &ranges);
//	hw_vector_deinit(&ranges);
#ifndef GORUNTIME_DUMP_H
#define GORUNTIME_DUMP_H

#include "goruntime/heap.h"
#include "heapwhy/vector.h"
#include "target/core_write.h"

struct dump_ranges {
	struct core_range *items;
	size_t count, capacity;
};

// `program`: also what the executable's file holds, so that the core can be analysed without it.
struct error *dump_select(struct heap *heap, bool program, struct dump_ranges *out);

// Zeroes what nobody else may see: heap objects without pointers, free slots, and the arguments and
// environment of the process. For core_contents.redact; `heap` is a struct heap.
void dump_redact(void *heap, remote_addr address, uint8_t *bytes, size_t size);

#endif
