// goroutine-pileup: many goroutines that have been standing at one place for long, and may yet be woken.
//
// One snapshot cannot tell a pool of idle workers from workers that are stuck, and idle connections wait by the
// thousand. So only those are suspected that wait to get rid of something or to get a lock: nobody does that for
// minutes on purpose. What can be proved is told by goroutine-leak.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/positions.h"
#include "rules/goroutines.h"

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

static const char *const reasons[] = {
	"chan send", "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"};

// The goroutines of one holder that have waited for long enough.
struct crowd {
	uint32_t long_enough[ARRAY_COUNT(thresholds)];
	uint64_t stack_bytes;
	bool leaked; // told elsewhere
};

static bool waits_to_get_rid(const struct goroutine *goroutine)
{
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
		if (!strcmp(goroutine->wait_reason, reasons[i]))
			return true;
	return false;
}

static bool is_pileup(const struct crowd *crowd)
{
	for (size_t i = 0; i < ARRAY_COUNT(thresholds); i++)
		if (crowd->long_enough[i] >= thresholds[i].goroutines)
			return !crowd->leaked;
	return false;
}

static void crowd_add(struct crowd *crowd, const struct goroutine *goroutine, bool leaked)
{
	for (size_t i = 0; i < ARRAY_COUNT(thresholds); i++)
		crowd->long_enough[i] += goroutine->wait_ns >= thresholds[i].wait_ns;
	crowd->stack_bytes += goroutine->stack_high - goroutine->stack_low;
	crowd->leaked |= leaked;
}

static struct error *crowd_report(
	struct rule_run *run, const struct crowd *crowd, const struct holder *holder)
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
		.what = finding_text(run, "%s goroutines stand in %s (%s), the longest for %s",
			format_count(count, sizeof(count), holder->goroutines),
			goroutine_function(analysis->goroutines, holder->first_goroutine),
			first->wait_reason,
			format_duration(longest, sizeof(longest), holder->longest_wait_ns)),
		.remedy = "find out why nobody receives, or who has the lock, and start no more of "
			  "them than can be "
			  "served",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = holder->node,
		.goroutine = holder->first_goroutine,
		.longest_wait_ns = holder->longest_wait_ns,
	};

	return finding_add(run, &finding);
}

struct error *rule_goroutine_pileup(struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	_cleanup_free_ struct crowd *crowds =
		calloc((size_t)analysis->holder_count + 1, sizeof(*crowds));
	struct goroutine_evidence *evidence;
	struct error *err = crowds ? goroutine_evidence(run, &evidence) : error_no_memory();

	for (uint32_t i = 0; i < analysis->goroutines->count && !err; i++) {
		const struct goroutine *goroutine = &analysis->goroutines->goroutines[i];
		if (waits_to_get_rid(goroutine))
			crowd_add(&crowds[analysis->goroutine_holders[i]], goroutine,
				evidence->states[i].sleep != SLEEP_ENDS);
	}
	for (uint32_t i = 0; i < analysis->holder_count && !err; i++)
		if (is_pileup(&crowds[i]))
			err = crowd_report(run, &crowds[i], &analysis->holders[i]);
	return err;
}
