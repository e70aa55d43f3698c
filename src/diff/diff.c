// Are the looks comparable, what do their reports say side by side, and what do the rules say of all. See diff.h.
#include "diff/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "diff/growth.h"
#include "heapwhy/vector.h"
#include "output/clean.h"
#include "output/frames.h"

// A line of a report, as it is compared: lines of the same name and detail are one.
struct side {
	const char *name, *detail;
	uint64_t bytes, count;
	bool is_new;
};

struct sides {
	struct hw_arena *arena;
	HW_VECTOR(struct side) list;
	bool is_new; // those that are being added
	bool failed;
};

static void side_add(
	struct sides *sides, const char *name, const char *detail, uint64_t bytes, uint64_t count)
{
	struct side side = {name, detail, bytes, count, sides->is_new};

	sides->failed |= !name || !hw_vector_push(&sides->list, side);
}

static void types_add(struct sides *sides, const struct report *report)
{
	for (uint32_t i = 0; i < report->type_count; i++)
		side_add(sides, report->types[i].name, "", report->types[i].bytes,
			report->types[i].objects);
}

// Numbers and ids in the names of goroutines and shared objects are other ones each time.
static const char *holder_key(struct sides *sides, const struct report_holder *holder)
{
	const char *in = strstr(holder->name, " in ");
	_cleanup_text_ struct text key = TEXT_INIT;

	if (holder->shared)
		text_printf(&key, "shared %s", holder->type);
	else if (!strcmp(holder->kind, "goroutine") && in)
		text_printf(&key, "goroutines%s", in);
	else
		return holder->name;
	return key.failed ? NULL : clean_string(sides->arena, key.bytes);
}

static void holders_add(struct sides *sides, const struct report *report)
{
	for (uint32_t i = 0; i < report->holder_count; i++) {
		const struct report_holder *holder = &report->holders[i];
		side_add(sides, holder_key(sides, holder), "", holder->retained_bytes,
			holder->objects);
	}
}

static void goroutines_add(struct sides *sides, const struct report *report)
{
	for (uint32_t i = 0; i < report->goroutines_count; i++) {
		const struct report_goroutines *group = &report->goroutines[i];
		const struct report_frame *place =
			frames_own(group->stack.frames, group->stack.count);
		_cleanup_text_ struct text name = TEXT_INIT;

		if (group->system || !place)
			continue;
		frame_append(&name, place);
		side_add(sides, name.failed ? NULL : clean_string(sides->arena, name.bytes),
			group->state, group->retained_bytes, group->count);
	}
}

static void accounts_add(struct sides *sides, const struct report *report)
{
	for (uint32_t i = 0; i < report->ledger_count; i++)
		side_add(sides, report->ledger[i].name, "", report->ledger[i].bytes, 0);
}

static void findings_add(struct sides *sides, const struct report *report)
{
	for (uint32_t i = 0; i < report->finding_count; i++) {
		const struct report_finding *finding = &report->findings[i];
		side_add(sides, finding->rule, finding->type, finding->bytes, finding->objects);
	}
}

static int compare_sides(const void *a, const void *b)
{
	const struct side *one = a, *other = b;
	int names = strcmp(one->name, other->name);

	return names ? names : strcmp(one->detail, other->detail);
}

static int64_t row_growth(const struct diff_row *row)
{
	return (int64_t)(row->new_bytes - row->old_bytes);
}

static int compare_rows(const void *a, const void *b)
{
	const struct diff_row *one = a, *other = b;
	int64_t growth = row_growth(one), others = row_growth(other);

	if (growth != others)
		return growth < others ? 1 : -1;
	return strcmp(one->name, other->name);
}

static void rows_fill(const struct sides *sides, struct diff_table *table)
{
	for (size_t i = 0; i < sides->list.count; i++) {
		const struct side *side = &sides->list.items[i];
		if (!i || compare_sides(&side[-1], side))
			table->rows[table->count++] =
				(struct diff_row){.name = side->name, .detail = side->detail};
		struct diff_row *row = &table->rows[table->count - 1];
		*(side->is_new ? &row->new_bytes : &row->old_bytes) += side->bytes;
		*(side->is_new ? &row->new_count : &row->old_count) += side->count;
	}
}

