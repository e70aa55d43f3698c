// context-children: contexts that only their parent still knows.
//
// context.WithCancel notes the child in the parent's map of children (context/context.go, cancelCtx.children, the same
// from 1.19 to 1.27), and takes it out when either is cancelled. A child that is never cancelled stays for as long as
// the parent lives. Here that is a child that cannot be reached but through that map, or through the timer that a
// context with a timeout has: nobody is left who could cancel it or who waits for it. Contexts with a timeout and
// without such a parent are a matter of timer-pileup.
//
// A parent that is not context's own has no such map: a goroutine waits for the ends of parent and child, the "watcher"
// here (context/context.go, propagateCancel), and keeps both as the map would. A child that cannot be reached but
// through its watcher is the same leak, and costs a stack as well.
//
// What context.AfterFunc registers is a child, too (from 1.21 on, afterFuncCtx). Its function will be called when the
// parent ends, so that it is suspected only, and only where it keeps something that nobody else has: what is still in use
// others have as well.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "debuginfo/pclntab.h"
#include "graph/walk.h"
#include "rules/goroutines.h"
#include "rules/objects.h"
#include "rules/timers.h"

enum {
	CHILDREN_MIN = 100,
	BIG_CHILDREN_MIN = 10, // if they keep so much:
};
#define BIG_BYTES MIB

static const char map_type[] = "map[context.canceler]struct {}";

// The contexts that can be children and do nothing by themselves when the parent ends.
static bool is_context(const char *label)
{
	return !strcmp(label, "context.cancelCtx") || !strcmp(label, "context.timerCtx");
}

static bool is_after_func(const char *label)
{
	return !strcmp(label, "context.afterFuncCtx");
}

