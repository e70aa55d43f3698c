// Finding the runtime's variables, each by what it must look like, and asking two witnesses: the
// symbol table, where there is one, and the instructions of a function that is known to use the
// variable.
//
// Structure is asked first because inlining settings (-gcflags=all=-l) change what a function
// refers to, and symbols can be stripped; a plain word such as gcphase has no structure and needs
// one of the others.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/executable.h"
#include "debuginfo/pclntab.h"
#include "goruntime/heap.h"
#include "goruntime/operands.h"
#include "goruntime/runtime_private.h"

enum {
	SCAN_BYTES = 1 << 20,
	SLICE_BYTES = 24,
	SPANS_MAX = 1 << 28,
	GOROUTINES_MAX = 1 << 28,
	CANDIDATE_SAMPLE = 64,
	STATUS_SCAN = 0x1000, // runtime/runtime2.go, _Gscan
	STATUS_MAX = 11,      // _Gleaked (1.26 on); _Gpreempted 9 before
	STACK_BYTES_MAX = 1 << 30,
	OPERANDS_MAX = 256,
	FINALIZERS_MAX = 101, // runtime/mfinal.go: what fits into a finblock of 4 KiB
	CLEANUPS_MAX = 512,   // runtime/mcleanup.go: what fits into a cleanupBlock of 4 KiB
};

// How many of `length` things a sample of `sample` skips between two.
static uint64_t sample_stride(uint64_t length, uint64_t sample)
{
	return length > sample ? length / sample : 1;
}

static bool span_agrees(
	struct go_runtime *runtime, remote_addr arenas, remote_addr span, bool *in_use)
{
	const struct layout_offsets *at = &runtime->layout.at;
	struct memory *memory = &runtime->memory;
	uint8_t state = memory_u8(memory, span + (uint32_t)at->mspan_state);

	*in_use = state == SPAN_IN_USE;
	if (!*in_use)
		return state <= SPAN_MANUAL;
	remote_addr base = memory_u64(memory, span + (uint32_t)at->mspan_startAddr);
	remote_addr limit = memory_u64(memory, span + (uint32_t)at->mspan_limit);
	uint64_t pages = memory_u64(memory, span + (uint32_t)at->mspan_npages);
	uint64_t index = (base - arena_base(runtime)) >> ARENA_SHIFT;
	if (!base || base % GO_PAGE_SIZE || !pages || pages > UINT32_MAX || limit <= base ||
		limit > base + (pages << GO_PAGE_SHIFT) || index >= ARENA_COUNT)
		return false;
	remote_addr arena = memory_u64(memory, arenas + index * 8);
	uint64_t page = base >> GO_PAGE_SHIFT & ((1 << (ARENA_SHIFT - GO_PAGE_SHIFT)) - 1);
	return arena &&
	       memory_u64(memory, arena + (uint32_t)at->heapArena_spans + page * 8) == span;
}

bool spans_agree(struct go_runtime *runtime, remote_addr mheap, uint64_t sample)
{
	const struct layout_offsets *at = &runtime->layout.at;
	struct memory *memory = &runtime->memory;
	remote_addr spans = memory_u64(memory, mheap + (uint32_t)at->mheap_allspans);
	uint64_t count = memory_u64(memory, mheap + (uint32_t)at->mheap_allspans + 8);
	remote_addr arenas = memory_u64(memory, mheap + (uint32_t)at->mheap_arenas);
	uint64_t faults = memory->faults, agreeing = 0, differing = 0;

	if (!arenas)
		return false;
	for (uint64_t i = 0; i < count; i += sample_stride(count, sample)) {
		remote_addr span = memory_u64(memory, spans + i * 8);
		bool in_use;

		// runtime/mheap.go, recordspan: the list grows first, then the span is entered (1.19 to 1.27).
		if (!span && i + 1 == count && memory->faults == faults)
			break;
		if (!span_agrees(runtime, arenas, span, &in_use))
			differing++;
		else
			agreeing += in_use;
		if (memory->faults != faults)
			return false;
	}
	// After a great collection hardly any span may be in use.
	if (!agreeing && !differing && sample < count)
		return spans_agree(runtime, mheap, sample * 16);
	// A few may be changing hands on other threads at the moment of the capture.
	return agreeing && differing <= agreeing / 50 + (agreeing > 8 ? 2 : 0);
}

