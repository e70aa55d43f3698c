// Containers that alone keep what was added to them.
//
// Nodes that stayed and grew form a tree of their own. From its top down: as long as one child has nearly all of the
// growth, or a few of different types have it together, they are looked at instead. Many children of one type are parts
// of one thing: shards, nodes of a list or a tree.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "diff/suspicion.h"

enum { KIDS_MAX = 4, MOST = 8, OF = 10 }; // 8 of 10 parts are nearly all

// Objects of one type that were added.
struct added {
	uint64_t bytes;
	uint32_t count, example;
};

struct descent {
	struct suspicions *suspicions;
	uint32_t *first,
		*next; // children that stayed and grew; 0 ends a list, for the root is nobody's child
	HW_VECTOR(uint32_t) left;
};

static bool grew(const struct lineage *lineage, uint32_t node)
{
	return lineage_stayed(lineage, node) && lineage->nodes[node].bytes >= GROWTH_BYTES_MIN;
}

static uint32_t above(const struct suspicions *suspicions, uint32_t node)
{
	return suspicions->owner[suspicions->lineage->up[node]];
}

static bool same_type(const struct lineage *lineage, uint32_t one, uint32_t other)
{
	uint64_t objects = lineage->new->object_count;

	return one < objects && other < objects &&
	       !strcmp(snapshot_type(lineage->new, one), snapshot_type(lineage->new, other));
}

// Lists hold node + 1.
static void children_link(struct descent *descent)
{
	const struct lineage *lineage = descent->suspicions->lineage;

	for (uint32_t i = 0; i < lineage->root; i++) {
		if (!grew(lineage, i))
			continue;
		uint32_t parent = above(descent->suspicions, i);
		descent->next[i] = descent->first[parent];
		descent->first[parent] = i + 1;
	}
}

// Do the children explain it, each being something else?
static bool children_explain(const struct descent *descent, uint32_t node)
{
	const struct lineage *lineage = descent->suspicions->lineage;
	int64_t bytes = 0;
	unsigned count = 0;

	for (uint32_t i = descent->first[node]; i && count <= KIDS_MAX; i = descent->next[i - 1]) {
		for (uint32_t j = descent->next[i - 1]; j && count < KIDS_MAX;
			j = descent->next[j - 1])
			if (same_type(lineage, i - 1, j - 1))
				return false;
		bytes += lineage->nodes[i - 1].bytes;
		count++;
	}
	return count && count <= KIDS_MAX && bytes >= lineage->nodes[node].bytes / OF * MOST;
}

static bool is_channel(const struct lineage *lineage, uint32_t node)
{
	return node < lineage->new->object_count &&
	       !strncmp(snapshot_type(lineage->new, node), "chan ", 5);
}

static bool is_untyped(const struct lineage *lineage, uint32_t node)
{
	return node < lineage->new->object_count &&
	       !strncmp(snapshot_type(lineage->new, node), "untyped", 7);
}

// What a reader calls the container: no part of it, nor one of the nodes of a list.
static uint32_t container_of(const struct descent *descent, uint32_t node)
{
	const struct suspicions *suspicions = descent->suspicions;
	const struct lineage *lineage = suspicions->lineage;
	uint32_t kid = descent->first[node], steps = 0;
	bool chain = kid && same_type(lineage, node, kid - 1);

	while (steps++ < lineage->count) {
		uint32_t parent = above(suspicions, node);
		bool repeats = same_type(lineage, node, parent);

		if (parent == lineage->root ||
			!(repeats || chain || snapshot_is_part(lineage->new, node) ||
				is_untyped(lineage, node) || is_channel(lineage, parent)))
			return node;
		chain = repeats;
		node = parent;
	}
	return node;
}

