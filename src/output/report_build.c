// From an analysis to the plain data of a report. What needs the target (paths) comes first; then
// the process is let go and the rest is counted.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/units.h"
#include "debuginfo/executable.h"
#include "debuginfo/pclntab.h"
#include "ledger/ledger.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/report_path.h"

enum {
	HOLDERS_MAX = 5000, // more are of no use to anybody; the text shows ten
	FRAMES_MAX = 128,   // of one stack, inlined calls included
	FIRST_PATH_BUDGET = 200000,
	NEXT_PATH_BUDGET = 20000,
};

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
	report->notes = clean_string(&report->arena, runtime->notes ? runtime->notes : "");
	report->capture_method = methods[target->capture.method];
	report->capture_reason = clean_string(&report->arena, target->capture.reason);
	report->pause_ns = target->capture.pause_ns;
	report->threads = target->thread_count;
	report->agreement = analysis->agreement;
	return report->exe && report->go_version && report->notes && report->capture_reason
		       ? NULL
		       : error_no_memory();
}

static bool build_frame(
	struct report *report, const struct pcln_position *position, struct report_frame *out)
{
	out->function = clean_string(&report->arena, position->function);
	out->file = clean_string(&report->arena, position->file);
	out->line = position->line;
	return out->function && out->file;
}

static bool build_stack(struct report *report, const struct analysis *analysis,
	const struct goroutine *goroutine, struct report_goroutines *out)
{
	struct pcln_position positions[FRAMES_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < goroutine->frame_count && count < FRAMES_MAX; i++)
		count += frame_positions(analysis->runtime,
			&analysis->goroutines->frames[goroutine->first_frame + i],
			positions + count, FRAMES_MAX - count);
	out->stack = hw_arena_calloc(&report->arena, count, sizeof(*out->stack));
	if (!out->stack)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!build_frame(report, &positions[i], &out->stack[i]))
			return false;
	out->stack_count = (uint32_t)count;
	return true;
}

// The go statement that made it. gopc is a return address, so the call lies before it.
static bool build_creator(struct report *report, const struct analysis *analysis,
	const struct goroutine *goroutine, struct report_frame *out)
{
	struct pcln_position position = {.function = "", .file = ""};
	const struct go_module *module;
	struct pcln_function function;

	// The first one was made before there were go statements.
	if (goroutine->created_at && goroutine->id != 1 &&
		go_find_function(
			analysis->runtime, goroutine->created_at - 1, &module, &function) &&
		!pclntab_positions(
			module->pclntab, &function, goroutine->created_at - 1, &position, 1))
		position.function = function.name;
	return build_frame(report, &position, out);
}

static int compare_goroutines(const void *a, const void *b)
{
	const struct report_goroutines *one = a, *other = b;

	if (one->retained_bytes != other->retained_bytes)
		return one->retained_bytes < other->retained_bytes ? 1 : -1;
	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return one->first_id < other->first_id ? -1 : one->first_id > other->first_id;
}

static struct error *build_goroutines(struct report *report, struct analysis *analysis)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < analysis->goroutines->count; i++)
		report->goroutine_count += !analysis->goroutines->goroutines[i].system;
	for (uint32_t i = 0; i < analysis->holder_count; i++)
		count += analysis->holders[i].kind == HOLDER_GOROUTINE;
	report->goroutines = hw_arena_calloc(&report->arena, count, sizeof(*report->goroutines));
	if (!report->goroutines)
		return error_no_memory();
	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		const struct holder *holder = &analysis->holders[i];
		struct report_goroutines *out = &report->goroutines[report->goroutines_count];
		if (holder->kind != HOLDER_GOROUTINE)
			continue;
		const struct goroutine *first =
			&analysis->goroutines->goroutines[holder->first_goroutine];
		*out = (struct report_goroutines){
			.state = clean_string(&report->arena, first->wait_reason),
			.count = holder->goroutines,
			.retained_bytes = graph_retained(analysis->graph, holder->node),
			.longest_wait_ns = holder->longest_wait_ns,
			.first_id = first->id,
			.system = first->system,
		};
		if (!out->state || !build_stack(report, analysis, first, out) ||
			!build_creator(report, analysis, first, &out->created_by))
			return error_no_memory();
		report->goroutines_count++;
	}
	qsort(report->goroutines, report->goroutines_count, sizeof(*report->goroutines),
		compare_goroutines);
	return NULL;
}

struct ranked_holder {
	uint32_t holder;
	uint64_t retained;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked_holder *one = a, *other = b;

	if (one->retained != other->retained)
		return one->retained < other->retained ? 1 : -1;
	return one->holder < other->holder ? -1 : 1;
}

static struct error *build_holder(
	struct report *report, struct analysis *analysis, uint32_t index, struct report_holder *out)
{
	const struct holder *holder = &analysis->holders[index];
	const struct go_type *type = holder->named ? holder->global.type : NULL;
	_cleanup_text_ struct text name = TEXT_INIT;

	holder_name_append(&name, analysis, holder);
	if (name.failed)
		return error_no_memory();
	*out = (struct report_holder){
		.name = clean_string(&report->arena, name.bytes),
		.kind = holder_kind_name(holder->kind),
		.type = clean_string(&report->arena, type ? type->name : ""),
		.name_exact =
			holder->kind != HOLDER_GLOBAL || (holder->named && holder->global.exact),
		.retained_bytes = graph_retained(analysis->graph, holder->node),
		.objects = graph_retained_count(analysis->graph, holder->node),
	};
	return out->name && out->type ? NULL : error_no_memory();
}