// `*parked`: it has what only a real goroutine has, a saved stack pointer that lies in its stack.
static bool goroutine_agrees(struct go_runtime *runtime, remote_addr g, bool *parked)
{
	const struct layout_offsets *at = &runtime->layout.at;
	struct memory *memory = &runtime->memory;
	uint32_t status =
		memory_u32(memory, g + (uint32_t)at->g_atomicstatus) & ~(uint32_t)STATUS_SCAN;
	remote_addr low = memory_u64(memory, g + (uint32_t)at->g_stack);
	remote_addr high = memory_u64(memory, g + (uint32_t)at->g_stack + 8);
	remote_addr sp = memory_u64(memory, g + (uint32_t)at->g_sched + (uint32_t)at->gobuf_sp);
	uint64_t id = memory_u64(memory, g + (uint32_t)at->g_goid);

	*parked = false;
	if (status > STATUS_MAX || id >> 48)
		return false;
	if (status != 1 &&
		status != 4) // runtime/runtime2.go: _Grunnable, _Gwaiting have their sp saved
		return low <= high && high - low <= STACK_BYTES_MAX;
	*parked = id && low < high && high - low <= STACK_BYTES_MAX && sp > low && sp <= high;
	return *parked;
}

bool goroutines_agree(struct go_runtime *runtime, remote_addr allgs, uint64_t sample)
{
	struct memory *memory = &runtime->memory;
	remote_addr list = memory_u64(memory, allgs);
	uint64_t count = memory_u64(memory, allgs + 8), faults = memory->faults;
	bool real;

	if (!count)
		return false;
	// The main goroutine is the first that is ever made and stays in its place for good. Where Go is
	// a library in a C program, others come before it: then some must be parked.
	real = memory_u64(memory, memory_u64(memory, list) + (uint32_t)runtime->layout.at.g_goid) ==
	       1;
	for (uint64_t i = 0; i < count; i += sample_stride(count, sample)) {
		bool parked;

		if (!goroutine_agrees(runtime, memory_u64(memory, list + i * 8), &parked) ||
			memory->faults != faults)
			return false;
		real |= parked;
	}
	return real;
}

// A slice of at least one pointer, whose first element can be read.
static bool slice_is_plausible(struct go_runtime *runtime, const uint64_t *header, uint64_t max)
{
	return header[0] && header[0] % 8 == 0 && header[1] && header[1] <= header[2] &&
	       header[2] <= max && target_region(runtime->target, header[0]) &&
	       target_region(runtime->target, header[0] + header[1] * 8 - 8);
}

// What the search through the main program's variables has found.
struct findings {
	remote_addr mheap, allgs;
	unsigned mheaps, lists; // how many places look like each
};

static void slice_visit(struct go_runtime *runtime, remote_addr address, const uint64_t *header,
	struct findings *findings)
{
	remote_addr mheap = address - (uint32_t)runtime->layout.at.mheap_allspans;

	if (slice_is_plausible(runtime, header, SPANS_MAX) &&
		mheap >= runtime->modules[0].variables &&
		spans_agree(runtime, mheap, CANDIDATE_SAMPLE)) {
		findings->mheap = mheap;
		findings->mheaps++;
	}
	if (slice_is_plausible(runtime, header, GOROUTINES_MAX) &&
		goroutines_agree(runtime, address, CANDIDATE_SAMPLE)) {
		findings->allgs = address;
		findings->lists++;
	}
}

static struct error *slices_search(struct go_runtime *runtime, struct findings *findings)
{
	const struct go_module *module = &runtime->modules[0];
	_cleanup_free_ uint64_t *words = malloc(SCAN_BYTES);

