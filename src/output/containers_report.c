// A budget holds nothing itself: what it has given out is what others hold, so it is left out of the sum on top.
#include "output/containers_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "output/json.h"
#include "output/table.h"

// What is measured, by enum hw_what: the name in JSON, the table's column, and whether it counts bytes.
static const struct figure {
	const char *json, *title;
	bool bytes;
} figures[CONTAINER_SUMS] = {
	[HW_COUNT] = {"count", "COUNT"},
	[HW_USED_BYTES] = {"used_bytes", "IN USE", true},
	[HW_HELD_BYTES] = {"held_bytes", "HELD", true},
	[HW_LIMIT_BYTES] = {"limit_bytes", "LIMIT", true},
	[HW_PEAK_BYTES] = {"peak_bytes", "PEAK", true},
	[HW_HITS] = {"hits", "HITS"},
	[HW_MISSES] = {"misses", "MISSES"},
	[HW_EVICTIONS] = {"evictions", "EVICTED"},
	[HW_REFUSALS] = {"refusals", "REFUSED"},
	[HW_GARBAGE_BYTES] = {"garbage_bytes", "GARBAGE", true},
	[HW_STALLED_READERS] = {"stalled_readers", "STALLED"},
};

static uint64_t slack_of(const struct container *container)
{
	uint64_t held = container->sums[HW_HELD_BYTES], used = container->sums[HW_USED_BYTES];

	return held > used ? held - used : 0;
}

static bool is_measured(const struct containers *containers, unsigned what)
{
	for (size_t i = 0; i < containers->list.count; i++)
		if (containers->list.items[i].sums[what])
			return true;
	return false;
}

static void write_cell(struct table *table, const struct figure *figure,
	const struct container *container, uint64_t value)
{
	unsigned what = (unsigned)(figure - figures);
	char buffer[24];

	if (!container->measures[what])
		table_cell(table, "");
	else if (figure->bytes)
		table_cell(table, format_bytes(buffer, sizeof(buffer), value));
	else
		table_cell(table, format_count(buffer, sizeof(buffer), value));
}

static struct error *write_table(
	const struct containers *containers, const struct style *style, struct text *text)
{
	struct table_column columns[CONTAINER_SUMS + 3];
	const struct figure *shown[CONTAINER_SUMS];
	unsigned count = 0, column = 0;
	struct table table;
	char buffer[24];

	columns[column++] = (struct table_column){"SLACK", .right = true};
	for (unsigned what = 0; what < CONTAINER_SUMS; what++) {
		if (!figures[what].title || !is_measured(containers, what))
			continue;
		shown[count++] = &figures[what];
		columns[column++] = (struct table_column){figures[what].title, .right = true};
	}
	columns[column++] = (struct table_column){"KIND"};
	columns[column++] = (struct table_column){"NAME", .flex = 1};
	table_init(&table, style, columns, column);
	for (size_t i = 0; i < containers->list.count; i++) {
		const struct container *container = &containers->list.items[i];
		_cleanup_text_ struct text kind = TEXT_INIT, name = TEXT_INIT;

		table_cell(&table, format_bytes(buffer, sizeof(buffer), slack_of(container)));
		for (unsigned k = 0; k < count; k++)
			write_cell(
				&table, shown[k], container, container->sums[shown[k] - figures]);
		text_append_untrusted(&kind, container->kind, strlen(container->kind));
		text_append_untrusted(&name, container->name, strlen(container->name));
		if (!name.length)
			text_printf(&name, "0x%" PRIx64, container->address);
		table_cell(&table, kind.bytes);
		table_cell(&table, name.bytes);
		table.failed |= kind.failed || name.failed;
	}
	struct error *err = table_print(&table, text);
	table_deinit(&table);
	return err;
}

struct error *containers_text(const struct target *target, const struct containers *containers,
	const struct style *style, struct text *text)
{
	uint64_t held = 0, slack = 0;
	char held_text[24], slack_text[24], count_text[24];

	for (size_t i = 0; i < containers->list.count; i++) {
		const struct container *container = &containers->list.items[i];

		if (container->measures[HW_LIMIT_BYTES] && !container->measures[HW_COUNT])
			continue;
		held += container->sums[HW_HELD_BYTES];
		slack += slack_of(container);
	}
	text_append_untrusted(text, target->exe_path, strlen(target->exe_path));
	text_printf(text, "%s %d, a C program that uses libheapwhy\n\n",
		*target->exe_path ? ", process" : "process", target->pid);
	text_printf(text, "  %s %s %s, of which %s is slack.\n\n",
		format_count(count_text, sizeof(count_text), containers->list.count),
		containers->list.count == 1 ? "container holds" : "containers hold",
		format_bytes(held_text, sizeof(held_text), held),
		format_bytes(slack_text, sizeof(slack_text), slack));
	struct error *err = write_table(containers, style, text);
	if (containers->missed)
		text_printf(text, "\n%" PRIu64 " more did not fit into the register.\n",
			containers->missed);
	return !err && text->failed ? error_no_memory() : err;
}

static json_t *container_json(const struct container *container)
{
	_cleanup_text_ struct text kind = TEXT_INIT, name = TEXT_INIT;

	text_append_untrusted(&kind, container->kind, strlen(container->kind));
	text_append_untrusted(&name, container->name, strlen(container->name));
	json_t *object = kind.failed || name.failed
				 ? NULL
				 : json_pack("{s:s, s:s, s:I, s:I}", "kind", kind.bytes, "name",
					   name.bytes, "address", (json_int_t)container->address,
					   "slack_bytes", (json_int_t)slack_of(container));
	for (unsigned what = 0; what < CONTAINER_SUMS && object; what++) {
		if (!container->measures[what] || !figures[what].json)
			continue;
		if (json_object_set_new(object, figures[what].json,
			    json_integer((json_int_t)container->sums[what]))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

struct error *containers_json(
	const struct target *target, const struct containers *containers, struct text *text)
{
	_cleanup_text_ struct text exe = TEXT_INIT;
	json_t *list = json_array();

	for (size_t i = 0; i < containers->list.count; i++)
		list = json_array_with(list, container_json(&containers->list.items[i]));
	text_append_untrusted(&exe, target->exe_path, strlen(target->exe_path));
	json_t *root = json_pack("{s:i, s:{s:s, s:i, s:s}, s:o, s:I, s:I}", "schema", 1, "target",
		"kind", target->kind == TARGET_CORE ? "core" : "process", "pid", (int)target->pid,
		"exe", exe.bytes, "containers", list, "missed", (json_int_t)containers->missed,
		"damaged", (json_int_t)containers->damaged);
	struct error *err = json_print(root, text);
	return !err && exe.failed ? error_no_memory() : err;
}
