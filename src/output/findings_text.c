// See findings_text.h.
#include "output/findings_text.h"

#include <inttypes.h>

#include "base/units.h"
#include "output/frames.h"
#include "output/names.h"
#include "output/path_nodes.h"

// "main.cache → value *main.session → .body []uint8"; of a long path the ends.
static void append_path(
	struct text *text, const struct report_finding *finding, const struct style *style)
{
	enum { HEAD = 2, TAIL = 2 };

	for (uint32_t i = 0; i < finding->path_count; i++) {
		const struct path_node *node = &finding->path[i];
		if (i)
			text_printf(text, " %s ", style_arrow(style));
		if (i == HEAD && finding->path_count > HEAD + TAIL + 1) {
			text_append(text, style_ellipsis(style));
			i = finding->path_count - TAIL - 1;
			continue;
		}
		name_append_plain(text, node->name);
		if (*node->name && *node->type)
			text_append_char(text, ' ');
		name_append_plain(text, node->type);
	}
}

// "io.ReadAll io.go:709 ← main.readBody server.go:41": as many calls as are enough to know the program's own.
static void append_calls(
	struct text *text, const struct report_finding *finding, const struct style *style)
{
	enum { CALLS = 3 };

	for (uint32_t i = 0; i < finding->allocated_at_count && i < CALLS; i++) {
		if (i)
			text_printf(text, " %s ", style_arrow_back(style));
		frame_append(text, &finding->allocated_at[i]);
	}
}

static void write_line(struct text *text, struct text *line, const struct style *style)
{
	struct style indented = *style;

	indented.width -= 2;
	text_append(text, "  ");
	sentence_append(text, line->bytes, &indented);
	if (line->failed)
		text->failed = true;
	text_clear(line);
}

void finding_write(
	const struct report_finding *finding, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text line = TEXT_INIT;
	char buffer[24];

	text_append_char(text, '\n');
	text_printf(&line, "%s%s%s %s%s: %s.", style_strong(style),
		format_bytes(buffer, sizeof(buffer), finding->bytes), style_reset(style),
		finding->rule, finding->proven ? "" : " (suspected)", finding->what);
	sentence_append(text, line.bytes, style);
	text_clear(&line);
	if (finding->path_count > 1) {
		text_append(&line, "Held by ");
		append_path(&line, finding, style);
		text_append_char(&line, '.');
		write_line(text, &line, style);
	}
	if (finding->allocated_at_count) {
		text_append(&line, "Allocated in ");
		append_calls(&line, finding, style);
		text_append_char(&line, '.');
		write_line(text, &line, style);
	}
	if (*finding->stack.created_by.function) {
		text_append(&line, "Started by ");
		frame_append(&line, &finding->stack.created_by);
		text_append_char(&line, '.');
		write_line(text, &line, style);
	}
	text_printf(&line, "%sRemedy%s, gives %s back: %s.", style_bold(style), style_reset(style),
		format_bytes(buffer, sizeof(buffer), finding->remedy_bytes), finding->remedy);
	if (*finding->condition)
		text_printf(&line, " (%s.)", finding->condition);
	write_line(text, &line, style);
}

void findings_text(const struct report *report, const struct style *style, struct text *text)
{
	uint32_t shown = report->finding_count < style->top ? report->finding_count : style->top;
	char buffer[24];

	if (!report->finding_count)
		return;
	text_printf(text, "\n%s%s held for nothing:%s\n", style_bold(style),
		format_bytes(buffer, sizeof(buffer), report->finding_bytes), style_reset(style));
	for (uint32_t i = 0; i < shown; i++)
		finding_write(&report->findings[i], style, text);
	uint64_t left = report->finding_count - shown + report->findings_left_out;
	if (left)
		text_printf(text,
			"\n%" PRIu64 " smaller finding%s: --top shows more, --json all.\n", left,
			left > 1 ? "s" : "");
}
