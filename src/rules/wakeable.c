// See wakeable.h. Objects that are met are looked up in the list of who waits for them, so each is looked at once.
#include "rules/wakeable.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"

// For `object` waits blocked goroutine number `waiter`, or a finalizer that refers to object `waiter`.
struct waiting {
	object_id object;
	uint32_t waiter;
	enum { WAITING, WAITING_LATE, WAITING_FINALIZER } as;
};

struct search {
	const struct blocked_list *list;
	struct graph_walk *walk;
	struct waiting *waiting; // by object
	size_t waiting_count;
	bool late; // late objects count by now
	struct verdict *verdicts;
};

static int waiting_compare(const void *a, const void *b)
{
	const struct waiting *one = a, *other = b;

	if (one->object != other->object)
		return one->object < other->object ? -1 : 1;
	return one->waiter < other->waiter ? -1 : one->waiter > other->waiter;
}

static struct error *waiting_sort(struct search *search)
{
	const struct blocked_list *list = search->list;
	size_t total = list->finalizing_count;

	for (uint32_t i = 0; i < list->count; i++)
		total += list->items[i].count;
	search->waiting = calloc(total + 1, sizeof(*search->waiting));
	if (!search->waiting)
		return error_no_memory();
	for (uint32_t i = 0; i < list->count; i++) {
		for (uint32_t j = 0; j < list->items[i].count; j++) {
			const struct blocked_object *on = &list->objects[list->items[i].first + j];
			search->waiting[search->waiting_count++] =
				(struct waiting){on->object, i, on->late ? WAITING_LATE : WAITING};
		}
	}
	for (size_t i = 0; i < list->finalizing_count; i++)
		search->waiting[search->waiting_count++] = (struct waiting){
			list->finalizing[i].object, list->finalizing[i].to, WAITING_FINALIZER};
	qsort(search->waiting, total, sizeof(*search->waiting), waiting_compare);
	return NULL;
}

static struct error *wake(struct search *search, uint32_t waiter)
{
	const struct blocked *blocked = &search->list->items[waiter];
	struct verdict *verdict = &search->verdicts[waiter];
	uint64_t before = graph_walk_bytes(search->walk);
	struct error *err = NULL;

	if (verdict->how != WAKEABLE_NEVER)
		return NULL;
	verdict->how = search->late ? WAKEABLE_LATE : WAKEABLE;
	if (blocked->holder != NODE_NONE)
		err = graph_walk_from(search->walk, blocked->holder);
	// The other cases of its select: its stack may have forgotten them, the sudogs are obstacles.
	for (uint32_t i = 0; i < blocked->count && !err; i++)
		err = graph_walk_from(
			search->walk, search->list->objects[blocked->first + i].object);
	verdict->bytes = graph_walk_bytes(search->walk) - before;
	return err;
}

// Wakes everybody who waits for `object`, and counts with its finalizer.
static struct error *wake_waiters(struct search *search, object_id object)
{
	size_t at = FIRST_WHERE(i, search->waiting_count, search->waiting[i].object >= object);
	struct error *err = NULL;

	for (; at < search->waiting_count && search->waiting[at].object == object && !err; at++) {
		const struct waiting *waiting = &search->waiting[at];
		if (waiting->as == WAITING_FINALIZER)
			err = graph_walk_from(search->walk, waiting->waiter);
		else if (search->late || waiting->as == WAITING)
			err = wake(search, waiting->waiter);
	}
	return err;
}

static struct error *wake_all(struct search *search)
{
	object_id object;
	struct error *err = NULL;

	while (!err && graph_walk_next(search->walk, &object))
		err = wake_waiters(search, object);
	return err;
}

// Begins to count late objects, with those that were met already.
static struct error *wake_late(struct search *search)
{
	struct error *err = NULL;

	search->late = true;
	for (size_t i = 0; i < search->waiting_count && !err; i++) {
		const struct waiting *waiting = &search->waiting[i];
		if (waiting->as == WAITING_LATE && graph_walk_met(search->walk, waiting->object))
			err = wake(search, waiting->waiter);
	}
	return err ? err : wake_all(search);
}

// Starts with the finalizers of what is dead already: the next collection has them run.
static struct error *dead_finalize(struct search *search, const struct graph *graph)
{
	const uint64_t *reached = graph_reached(graph);
	struct error *err = NULL;

	for (size_t i = 0; i < search->list->finalizing_count && !err; i++) {
		const struct finalizing *finalizing = &search->list->finalizing[i];
		if (!heap_bit(reached, finalizing->object))
			err = graph_walk_from(search->walk, finalizing->to);
	}
	return err;
}

static struct error *search_run(struct search *search, struct graph *graph, uint32_t holder_count)
{
	const struct blocked_list *list = search->list;
	_cleanup_free_ bool *skipped = calloc((size_t)holder_count + 1, sizeof(*skipped));
	struct error *err = NULL;

	if (!skipped)
		return error_no_memory();
	for (uint32_t i = 0; i < list->count; i++)
		if (list->items[i].holder != NODE_NONE)
			skipped[list->items[i].holder - graph_holder_node(graph, 0)] = true;
	for (size_t i = 0; i < list->finalizer_count; i++)
		skipped[list->finalizers[i] - graph_holder_node(graph, 0)] = true;
	for (size_t i = 0; i < list->obstacle_count; i++)
		graph_walk_block(search->walk, list->obstacles[i]);
	for (size_t i = 0; i < search->waiting_count; i++)
		graph_walk_watch(search->walk, search->waiting[i].object);
	for (uint32_t h = 0; h < holder_count && !err; h++)
		if (!skipped[h])
			err = graph_walk_from(search->walk, graph_holder_node(graph, h));
	if (!err)
		err = dead_finalize(search, graph);
	if (!err)
		err = graph_walk_listen(search->walk);
	if (!err)
		err = wake_all(search);
	return err ? err : wake_late(search);
}

struct error *wakeable_find(struct graph *graph, uint32_t holder_count,
	const struct blocked_list *list, struct verdict *verdicts, struct graph_walk **walk)
{
	struct search search = {.list = list, .verdicts = verdicts};
	struct error *err = graph_walk_create(graph, &search.walk);

	if (err)
		return err;
	for (uint32_t i = 0; i < list->count; i++)
		verdicts[i] = (struct verdict){.how = WAKEABLE_NEVER};
	err = waiting_sort(&search);
	if (!err)
		err = search_run(&search, graph, holder_count);
	free(search.waiting);
	if (err)
		graph_walk_destroy(search.walk);
	else
		*walk = search.walk;
	return err;
}
