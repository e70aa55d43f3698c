// From suspicions to findings. See growth.h.
//
// Two looks show that something grew. What speaks against a leak: that it is little beside what was there, that what was
// there before has gone (entries come and go), that a map's table grew and its entries did not, that one buffer was
// replaced by a larger one. With three looks or more it has to have grown between any two, and not to have slowed down:
// then it is warming up.
#include "diff/growth.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "diff/suspicion.h"
#include "output/clean.h"

enum {
	LITTLE = 50,     // growth of less than a fiftieth in two looks says nothing
	GONE = 4,        // so does growth during which a quarter of what was there has gone
	GONE_STEADY = 2, // ... half of it, where each look found more than the one before
	BEFORE_MIN = 16, // of fewer objects it is chance which are gone
	SLOWED = 4, // a last interval with a quarter of the average growth: it is levelling off
	ARRAY_BYTES_MIN = 1 << 20, // what a single array of records has to grow by in two looks
	PATH_NODES = 12,
};

// What the looks say of one suspicion.
struct evidence {
	bool entries_known;
	uint64_t entries_old, entries_new;
	uint64_t old, new; // bytes that the container retains, or objects of the type
	double slowdown;   // the average growth by that of the last interval
};

static const struct snapshot *last_of(const struct looks *looks)
{
	return looks->snapshots[looks->count - 1];
}

static int compare_maps(const void *key, const void *item)
{
	uint32_t object = *(const uint32_t *)key;
	const struct snapshot_map *map = item;

	return object < map->object ? -1 : object > map->object;
}

static const struct snapshot_map *map_of(const struct snapshot *snapshot, uint32_t node)
{
	return node == NODE_UNKNOWN || !snapshot->map_count
		       ? NULL
		       : bsearch(&node, snapshot->maps, snapshot->map_count,
				 sizeof(*snapshot->maps), compare_maps);
}

// How much of it there was at each look: what the container retains or, where others hold what is in it, how many objects
// of the type there are.
static uint64_t amount_at(
	const struct suspicions *suspicions, const struct suspicion *suspicion, uint32_t look)
{
	const struct snapshot *last = last_of(suspicions->looks);
	const struct snapshot *snapshot = suspicions->looks->snapshots[look];

	if (suspicion->shared)
		return snapshot_count_type(
			snapshot, last->strings + last->labels[suspicion->label]);
	uint32_t node = snapshot_same_node(snapshot, last, suspicion->container);
	return node == NODE_UNKNOWN ? 0 : snapshot_retained(snapshot, node);
}

// The time between two looks, or 1 for all when it is not known.
static double interval(const struct looks *looks, uint32_t from, uint32_t to)
{
	if (!looks->clocks[from] || looks->clocks[to] <= looks->clocks[from])
		return 1;
	return (double)(looks->clocks[to] - looks->clocks[from]) / 1e9;
}

// False when it did not grow between two of the looks.
static bool amounts_rise(const struct suspicions *suspicions, const struct suspicion *suspicion,
	struct evidence *evidence)
{
	const struct looks *looks = suspicions->looks;
	uint64_t before = amount_at(suspicions, suspicion, 0);
	double last = 0, all = 0;

	evidence->old = before;
	for (uint32_t i = 1; i < looks->count; i++) {
		uint64_t now = amount_at(suspicions, suspicion, i);
		if (now <= before)
			return false;
		last = (double)(now - before) / interval(looks, i - 1, i);
		all += last;
		before = now;
	}
	evidence->new = before;
	evidence->slowdown = all / (looks->count - 1) / last;
	return true;
}

// A container may have grown by its own array alone: a log of records.
static bool array_grew(const struct suspicions *suspicions, const struct suspicion *suspicion)
{
	const struct snapshot *last = last_of(suspicions->looks);

	if (suspicions->looks->count > 2)
		return true;
	return suspicion->bytes >= ARRAY_BYTES_MIN && suspicion->label != NODE_UNKNOWN &&
	       strcmp(last->strings + last->labels[suspicion->label], "[]uint8") != 0;
}

static bool is_growth(const struct suspicions *suspicions, const struct suspicion *suspicion,
	struct evidence *evidence)
{
	const struct looks *looks = suspicions->looks;
	bool steady = looks->count > 2;
	uint32_t old = NODE_UNKNOWN;

