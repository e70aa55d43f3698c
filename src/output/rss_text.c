// The accounts in the order of the ledger, which goes from what is needed to what is not Go's at all.
// The sentence on top names the largest reason for which there is more memory than live objects.
#include "output/rss_text.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "output/names.h"
#include "output/table.h"

enum { BAR_WIDTH = 24 };

// What an account is, and what to do when it is the one that is too large.
static const struct explanation {
	const char *account, *what, *remedy;
} explanations[] = {
	{"viewed", "live objects that can be seen", ""},
	{"pinned", "live, and out of everybody's sight",
		"Small slices or strings keep the large arrays that they were cut from: copy what "
		"is needed "
		"(bytes.Clone, strings.Clone). The report tells which."},
	{"spare", "capacity beyond slices' lengths",
		"Slices have grown or were made larger than what they hold: slices.Clip gives "
		"nothing back, "
		"a copy does. The report tells which."},
	{"slack", "empty slots of maps, channels",
		"Maps never shrink: copying what is left to a new one frees the rest."},
	{"garbage", "the next collection frees it",
		"The collector lets the heap grow to twice what is alive before it starts. A lower "
		"GOGC (50) "
		"starts earlier, GOMEMLIMIT says how much is too much."},
	{"rounding", "slots larger than what is in them", ""},
	{"free slots", "for new objects of their size",
		"Spans are partly empty: the heap has been larger, and what is left is scattered. "
		"New objects "
		"of these sizes take the slots; a span goes back only when it is empty."},
	{"idle spans", "free pages, not given back yet",
		"The heap has been larger. Go gives free pages back slowly, in the background: "
		"debug.FreeOSMemory() does it at once, GOMEMLIMIT makes it keep less."},
	{"stacks", "of goroutines",
		"Many goroutines, or deep ones: stacks shrink only while they are collected. The "
		"report groups "
		"them by what they do."},
	{"gc work buffers", "objects yet to be scanned", ""},
	{"arena tables", "which span a page belongs to", ""},
	{"page allocator", "which pages are free", ""},
	{"span records", "mspan and mcache", ""},
	{"heap profile", "what pprof shows of the heap",
		"The heap profile has met very many different stacks: runtime.MemProfileRate = 0 "
		"at the start of main "
		"does without it."},
	{"gc metadata", "mark bits and the like", ""},
	{"other runtime", "what else the runtime took", ""},
	{"binary", "its code and variables", ""},
	{"thread stacks", "of threads, where C runs", ""},
	{"C heap", "malloc's, and other memory of C",
		"It is not Go's: neither the collector nor pprof sees it. Look for what cgo "
		"allocates and does not "
		"free; fewer threads or MALLOC_ARENA_MAX=2 help when malloc only holds on to it."},
	{"shared libraries", "their code and variables", ""},
	{"mapped files", "of the page cache",
		"The kernel takes these pages back when it needs them; they are no leak."},
	{"other mappings", "shared memory, the kernel's", ""},
	{"changed meanwhile", "came while they were counted", ""},
};

static const struct explanation *explain(const char *account)
{
	for (size_t i = 0; i < ARRAY_COUNT(explanations); i++)
		if (!strcmp(explanations[i].account, account))
			return &explanations[i];
	return NULL;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const struct report_account *largest_reason(const struct report *report)
{
	const struct report_account *largest = NULL;

	for (uint32_t i = 0; i < report->ledger_count; i++) {
		const struct report_account *account = &report->ledger[i];
		if (strcmp(account->name, "viewed") &&
			(!largest || account->bytes > largest->bytes))
			largest = account;
	}
	return largest;
}

static void write_answer(const struct report *report, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text sentence = TEXT_INIT;
	const struct report_account *reason = largest_reason(report);
	const struct explanation *explanation = explain(reason->name);
	char resident[24], live[24], bytes[24];

	format_bytes(resident, sizeof(resident), report->resident_bytes);
	format_bytes(live, sizeof(live), report->heap.live_bytes);
	format_bytes(bytes, sizeof(bytes), reason->bytes);
	text_printf(&sentence, "%s resident, %s live", resident, live);
	if (report->resident_bytes > report->heap.live_bytes && report->heap.live_bytes)
		text_printf(&sentence, ": %.1f times as much",
			(double)report->resident_bytes / (double)report->heap.live_bytes);
	text_printf(&sentence, ". Besides live objects, most is %s, %s (%s).", reason->name, bytes,
		explanation ? explanation->what : "");
	if (explanation && *explanation->remedy)
		text_printf(&sentence, " %s", explanation->remedy);
	sentence_append(text, sentence.bytes, style);
	text->failed |= sentence.failed;
}

static void write_bar(struct text *text, const struct style *style, double part)
{
	// What a file says may be more than all.
	unsigned length = (unsigned)((part < 100 ? part : 100) * BAR_WIDTH / 100 + 0.5);

	for (unsigned i = 0; i < length; i++)
		text_append(text, style->utf8 ? "█" : "#");
}

static struct error *write_table(
	const struct report *report, const struct style *style, struct text *text)
{
	static const struct table_column columns[] = {
		{"ACCOUNT"},
		{"BYTES", .right = true},
		{"%", .right = true},
		{""},
		{"WHAT IT IS", .flex = 1, .dim = true},
	};
	_cleanup_text_ struct text cell = TEXT_INIT;
	struct table table;
	char buffer[24];

	table_init(&table, style, columns, ARRAY_COUNT(columns));
	for (uint32_t i = 0; i < report->ledger_count; i++) {
		const struct report_account *account = &report->ledger[i];
		const struct explanation *explanation = explain(account->name);
		double part = percent(account->bytes, report->resident_bytes);
		if (!account->bytes)
			continue;
		table_cell(&table, account->name);
		table_cell(&table, format_bytes(buffer, sizeof(buffer), account->bytes));
		text_clear(&cell);
		text_printf(&cell, "%.1f", part);
		table_cell(&table, cell.bytes);
		text_clear(&cell);
		write_bar(&cell, style, part);
		table_cell(&table, cell.bytes);
		table_cell(&table, explanation ? explanation->what : "");
	}
	table.failed |= cell.failed;
	struct error *err = table_print(&table, text);
	table_deinit(&table);
	return err;
}

static void write_remarks(const struct report *report, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text sentence = TEXT_INIT;
	char bytes[24];

	if (report->heap.unjudged_bytes > report->heap.live_bytes / 20) {
		text_printf(&sentence,
			"%s of live objects count as viewed because the type of some reference to "
			"them is not known.",
			format_bytes(bytes, sizeof(bytes), report->heap.unjudged_bytes));
		text_append_char(text, '\n');
		sentence_append(text, sentence.bytes, style);
	}
	text->failed |= sentence.failed;
}

struct error *rss_text(const struct report *report, const struct style *style, struct text *text)
{
	if (!report->ledger_count)
		return error_create(ERROR_TARGET,
			"what of this target was in memory is not known; a running process tells, "
			"and so does a whole core that heapwhy wrote");
	write_answer(report, style, text);
	text_append_char(text, '\n');
	struct error *err = write_table(report, style, text);
	write_remarks(report, style, text);
	return !err && text->failed ? error_no_memory() : err;
}
