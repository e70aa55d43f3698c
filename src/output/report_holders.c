// Who holds it: the children of the root in the dominator tree, the largest first. They partition what is alive.
//
// Some are holders. The others are objects that several holders keep: neither of these would free them by going. They
// are put together by type, for forty connections that each two goroutines hold are one line.
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/units.h"
#include "heapwhy/map.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/report_parts.h"

enum {
	HOLDERS_MAX = 5000, // more are of no use to anybody; the text shows ten
	FIRST_PATH_BUDGET = 200000,
	NEXT_PATH_BUDGET = 20000,
};

struct keeper {
	uint32_t holder; // index, or UINT32_MAX: shared objects
	uint32_t label;  // ... of this type
	object_id largest;
	uint64_t largest_bytes;
	uint64_t count; // shared objects
	uint64_t retained, objects;
};

struct keepers {
	struct analysis *analysis;
	HW_VECTOR(struct keeper) list;
	struct hw_map by_label; // label of shared objects -> index
	bool failed;
};

static bool keepers_add_shared(void *context, node_id node)
{
	struct keepers *keepers = context;
	struct graph *graph = keepers->analysis->graph;
	uint32_t label = typing_label_of(keepers->analysis->typing, node);
	struct keeper fresh = {.holder = UINT32_MAX, .label = label};
	uint64_t *index = hw_map_at(&keepers->by_label, label, keepers->list.count);

	if (!index || (*index == keepers->list.count && !hw_vector_push(&keepers->list, fresh))) {
		keepers->failed = true;
		return false;
	}
	struct keeper *keeper = &keepers->list.items[*index];
	uint64_t retained = graph_retained(graph, node);
	if (retained > keeper->largest_bytes || !keeper->count) {
		keeper->largest = node;
		keeper->largest_bytes = retained;
	}
	keeper->count++;
	keeper->retained += retained;
	keeper->objects += graph_retained_count(graph, node);
	return true;
}

static int compare_keepers(const void *a, const void *b)
{
	const struct keeper *one = a, *other = b;

	if (one->retained != other->retained)
		return one->retained < other->retained ? 1 : -1;
	if (one->holder != other->holder)
		return one->holder < other->holder ? -1 : 1;
	return one->label < other->label ? -1 : one->label > other->label;
}

static struct error *keepers_collect(struct keepers *keepers)
{
	struct analysis *analysis = keepers->analysis;

	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		node_id node = analysis->holders[i].node;
		struct keeper keeper = {
			.holder = i,
			.retained = graph_retained(analysis->graph, node),
			.objects = graph_retained_count(analysis->graph, node),
		};
		if (keeper.retained && !hw_vector_push(&keepers->list, keeper))
			return error_no_memory();
	}
	graph_shared(analysis->graph, keepers_add_shared, keepers);
	if (keepers->failed)
		return error_no_memory();
	if (keepers->list.count)
		qsort(keepers->list.items, keepers->list.count, sizeof(*keepers->list.items),
			compare_keepers);
	return NULL;
}

static struct error *fill_holder(struct report *report, const struct analysis *analysis,
	const struct holder *holder, struct report_holder *out)
{
	const struct go_type *type = holder->named ? holder->global.type : NULL;
	_cleanup_text_ struct text name = TEXT_INIT;

	holder_name_append(&name, analysis, holder);
	if (name.failed)
		return error_no_memory();
	out->name = clean_string(&report->arena, name.bytes);
	out->kind = holder_kind_name(holder->kind);
	out->type = clean_string(&report->arena, type ? type->name : "");
	out->name_exact = holder->kind != HOLDER_GLOBAL || (holder->named && holder->global.exact);
	return out->name && out->type ? NULL : error_no_memory();
}

