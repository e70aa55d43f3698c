// The comparison for people: by how much, what the rules say, and then a table a subject, what grew most on top.
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "diff/diff.h"
#include "output/findings_text.h"
#include "output/names.h"
#include "output/table.h"

enum { SMALL = 4 << 10 }; // a change of less than a page is left to who asks for everything

static void growth_append(struct text *text, uint64_t old, uint64_t new)
{
	char buffer[24];

	if (old == new)
		text_append(text, "0 B");
	else
		text_printf(text, "%c%s", new > old ? '+' : '-',
			format_bytes(buffer, sizeof(buffer), new > old ? new - old : old - new));
}

static void count_append(struct text *text, uint64_t old, uint64_t new)
{
	char buffer[24];

	text_printf(text, "%c%s", new < old ? '-' : '+',
		format_count(buffer, sizeof(buffer), new > old ? new - old : old - new));
}

static void change_append(
	struct text *text, const struct style *style, const char *what, uint64_t old, uint64_t new)
{
	char before[24], after[24];

	text_printf(text, "%s %s %s %s (", what, format_bytes(before, sizeof(before), old),
		style_arrow(style), format_bytes(after, sizeof(after), new));
	growth_append(text, old, new);
	text_append_char(text, ')');
}

static void write_summary(const struct diff *diff, const struct style *style, struct text *text)
{
	const struct report *old = diff->old, *new = diff->new;
	const char *slash = strrchr(new->exe, '/');
	_cleanup_text_ struct text line = TEXT_INIT;
	char buffer[24];

	text_printf(&line, "%s%s%s", style_bold(style), slash ? slash + 1 : new->exe,
		style_reset(style));
	if (new->pid && diff->same_run)
		text_printf(&line, " (%d)", new->pid);
	text_printf(&line, ", %s", new->go_version);
	if (diff->elapsed_ns)
		text_printf(&line, ", %s later",
			format_duration(buffer, sizeof(buffer), diff->elapsed_ns));
	if (diff->looks > 2)
		text_printf(&line, ", the last of %" PRIu32 " looks", diff->looks);
	text_append(&line, ": ");
	change_append(&line, style, "live", old->heap.live_bytes, new->heap.live_bytes);
	if (old->resident_bytes && new->resident_bytes)
		change_append(&line, style, ", resident", old->resident_bytes, new->resident_bytes);
	text_append(&line, ", goroutines ");
	text_printf(&line, "%s %s ", format_count(buffer, sizeof(buffer), old->goroutine_count),
		style_arrow(style));
	text_printf(&line, "%s.", format_count(buffer, sizeof(buffer), new->goroutine_count));
	sentence_append(text, line.bytes, style);
	text->failed |= line.failed;
	if (!diff->same_run)
		sentence_append(text,
			"These are not looks at one process, so no rule can say what grows "
			"without end.",
			style);
}

static void write_findings(const struct diff *diff, const struct style *style, struct text *text)
{
	uint32_t shown = diff->finding_count < style->top ? diff->finding_count : style->top;

	if (!diff->finding_count)
		return;
	text_printf(text, "\n%sGrows, with no end in sight:%s\n", style_bold(style),
		style_reset(style));
	for (uint32_t i = 0; i < shown; i++)
		finding_write(&diff->findings[i], style, text);
	if (shown < diff->finding_count)
		text_printf(text, "\n%" PRIu32 " smaller ones: --top shows more, --json all.\n",
			diff->finding_count - shown);
}

static bool row_matters(const struct diff_row *row, const struct style *style)
{
	uint64_t change = row->new_bytes > row->old_bytes ? row->new_bytes - row->old_bytes
							  : row->old_bytes - row->new_bytes;

	return style->everything ? change || row->old_count != row->new_count : change >= SMALL;
}

static void row_write(struct table *table, const struct diff_row *row, bool counted)
{
	_cleanup_text_ struct text cell = TEXT_INIT;
	char buffer[24];

	growth_append(&cell, row->old_bytes, row->new_bytes);
	table_cell(table, cell.bytes);
	table_cell(table, format_bytes(buffer, sizeof(buffer), row->old_bytes));
	table_cell(table, format_bytes(buffer, sizeof(buffer), row->new_bytes));
	text_clear(&cell);
	if (counted)
		count_append(&cell, row->old_count, row->new_count);
	table_cell(table, cell.bytes);
	text_clear(&cell);
	name_append_plain(&cell, row->name);
	if (*row->detail)
		text_append_char(&cell, ' ');
	name_append_plain(&cell, row->detail);
	table_cell(table, cell.bytes);
	table->failed |= cell.failed;
}

static struct error *write_table(const struct diff_table *rows, const char *heading,
	const char *counted, const struct style *style, struct text *text)
{
	const struct table_column columns[] = {
		{"GROWTH", .right = true},
		{"OLD", .right = true},
		{"NEW", .right = true},
		{counted, .right = true},
		{"", .flex = 1},
	};
	struct table table;
	struct error *err = NULL;
	uint32_t shown = 0;

	table_init(&table, style, columns, ARRAY_COUNT(columns));
	for (uint32_t i = 0; i < rows->count && shown < style->top; i++) {
		if (!row_matters(&rows->rows[i], style))
			continue;
		row_write(&table, &rows->rows[i], *counted != '\0');
		shown++;
	}
	if (shown) {
		text_printf(text, "\n%s%s%s\n", style_bold(style), heading, style_reset(style));
		err = table_print(&table, text);
	}
	table_deinit(&table);
	return err;
}

struct error *diff_text(const struct diff *diff, const struct style *style, struct text *text)
{
	static const struct {
		enum diff_subject subject;
		const char *heading, *counted;
	} tables[] = {
		{DIFF_HOLDERS, "Who holds more", "OBJECTS"},
		{DIFF_TYPES, "What there is more of", "OBJECTS"},
		{DIFF_GOROUTINES, "Goroutines", "COUNT"},
		{DIFF_FINDINGS, "Held for nothing, by each look alone", "OBJECTS"},
		{DIFF_ACCOUNTS, "Resident memory, by account", ""},
	};
	struct error *err = NULL;

	write_summary(diff, style, text);
	write_findings(diff, style, text);
	for (size_t i = 0; i < ARRAY_COUNT(tables) && !err; i++)
		err = write_table(&diff->tables[tables[i].subject], tables[i].heading,
			tables[i].counted, style, text);
	return !err && text->failed ? error_no_memory() : err;
}
