// goroutine-pileup: many goroutines that have been standing at one place for long, and may yet be woken.
//
// One snapshot cannot tell a pool of idle workers from workers that are stuck, and idle connections wait by the
// thousand. So two kinds are suspected:
//
//   - those that wait to get rid of something or to get a lock for minutes: nobody does that on purpose;
//   - those that wait for one thing at which nobody else is to be seen (sight.h), however short: there is nobody whose
//     turn it could be. Of receivers it takes more, for work may come from where there is none yet: no function but their own
//     may refer to the channel's variable. None counts whose channel has no room in its elements for anything: such is
//     made to be closed one day.
//
// What can be proved is told by goroutine-leak.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "debuginfo/pclntab.h"
#include "goruntime/channel_visitors.h"
#include "goruntime/positions.h"
#include "rules/goroutines.h"
#include "rules/sight.h"

#define SECOND_NS UINT64_C(1000000000)

// So many at one place, each waiting for so long.
static const struct {
	uint32_t goroutines;
	uint64_t wait_ns;
} thresholds[] = {
	{100, 300 * SECOND_NS},
	{1000, 30 * SECOND_NS},
	{10000, 5 * SECOND_NS},
};

// `alone`: so many that wait for this are suspected when nobody else is to be seen; `long_too`: also by how long.
static const struct {
	const char *reason;
	uint32_t alone;
	bool long_too;
} reasons[] = {
	{"chan send", 100, true},
	{"sync.Mutex.Lock", 100, true},
	{"sync.RWMutex.Lock", 100, true},
	{"sync.RWMutex.RLock", 100, true},
	{"semacquire", 100, false}, // locks up to 1.19, wait groups up to 1.24
	{"chan receive", 1000, false},
	{"sync.WaitGroup.Wait", 1000, false},
	{"sync.Cond.Wait", 1000, false},
};

// The goroutines of one holder, which all have one stack and so one reason to wait.
struct crowd {
	uint32_t count;
	uint32_t long_enough[ARRAY_COUNT(thresholds)];
	uint64_t stack_bytes;
	bool leaked;        // told elsewhere
	bool many;          // they wait for several things each, or for different ones
	object_id object;   // what they wait for; OBJECT_NONE: a lock in a global variable
	remote_addr global; // that lock; 0: unknown
};

struct crowds {
	struct rule_run *run;
	struct crowd *of;                           // by holder
	struct sight *sights[ARRAY_COUNT(reasons)]; // made when first asked for
};

static void crowds_deinit(struct crowds *crowds)
{
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
		sight_destroy(crowds->sights[i]);
	free(crowds->of);
}

// Its index in reasons[]; their number when it waits for something else.
static size_t reason_of(const struct goroutine *goroutine)
{
	size_t i = 0;

	if (goroutine->status != GOROUTINE_WAITING)
		return ARRAY_COUNT(reasons);
	while (i < ARRAY_COUNT(reasons) && strcmp(goroutine->wait_reason, reasons[i].reason) != 0)
		i++;
	return i;
}

static bool is_receive(size_t reason)
{
	return !strcmp(reasons[reason].reason, "chan receive");
}

static void crowd_add(struct crowd *crowd, const struct goroutine *goroutine,
	const struct goroutine_evidence *evidence, uint32_t index)
{
	const struct wait *wait = &evidence->waits.of[index];
	object_id object =
		wait->count == 1 ? evidence->waits.on.items[wait->first].object : OBJECT_NONE;

	if (!crowd->count++) {
		crowd->object = object;
		crowd->global = wait->global;
	}
	crowd->many |= wait->count > 1 || object != crowd->object || wait->global != crowd->global;
	for (size_t i = 0; i < ARRAY_COUNT(thresholds); i++)
		crowd->long_enough[i] += goroutine->wait_ns >= thresholds[i].wait_ns;
	crowd->stack_bytes += goroutine->stack_high - goroutine->stack_low;
	crowd->leaked |= evidence->states[index].sleep != SLEEP_ENDS;
}

static bool is_long(const struct crowd *crowd)
{
	for (size_t i = 0; i < ARRAY_COUNT(thresholds); i++)
		if (crowd->long_enough[i] >= thresholds[i].goroutines)
			return true;
	return false;
}

// Is the function one that the goroutine is in, or that has started it?
static bool is_own(const struct analysis *analysis, uint32_t index, remote_addr entry)
{
	const struct goroutine_list *list = analysis->goroutines;
	const struct goroutine *goroutine = &list->goroutines[index];
	const struct pclntab *table = analysis->runtime->modules[0].pclntab;
	struct pcln_function function;

	if (pclntab_find(table, goroutine->created_at, &function) && function.entry == entry)
		return true;
	for (uint32_t f = 0; f < goroutine->frame_count; f++) {
		const struct frame *frame = &list->frames[goroutine->first_frame + f];
		if (!frame->module && pclntab_function(table, frame->function, &function) &&
			function.entry == entry)
			return true;
	}
	return false;
}

