// Opening a Go runtime: version, layout, modules, variables, and then the check that they belong
// together.
#include "goruntime/runtime.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/units.h"
#include "debuginfo/buildinfo.h"
#include "debuginfo/executable.h"
#include "debuginfo/pclntab.h"
#include "goruntime/runtime_private.h"

enum {
	SAMPLE_SPANS = 1024, // how many spans and goroutines the self-check looks at
	SAMPLE_GOROUTINES = 1024,
};

void runtime_note(struct go_runtime *runtime, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	sentences_add(&runtime->notes, format, arguments);
	va_end(arguments);
}

struct error *go_read_words(struct go_runtime *runtime, remote_addr slice, uint64_t max,
	uint64_t **words, uint64_t *count)
{
	struct memory *memory = &runtime->memory;
	remote_addr start = memory_u64(memory, slice);
	uint64_t length = memory_u64(memory, slice + 8);
	uint64_t capacity = memory_u64(memory, slice + 16);
	char end[8];

	// Its last word being readable bounds what is taken from malloc.
	if (!length || length > max || length > capacity || start % 8 ||
		start > UINT64_MAX - length * 8 ||
		!memory_read(memory, start + length * 8 - 8, end, sizeof(end)))
		return error_create(ERROR_TARGET,
			"the slice at 0x%" PRIx64 " (%" PRIu64 " words at 0x%" PRIx64
			") makes no sense",
			slice, length, start);
	uint64_t *buffer = malloc(length * 8);
	if (!buffer)
		return error_no_memory();
	struct error *err = target_read(runtime->target, start, buffer, length * 8);
	if (err) {
		free(buffer);
		return err;
	}
	*words = buffer;
	*count = length;
	return NULL;
}

remote_addr go_arena(const struct go_runtime *runtime, struct memory *memory, remote_addr address)
{
	uint64_t index = (address - arena_base(runtime)) >> ARENA_SHIFT;

	// runtime/malloc.go: arenaL1Bits is 0 on 64-bit Linux, so arenas is one pointer to the
	// table of all arenas.
	if (index >= ARENA_COUNT)
		return 0;
	remote_addr table =
		memory_u64(memory, runtime->mheap + (uint32_t)runtime->layout.at.mheap_arenas);
	return table ? memory_u64(memory, table + index * 8) : 0;
}

// Go as a shared library in a program of another language (-buildmode=c-shared): the first mapped file that carries
// build information. `missing` is what the executable lacks; it stays the answer when no library has it either.
static struct error *library_find(
	struct go_runtime *runtime, struct error *missing, struct buildinfo **info)
{
	struct target *target = runtime->target;
	const char *tried = "";

	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		if (!region->is_file || !region->executable || !strcmp(region->path, tried))
			continue;
		tried = region->path;
		target_set_library(target, tried);
		_cleanup_error_ struct error *err = buildinfo_read(target, info);
		if (!err) {
			runtime_note(runtime, "Go is in the library %s.", tried);
			error_destroy(missing);
			return NULL;
		}
	}
	target_set_library(target, NULL);
	return missing;
}

static struct error *version_find(struct go_runtime *runtime)
{
	struct buildinfo *info;
	struct error *err = buildinfo_read(runtime->target, &info);

	if (err && error_kind(err) == ERROR_TARGET)
		err = library_find(runtime, err, &info);
	if (err)
		return err;
	snprintf(runtime->version, sizeof(runtime->version), "%s", info->go_version);
	err = layout_choose(info->go_version, runtime->target->arch, &runtime->layout);
	buildinfo_destroy(info);
	return err;
}

// The file is a help, never a need: without it there are no symbols, and offsets come from the
// table alone.
static struct error *executable_consult(struct go_runtime *runtime)
{
	_cleanup_error_ struct error *missing =
		executable_open(runtime->target, &runtime->executable);
	_cleanup_free_ char *note = NULL;

	if (missing || !executable_has_dwarf(runtime->executable))
		return NULL;
	struct error *err = layout_refine(&runtime->layout, runtime->executable, &note);
	if (note)
		runtime_note(runtime, "%s", note);
	return err;
}

static struct error *state_read(struct go_runtime *runtime)
{
	const struct layout_offsets *at = &runtime->layout.at;
	uint32_t phase = runtime->gcphase ? memory_u32(&runtime->memory, runtime->gcphase) : GC_OFF;

	if (phase > GC_MARK_TERMINATION)
		return error_create(ERROR_TARGET,
			"the phase of the collector reads %" PRIu32 ", which %s does not know",
			phase, runtime->version);
	runtime->gc_phase = phase;
	runtime->sweepgen =
		memory_u32(&runtime->memory, runtime->mheap + (uint32_t)at->mheap_sweepgen);
	// runtime/mgc.go: each collection adds 2 when it begins to sweep, and begins with 0.
	runtime->gc_count = runtime->sweepgen / 2;
	runtime->now_ns = runtime->target->clock_ns;
	return NULL;
}

static struct error *self_check(struct go_runtime *runtime)
{
	if (!spans_agree(runtime, runtime->mheap, SAMPLE_SPANS))
		return error_create(ERROR_TARGET,
			"built with %s, but its heap is not laid out as that version lays it out",
			runtime->version);
	if (!goroutines_agree(runtime, runtime->allgs, SAMPLE_GOROUTINES))
		return error_create(ERROR_TARGET,
			"built with %s, but its goroutines are not laid out as that version lays "
			"them out",
			runtime->version);
	return NULL;
}

static struct error *runtime_open(struct go_runtime *runtime)
{
	struct error *err = memory_init(&runtime->memory, runtime->target, 0);

	if (!err)
		err = version_find(runtime);
	if (!err)
		err = executable_consult(runtime);
	if (!err)
		err = modules_locate(runtime);
	if (!err)
		err = variables_locate(runtime);
	if (!err)
		err = state_read(runtime);
	if (!err)
		err = self_check(runtime);
	if (!err && !runtime->notes) {
		runtime->notes = strdup("");
		if (!runtime->notes)
			err = error_no_memory();
	}
	return err;
}

struct error *go_runtime_open(struct target *target, struct go_runtime **out)
{
	struct go_runtime *runtime = calloc(1, sizeof(*runtime));
	if (!runtime)
		return error_no_memory();
	runtime->target = target;
	struct error *err = runtime_open(runtime);
	if (err) {
		go_runtime_close(runtime);
		return err;
	}
	*out = runtime;
	return NULL;
}

void go_runtime_close(struct go_runtime *runtime)
{
	if (!runtime)
		return;
	for (unsigned i = 0; i < runtime->module_count; i++)
		pclntab_destroy(runtime->modules[i].pclntab);
	free(runtime->modules);
	free(runtime->notes);
	executable_destroy(runtime->executable);
	memory_deinit(&runtime->memory);
	free(runtime);
}

bool go_in_data(const struct go_runtime *runtime, remote_addr address)
{
	for (unsigned i = 0; i < runtime->module_count; i++)
		if (address >= runtime->modules[i].variables && address < runtime->modules[i].end)
			return true;
	return false;
}

bool go_find_function(const struct go_runtime *runtime, remote_addr pc,
	const struct go_module **module, struct pcln_function *out)
{
	for (unsigned i = 0; i < runtime->module_count; i++) {
		const struct go_module *candidate = &runtime->modules[i];

		if (pc >= candidate->min_pc && pc < candidate->max_pc &&
			pclntab_find(candidate->pclntab, pc, out)) {
			*module = candidate;
			return true;
		}
	}
	return false;
}
