// context-children: contexts that only their parent still knows.
//
// context.WithCancel notes the child in the parent's map of children (context/context.go, cancelCtx.children, the same
// from 1.19 to 1.27), and takes it out when either is cancelled. A child that is never cancelled stays for as long as
// the parent lives. Here that is a child that cannot be reached but through that map, or through the timer that a
// context with a timeout has: nobody is left who could cancel it or who waits for it. Contexts with a timeout and
// without such a parent are a matter of timer-pileup.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "debuginfo/pclntab.h"
#include "graph/walk.h"
#include "rules/objects.h"
#include "rules/timers.h"

enum { CHILDREN_MIN = 100 };

static const char map_type[] = "map[context.canceler]struct {}";

// The contexts that can be children and do nothing by themselves when the parent ends.
static bool is_context(const char *label)
{
	return !strcmp(label, "context.cancelCtx") || !strcmp(label, "context.timerCtx");
}

static bool is_children_map(const char *label)
{
	return !strcmp(label, map_type);
}

// Buckets, groups, tables and so on of such a map.
static bool is_map_part(const char *label)
{
	return strstr(label, "[context.canceler]struct {}") && !is_children_map(label);
}

struct search {
	struct rule_run *run;
	struct graph_walk *walk; // round the maps' parts and the timers
	struct typed_objects parts;
	HW_VECTOR(node_id) pending;  // parts of the map in question
	HW_VECTOR(node_id) children; // of it, that nobody else has
	struct hw_map seen;          // parts of it
	uint64_t part_bytes, others; // children that somebody has
	bool no_memory;
};

static void search_deinit(struct search *search)
{
	graph_walk_destroy(search->walk);
	typed_objects_deinit(&search->parts);
	hw_vector_deinit(&search->pending);
	hw_vector_deinit(&search->children);
	hw_map_deinit(&search->seen);
}

static bool map_visit(void *context, node_id node)
{
	struct search *search = context;
	const struct analysis *analysis = search->run->analysis;
	const char *label =
		typing_label_name(analysis->typing, typing_label_of(analysis->typing, node));

	if (is_map_part(label) && !hw_map_get(&search->seen, node, NULL))
		search->no_memory |= !hw_map_put(&search->seen, node, 0) ||
				     !hw_vector_push(&search->pending, node);
	else if (is_context(label) && !graph_walk_met(search->walk, node))
		search->no_memory |= !hw_vector_push(&search->children, node);
	else if (is_context(label))
		search->others++;
	return !search->no_memory;
}

// Finds the children in the map at `header`, and lets its parts be entered.
static struct error *map_search(struct search *search, object_id header)
{
	const struct analysis *analysis = search->run->analysis;

	search->children.count = search->pending.count = 0;
	search->part_bytes = search->others = 0;
	hw_map_deinit(&search->seen);
	hw_map_init(&search->seen);
	graph_successors(analysis->graph, header, map_visit, search);
	while (search->pending.count && !search->no_memory) {
		node_id part = search->pending.items[--search->pending.count];
		search->part_bytes += heap_size(analysis->heap, part);
		graph_walk_unblock(search->walk, part);
		graph_successors(analysis->graph, part, map_visit, search);
	}
	return search->no_memory ? error_no_memory() : NULL;
}

// One that the program's heap profile has seen being made, if there is one.
static node_id child_example(const struct search *search)
{
	const struct allocation_sites *sites = search->run->findings->sites;

	for (size_t i = 0; i < search->children.count; i++)
		if (allocation_is_sampled(sites, search->children.items[i]))
			return search->children.items[i];
	return search->children.items[0];
}

static struct error *map_report(struct search *search, object_id header)
{
	struct rule_run *run = search->run;
	uint64_t before = graph_walk_bytes(search->walk);
	struct error *err = map_search(search, header);
	char count[24];

	if (err || search->children.count < CHILDREN_MIN)
		return err;
	hw_map_each (&search->seen, part) {
		if (!err)
			err = graph_walk_from(search->walk, (node_id)part->key);
	}
	uint64_t bytes = graph_walk_bytes(search->walk) - before;
	// A map does not shrink; it goes with the last child only.
	if (search->others)
		bytes -= search->part_bytes;
	struct finding finding = {
		.bytes = bytes,
		.objects = search->children.count,
		.type = object_type_name(run, search->children.items[0]),
		.proven = true,
		.what = finding_text(run,
			"%s contexts were derived from one that lives on, and never cancelled; "
			"nobody but "
			"their parent refers to them",
			format_count(count, sizeof(count), search->children.count)),
		.remedy = "defer cancel() where the context is made",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = child_example(search),
		.goroutine = UINT32_MAX,
	};
	return err ? err : finding_add(run, &finding);
}

// The timers of contexts with a timeout; what others call may well use the context that they captured.
static bool timer_is_of_context(const struct analysis *analysis, const struct timer *timer)
{
	const struct go_module *module;
	struct pcln_function function;

	return timer->code &&
	       go_find_function(analysis->runtime, timer->code, &module, &function) &&
	       !strncmp(function.name, "context.", strlen("context."));
}

// Walks over everything, but not through the maps' parts and the timers.
static struct error *others_walk(struct search *search)
{
	const struct analysis *analysis = search->run->analysis;
	struct timer_evidence *timers;
	struct error *err = timer_evidence(search->run, &timers);

	if (!err)
		err = graph_walk_create(analysis->graph, &search->walk);
	if (err)
		return err;
	for (size_t i = 0; i < search->parts.list.count; i++)
		graph_walk_block(search->walk, search->parts.list.items[i]);
	for (size_t i = 0; i < timers->list.count; i++)
		if (timer_is_of_context(analysis, &timers->list.items[i]))
			graph_walk_block(search->walk, timers->list.items[i].object);
	for (uint32_t i = 0; i < analysis->root_holder_count && !err; i++)
		err = graph_walk_from(search->walk, graph_holder_node(analysis->graph, i));
	for (size_t i = 0; i < timers->list.count; i++)
		graph_walk_unblock(search->walk, timers->list.items[i].object);
	return err ? err : graph_walk_listen(search->walk);
}

struct error *rule_context_children(struct rule_run *run)
{
	_cleanup_(search_deinit) struct search search = {.run = run};
	_cleanup_(typed_objects_deinit) struct typed_objects contexts = {0};
	_cleanup_(typed_objects_deinit) struct typed_objects maps = {0};
	struct error *err = labelled_objects_find(run, is_context, &contexts);

	hw_map_init(&search.seen);
	if (err || contexts.list.count < CHILDREN_MIN)
		return err;
	err = labelled_objects_find(run, is_children_map, &maps);
	if (!err)
		err = labelled_objects_find(run, is_map_part, &search.parts);
	if (!err)
		err = others_walk(&search);
	// A map that nobody has goes with its owner: it is no obstacle to a walk that gets there.
	for (size_t i = 0; i < maps.list.count && !err; i++)
		if (!graph_walk_met(search.walk, maps.list.items[i]))
			err = map_search(&search, maps.list.items[i]);
	for (size_t i = 0; i < maps.list.count && !err; i++)
		if (graph_walk_met(search.walk, maps.list.items[i]))
			err = map_report(&search, maps.list.items[i]);
	return err;
}
