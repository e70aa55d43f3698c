// pool-bloat: buffers that grew large for once and wait in a sync.Pool.
//
// A pool's contents survive one collection and mostly go with the second, unless they are used: a large buffer that is
// handed out for small work never goes. How large is too large the program does not say; fmt, encoding/json and log drop
// buffers beyond 64 KiB (fmt/print.go, (*pp).free, the same from 1.19 to 1.27), and so that is the measure. Only arrays
// that an element of the pool refers to by a slice with room to spare count: what is large by its type, or part of
// something complicated, is so by design. Suspected.
//
// sync/pool.go and sync/poolqueue.go, 1.19 to 1.27: Pool.local and .victim point to arrays of poolLocal; these lead to
// elements directly, or by way of poolChainElt and arrays of eface.
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "heapwhy/map.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum { BUFFER_BYTES = 64 << 10 };

struct pool {
	struct rule_run *run;
	struct suspects *suspects;
	object_id element;  // whose buffers are being looked at
	struct hw_map seen; // of the pool's own objects
	HW_VECTOR(node_id) pending;
	bool no_memory;
};

static bool buffer_look(void *context, node_id node)
{
	struct pool *pool = context;
	const struct analysis *analysis = pool->run->analysis;
	const struct windowed_object *buffer = windows_find(pool->run->windows, node);

	if (!buffer || heap_size(analysis->heap, node) <= BUFFER_BYTES ||
		buffer->viewed > buffer->spare ||
		graph_dominator(analysis->graph, node) != pool->element)
		return true;
	suspects_add(
		pool->suspects, (struct suspect){.object = node,
					.kind = typing_label_of(analysis->typing, pool->element),
					.bytes = heap_size(analysis->heap, node)});
	return true;
}

// The pool's own objects are walked through; what else they point to are its elements.
static bool contents_look(void *context, node_id node)
{
	struct pool *pool = context;
	const char *name = object_type_name(pool->run, node);

	if (!strcmp(name, "sync.poolChainElt") || !strcmp(name, "[]sync.eface")) {
		if (hw_map_get(&pool->seen, node, NULL))
			return true;
		pool->no_memory =
			!hw_map_put(&pool->seen, node, 1) || !hw_vector_push(&pool->pending, node);
		return !pool->no_memory;
	}
	pool->element = node;
	return graph_successors(pool->run->analysis->graph, node, buffer_look, pool);
}

static struct error *pools_look(struct pool *pool, const struct typed_objects *locals)
{
	struct graph *graph = pool->run->analysis->graph;

	for (size_t i = 0; i < locals->list.count && !pool->no_memory; i++)
		graph_successors(graph, locals->list.items[i], contents_look, pool);
	while (pool->pending.count && !pool->no_memory)
		graph_successors(
			graph, pool->pending.items[--pool->pending.count], contents_look, pool);
	return pool->no_memory ? error_no_memory() : suspects_group(pool->suspects, pool->run);
}

static struct error *group_report(struct rule_run *run, const struct suspect_group *group)
{
	node_id element = graph_dominator(run->analysis->graph, group->largest->object);
	char count[24], bytes[24];
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = object_type_name(run, element),
		.what = finding_text(run,
			"%s buffers of %s each or less, far bigger than what is in them, wait in a "
			"sync.Pool",
			format_count(count, sizeof(count), group->count),
			format_bytes(bytes, sizeof(bytes), group->largest->bytes)),
		.remedy = "do not Put a buffer whose capacity has grown beyond what is usual "
			  "(fmt's limit is 64 KiB)",
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->largest->object,
		.goroutine = UINT32_MAX,
	};

	return finding_add(run, &finding);
}

struct error *rule_pool_bloat(struct rule_run *run)
{
	_cleanup_(suspects_deinit) struct suspects suspects = {0};
	_cleanup_(typed_objects_deinit) struct typed_objects locals = {0};
	struct pool pool = {.run = run, .suspects = &suspects};
	struct error *err = typed_objects_find(run, "sync.poolLocal", &locals);

	hw_map_init(&pool.seen);
	if (!err)
		err = pools_look(&pool, &locals);
	hw_map_deinit(&pool.seen);
	hw_vector_deinit(&pool.pending);
	for (size_t i = 0; i < suspects.groups.count && !err; i++)
		err = group_report(run, &suspects.groups.items[i]);
	return err;
}
