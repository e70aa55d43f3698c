// Is heapwhy right about programs that never hold still? The next collection knows.
//
//	collector_check PROGRAM ROUNDS          one TAP line, and remarks
//
// A round captures the program, lets it go on, makes it collect once, and captures it again. What can be claimed of any
// object, whatever the program does meanwhile:
//
//	garbage    An object that was reachable from nothing when no collection was running can not come back: the next
//	           collection must free it. If it keeps it, we have missed a reference, or it floats (below).
//	reference  While a collection is marking, whatever can be reached from globals, from other roots and from the
//	           stacks that it has scanned already will survive it: the write barrier keeps what is unlinked from then
//	           on (mbarrier.go). If such an object is freed, we have followed a pointer that the collector does not
//	           know. Stacks that it has not scanned may still drop theirs, so they are no source here.
//	keepers    corpus/churn has a list of objects that live for ever: all of them are found every time, and kept.
//
// In a capture between collections, an object that is reached precisely may legitimately be dropped by the program a
// moment later, so that nothing can be claimed of it, except of the keepers.
//
// What floats is garbage that a collection keeps none the less. It scans the innermost frame of a goroutine that it has
// preempted between two calls conservatively (mgcmark.go, scanframeworker), and what the frame has not set yet is left
// over from whoever had that piece of stack before, as are registers (they lie there, too, once it is preempted). Told from
// a missed reference by three things: when it was called garbage, such a word led to it, no register of a running goroutine
// did, and in the second capture nothing precise does. The worker "leftovers" of corpus/churn makes some.
//
// Left out: 16-byte slots without pointers. The allocator carves small values out of them, and puts more into one that is
// garbage already.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "debuginfo/pclntab.h"
#include "observation.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"

#define KEEPER_MAGIC UINT64_C(0x6b656570657221)

enum { KEEPERS = 100000, TINY_BYTES = 16, REMARKS_MAX = 10 };

struct subject {
	pid_t pid;
	int input;
};

struct totals {
	uint64_t garbage_rounds, garbage, kept; // slots examined, and those the collector kept
	uint64_t floating;                      // kept for what was left over on a stack
	uint64_t reference_rounds, references, freed; // ..., and those it freed
	uint64_t missed_rounds, keepers_missing;
	uint64_t conservative_frames, truncated, missing_maps, running, remarks;
};

static void die(struct error *err)
{
	printf("not ok - %s\n", error_message(err));
	exit(1);
}