// "shared tsdb.Head", "40 shared scrape.loop"
static struct error *fill_shared(struct report *report, const struct analysis *analysis,
	const struct keeper *keeper, struct report_holder *out)
{
	const char *type = typing_label_name(analysis->typing, keeper->label);
	_cleanup_text_ struct text name = TEXT_INIT;
	char count[24];

	if (keeper->count > 1)
		text_printf(&name, "%s ", format_count(count, sizeof(count), keeper->count));
	text_printf(&name, "shared %s", type);
	if (name.failed)
		return error_no_memory();
	out->name = clean_string(&report->arena, name.bytes);
	out->kind = "other";
	out->type = clean_string(&report->arena, type);
	out->name_exact = true;
	out->shared = keeper->count;
	return out->name && out->type ? NULL : error_no_memory();
}

struct shared_start {
	const struct analysis *analysis;
	struct path_start *start;
	bool failed;
};

static bool start_add_shared(void *context, node_id node)
{
	struct shared_start *shared = context;

	if (typing_label_of(shared->analysis->typing, node) == shared->start->label &&
		!hw_vector_push(&shared->start->nodes, node))
		shared->failed = true;
	return !shared->failed;
}

static struct error *fill_path(struct report *report, struct analysis *analysis,
	const struct keeper *keeper, size_t budget, struct report_holder *out)
{
	struct path_start start = {.nodes = HW_VECTOR_INIT, .label = UINT32_MAX};
	bool done = true;

	if (keeper->holder == UINT32_MAX) {
		struct shared_start shared = {analysis, &start, false};
		start.label = keeper->label;
		graph_shared(analysis->graph, start_add_shared, &shared);
		done = !shared.failed;
	} else
		done = hw_vector_push(&start.nodes, analysis->holders[keeper->holder].node);
	struct error *err =
		done ? report_path(report, analysis, &start, budget, out) : error_no_memory();
	hw_vector_deinit(&start.nodes);
	return err;
}

static struct error *fill(struct report *report, struct analysis *analysis,
	const struct keepers *keepers, uint32_t count, uint32_t paths)
{
	_cleanup_free_ object_id *objects = calloc((size_t)count + 1, sizeof(*objects));

	report->holders = hw_arena_calloc(&report->arena, count, sizeof(*report->holders));
	if (!report->holders || !objects)
		return error_no_memory();
	uint64_t least = graph_reached_bytes(analysis->graph) / 200;
	for (uint32_t i = 0; i < count; i++) {
		const struct keeper *keeper = &keepers->list.items[i];
		struct report_holder *out = &report->holders[i];
		bool shared = keeper->holder == UINT32_MAX;
		out->retained_bytes = keeper->retained;
		out->objects = keeper->objects;
		// Asking who refers to it means going through the whole graph: not for small change.
		bool matters = i < paths && keeper->retained >= least;
		objects[i] = shared && matters ? keeper->largest : OBJECT_NONE;
		struct error *err = shared ? fill_shared(report, analysis, keeper, out)
					   : fill_holder(report, analysis,
						     &analysis->holders[keeper->holder], out);
		if (!err && i < paths)
			err = fill_path(report, analysis, keeper,
				i ? NEXT_PATH_BUDGET : FIRST_PATH_BUDGET, out);
		if (!err && cancel_requested())
			err = error_cancelled();
		if (err)
			return err;
		report->holder_count++;
	}
	return report_held_by(report, analysis, objects, report->holders, count);
}

struct error *report_holders(
	struct report *report, struct analysis *analysis, const struct report_options *options)
{
	struct keepers keepers = {.analysis = analysis};

	hw_map_init(&keepers.by_label);
	struct error *err = keepers_collect(&keepers);
	if (!err) {
		uint32_t count = keepers.list.count < HOLDERS_MAX ? (uint32_t)keepers.list.count
								  : HOLDERS_MAX;
		report->holders_left_out = keepers.list.count - count;
		err = fill(report, analysis, &keepers, count, options->paths);
	}
	hw_map_deinit(&keepers.by_label);
	hw_vector_deinit(&keepers.list);
	return err;
}
