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
//
// A finalizer or cleanup can wake somebody only if it runs one day, so only if its object can die. An object that is
// met can: whoever has it may drop it. One that nothing at all refers to is dead. But one that leaked goroutines keep
// lives as long as they do, and one that its own finalizer leads back to for ever: what only such finalizers refer to is
// out of reach. Who has a weak pointer has what it leads to.
//
// Some of the objects may be late ones: they count only when nothing else wakes anybody any more. So those that would
// sleep for ever but for these can be told from the others.
#ifndef RULES_WAKEABLE_H
#define RULES_WAKEABLE_H

#include "graph/walk.h"

// One blocked goroutine.
struct blocked {
	node_id holder;        // its node in the graph; NODE_NONE when it holds nothing
	uint32_t first, count; // in `objects`: what it waits for. None: it waits for ever
};

struct blocked_object {
	object_id object;
	bool late;
};

// The finalizer or a cleanup of `object` refers to `to`; or `object` is the handle of weak pointers to `to`.
struct finalizing {
	object_id object, to;
};

struct blocked_list {
	const struct blocked *items;
	uint32_t count;
	const struct blocked_object *objects;
	const object_id *obstacles; // lead from one to whom he waits with: the runtime's sudogs
	size_t obstacle_count;
	const struct finalizing *finalizing;
	size_t finalizing_count;
	const node_id *finalizers; // the holders of all that is in `finalizing`; no place to start
	size_t finalizer_count;
};

enum wakeable { WAKEABLE_NEVER, WAKEABLE_LATE, WAKEABLE };

struct verdict {
	enum wakeable how;
	uint64_t bytes; // WAKEABLE_LATE: of what is reached from it and was not reached before
};

// Fills verdicts[i] for each of the list. Holders 0 .. holder_count - 1 of the graph that are not in the list are where
// it starts. *walk has met what those and the woken can reach, and goes on from there; to be destroyed by the caller.
struct error *wakeable_find(struct graph *graph, uint32_t holder_count,
	const struct blocked_list *list, struct verdict *verdicts, struct graph_walk **walk);

#endif