	if (!words)
		return error_no_memory();
	for (remote_addr at = module->variables & ~(remote_addr)7; at + SLICE_BYTES <= module->end;
		at += SCAN_BYTES - SLICE_BYTES + 8) {
		size_t size = module->end - at < SCAN_BYTES ? module->end - at : SCAN_BYTES;

		target_read_sparse(runtime->target, at, words, size);
		for (size_t i = 0; (i + 3) * 8 <= size; i++) {
			if (words[i] && words[i + 1])
				slice_visit(runtime, at + i * 8, words + i, findings);
		}
	}
	return NULL;
}

static remote_addr symbol_address(struct go_runtime *runtime, const char *name)
{
	struct symbol symbol;

	if (!runtime->executable || !executable_symbol_by_name(runtime->executable, name, &symbol))
		return 0;
	return symbol.address;
}

// The instructions' word on each variable. Every fact here was read off builds of go 1.19 to 1.27,
// with and without inlining (-gcflags=all=-l), position-independent or not.

// allgadd appends to allgs.
static remote_addr allgs_decode(struct go_runtime *runtime)
{
	struct operand operands[OPERANDS_MAX];
	size_t count = function_operands(runtime, "runtime.allgadd", operands, OPERANDS_MAX);

	for (size_t i = 0; i < count; i++) {
		if (goroutines_agree(runtime, operands[i].address, CANDIDATE_SAMPLE))
			return operands[i].address;
	}
	return 0;
}

static remote_addr first_operand(struct go_runtime *runtime, const char *function)
{
	struct operand operand;

	return function_operands(runtime, function, &operand, 1) ? operand.address : 0;
}

// mheap_.arenas is what findObject looks at first, itself or through spanOf.
static remote_addr mheap_decode(struct go_runtime *runtime)
{
	remote_addr arenas = first_operand(runtime, "runtime.spanOf");

	if (!arenas)
		arenas = first_operand(runtime, "runtime.findObject");
	return arenas ? arenas - (uint32_t)runtime->layout.at.mheap_arenas : 0;
}

// setGCPhase writes gcphase first; where it is inlined, its caller gcMarkTermination does.
static remote_addr gcphase_decode(struct go_runtime *runtime)
{
	remote_addr address = first_operand(runtime, "runtime.setGCPhase");

	return address ? address : first_operand(runtime, "runtime.gcMarkTermination");
}

// markroot looks at modulesSlice (when activeModules is inlined), then loads allfin, then
// gcCleanups.all (1.25 on).
static void markroot_decode(
	struct go_runtime *runtime, remote_addr *allfin, remote_addr *gc_cleanups)
{
	struct operand operands[OPERANDS_MAX];
	size_t count = function_operands(runtime, "runtime.markroot", operands, OPERANDS_MAX);
	int32_t all = runtime->layout.at.cleanupQueue_all;
	struct memory *memory = &runtime->memory;

	for (size_t i = 0; i < count; i++) {
		remote_addr value = memory_u64(memory, operands[i].address);

		if (!operands[i].load)
			continue;
		// modulesSlice is a pointer to a slice whose first element is the main module.
		if (value && memory_u64(memory, memory_u64(memory, value)) ==
				     runtime->modules[0].address)
			continue;
		*allfin = operands[i].address;
		if (all >= 0 && i + 1 < count &&
			(operands[i + 1].load || operands[i + 1].address_taken))
			*gc_cleanups = operands[i + 1].address - (uint32_t)all;
		return;
	}
}

// Whether `head` is a list of blocks, each with at most `max` entries in use.
static bool blocks_agree(
	struct go_runtime *runtime, remote_addr head, int32_t link, int32_t entries, uint32_t max)
{
	struct list_guard guard = {0};
	uint64_t faults = runtime->memory.faults;

	for (remote_addr block = head; block;
		block = memory_u64(&runtime->memory, block + (uint32_t)link)) {
		uint32_t used = memory_u32(&runtime->memory, block + (uint32_t)entries);

		if (used > max || runtime->memory.faults != faults ||
			!list_guard_step(&guard, block))
			return false;
	}
	return true;
}

