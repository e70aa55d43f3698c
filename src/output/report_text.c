// The report for people. From top to bottom in the order of the questions that somebody has who was
// woken by it: which process is this, how bad is it, who is it, who else, what is it made of, which
// goroutines, can I believe this.
#include "output/report_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "output/findings_text.h"
#include "output/frames.h"
#include "output/names.h"
#include "output/table.h"

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *bytes_text(char *buffer, uint64_t bytes)
{
	return format_bytes(buffer, 24, bytes);
}

static const char *count_text(char *buffer, uint64_t count)
{
	return format_count(buffer, 24, count);
}

// Whether row number `row` of a table, worth `bytes`, is worth a line: what is less than a thousandth of the live heap
// only makes it harder to see what matters. A few rows are always there.
static bool row_matters(
	const struct report *report, const struct style *style, uint32_t row, uint64_t bytes)
{
	if (row >= style->top)
		return false;
	return style->everything || row < 3 || bytes >= report->heap.live_bytes / 1000;
}

static void write_heading(struct text *text, const struct style *style, const char *heading)
{
	text_printf(text, "\n%s%s%s\n", style_bold(style), heading, style_reset(style));
}

static void write_target(const struct report *report, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text line = TEXT_INIT;
	const char *slash = strrchr(report->exe, '/');

	text_printf(&line, "%s%s%s", style_bold(style), slash ? slash + 1 : report->exe,
		style_reset(style));
	if (report->pid)
		text_printf(&line, ", process %d", report->pid);
	text_printf(&line, " %s %s %s %s %s ", style_dot(style), report->go_version,
		style_dot(style), report->arch, style_dot(style));
	if (report->debug_info)
		text_append(&line, "with debug information");
	else
		text_append(&line, report->stripped ? "stripped" : "no debug information");
	if (report->pie)
		text_append(&line, ", PIE");
	sentence_append(text, line.bytes, style);
	if (slash) {
		text_append(text, style_dim(style));
		name_append_cut(text, report->exe, style->width, style);
		text_printf(text, "%s\n", style_reset(style));
	}
	if (*report->notes) {
		text_append(text, style_warn(style));
		sentence_append(text, report->notes, style);
		text_append(text, style_reset(style));
	}
	if (line.failed)
		text->failed = true;
}

// The bar's pieces: the accounts in their order, each with a look of its own. What comes after the
// ones named here shares the last look.
struct look {
	const char *account, *full, *ascii, *color;
};
static const struct look looks[] = {
	{"viewed", "█", "#", "\033[32m"},
	{"pinned", "▚", "!", "\033[31m"},
	{"spare", "▞", "+", "\033[35m"},
	{"slack", "▞", "+", "\033[35m"},
	{"garbage", "▓", "%", "\033[33m"},
	{"free slots", "▒", "=", "\033[36m"},
	{"", "░", ".", "\033[2m"},
};

static const struct look *account_look(const char *account)
{
	const struct look *look = looks;

	while (*look->account && strcmp(look->account, account))
		look++;
	return look;
}

static void write_bar(const struct report *report, const struct style *style, struct text *text)
{
	unsigned width = style->width > 100 ? 60 : style->width - 40, drawn = 0;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < report->ledger_count; i++) {
		const struct look *look = account_look(report->ledger[i].name);
		sum += report->ledger[i].bytes;
		// Ends are rounded, not lengths: so the bar is as wide as it should be.
		// What a file says may add up to more than all.
		unsigned end = sum >= report->resident_bytes
				       ? width
				       : (unsigned)((double)width * (double)sum /
							    (double)report->resident_bytes +
						    0.5);
		if (style->color && end > drawn)
			text_append(text, look->color);
		for (; drawn < end; drawn++)
			text_append(text, style->utf8 ? look->full : look->ascii);
		text_append(text, style_reset(style));
	}
}

