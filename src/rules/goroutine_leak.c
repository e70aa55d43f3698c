// goroutine-leak: goroutines that wait for something that nobody can ever give them (wakeable.h has the proof).
//
// Loops round a ticker and a channel that nobody else has are told here as well, as suspects: the ticker wakes them, and
// nobody can end them. A few such loops are how programs are written that do something for as long as they run.
//
// They are told by groups of the same stack and creator. What a group keeps is what can be reached from its leaked
// goroutines and from nothing that lives; what two groups keep together is counted for the larger one, once.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/positions.h"
#include "rules/goroutines.h"

enum { LOOPS_MIN = 4 }; // of the same stack and creator

// The goroutines of one holder that sleep for ever, or in a loop.
struct group {
	uint32_t holder;
	uint32_t first, count; // in groups.members
	uint64_t bytes;        // of their stacks; in loops, of their objects as well
	uint64_t longest_wait_ns;
};

struct groups {
	struct group *list; // one a holder, those without such goroutines at the end
	uint32_t *members;
};

static void groups_deinit(struct groups *groups)
{
	free(groups->list);
	free(groups->members);
}

static int group_compare(const void *a, const void *b)
{
	const struct group *one = a, *other = b;

	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return one->holder < other->holder ? -1 : one->holder > other->holder;
}

static void group_add(const struct analysis *analysis, struct groups *groups, uint32_t index,
	const struct goroutine_state *state)
{
	const struct goroutine *goroutine = &analysis->goroutines->goroutines[index];
	struct group *group = &groups->list[analysis->goroutine_holders[index]];

	groups->members[group->first + group->count++] = index;
	group->bytes += goroutine->stack_high - goroutine->stack_low + state->loop_bytes;
	if (goroutine->wait_ns > group->longest_wait_ns)
		group->longest_wait_ns = goroutine->wait_ns;
}

static struct error *groups_make(const struct analysis *analysis,
	const struct goroutine_state *states, enum sleep sleep, struct groups *groups)
{
	uint32_t goroutines = analysis->goroutines->count, first = 0;

	groups->list = calloc((size_t)analysis->holder_count + 1, sizeof(*groups->list));
	groups->members = calloc((size_t)goroutines + 1, sizeof(*groups->members));
	if (!groups->list || !groups->members)
		return error_no_memory();
	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		groups->list[i].holder = i;
		groups->list[i].first = first;
		first += analysis->holders[i].goroutines;
	}
	for (uint32_t i = 0; i < goroutines; i++)
		if (states[i].sleep == sleep)
			group_add(analysis, groups, i, &states[i]);
	qsort(groups->list, analysis->holder_count, sizeof(*groups->list), group_compare);
	return NULL;
}

// Adds what the group's goroutines keep to its bytes.
static struct error *group_walk(
	const struct goroutine_evidence *evidence, struct group *group, const uint32_t *members)
{
	uint64_t before = graph_walk_bytes(evidence->others);
	struct error *err = NULL;

	for (uint32_t i = 0; i < group->count && !err; i++)
		err = goroutine_walk(evidence, members[i]);
	group->bytes += graph_walk_bytes(evidence->others) - before;
	return err;
}

static const char *group_sentence(
	struct rule_run *run, const struct group *group, uint32_t example, bool proven)
{
	const struct goroutine_list *list = run->analysis->goroutines;
	const char *function = goroutine_function(list, example);
	bool many = group->count > 1;
	char count[24];

	format_count(count, sizeof(count), group->count);
	if (!proven)
		return finding_text(run,
			"%s goroutines go round in %s at the beat of a timer, and the channel that "
			"would "
			"end them is known to nobody else",
			count, function);
	return finding_text(run,
		"%s goroutine%s will wait for ever in %s (%s): nobody can reach what %s for", count,
		many ? "s" : "", function, list->goroutines[example].wait_reason,
		many ? "they wait" : "it waits");
}

// What ends such a wait, by Go's words for it (runtime2.go, waitReasonStrings).
static const struct {
	const char *reason, *remedy;
} remedies[] = {
	{"chan send", "give the channel room for the one answer, or let a select also wait for a "
		      "context that "
		      "ends"},
	{"chan receive", "close the channel when nothing more will come, or let a select also wait "
			 "for a context "
			 "that ends"},
	{"select", "let whoever starts them also end them: close the channel, cancel the context"},
	{"chan send (nil chan)", "make the channel before it is used; a nil one blocks for ever"},
	{"chan receive (nil chan)",
		"make the channel before it is used; a nil one blocks for ever"},
	{"select (no cases)", "let it wait for something that ends: a channel, a context"},
	{"sync.Mutex.Lock", "unlock on every way out: defer mutex.Unlock()"},
	{"sync.RWMutex.Lock", "unlock on every way out: defer mutex.Unlock()"},
	{"sync.RWMutex.RLock", "unlock on every way out: defer mutex.Unlock()"},
	{"sync.WaitGroup.Wait", "call Done for every Add, on every way out: defer group.Done()"},
	{"semacquire", "unlock, or call Done for every Add, on every way out: with defer"},
	{"coroutine",
		"call the stop function that iter.Pull returned, on every way out: defer stop()"},
	{"sync.Cond.Wait",
		"Broadcast after the last change too, and let the condition say that it is over"},
};

static const char *remedy_for(const char *reason)
{
	for (size_t i = 0; i < ARRAY_COUNT(remedies); i++)
		if (!strcmp(reason, remedies[i].reason))
			return remedies[i].remedy;
	return "let whoever starts them also end them";
}

static struct error *group_report(
	struct rule_run *run, const struct group *group, uint32_t example, bool proven)
{
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = "",
		.proven = proven,
		.what = group_sentence(run, group, example, proven),
		.remedy = remedy_for(run->analysis->goroutines->goroutines[example].wait_reason),
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = run->analysis->holders[group->holder].node,
		.goroutine = example,
		.longest_wait_ns = group->longest_wait_ns,
	};

	return finding_add(run, &finding);
}

static struct error *sleepers_report(struct rule_run *run,
	const struct goroutine_evidence *evidence, enum sleep sleep, uint32_t least)
{
	_cleanup_(groups_deinit) struct groups groups = {0};
	bool proven = sleep == SLEEP_FOREVER;
	struct error *err = groups_make(run->analysis, evidence->states, sleep, &groups);

	for (uint32_t i = 0; !err && i < run->analysis->holder_count; i++) {
		struct group *group = &groups.list[i];
		const uint32_t *members = groups.members + group->first;
		if (group->count < least)
			break;
		if (proven)
			err = group_walk(evidence, group, members);
		if (!err)
			err = group_report(run, group, members[0], proven);
	}
	return err;
}

struct error *rule_goroutine_leak(struct rule_run *run)
{
	struct goroutine_evidence *evidence;
	struct error *err = goroutine_evidence(run, &evidence);

	if (!err && evidence->forever)
		err = sleepers_report(run, evidence, SLEEP_FOREVER, 1);
	if (!err && evidence->in_loop)
		err = sleepers_report(run, evidence, SLEEP_IN_LOOP, LOOPS_MIN);
	return err;
}
