// Inside typing: how its steps tell what they know. For typing*.c only.
//
// A step makes claims: "at this address lie `count` values of this type". A claim about a heap
// object is kept when it is better than what the object has (it covers more, see claim_rank in
// typing_claims.c: strictly monotonic, so spreading ends), and the object is queued.
// typing_propagate() then reads the queued objects span by span, checks each claim against the
// collector's own pointer bits, and claims what their pointers, slices, strings, interfaces, maps,
// channels and closures lead to. Nothing recurses, nothing is trusted: lengths, counts and pointers
// are bounded by the slots they lie in.
//
//	typing_claim_memory(typing, symbol.address, type, 1);   // a global: everything it leads to
//	err = typing_propagate(typing);
#ifndef GORUNTIME_TYPING_CLAIMS_H
#define GORUNTIME_TYPING_CLAIMS_H

#include "goruntime/typing.h"

// At `address`, in the heap or in a module's data, lie `count` values of `type`. Anything else is
// ignored.
void typing_claim(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count);

// The same for memory that is no heap object and no module data either, or that is to be followed
// in any case: globals, stack variables in memory. It is read when typing_propagate() comes to it.
void typing_claim_memory(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count);

// `bytes` (type->size of them) are a value of `type` put together from pieces, such as a local that
// lies partly in registers. Its words that hold nothing live must be zero. Claims at once what its
// pointers lead to.
void typing_claim_value(struct typing *typing, const struct go_type *type, const void *bytes);

// `address` is a closure object (a func value points to it).
void typing_claim_closure(struct typing *typing, remote_addr address);

// What a closure whose code starts at `code` captures: a synthetic struct type whose word 0 is the
// code. The first one known stays unless `better`.
void typing_set_captures(
	struct typing *typing, remote_addr code, const struct go_type *captures, bool better);

// What is known of the closures whose code starts at `code`, or NULL.
const struct go_type *typing_captures(const struct typing *typing, remote_addr code);

// Names the memory of a global variable. Earlier and exact entries win where two overlap.
void typing_add_global(struct typing *typing, const struct global_name *global);

// Follows all queued claims to the end.
struct error *typing_propagate(struct typing *typing);

// Memory that lives as long as the typing; cleared. NULL when out of memory, which is then
// remembered: typing_run() fails with it at its next step.
void *typing_alloc(struct typing *typing, size_t bytes);

struct heap *typing_heap(struct typing *typing);

#endif
