// The pipeline. Each phase is a row of the table in analysis_run(): timed, announced, and a place
// to stop at.
//
// Where global variables begin and end is known only after the code has been read; what they hold,
// and so what they may be called, after the objects have types. So the graph first gets the finest
// holders there are (a word of a global, a goroutine); these are put into groups (the global, the
// goroutines at one place) before dominators are computed, and named after that.
#include "graph/analysis.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/beside.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "graph/holders.h"
#include "target/core.h"
#include "target/resident.h"

struct pipeline {
	struct analysis *analysis;
	const struct analysis_options *options;
	const char *name; // of the target
};

static unsigned threads_wanted(const struct analysis_options *options)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->threads)
		return options->threads;
	return processors < 1 ? 1 : processors > 4 ? 4 : (unsigned)processors;
}

// A process id, and nothing else: "12x" may be a file.
static bool parse_pid(const char *name, pid_t *pid)
{
	char *end;

	if (!isdigit((unsigned char)*name))
		return false;
	errno = 0;
	unsigned long number = strtoul(name, &end, 10);
	if (*end || (!number && !errno))
		return false;
	// A number that no process can have is still meant as one: it is not there.
	*pid = errno || number > INT_MAX ? INT_MAX : (pid_t)number;
	return true;
}

static struct error *target_unknown(const char *name)
{
	_cleanup_text_ struct text shown = TEXT_INIT;

	text_append_untrusted(&shown, name, strlen(name));
	return error_create(ERROR_TARGET,
		"%s: there is no such process or file; give the id of a running Go process or a "
		"core file",
		shown.bytes);
}

struct error *analysis_open_target(
	const char *name, const struct analysis_options *options, struct target **out)
{
	struct core_options core = {.exe = options->exe};
	pid_t pid;

	if (parse_pid(name, &pid))
		return process_capture(pid, &options->capture, out);
	return access(name, F_OK) ? target_unknown(name) : core_open(name, &core, out);
}

static struct error *run_capture(struct pipeline *pipeline)
{
	return analysis_open_target(pipeline->name, pipeline->options, &pipeline->analysis->target);
}

// What a core lacks may be why it makes no sense.
static struct error *error_excuse(struct error *err, const struct target *target)
{
	size_t length = err && target->notes ? strlen(target->notes) : 0;

	return length ? error_wrap(err, "%.*s", (int)length - 1, target->notes) : err;
}

static struct error *ask_resident(void *context)
{
	struct analysis *analysis = context;

	return analysis->target->kind == TARGET_PROCESS ? resident_ask(analysis->target) : NULL;
}

static struct error *read_heap(struct analysis *analysis)
{
	struct error *err = heap_open(analysis->runtime, &analysis->heap);

	if (!err)
		err = goroutines_read(analysis->heap, &analysis->goroutines);
	if (!err)
		err = roots_collect(analysis->heap, analysis->goroutines, &analysis->roots);
	return err;
}

static struct error *run_read(struct pipeline *pipeline)
{
	struct analysis *analysis = pipeline->analysis;
	struct beside resident = {.run = ask_resident, .context = analysis};

	beside_start(&resident, analysis->threads > 1);
	struct error *err = go_runtime_open(analysis->target, &analysis->runtime);
	err = beside_finish(&resident, err ? err : read_heap(analysis));
	return error_excuse(err, analysis->target);
}

static struct error *run_extract(struct pipeline *pipeline)
{
	struct analysis *analysis = pipeline->analysis;

	return graph_extract(analysis->heap, pipeline->analysis->threads, &analysis->graph);
}

static struct error *read_code(void *context)
{
	struct analysis *analysis = context;

	return typing_open(
		analysis->heap, &analysis->roots, analysis->goroutines, 0, &analysis->typing);
}

// What the code says needs no graph, and marking is the work of one thread. The comparison with the
// collector reads the runtime's memory, as what reads code does: one after the other.
static struct error *run_mark_and_code(struct pipeline *pipeline)
{
	struct analysis *analysis = pipeline->analysis;
	struct beside code = {.run = read_code, .context = analysis};
	uint64_t start = clock_ns();