// Two witnesses of one address. 0 when there is none, or they differ.
static remote_addr witnesses_agree(
	struct go_runtime *runtime, const char *name, remote_addr decoded)
{
	remote_addr symbol = symbol_address(runtime, name);

	if (symbol && decoded && symbol != decoded) {
		runtime_note(runtime,
			"%s is at 0x%" PRIx64 " by its symbol, but 0x%" PRIx64
			" by the code that uses it.",
			name, symbol, decoded);
		return 0;
	}
	return symbol ? symbol : decoded;
}

// The place found by structure if it is the only one, else the one that witnesses name.
static struct error *structure_choose(struct go_runtime *runtime, const char *name, unsigned places,
	remote_addr found, remote_addr witness, bool witness_fits, remote_addr *out)
{
	if (places == 1) {
		if (witness && witness != found)
			runtime_note(runtime,
				"%s is taken from its structure; symbol or code name another "
				"place.",
				name);
		*out = found;
		return NULL;
	}
	if (!places && runtime->target->notes)
		return error_create(ERROR_TARGET,
			"built with %s, but %s, or what it leads to, is missing", runtime->version,
			name);
	if (!witness || !witness_fits)
		return error_create(ERROR_TARGET,
			"built with %s, but %s of its variables looks like %s", runtime->version,
			places ? "more than one" : "none", name);
	*out = witness;
	return NULL;
}

// Variables that are only needed for what is queued at the moment: without them the rest still
// holds.
static void queues_locate(struct go_runtime *runtime)
{
	const struct layout_offsets *at = &runtime->layout.at;
	remote_addr allfin = 0, gc_cleanups = 0;

	markroot_decode(runtime, &allfin, &gc_cleanups);
	allfin = witnesses_agree(runtime, "runtime.allfin", allfin);
	if (allfin && blocks_agree(runtime, memory_u64(&runtime->memory, allfin),
			      at->finblock_alllink, at->finblock_cnt, FINALIZERS_MAX))
		runtime->allfin = allfin;
	else
		runtime_note(runtime, "The queue of finalizers was not found: what waits in it "
				      "counts as garbage.");
	if (at->cleanupQueue_all < 0)
		return;
	gc_cleanups = witnesses_agree(runtime, "runtime.gcCleanups", gc_cleanups);
	if (gc_cleanups &&
		blocks_agree(runtime,
			memory_u64(&runtime->memory, gc_cleanups + (uint32_t)at->cleanupQueue_all),
			at->cleanupBlock_alllink, at->cleanupBlock_n, CLEANUPS_MAX))
		runtime->gc_cleanups = gc_cleanups;
	else
		runtime_note(runtime,
			"The queue of cleanups was not found: what waits in it counts as garbage.");
}

struct error *variables_locate(struct go_runtime *runtime)
{
	struct findings findings = {0};
	struct error *err = slices_search(runtime, &findings);

	if (err)
		return err;
	remote_addr mheap = witnesses_agree(runtime, "runtime.mheap_", mheap_decode(runtime));
	err = structure_choose(runtime, "runtime.mheap_", findings.mheaps, findings.mheap, mheap,
		mheap && spans_agree(runtime, mheap, CANDIDATE_SAMPLE), &runtime->mheap);
	if (err)
		return err;
	// While a collection marks, work.stackRoots is a second slice of all goroutines.
	remote_addr allgs = witnesses_agree(runtime, "runtime.allgs", allgs_decode(runtime));
	err = structure_choose(runtime, "runtime.allgs", findings.lists, findings.allgs, allgs,
		allgs && goroutines_agree(runtime, allgs, CANDIDATE_SAMPLE), &runtime->allgs);
	if (err)
		return err;
	runtime->gcphase = witnesses_agree(runtime, "runtime.gcphase", gcphase_decode(runtime));
	if (!runtime->gcphase)
		runtime_note(runtime, "Whether a collection was running could not be found out.");
	runtime->memstats = witnesses_agree(
		runtime, "runtime.memstats", first_operand(runtime, "runtime.readmemstats_m"));
	queues_locate(runtime);
	return NULL;
}
