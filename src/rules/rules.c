// The table of rules, and how findings are collected.
#include "rules/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "rules/goroutines.h"
#include "rules/timers.h"
#include "rules/waste.h"

// Their order decides nothing but who is asked first.
const struct rule rules[] = {
	{"cgo-held", "C heap", 64 * MIB, rule_cgo_held,
		"memory of C, where Go's collector frees nothing"},
	{"channel-backlog", "viewed", MIB, rule_channel_backlog,
		"elements in channels that nobody is there to receive"},
	{"closure-capture", "viewed", 256 * KIB, rule_closure_capture,
		"func values that keep much more than they look at"},
	{"context-children", "viewed", 64 * KIB, rule_context_children,
		"contexts that were never cancelled and only their parent knows"},
	{"duplicate-strings", "viewed", MIB, rule_duplicate_strings,
		"the same text in memory many times over"},
	{"finalizer-backlog", "viewed", 64 * KIB, rule_finalizer_backlog,
		"finalizers that are due and do not get their turn"},
	{"finalizer-cycle", "viewed", 64 * KIB, rule_finalizer_cycle,
		"objects that their own finalizers keep"},
	{"goroutine-leak", "stacks", 8 * KIB, rule_goroutine_leak,
		"goroutines that nothing can ever wake"},
	{"goroutine-pileup", "stacks", MIB, rule_goroutine_pileup,
		"many goroutines that stand at one place for long"},
	{"idle-not-returned", "idle spans", 64 * MIB, rule_idle_not_returned,
		"free pages of the heap that were not given back to the kernel"},
	{"map-residue", "slack", 128 * KIB, rule_map_residue, "maps that were big once"},
	{"pool-bloat", "spare", MIB, rule_pool_bloat,
		"buffers that grew large for once and wait in a sync.Pool"},
	{"removed-list-element", "viewed", 64 * KIB, rule_removed_list_element,
		"values kept by elements that their list knows no longer"},
	{"span-fragmentation", "free slots", 8 * MIB, rule_span_fragmentation,
		"spans that a few objects keep, after a burst"},
	{"spare-capacity", "spare", MIB, rule_spare_capacity,
		"room and old contents between the lengths of slices and their capacities"},
	{"subslice-pin", "pinned", 256 * KIB, rule_subslice_pin,
		"arrays and strings kept whole by slices and strings that show a small part"},
	{"sync-map-residue", "viewed", 64 * KIB, rule_sync_map_residue,
		"deleted keys that a sync.Map still holds, up to go 1.23"},
	{"timer-pileup", "viewed", 64 * KIB, rule_timer_pileup,
		"timers that nobody can stop any more"},
	{0},
};

// What the report, sorted by bytes, shows first is kept; one that has to go is the smallest.
static struct finding *finding_place(struct findings *findings, uint64_t bytes)
{
	if (findings->list.count < FINDINGS_MAX)
		return hw_vector_push(&findings->list, (struct finding){0})
			       ? &findings->list.items[findings->list.count - 1]
			       : NULL;
	struct finding *smallest = findings->list.items;
	for (size_t i = 1; i < findings->list.count; i++)
		if (findings->list.items[i].bytes < smallest->bytes)
			smallest = &findings->list.items[i];
	findings->left_out++;
	findings->bytes -= smallest->bytes;
	return smallest;
}

struct error *finding_add(struct rule_run *run, const struct finding *finding)
{
	struct findings *findings = run->findings;

	if (!finding->type || !finding->what || !finding->remedy || !finding->condition)
		return error_no_memory();
	if (finding->bytes < run->rule->least || !finding->bytes)
		return NULL;
	struct finding *place = finding_place(findings, finding->bytes);
	if (!place)
		return error_no_memory();
	*place = *finding;
	place->rule = run->rule;
	findings->bytes += finding->bytes;
	return NULL;
}

const char *finding_text(struct rule_run *run, const char *format, ...)
{
	va_list arguments;
	char *string;

	va_start(arguments, format);
	int length = vasprintf(&string, format, arguments);
	va_end(arguments);
	if (length < 0)
		return NULL;
	const char *kept = hw_arena_strndup(&run->findings->arena, string, (size_t)length);
	free(string);
	return kept;
}

static int finding_compare(const void *a, const void *b)
{
	const struct finding *one = a, *other = b;

	if (one->bytes != other->bytes)
		return one->bytes < other->bytes ? 1 : -1;
	return strcmp(one->rule->name, other->rule->name);
}

static struct error *rules_ask(struct rule_run *run)
{
	for (const struct rule *rule = rules; rule->name; rule++) {
		uint64_t before = clock_ns();
		run->rule = rule;
		struct error *err = cancel_requested() ? error_cancelled() : rule->check(run);
		if (err)
			return err;
		log_remark("rule %s: %.1f ms", rule->name, (double)(clock_ns() - before) / 1e6);
	}
	return NULL;
}

struct error *rules_run(
	struct analysis *analysis, const struct ledger *ledger, struct findings **out)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	struct rule_run run = {.analysis = analysis,
		.ledger = ledger,
		.windows = ledger->windows,
		.findings = findings};

	if (!findings)
		return error_no_memory();
	hw_arena_init(&findings->arena, 0);
	struct error *err = allocation_sites_open(analysis->heap, &findings->sites);
	if (!err)
		err = rules_ask(&run);
	goroutine_evidence_destroy(run.goroutines);
	timer_evidence_destroy(run.timers);
	waste_destroy(run.waste);
	if (err) {
		findings_destroy(findings);
		return err;
	}
	if (findings->list.count)
		qsort(findings->list.items, findings->list.count, sizeof(*findings->list.items),
			finding_compare);
	*out = findings;
	return NULL;
}

void findings_destroy(struct findings *findings)
{
	if (!findings)
		return;
	allocation_sites_close(findings->sites);
	hw_vector_deinit(&findings->list);
	hw_arena_deinit(&findings->arena);
	free(findings);
}