	beside_start(&code, analysis->threads > 1);
	struct error *err = holders_connect(analysis);
	analysis->timings.mark = clock_ns() - start;
	err = beside_finish(&code, err);
	analysis->timings.typing = code.took;
	if (err)
		return err;
	agreement_compute(
		analysis->heap, analysis->graph, analysis->goroutines, &analysis->agreement);
	return holders_group(analysis);
}

static struct error *find_dominators(void *context)
{
	struct analysis *analysis = context;

	struct error *err = graph_dominate(analysis->graph);

	if (!err)
		err = graph_prepare_tree(analysis->graph);
	return err ? err : graph_prepare_paths(analysis->graph);
}

// Neither needs the other, and spreading types is the work of one thread.
static struct error *run_types_and_dominators(struct pipeline *pipeline)
{
	struct analysis *analysis = pipeline->analysis;
	struct beside dominators = {.run = find_dominators, .context = analysis};
	uint64_t start = clock_ns();

	beside_start(&dominators, analysis->threads > 1);
	struct error *err = typing_spread(analysis->typing, graph_reached(analysis->graph));
	heap_forget_pointer_bits(analysis->heap);
	analysis->timings.typing += clock_ns() - start;
	err = beside_finish(&dominators, err);
	analysis->timings.dominators = dominators.took;
	if (!err)
		holders_name(analysis);
	return err;
}

static struct error *analysis_run(struct pipeline *pipeline)
{
	struct analysis_timings *timings = &pipeline->analysis->timings;
	const struct {
		const char *name;
		struct error *(*run)(struct pipeline *pipeline);
		uint64_t *took;
	} phases[] = {
		{"opening the target", run_capture, &timings->capture},
		{"reading Go's runtime", run_read, &timings->read},
		{"reading objects", run_extract, &timings->graph},
		{"marking what is alive and reading the program's code", run_mark_and_code, NULL},
		{"finding out types and who holds what", run_types_and_dominators, NULL},
	};

	timings->started = clock_ns();
	for (size_t i = 0; i < ARRAY_COUNT(phases); i++) {
		const struct heap *heap = pipeline->analysis->heap;
		if (cancel_requested())
			return error_cancelled();
		progress_phase(pipeline->options->progress, phases[i].name,
			heap ? heap->allocated_bytes : 0);
		uint64_t before = clock_ns();
		struct error *err = phases[i].run(pipeline);
		uint64_t took = clock_ns() - before;
		if (phases[i].took)
			*phases[i].took = took;
		if (err)
			return err;
		log_remark("%s: %.1f ms", phases[i].name, (double)took / 1e6);
	}
	return cancel_requested() ? error_cancelled() : NULL;
}

struct error *analysis_open(
	const char *name, const struct analysis_options *options, struct analysis **out)
{
	struct pipeline pipeline = {.options = options, .name = name};

	struct analysis *analysis = calloc(1, sizeof(*analysis));
	if (!analysis)
		return error_no_memory();
	pipeline.analysis = analysis;
	analysis->threads = threads_wanted(options);
	struct error *err = analysis_run(&pipeline);
	if (err) {
		if (options->rejected && error_kind(err) == ERROR_TARGET && !analysis->runtime)
			*options->rejected = take_pointer(analysis->target);
		analysis_close(analysis);
		return err;
	}
	*out = analysis;
	return NULL;
}

void analysis_release_target(struct analysis *analysis)
{
	target_release(analysis->target);
}

// In the reverse order of the pipeline, except that the process is let go first: it should not wait
// for our memory to be given back.
void analysis_close(struct analysis *analysis)
{
	if (!analysis)
		return;
	if (analysis->target)
		target_release(analysis->target);
	free(analysis->holders);
	free(analysis->goroutine_holders);
	free(analysis->root_holders);
	typing_destroy(analysis->typing);
	graph_destroy(analysis->graph);
	roots_deinit(&analysis->roots);
	goroutines_destroy(analysis->goroutines);
	heap_close(analysis->heap);
	go_runtime_close(analysis->runtime);
	target_destroy(analysis->target);
	free(analysis);
}