	if (suspicion->bytes < GROWTH_BYTES_MIN || !amounts_rise(suspicions, suspicion, evidence) ||
		(steady && evidence->slowdown > SLOWED) ||
		(!steady && (evidence->new - evidence->old) * LITTLE < evidence->old))
		return false;
	if (suspicion->container != NODE_UNKNOWN)
		old = snapshot_same_node(looks->snapshots[0], last_of(looks), suspicion->container);
	const struct snapshot_map *before = map_of(looks->snapshots[0], old);
	const struct snapshot_map *after = map_of(last_of(looks), suspicion->container);
	evidence->entries_known = after != NULL;
	evidence->entries_old = before ? before->entries : 0;
	evidence->entries_new = after ? after->entries : 0;
	if (after && evidence->entries_new <= evidence->entries_old)
		return false;
	if (suspicion->before >= BEFORE_MIN &&
		suspicion->gone > suspicion->before / (steady ? GONE_STEADY : GONE))
		return false;
	return suspicion->added >= ADDED_MIN || after || array_grew(suspicions, suspicion);
}

// Sentences.

static void rate_append(struct text *text, const struct looks *looks, uint64_t bytes)
{
	uint64_t first = looks->clocks[0], last = looks->clocks[looks->count - 1];
	char buffer[24];

	if (!first || last <= first)
		return;
	text_printf(text, " in %s", format_duration(buffer, sizeof(buffer), last - first));
	double rate = (double)bytes / ((double)(last - first) / 1e9);
	text_printf(text, ", %s a second", format_bytes(buffer, sizeof(buffer), (uint64_t)rate));
}

static void history_append(struct text *text, const struct looks *looks,
	const struct suspicion *suspicion, const struct evidence *evidence)
{
	char gone[24], before[24], old[24], new[24];

	if (evidence->entries_known)
		text_printf(text, "; %s entries became %s",
			format_count(old, sizeof(old), evidence->entries_old),
			format_count(new, sizeof(new), evidence->entries_new));
	if (suspicion->before >= BEFORE_MIN)
		text_printf(text, "; of %s objects that were there before, %s %s gone",
			format_count(before, sizeof(before), suspicion->before),
			suspicion->gone ? format_count(gone, sizeof(gone), suspicion->gone)
					: "none",
			suspicion->gone > 1 ? "are" : "is");
	if (looks->count > 2)
		text_printf(text, "; each of %" PRIu32 " looks found more than the one before",
			looks->count);
}

static void container_sentence(struct text *text, const struct suspicions *suspicions,
	const struct suspicion *suspicion, const struct evidence *evidence)
{
	const struct snapshot *last = last_of(suspicions->looks);
	const char *type = snapshot_type(last, suspicion->container);
	char bytes[24], old[24], new[24];

	if (suspicion->container >= last->object_count)
		text_append(
			text, last->strings + snapshot_holder(last, suspicion->container)->name);
	else
		text_printf(text, "a %s", type);
	text_printf(text, " grew by %s", format_bytes(bytes, sizeof(bytes), suspicion->bytes));
	if (!suspicion->shared)
		text_printf(text, " to %s", format_bytes(new, sizeof(new), evidence->new));
	rate_append(text, suspicions->looks, suspicion->bytes);
	if (suspicion->label != NODE_UNKNOWN && suspicion->added > 0)
		text_printf(text, ", %s%s", last->strings + last->labels[suspicion->label],
			suspicion->shared ? " that others refer to as well" : " above all");
	if (suspicion->shared)
		text_printf(text, ", of which there were %s and are %s",
			format_count(old, sizeof(old), evidence->old),
			format_count(new, sizeof(new), evidence->new));
	history_append(text, suspicions->looks, suspicion, evidence);
}

static void pileup_sentence(struct text *text, const struct suspicions *suspicions,
	const struct suspicion *suspicion, const struct evidence *evidence)
{
	const struct snapshot *last = last_of(suspicions->looks);
	char bytes[24], old[24], new[24];

	text_printf(text, "%s objects of type %s became %s, which keep %s more",
		format_count(old, sizeof(old), evidence->old),
		last->strings + last->labels[suspicion->label],
		format_count(new, sizeof(new), evidence->new),
		format_bytes(bytes, sizeof(bytes), suspicion->bytes));
	rate_append(text, suspicions->looks, suspicion->bytes);
	text_append(text, ", and no container has most of them");
	history_append(text, suspicions->looks, suspicion, evidence);
}

