// The process's mappings, one by one: whose memory is it?
//
// What of an anonymous mapping lies in the heap's arenas has been counted, but for the pages in no
// span. Other anonymous memory is the runtime's own when the program has no shared libraries, or when
// something of the runtime is known to lie in the mapping; the rest is C's.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "ledger/ledger_private.h"
#include "target/resident.h"

struct process {
	struct ledger *ledger;
	const struct analysis *analysis;
	const struct resident *resident;
	bool has_libraries;
	uint64_t runtime; // in memory, of the runtime's own mappings
	uint64_t parts[RUNTIME_PAGE_ALLOCATOR + 1];
	uint64_t heap;     // in memory, of the heap's arenas
	bool *has_runtime; // for each mapping: something of the runtime is known to lie in it
};

static bool is_library(const struct resident_mapping *mapping)
{
	const char *name = strrchr(mapping->path, '/');

	return name && (strstr(name, ".so.") ||
			       (strlen(name) > 3 && !strcmp(name + strlen(name) - 3, ".so")));
}

static bool overlaps(const struct resident_mapping *mapping, remote_addr start, remote_addr end)
{
	return start < mapping->end && mapping->start < end;
}

static bool in_binary(const struct process *process, const struct resident_mapping *mapping)
{
	const struct go_runtime *runtime = process->analysis->runtime;
	const struct region *region = target_region(process->analysis->target, mapping->start);

	if (region && region->is_exe)
		return true;
	for (unsigned i = 0; i < runtime->module_count; i++)
		if (overlaps(mapping, runtime->modules[i].variables, runtime->modules[i].end))
			return true;
	return false;
}

static enum account file_account(const struct resident_mapping *mapping)
{
	if (mapping->shared || !is_library(mapping))
		return mapping->shared && strncmp(mapping->path, "/", 1) ? ACCOUNT_OTHER
									 : ACCOUNT_FILES;
	return ACCOUNT_LIBRARIES;
}

// The first mapping that ends behind `address`.
static size_t mapping_from(const struct resident *resident, remote_addr address)
{
	return FIRST_WHERE(i, resident->mappings.count, resident->mappings.items[i].end > address);
}

static void mark_part(void *context, enum runtime_part part, remote_addr start, remote_addr end)
{
	struct process *process = context;
	const struct resident *resident = process->resident;

	for (size_t i = mapping_from(resident, start);
		i < resident->mappings.count && resident->mappings.items[i].start < end; i++)
		process->has_runtime[i] = true;
}

static void mark_runtime(struct process *process)
{
	const struct heap *heap = process->analysis->heap;

	runtime_parts(heap, mark_part, process);
	for (uint32_t i = 0; i < heap->span_count; i++)
		mark_part(process, RUNTIME_ARENA_TABLES, heap->spans[i].address,
			heap->spans[i].address + 1);
}

static bool has_thread_stack(const struct process *process, const struct resident_mapping *mapping)
{
	const struct target *target = process->analysis->target;

	for (size_t i = 0; i < target->thread_count; i++)
		if (overlaps(mapping, target->threads[i].registers.sp,
			    target->threads[i].registers.sp + 1))
			return true;
	return !strncmp(mapping->path, "[stack", 6);
}

// The part of the mapping that lies in the heap's arenas.
static uint64_t arena_bytes(const struct process *process, const struct resident_mapping *mapping)
{
	struct go_runtime *runtime = process->analysis->runtime;
	uint64_t bytes = 0;

	// The kernel's own page above all is no heap, and the end of the address space.
	for (remote_addr at = mapping->start; at < mapping->end && !(at >> INDEX_ADDRESS_BITS);) {
		remote_addr next = ((at >> ARENA_SHIFT) + 1) << ARENA_SHIFT;
		if (next > mapping->end)
			next = mapping->end;
		if (go_arena(runtime, &runtime->memory, at))
			bytes += resident_bytes(process->resident, at, next);
		at = next;
	}
	return bytes;
}

