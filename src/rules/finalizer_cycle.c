// finalizer-cycle: objects whose own finalizer or cleanup keeps them.
//
// What an object with a finalizer points to, and what the finalizer's closure captured, lives until the finalizer has
// run, and it runs only when the object cannot be reached (runtime/mfinal.go; mcleanup.go from 1.24 on, where only the
// function and its argument are kept). If one leads back to the object, that never happens. In a chain it does: the
// object at the front is gone with the first collection, and then the next one is the front. So fronts are taken
// away until there are none; what is left keeps itself.
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/specials.h"
#include "rules/objects.h"

enum { FRONTS_MAX = 16 }; // longer chains are not judged

// An object that will be finalized, and what is kept until then.
struct kept {
	object_id object;
	uint32_t label;
	uint32_t first, count; // in roots
};

struct search {
	struct rule_run *run;
	size_t words;
	uint64_t *dark; // a bit an object: nothing but finalizers and cleanups keeps it
	uint64_t *seen;
	HW_VECTOR(struct kept) kept;
	HW_VECTOR(object_id) roots;
	HW_VECTOR(node_id) pending;
	uint64_t bytes; // of the objects entered
	bool no_memory;
};

static void search_deinit(struct search *search)
{
	free(search->dark);
	free(search->seen);
	hw_vector_deinit(&search->kept);
	hw_vector_deinit(&search->roots);
	hw_vector_deinit(&search->pending);
}

static bool bit_add(uint64_t *bits, node_id node)
{
	uint64_t bit = UINT64_C(1) << (node & 63);
	bool added = !(bits[node >> 6] & bit);

	bits[node >> 6] |= bit;
	return added;
}

static bool dark_visit(void *context, node_id node)
{
	struct search *search = context;

	if (node < search->run->analysis->heap->object_count)
		bit_add(search->dark, node);
	search->no_memory |= !hw_vector_push(&search->pending, node);
	return !search->no_memory;
}

// Everything below the finalizers in the dominator tree.
static struct error *dark_find(struct search *search, const struct holder *finalizers)
{
	const struct graph *graph = search->run->analysis->graph;

	graph_dominated(graph, finalizers->node, dark_visit, search);
	while (search->pending.count && !search->no_memory)
		graph_dominated(
			graph, search->pending.items[--search->pending.count], dark_visit, search);
	return search->no_memory ? error_no_memory() : NULL;
}

static bool root_add(void *context, node_id node)
{
	struct search *search = context;

	if (heap_bit(search->dark, node))
		search->no_memory |= !hw_vector_push(&search->roots, node);
	return !search->no_memory;
}

static void word_add(struct search *search, remote_addr address)
{
	const struct analysis *analysis = search->run->analysis;
	object_id object =
		heap_find(analysis->heap, memory_u64(&analysis->runtime->memory, address));

	if (object != OBJECT_NONE)
		root_add(search, object);
}

static bool special_visit_kept(void *context, const struct special *special)
{
	struct search *search = context;
	const struct analysis *analysis = search->run->analysis;
	const struct layout *layout = &analysis->runtime->layout;
	struct kept kept = {.object = special->object, .first = (uint32_t)search->roots.count};

	if (!heap_bit(search->dark, special->object))
		return true;
	if (special->kind == layout->special_finalizer) {
		graph_successors(analysis->graph, special->object, root_add, search);
		word_add(search, special->address + (uint32_t)layout->at.specialfinalizer_fn);
	} else if (special->kind == layout->special_cleanup &&
		   layout->at.specialCleanup_cleanup >= 0) {
		// 1.26 on: the words of a cleanupFn.
		for (int32_t offset = 0; offset < layout->at.cleanupFn_size; offset += 8)
			word_add(search,
				special->address +
					(uint32_t)(layout->at.specialCleanup_cleanup + offset));
	} else if (special->kind == layout->special_cleanup) {
		word_add(search, special->address + (uint32_t)layout->at.specialCleanup_fn);
	} else {
		return true;
	}
	kept.count = (uint32_t)search->roots.count - kept.first;
	kept.label = typing_label_of(analysis->typing, special->object);
	search->no_memory |= !hw_vector_push(&search->kept, kept);
	return !search->no_memory;
}

static struct error *kept_find(struct search *search)
{
	const struct heap *heap = search->run->analysis->heap;

	for (uint32_t i = 0; i < heap->span_count && !search->no_memory; i++)
		if (heap->spans[i].count && heap->spans[i].specials)
			specials_walk(heap, &heap->spans[i], special_visit_kept, search);
	return search->no_memory ? error_no_memory() : NULL;
}

static bool enter(void *context, node_id node)
{
	struct search *search = context;

	if (!heap_bit(search->dark, node) || !bit_add(search->seen, node))
		return true;
	search->bytes += heap_size(search->run->analysis->heap, node);
	search->no_memory |= !hw_vector_push(&search->pending, node);
	return !search->no_memory;
}

