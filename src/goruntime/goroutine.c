// Reading all goroutines: the g structures in bulk, then where each one stands, then every stack
// once, in the order of their addresses.
#include "goruntime/goroutine.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/goroutine_private.h"
#include "goruntime/range_reader.h"
#include "goruntime/runtime_private.h"

enum {
	STATUS_SCAN = 0x1000, // _Gscan (runtime2.go)
	GOROUTINES_MAX = 1 << 24,
	G_BYTES_MAX = 1024,
};

static const uint64_t STACK_BYTES_MAX = UINT64_C(1)
					<< 30; // runtime.maxstacksize on 64-bit machines

// runtime2.go: _Gidle to _Gpreempted have kept their numbers from 1.19 to 1.27; _Gleaked and
// _Gdeadextra are new in 1.26.
static enum goroutine_status status_of(uint32_t status)
{
	static const enum goroutine_status statuses[] = {
		GOROUTINE_IDLE, GOROUTINE_RUNNABLE, GOROUTINE_RUNNING, GOROUTINE_SYSCALL,
		GOROUTINE_WAITING,
		GOROUTINE_OTHER, // _Gmoribund_unused
		GOROUTINE_DEAD,
		GOROUTINE_OTHER, // _Genqueue_unused
		GOROUTINE_COPYSTACK, GOROUTINE_PREEMPTED,
		GOROUTINE_WAITING, // _Gleaked: waits, and the collector has proved that nothing can
				   // wake it
		GOROUTINE_DEAD,    // _Gdeadextra: of a thread that C made and that is not in Go now
	};

	return status < ARRAY_COUNT(statuses) ? statuses[status] : GOROUTINE_OTHER;
}

// The words of gStatusStrings (traceback.go).
static const char *status_name(enum goroutine_status status)
{
	static const char *const names[] = {
		[GOROUTINE_IDLE] = "idle",
		[GOROUTINE_RUNNABLE] = "runnable",
		[GOROUTINE_RUNNING] = "running",
		[GOROUTINE_SYSCALL] = "syscall",
		[GOROUTINE_WAITING] = "waiting",
		[GOROUTINE_DEAD] = "dead",
		[GOROUTINE_COPYSTACK] = "copystack",
		[GOROUTINE_PREEMPTED] = "preempted",
		[GOROUTINE_OTHER] = "???",
	};

	return names[status];
}

struct entry {
	struct goroutine goroutine;
	struct goroutine_stack stack;
};

// The list in the making.
struct reading {
	struct go_runtime *runtime;
	struct unwinder unwinder;
	struct hw_map threads; // tid -> index in target->threads
	struct wait_reasons reasons;
	HW_VECTOR(struct entry) entries;
	struct frame_vector frames;
};

static uint64_t g_word(const uint8_t *g, int32_t offset)
{
	uint64_t word;

	if (offset < 0 || offset > G_BYTES_MAX - 8)
		return 0;
	memcpy(&word, g + offset, sizeof(word));
	return word;
}

static uint8_t g_byte(const uint8_t *g, int32_t offset)
{
	return offset < 0 || offset >= G_BYTES_MAX ? 0 : g[offset];
}

// How much of a g must be read to have all the fields we look at.
static uint32_t g_bytes(const struct layout_offsets *at)
{
	const int32_t offsets[] = {
		at->g_stack + 8,
		at->g__panic,
		at->g__defer,
		at->g_m,
		at->g_sched + at->gobuf_sp,
		at->g_sched + at->gobuf_pc,
		at->g_sched + at->gobuf_ctxt,
		at->g_syscallsp,
		at->g_syscallpc,
		at->g_stktopsp,
		at->g_atomicstatus,
		at->g_goid,
		at->g_waitsince,
		at->g_waitreason,
		at->g_parentGoid,
		at->g_waiting,
		at->g_gopc,
		at->g_startpc,
		at->g_asyncSafePoint,
		at->g_xRegs,
	};
	int32_t last = 0;

	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		if (last < offsets[i])
			last = offsets[i];
	}
	return last > G_BYTES_MAX - 8 ? G_BYTES_MAX : (uint32_t)last + 8;
}

