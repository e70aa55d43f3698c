// timer-pileup: timers that only the runtime still knows, so that nobody can stop them.
//
// A ticker that nobody stops and nobody reads goes on for ever, and keeps its channel. That is so up to go 1.22; from
// 1.23 on the runtime lets go of it, unless the main module's go.mod asks for older behaviour (GODEBUG asynctimerchan,
// gone in 1.27). No version has to be asked for: a timer that was let go of is not among the living. What AfterFunc
// and context.WithTimeout made stays on every version until it fires, with all that its function captured: suspected
// only, for it will fire.
//
// Functions that keep nothing but themselves, and each of which was told something else to do, are how entries expire:
// the cache keeps the entry, the timer its key. A thousand that will do the same thing are a pile all the same.
//
// A timer that is known to anybody else has a predecessor besides the runtime's heap of timers, and so has a dominator
// that is not part of that heap.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "debuginfo/pclntab.h"
#include "rules/objects.h"
#include "rules/timers.h"

enum {
	TIMERS_MIN = 100,
	BIG_TIMERS_MIN = 30, // if they keep BIG_BYTES
	KEPT_RATIO = 2,      // of their own bytes: with more a pile keeps something
	DIFFERENT_PART = 10, // all but a tenth
	CLOSURE_BYTES_MAX = 256,
};

#define BIG_BYTES MIB
#define FAR_NS (UINT64_C(30) * 1000 * 1000 * 1000) // what fires sooner is on its way

// Timers of one kind: what they do when they fire.
struct pile {
	const struct timer *timers; // sorted
	size_t count;
};

static int timer_compare(const void *a, const void *b)
{
	const struct timer *one = a, *other = b;

	if (!one->period != !other->period)
		return !one->period - !other->period;
	if (one->code != other->code)
		return one->code < other->code ? -1 : 1;
	return one->object < other->object ? -1 : one->object > other->object;
}

static bool same_kind(const struct timer *one, const struct timer *other)
{
	return !one->period == !other->period && one->code == other->code;
}

// The labels of the arrays that are the runtime's heaps of timers: []*timer up to 1.22, []timerWhen.
static bool is_timer_heap(const struct typing *typing, node_id node)
{
	const char *name = typing_label_name(typing, typing_label_of(typing, node));

	return !strcmp(name, "[]*runtime.timer") || !strcmp(name, "[]runtime.timerWhen");
}

static bool is_dominated_by(struct graph *graph, node_id node, node_id dominator)
{
	while (node != NODE_NONE && node != dominator)
		node = graph_dominator(graph, node);
	return node == dominator;
}

// Nobody but the runtime has it, and nobody reads from its channel.
static bool is_forgotten(const struct analysis *analysis, const struct timer *timer)
{
	node_id above = graph_dominator(analysis->graph, timer->object);
	object_id channel =
		timer->channel ? heap_find(analysis->heap, timer->channel) : OBJECT_NONE;

	if (above >= analysis->heap->object_count || !is_timer_heap(analysis->typing, above))
		return false;
	return channel == OBJECT_NONE || is_dominated_by(analysis->graph, channel, timer->object);
}

static bool is_far(const struct analysis *analysis, const struct timer *timer)
{
	uint64_t now = analysis->runtime->now_ns;

	return timer->period || (now && timer->when > now && timer->when - now >= FAR_NS);
}

static struct error *pile_bytes(
	const struct analysis *analysis, const struct pile *pile, uint64_t *bytes)
{
	size_t words = ((size_t)analysis->heap->object_count + 63) / 64;
	_cleanup_free_ uint64_t *set = calloc(words + 1, sizeof(*set));
	uint64_t count;

	if (!set)
		return error_no_memory();
	for (size_t i = 0; i < pile->count; i++)
		set[pile->timers[i].object >> 6] |= UINT64_C(1) << (pile->timers[i].object & 63);
	return graph_retained_set(analysis->graph, set, bytes, &count);
}

static object_id closure_of(const struct analysis *analysis, const struct timer *timer)
{
	return timer->closure ? heap_find(analysis->heap, timer->closure) : OBJECT_NONE;
}

// What the timers and their closures take themselves.
static uint64_t pile_own_bytes(const struct analysis *analysis, const struct pile *pile)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < pile->count; i++) {
		object_id closure = closure_of(analysis, &pile->timers[i]);
		bytes += heap_size(analysis->heap, pile->timers[i].object);
		bytes += closure == OBJECT_NONE ? 0 : heap_size(analysis->heap, closure);
	}
	return bytes;
}

// A number for what the timer's function was told: the words that it captured.
static uint64_t captured_hash(const struct analysis *analysis, const struct timer *timer)
{
	object_id closure = closure_of(analysis, timer);
	uint64_t hash = 0xcbf29ce484222325; // FNV-1a

	if (closure == OBJECT_NONE)
		return hash;
	remote_addr end =
		heap_address(analysis->heap, closure) + heap_size(analysis->heap, closure);
	for (remote_addr word = timer->closure + 8;
		word + 8 <= end && word < timer->closure + CLOSURE_BYTES_MAX; word += 8)
		hash = (hash ^ memory_u64(&analysis->runtime->memory, word)) * 0x100000001b3;
	return hash;
}

