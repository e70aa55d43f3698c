// See runtime_exercise.h.
#include "runtime_exercise.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/goroutine.h"
#include "goruntime/roots.h"
#include "goruntime/typing.h"

static bool group_visit(void *context, const struct word_group *group)
{
	return true;
}

// All roots as edges of one holder.
static struct error *roots_connect(
	const struct heap *heap, struct graph *graph, const struct roots *roots)
{
	_cleanup_free_ struct holder_edge *edges = malloc((roots->list.count + 1) * sizeof(*edges));

	if (!edges)
		return error_no_memory();
	for (size_t i = 0; i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];

		edges[i] = (struct holder_edge){0, heap_find(heap, root->value), root->precise};
	}
	return graph_connect(graph, 1, edges, roots->list.count);
}

// Types all that is reachable, and asks everything that a report asks.
static struct error *typing_exercise(struct heap *heap, const struct graph *graph,
	const struct roots *roots, const struct goroutine_list *goroutines,
	struct runtime_outcome *out)
{
	struct typing *typing;
	struct typing_statistics statistics;
	struct object_type type;
	struct global_name global;
	char edge[200];
	struct error *err = typing_open(heap, roots, goroutines, TYPING_AS_STRIPPED, &typing);

	if (err)
		return err;
	err = typing_spread(typing, graph_reached(graph));
	if (err) {
		typing_destroy(typing);
		return err;
	}
	typing_statistics(typing, &statistics);
	out->typed_objects = statistics.exact_objects;
	for (object_id id = 0; id < heap->object_count; id++) {
		typing_of(typing, id, &type);
		typing_label_name(typing, typing_label_of(typing, id));
		if (id % 61 == 0)
			typing_edge(typing, id, id / 2, edge, sizeof(edge));
	}
	for (size_t i = 0; i < roots->list.count; i += 7)
		if (roots->list.items[i].slot)
			typing_global(typing, roots->list.items[i].slot, &global);
	typing_destroy(typing);
	return NULL;
}

static struct error *heap_exercise(struct heap *heap, struct runtime_outcome *out)
{
	struct goroutine_list *goroutines = NULL;
	struct roots roots = {0};
	struct graph *graph = NULL;
	struct error *err = goroutines_read(heap, &goroutines);

	if (!err)
		err = roots_collect(heap, goroutines, &roots);
	if (!err)
		err = graph_extract(heap, 1, &graph);
	if (!err)
		err = roots_connect(heap, graph, &roots);
	if (!err)
		err = typing_exercise(heap, graph, &roots, goroutines, out);
	if (!err) {
		agreement_compute(heap, graph, goroutines, &out->agreement);
		out->allocated_bytes = heap->allocated_bytes;
		out->goroutines = goroutines->count;
		out->roots = roots.list.count;
		for (size_t i = 0; i < roots.list.count; i++)
			out->root_kinds |= 1U << roots.list.items[i].kind;
	}
	graph_destroy(graph);
	roots_deinit(&roots);
	goroutines_destroy(goroutines);
	return err;
}

// What the graph does not ask of a reader.
static struct error *reader_exercise(struct heap *heap, struct runtime_outcome *out)
{
	struct heap_reader *reader;
	struct error *err = heap_reader_create(heap, &reader);

	if (err)
		return err;
	for (object_id id = 0; id < heap->object_count; id += 97) {
		uint64_t words = heap_size(heap, id) / 8;

		heap_scan_object(reader, id, group_visit, NULL);
		heap_pointer_bits(reader, heap_span_of(heap, id), id, words / 2);
		heap_pointer_bits(reader, heap_span_of(heap, id), id, words - 1);
	}
	out->faults = heap_reader_faults(reader);
	heap_reader_destroy(reader);
	return NULL;
}

struct error *runtime_exercise(struct target *target, struct runtime_outcome *out)
{
	struct runtime_outcome outcome = {0};
	struct go_runtime *runtime;
	struct heap *heap = NULL;
	struct error *err = go_runtime_open(target, &runtime);

	if (err)
		return err;
	err = heap_open(runtime, &heap);
	if (!err)
		err = heap_exercise(heap, &outcome);
	if (!err)
		err = reader_exercise(heap, &outcome);
	heap_close(heap);
	go_runtime_close(runtime);
	if (!err)
		*out = outcome;
	return err;
}
