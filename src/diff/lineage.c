// Two tables of objects in order of their addresses are walked side by side; then sums go up the tree of dominators,
// leaves first. Every table comes from a file: numbers are within bounds (snapshot_load), but a ring of dominators, which
// no heap has, must end nothing but itself.
#include "diff/lineage.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/map.h"
#include "output/names.h"

const char *snapshot_type(const struct snapshot *snapshot, uint32_t node)
{
	return snapshot->strings + (node < snapshot->object_count
						   ? snapshot->labels[snapshot->objects[node].label]
						   : snapshot_holder(snapshot, node)->type);
}

uint64_t snapshot_retained(const struct snapshot *snapshot, uint32_t node)
{
	return node < snapshot->object_count ? snapshot->objects[node].retained_bytes
					     : snapshot_holder(snapshot, node)->retained_bytes;
}

// "[]*runtime.timer" is made of "runtime.timer".
static const char *type_element(const char *type)
{
	return type + strspn(type, "[]*0123456789");
}

static bool type_is_runtimes(const char *type)
{
	return !strncmp(type_element(type), "runtime.", 8);
}

// Maps and channels whose own types are not known are called after what the runtime makes them of (runtime/map.go, up to
// 1.23; runtime/chan.go), and belong to the program all the same.
static bool type_is_kept_by_runtime(const char *type)
{
	static const char *const programs[] = {
		"runtime.hmap", "runtime.bmap", "runtime.mapextra", "runtime.hchan"};

	for (size_t i = 0; i < ARRAY_COUNT(programs); i++)
		if (!strcmp(type_element(type), programs[i]))
			return false;
	return type_is_runtimes(type);
}

bool snapshot_is_part(const struct snapshot *snapshot, uint32_t object)
{
	static const char *const prefixes[] = {
		"sync.", "internal/sync.", "maps.", "list.Element", "time.Timer", "interface {}"};

	if (object >= snapshot->object_count)
		return false;
	const char *type = type_element(snapshot_type(snapshot, object));
	for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
		if (!strncmp(type, prefixes[i], strlen(prefixes[i])))
			return true;
	return type_is_runtimes(type) || name_is_map_part(type);
}

// What a sync.Pool keeps hangs on arrays of these.
static bool is_pool(const struct snapshot *snapshot, uint32_t object)
{
	return !strncmp(type_element(snapshot_type(snapshot, object)), "sync.poolLocal", 14);
}

static uint32_t node_count(const struct snapshot *snapshot)
{
	return (uint32_t)(snapshot->object_count + snapshot->holder_count + snapshot->group_count);
}

static bool is_group(const struct snapshot *snapshot, uint32_t node)
{
	return node >= snapshot->object_count + snapshot->holder_count;
}

static const char *holder_name(const struct snapshot *snapshot, uint32_t holder)
{
	return snapshot->strings + snapshot_holder(snapshot, holder)->name;
}

// A variable, or a single goroutine, whose name has its number: no other one gets it.
static bool is_lasting(const struct snapshot *snapshot, uint32_t holder)
{
	return !strcmp(snapshot->strings + snapshot_holder(snapshot, holder)->kind, "global") ||
	       !strncmp(holder_name(snapshot, holder), "goroutine ", 10);
}

static bool objects_same(const struct snapshot *one, const struct snapshot_object *object,
	const struct snapshot *other, const struct snapshot_object *twin)
{
	return object->address == twin->address && object->bytes == twin->bytes &&
	       !strcmp(one->strings + one->labels[object->label],
		       other->strings + other->labels[twin->label]);
}

// A word of a variable is told by its address: in stripped programs it is called after what it holds, too.
static bool holders_same(
	const struct snapshot *one, uint32_t holder, const struct snapshot *other, uint32_t twin)
{
	uint64_t address = snapshot_holder(one, holder)->address;

	return address == snapshot_holder(other, twin)->address &&
	       is_group(one, holder) == is_group(other, twin) && is_lasting(one, holder) &&
	       is_lasting(other, twin) &&
	       (address || !strcmp(holder_name(one, holder), holder_name(other, twin)));
}

static int compare_addresses(const void *key, const void *item)
{
	uint64_t address = *(const uint64_t *)key;
	const struct snapshot_object *object = item;

	return address < object->address ? -1 : address > object->address;
}