static void write_memory(const struct report *report, const struct style *style, struct text *text)
{
	char live[24], garbage[24], resident[24], buffer[24];

	text_printf(text, "\n  %s%s live%s", style_bold(style),
		bytes_text(live, report->heap.live_bytes), style_reset(style));
	text_printf(text, ", %s%s garbage%s",
		report->heap.garbage_bytes > report->heap.live_bytes ? style_warn(style) : "",
		bytes_text(garbage, report->heap.garbage_bytes), style_reset(style));
	if (report->resident_bytes)
		text_printf(text, ", %s%s resident%s\n\n  ", style_bold(style),
			bytes_text(resident, report->resident_bytes), style_reset(style));
	else
		text_append_char(text, '\n');
	if (!report->resident_bytes)
		return;
	write_bar(report, style, text);
	text_append_char(text, '\n');
	unsigned column = 0;
	for (uint32_t i = 0; i < report->ledger_count; i++) {
		const struct report_account *account = &report->ledger[i];
		const struct look *look = account_look(account->name);
		char entry[96];
		if (account->bytes < report->resident_bytes / 200)
			continue;
		int length = snprintf(entry, sizeof(entry), "%s %s %.0f%%", account->name,
			bytes_text(buffer, account->bytes),
			percent(account->bytes, report->resident_bytes));
		if (column + (unsigned)length + 4 > style->width) {
			text_append_char(text, '\n');
			column = 0;
		}
		text_printf(text, "  %s%s%s %s", style->color ? look->color : "",
			style->utf8 ? look->full : look->ascii, style_reset(style), entry);
		column += (unsigned)length + 4;
	}
	text_append_char(text, '\n');
}

// "1,000 × main.session", "[]uint8"
static void append_step_objects(
	struct text *text, const struct report_step *step, const struct style *style)
{
	char buffer[24];

	if (step->count > 1)
		text_printf(text, "%s%s %s ", count_text(buffer, step->count),
			step->at_least ? "+" : "", style_times(style));
	name_append_plain(text, step->type);
}

// The end of the path, where the bytes are: "… → .sessions 1,000 × *main.session → .body []uint8".
static void append_path(
	struct text *text, const struct report_holder *holder, const struct style *style)
{
	uint32_t shown = style->width >= 130 ? 3 : 2, left = 0;

	if (holder->held_by_count) {
		text_printf(text, "%s ", style_arrow_back(style));
		name_append_plain(text, holder->held_by[0]);
		if (holder->held_by_count + holder->held_by_more > 1)
			text_printf(text, " +%" PRIu64,
				holder->held_by_count + holder->held_by_more - 1);
		text_append_char(text, ' ');
	}
	for (uint32_t i = 1; i < holder->path_count; i++)
		left += !holder->path[i].internal;
	if (left > shown)
		text_printf(text, "%s ", style_ellipsis(style));
	for (uint32_t i = 1; i < holder->path_count; i++) {
		const struct report_step *step = &holder->path[i];
		if (step->internal || left-- > shown)
			continue;
		text_printf(text, "%s ", style_arrow(style));
		if (*step->name)
			text_printf(text, "%s ", step->name);
		append_step_objects(text, step, style);
		text_append(text, left ? " " : "");
	}
}

// "Held by main.db, goroutine 1 in main.main and 7 others."
static void write_held_by(
	const struct report_holder *holder, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text line = TEXT_INIT;
	uint64_t others = holder->held_by_more;

	if (!holder->held_by_count)
		return;
	text_append(&line, "No single holder: held by");
	for (uint32_t i = 0; i < holder->held_by_count; i++) {
		text_append(&line, !i                                        ? " "
				   : i + 1 < holder->held_by_count || others ? ", "
									     : " and ");
		name_append_plain(&line, holder->held_by[i]);
	}
	if (others)
		text_printf(&line, " and %" PRIu64 " other%s", others, others > 1 ? "s" : "");
	text_append_char(&line, '.');
	text_append(text, "  ");
	sentence_append(text, line.bytes, style);
	if (line.failed)
		text->failed = true;
}

static struct error *write_culprit(
	const struct report *report, const struct style *style, struct text *text)
{
	const struct report_holder *holder = report->holders;
	_cleanup_text_ struct text line = TEXT_INIT;
	char buffer[24];

	if (!report->holder_count || !holder->retained_bytes)
		return NULL;
	name_append_plain(&line, holder->name);
	text_append(text, "\n  ");
	text_append(text, style_strong(style));
	name_append_cut(text, line.bytes, style->width - 40, style);
	text_append(text, style_reset(style));
	text_printf(text, " keep%s %s%s%s: %.0f%% of all that is alive.\n",
		isdigit((unsigned char)*holder->name) ? "" : "s", // "40 goroutines in main.worker"
		style_bold(style), bytes_text(buffer, holder->retained_bytes), style_reset(style),
		percent(holder->retained_bytes, report->heap.live_bytes));
	write_held_by(holder, style, text);
	for (uint32_t i = 0, depth = 0; i < holder->path_count; i++) {
		const struct report_step *step = &holder->path[i];
		if (step->internal)
			continue;
		text_clear(&line);
		text_printf(&line, "%*s", (int)(2 * depth++), "");
		if (i)
			text_append(&line, style->utf8 ? "└ " : "+ ");
		if (*step->name) {
			name_append_plain(&line, step->name);
			text_append_char(&line, ' ');
		}
		append_step_objects(&line, step, style);
		text_append(text, "    ");
		unsigned room = style->width - 18, before = display_width(line.bytes);
		name_append_cut(text, line.bytes, room, style);
		text_printf(text, "%*s%s%11s%s\n", before < room ? (int)(room - before) : 0, "",
			style_dim(style), bytes_text(buffer, step->bytes), style_reset(style));
	}
	return line.failed ? error_no_memory() : NULL;
}

