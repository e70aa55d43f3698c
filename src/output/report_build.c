// From an analysis to the plain data of a report. What needs the target (paths) comes first; then
// the process is let go and the rest is counted.
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/units.h"
#include "debuginfo/executable.h"
#include "ledger/ledger.h"
#include "output/clean.h"
#include "output/report_parts.h"

// What the target lacks, and how the runtime was found. NULL: out of memory.
static const char *build_notes(struct report *report, const char *target, const char *runtime)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	text_append(&text, target ? target : "");
	if (target && runtime && *runtime)
		text_append_char(&text, ' ');
	text_append(&text, runtime ? runtime : "");
	return text.failed ? NULL : clean_string(&report->arena, text.bytes);
}

// The kernel gives each program that it starts 16 random bytes.
static uint64_t run_id(struct target *target)
{
	uint64_t entry[2], random[2] = {0};

	for (size_t at = 0; at + sizeof(entry) <= target->auxv_size; at += sizeof(entry)) {
		memcpy(entry, target->auxv + at, sizeof(entry));
		if (entry[0] == AT_RANDOM)
			target_read_sparse(target, entry[1], random, sizeof(random));
	}
	return random[0] ^ random[1];
}

static struct error *build_target(struct report *report, const struct analysis *analysis)
{
	const struct target *target = analysis->target;
	const struct go_runtime *runtime = analysis->runtime;
	static const char *const methods[] = {
		[CAPTURE_AUTO] = "",
		[CAPTURE_FORK] = "fork",
		[CAPTURE_STOP] = "stop",
		[CAPTURE_CORE] = "core",
	};

	report->target_kind = target->kind == TARGET_CORE ? "core" : "process";
	report->pid = target->pid;
	report->exe = clean_string(&report->arena, target->exe_path ? target->exe_path : "");
	report->go_version = clean_string(&report->arena, runtime->version);
	report->arch = target->arch == ARCH_ARM64 ? "arm64" : "amd64";
	report->stripped = !runtime->executable || !executable_has_symbols(runtime->executable);
	report->pie = runtime->executable && executable_is_pie(runtime->executable);
	report->debug_info = runtime->executable && executable_has_dwarf(runtime->executable);
	report->build_id = clean_string(&report->arena,
		runtime->executable ? executable_build_id(runtime->executable) : "");
	report->clock_ns = target->clock_ns;
	report->notes = build_notes(report, target->notes, runtime->notes);
	report->capture_method = methods[target->capture.method];
	report->capture_reason = clean_string(&report->arena, target->capture.reason);
	report->pause_ns = target->capture.pause_ns;
	report->threads = target->thread_count;
	report->agreement = analysis->agreement;
	return report->exe && report->go_version && report->build_id && report->notes &&
			       report->capture_reason
		       ? NULL
		       : error_no_memory();
}

static void build_heap(struct report *report, const struct analysis *analysis)
{
	const struct heap *heap = analysis->heap;
	struct typing_statistics typed;
	uint64_t slot_bytes = 0;

	for (uint32_t i = 0; i < heap->span_count; i++)
		slot_bytes += (uint64_t)heap->spans[i].count * heap->spans[i].elem_size;
	typing_statistics(analysis->typing, &typed);
	report->heap = (struct report_heap){
		.live_bytes = graph_reached_bytes(analysis->graph),
		.live_objects = graph_reached_count(analysis->graph),
		.typed_bytes = typed.exact_bytes,
		.typed_objects = typed.exact_objects,
		.guessed_bytes = typed.guessed_bytes,
		.guessed_objects = typed.guessed_objects,
		.free_slot_bytes = slot_bytes - heap->allocated_bytes,
		.edges = graph_edge_count(analysis->graph),
		.unswept_bytes = heap->dead_bytes,
	};
	if (heap->absent_bytes)
		return; // what is garbage cannot be told
	// Slots that are reached and yet free (agreement's "impossible") count as live only.
	if (heap->allocated_bytes > report->heap.live_bytes)
		report->heap.garbage_bytes = heap->allocated_bytes - report->heap.live_bytes;
	if (heap->allocated_count > report->heap.live_objects)
		report->heap.garbage_objects = heap->allocated_count - report->heap.live_objects;
}