uint32_t snapshot_same_node(
	const struct snapshot *snapshot, const struct snapshot *like, uint32_t node)
{
	if (node < like->object_count) {
		const struct snapshot_object *object = &like->objects[node];
		const struct snapshot_object *twin = bsearch(&object->address, snapshot->objects,
			snapshot->object_count, sizeof(*twin), compare_addresses);

		return twin && objects_same(snapshot, twin, like, object)
			       ? (uint32_t)(twin - snapshot->objects)
			       : NODE_UNKNOWN;
	}
	for (uint32_t i = (uint32_t)snapshot->object_count; i < node_count(snapshot); i++)
		if (holders_same(snapshot, i, like, node))
			return i;
	return NODE_UNKNOWN;
}

// Who is who.

// FNV-1a.
static uint64_t name_hash(const char *name, uint64_t seed)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return hash;
}

// Groups have no address; a group of one word of a variable has the variable's name like any other.
static uint64_t holder_hash(const struct snapshot *snapshot, uint32_t holder)
{
	uint64_t address = snapshot_holder(snapshot, holder)->address;

	return name_hash(
		address ? "" : holder_name(snapshot, holder), address + is_group(snapshot, holder));
}

static void objects_match(struct lineage *lineage, uint32_t *became)
{
	const struct snapshot *old = lineage->old, *new = lineage->new;

	for (uint64_t i = 0, j = 0; i < old->object_count && j < new->object_count;) {
		const struct snapshot_object *one = &old->objects[i], *other = &new->objects[j];

		if (objects_same(old, one, new, other)) {
			became[i] = (uint32_t)j;
			lineage->nodes[j].was = (uint32_t)i;
		}
		i += one->address <= other->address;
		j += other->address <= one->address;
	}
}

static struct error *holders_match(struct lineage *lineage, uint32_t *became)
{
	const struct snapshot *old = lineage->old, *new = lineage->new;
	struct hw_map known;
	uint64_t twin;
	bool done = true;

	hw_map_init(&known);
	for (uint32_t i = (uint32_t)old->object_count; i < node_count(old) && done; i++)
		done = hw_map_put(&known, holder_hash(old, i), i);
	for (uint32_t i = (uint32_t) new->object_count; i < node_count(new) && done; i++) {
		if (hw_map_get(&known, holder_hash(new, i), &twin) &&
			holders_same(old, (uint32_t)twin, new, i)) {
			became[twin] = i;
			lineage->nodes[i].was = (uint32_t)twin;
		}
	}
	hw_map_deinit(&known);
	return done ? NULL : error_no_memory();
}

// The node above each: its dominator, of a holder the group that it belongs to.
static struct error *up_fill(const struct snapshot *snapshot, uint32_t *up)
{
	uint32_t first = (uint32_t)snapshot->object_count, root = node_count(snapshot);
	uint32_t groups = first + (uint32_t)snapshot->holder_count;
	struct hw_map known;
	uint64_t group;
	bool done = true;

	for (uint32_t i = 0; i < first; i++) {
		uint32_t dominator = snapshot->objects[i].dominator;
		up[i] = dominator == SNAPSHOT_ROOT ? root : dominator;
	}
	hw_map_init(&known);
	for (uint32_t i = groups; i < root && done; i++)
		done = hw_map_put(&known, name_hash(holder_name(snapshot, i), 0), i);
	for (uint32_t i = first; i < groups; i++)
		up[i] = hw_map_get(&known, name_hash(holder_name(snapshot, i), 0), &group)
				? (uint32_t)group
				: root;
	for (uint32_t i = groups; i <= root; i++)
		up[i] = root;
	hw_map_deinit(&known);
	return done ? NULL : error_no_memory();
}

// Each step is made once: what was found is noted all the way down.
void nearest_fill(const uint32_t *up, uint32_t root, uint32_t *found)
{
	for (uint32_t i = 0; i <= root; i++) {
		uint32_t at = i, steps = 0;

		while (found[at] == NODE_UNKNOWN && steps++ <= root)
			at = up[at];
		uint32_t answer = found[at] == NODE_UNKNOWN ? found[root] : found[at];
		for (at = i; found[at] == NODE_UNKNOWN; at = up[at])
			found[at] = answer;
	}
}