// Does nearly each of them do something else?
static struct error *pile_differs(
	const struct analysis *analysis, const struct pile *pile, bool *out)
{
	struct error *err = NULL;
	struct hw_map seen;
	size_t repeated = 0;

	hw_map_init(&seen);
	for (size_t i = 0; i < pile->count && !err; i++) {
		uint64_t hash = captured_hash(analysis, &pile->timers[i]);
		repeated += hw_map_get(&seen, hash, NULL);
		if (!hw_map_put(&seen, hash, 0))
			err = error_no_memory();
	}
	hw_map_deinit(&seen);
	*out = repeated <= pile->count / DIFFERENT_PART;
	return err;
}

static const char *function_name(const struct analysis *analysis, remote_addr code)
{
	const struct go_module *module;
	struct pcln_function function;

	return code && go_find_function(analysis->runtime, code, &module, &function) ? function.name
										     : "a function";
}

// The end of a context with a timeout.
static bool is_context_end(const struct analysis *analysis, const struct timer *timer)
{
	return !strncmp(function_name(analysis, timer->code), "context.", strlen("context."));
}

// The words for one of the four kinds of piles.
static void pile_describe(struct rule_run *run, const struct pile *pile, struct finding *finding)
{
	static const char channels_condition[] = "Go up to 1.22, and up to 1.26 where go.mod says "
						 "less than go 1.23; later ones let go of "
						 "such timers";
	const struct timer *first = &pile->timers[0];
	const char *function = function_name(run->analysis, first->code);
	char count[24];

	format_count(count, sizeof(count), pile->count);
	if (first->period) {
		finding->what = finding_text(run,
			"%s tickers go on that nobody refers to any more: nobody can stop them, "
			"and nobody hears "
			"them",
			count);
		finding->remedy = "defer ticker.Stop() where the ticker is made";
		finding->condition = channels_condition;
	} else if (first->channel) {
		finding->what = finding_text(run,
			"%s timers that nobody waits for any more are pending, for half a minute "
			"or "
			"more",
			count);
		finding->remedy = "instead of time.After in a loop use one time.NewTimer, and Stop "
				  "or Reset it";
		finding->condition = channels_condition;
	} else if (is_context_end(run->analysis, first)) {
		finding->what = finding_text(run,
			"%s contexts with a timeout that nobody refers to any more stay until it "
			"is over, in half a "
			"minute or later",
			count);
		finding->remedy = "defer cancel() where the context is made";
	} else {
		finding->what = finding_text(run,
			"%s timers that nobody refers to any more will call %s, in half a minute "
			"or "
			"later; until then "
			"they keep what it captured",
			count, function);
		finding->remedy =
			"keep what time.AfterFunc returns, and Stop it when it is needed no longer";
	}
}

// One that the program's heap profile has seen being made, if there is one.
static object_id pile_example(const struct rule_run *run, const struct pile *pile)
{
	for (size_t i = 0; i < pile->count; i++)
		if (allocation_is_sampled(run->findings->sites, pile->timers[i].object))
			return pile->timers[i].object;
	return pile->timers[0].object;
}

static struct error *pile_report(struct rule_run *run, const struct pile *pile)
{
	const struct analysis *analysis = run->analysis;
	const struct timer *first = &pile->timers[0];
	uint64_t bytes;
	bool expires = false;
	struct error *err = pile_bytes(analysis, pile, &bytes);

	if (!err && pile->count < TIMERS_MIN && bytes < BIG_BYTES)
		return NULL;
	if (!err && first->closure && !is_context_end(analysis, first) &&
		bytes <= pile_own_bytes(analysis, pile) * KEPT_RATIO)
		err = pile_differs(analysis, pile, &expires);
	if (err || expires)
		return err;
	struct finding finding = {
		.bytes = bytes,
		.objects = pile->count,
		.type = first->period ? "time.Ticker" : "time.Timer",
		.proven = first->period,
		.remedy_bytes = bytes,
		.condition = "",
		.subject = pile_example(run, pile),
		.goroutine = UINT32_MAX,
	};
	pile_describe(run, pile, &finding);
	return finding_add(run, &finding);
}

struct error *rule_timer_pileup(struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	HW_VECTOR(struct timer) forgotten = HW_VECTOR_INIT;
	struct timer_evidence *evidence;
	struct error *err = timer_evidence(run, &evidence);

	if (err || evidence->list.count < BIG_TIMERS_MIN)
		return err;
	for (size_t i = 0; i < evidence->list.count && !err; i++) {
		const struct timer *timer = &evidence->list.items[i];
		if (timer->pending && is_far(analysis, timer) && is_forgotten(analysis, timer) &&
			!hw_vector_push(&forgotten, *timer))
			err = error_no_memory();
	}
	if (!err && forgotten.count)
		qsort(forgotten.items, forgotten.count, sizeof(*forgotten.items), timer_compare);
	for (size_t first = 0, next; first < forgotten.count && !err; first = next) {
		for (next = first + 1; next < forgotten.count; next++)
			if (!same_kind(&forgotten.items[first], &forgotten.items[next]))
				break;
		struct pile pile = {&forgotten.items[first], next - first};
		if (pile.count >= BIG_TIMERS_MIN)
			err = pile_report(run, &pile);
	}
	hw_vector_deinit(&forgotten);
	return err;
}