static void pause_for(long microseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static void subject_start(struct subject *subject, const char *program)
{
	int input[2], output[2];
	char line[64];

	if (pipe(input) || pipe(output))
		exit(1);
	subject->pid = fork();
	if (subject->pid == 0) {
		dup2(input[0], 0);
		dup2(output[1], 1);
		close(input[1]);
		close(output[0]);
		execl(program, program, NULL);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	subject->input = input[1];
	if (read(output[0], line, sizeof(line)) < 5 || strncmp(line, "ready", 5)) {
		printf("not ok - %s does not start\n", program);
		exit(1);
	}
}

static uint32_t subject_word(const struct subject *subject, remote_addr address)
{
	uint32_t word = 0;
	struct iovec local = {&word, sizeof(word)},
		     remote = {(void *)(uintptr_t)address, sizeof(word)};

	if (process_vm_readv(subject->pid, &local, 1, &remote, 1, 0) != sizeof(word))
		return UINT32_MAX;
	return word;
}

// Waits until `address` holds `value`; false after ten seconds.
static bool subject_wait(const struct subject *subject, remote_addr address, uint32_t value)
{
	uint64_t deadline = clock_ns() + UINT64_C(10000000000);

	while (subject_word(subject, address) != value) {
		if (clock_ns() > deadline)
			return false;
		pause_for(50);
	}
	return true;
}

static void subject_collect(const struct subject *subject)
{
	if (write(subject->input, "\n", 1) != 1) {
		printf("not ok - the program has ended\n");
		exit(1);
	}
}

// The slot of `after` that slot `index` of `span` has become, or OBJECT_NONE when the span is no longer there.
static object_id same_slot(const struct heap *after, const struct span *span, uint32_t index)
{
	const struct span *now = heap_span(after, span->base);

	if (!now || now->address != span->address || now->base != span->base ||
		now->elem_size != span->elem_size)
		return OBJECT_NONE;
	return now->first + index;
}

static void remark(
	struct totals *totals, const struct observation *before, object_id id, const char *what)
{
	const struct span *span = heap_span_of(before->heap, id);

	if (totals->remarks++ < REMARKS_MAX)
		printf("# %s: 0x%" PRIx64 ", %" PRIu64 " bytes%s\n", what,
			heap_address(before->heap, id), span->elem_size,
			span->noscan ? ", no pointers" : "");
}

struct pair {
	struct observation *before, *after;
	uint64_t *leftovers,
		*registers; // what their words lead to in `before`; made when first needed
};

// Why slot `id`, called garbage, which the collector has kept as slot `now`, does not float; NULL when it does.
static const char *not_floating(struct pair *pair, object_id id, object_id now)
{
	struct error *err = NULL;

	if (!pair->leftovers)
		err = observation_reach_raw(pair->before, RAW_LEFTOVERS, &pair->leftovers);
	if (!err && !pair->registers)
		err = observation_reach_raw(pair->before, RAW_REGISTERS, &pair->registers);
	if (!err && !pair->after->precise)
		err = observation_mark(pair->after);
	if (err)
		die(err);
	if (heap_bit(pair->registers, id))
		return "called garbage, but kept: a register led to it";
	if (heap_bit(pair->after->precise, now))
		return "called garbage, but kept: it is reachable";
	return heap_bit(pair->leftovers, id) ? NULL : "called garbage, but kept";
}

// Slot `id`, of which something was claimed, is slot `now` of the second capture, if any.
static void judge(
	struct totals *totals, struct pair *pair, bool garbage, object_id id, object_id now)
{
	bool kept = now != OBJECT_NONE && heap_bit(pair->after->heap->marked, now);

	if (!garbage) {
		totals->references++;
		if (!kept) {
			totals->freed++;
			remark(totals, pair->before, id, "called reachable, but freed");
		}
		return;
	}
	totals->garbage++;
	if (!kept)
		return;
	const char *why = not_floating(pair, id, now);
	if (why) {
		totals->kept++;
		remark(totals, pair->before, id, why);
	} else {
		totals->floating++;
	}
}

static void compare(struct totals *totals, struct pair *pair, const uint64_t *claimed, bool garbage)
{
	const struct heap *heap = pair->before->heap;

	for (uint32_t s = 0; s < heap->span_count; s++) {
		const struct span *span = &heap->spans[s];
		if (span->elem_size == TINY_BYTES && span->noscan)
			continue;
		for (uint32_t i = 0; i < span->count; i++) {
			if (heap_bit(claimed, span->first + i))
				judge(totals, pair, garbage, span->first + i,
					same_slot(pair->after->heap, span, i));
		}
	}
	free(pair->leftovers);
	free(pair->registers);
}

// The roots that a collection in progress can not lose any more.
static bool is_safe_root(const struct observation *observation, const struct root *root)
{
	remote_addr g;

	if (root->kind != ROOT_STACK && root->kind != ROOT_DEFER)
		return true;
	g = observation->goroutines->goroutines[root->owner].address;
	return memory_u8(&observation->runtime->memory,
		g + (uint64_t)observation->runtime->layout.at.g_gcscandone);
}

static void count_keepers(
	struct totals *totals, const struct observation *observation, const uint64_t *reached)
{
	const struct heap *heap = observation->heap;
	uint64_t count = 0;

	for (uint32_t s = 0; s < heap->span_count; s++) {
		const struct span *span = &heap->spans[s];
		_cleanup_free_ uint8_t *bytes = NULL;
		if (span->noscan || span->elem_size != 96)
			continue;
		bytes = malloc((size_t)span->count * span->elem_size);
		if (!bytes)
			exit(1);
		target_read_sparse(observation->target, span->base, bytes,
			(size_t)span->count * span->elem_size);
		for (uint32_t i = 0; i < span->count; i++) {
			uint64_t word;
			memcpy(&word, bytes + i * span->elem_size, sizeof(word));
			count += word == KEEPER_MAGIC && heap_bit(reached, span->first + i);
		}
	}
	if (count != KEEPERS)
		totals->keepers_missing++;
}

static uint64_t *garbage_of(const struct observation *observation)
{
	size_t words = observation->heap->object_count / 64 + 1;
	uint64_t *garbage = malloc(words * sizeof(*garbage));

	if (!garbage)
		exit(1);
	for (size_t i = 0; i < words; i++)
		garbage[i] = observation->heap->allocated[i] & ~observation->reached[i];
	return garbage;
}

static void count_goroutines(struct totals *totals, const struct observation *observation)
{
	totals->conservative_frames += observation->roots.conservative_frames;
	totals->truncated += observation->goroutines->truncated_stacks;
	totals->missing_maps += observation->roots.missing_maps;
	for (uint32_t i = 0; i < observation->goroutines->count; i++)
		totals->running +=
			observation->goroutines->goroutines[i].status == GOROUTINE_RUNNING;
}

// gcMarkTermination (mgc.go) ends the mark phase before it advances sweepgen, all in one pause: a capture in between looks
// like one between two collections, but the next sweepgen belongs to the collection that has just marked.
static bool is_terminating(const struct observation *observation)
{
	const struct goroutine_list *list = observation->goroutines;

	for (uint32_t i = 0; i < list->frame_count; i++) {
		const struct frame *frame = &list->frames[i];
		struct pcln_function function;
		if (pclntab_function(observation->runtime->modules[frame->module].pclntab,
			    frame->function, &function) &&
			!strcmp(function.name, "runtime.gcMarkTermination"))
			return true;
	}
	return false;
}

// A capture that is refused costs a round: on a busy machine a thread may not come to a stop in time.
static bool observe(const struct subject *subject, struct totals *totals, struct observation *out)
{
	struct error *err = observation_open(subject->pid, CAPTURE_FORK, out);

	if (!err)
		return true;
	printf("# %s\n", error_message(err));
	error_destroy(err);
	totals->missed_rounds++;
	return false;
}

static void round_run(
	const struct subject *subject, bool marking, remote_addr gcphase, struct totals *totals)
{
	struct observation before, after;
	_cleanup_free_ uint64_t *claimed = NULL;
	struct error *err;

	if (marking) {
		subject_collect(subject);
		subject_wait(subject, gcphase, GC_MARK);
	} else {
		// Not always at the same point of the program.
		pause_for(rand() % 20000);
	}
	if (!observe(subject, totals, &before))
		return;
	if (before.runtime->gc_phase != (marking ? GC_MARK : GC_OFF) || is_terminating(&before)) {
		totals->missed_rounds++;
		observation_close(&before);
		return;
	}
	err = marking ? observation_reach(&before, is_safe_root, &claimed)
		      : observation_mark(&before);
	if (err)
		die(err);
	count_keepers(totals, &before, marking ? claimed : before.precise);
	if (!marking)
		claimed = garbage_of(&before);
	count_goroutines(totals, &before);
	if (!marking)
		subject_collect(subject);
	if (!subject_wait(subject,
		    before.runtime->mheap + (uint64_t)before.runtime->layout.at.mheap_sweepgen,
		    before.runtime->sweepgen + 2)) {
		totals->missed_rounds++;
		observation_close(&before);
		return;
	}
	if (!observe(subject, totals, &after)) {
		observation_close(&before);
		return;
	}
	if (after.runtime->sweepgen == before.runtime->sweepgen + 2) {
		*(marking ? &totals->reference_rounds : &totals->garbage_rounds) += 1;
		compare(totals, &(struct pair){.before = &before, .after = &after}, claimed,
			!marking);
	} else {
		totals->missed_rounds++;
	}
	observation_close(&after);
	observation_close(&before);
}

static remote_addr find_gcphase(const struct subject *subject)
{
	struct observation observation;
	struct error *err = observation_open(subject->pid, CAPTURE_FORK, &observation);
	remote_addr gcphase;

	if (err)
		die(err);
	gcphase = observation.runtime->gcphase;
	observation_close(&observation);
	return gcphase;
}

int main(int argc, char **argv)
{
	struct totals totals = {0};
	struct subject subject;
	remote_addr gcphase;
	bool good;
	int rounds;

	if (argc != 3) {
		fprintf(stderr, "usage: collector_check PROGRAM ROUNDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rounds = atoi(argv[2]);
	subject_start(&subject, argv[1]);
	gcphase = find_gcphase(&subject);
	for (int i = 0; i < rounds; i++)
		round_run(&subject, i % 2, gcphase, &totals);
	kill(subject.pid, SIGKILL);
	waitpid(subject.pid, NULL, 0);

	good = !totals.kept && !totals.freed && !totals.keepers_missing && totals.garbage_rounds &&
	       totals.reference_rounds && totals.missed_rounds <= (uint64_t)rounds / 4;
	printf("%s - %" PRIu64 " slots called garbage in %" PRIu64 " captures, %" PRIu64
	       " of them kept; %" PRIu64 " slots called reachable in %" PRIu64 " captures, %" PRIu64
	       " of them freed; keepers missing %" PRIu64 " times\n",
		good ? "ok" : "not ok", totals.garbage, totals.garbage_rounds, totals.kept,
		totals.references, totals.reference_rounds, totals.freed, totals.keepers_missing);
	printf("# %" PRIu64 " slots more floated; %" PRIu64 " running goroutines, %" PRIu64
	       " frames scanned conservatively, %" PRIu64 " stacks truncated, %" PRIu64
	       " maps missing, %" PRIu64 " rounds were lost\n",
		totals.floating, totals.running, totals.conservative_frames, totals.truncated,
		totals.missing_maps, totals.missed_rounds);
	return good ? 0 : 1;
}