void snapshot_parents(const struct snapshot *snapshot, uint32_t *parents)
{
	uint32_t root = node_count(snapshot);

	for (uint32_t i = 0; i <= root; i++)
		parents[i] =
			i < snapshot->object_count && snapshot->objects[i].parent != SNAPSHOT_ROOT
				? snapshot->objects[i].parent
				: root;
}

// Which objects are in pools: 1, or 0.
static struct error *pooled_fill(const struct snapshot *snapshot, uint32_t *pooled)
{
	uint32_t root = node_count(snapshot);
	_cleanup_free_ uint32_t *parents = malloc(((size_t)root + 1) * sizeof(*parents));

	if (!parents)
		return error_no_memory();
	snapshot_parents(snapshot, parents);
	for (uint32_t i = 0; i < root; i++)
		pooled[i] = i < snapshot->object_count && is_pool(snapshot, i) ? 1 : NODE_UNKNOWN;
	pooled[root] = 0;
	nearest_fill(parents, root, pooled);
	return NULL;
}

// Counting.

// Slots are used again: an object that refers to nothing that it referred to before is another one of the same kind.
static bool object_replaced(const struct lineage *lineage, uint32_t object)
{
	enum { LOOKED_AT = 8 };
	const struct snapshot *old = lineage->old, *new = lineage->new;
	uint32_t was = lineage->nodes[object].was;
	uint64_t from = new->edge_starts[object], to = new->edge_starts[object + 1];
	uint64_t old_from = old->edge_starts[was], old_to = old->edge_starts[was + 1];

	for (uint64_t i = from; i < to && i < from + LOOKED_AT; i++)
		for (uint64_t j = old_from; j < old_to && j < old_from + LOOKED_AT; j++)
			if (new->objects[new->edges[i]].address ==
				old->objects[old->edges[j]].address)
				return false;
	return from < to && old_from < old_to;
}

static void appeared_count(struct lineage *lineage, const uint32_t *pooled)
{
	for (uint32_t i = 0; i < lineage->new->object_count; i++) {
		struct lineage_node *node = &lineage->nodes[i];
		bool counts = !snapshot_is_part(lineage->new, i);

		if (pooled[i])
			continue;
		if (lineage_stayed(lineage, i)) {
			bool replaced = counts && object_replaced(lineage, i);
			node->stayed += counts && !replaced;
			node->appeared += replaced;
			node->gone += replaced;
		} else {
			node->bytes += (int64_t)lineage->new->objects[i].bytes;
			node->appeared += counts;
		}
	}
}

// `became` of an older node: the newer one, or NODE_UNKNOWN.
static struct error *gone_count(struct lineage *lineage, const uint32_t *became)
{
	const struct snapshot *old = lineage->old;
	uint32_t root = node_count(old);
	_cleanup_free_ uint32_t *up = malloc(((size_t)root + 1) * sizeof(*up));
	_cleanup_free_ uint32_t *heir = malloc(((size_t)root + 1) * sizeof(*heir));
	_cleanup_free_ uint32_t *pooled = malloc(((size_t)root + 1) * sizeof(*pooled));

	if (!up || !heir || !pooled)
		return error_no_memory();
	struct error *err = pooled_fill(old, pooled);
	if (!err)
		err = up_fill(old, up);
	if (err)
		return err;
	memcpy(heir, became, (size_t)root * sizeof(*heir));
	heir[root] = lineage->root;
	nearest_fill(up, root, heir);
	for (uint32_t i = 0; i < old->object_count; i++) {
		struct lineage_node *node = &lineage->nodes[heir[i]];

		if (became[i] != NODE_UNKNOWN || pooled[i])
			continue;
		node->bytes -= (int64_t)old->objects[i].bytes;
		node->gone += !snapshot_is_part(old, i);
	}
	return NULL;
}

static struct error *sums_lift(struct lineage *lineage)
{
	const uint32_t *up = lineage->up;
	_cleanup_free_ uint32_t *below = calloc(lineage->count, sizeof(*below));

