// The way from a holder down to what makes it big.
//
// A path of single objects would show one session of a hundred thousand. So each step stands for
// objects of one type that the step before holds: start with the holder, sum the retained bytes of
// its children in the dominator tree by type, go on with the children of the heaviest type. A type
// that holds itself (a list, a tree) stays one step, however deep it is. The path ends where no type
// below has a considerable share of the step's bytes: that is where the bytes are.
#include "output/report_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/names.h"

enum {
	STEPS_MAX = 8,
	SHARE_PERCENT = 30, // of the bytes seen below a step, for the next one to follow
};

// What one type below the current step amounts to.
struct tally {
	uint32_t label;
	uint64_t bytes, count;
	node_id from; // a pair that shows how the one refers to the other
	object_id to;
};

struct found {
	object_id object;
	uint32_t tally;
};

struct pathfinder {
	struct report *report;
	struct analysis *analysis;
	size_t budget;              // objects that may still be looked at
	uint32_t current_label;     // of the current step's objects; UINT32_MAX for the holder
	uint32_t labels[STEPS_MAX]; // of all steps so far
	unsigned label_count;
	node_id from;            // whose successors are being looked at
	HW_VECTOR(node_id) step; // the current step's nodes; grows while its type refers to itself
	HW_VECTOR(struct found) below;
	HW_VECTOR(struct tally) tallies;
	struct hw_map tally_of; // label -> index in tallies
	bool cut;               // the budget ended while looking at this step
	bool failed;
};

static struct tally *path_tally(struct pathfinder *finder, uint32_t label, object_id object)
{
	uint64_t *index = hw_map_at(&finder->tally_of, label, finder->tallies.count);
	struct tally fresh = {.label = label, .from = finder->from, .to = object};

	if (!index || (*index == finder->tallies.count && !hw_vector_push(&finder->tallies, fresh)))
		return NULL;
	return &finder->tallies.items[*index];
}

// Something that the current step holds.
static bool path_visit(void *context, node_id node)
{
	struct pathfinder *finder = context;
	struct analysis *analysis = finder->analysis;

	if (!finder->budget) {
		finder->cut = true;
		return false;
	}
	finder->budget--;
	// The words of a variable, the goroutines of a group.
	if (node >= analysis->heap->object_count) {
		finder->failed = !hw_vector_push(&finder->step, node);
		return !finder->failed;
	}
	uint32_t label = typing_label_of(analysis->typing, node);
	if (label == finder->current_label) {
		finder->failed = !hw_vector_push(&finder->step, node);
		return !finder->failed;
	}
	struct tally *tally = path_tally(finder, label, node);
	finder->failed = !tally;
	if (!tally)
		return false;
	tally->bytes += graph_retained(analysis->graph, node);
	tally->count++;
	struct found found = {node, (uint32_t)(tally - finder->tallies.items)};
	finder->failed = !hw_vector_push(&finder->below, found);
	return !finder->failed;
}

// Looks at everything right below the current step. NULL when nothing there has a considerable
// share.
static const struct tally *path_look_below(struct pathfinder *finder)
{
	const struct tally *best = NULL;
	uint64_t sum = 0;

	finder->below.count = 0;
	finder->tallies.count = 0;
	finder->cut = false;
	hw_map_deinit(&finder->tally_of);
	for (size_t i = 0; i < finder->step.count && !finder->cut && !finder->failed; i++) {
		finder->from = finder->step.items[i];
		graph_dominated(finder->analysis->graph, finder->from, path_visit, finder);
		if (finder->from < finder->analysis->heap->object_count)
			sum += heap_size(finder->analysis->heap, finder->from);
	}
	for (size_t i = 0; i < finder->tallies.count; i++) {
		sum += finder->tallies.items[i].bytes;
		if (!best || finder->tallies.items[i].bytes > best->bytes)
			best = &finder->tallies.items[i];
	}
	return best && best->bytes > sum / 100 * SHARE_PERCENT ? best : NULL;
}

// "[17].body" stands for all elements when there are several: "[*].body".
static const char *edge_name(struct pathfinder *finder, const char *edge, bool several)
{
	_cleanup_text_ struct text name = TEXT_INIT;

	edge += strspn(edge, " ");
	for (const char *c = edge; *c; c++) {
		text_append_char(&name, *c);
		if (*c != '[' || !several || !isdigit((unsigned char)c[1]))
			continue;
		text_append_char(&name, '*');
		while (isdigit((unsigned char)c[1]))
			c++;
	}
	return name.failed ? NULL : clean_string(&finder->report->arena, name.bytes);
}

