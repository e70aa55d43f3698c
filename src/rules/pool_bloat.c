// pool-bloat: elements of a sync.Pool that keep much more than the next one who gets them needs.
//
// A pool's contents survive one collection and mostly go with the second, unless they are used: a large buffer that is
// handed out for small work never goes. How large is too large the program does not say; fmt, encoding/json and log drop
// buffers beyond 64 KiB (fmt/print.go, (*pp).free, the same from 1.19 to 1.27), and so that is the measure. Only arrays
// that an element refers to itself count, and only those with little in them, or far bigger than others of the pool:
// what is large by its type, or part of something complicated, is so by design. The other thing that does not belong
// there are elements that were not reset: those that hold closures, or a text of their own. Nobody keeps a text to write
// into it again, and where the last user's text is, the rest is the last user's, too. Suspected.
//
// Buffers that are all of one size were made that way, as in pools with a sync.Pool for each size, unless they are
// bytes.Buffers or very large. A bytes.Buffer that was put back full was needed like this, unless another one of the pool
// was needed for little.
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

enum { PART_BYTES = 64 << 10, UNUSUAL_RATIO = 16, HUGE_BYTES = 512 << 10, LEFT_BYTES = 16 << 10 };
enum { TINY_BYTES = 16 }; // small texts share slots (mallocgc's tiny allocator)

#define KIND_CLOSURE (UINT64_C(1) << 32)
#define KIND_LEFT (UINT64_C(1) << 33) // of an element

// The contents of one []poolLocal.
struct pool {
	struct rule_run *run;
	struct suspects *suspects;
	HW_VECTOR(struct suspect) parts; // what its elements refer to
	object_id element;               // whose buffers are being looked at
	uint64_t left; // bytes that it alone keeps, but for buffers that are nearly empty
	bool has_text;
	struct hw_map seen; // of the pool's own objects
	HW_VECTOR(node_id) pending;
	bool no_memory;
};

static bool is_nearly_empty(const struct pool *pool, object_id array)
{
	const struct windowed_object *windowed = windows_find(pool->run->windows, array);

	return windowed && windowed->viewed < windowed->spare;
}

// The small ones, too, say what is usual.
static bool part_look(void *context, node_id node)
{
	struct pool *pool = context;
	const struct analysis *analysis = pool->run->analysis;
	struct suspect part = {.object = node,
		.kind = typing_label_of(analysis->typing, pool->element),
		.bytes = heap_size(analysis->heap, node)};
	struct object_type type;

	typing_of(analysis->typing, node, &type);
	bool own = graph_dominator(analysis->graph, node) == pool->element;
	if (own || part.bytes <= TINY_BYTES)
		pool->has_text |= !strcmp(object_type_name(pool->run, node), "string");
	if (!own)
		return true;
	if (!is_nearly_empty(pool, node))
		pool->left += graph_retained(analysis->graph, node);
	if (typing_is_closure(analysis->typing, node)) {
		part.kind |= KIND_CLOSURE;
		part.bytes = graph_retained(analysis->graph, node);
	} else if (!type.array) {
		return true;
	}
	pool->no_memory = !hw_vector_push(&pool->parts, part);
	return !pool->no_memory;
}

// Everything in an element that was not reset is one suspect.
static bool element_look(struct pool *pool, object_id element)
{
	const struct analysis *analysis = pool->run->analysis;
	size_t parts = pool->parts.count;
	struct object_type type;

	typing_of(analysis->typing, element, &type);
	pool->element = element;
	pool->left = 0;
	pool->has_text = false;
	if (!graph_successors(analysis->graph, element, part_look, pool))
		return false;
	if (pool->has_text && pool->left >= LEFT_BYTES && type.type && !type.array &&
		type.type->kind == GO_STRUCT) {
		pool->parts.count = parts;
		suspects_add(pool->suspects,
			(struct suspect){.object = element,
				.kind = typing_label_of(analysis->typing, element) | KIND_LEFT,
				.bytes = pool->left});
	}
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
	return element_look(pool, node);
}