static struct error *build_ledger(struct report *report, const struct ledger *ledger)
{
	report->resident_bytes = ledger->resident_bytes;
	report->heap.pinned_bytes = ledger->windows->pinned_bytes;
	report->heap.spare_bytes = ledger->windows->spare_bytes;
	report->heap.slack_bytes = ledger->slack_bytes;
	report->heap.unjudged_bytes = ledger->windows->unjudged_bytes;
	report->heap.in_use_bytes = ledger->in_use_bytes;
	report->counters = ledger->counters;
	if (!ledger->known)
		return NULL;
	report->ledger = hw_arena_calloc(&report->arena, ACCOUNT_COUNT, sizeof(*report->ledger));
	if (!report->ledger)
		return error_no_memory();
	for (int i = 0; i < ACCOUNT_COUNT; i++)
		report->ledger[report->ledger_count++] = (struct report_account){
			.name = ledger_account_name((enum account)i),
			.bytes = ledger->bytes[i],
		};
	return NULL;
}

static void build_timings(struct report *report, const struct analysis *analysis)
{
	const struct analysis_timings *timings = &analysis->timings;
	struct rusage usage;

	report->timings = (struct report_timings){
		.rules = report->timings.rules,
		.capture = (double)timings->capture / 1e6,
		.read = (double)timings->read / 1e6,
		.graph = (double)timings->graph / 1e6,
		.mark = (double)timings->mark / 1e6,
		.typing = (double)timings->typing / 1e6,
		.dominators = (double)timings->dominators / 1e6,
		.total = (double)(clock_ns() - timings->started) / 1e6,
	};
	if (!getrusage(RUSAGE_SELF, &usage))
		report->peak_memory_bytes = (uint64_t)usage.ru_maxrss << 10;
}

static void cleanup_ledger(struct ledger **ledger)
{
	ledger_close(*ledger);
}

static void cleanup_type_counting(struct type_counting **counting)
{
	type_counting_destroy(*counting);
}

// What needs the target: then it is let go.
static struct error *build_from_target(struct report *report, struct analysis *analysis,
	const struct report_options *options, struct ledger **ledger)
{
	_cleanup_(cleanup_type_counting) struct type_counting *types = NULL;
	struct error *err = options->only_ledger ? NULL : report_holders(report, analysis, options);
	uint64_t before = clock_ns();

	report->run_id = run_id(analysis->target);
	if (!err)
		err = ledger_open(analysis, 0, ledger);
	if (!err && !options->only_ledger && !(types = type_counting_start(analysis)))
		err = error_no_memory();
	// What seems to be out of reach may hang on what the core does not hold.
	if (!err && !analysis->heap->absent_bytes && !options->only_ledger)
		err = report_findings(report, analysis, *ledger);
	report->timings.rules = (double)(clock_ns() - before) / 1e6;
	analysis_release_target(analysis);
	if (!err && !options->only_ledger)
		err = report_types(report, analysis, types);
	return err;
}

static struct error *build_all(
	struct report *report, struct analysis *analysis, const struct report_options *options)
{
	_cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
	struct error *err = build_from_target(report, analysis, options, &ledger);

	if (!err)
		err = build_target(report, analysis);
	if (!err && !options->only_ledger)
		err = report_goroutines(report, analysis);
	if (err)
		return err;
	build_heap(report, analysis);
	err = build_ledger(report, ledger);
	build_timings(report, analysis);
	return err;
}

struct error *report_build(
	struct analysis *analysis, const struct report_options *options, struct report **out)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return error_no_memory();
	hw_arena_init(&report->arena, 0);
	struct error *err = build_all(report, analysis, options);
	if (err) {
		report_destroy(report);
		return err;
	}
	*out = report;
	return NULL;
}

void report_destroy(struct report *report)
{
	if (!report)
		return;
	hw_arena_deinit(&report->arena);
	free(report);
}
