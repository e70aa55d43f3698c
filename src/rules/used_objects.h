// What code keeps that looks at memory in a known way (goruntime/code_use.h), in the objects at hand.
//
//	struct used_objects used;
//	err = used_objects_find(run, reader, use, &closure, &used);
//	use_them(used.kept.items, used.kept.count);
//	used_objects_deinit(&used);
#ifndef RULES_USED_OBJECTS_H
#define RULES_USED_OBJECTS_H

#include "goruntime/code_use.h"
#include "heapwhy/vector.h"
#include "rules/rule.h"

// Where the pointer of a node leads.
struct used_place {
	remote_addr address;
	object_id object; // OBJECT_NONE: nowhere, or it is among those that are kept
	uint64_t
		element; // bytes of the elements that the pointer is known to lead to; 0: not known
	uint64_t seen;   // bytes of it that are looked at
};

struct used_objects {
	struct rule_run *run;
	struct heap_reader *reader;
	const struct code_use *use;
	struct used_place places[USE_NODES_MAX];
	HW_VECTOR(node_id) kept; // may be looked at, with all that they lead to
	bool no_memory;
};

// `first`: what the nodes without a parent point to. To be deinitialised after an error, too.
struct error *used_objects_find(struct rule_run *run, struct heap_reader *reader,
	const struct code_use *use, const remote_addr *first, struct used_objects *out);
void used_objects_deinit(struct used_objects *used);

#endif