static bool is_bytes_buffer(const struct pool *pool, const struct suspect *part)
{
	node_id element = graph_dominator(pool->run->analysis->graph, part->object);

	return !strcmp(object_type_name(pool->run, element), "bytes.Buffer");
}

// What its last user had in it.
static uint64_t used_bytes(const struct pool *pool, const struct suspect *part)
{
	const struct windowed_object *array = windows_find(pool->run->windows, part->object);

	return array ? array->viewed : part->bytes;
}

// What is usual in the pool: the smallest array, and the least that a bytes.Buffer was used for.
struct usual {
	uint64_t size, use;
};

static bool is_bloated(
	const struct pool *pool, const struct suspect *part, const struct usual *usual)
{
	if (part->bytes <= PART_BYTES)
		return false;
	if (part->kind & KIND_CLOSURE || part->bytes >= usual->size * UNUSUAL_RATIO)
		return true;
	bool buffer = is_bytes_buffer(pool, part);
	if (buffer && part->bytes / UNUSUAL_RATIO >= usual->use)
		return true;
	// One that is nearly empty was bigger than necessary.
	return is_nearly_empty(pool, part->object) &&
	       (part->bytes > usual->size || part->bytes >= HUGE_BYTES || buffer);
}

static void parts_judge(struct pool *pool)
{
	struct usual usual = {UINT64_MAX, UINT64_MAX};

	for (size_t i = 0; i < pool->parts.count; i++) {
		const struct suspect *part = &pool->parts.items[i];
		if (part->kind & KIND_CLOSURE)
			continue;
		uint64_t used = used_bytes(pool, part);
		if (part->bytes < usual.size)
			usual.size = part->bytes;
		// One that was reset does not tell.
		if (used && used < usual.use && is_bytes_buffer(pool, part))
			usual.use = used;
	}
	for (size_t i = 0; i < pool->parts.count; i++)
		if (is_bloated(pool, &pool->parts.items[i], &usual))
			suspects_add(pool->suspects, pool->parts.items[i]);
}

static struct error *pools_look(struct pool *pool, const struct typed_objects *locals)
{
	struct graph *graph = pool->run->analysis->graph;

	for (size_t i = 0; i < locals->list.count && !pool->no_memory; i++) {
		pool->parts.count = 0;
		graph_successors(graph, locals->list.items[i], contents_look, pool);
		while (pool->pending.count && !pool->no_memory)
			graph_successors(graph, pool->pending.items[--pool->pending.count],
				contents_look, pool);
		parts_judge(pool);
	}
	return pool->no_memory ? error_no_memory() : suspects_group(pool->suspects, pool->run);
}

// By what there is too much of.
static const struct {
	uint64_t kind;
	const char *what, *remedy;
} reports[] = {
	{KIND_CLOSURE, "%s elements of a sync.Pool hold closures, which keep up to %s each",
		"set the fields of an element to nil before Put"},
	{KIND_LEFT,
		"%s elements of a sync.Pool still hold what their last user left in them, up to %s "
		"each",
		"set the fields of an element to their zero values before Put"},
	{0,
		"%s buffers of up to %s each, far bigger than what is in them or than others, wait "
		"in a "
		"sync.Pool",
		"do not Put a buffer whose capacity has grown beyond what is usual (fmt's limit is "
		"64 KiB)"},
};

static struct error *group_report(struct rule_run *run, const struct suspect_group *group)
{
	const struct suspect *example = group->example;
	node_id element = example->kind & KIND_LEFT
				  ? example->object
				  : graph_dominator(run->analysis->graph, example->object);
	char count[24], size[24];
	size_t report = 0;

	while (reports[report].kind && !(example->kind & reports[report].kind))
		report++;
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = object_type_name(run, element),
		.what = finding_text(run, reports[report].what,
			format_count(count, sizeof(count), group->count),
			format_bytes(size, sizeof(size), group->most)),
		.remedy = reports[report].remedy,
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = example->object,
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
	hw_vector_deinit(&pool.parts);
	for (size_t i = 0; i < suspects.groups.count && !err; i++)
		err = group_report(run, &suspects.groups.items[i]);
	return err;
}