static bool suspicion_add(struct descent *descent, uint32_t node)
{
	struct suspicions *suspicions = descent->suspicions;
	uint32_t container = container_of(descent, node);
	const struct lineage_node *grown = &suspicions->lineage->nodes[container];

	for (size_t i = 0; i < suspicions->list.count; i++)
		if (suspicions->list.items[i].container == container)
			return true;
	return hw_vector_push(
		&suspicions->list, ((struct suspicion){
					   .container = container,
					   .label = NODE_UNKNOWN,
					   .example = NODE_UNKNOWN,
					   .bytes = (uint64_t)grown->bytes,
					   .added = (int64_t)grown->appeared - grown->gone,
					   .gone = grown->gone,
					   .before = grown->stayed + grown->gone,
				   }));
}

static bool descent_run(struct descent *descent)
{
	const struct lineage *lineage = descent->suspicions->lineage;
	bool done = hw_vector_push(&descent->left, lineage->root);

	while (descent->left.count && done) {
		uint32_t node = descent->left.items[--descent->left.count];

		if (node != lineage->root && !children_explain(descent, node)) {
			done = suspicion_add(descent, node);
			continue;
		}
		for (uint32_t i = descent->first[node]; i && done; i = descent->next[i - 1])
			if (lineage->keeper[i - 1] != KEEPER_RUNTIME)
				done = hw_vector_push(&descent->left, i - 1);
	}
	return done;
}

// Appeared below the container, and directly below something old, an array or a part.
static bool is_added(const struct lineage *lineage, const uint32_t *within, uint32_t object)
{
	const struct snapshot *new = lineage->new;
	uint32_t parent = lineage->up[object];

	return within[object] && !lineage_stayed(lineage, object) &&
	       !snapshot_is_part(new, object) &&
	       (lineage_stayed(lineage, parent) || snapshot_is_part(new, parent) ||
		       *snapshot_type(new, parent) == '[');
}

// What was added, by type and what the objects retain. One or two are the container's own arrays rather than entries.
static struct error *added_name(struct suspicions *suspicions, struct suspicion *suspicion)
{
	const struct lineage *lineage = suspicions->lineage;
	const struct snapshot *new = lineage->new;
	_cleanup_free_ uint32_t *within = malloc(lineage->count * sizeof(*within));
	_cleanup_free_ struct added *types = calloc(new->label_count + 1, sizeof(*types));
	struct added largest = {0};

	if (!within || !types)
		return error_no_memory();
	memset(within, 0xff, lineage->count * sizeof(*within)); // NODE_UNKNOWN
	within[lineage->root] = 0;
	within[suspicion->container] = 1;
	nearest_fill(lineage->up, lineage->root, within);
	for (uint32_t i = 0; i < new->object_count; i++) {
		struct added *type = &types[new->objects[i].label];
		if (!is_added(lineage, within, i))
			continue;
		type->bytes += new->objects[i].retained_bytes;
		type->count++;
		type->example = i;
	}
	for (uint32_t i = 0; i < new->label_count; i++) {
		bool entries = types[i].count >= ADDED_MIN;
		if (entries == (largest.count >= ADDED_MIN) ? types[i].bytes <= largest.bytes
							    : !entries)
			continue;
		largest = types[i];
		suspicion->label = i;
		suspicion->example = types[i].example;
	}
	// Counted as what a reader would count: sessions, not what they are made of.
	if (suspicion->added > largest.count && largest.count)
		suspicion->added = largest.count;
	return NULL;
}

struct error *suspicions_dominating(struct suspicions *suspicions)
{
	uint32_t count = suspicions->lineage->count;
	_cleanup_free_ uint32_t *first = calloc(count, sizeof(*first));
	_cleanup_free_ uint32_t *next = calloc(count, sizeof(*next));
	struct descent descent = {suspicions, first, next, HW_VECTOR_INIT};
	struct error *err = NULL;

	if (!first || !next)
		return error_no_memory();
	children_link(&descent);
	if (!descent_run(&descent))
		err = error_no_memory();
	hw_vector_deinit(&descent.left);
	for (size_t i = 0; i < suspicions->list.count && !err; i++)
		err = added_name(suspicions, &suspicions->list.items[i]);
	return err;
}