static struct error *finding_fill(const struct suspicions *suspicions,
	const struct suspicion *suspicion, const struct evidence *evidence, struct hw_arena *arena,
	struct report_finding *out)
{
	const struct snapshot *last = last_of(suspicions->looks);
	bool contained = suspicion->container != NODE_UNKNOWN;
	uint32_t subject =
		suspicion->example == NODE_UNKNOWN ? suspicion->container : suspicion->example;
	const char *type = suspicion->label == NODE_UNKNOWN
				   ? snapshot_type(last, suspicion->container)
				   : last->strings + last->labels[suspicion->label];
	_cleanup_text_ struct text what = TEXT_INIT;
	struct node_path path = {0};

	(contained ? container_sentence : pileup_sentence)(&what, suspicions, suspicion, evidence);
	uint64_t entries = evidence->entries_new - evidence->entries_old;
	*out = (struct report_finding){
		.rule = contained ? "unbounded-growth" : "type-pileup",
		.account = "viewed",
		.bytes = suspicion->bytes,
		.remedy_bytes = suspicion->bytes,
		.objects = evidence->entries_known ? entries
			   : suspicion->added > 0  ? (uint64_t)suspicion->added
						   : 1,
		.type = clean_string(arena, type),
		.what = what.failed ? NULL : clean_string(arena, what.bytes),
		.remedy =
			contained
				? "delete from it what is done with, or give it a limit (entries, "
				  "bytes or age); if it is still filling up to one, look again "
				  "later"
				: "find out on the path who keeps each of them, and let go when it "
				  "is done with",
		.condition = "",
		.state = "",
		.stack = {.created_by = {"", "", 0}},
	};
	struct error *err = snapshot_path(last, arena, subject, PATH_NODES, &path);
	out->path = path.nodes;
	out->path_count = path.count;
	return err || (out->type && out->what) ? err : error_no_memory();
}

static int compare_findings(const void *a, const void *b)
{
	const struct report_finding *one = a, *other = b;

	return one->bytes < other->bytes   ? 1
	       : one->bytes > other->bytes ? -1
					   : strcmp(one->what, other->what);
}

static struct error *findings_make(
	const struct suspicions *suspicions, struct hw_arena *arena, struct growth *out)
{
	for (size_t i = 0; i < suspicions->list.count; i++) {
		const struct suspicion *suspicion = &suspicions->list.items[i];
		struct evidence evidence = {0};
		struct report_finding finding;

		if (!is_growth(suspicions, suspicion, &evidence))
			continue;
		struct error *err = finding_fill(suspicions, suspicion, &evidence, arena, &finding);
		if (err)
			return err;
		if (!hw_vector_push(&out->findings, finding))
			return error_no_memory();
		out->bytes += finding.bytes;
	}
	if (out->findings.count)
		qsort(out->findings.items, out->findings.count, sizeof(*out->findings.items),
			compare_findings);
	return NULL;
}

static struct error *suspicions_find(struct suspicions *suspicions)
{
	const struct lineage *lineage = suspicions->lineage;

	for (uint32_t i = 0; i < lineage->root; i++)
		suspicions->owner[i] = lineage_stayed(lineage, i) ? i : NODE_UNKNOWN;
	suspicions->owner[lineage->root] = lineage->root;
	nearest_fill(lineage->up, lineage->root, suspicions->owner);
	struct error *err = suspicions_dominating(suspicions);
	return err ? err : suspicions_shared(suspicions);
}

struct error *growth_find(const struct looks *looks, struct hw_arena *arena, struct growth *out)
{
	struct suspicions suspicions = {.looks = looks};
	struct growth growth = {0};
	struct error *err =
		lineage_create(looks->snapshots[0], last_of(looks), &suspicions.lineage);

	if (err)
		return err;
	suspicions.owner = malloc(suspicions.lineage->count * sizeof(*suspicions.owner));
	err = suspicions.owner ? suspicions_find(&suspicions) : error_no_memory();
	if (!err)
		err = findings_make(&suspicions, arena, &growth);
	hw_vector_deinit(&suspicions.list);
	free(suspicions.owner);
	lineage_destroy(suspicions.lineage);
	if (err)
		growth_deinit(&growth);
	else
		*out = growth;
	return err;
}

void growth_deinit(struct growth *growth)
{
	hw_vector_deinit(&growth->findings);
}
