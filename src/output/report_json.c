// The report for programs. See report_json.h.
#include "output/report_json.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "output/findings_json.h"
#include "output/json.h"

static json_t *json_ms(double milliseconds)
{
	return json_real(round(milliseconds * 1000) / 1000);
}

static json_t *target_json(const struct report *report)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "kind",
		report->target_kind, "pid", report->pid, "build_id", report->build_id, "exe",
		report->exe, "go_version", report->go_version, "arch", report->arch, "stripped",
		report->stripped, "pie", report->pie, "debug_info", report->debug_info);
}

static json_t *capture_json(const struct report *report)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "method", report->capture_method, "reason",
		report->capture_reason, "pause_ns", json_u64(report->pause_ns), "threads",
		json_u64(report->threads), "goroutines", json_u64(report->goroutine_count));
}

static json_t *agreement_json(const struct agreement *agreement)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:s}", "comparable", agreement->comparable,
		"marked", json_u64(agreement->marked), "reached", json_u64(agreement->reached),
		"missing", json_u64(agreement->missing), "extra", json_u64(agreement->extra),
		"impossible", json_u64(agreement->impossible), "why", agreement->why);
}

// Under the names of runtime.MemStats; what the runtime was not found to say is left out.
static json_t *memstats_json(const struct report *report)
{
	const struct report_heap *heap = &report->heap;
	const struct runtime_counters *counters = &report->counters;
	uint64_t allocated = heap->live_bytes + heap->garbage_bytes + heap->unswept_bytes;
	const struct {
		const char *name;
		uint64_t bytes;
		bool known;
	} rows[] = {
		{"HeapAlloc", allocated, true},
		{"HeapInuse", heap->in_use_bytes, true},
		{"HeapIdle", counters->idle, counters->heap_known},
		{"HeapReleased", counters->released, counters->heap_known},
		{"MSpanSys", counters->spans, counters->others_known},
		{"MCacheSys", counters->caches, counters->others_known},
		{"BuckHashSys", counters->profile, counters->others_known},
	};
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		if (rows[i].known)
			json_object_set_new(object, rows[i].name, json_u64(rows[i].bytes));
	return object;
}

static json_t *ledger_json(const struct report *report)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < report->ledger_count; i++)
		list = json_array_with(
			list, json_pack("{s:s, s:o}", "account", report->ledger[i].name, "bytes",
				      json_u64(report->ledger[i].bytes)));
	return list;
}

static json_t *heap_json(const struct report_heap *heap)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"pinned_bytes", json_u64(heap->pinned_bytes), "spare_bytes",
		json_u64(heap->spare_bytes), "slack_bytes", json_u64(heap->slack_bytes),
		"unjudged_bytes", json_u64(heap->unjudged_bytes), "live_bytes",
		json_u64(heap->live_bytes), "live_objects", json_u64(heap->live_objects),
		"garbage_bytes", json_u64(heap->garbage_bytes), "garbage_objects",
		json_u64(heap->garbage_objects), "typed_bytes", json_u64(heap->typed_bytes),
		"typed_objects", json_u64(heap->typed_objects), "guessed_bytes",
		json_u64(heap->guessed_bytes), "guessed_objects", json_u64(heap->guessed_objects),
		"free_slot_bytes", json_u64(heap->free_slot_bytes), "edges", json_u64(heap->edges));
}

static json_t *types_json(const struct report *report)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < report->type_count; i++) {
		const struct report_type *type = &report->types[i];
		list = json_array_with(list,
			json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "type", type->name, "objects",
				json_u64(type->objects), "bytes", json_u64(type->bytes),
				"retained_bytes", json_u64(type->retained_bytes), "guessed",
				type->guessed, "untyped", type->untyped));
	}
	return list;
}

static json_t *path_json(const struct report_holder *holder)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < holder->path_count; i++) {
		const struct report_step *step = &holder->path[i];
		list = json_array_with(list,
			json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b}", "kind", step->kind, "name",
				step->name, "type", step->type, "count", json_u64(step->count),
				"retained_bytes", json_u64(step->bytes), "at_least", step->at_least,
				"internal", step->internal));
	}
	return list;
}

static json_t *held_by_json(const struct report_holder *holder)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < holder->held_by_count; i++)
		list = json_array_with(list, json_string(holder->held_by[i]));
	return list;
}

static json_t *holders_json(const struct report *report)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < report->holder_count; i++) {
		const struct report_holder *holder = &report->holders[i];
		list = json_array_with(list,
			json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
				holder->name, "kind", holder->kind, "type", holder->type,
				"name_exact", holder->name_exact, "retained_bytes",
				json_u64(holder->retained_bytes), "objects",
				json_u64(holder->objects), "path", path_json(holder), "shared",
				json_u64(holder->shared), "held_by", held_by_json(holder),
				"held_by_more", json_u64(holder->held_by_more)));
	}
	return list;
}

static json_t *frame_json(const struct report_frame *frame)
{
	return json_pack("{s:s, s:s, s:i}", "function", frame->function, "file", frame->file,
		"line", (int)frame->line);
}

static json_t *goroutines_json(const struct report *report)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < report->goroutines_count; i++) {
		const struct report_goroutines *group = &report->goroutines[i];
		json_t *stack = json_array(), *frames = json_array();
		for (uint32_t f = 0; f < group->stack.count; f++) {
			stack = json_array_with(
				stack, json_string(group->stack.frames[f].function));
			frames = json_array_with(frames, frame_json(&group->stack.frames[f]));
		}
		list = json_array_with(list,
			json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:s, s:o}", "state",
				group->state, "count", json_u64(group->count), "retained_bytes",
				json_u64(group->retained_bytes), "wait_ns",
				json_u64(group->longest_wait_ns), "first_id",
				json_u64(group->first_id), "system", group->system, "stack", stack,
				"frames", frames, "created_by", group->stack.created_by.function,
				"created_at", frame_json(&group->stack.created_by)));
	}
	return list;
}

static json_t *timings_json(const struct report_timings *timings)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "capture",
		json_ms(timings->capture), "read", json_ms(timings->read), "graph",
		json_ms(timings->graph), "mark", json_ms(timings->mark), "typing",
		json_ms(timings->typing), "dominators", json_ms(timings->dominators), "rules",
		json_ms(timings->rules), "total", json_ms(timings->total));
}

struct error *report_json(const struct report *report, struct text *text)
{
	json_t *root = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
				 "s:o, s:o, s:s, s:o, s:o, s:o}",
		"schema", 1, "target", target_json(report), "capture", capture_json(report),
		"agreement", agreement_json(&report->agreement), "resident_bytes",
		json_u64(report->resident_bytes), "ledger", ledger_json(report), "memstats",
		memstats_json(report), "heap", heap_json(&report->heap), "types",
		types_json(report), "holders", holders_json(report), "goroutines",
		goroutines_json(report), "findings",
		findings_json(report->findings, report->finding_count), "timings_ms",
		timings_json(&report->timings), "peak_memory_bytes",
		json_u64(report->peak_memory_bytes), "notes", report->notes, "holders_left_out",
		json_u64(report->holders_left_out), "finding_bytes",
		json_u64(report->finding_bytes), "findings_left_out",
		json_u64(report->findings_left_out));
	return json_print(root, text);
}