static bool range_is_readable(const struct target *target, remote_addr low, remote_addr high)
{
	while (low < high) {
		const struct region *region = target_region(target, low);

		if (!region || !region->readable)
			return false;
		low = region->end;
	}
	return true;
}

static const char *wait_text(
	const struct reading *reading, uint8_t reason, enum goroutine_status status)
{
	// runtime.goroutineheader: the reason counts only while waiting, and only when it is not
	// waitReasonZero.
	if (status == GOROUTINE_WAITING && reason && reason < reading->reasons.count)
		return reading->reasons.texts[reason];
	return status_name(status);
}

// Go sets g.waitsince when the collector first meets the goroutine waiting, and clears it when it
// runs (mgcmark.go).
static uint64_t wait_time(
	const struct go_runtime *runtime, uint64_t since, enum goroutine_status status)
{
	if ((status != GOROUTINE_WAITING && status != GOROUTINE_SYSCALL) || !since ||
		since > runtime->now_ns)
		return 0;
	return runtime->now_ns - since;
}

static struct error *goroutine_read(struct reading *reading, remote_addr address, const uint8_t *g)
{
	struct go_runtime *runtime = reading->runtime;
	const struct layout_offsets *at = &runtime->layout.at;
	bool arm = runtime->target->arch == ARCH_ARM64;
	uint32_t status = (uint32_t)g_word(g, at->g_atomicstatus);
	struct goroutine_record record = {
		.g = address,
		.m = g_word(g, at->g_m),
		.status = status & ~STATUS_SCAN,
		.scan = status & STATUS_SCAN,
		.async_safe_point = g_byte(g, at->g_asyncSafePoint),
		.sched_pc = g_word(g, at->g_sched + at->gobuf_pc),
		.sched_sp = g_word(g, at->g_sched + at->gobuf_sp),
		// runtime/runtime2.go: gobuf.lr stands before gobuf.bp (1.19 to 1.27).
		.sched_link = arm ? g_word(g, at->g_sched + at->gobuf_bp - 8) : 0,
		.syscall_pc = g_word(g, at->g_syscallpc),
		.syscall_sp = g_word(g, at->g_syscallsp),
		.vector_state = g_word(g, at->g_xRegs),
	};
	struct goroutine goroutine = {
		.id = g_word(g, at->g_goid),
		.parent_id = g_word(g, at->g_parentGoid),
		.address = address,
		.status = status_of(record.status),
		.created_at = g_word(g, at->g_gopc),
		.start = g_word(g, at->g_startpc),
		.stack_low = g_word(g, at->g_stack),
		.stack_high = g_word(g, at->g_stack + 8),
		.waiting = g_word(g, at->g_waiting),
	};
	struct goroutine_stack stack = {
		.top = g_word(g, at->g_stktopsp),
		.context = g_word(g, at->g_sched + at->gobuf_ctxt),
		.defers = g_word(g, at->g__defer),
		.panics = g_word(g, at->g__panic),
	};

	if (goroutine.status == GOROUTINE_IDLE || goroutine.status == GOROUTINE_DEAD)
		return NULL;
	goroutine.wait_reason = wait_text(reading, g_byte(g, at->g_waitreason), goroutine.status);
	goroutine.wait_ns = wait_time(runtime, g_word(g, at->g_waitsince), goroutine.status);
	if (goroutine.stack_high < goroutine.stack_low ||
		goroutine.stack_high - goroutine.stack_low > STACK_BYTES_MAX ||
		!range_is_readable(runtime->target, goroutine.stack_low, goroutine.stack_high))
		goroutine.stack_low = goroutine.stack_high = 0;
	goroutine_locate(&reading->unwinder, &reading->threads, &record, &goroutine, &stack);
	goroutine.pc = stack.start.pc;
	goroutine.sp = stack.start.sp;
	return hw_vector_push(&reading->entries, ((struct entry){goroutine, stack}))
		       ? NULL
		       : error_no_memory();
}

