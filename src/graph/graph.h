// The object graph: who points to whom, who is reachable, who dominates whom, what each holder
// retains.
//
// Nodes are numbered: 0 .. object_count - 1 are the heap's slots (object_id), then one node per
// holder (a global, a goroutine, the finalizers, ...), then one per group of holders (graph_group),
// then the virtual root, with small gaps between the kinds. Sizes are slot bytes; holders, groups
// and the root have size 0 and are not counted as objects.
//
//	struct graph *graph;
//	struct error *err = graph_extract(heap, 2, &graph);         // reads the target
//	err = graph_connect(graph, holder_count, edges, edge_count);
//	err = graph_dominate(graph);                                // the target is needed no longer
//	uint64_t bytes = graph_retained(graph, node);
//
// One thread at a time. How it works and what it costs: docs/graph.md. Memory: about 1 B a slot,
// 2-4 B an edge, and 28 B (later 16) for each object of the core: those with several predecessors,
// and what leads to them.
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "goruntime/heap.h"

struct graph;

typedef uint32_t node_id;
#define NODE_NONE UINT32_MAX

// Reads every allocated object's pointers into a compressed edge store, and keeps the heap's pointer
// bits for typing (heap_keep_pointer_bits). The only phase that reads the heap; the heap's `allocated` bitmap must live until graph_connect is done.
struct error *graph_extract(struct heap *heap, unsigned threads, struct graph **out);
void graph_destroy(struct graph *graph); // accepts NULL

// Takes an object's own references away, for those that somebody else speaks for: add them to a
// holder instead. Between graph_extract and graph_connect; graph_successors tells before what they
// are.
void graph_cut(struct graph *graph, object_id object);

// A root edge: holder `holder` (0 .. holder_count - 1) points to `object`. Conservative ones keep
// only allocated objects.
struct holder_edge {
	uint32_t holder;
	object_id object;
	bool precise;
};

// Adds the holders and marks what is reachable: first from precise edges, then from conservative
// ones.
struct error *graph_connect(
	struct graph *graph, uint32_t holder_count, const struct holder_edge *edges, size_t count);

// Puts a layer between the root and the holders: holder h hangs below group group_of[h] (0 ..
// group_count - 1; copied). A group's retained size is exact: what its members keep only together
// belongs to it. So holders can be fine (a word of a global, a goroutine) before names are known,
// and be reported together (the global, all goroutines at one place). Between graph_connect and
// graph_dominate; without it every holder hangs below the root.
struct error *graph_group(struct graph *graph, uint32_t group_count, const uint32_t *group_of);
node_id graph_group_node(const struct graph *graph, uint32_t group);

// Bitmaps over object ids, valid after graph_connect.
const uint64_t *graph_reached(const struct graph *graph); // reachable at all
const uint64_t *graph_reached_precisely(
	const struct graph *graph); // reachable from precise roots alone
uint64_t graph_reached_count(const struct graph *graph);
uint64_t graph_reached_bytes(const struct graph *graph);

node_id graph_holder_node(const struct graph *graph, uint32_t holder);
node_id graph_root_node(const struct graph *graph);

// Immediate dominators and retained sizes of everything reachable.
//
// What that needs is known beforehand. When it is more than half of the memory that this process
// can still have, the big arrays (those of later calls, too) go to an unlinked file in $TMPDIR or
// /var/tmp: slow rather than killed. ERROR_INTERNAL, with what to do, when there is no room for the
// file.
struct error *graph_dominate(struct graph *graph);

// Takes `bytes` for that limit; 0: half of what is left.
void graph_limit_memory(struct graph *graph, uint64_t bytes);

// A node's dominator is the last node that every path from the root to it passes: when that one
// goes, the node goes. NODE_NONE for the root and the unreachable. O(1) once paths are prepared.
node_id graph_dominator(struct graph *graph, node_id node);

// Bytes and objects that go when the node goes, its own included; 0 for the unreachable. O(1) for
// holders and for objects with several predecessors; others may have to be walked, in time
// proportional to the answer.
uint64_t graph_retained(struct graph *graph, node_id node);
uint64_t graph_retained_count(struct graph *graph, node_id node);

// Are those bytes at least so many? In time proportional to the number asked for.
bool graph_retains(struct graph *graph, node_id node, uint64_t bytes);

// Retained bytes of each label, say of each type. An object counts for label L when L is its own
// label or that of a node which dominates it; it counts once for L, and for every other such label
// too. So bytes[L] is the sum of the retained sizes of the objects with label L that have no other
// one above them in the dominator tree.
//
// It is a lower bound of graph_retained_set() of all objects with label L: what two of them hold
// together and nobody else does counts for neither. A label_of() of UINT32_MAX means no label. One
// walk over everything reachable, after graph_prepare_tree. `bytes` has label_count elements, and
// undefined contents after an error.
typedef uint32_t graph_label_of(void *context, object_id object);
struct error *graph_retained_by_label(struct graph *graph, graph_label_of *label_of, void *context,
	uint32_t label_count, uint64_t *bytes);

typedef bool (*node_visit)(void *context, node_id node);

// Calls visit for each node that `node` dominates immediately: what it holds falls into what these
// hold and itself, the core's members ascending. False stops. Only after graph_prepare_tree (8 bytes for each object with several
// predecessors).
struct error *graph_prepare_tree(struct graph *graph);
bool graph_dominated(const struct graph *graph, node_id node, node_visit visit, void *context);

// Visits, ascending, the objects that no holder keeps alone: their dominator is the root. Together
// with the holders they partition what is alive. False stops. Only after graph_prepare_tree.
bool graph_shared(const struct graph *graph, node_visit visit, void *context);

// The child of the root above `node` in the dominator tree: what has to go for it to go, a holder
// or group or a shared object, or itself. NODE_NONE for the root and the unreachable. Climbs. Only
// after graph_prepare_paths.
node_id graph_keeper(struct graph *graph, node_id node);

// Calls visit for each distinct successor, ascending. False stops.
bool graph_successors(const struct graph *graph, node_id node, node_visit visit, void *context);

// The objects themselves: found() is called for each object that has no other one with its label
// above it in the dominator tree, in no particular order, with its retained bytes. For the biggest
// ones of a type; cheap also where graph_retained() of one object after the other would not be (a
// list of a million elements).
typedef void graph_retained_visit(void *context, node_id object, uint32_t label, uint64_t retained);
struct error *graph_outermost(struct graph *graph, graph_label_of *label_of, void *context,
	uint32_t label_count, graph_retained_visit *found, void *found_context);

// Paths need a parent for each reachable node (4 bytes each), and so does graph_dominator of an
// object with one predecessor. They are found when first needed; who cares about running out of
// memory asks for them here, after which neither call can fail.
struct error *graph_prepare_paths(struct graph *graph);

// The node before `node` on a shortest path from the root. NODE_NONE for the root and the
// unreachable. Only after graph_prepare_paths.
node_id graph_parent(const struct graph *graph, node_id node);

// A shortest path from the root: nodes[0] is a holder, the last is `node`. Returns its length, at
// most `max` (then the middle is left out and *skipped says how many), 0 when unreachable.
size_t graph_path(struct graph *graph, node_id node, node_id *nodes, size_t max, size_t *skipped);

// Retained size of a set of objects, exactly: what would go if all of them went at once (for "all
// objects of a type"). `set` has a bit for each object. Marks once round the set: about as long as
// graph_connect.
struct error *graph_retained_set(
	struct graph *graph, const uint64_t *set, uint64_t *bytes, uint64_t *count);

uint64_t graph_edge_count(const struct graph *graph);

#endif