// May work come from a function that refers to the variable of the channel that goroutines like this one receive from?
static struct error *work_look(const struct analysis *analysis, const struct sight *sight,
	object_id channel, uint32_t goroutine, bool *comes)
{
	_cleanup_(channel_visitors_deinit) struct channel_visitors visitors = {0};
	struct error *err =
		channel_visitors_find(analysis->typing, sight_variable(sight, channel), &visitors);

	if (err)
		return err;
	for (size_t i = 0; i < visitors.functions.count && !*comes; i++)
		*comes = !is_own(analysis, goroutine, visitors.functions.items[i]);
	return NULL;
}

// Whether anybody is to be seen at what they wait for; of receivers also by their variable.
static struct error *crowd_look(struct crowds *crowds, const struct crowd *crowd, size_t reason,
	uint32_t goroutine, bool *seen)
{
	struct sight **sight = &crowds->sights[reason];
	struct error *err =
		*sight ? NULL : sight_create(crowds->run, reasons[reason].reason, sight);

	if (!err && crowd->object == OBJECT_NONE)
		*seen = sight_of_global(*sight, crowd->global);
	else if (!err)
		*seen = is_receive(reason) ? sight_of_object(*sight, crowd->object)
					   : sight_of_object_ahead(*sight, crowd->object);
	if (!err && !*seen && is_receive(reason) && crowd->object != OBJECT_NONE)
		err = work_look(crowds->run->analysis, *sight, crowd->object, goroutine, seen);
	return err;
}

static bool is_broadcast(const struct analysis *analysis, const struct crowd *crowd, size_t reason)
{
	int elem_size_at = analysis->runtime->layout.at.hchan_elemsize;
	uint16_t elem_size = 0;

	return is_receive(reason) && crowd->object != OBJECT_NONE &&
	       memory_read(&analysis->runtime->memory,
		       heap_address(analysis->heap, crowd->object) + (uint32_t)elem_size_at,
		       &elem_size, sizeof(elem_size)) &&
	       !elem_size;
}

static struct error *crowd_report(
	struct rule_run *run, const struct crowd *crowd, const struct holder *holder, bool alone)
{
	const struct analysis *analysis = run->analysis;
	const struct goroutine *first = &analysis->goroutines->goroutines[holder->first_goroutine];
	uint64_t bytes = crowd->stack_bytes + graph_retained(analysis->graph, holder->node);
	char count[24], longest[24];
	struct finding finding = {
		.bytes = bytes,
		.objects = holder->goroutines,
		.type = "",
		.proven = false,
		.what = finding_text(run, "%s goroutines stand in %s (%s), the longest for %s%s",
			format_count(count, sizeof(count), holder->goroutines),
			goroutine_function(analysis->goroutines, holder->first_goroutine),
			first->wait_reason,
			format_duration(longest, sizeof(longest), holder->longest_wait_ns),
			alone ? ", and nobody else is to be seen at what they wait for" : ""),
		.remedy =
			"find out why nobody receives or sends, or who has the lock, and start no "
			"more of them than can be served",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = holder->node,
		.goroutine = holder->first_goroutine,
		.longest_wait_ns = holder->longest_wait_ns,
	};

	return finding_add(run, &finding);
}

static struct error *crowd_judge(struct crowds *crowds, uint32_t index)
{
	const struct analysis *analysis = crowds->run->analysis;
	const struct crowd *crowd = &crowds->of[index];
	const struct holder *holder = &analysis->holders[index];

	if (!crowd->count || crowd->leaked)
		return NULL;
	size_t reason = reason_of(&analysis->goroutines->goroutines[holder->first_goroutine]);
	if (reason == ARRAY_COUNT(reasons))
		return NULL;
	if (reasons[reason].long_too && is_long(crowd))
		return crowd_report(crowds->run, crowd, holder, false);
	bool seen = true;
	struct error *err = NULL;
	if (!crowd->many && crowd->count >= reasons[reason].alone &&
		!is_broadcast(analysis, crowd, reason))
		err = crowd_look(crowds, crowd, reason, holder->first_goroutine, &seen);
	return err || seen ? err : crowd_report(crowds->run, crowd, holder, true);
}

struct error *rule_goroutine_pileup(struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	_cleanup_(crowds_deinit) struct crowds crowds = {
		.run = run, .of = calloc((size_t)analysis->holder_count + 1, sizeof(*crowds.of))};
	struct goroutine_evidence *evidence = NULL;
	struct error *err = crowds.of ? goroutine_evidence(run, &evidence) : error_no_memory();

	for (uint32_t i = 0; i < analysis->goroutines->count && !err; i++) {
		const struct goroutine *goroutine = &analysis->goroutines->goroutines[i];
		if (reason_of(goroutine) < ARRAY_COUNT(reasons))
			crowd_add(
				&crowds.of[analysis->goroutine_holders[i]], goroutine, evidence, i);
	}
	for (uint32_t i = 0; i < analysis->holder_count && !err; i++)
		err = crowd_judge(&crowds, i);
	return err;
}