// Reads every g on runtime.allgs, ascending by address.
static struct error *goroutines_read_all(struct reading *reading)
{
	struct go_runtime *runtime = reading->runtime;
	uint32_t size = g_bytes(&runtime->layout.at);
	_cleanup_free_ struct range *ranges = NULL;
	_cleanup_free_ uint64_t *addresses = NULL;
	uint8_t g[G_BYTES_MAX] = {0};
	struct range_reader reader;
	const struct range *range;
	const uint8_t *bytes;
	struct error *err, *read_err;
	uint64_t count;

	err = go_read_words(runtime, runtime->allgs, GOROUTINES_MAX, &addresses, &count);
	if (err)
		return error_wrap(err, "runtime.allgs");
	ranges = calloc(count ? count : 1, sizeof(*ranges));
	if (!ranges)
		return error_no_memory();
	for (uint64_t i = 0; i < count; i++) {
		remote_addr low = addresses[i] < UINT64_MAX - size ? addresses[i] : 0;
		ranges[i] = (struct range){low, low + size, 0};
	}
	range_reader_init(&reader, runtime->target, ranges, count);
	while (!err && range_reader_next(&reader, &range, &bytes)) {
		memcpy(g, bytes, size);
		err = goroutine_read(reading, range->low, g);
	}
	read_err = range_reader_end(&reader);
	if (err)
		error_destroy(read_err);
	return err ? err : read_err;
}

static int entry_compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	return a->goroutine.id < b->goroutine.id ? -1 : a->goroutine.id > b->goroutine.id;
}

static struct error *goroutine_unwind(
	struct reading *reading, uint32_t owner, const struct stack_bytes *bytes)
{
	struct goroutine *goroutine = &reading->entries.items[owner].goroutine;
	struct goroutine_stack *stack = &reading->entries.items[owner].stack;
	struct frame_vector *frames = &reading->frames;
	size_t first = frames->count;
	enum unwind_end end;

	if (stack->position == STACK_UNKNOWN)
		return NULL;
	end = unwind(&reading->unwinder, bytes, &stack->start, frames);
	if (end == UNWIND_NO_MEMORY || frames->count > UINT32_MAX)
		return error_no_memory();
	// runtime.unwinder.finishInternal makes the same check.
	stack->complete =
		end == UNWIND_COMPLETE && frames->items[frames->count - 1].sp == stack->top;
	goroutine->first_frame = (uint32_t)first;
	goroutine->frame_count = (uint32_t)(frames->count - first);
	return NULL;
}

// Unwinds all stacks, ascending by address.
static struct error *goroutines_unwind_all(struct reading *reading)
{
	size_t count = reading->entries.count;
	_cleanup_free_ struct range *ranges = calloc(count ? count : 1, sizeof(*ranges));
	struct range_reader reader;
	const struct range *range;
	const uint8_t *bytes;
	struct error *err = NULL, *read_err;

	if (!ranges)
		return error_no_memory();
	for (size_t i = 0; i < count; i++) {
		const struct entry *entry = &reading->entries.items[i];
		ranges[i] = (struct range){goroutine_stack_low(&entry->goroutine, &entry->stack),
			entry->goroutine.stack_high, (uint32_t)i};
	}
	range_reader_init(&reader, reading->runtime->target, ranges, count);
	while (!err && range_reader_next(&reader, &range, &bytes)) {
		struct stack_bytes stack = {bytes, range->low, range->high};
		err = goroutine_unwind(reading, range->owner, &stack);
	}
	read_err = range_reader_end(&reader);
	if (err)
		error_destroy(read_err);
	return err ? err : read_err;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

static bool has_user_frame(const struct reading *reading, const struct goroutine *goroutine)
{
	for (uint32_t i = 0; i < goroutine->frame_count; i++) {
		const struct frame *frame = &reading->frames.items[goroutine->first_frame + i];
		const struct go_module *module = &reading->runtime->modules[frame->module];
		struct pcln_function function;

		if (pclntab_function(module->pclntab, frame->function, &function) &&
			function_kind(&function) == FUNCTION_ORDINARY)
			return true;
	}
	return false;
}

// runtime.isSystemGoroutine (traceback.go): started in a function of the runtime, but for the main
// goroutine, coroutines (from 1.23 on), and the goroutines that run finalizers and cleanups while
// they are in user code. The runtime has flags for the last; a frame outside of the runtime tells
// the same.
static bool goroutine_is_system(const struct reading *reading, const struct goroutine *goroutine)
{
	static const char *const callers[] = {
		"runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"};
	static const char *const users[] = {
		"runtime.main", "runtime.corostart", "runtime.handleAsyncEvent"};
	const struct go_module *module;
	struct pcln_function function;

	if (!go_find_function(reading->runtime, goroutine->start, &module, &function) ||
		strncmp(function.name, "runtime.", strlen("runtime.")) != 0)
		return false;
	if (is_one_of(function.name, users, ARRAY_COUNT(users)))
		return false;
	return !is_one_of(function.name, callers, ARRAY_COUNT(callers)) ||
	       !has_user_frame(reading, goroutine);
}

static struct error *threads_index(struct reading *reading)
{
	const struct target *target = reading->runtime->target;