static struct error *write_holders(
	const struct report *report, const struct style *style, struct text *text)
{
	static const struct table_column columns[] = {
		{"RETAINED", .right = true},
		{"%", .right = true},
		{"OBJECTS", .right = true},
		{"HOLDER", .flex = 2},
		{"WHAT HANGS BELOW", .flex = 3, .dim = true},
	};
	_cleanup_text_ struct text cell = TEXT_INIT;
	struct table table;
	char buffer[24];
	uint32_t shown = 0;

	table_init(&table, style, columns, ARRAY_COUNT(columns));
	for (; shown < report->holder_count; shown++) {
		const struct report_holder *holder = &report->holders[shown];
		if (!row_matters(report, style, shown, holder->retained_bytes))
			break;
		table_cell(&table, bytes_text(buffer, holder->retained_bytes));
		text_clear(&cell);
		text_printf(
			&cell, "%.1f", percent(holder->retained_bytes, report->heap.live_bytes));
		table_cell(&table, cell.bytes);
		table_cell(&table, count_text(buffer, holder->objects));
		text_clear(&cell);
		name_append_plain(&cell, holder->name);
		table_cell(&table, cell.bytes);
		text_clear(&cell);
		append_path(&cell, holder, style);
		table_cell(&table, cell.bytes);
	}
	if (cell.failed)
		table.failed = true;
	if (shown)
		write_heading(text, style, "Who holds it");
	struct error *err = shown ? table_print(&table, text) : NULL;
	table_deinit(&table);
	return err;
}

static struct error *write_types(
	const struct report *report, const struct style *style, struct text *text)
{
	static const struct table_column columns[] = {
		{"BYTES", .right = true},
		{"%", .right = true},
		{"OBJECTS", .right = true},
		{"RETAINED", .right = true},
		{"TYPE", .flex = 1},
	};
	_cleanup_text_ struct text cell = TEXT_INIT;
	struct table table;
	char buffer[24];
	uint32_t shown = 0;

	table_init(&table, style, columns, ARRAY_COUNT(columns));
	for (; shown < report->type_count; shown++) {
		const struct report_type *type = &report->types[shown];
		if (!row_matters(report, style, shown, type->bytes))
			break;
		table_cell(&table, bytes_text(buffer, type->bytes));
		text_clear(&cell);
		text_printf(&cell, "%.1f", percent(type->bytes, report->heap.live_bytes));
		table_cell(&table, cell.bytes);
		table_cell(&table, count_text(buffer, type->objects));
		table_cell(&table, bytes_text(buffer, type->retained_bytes));
		text_clear(&cell);
		name_append_plain(&cell, type->name);
		if (type->guessed)
			text_append(&cell, " (a guess)");
		table_cell(&table, cell.bytes);
	}
	if (cell.failed)
		table.failed = true;
	if (shown)
		write_heading(text, style, "What it is");
	struct error *err = shown ? table_print(&table, text) : NULL;
	table_deinit(&table);
	return err;
}