	if (!below)
		return error_no_memory();
	for (uint32_t i = 0; i < lineage->root; i++)
		below[up[i]]++;
	for (uint32_t i = 0; i < lineage->root; i++) {
		// From a leaf upwards, as long as everything below is summed up.
		for (uint32_t at = i; at != lineage->root && below[at] == 0; at = up[at]) {
			const struct lineage_node *node = &lineage->nodes[at];
			struct lineage_node *above = &lineage->nodes[up[at]];

			below[at] = NODE_UNKNOWN; // done
			above->bytes += node->bytes;
			above->appeared += node->appeared;
			above->gone += node->gone;
			above->stayed += node->stayed;
			below[up[at]]--;
		}
	}
	return NULL;
}

// The runtime's own variables, and the pools of sync, which collections empty, are nobody's containers.
static enum keeper_kind holder_keeper(const struct snapshot *snapshot, uint32_t holder)
{
	const char *kind = snapshot->strings + snapshot_holder(snapshot, holder)->kind;
	const char *name = holder_name(snapshot, holder);

	if (!strcmp(kind, "goroutine"))
		return KEEPER_GOROUTINE;
	// Variables of stripped programs are called after their type and the functions that use them.
	if (strcmp(kind, "global") != 0 || !strncmp(name, "runtime.", 8) ||
		!strncmp(name, "sync.", 5) || strstr(name, " used by runtime.") ||
		type_is_kept_by_runtime(snapshot_type(snapshot, holder)))
		return KEEPER_RUNTIME;
	return KEEPER_GLOBAL;
}

static struct error *keepers_fill(struct lineage *lineage, const uint32_t *pooled)
{
	_cleanup_free_ uint32_t *keeper = malloc(lineage->count * sizeof(*keeper));

	if (!keeper)
		return error_no_memory();
	for (uint32_t i = 0; i < lineage->root; i++) {
		if (i >= lineage->new->object_count)
			keeper[i] = holder_keeper(lineage->new, i);
		else if (pooled[i])
			keeper[i] = KEEPER_POOL;
		else
			keeper[i] = type_is_kept_by_runtime(snapshot_type(lineage->new, i))
					    ? (uint32_t)KEEPER_RUNTIME
					    : NODE_UNKNOWN;
	}
	keeper[lineage->root] = KEEPER_SHARED;
	nearest_fill(lineage->up, lineage->root, keeper);
	for (uint32_t i = 0; i < lineage->count; i++)
		lineage->keeper[i] = (uint8_t)keeper[i];
	return NULL;
}

static struct error *lineage_fill(struct lineage *lineage)
{
	uint32_t count = node_count(lineage->old);
	_cleanup_free_ uint32_t *became = malloc(((size_t)count + 1) * sizeof(*became));
	_cleanup_free_ uint32_t *pooled = malloc(lineage->count * sizeof(*pooled));

	if (!became || !pooled)
		return error_no_memory();
	memset(became, 0xff, ((size_t)count + 1) * sizeof(*became)); // NODE_UNKNOWN
	objects_match(lineage, became);
	struct error *err = holders_match(lineage, became);
	if (!err)
		err = up_fill(lineage->new, lineage->up);
	if (!err)
		err = pooled_fill(lineage->new, pooled);
	if (err)
		return err;
	appeared_count(lineage, pooled);
	err = gone_count(lineage, became);
	if (!err)
		err = sums_lift(lineage);
	return err ? err : keepers_fill(lineage, pooled);
}

struct error *lineage_create(
	const struct snapshot *old, const struct snapshot *new, struct lineage **out)
{
	struct lineage *lineage = calloc(1, sizeof(*lineage));
	struct error *err = error_no_memory();

	if (!lineage)
		return err;
	lineage->old = old;
	lineage->new = new;
	lineage->root = node_count(new);
	lineage->count = lineage->root + 1;
	lineage->nodes = calloc(lineage->count, sizeof(*lineage->nodes));
	lineage->up = malloc(lineage->count * sizeof(*lineage->up));
	lineage->keeper = malloc(lineage->count);
	if (lineage->nodes && lineage->up && lineage->keeper) {
		for (uint32_t i = 0; i < lineage->count; i++)
			lineage->nodes[i].was = NODE_UNKNOWN;
		err = lineage_fill(lineage);
	}
	if (err) {
		lineage_destroy(lineage);
		return err;
	}
	*out = lineage;
	return NULL;
}

void lineage_destroy(struct lineage *lineage)
{
	if (!lineage)
		return;
	free(lineage->nodes);
	free(lineage->up);
	free(lineage->keeper);
	free(lineage);
}
