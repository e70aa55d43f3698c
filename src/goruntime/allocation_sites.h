// Where objects were allocated, as far as the program's own heap profile sampled them: about one object for each 512 KiB
// allocated, so large objects nearly always and small ones rarely. A program that cannot be asked for its heap profile
// (nothing in it refers to runtime.MemProfile) samples nothing.
//
//	struct allocation_sites *sites;
//	struct error *err = allocation_sites_open(heap, &sites);        // reads the target, as does asking
//	size_t count = allocation_stack(sites, id, positions, ARRAY_COUNT(positions));
//	allocation_sites_close(sites);
#ifndef GORUNTIME_ALLOCATION_SITES_H
#define GORUNTIME_ALLOCATION_SITES_H

#include "debuginfo/pclntab.h"
#include "goruntime/heap.h"

struct allocation_sites;

struct error *allocation_sites_open(struct heap *heap, struct allocation_sites **out);
void allocation_sites_close(struct allocation_sites *sites); // accepts NULL

// NULL: no object was.
bool allocation_is_sampled(const struct allocation_sites *sites, object_id id);

// The calls that led to the allocation, innermost first, from the program's own code on; their names live as long as the
// runtime. Returns how many were written, 0 when the object was not sampled.
size_t allocation_stack(
	const struct allocation_sites *sites, object_id id, struct pcln_position *out, size_t max);

#endif
