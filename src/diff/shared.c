// What was added and is kept by no single one: objects in two indexes at once, or hanging on timers and finalizers.
//
// They are counted by type. Who refers to most of a type, on the shortest path from a root, is its container; nobody does
// when they pile up. What a goroutine's variables lead to is on its way and is not counted. The majority is found in one
// pass: each object votes with its bytes, and votes for different ones cancel each other.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "diff/suspicion.h"

struct pile {
	uint64_t bytes; // retained by the topmost ones that appeared
	uint32_t appeared, example;
	uint32_t leader; // the node with most votes
	uint64_t votes, leader_bytes;
};

struct piles {
	struct suspicions *suspicions;
	uint32_t *
		holder; // of each node: the nearest one at or above it on its path that stayed, or a root's holder
	struct pile *items; // by label
};

static struct error *holders_fill(struct piles *piles)
{
	const struct lineage *lineage = piles->suspicions->lineage;
	const struct snapshot *new = lineage->new;
	_cleanup_free_ uint32_t *up = malloc(lineage->count * sizeof(*up));

	if (!up)
		return error_no_memory();
	snapshot_parents(new, up);
	for (uint32_t i = 0; i < lineage->count; i++) {
		bool ends = i >= new->object_count ||
			    (lineage_stayed(lineage, i) && !snapshot_is_part(new, i));

		piles->holder[i] = ends ? i : NODE_UNKNOWN;
	}
	nearest_fill(up, lineage->root, piles->holder);
	return NULL;
}

// Appeared, has nobody above it that appeared too or would answer for it, and is no part of what somebody is doing.
static bool is_topmost(const struct piles *piles, uint32_t object)
{
	const struct lineage *lineage = piles->suspicions->lineage;
	uint32_t up = lineage->up[object], holder = piles->holder[object], steps = 0;

	if (lineage_stayed(lineage, object) || snapshot_is_part(lineage->new, object) ||
		lineage->keeper[holder] == KEEPER_GOROUTINE)
		return false;
	while (up < lineage->new->object_count && !lineage_stayed(lineage, up) &&
		snapshot_is_part(lineage->new, up) && steps++ < lineage->count)
		up = lineage->up[up];
	if (lineage->keeper[object] == KEEPER_SHARED)
		return up == lineage->root;
	return lineage->keeper[object] == KEEPER_RUNTIME &&
	       (up >= lineage->new->object_count || lineage_stayed(lineage, up));
}

static void votes_count(struct piles *piles)
{
	const struct snapshot *new = piles->suspicions->lineage->new;

	for (uint32_t i = 0; i < new->object_count; i++) {
		const struct snapshot_object *object = &new->objects[i];
		struct pile *pile = &piles->items[object->label];

		if (!is_topmost(piles, i))
			continue;
		pile->bytes += object->retained_bytes;
		pile->appeared++;
		pile->example = i;
		if (pile->leader == piles->holder[i] || !pile->votes) {
			pile->leader = piles->holder[i];
			pile->votes += object->retained_bytes;
		} else if (pile->votes > object->retained_bytes) {
			pile->votes -= object->retained_bytes;
		} else {
			pile->leader = piles->holder[i];
			pile->votes = object->retained_bytes - pile->votes;
		}
	}
	for (uint32_t i = 0; i < new->object_count; i++) {
		struct pile *pile = &piles->items[new->objects[i].label];

		if (is_topmost(piles, i) && pile->leader == piles->holder[i])
			pile->leader_bytes += new->objects[i].retained_bytes;
	}
}

uint64_t snapshot_count_type(const struct snapshot *snapshot, const char *type)
{
	uint64_t count = 0;

	for (uint64_t label = 0; label < snapshot->label_count; label++) {
		if (strcmp(snapshot->strings + snapshot->labels[label], type) != 0)
			continue;
		for (uint64_t i = 0; i < snapshot->object_count; i++)
			count += snapshot->objects[i].label == label;
	}
	return count;
}

static uint64_t stayed_count(const struct lineage *lineage, uint32_t label)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < lineage->new->object_count; i++)
		count += lineage->new->objects[i].label == label &&lineage_stayed(lineage, i);
	return count;
}

static struct error *pile_suspect(struct piles *piles, uint32_t label)
{
	struct suspicions *suspicions = piles->suspicions;
	const struct lineage *lineage = suspicions->lineage;
	const struct pile *pile = &piles->items[label];
	const char *type = lineage->new->strings + lineage->new->labels[label];
	uint64_t old = snapshot_count_type(lineage->old, type);
	uint64_t new = snapshot_count_type(lineage->new, type);
	uint64_t stayed = stayed_count(lineage, label);
	bool led = pile->leader_bytes > pile->bytes / 2 &&
		   lineage->keeper[pile->leader] != KEEPER_RUNTIME;

	// Where as many are gone as came there is no growth.
	if (new <= old || (new - old) * 2 < pile->appeared)
		return NULL;
	uint64_t added = new - old < pile->appeared ? new - old : pile->appeared;
	struct suspicion suspicion = {
		.container = led ? pile->leader : NODE_UNKNOWN,
		.label = label,
		.example = pile->example,
		.shared = true,
		.bytes = (uint64_t)((double)pile->bytes * (double)added / pile->appeared),
		.added = (int64_t)added,
		.gone = (uint32_t)(old > stayed ? old - stayed : 0),
		.before = (uint32_t)old,
	};
	for (size_t i = 0; i < suspicions->list.count && led; i++) {
		struct suspicion *known = &suspicions->list.items[i];
		if (known->container != pile->leader)
			continue;
		suspicion.bytes += known->bytes;
		*known = suspicion;
		return NULL;
	}
	return hw_vector_push(&suspicions->list, suspicion) ? NULL : error_no_memory();
}

struct error *suspicions_shared(struct suspicions *suspicions)
{
	const struct lineage *lineage = suspicions->lineage;
	_cleanup_free_ uint32_t *holder = calloc(lineage->count, sizeof(*holder));
	_cleanup_free_ struct pile *items = calloc(lineage->new->label_count + 1, sizeof(*items));
	struct piles piles = {suspicions, holder, items};

	if (!holder || !items)
		return error_no_memory();
	struct error *err = holders_fill(&piles);
	if (err)
		return err;
	votes_count(&piles);
	for (uint32_t i = 0; i < lineage->new->label_count && !err; i++)
		if (items[i].bytes >= GROWTH_BYTES_MIN && items[i].appeared >= ADDED_MIN)
			err = pile_suspect(&piles, i);
	return err;
}