// A map variable points to the map itself, a slice to its array: they would be shown twice.
static bool path_is_internal(const struct report_holder *holder, const char *type)
{
	return name_is_map_part(type) || (holder->path_count == 1 && !strcmp(holder->type, type));
}

static bool path_add(
	struct pathfinder *finder, struct report_holder *out, const struct tally *tally)
{
	struct analysis *analysis = finder->analysis;
	struct report_step *step = &out->path[out->path_count];
	char edge[200] = "";

	if (tally->from < analysis->heap->object_count)
		typing_edge(analysis->typing, tally->from, tally->to, edge, sizeof(edge));
	else if (tally->from < graph_group_node(analysis->graph, 0))
		holder_edge_name(analysis, tally->from, tally->to, edge, sizeof(edge));
	*step = (struct report_step){
		.kind = "object",
		.name = edge_name(finder, edge, tally->count > 1),
		.type = clean_string(
			&finder->report->arena, typing_label_name(analysis->typing, tally->label)),
		.count = tally->count,
		.bytes = tally->bytes,
		.at_least = finder->cut,
		.internal =
			path_is_internal(out, typing_label_name(analysis->typing, tally->label)),
	};
	out->path_count++;
	return step->name && step->type;
}

// The objects of the chosen type become the current step.
static bool path_descend(struct pathfinder *finder, const struct tally *chosen)
{
	uint32_t index = (uint32_t)(chosen - finder->tallies.items);

	finder->current_label = chosen->label;
	finder->labels[finder->label_count++] = chosen->label;
	finder->step.count = 0;
	for (size_t i = 0; i < finder->below.count; i++)
		if (finder->below.items[i].tally == index &&
			!hw_vector_push(&finder->step, finder->below.items[i].object))
			return false;
	return true;
}

static bool path_has_label(const struct pathfinder *finder, uint32_t label)
{
	for (unsigned i = 0; i < finder->label_count; i++)
		if (finder->labels[i] == label)
			return true;
	return false;
}

static bool path_find(struct pathfinder *finder, struct report_holder *out)
{
	while (out->path_count < STEPS_MAX) {
		const struct tally *best = path_look_below(finder);
		struct report_step *above = &out->path[out->path_count - 1];
		if (finder->failed)
			return false;
		// Only now is it known how far a list goes.
		if (finder->current_label != UINT32_MAX) {
			above->count = finder->step.count;
			above->at_least |= finder->cut;
		}
		// A type that comes again two steps later (node, []node, node) would go on like that.
		if (!best || path_has_label(finder, best->label))
			return true;
		if (!path_add(finder, out, best) || !path_descend(finder, best))
			return false;
	}
	return true;
}

static bool path_begin(
	struct pathfinder *finder, const struct path_start *start, struct report_holder *out)
{
	out->path = hw_arena_calloc(&finder->report->arena, STEPS_MAX, sizeof(*out->path));
	if (!out->path)
		return false;
	out->path[0] = (struct report_step){
		.kind = out->shared ? "object" : out->kind,
		.name = out->shared ? "" : out->name,
		.type = out->type,
		.count = start->nodes.count,
		.bytes = out->retained_bytes,
	};
	out->path_count = 1;
	for (size_t i = 0; i < start->nodes.count; i++) {
		node_id node = start->nodes.items[i];
		if (!hw_vector_push(&finder->step, node))
			return false;
	}
	if (out->shared)
		finder->labels[finder->label_count++] = start->label;
	return true;
}

struct error *report_path(struct report *report, struct analysis *analysis,
	const struct path_start *start, size_t budget, struct report_holder *out)
{
	struct pathfinder finder = {
		.report = report,
		.analysis = analysis,
		.budget = budget,
		.current_label = start->label,
	};

	hw_map_init(&finder.tally_of);
	bool found = path_begin(&finder, start, out) && path_find(&finder, out);
	hw_map_deinit(&finder.tally_of);
	hw_vector_deinit(&finder.step);
	hw_vector_deinit(&finder.below);
	hw_vector_deinit(&finder.tallies);
	return found ? NULL : error_no_memory();
}