static struct error *table_build(struct diff *diff,
	void (*add)(struct sides *sides, const struct report *report), struct diff_table *table)
{
	struct sides sides = {.arena = &diff->arena};

	add(&sides, diff->old);
	sides.is_new = true;
	add(&sides, diff->new);
	table->rows = hw_arena_calloc(&diff->arena, sides.list.count + 1, sizeof(*table->rows));
	bool done = table->rows && !sides.failed;
	if (done && sides.list.count) {
		qsort(sides.list.items, sides.list.count, sizeof(*sides.list.items), compare_sides);
		rows_fill(&sides, table);
		qsort(table->rows, table->count, sizeof(*table->rows), compare_rows);
	}
	hw_vector_deinit(&sides.list);
	return done ? NULL : error_no_memory();
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

// Another build of a program may be compared with it, another program not.
static struct error *programs_check(const struct report *old, const struct report *new)
{
	bool same_build = *old->build_id && !strcmp(old->build_id, new->build_id);

	if (same_build || !strcmp(file_name(old->exe), file_name(new->exe)))
		return NULL;
	return error_create(ERROR_USAGE,
		"these are different programs, %s and %s: diff compares looks at one program",
		file_name(old->exe), file_name(new->exe));
}

static bool runs_same(const struct report *old, const struct report *new)
{
	return old->run_id ? old->run_id == new->run_id
			   : !new->run_id && old->pid && old->pid == new->pid &&
				     !strcmp(old->build_id, new->build_id);
}

// The first and the last report are kept.
static struct error *reports_read(
	struct diff *diff, struct snapshot *const *snapshots, uint64_t *clocks)
{
	for (uint32_t i = 0; i < diff->looks; i++) {
		struct report *report;
		struct error *err = snapshot_report(snapshots[i], &report);

		if (err)
			return err;
		clocks[i] = report->clock_ns;
		if (!i)
			diff->old = report;
		else
			err = programs_check(diff->old, report);
		diff->same_run &= runs_same(diff->old, report);
		if (!err && diff->same_run && i && clocks[i] && clocks[i] < clocks[i - 1])
			err = error_create(
				ERROR_USAGE, "OLD was taken after NEW: name the oldest first");
		if (!err && i + 1 == diff->looks)
			diff->new = report;
		else if (i)
			report_destroy(report);
		if (err)
			return err;
	}
	return NULL;
}

static struct error *rules_apply(
	struct diff *diff, struct snapshot *const *snapshots, const uint64_t *clocks)
{
	struct looks looks = {snapshots, clocks, diff->looks};
	struct growth growth;
	struct error *err = NULL;

	for (uint32_t i = 0; i < diff->looks && !err; i++)
		err = snapshot_load(snapshots[i]);
	if (!err)
		err = growth_find(&looks, &diff->arena, &growth);
	if (err)
		return err;
	diff->findings =
		hw_arena_calloc(&diff->arena, growth.findings.count + 1, sizeof(*diff->findings));
	if (diff->findings && growth.findings.count) {
		memcpy(diff->findings, growth.findings.items,
			growth.findings.count * sizeof(*diff->findings));
		diff->finding_count = (uint32_t)growth.findings.count;
		diff->finding_bytes = growth.bytes;
	}
	growth_deinit(&growth);
	return diff->findings ? NULL : error_no_memory();
}

static struct error *diff_fill(struct diff *diff, struct snapshot *const *snapshots)
{
	static void (*const subjects[])(struct sides * sides, const struct report *report) = {
		[DIFF_TYPES] = types_add,
		[DIFF_HOLDERS] = holders_add,
		[DIFF_GOROUTINES] = goroutines_add,
		[DIFF_ACCOUNTS] = accounts_add,
		[DIFF_FINDINGS] = findings_add,
	};
	_cleanup_free_ uint64_t *clocks = calloc(diff->looks, sizeof(*clocks));

	if (!clocks)
		return error_no_memory();
	struct error *err = reports_read(diff, snapshots, clocks);
	for (int i = 0; i < DIFF_SUBJECTS && !err; i++)
		err = table_build(diff, subjects[i], &diff->tables[i]);
	if (err || !diff->same_run)
		return err;
	if (clocks[0] && clocks[diff->looks - 1])
		diff->elapsed_ns = clocks[diff->looks - 1] - clocks[0];
	return rules_apply(diff, snapshots, clocks);
}

struct error *diff_build(struct snapshot *const *snapshots, uint32_t count, struct diff **out)
{
	struct diff *diff = calloc(1, sizeof(*diff));

	if (!diff)
		return error_no_memory();
	hw_arena_init(&diff->arena, 0);
	diff->looks = count;
	diff->same_run = true;
	struct error *err = diff_fill(diff, snapshots);
	if (err)
		diff_destroy(diff);
	else
		*out = diff;
	return err;
}

void diff_destroy(struct diff *diff)
{
	if (!diff)
		return;
	report_destroy(diff->old);
	report_destroy(diff->new);
	hw_arena_deinit(&diff->arena);
	free(diff);
}

uint64_t diff_held_for_nothing(const struct diff *diff)
{
	const struct diff_table *findings = &diff->tables[DIFF_FINDINGS];
	uint64_t bytes = diff->finding_bytes;

	for (uint32_t i = 0; i < findings->count && row_growth(&findings->rows[i]) > 0; i++)
		bytes += (uint64_t)row_growth(&findings->rows[i]);
	return bytes;
}