static struct error *write_goroutines(
	const struct report *report, const struct style *style, struct text *text)
{
	static const struct table_column columns[] = {
		{"COUNT", .right = true},
		{"RETAINED", .right = true},
		{"LONGEST", .right = true},
		{"STATE"},
		{"WHERE", .flex = 3},
		{"STARTED BY", .flex = 2, .dim = true},
	};
	_cleanup_text_ struct text cell = TEXT_INIT;
	struct table table;
	char buffer[24];
	uint32_t shown = 0, groups = 0;

	table_init(&table, style, columns, ARRAY_COUNT(columns));
	for (uint32_t i = 0; i < report->goroutines_count; i++) {
		const struct report_goroutines *group = &report->goroutines[i];
		if (group->system || groups++ >= style->top)
			continue;
		table_cell(&table, count_text(buffer, group->count));
		table_cell(&table, bytes_text(buffer, group->retained_bytes));
		table_cell(&table, group->longest_wait_ns ? format_duration(buffer, sizeof(buffer),
								    group->longest_wait_ns)
							  : "");
		table_cell(&table, group->state);
		text_clear(&cell);
		const struct report_frame *place =
			frames_own(group->stack.frames, group->stack.count);
		if (place)
			frame_append(&cell, place);
		table_cell(&table, cell.bytes);
		text_clear(&cell);
		frame_append(&cell, &group->stack.created_by);
		table_cell(&table, cell.bytes);
		shown++;
	}
	if (cell.failed)
		table.failed = true;
	if (shown) {
		text_clear(&cell);
		text_printf(&cell, "Goroutines: %s", count_text(buffer, report->goroutine_count));
		text_printf(
			&cell, " in %s group%s", count_text(buffer, groups), groups > 1 ? "s" : "");
		write_heading(text, style, cell.bytes);
	}
	struct error *err = shown ? table_print(&table, text) : NULL;
	table_deinit(&table);
	return err;
}

static void append_agreement(
	const struct report *report, const struct style *style, struct text *text)
{
	const struct agreement *agreement = &report->agreement;
	char marked[24], missing[24], extra[24], impossible[24];

	if (!agreement->comparable) {
		text_printf(text, "%sNot comparable with Go's collector%s: %s.", style_warn(style),
			style_reset(style), agreement->why);
		return;
	}
	bool same = !agreement->missing && !agreement->extra && !agreement->impossible;
	text_printf(text, "%s%s%s: of the %s objects that it marked ",
		same ? style_good(style) : style_warn(style),
		same ? "Agrees with Go's collector" : "Differs from Go's collector",
		style_reset(style), count_text(marked, agreement->marked));
	text_printf(text, "%s are missing; %s extra, %s impossible",
		count_text(missing, agreement->missing), count_text(extra, agreement->extra),
		count_text(impossible, agreement->impossible));
	if (*agreement->why)
		text_printf(text, " (%s)", agreement->why);
	text_append_char(text, '.');
}

static void append_typing(const struct report *report, struct text *text)
{
	const struct report_heap *heap = &report->heap;

	text_printf(text, "Types known for %.1f%% of the live bytes",
		percent(heap->typed_bytes, heap->live_bytes));
	double guessed = percent(heap->guessed_bytes, heap->live_bytes);
	if (guessed >= 0.05)
		text_printf(text, ", guessed for %.1f%%", guessed);
	text_append_char(text, '.');
}

static void append_cost(const struct report *report, struct text *text)
{
	char buffer[24];

	if (report->pause_ns)
		text_printf(text, "The process stood still for %s",
			format_duration(buffer, sizeof(buffer), report->pause_ns));
	else
		text_append(text, "Nothing had to stand still");
	text_printf(text, " (%s", report->capture_method);
	if (*report->capture_reason)
		text_printf(text, ": %s", report->capture_reason);
	text_printf(text, "); the report took %s",
		format_duration(buffer, sizeof(buffer), (uint64_t)(report->timings.total * 1e6)));
	if (report->peak_memory_bytes)
		text_printf(
			text, " and %s of memory", bytes_text(buffer, report->peak_memory_bytes));
	text_append_char(text, '.');
}

static void write_evidence(
	const struct report *report, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text line = TEXT_INIT;

	text_append_char(text, '\n');
	append_agreement(report, style, &line);
	sentence_append(text, line.bytes, style);
	if (report->heap.live_bytes) {
		text_clear(&line);
		append_typing(report, &line);
		sentence_append(text, line.bytes, style);
	}
	text_clear(&line);
	append_cost(report, &line);
	sentence_append(text, line.bytes, style);
	if (line.failed)
		text->failed = true;
}

struct error *report_text(const struct report *report, const struct style *style, struct text *text)
{
	struct error *err;

	write_target(report, style, text);
	write_memory(report, style, text);
	findings_text(report, style, text);
	err = write_culprit(report, style, text);
	if (!err)
		err = write_holders(report, style, text);
	if (!err)
		err = write_types(report, style, text);
	if (!err)
		err = write_goroutines(report, style, text);
	if (err)
		return err;
	write_evidence(report, style, text);
	return text->failed ? error_no_memory() : NULL;
}
