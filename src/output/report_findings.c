// Findings of a report: what the rules found, made plain.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "output/clean.h"
#include "output/path_nodes.h"
#include "output/report_parts.h"
#include "rules/rule.h"

enum { PATH_NODES_MAX = 12, ALLOCATION_CALLS_MAX = 32 };

static bool build_sentences(
	struct report *report, const struct finding *finding, struct report_finding *out)
{
	out->type = clean_string(&report->arena, finding->type);
	out->what = clean_string(&report->arena, finding->what);
	out->remedy = clean_string(&report->arena, finding->remedy);
	out->condition = clean_string(&report->arena, finding->condition);
	return out->type && out->what && out->remedy && out->condition;
}

static struct error *build_path(struct report *report, struct analysis *analysis,
	const struct finding *finding, struct report_finding *out)
{
	struct node_path path = {0};

	if (finding->subject == NODE_NONE)
		return NULL;
	struct error *err =
		node_path_find(&report->arena, analysis, finding->subject, PATH_NODES_MAX, &path);
	out->path = path.nodes;
	out->path_count = path.count;
	return err;
}

// Where the object that stands for all was allocated, when the program's heap profile sampled it.
static bool build_allocation(struct report *report, const struct findings *findings,
	const struct finding *finding, object_id objects, struct report_finding *out)
{
	struct pcln_position positions[ALLOCATION_CALLS_MAX];

	if (finding->subject >= objects)
		return true;
	size_t count = allocation_stack(
		findings->sites, finding->subject, positions, ARRAY_COUNT(positions));
	out->allocated_at = hw_arena_calloc(&report->arena, count, sizeof(*out->allocated_at));
	if (!out->allocated_at)
		return false;
	for (; out->allocated_at_count < count; out->allocated_at_count++) {
		const struct pcln_position *position = &positions[out->allocated_at_count];
		struct report_frame *frame = &out->allocated_at[out->allocated_at_count];
		frame->function = clean_string(&report->arena, position->function);
		frame->file = clean_string(&report->arena, position->file);
		frame->line = position->line;
		if (!frame->function || !frame->file)
			return false;
	}
	return true;
}

static bool build_goroutine(struct report *report, const struct analysis *analysis,
	const struct finding *finding, struct report_finding *out)
{
	out->state = "";
	out->stack.created_by = (struct report_frame){"", "", 0};
	if (finding->goroutine == UINT32_MAX)
		return true;
	const struct goroutine *goroutine = &analysis->goroutines->goroutines[finding->goroutine];
	out->state = clean_string(&report->arena, goroutine->wait_reason);
	out->longest_wait_ns = finding->longest_wait_ns;
	return out->state && report_stack(report, analysis, goroutine, &out->stack);
}

static struct error *build_finding(struct report *report, struct analysis *analysis,
	const struct findings *findings, const struct finding *finding, struct report_finding *out)
{
	*out = (struct report_finding){
		.rule = finding->rule->name,
		.account = finding->rule->account,
		.bytes = finding->bytes,
		.objects = finding->objects,
		.proven = finding->proven,
		.remedy_bytes = finding->remedy_bytes,
	};
	if (!build_sentences(report, finding, out) ||
		!build_goroutine(report, analysis, finding, out) ||
		!build_allocation(report, findings, finding, analysis->heap->object_count, out))
		return error_no_memory();
	return build_path(report, analysis, finding, out);
}

static void cleanup_findings(struct findings **findings)
{
	findings_destroy(*findings);
}

struct error *report_findings(
	struct report *report, struct analysis *analysis, const struct ledger *ledger)
{
	_cleanup_(cleanup_findings) struct findings *findings = NULL;
	struct error *err = rules_run(analysis, ledger, &findings);

	if (err)
		return err;
	report->findings =
		hw_arena_calloc(&report->arena, findings->list.count, sizeof(*report->findings));
	if (!report->findings)
		return error_no_memory();
	for (size_t i = 0; i < findings->list.count && !err; i++)
		err = build_finding(report, analysis, findings, &findings->list.items[i],
			&report->findings[report->finding_count++]);
	report->finding_bytes = findings->bytes;
	report->findings_left_out = findings->left_out;
	return err;
}
