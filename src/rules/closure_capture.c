// closure-capture: func values that keep much more than they look at.
//
// A closure keeps what it captures for as long as it lives, and it captures whole variables. Two ways to see from outside
// that it should not:
//
//   - only closures see an array, and all that they see is a small part of it;
//   - several closures of one function, each in some container, are each the only one who keeps something big, and their
//     code does not look at it, as far as it can be followed: suspected. Where it cannot, or not on this machine, the
//     rule is silent: that somebody captures much is how handlers are written. What waits for a timer, or belongs to the
//     runtime's own packages, has rules of its own.
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "heapwhy/map.h"
#include "rules/closure_needs.h"
#include "rules/objects.h"
#include "rules/waste.h"

enum {
	BYTES_EACH = 16 << 10,
	CLOSURES_MIN = 4,
	BIG_BYTES_EACH = 256 << 10,
	BIG_CLOSURES_MIN = 2,
	KEEPERS_MAX = 16
};

static const char remedy[] =
	"copy the part that the closure needs before the func, and let it capture the copy; "
	"unregister callbacks that are not needed any more";

static struct error *window_report(
	struct rule_run *run, const struct suspects *suspects, const struct suspect_group *group)
{
	struct waste_group waste;
	char count[24], bytes[24], seen[24];

	waste_describe(run, suspects, group, &waste);
	struct finding finding = {
		.bytes = group->bytes,
		.objects = waste.objects,
		.type = waste.name,
		.proven = true,
		.what = finding_text(run,
			"%s × %s, %s in all, kept whole by closures for the %s that %s shows of "
			"them",
			format_count(count, sizeof(count), waste.objects), waste.name,
			format_bytes(bytes, sizeof(bytes), waste.bytes),
			format_bytes(seen, sizeof(seen), waste.seen), waste.place),
		.remedy = remedy,
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

static struct error *holding_report(struct rule_run *run, const struct suspect_group *group)
{
	const char *name = object_type_name(run, group->example->object);
	char count[24], bytes[24];

	bool big = group->bytes / group->count >= BIG_BYTES_EACH;
	if (group->count < (big ? BIG_CLOSURES_MIN : CLOSURES_MIN))
		return NULL;
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = name,
		.what = finding_text(run,
			"%s closures %s are the only ones who keep %s, which they captured and "
			"do not look at",
			format_count(count, sizeof(count), group->count), name,
			format_bytes(bytes, sizeof(bytes), group->bytes)),
		.remedy = remedy,
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

// Things of these packages call back by themselves.
static bool is_library_place(const char *name)
{
	static const char *const packages[] = {"time.", "runtime.", "sync.", "context."};

	while (!strncmp(name, "[]", 2) || *name == '*')
		name += *name == '*' ? 1 : 2;
	for (unsigned i = 0; i < ARRAY_COUNT(packages); i++)
		if (!strncmp(name, packages[i], strlen(packages[i])))
			return true;
	return false;
}

struct closures {
	struct rule_run *run;
	struct closure_needs needs;
	struct hw_map
		windowed; // closures and what keeps them -> bytes that windows account for already
	struct suspects suspects;
};

static bool closure_pick(void *context, object_id id)
{
	const struct closures *closures = context;

	return typing_is_closure(closures->run->analysis->typing, id);
}

static struct error *closure_look(void *context, object_id id)
{
	struct closures *closures = context;
	const struct analysis *analysis = closures->run->analysis;
	node_id parent = graph_parent(analysis->graph, id);

	// What hangs directly on a root runs, or will.
	if (parent >= analysis->heap->object_count || typing_is_closure(analysis->typing, parent) ||
		object_is_pooled(closures->run, parent) || object_is_unseen(closures->run, id) ||
		is_library_place(object_type_name(closures->run, parent)))
		return NULL;
	uint64_t bytes, known = 0;
	if (!graph_retains(analysis->graph, id, BYTES_EACH))
		return NULL;
	struct error *err = closure_unneeded(&closures->needs, id, &bytes);
	if (err)
		return err;
	hw_map_get(&closures->windowed, id, &known);
	bytes -= known < bytes ? known : bytes;
	if (bytes >= BYTES_EACH)
		suspects_add(
			&closures->suspects, (struct suspect){.object = id,
						     .kind = typing_label_of(analysis->typing, id),
						     .bytes = bytes});
	return NULL;
}

// A closure may be captured by another.
static struct error *windowed_add(
	struct rule_run *run, struct hw_map *windowed, const struct suspect *suspect)
{
	node_id keeper = graph_dominator(run->analysis->graph, suspect->object);

	for (unsigned i = 0; i < KEEPERS_MAX && keeper < run->analysis->heap->object_count; i++) {
		uint64_t *bytes = hw_map_at(windowed, keeper, 0);
		if (!bytes)
			return error_no_memory();
		*bytes += suspect->bytes;
		keeper = graph_dominator(run->analysis->graph, keeper);
	}
	return NULL;
}

static struct error *windows_look(
	struct rule_run *run, struct hw_map *windowed, struct suspects *out)
{
	struct error *err = waste_find(run, WASTE_CAPTURED, out);

	for (size_t i = 0; i < out->list.count && !err; i++) {
		const struct suspect *suspect = &out->list.items[i];
		err = windowed_add(run, windowed, suspect);
	}
	return err;
}

struct error *rule_closure_capture(struct rule_run *run)
{
	_cleanup_(suspects_deinit) struct suspects windows = {0};
	struct closures closures = {.run = run};

	hw_map_init(&closures.windowed);
	struct error *err = closure_needs_init(&closures.needs, run);
	if (!err)
		err = windows_look(run, &closures.windowed, &windows);
	for (size_t i = 0; i < windows.groups.count && !err; i++)
		err = window_report(run, &windows, &windows.groups.items[i]);
	if (!err)
		err = objects_each(run, closure_pick, closure_look, &closures);
	if (!err)
		err = suspects_group(&closures.suspects, run);
	for (size_t i = 0; i < closures.suspects.groups.count && !err; i++)
		err = holding_report(run, &closures.suspects.groups.items[i]);
	suspects_deinit(&closures.suspects);
	closure_needs_deinit(&closures.needs);
	hw_map_deinit(&closures.windowed);
	return err;
}
