// Who can still be woken? The proof behind goroutine-leak.
//
// A blocked goroutine can be woken only through one of the objects it waits for, so only by somebody who can reach
// that. Start with all who need not be woken (holders that are no blocked goroutine) and follow their pointers, but not
// through what the blocked ones hold. When that leads to an object that somebody waits for, he can be woken: follow
// his pointers as well, and so on until nothing new comes up. The others can never run again: the least fixed point, as
// in Saioc and others, "Dynamic partial deadlock detection and recovery via garbage collection" (ASPLOS 2025).
//
// An object that somebody can reach is taken for one that he may use: a proof of being leaked is a proof, not being
// proven leaked means nothing.
#ifndef RULES_WAKEABLE_H
#define RULES_WAKEABLE_H

#include "graph/walk.h"

// One blocked goroutine.
struct blocked {
	node_id holder;        // its node in the graph; NODE_NONE when it holds nothing
	uint32_t first, count; // in `objects`: what it waits for. None: it waits for ever
};

struct blocked_list {
	const struct blocked *items;
	uint32_t count;
	const object_id *objects;
	const object_id *obstacles; // lead from one to whom he waits with: the runtime's sudogs
	size_t obstacle_count;
};

// Sets woken[i] for each that can be woken. Holders 0 .. holder_count - 1 of the graph that are not in the list are
// where it starts. *walk has met what those and the woken can reach, and goes on from there; to be destroyed by the
// caller.
struct error *wakeable_find(struct graph *graph, uint32_t holder_count,
	const struct blocked_list *list, bool *woken, struct graph_walk **walk);

#endif