// Follows what is kept for one object.
static struct error *kept_enter(struct search *search, const struct kept *kept)
{
	for (uint32_t i = 0; i < kept->count && !search->no_memory; i++)
		enter(search, search->roots.items[kept->first + i]);
	while (search->pending.count && !search->no_memory)
		graph_successors(search->run->analysis->graph,
			search->pending.items[--search->pending.count], enter, search);
	return search->no_memory ? error_no_memory() : NULL;
}

static void search_forget(struct search *search)
{
	for (size_t i = 0; i < search->words; i++)
		search->seen[i] = 0;
}

// Takes away what none of the others, nor itself, leads to; *fronts says how many there were.
static struct error *fronts_drop(struct search *search, size_t *fronts)
{
	struct error *err = NULL;
	size_t left = 0;

	search_forget(search);
	for (size_t i = 0; i < search->kept.count && !err; i++)
		err = kept_enter(search, &search->kept.items[i]);
	for (size_t i = 0; i < search->kept.count; i++)
		if (heap_bit(search->seen, search->kept.items[i].object))
			search->kept.items[left++] = search->kept.items[i];
	*fronts = search->kept.count - left;
	search->kept.count = left;
	return err;
}

static int kept_compare(const void *a, const void *b)
{
	const struct kept *one = a, *other = b;

	if (one->label != other->label)
		return one->label < other->label ? -1 : 1;
	return one->object < other->object ? -1 : one->object > other->object;
}

// One that the program's heap profile has seen being made, if there is one.
static object_id kept_example(const struct search *search, size_t first, size_t end)
{
	const struct allocation_sites *sites = search->run->findings->sites;

	for (size_t i = first; i < end; i++)
		if (allocation_is_sampled(sites, search->kept.items[i].object))
			return search->kept.items[i].object;
	return search->kept.items[first].object;
}

// One finding for the objects of one type: kept[first .. end).
static struct error *type_report(struct search *search, size_t first, size_t end)
{
	struct rule_run *run = search->run;
	object_id example = kept_example(search, first, end);
	bool typed = typing_label_source(run->analysis->typing, search->kept.items[first].label) !=
		     TYPED_NOT;
	const char *type = typed ? object_type_name(run, example) : "";
	char count[24];
	struct error *err = NULL;

	search->bytes = 0;
	for (size_t i = first; i < end && !err; i++)
		err = kept_enter(search, &search->kept.items[i]);
	if (err)
		return err;
	struct finding finding = {
		.bytes = search->bytes,
		.objects = end - first,
		.type = type,
		.proven = true,
		.what = finding_text(run,
			"%s objects%s%s can be reached from their own finalizers or "
			"cleanups, which "
			"therefore never run",
			format_count(count, sizeof(count), end - first), typed ? " of type " : "",
			type),
		.remedy = "let neither the object nor the finalizer's function lead back to it: "
			  "put what has to be "
			  "released into an object of its own that refers to nothing",
		.remedy_bytes = search->bytes,
		.condition = "",
		.subject = example,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

static struct error *cycles_find(struct search *search)
{
	size_t fronts = 1;
	struct error *err = kept_find(search);

	for (unsigned round = 0; fronts && search->kept.count && !err; round++) {
		if (round == FRONTS_MAX)
			return NULL;
		err = fronts_drop(search, &fronts);
	}
	if (err || !search->kept.count)
		return err;
	qsort(search->kept.items, search->kept.count, sizeof(*search->kept.items), kept_compare);
	search_forget(search);
	for (size_t first = 0, next; first < search->kept.count && !err; first = next) {
		for (next = first + 1; next < search->kept.count; next++)
			if (search->kept.items[next].label != search->kept.items[first].label)
				break;
		err = type_report(search, first, next);
	}
	return err;
}

struct error *rule_finalizer_cycle(struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	_cleanup_(search_deinit) struct search search = {
		.run = run, .words = ((size_t)analysis->heap->object_count + 63) / 64};
	const struct holder *finalizers = NULL;

	for (uint32_t i = 0; i < analysis->holder_count && !finalizers; i++)
		if (analysis->holders[i].kind == HOLDER_FINALIZER)
			finalizers = &analysis->holders[i];
	if (!finalizers || graph_retained(analysis->graph, finalizers->node) < run->rule->least)
		return NULL;
	search.dark = calloc(search.words + 1, sizeof(*search.dark));
	search.seen = calloc(search.words + 1, sizeof(*search.seen));
	if (!search.dark || !search.seen)
		return error_no_memory();
	struct error *err = dark_find(&search, finalizers);
	return err ? err : cycles_find(&search);
}
