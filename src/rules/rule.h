// What is held for nothing: the rules, and what they find.
//
// A rule looks at an analysed program for one kind of memory that nobody needs and says who holds it, how many bytes
// the remedy gives back, and what the remedy is. To add one: write src/rules/NAME.c with a check function, declare it
// below, add a row to the table in rules.c, the file to meson.build, a section to docs/rules.md and a leaking program
// with its cured twin to corpus/.
//
//	struct findings *findings;
//	struct error *err = rules_run(analysis, ledger, &findings);   // before the target is released
//	for (size_t i = 0; i < findings->list.count; i++)
//		use(&findings->list.items[i]);
//	findings_destroy(findings);
//
// A healthy program has no findings: a rule that is not sure keeps silent.
#ifndef RULES_RULE_H
#define RULES_RULE_H

#include "goruntime/allocation_sites.h"
#include "graph/analysis.h"
#include "heapwhy/arena.h"
#include "heapwhy/vector.h"
#include "ledger/ledger.h"
#include "ledger/windows.h"

struct goroutine_evidence;
struct waste;
struct rule_run;
struct timer_evidence;

struct rule {
	const char *name;    // "goroutine-leak"
	const char *account; // of the ledger: where the bytes are
	uint64_t least;      // bytes; what is smaller is not worth a word
	struct error *(*check)(struct rule_run *run);
	const char *summary; // what it finds, a line
};

// One cause. Strings live as long as the findings; they may contain bytes of the target and have to be cleaned before
// they are printed.
struct finding {
	const struct rule *rule; // set by finding_add
	uint64_t bytes;          // held for nothing: slot bytes of the heap, pages, or stacks
	uint64_t objects;        // so many objects (goroutines, timers, ...) are the cause
	const char *type;        // of the objects, as Go writes it; "" when unknown
	bool proven;             // false: suspected, the sentence says by what
	const char *what;        // a sentence: what is held, and why that is for nothing
	const char *remedy;      // a sentence: what to do
	uint64_t remedy_bytes;   // what that gives back
	const char *condition;   // the versions of Go or settings it depends on; "" for all
	node_id subject; // an object, holder or group of holders that stands for all of them: its path from a
		// root is shown, and where it was allocated; NODE_NONE when there is none
	uint32_t goroutine;       // whose stack is shown; UINT32_MAX: none's
	uint64_t longest_wait_ns; // of the goroutines that it is about; 0 when unknown
};

struct findings {
	struct hw_arena arena;
	HW_VECTOR(struct finding) list; // by bytes, largest first
	uint64_t bytes;                 // of all of them
	struct allocation_sites *sites; // where objects were allocated
	uint64_t left_out;              // small ones beyond FINDINGS_MAX
};

enum { FINDINGS_MAX = 1000 };

// What a rule is given.
struct rule_run {
	struct analysis *analysis; // the target can still be read, and paths are prepared
	const struct ledger *ledger;
	const struct windows *windows;         // the ledger's
	struct findings *findings;             // rules add by finding_add() only
	const struct rule *rule;               // the one that is being asked
	struct goroutine_evidence *goroutines; // NULL until a rule asks (goroutines.h)
	struct timer_evidence *timers;         // the same (timers.h)
	struct waste *waste;                   // the same (waste.h)
};

// Adds a copy of the finding, unless it is smaller than its rule's least. Ones that hold most are kept.
struct error *finding_add(struct rule_run *run, const struct finding *finding);

// A string in the findings' memory; NULL when out of memory, which finding_add() reports.
const char *finding_text(struct rule_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Asks every rule. Needs dominators, and the target.
struct error *rules_run(
	struct analysis *analysis, const struct ledger *ledger, struct findings **out);
void findings_destroy(struct findings *findings); // accepts NULL

// The table, ended by a row without a name.
extern const struct rule rules[];

struct error *rule_cgo_held(struct rule_run *run);
struct error *rule_channel_backlog(struct rule_run *run);
struct error *rule_closure_capture(struct rule_run *run);
struct error *rule_context_children(struct rule_run *run);
struct error *rule_duplicate_strings(struct rule_run *run);
struct error *rule_finalizer_backlog(struct rule_run *run);
struct error *rule_finalizer_cycle(struct rule_run *run);
struct error *rule_goroutine_leak(struct rule_run *run);
struct error *rule_goroutine_pileup(struct rule_run *run);
struct error *rule_idle_not_returned(struct rule_run *run);
struct error *rule_map_residue(struct rule_run *run);
struct error *rule_pool_bloat(struct rule_run *run);
struct error *rule_removed_list_element(struct rule_run *run);
struct error *rule_span_fragmentation(struct rule_run *run);
struct error *rule_spare_capacity(struct rule_run *run);
struct error *rule_subslice_pin(struct rule_run *run);
struct error *rule_sync_map_residue(struct rule_run *run);
struct error *rule_timer_pileup(struct rule_run *run);

#endif
