// What the runtime has attached to objects: finalizers, cleanups, weak handles, profile records.
#ifndef GORUNTIME_SPECIALS_H
#define GORUNTIME_SPECIALS_H

#include "goruntime/heap.h"

struct special {
	remote_addr address; // of the runtime.special
	uint8_t kind;        // compare with those in struct layout
	object_id object;
};

// Calls visit for each special of the span's objects; false stops. Returns false when it was
// stopped, and counts a damaged list in `runtime->memory.faults`.
typedef bool (*special_visit)(void *context, const struct special *special);
bool specials_walk(
	const struct heap *heap, const struct span *span, special_visit visit, void *context);

#endif