static bool is_child(const char *label)
{
	return is_context(label) || is_after_func(label);
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

// The goroutine in propagateCancel: up to 1.20, and from 1.21 to 1.27.
static const char *const watcher_functions[] = {
	"context.propagateCancel.func1",
	"context.(*cancelCtx).propagateCancel.func2",
};

struct watcher {
	uint32_t goroutine;
	node_id child;
};

struct search {
	struct rule_run *run;
	struct goroutine_evidence *goroutines;
	struct graph_walk *walk; // round the maps' parts, the timers and the watchers
	HW_VECTOR(struct watcher) watchers;
	struct typed_objects parts;
	HW_VECTOR(node_id) pending;  // parts of the map in question
	HW_VECTOR(node_id) children; // of it, that nobody else has
	size_t after_funcs;          // so many of those
	struct hw_map seen;          // parts of it
	uint64_t part_bytes, others; // children that somebody has
	bool no_memory;
};

static void search_deinit(struct search *search)
{
	graph_walk_destroy(search->walk);
	hw_vector_deinit(&search->watchers);
	typed_objects_deinit(&search->parts);
	hw_vector_deinit(&search->pending);
	hw_vector_deinit(&search->children);
	hw_map_deinit(&search->seen);
}

struct lone_search {
	const struct search *search;
	node_id above;
	bool found;
};

static bool lone_visit(void *context, node_id node)
{
	struct lone_search *lone = context;

	lone->found = node != lone->above && !graph_walk_met(lone->search->walk, node);
	return !lone->found;
}

static bool lone_closure_visit(void *context, node_id node)
{
	struct lone_search *lone = context;
	const struct analysis *analysis = lone->search->run->analysis;

	if (node < analysis->heap->object_count && typing_is_closure(analysis->typing, node))
		graph_successors(analysis->graph, node, lone_visit, lone);
	return !lone->found;
}

// Has the function of the context something that nobody else has?
static bool keeps_alone(const struct search *search, node_id after_func)
{
	struct lone_search lone = {search, after_func, false};

	graph_successors(search->run->analysis->graph, after_func, lone_closure_visit, &lone);
	return lone.found;
}

// Does nobody but the parent have the child?
static bool is_lone(const struct search *search, node_id child, bool after_func)
{
	return !graph_walk_met(search->walk, child) && (!after_func || keeps_alone(search, child));
}

static bool map_visit(void *context, node_id node)
{
	struct search *search = context;
	const struct analysis *analysis = search->run->analysis;
	const char *label =
		typing_label_name(analysis->typing, typing_label_of(analysis->typing, node));

	if (is_map_part(label) && !hw_map_get(&search->seen, node, NULL)) {
		search->no_memory |= !hw_map_put(&search->seen, node, 0) ||
				     !hw_vector_push(&search->pending, node);
	} else if (is_child(label) && is_lone(search, node, is_after_func(label))) {
		search->after_funcs += is_after_func(label);
		search->no_memory |= !hw_vector_push(&search->children, node);
	} else if (is_child(label)) {
		search->others++;
	}
	return !search->no_memory;
}

// Finds the children in the map at `header`, and lets its parts be entered.
static struct error *map_search(struct search *search, object_id header)
{
	const struct analysis *analysis = search->run->analysis;

	search->children.count = search->pending.count = search->after_funcs = 0;
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

// `parents`: of search->children, and who refers to these; `goroutine`: whose stack is shown, or UINT32_MAX.
static struct error *children_report(
	struct search *search, uint64_t bytes, uint32_t goroutine, const char *parents)
{
	struct rule_run *run = search->run;
	const struct goroutine_list *list = run->analysis->goroutines;
	char count[24];
	struct finding finding = {
		.bytes = bytes,
		.objects = search->children.count,
		.type = object_type_name(run, search->children.items[0]),
		.proven = !search->after_funcs,
		.what = finding_text(run,
			search->after_funcs ? "%s contexts and functions to be called at the end "
					      "were derived from %s"
					    : "%s contexts were derived from %s",
			format_count(count, sizeof(count), search->children.count), parents),
		.remedy = search->after_funcs
				  ? "call what context.AfterFunc returned when the work is done"
				  : "defer cancel() where the context is made",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = child_example(search),
		.goroutine = goroutine,
		.longest_wait_ns =
			goroutine < list->count ? list->goroutines[goroutine].wait_ns : 0,
	};

	return finding_add(run, &finding);
}

static bool is_pile(const struct search *search, uint64_t bytes)
{
	return search->children.count >= (bytes >= BIG_BYTES ? BIG_CHILDREN_MIN : CHILDREN_MIN);
}

static struct error *map_report(struct search *search, object_id header)
{
	uint64_t before = graph_walk_bytes(search->walk);
	struct error *err = map_search(search, header);

	if (err || !is_pile(search, UINT64_MAX))
		return err;
	hw_map_each (&search->seen, part) {
		if (!err)
			err = graph_walk_from(search->walk, (node_id)part->key);
	}
	uint64_t bytes = graph_walk_bytes(search->walk) - before;
	// A map does not shrink; it goes with the last child only.
	if (search->others)
		bytes -= search->part_bytes;
	return err || !is_pile(search, bytes) ? err
					      : children_report(search, bytes, UINT32_MAX,
							"one that lives on, and never cancelled; "
							"nobody but their parent refers to them");
}

struct done_search {
	const struct search *search;
	const struct wait *wait;
	bool waited_for;
};

static bool done_visit(void *context, node_id node)
{
	struct done_search *done = context;
	const struct search *search = done->search;

	for (uint32_t i = 0; i < done->wait->count; i++)
		if (search->goroutines->waits.on.items[done->wait->first + i].object == node)
			done->waited_for |= graph_walk_met(search->walk, node);
	return !done->waited_for;
}

// Somebody may have no more of the child than the channel that its end closes.
static bool is_lost(const struct search *search, const struct watcher *watcher)
{
	struct done_search done = {
		search, &search->goroutines->waits.of[watcher->goroutine], false};

	if (graph_walk_met(search->walk, watcher->child))
		return false;
	graph_successors(search->run->analysis->graph, watcher->child, done_visit, &done);
	return !done.waited_for;
}

// Leaves only those in `watchers` whose child nobody else has; these children are `children` then.
static struct error *watchers_sift(struct search *search)
{
	size_t lost = 0;

	search->children.count = search->after_funcs = 0;
	for (size_t i = 0; i < search->watchers.count; i++) {
		struct watcher watcher = search->watchers.items[i];
		if (!is_lost(search, &watcher))
			continue;
		if (!hw_vector_push(&search->children, watcher.child))
			return error_no_memory();
		search->watchers.items[lost++] = watcher;
	}
	search->watchers.count = lost;
	return NULL;
}

// What watchers keep, their stacks included, but not their sudogs, which the runtime uses again.
static struct error *watchers_measure(struct search *search, uint64_t *out)
{
	uint64_t before = graph_walk_bytes(search->walk), stacks = 0;
	struct error *err = NULL;

	for (size_t i = 0; i < search->watchers.count && !err; i++) {
		uint32_t index = search->watchers.items[i].goroutine;
		const struct goroutine *goroutine =
			&search->run->analysis->goroutines->goroutines[index];
		node_id holder = search->goroutines->nodes[index];
		graph_walk_unblock(search->walk, holder);
		err = graph_walk_from(search->walk, holder);
		stacks += goroutine->stack_high - goroutine->stack_low;
	}
	if (!err)
		*out = stacks + graph_walk_bytes(search->walk) - before;
	return err;
}

static struct error *watchers_report(struct search *search)
{
	struct error *err = watchers_sift(search);
	uint64_t bytes = 0;

	if (err || !is_pile(search, UINT64_MAX))
		return err;
	err = watchers_measure(search, &bytes);
	if (err || !is_pile(search, bytes))
		return err;
	return children_report(search, bytes, search->watchers.items[0].goroutine,
		"ones with a Done of their own, and never cancelled; "
		"nobody refers to them but the goroutines that wait for the end of either");
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

static bool is_watcher(const struct search *search, uint32_t index)
{
	const struct analysis *analysis = search->run->analysis;
	const struct go_module *module;
	struct pcln_function function;

	// goroutine-leak tells of those that sleep for ever, with all that they keep.
	if (search->goroutines->states[index].sleep != SLEEP_ENDS ||
		search->goroutines->waits.of[index].kind != WAIT_OBJECTS ||
		!go_find_function(analysis->runtime, analysis->goroutines->goroutines[index].start,
			&module, &function))
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(watcher_functions); i++)
		if (!strcmp(function.name, watcher_functions[i]))
			return true;
	return false;
}

struct child_search {
	const struct typing *typing;
	node_id child;
};

static bool child_visit(void *context, node_id node)
{
	struct child_search *search = context;

	// The parent is none of these: it would have a map of children.
	if (is_context(typing_label_name(search->typing, typing_label_of(search->typing, node))))
		search->child = node;
	return search->child == NODE_NONE;
}

static struct error *watchers_find(struct search *search)
{
	const struct analysis *analysis = search->run->analysis;
	struct error *err = goroutine_evidence(search->run, &search->goroutines);

	for (uint32_t i = 0; i < analysis->goroutines->count && !err; i++) {
		node_id holder = search->goroutines->nodes[i];
		struct child_search child = {analysis->typing, NODE_NONE};
		if (holder == NODE_NONE || !is_watcher(search, i))
			continue;
		graph_successors(analysis->graph, holder, child_visit, &child);
		if (child.child != NODE_NONE &&
			!hw_vector_push(&search->watchers, ((struct watcher){i, child.child})))
			err = error_no_memory();
	}
	return err;
}

static void watchers_block(struct search *search)
{
	const struct waits *waits = &search->goroutines->waits;

	for (size_t i = 0; i < search->watchers.count; i++) {
		uint32_t goroutine = search->watchers.items[i].goroutine;
		const struct wait *wait = &waits->of[goroutine];
		graph_walk_block(search->walk, search->goroutines->nodes[goroutine]);
		for (uint32_t j = 0; j < wait->count; j++) {
			const struct wait_on *on = &waits->on.items[wait->first + j];
			if (on->sudog != OBJECT_NONE)
				graph_walk_block(search->walk, on->sudog);
		}
	}
}

// Walks over everything, but not through the maps' parts, the timers and the watchers.
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
	watchers_block(search);
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
	struct error *err = labelled_objects_find(run, is_child, &contexts);

	hw_map_init(&search.seen);
	if (err || contexts.list.count < BIG_CHILDREN_MIN)
		return err;
	err = labelled_objects_find(run, is_children_map, &maps);
	if (!err)
		err = labelled_objects_find(run, is_map_part, &search.parts);
	if (!err)
		err = watchers_find(&search);
	if (!err)
		err = others_walk(&search);
	// A map that nobody has goes with its owner: it is no obstacle to a walk that gets there.
	for (size_t i = 0; i < maps.list.count && !err; i++)
		if (!graph_walk_met(search.walk, maps.list.items[i]))
			err = map_search(&search, maps.list.items[i]);
	for (size_t i = 0; i < maps.list.count && !err; i++)
		if (graph_walk_met(search.walk, maps.list.items[i]))
			err = map_report(&search, maps.list.items[i]);
	return err ? err : watchers_report(&search);
}