static struct error *build_holders(
	struct report *report, struct analysis *analysis, const struct report_options *options)
{
	uint32_t count = 0;
	_cleanup_free_ struct ranked_holder *ranked =
		calloc((size_t)analysis->holder_count + 1, sizeof(*ranked));
	if (!ranked)
		return error_no_memory();
	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		uint64_t retained = graph_retained(analysis->graph, analysis->holders[i].node);
		if (retained)
			ranked[count++] = (struct ranked_holder){i, retained};
	}
	qsort(ranked, count, sizeof(*ranked), compare_ranked);
	if (count > HOLDERS_MAX)
		count = HOLDERS_MAX;
	report->holders = hw_arena_calloc(&report->arena, count, sizeof(*report->holders));
	if (!report->holders)
		return error_no_memory();
	for (uint32_t i = 0; i < count; i++) {
		struct error *err =
			build_holder(report, analysis, ranked[i].holder, &report->holders[i]);
		if (!err && i < options->paths)
			err = report_path(report, analysis, ranked[i].holder,
				i ? NEXT_PATH_BUDGET : FIRST_PATH_BUDGET, &report->holders[i]);
		if (!err && cancel_requested())
			err = error_cancelled();
		if (err)
			return err;
		report->holder_count++;
	}
	return NULL;
}

static uint32_t object_label(void *context, object_id object)
{
	return typing_label_of(context, object);
}

static int compare_types(const void *a, const void *b)
{
	const struct report_type *one = a, *other = b;

	if (one->bytes != other->bytes)
		return one->bytes < other->bytes ? 1 : -1;
	return strcmp(one->name, other->name);
}

// Objects and bytes by label; `types` has an element a label.
static void count_types(const struct analysis *analysis, struct report_type *types)
{
	const uint64_t *reached = graph_reached(analysis->graph);

	for (uint32_t s = 0; s < analysis->heap->span_count; s++) {
		const struct span *span = &analysis->heap->spans[s];
		for (uint32_t i = 0; i < span->count; i++) {
			if (!heap_bit(reached, span->first + i))
				continue;
			struct report_type *type =
				&types[typing_label_of(analysis->typing, span->first + i)];
			type->objects++;
			type->bytes += span->elem_size;
		}
	}
}

static struct error *build_types(struct report *report, struct analysis *analysis)
{
	uint32_t labels = typing_label_count(analysis->typing);
	_cleanup_free_ uint64_t *retained = calloc((size_t)labels + 1, sizeof(*retained));
	struct report_type *types = hw_arena_calloc(&report->arena, labels, sizeof(*types));

	if (!retained || !types)
		return error_no_memory();
	struct error *err = graph_retained_by_label(
		analysis->graph, object_label, analysis->typing, labels, retained);
	if (err)
		return err;
	count_types(analysis, types);
	report->types = types;
	for (uint32_t i = 0; i < labels; i++) {
		enum type_source source = typing_label_source(analysis->typing, i);
		struct report_type *type = &types[report->type_count];
		if (!types[i].objects)
			continue;
		*type = types[i];
		type->name = clean_string(&report->arena, typing_label_name(analysis->typing, i));
		type->retained_bytes = retained[i];
		type->guessed = source == TYPED_GUESS;
		type->untyped = source == TYPED_NOT;
		if (!type->name)
			return error_no_memory();
		report->type_count++;
	}
	qsort(types, report->type_count, sizeof(*types), compare_types);
	return NULL;
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
	};
	// Slots that are reached and yet free (agreement's "impossible") count as live only.
	if (heap->allocated_bytes > report->heap.live_bytes)
		report->heap.garbage_bytes = heap->allocated_bytes - report->heap.live_bytes;
	if (heap->allocated_count > report->heap.live_objects)
		report->heap.garbage_objects = heap->allocated_count - report->heap.live_objects;
}

static struct error *build_ledger(struct report *report, const struct analysis *analysis)
{
	struct ledger ledger;

	ledger_compute(analysis, &ledger);
	report->resident_bytes = ledger.resident_bytes;
	if (!ledger.known)
		return NULL;
	report->ledger = hw_arena_calloc(&report->arena, ACCOUNT_COUNT, sizeof(*report->ledger));
	if (!report->ledger)
		return error_no_memory();
	for (int i = 0; i < ACCOUNT_COUNT; i++)
		report->ledger[report->ledger_count++] = (struct report_account){
			.name = ledger_account_name((enum account)i),
			.bytes = ledger.bytes[i],
		};
	return NULL;
}

static void build_timings(struct report *report, const struct analysis *analysis)
{
	const struct analysis_timings *timings = &analysis->timings;
	struct rusage usage;

	report->timings = (struct report_timings){
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

static struct error *build_all(
	struct report *report, struct analysis *analysis, const struct report_options *options)
{
	struct error *err = build_holders(report, analysis, options);

	analysis_release_target(analysis);
	if (!err)
		err = build_target(report, analysis);
	if (!err)
		err = build_goroutines(report, analysis);
	if (!err)
		err = build_types(report, analysis);
	if (err)
		return err;
	build_heap(report, analysis);
	err = build_ledger(report, analysis);
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