	for (size_t i = 0; i < target->thread_count; i++) {
		if (!hw_map_put(&reading->threads, (uint64_t)target->threads[i].tid, i))
			return error_no_memory();
	}
	return NULL;
}

static struct error *goroutines_collect(struct reading *reading)
{
	struct error *err = threads_index(reading);

	if (!err)
		err = wait_reasons_read(reading->runtime, &reading->reasons);
	if (!err)
		err = goroutines_read_all(reading);
	if (err)
		return err;
	qsort(reading->entries.items, reading->entries.count, sizeof(struct entry), entry_compare);
	return goroutines_unwind_all(reading);
}

// Moves what was read into a list of its own.
static struct error *goroutines_finish(struct reading *reading, struct goroutine_list **out)
{
	size_t count = reading->entries.count;
	struct goroutine_list *list = calloc(1, sizeof(*list));

	if (!list)
		return error_no_memory();
	list->goroutines = calloc(count ? count : 1, sizeof(*list->goroutines));
	list->stacks = calloc(count ? count : 1, sizeof(*list->stacks));
	list->reasons = malloc(sizeof(*list->reasons));
	if (!list->goroutines || !list->stacks || !list->reasons) {
		free(list->reasons);
		list->reasons = NULL;
		goroutines_destroy(list);
		return error_no_memory();
	}
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = &reading->entries.items[i];
		entry->goroutine.system = goroutine_is_system(reading, &entry->goroutine);
		list->truncated_stacks += !entry->stack.complete;
		list->goroutines[i] = entry->goroutine;
		list->stacks[i] = entry->stack;
	}
	list->runtime = reading->runtime;
	list->count = (uint32_t)count;
	hw_vector_shrink(&reading->frames);
	list->frame_count = (uint32_t)reading->frames.count;
	list->frames = reading->frames.items;
	reading->frames = (struct frame_vector){NULL, 0, 0};
	*list->reasons = reading->reasons;
	reading->reasons = (struct wait_reasons){NULL, 0};
	*out = list;
	return NULL;
}

struct error *goroutines_read(struct heap *heap, struct goroutine_list **out)
{
	struct reading reading = {.runtime = heap->runtime};
	struct error *err;

	unwinder_init(&reading.unwinder, heap->runtime);
	hw_map_init(&reading.threads);
	err = goroutines_collect(&reading);
	if (!err)
		err = goroutines_finish(&reading, out);
	wait_reasons_deinit(&reading.reasons);
	hw_vector_deinit(&reading.frames);
	hw_vector_deinit(&reading.entries);
	hw_map_deinit(&reading.threads);
	unwinder_deinit(&reading.unwinder);
	return error_wrap(err, "goroutines");
}

void goroutines_destroy(struct goroutine_list *list)
{
	if (!list)
		return;
	if (list->reasons)
		wait_reasons_deinit(list->reasons);
	free(list->reasons);
	free(list->frames);
	free(list->stacks);
	free(list->goroutines);
	free(list);
}