static void count_anonymous(struct process *process, const struct resident_mapping *mapping)
{
	uint64_t *bytes = process->ledger->bytes;
	uint64_t heap = arena_bytes(process, mapping);

	process->heap += heap;
	if (heap >= mapping->bytes)
		return;
	uint64_t left = mapping->bytes - heap;
	if (in_binary(process, mapping))
		bytes[ACCOUNT_BINARY] += left;
	else if (has_thread_stack(process, mapping) && !heap)
		bytes[ACCOUNT_THREAD_STACKS] += left;
	else if (!strcmp(mapping->path, "[heap]"))
		bytes[ACCOUNT_C_HEAP] += left;
	else if (*mapping->path == '[' && strncmp(mapping->path, "[anon", 5))
		bytes[ACCOUNT_OTHER] += left;
	else if (!process->has_libraries || heap ||
		 process->has_runtime[mapping - process->resident->mappings.items])
		process->runtime += left;
	else
		bytes[ACCOUNT_C_HEAP] += left;
}

static void count_part(void *context, enum runtime_part part, remote_addr start, remote_addr end)
{
	struct process *process = context;

	process->parts[part] += resident_bytes(process->resident, start, end);
}

// Takes `bytes` of what is left for an account, at most what there is.
static void take(struct process *process, enum account account, uint64_t bytes)
{
	if (bytes > process->runtime)
		bytes = process->runtime;
	process->ledger->bytes[account] += bytes;
	process->runtime -= bytes;
}

static uint64_t share(uint64_t part, uint64_t left, uint64_t whole)
{
	return (uint64_t)((double)part * (double)left / (double)whole);
}

// What has a place is counted by the page. The rest lies mixed in the runtime's chunks: the
// runtime's own counters say what it took for each purpose, and hardly any of that is not in
// memory.
static void split_runtime(struct process *process)
{
	const struct runtime_counters *counters = &process->ledger->counters;
	uint64_t tables;

	runtime_parts(process->analysis->heap, count_part, process);
	tables = process->parts[RUNTIME_ARENA_TABLES];
	take(process, ACCOUNT_ARENA_TABLES, tables);
	take(process, ACCOUNT_PAGE_ALLOCATOR, process->parts[RUNTIME_PAGE_ALLOCATOR]);
	take(process, ACCOUNT_SPAN_RECORDS, counters->spans + counters->caches);
	// The profile's hash table is taken whole and used in places: of these, all get their share of what is in memory.
	uint64_t gc = counters->gc > tables ? counters->gc - tables : 0;
	uint64_t said = counters->profile + gc + counters->other, left = process->runtime;
	if (said > left) {
		take(process, ACCOUNT_HEAP_PROFILE, share(counters->profile, left, said));
		take(process, ACCOUNT_GC_METADATA, share(gc, left, said));
	} else {
		take(process, ACCOUNT_HEAP_PROFILE, counters->profile);
		take(process, ACCOUNT_GC_METADATA, gc);
	}
	// The kernel puts what malloc maps next to what the runtime has mapped, and makes one mapping of both.
	bool mixed = process->has_libraries && counters->others_known;
	if (mixed)
		take(process, ACCOUNT_OTHER_RUNTIME, counters->other);
	take(process, mixed ? ACCOUNT_C_HEAP : ACCOUNT_OTHER_RUNTIME, process->runtime);
}

struct error *ledger_count_process(struct ledger *ledger, const struct analysis *analysis)
{
	const struct resident *resident = analysis->target->resident;
	_cleanup_free_ bool *has_runtime = calloc(resident->mappings.count + 1, sizeof(bool));
	struct process process = {
		.ledger = ledger,
		.analysis = analysis,
		.resident = resident,
		.has_runtime = has_runtime,
	};
	uint64_t in_spans = 0;

	if (!has_runtime)
		return error_no_memory();
	mark_runtime(&process);

	for (int i = 0; i < ACCOUNT_COUNT; i++)
		in_spans += ledger->bytes[i];
	for (size_t i = 0; i < resident->mappings.count; i++)
		process.has_libraries |= is_library(&resident->mappings.items[i]);
	for (size_t i = 0; i < resident->mappings.count; i++) {
		const struct resident_mapping *mapping = &resident->mappings.items[i];
		if (!mapping->bytes)
			continue;
		if (!mapping->is_file)
			count_anonymous(&process, mapping);
		else if (in_binary(&process, mapping))
			ledger->bytes[ACCOUNT_BINARY] += mapping->bytes;
		else
			ledger->bytes[file_account(mapping)] += mapping->bytes;
	}
	if (process.heap > in_spans)
		ledger->bytes[ACCOUNT_IDLE_SPANS] = process.heap - in_spans;
	split_runtime(&process);
	return NULL;
}
