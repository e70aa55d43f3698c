// What became of the objects of a process between two snapshots: which stayed, appeared, are gone, and under whom.
//
// Go moves nothing: an object of the same address, size and type in both is the same one, or has been replaced by one
// just like it, which comes to the same. Global variables stay, whatever they are called by then, and goroutines that are
// the only ones of their kind. What appeared counts where it hangs in the newer snapshot's tree of dominators; what is
// gone counts for the nearest one above it that stayed. So the sums below any node that stayed say by how much it grew.
// What is reached by way of a sync.Pool does not count: collections empty them, and the moment decides how full one is.
//
//	struct lineage *lineage;
//	struct error *err = lineage_create(old, new, &lineage);   // both loaded
//	if (lineage_stayed(lineage, node))
//		use(lineage->nodes[node].bytes);
//	lineage_destroy(lineage);
#ifndef DIFF_LINEAGE_H
#define DIFF_LINEAGE_H

#include "output/snapshot.h"

// A node of the newer snapshot, with all that it dominates. Parts of containers count as bytes and not as objects.
struct lineage_node {
	int64_t bytes;                   // that appeared, less those that are gone
	uint32_t appeared, gone, stayed; // objects
	uint32_t was; // its number in the older snapshot; NODE_UNKNOWN: it was not there
};
#define NODE_UNKNOWN UINT32_MAX

// Who holds a node in the end.
enum keeper_kind { KEEPER_SHARED, KEEPER_GLOBAL, KEEPER_GOROUTINE, KEEPER_RUNTIME, KEEPER_POOL };

struct lineage {
	const struct snapshot *old, *new;
	uint32_t count; // nodes: objects, holders, groups, and at last the root
	uint32_t root;
	struct lineage_node *nodes;
	uint32_t *up;    // the node above each in the tree of dominators; the root's is itself
	uint8_t *keeper; // enum keeper_kind
};

struct error *lineage_create(
	const struct snapshot *old, const struct snapshot *new, struct lineage **out);
void lineage_destroy(struct lineage *lineage); // accepts NULL

static inline bool lineage_stayed(const struct lineage *lineage, uint32_t node)
{
	return lineage->nodes[node].was != NODE_UNKNOWN;
}

// For each node of a tree given by `up`, found[] of the nearest one at or above it whose found[] is not NODE_UNKNOWN;
// the root, the last one, must have one.
void nearest_fill(const uint32_t *up, uint32_t root, uint32_t *found);

// The node of `snapshot` that is the same as `node` of `like`: an object of the same address, size and type, a variable
// of the same name. NODE_UNKNOWN: none.
uint32_t snapshot_same_node(
	const struct snapshot *snapshot, const struct snapshot *like, uint32_t node);

// What snapshots say of a node.
const char *snapshot_type(
	const struct snapshot *snapshot, uint32_t node); // of a holder: the variable's, may be ""
uint64_t snapshot_retained(const struct snapshot *snapshot, uint32_t node);

// Something that containers, timers and the like are made of, which means nothing to their users.
bool snapshot_is_part(const struct snapshot *snapshot, uint32_t object);

// The node before each on its shortest path; of holders and the root, which is the last, the root.
void snapshot_parents(const struct snapshot *snapshot, uint32_t *parents);

#endif
