// Tables by libsmartcols: it pads, aligns and colours; who gets how many columns, and what is left
// out of a cell that is too long, is decided here, because names of Go are best cut in the middle.
#include "output/table.h"

#include <libsmartcols.h>
#include <string.h>

#include "base/cleanup.h"
#include "output/names.h"

enum { COLUMNS_MAX = 12, NARROWEST_FLEX = 10 };

void table_init(struct table *table, const struct style *style, const struct table_column *columns,
	unsigned column_count)
{
	BUG_ON(column_count > COLUMNS_MAX);
	*table = (struct table){.style = style, .columns = columns, .column_count = column_count};
	hw_arena_init(&table->arena, 4096);
}

void table_deinit(struct table *table)
{
	hw_vector_deinit(&table->cells);
	hw_arena_deinit(&table->arena);
}

void table_cell(struct table *table, const char *content)
{
	const char *copy = hw_arena_strndup(&table->arena, content, strlen(content));

	if (!copy || !hw_vector_push(&table->cells, copy))
		table->failed = true;
}

// Natural widths first; when the line is too long the flexible columns give way: each gets its
// share of what the fixed ones leave, and one that needs less leaves the rest to the others.
static void table_widths(const struct table *table, unsigned *widths)
{
	unsigned used = 0, flexible = 0, count = table->column_count;
	bool settled[COLUMNS_MAX] = {false};

	for (unsigned c = 0; c < count; c++) {
		widths[c] = display_width(table->columns[c].title);
		for (size_t i = c; i < table->cells.count; i += count) {
			unsigned width = display_width(table->cells.items[i]);
			if (width > widths[c])
				widths[c] = width;
		}
		if (table->columns[c].flex)
			flexible += table->columns[c].flex;
		else
			used += widths[c];
	}
	// Two columns between neighbours: smartcols puts one, the cells carry the other.
	unsigned gaps = 2 * (count - 1) + 1;
	unsigned left = table->style->width > used + gaps ? table->style->width - used - gaps : 0;
	for (bool again = true; again && flexible;) {
		again = false;
		for (unsigned c = 0; c < count; c++) {
			unsigned flex = table->columns[c].flex;
			if (!flex || settled[c] || widths[c] > left * flex / flexible)
				continue;
			settled[c] = true;
			left -= widths[c];
			flexible -= flex;
			again = flexible > 0;
			break;
		}
	}
	for (unsigned c = 0; c < count && flexible; c++) {
		if (!table->columns[c].flex || settled[c])
			continue;
		unsigned share = left * table->columns[c].flex / flexible;
		if (share < NARROWEST_FLEX)
			share = NARROWEST_FLEX;
		if (widths[c] > share)
			widths[c] = share;
	}
}

static bool table_fill(const struct table *table, struct libscols_table *scols)
{
	unsigned widths[COLUMNS_MAX], count = table->column_count;
	_cleanup_text_ struct text cut = TEXT_INIT;
	const struct style *style = table->style;

	table_widths(table, widths);
	for (unsigned c = 0; c < count; c++) {
		const struct table_column *column = &table->columns[c];
		struct libscols_column *made = scols_table_new_column(
			scols, column->title, widths[c], column->right ? SCOLS_FL_RIGHT : 0);
		if (!made ||
			(style->color && column->dim && scols_column_set_color(made, "\033[2m")) ||
			(style->color &&
				scols_cell_set_color(scols_column_get_header(made), "\033[2m")))
			return false;
	}
	for (size_t i = 0; i + count <= table->cells.count; i += count) {
		struct libscols_line *line = scols_table_new_line(scols, NULL);
		if (!line)
			return false;
		for (unsigned c = 0; c < count; c++) {
			text_clear(&cut);
			name_append_cut(&cut, table->cells.items[i + c], widths[c], style);
			if (cut.failed || scols_line_set_data(line, c, cut.bytes))
				return false;
		}
	}
	return true;
}

struct error *table_print(struct table *table, struct text *text)
{
	struct libscols_table *scols = table->failed ? NULL : scols_new_table();
	char *printed = NULL;

	if (!scols)
		return error_no_memory();
	bool done = !scols_table_set_column_separator(scols, "  ") &&
		    !scols_table_enable_colors(scols, table->style->color) &&
		    !scols_table_enable_noencoding(scols, 1) &&
		    !scols_table_set_termforce(scols, SCOLS_TERMFORCE_ALWAYS) &&
		    !scols_table_set_termwidth(scols, 2 * STYLE_WIDEST) &&
		    table_fill(table, scols) && !scols_print_table_to_string(scols, &printed);
	scols_unref_table(scols);
	// No blanks at the ends of lines: they are noise in files and wrap on narrow terminals.
	for (const char *line = done && printed ? printed : ""; *line;) {
		size_t length = strcspn(line, "\n"), end = length;
		while (end && line[end - 1] == ' ')
			end--;
		text_append_bytes(text, line, end);
		text_append_char(text, '\n');
		line += length + (line[length] == '\n');
	}
	free(printed);
	return done ? NULL : error_no_memory();
}
