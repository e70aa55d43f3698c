// The comparison for programs (docs/diff.md). Findings look like those of a report.
#include "diff/diff.h"
#include "output/findings_json.h"
#include "output/json.h"

static json_t *look_json(const struct report *report)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kind",
		report->target_kind, "pid", report->pid, "exe", report->exe, "go_version",
		report->go_version, "build_id", report->build_id, "resident_bytes",
		json_u64(report->resident_bytes), "live_bytes", json_u64(report->heap.live_bytes),
		"live_objects", json_u64(report->heap.live_objects), "goroutines",
		json_u64(report->goroutine_count));
}

static json_t *table_json(const struct diff_table *table)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < table->count; i++) {
		const struct diff_row *row = &table->rows[i];
		list = json_array_with(
			list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", row->name,
				      "detail", row->detail, "old_bytes", json_u64(row->old_bytes),
				      "new_bytes", json_u64(row->new_bytes), "growth_bytes",
				      json_integer((json_int_t)(row->new_bytes - row->old_bytes)),
				      "old_count", json_u64(row->old_count), "new_count",
				      json_u64(row->new_count)));
	}
	return list;
}

struct error *diff_json(const struct diff *diff, struct text *text)
{
	json_t *root = json_pack(
		"{s:i, s:i, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", 1,
		"looks", (int)diff->looks, "old", look_json(diff->old), "new", look_json(diff->new),
		"same_run", diff->same_run, "elapsed_ns", json_u64(diff->elapsed_ns), "findings",
		findings_json(diff->findings, diff->finding_count), "finding_bytes",
		json_u64(diff->finding_bytes), "types", table_json(&diff->tables[DIFF_TYPES]),
		"holders", table_json(&diff->tables[DIFF_HOLDERS]), "goroutines",
		table_json(&diff->tables[DIFF_GOROUTINES]), "ledger",
		table_json(&diff->tables[DIFF_ACCOUNTS]), "findings_of_each",
		table_json(&diff->tables[DIFF_FINDINGS]));

	return json_print(root, text);
}
