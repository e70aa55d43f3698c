// Where code addresses and goroutines are, in the words of the program.
#ifndef GORUNTIME_POSITIONS_H
#define GORUNTIME_POSITIONS_H

#include "debuginfo/pclntab.h"
#include "goruntime/goroutine.h"

// The positions of one frame, innermost inlined call first. Returns how many were written.
size_t frame_positions(const struct go_runtime *runtime, const struct frame *frame,
	struct pcln_position *positions, size_t max);

// A function of the runtime's or of a lock's, below which a program's own terms begin: who waits is
// in main.worker, not in runtime.gopark.
bool function_is_plumbing(const char *function);

// The innermost function of a goroutine in its program's own terms; where it starts when there is
// none, "" when that is unknown, too.
const char *goroutine_function(const struct goroutine_list *list, uint32_t index);

#endif
