// Inside typing: parts, typed memory that is followed although no object's claim says so: what
// something points to within an object, a global, a stack variable.
//
// They wait in a queue of their own, which is emptied by the batch, in ascending order of addresses,
// and not one by one: parts lie close to each other, as elements of arrays and the first fields of
// neighbours, and reading the target costs by the call.
#ifndef GORUNTIME_TYPING_PARTS_H
#define GORUNTIME_TYPING_PARTS_H

#include "goruntime/heap.h"
#include "goruntime/types.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

struct typing;

enum { PARTS_MAX = 1 << 24 };

struct typed_memory {
	remote_addr address;
	uint32_t type : 31;   // its id
	uint32_t certain : 1; // to be followed even when its object is known as a whole
	uint32_t count;
};

struct parts {
	struct hw_map at;    // address -> type's id << 32 | count: what was queued already
	struct hw_map first; // object -> address of the part of it that was found first
	HW_VECTOR(struct typed_memory) queue;
};

void parts_init(struct parts *parts);
void parts_deinit(struct parts *parts);

// Queues `count` values of `type` unless something at that address covers as much. `certain`: not only until more is
// known of the object in which they lie.
void typing_add_part(struct typing *typing, remote_addr address, const struct go_type *type,
	uint64_t count, bool certain);

// Remembers the part at `address` as one of object `id`.
void typing_set_first_part(struct typing *typing, object_id id, remote_addr address);

// False when no part of the object is known.
bool typing_first_part(
	const struct typing *typing, object_id id, remote_addr *address, uint32_t *type);

// What waits, sorted; the queue is empty then. The caller frees it.
struct typed_memory *typing_take_parts(struct typing *typing, size_t *count);

// Spreading is over: only the first parts of objects that stayed untyped are kept, for their labels.
void typing_settle_parts(struct typing *typing);

#endif
