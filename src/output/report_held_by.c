// Who holds what no single holder keeps: one walk over all references finds those that lead to the objects in question,
// and the dominator tree tells whom each of them belongs to.
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "heapwhy/map.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/report_parts.h"

enum {
	REFERENCES_MAX = 64, // looked at for one object
	NAMES_MAX = 4,
};

// What refers to one of the objects.
struct subject {
	uint32_t holder; // index in the report's holders
	uint32_t count;
	node_id from[REFERENCES_MAX];
};

struct search {
	const struct graph *graph;
	struct subject *subjects;
	uint64_t *wanted;      // a bit an object
	struct hw_map subject; // object -> index in subjects
	node_id from;
	object_id object_count;
};

static bool search_visit(void *context, node_id node)
{
	struct search *search = context;
	uint64_t index;

	if (node >= search->object_count || !heap_bit(search->wanted, node) ||
		!hw_map_get(&search->subject, node, &index))
		return true;
	struct subject *subject = &search->subjects[index];
	if (subject->count < REFERENCES_MAX)
		subject->from[subject->count++] = search->from;
	return true;
}

// Holders first: a variable that refers to the object directly is the best answer.
static struct error *search_run(struct search *search, const struct analysis *analysis)
{
	const uint64_t *reached = graph_reached(analysis->graph);

	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		search->from = graph_holder_node(analysis->graph, i);
		graph_successors(analysis->graph, search->from, search_visit, search);
	}
	for (object_id word = 0; word < (analysis->heap->object_count + 63) / 64; word++) {
		if ((word & 0xffff) == 0 && cancel_requested())
			return error_cancelled();
		for (uint64_t bits = reached[word]; bits; bits &= bits - 1) {
			search->from = word * 64 + (object_id)__builtin_ctzll(bits);
			graph_successors(analysis->graph, search->from, search_visit, search);
		}
	}
	return NULL;
}

static const char *keeper_name(
	struct report *report, const struct analysis *analysis, node_id keeper)
{
	_cleanup_text_ struct text name = TEXT_INIT;

	if (keeper < analysis->heap->object_count)
		text_printf(&name, "shared %s",
			typing_label_name(
				analysis->typing, typing_label_of(analysis->typing, keeper)));
	else
		holder_name_append(&name, analysis,
			&analysis->holders[keeper - graph_group_node(analysis->graph, 0)]);
	return name.failed ? NULL : clean_string(&report->arena, name.bytes);
}

static bool subject_tell(struct report *report, struct analysis *analysis,
	const struct subject *subject, object_id self, struct report_holder *out)
{
	node_id keepers[REFERENCES_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < subject->count; i++) {
		node_id keeper = graph_keeper(analysis->graph, subject->from[i]);
		bool known = keeper == self || keeper == NODE_NONE;
		for (uint32_t k = 0; k < count && !known; k++)
			known = keepers[k] == keeper;
		if (!known)
			keepers[count++] = keeper;
	}
	out->held_by = hw_arena_calloc(&report->arena, NAMES_MAX, sizeof(*out->held_by));
	if (!out->held_by)
		return false;
	for (uint32_t i = 0; i < count && i < NAMES_MAX; i++) {
		out->held_by[i] = keeper_name(report, analysis, keepers[i]);
		if (!out->held_by[i])
			return false;
		out->held_by_count++;
	}
	out->held_by_more = count - out->held_by_count;
	return true;
}

static bool search_prepare(struct search *search, const object_id *objects, uint32_t count)
{
	uint32_t found = 0;

	search->subjects = calloc((size_t)count + 1, sizeof(*search->subjects));
	search->wanted = calloc((size_t)search->object_count / 64 + 1, sizeof(*search->wanted));
	if (!search->subjects || !search->wanted)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (objects[i] == OBJECT_NONE)
			continue;
		search->wanted[objects[i] >> 6] |= UINT64_C(1) << (objects[i] & 63);
		search->subjects[found].holder = i;
		if (!hw_map_put(&search->subject, objects[i], found++))
			return false;
	}
	return true;
}

struct error *report_held_by(struct report *report, struct analysis *analysis,
	const object_id *objects, struct report_holder *holders, uint32_t count)
{
	struct search search = {
		.graph = analysis->graph, .object_count = analysis->heap->object_count};
	struct error *err = NULL;

	hw_map_init(&search.subject);
	if (!search_prepare(&search, objects, count))
		err = error_no_memory();
	if (!err && search.subject.count)
		err = search_run(&search, analysis);
	for (size_t i = 0; i < search.subject.count && !err; i++) {
		const struct subject *subject = &search.subjects[i];
		if (!subject_tell(report, analysis, subject, objects[subject->holder],
			    &holders[subject->holder]))
			err = error_no_memory();
	}
	free(search.subjects);
	free(search.wanted);
	hw_map_deinit(&search.subject);
	return err;
}
