// What changed between looks at a program: what grew, what appeared, who holds it.
//
// Plain data like a report (output/report.h): clean strings, everything in one arena, nothing that refers to the
// snapshots. Lists are sorted by growth, the largest first; what shrank comes last. The tables compare the first look
// with the last one; the findings take all into account.
//
//	struct diff *diff;
//	struct error *err = diff_build(snapshots, count, &diff);   // oldest first; ERROR_USAGE: not comparable
//	err = diff_text(diff, &style, &text);
//	diff_destroy(diff);
#ifndef DIFF_DIFF_H
#define DIFF_DIFF_H

#include "base/error.h"
#include "base/text.h"
#include "output/report.h"
#include "output/snapshot.h"
#include "output/style.h"

// Something that is there in either look or in both: a type, a holder, goroutines of one kind, an account, a finding.
struct diff_row {
	const char *name;
	const char *detail; // of goroutines their state, of a finding its type; else ""
	uint64_t old_bytes, new_bytes;
	uint64_t old_count, new_count; // objects, goroutines
};

struct diff_table {
	struct diff_row *rows;
	uint32_t count;
};

enum diff_subject {
	DIFF_TYPES,
	DIFF_HOLDERS,
	DIFF_GOROUTINES,
	DIFF_ACCOUNTS,
	DIFF_FINDINGS, // of each look for itself
	DIFF_SUBJECTS,
};

struct diff {
	struct hw_arena arena;
	uint32_t looks;
	struct report *old, *new; // what was compared
	bool same_run;            // of one process: else there are no findings
	uint64_t elapsed_ns;      // between the first and the last; 0: unknown
	struct diff_table tables[DIFF_SUBJECTS];
	struct report_finding *findings; // of the rules that need several looks
	uint32_t finding_count;
	uint64_t finding_bytes;
};

struct error *diff_build(struct snapshot *const *snapshots, uint32_t count, struct diff **out);
void diff_destroy(struct diff *diff); // accepts NULL

// Bytes of the findings, and those by which findings of single looks grew.
uint64_t diff_held_for_nothing(const struct diff *diff);

struct error *diff_text(const struct diff *diff, const struct style *style, struct text *text);
struct error *diff_json(const struct diff *diff, struct text *text);

#endif
