// Why is this object alive? See paths.h.
#include "output/paths.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "output/clean.h"
#include "output/json.h"
#include "output/names.h"

enum { NODES_MAX = 40 }; // of one path; longer ones lose their middle

struct candidate {
	object_id object;
	uint64_t retained;
};

// The objects that are meant, the largest first.
struct candidates {
	struct candidate *items; // `most` of them
	uint32_t count, most;
};

static void candidates_offer(struct candidates *candidates, struct candidate offered)
{
	uint32_t at = candidates->count;

	if (at == candidates->most) {
		if (candidates->items[at - 1].retained >= offered.retained)
			return;
		at--;
	} else {
		candidates->count++;
	}
	for (; at > 0 && candidates->items[at - 1].retained < offered.retained; at--)
		candidates->items[at] = candidates->items[at - 1];
	candidates->items[at] = offered;
}

static bool parse_address(const char *subject, remote_addr *address)
{
	char *end;

	if (strncmp(subject, "0x", 2) && strncmp(subject, "0X", 2))
		return false;
	errno = 0;
	*address = strtoull(subject, &end, 16);
	return !*end && !errno;
}

static struct error *find_address(struct analysis *analysis, remote_addr address,
	struct candidates *candidates, struct paths *paths)
{
	object_id object = heap_find(analysis->heap, address);

	if (object == OBJECT_NONE || !heap_bit(analysis->heap->allocated, object))
		return error_create(
			ERROR_TARGET, "0x%" PRIx64 ": there is no object of Go's heap", address);
	uint64_t retained = graph_retained(analysis->graph, object);
	candidates_offer(candidates, (struct candidate){object, retained});
	paths->object_count = 1;
	paths->retained_bytes = retained;
	return NULL;
}

static bool type_is_meant(const char *name, const char *subject)
{
	_cleanup_text_ struct text plain = TEXT_INIT;

	if (!strcmp(name, subject))
		return true;
	name_append_plain(&plain, name);
	return !strcmp(plain.bytes, subject);
}

// Which labels `subject` means, a byte each; several when packages of the same name have a type of the same name. NULL
// when none or out of memory.
static bool *labels_meant(const struct analysis *analysis, const char *subject)
{
	uint32_t count = typing_label_count(analysis->typing);
	bool *meant = calloc((size_t)count + 1, sizeof(*meant)), any = false;

	for (uint32_t i = 0; meant && i < count; i++)
		any |= meant[i] = type_is_meant(typing_label_name(analysis->typing, i), subject);
	if (!any) {
		free(meant);
		return NULL;
	}
	return meant;
}

// The objects whose labels are meant, for graph_outermost.
struct type_search {
	const struct typing *typing;
	const bool *meant;
	struct candidates *candidates;
};

static uint32_t meant_label(void *context, object_id object)
{
	const struct type_search *search = context;

	return search->meant[typing_label_of(search->typing, object)] ? 0 : UINT32_MAX;
}

static void meant_found(void *context, node_id object, uint32_t label, uint64_t retained)
{
	const struct type_search *search = context;

	candidates_offer(search->candidates, (struct candidate){object, retained});
}

// An element of a list leads to the next one: only the first is worth a path. So the candidates are
// the objects that no other one of the type dominates.
static struct error *find_type(struct analysis *analysis, const char *subject,
	struct candidates *candidates, struct paths *paths)
{
	const uint64_t *reached = graph_reached(analysis->graph);
	size_t words = ((size_t)analysis->heap->object_count + 63) / 64;
	_cleanup_free_ bool *meant = labels_meant(analysis, subject);
	_cleanup_free_ uint64_t *set = calloc(words + 1, sizeof(*set));
	struct type_search search = {analysis->typing, meant, candidates};
	uint64_t count;

	if (!set)
		return error_no_memory();
	for (object_id id = 0; meant && id < analysis->heap->object_count; id++) {
		if (!heap_bit(reached, id) || !meant[typing_label_of(analysis->typing, id)])
			continue;
		set[id >> 6] |= UINT64_C(1) << (id & 63);
		paths->object_count++;
	}
	if (!paths->object_count)
		return error_create(ERROR_TARGET,
			"%s: neither an address (0x...) nor the type of a live object; 'heapwhy "
			"TARGET' lists types",
			paths->subject);
	struct error *err =
		graph_outermost(analysis->graph, meant_label, &search, 1, meant_found, &search);
	if (!err)
		err = graph_retained_set(analysis->graph, set, &paths->retained_bytes, &count);
	return err;
}

static struct error *path_fill(struct paths *paths, struct analysis *analysis,
	const struct candidate *candidate, struct object_path *out)
{
	uint32_t label = typing_label_of(analysis->typing, candidate->object);
	bool alive = heap_bit(graph_reached(analysis->graph), candidate->object);

	*out = (struct object_path){
		.address = heap_address(analysis->heap, candidate->object),
		.bytes = heap_size(analysis->heap, candidate->object),
		.retained_bytes = candidate->retained,
		.type = clean_string(&paths->arena,
			alive ? typing_label_name(analysis->typing, label) : "unknown"),
	};
	if (!out->type)
		return error_no_memory();
	return node_path_find(&paths->arena, analysis, candidate->object, NODES_MAX, &out->path);
}

static struct error *paths_fill(
	struct paths *paths, struct analysis *analysis, const char *subject, uint32_t most)
{
	_cleanup_free_ struct candidate *items = calloc((size_t)most + 1, sizeof(*items));
	struct candidates candidates = {.items = items, .most = most};
	remote_addr address;
	struct error *err;

	paths->subject = clean_string(&paths->arena, subject);
	paths->list = hw_arena_calloc(&paths->arena, most, sizeof(*paths->list));
	if (!items || !paths->subject || !paths->list)
		return error_no_memory();
	err = parse_address(subject, &address) ? find_address(analysis, address, &candidates, paths)
					       : find_type(analysis, subject, &candidates, paths);
	for (uint32_t i = 0; i < candidates.count && !err; i++) {
		err = path_fill(paths, analysis, &candidates.items[i], &paths->list[i]);
		paths->count++;
	}
	return err;
}

struct error *paths_find(
	struct analysis *analysis, const char *subject, uint32_t most, struct paths **out)
{
	struct paths *paths = calloc(1, sizeof(*paths));

	if (!paths)
		return error_no_memory();
	hw_arena_init(&paths->arena, 0);
	struct error *err = paths_fill(paths, analysis, subject, most);
	if (err) {
		paths_destroy(paths);
		return err;
	}
	*out = paths;
	return NULL;
}

void paths_destroy(struct paths *paths)
{
	if (!paths)
		return;
	hw_arena_deinit(&paths->arena);
	free(paths);
}

static void write_node(
	const struct path_node *node, unsigned depth, const struct style *style, struct text *text)
{
	_cleanup_text_ struct text line = TEXT_INIT;

	text_printf(&line, "%*s%s", (int)(depth < 20 ? 2 * depth : 40), "",
		depth ? (style->utf8 ? "└ " : "+ ") : "");
	name_append_plain(&line, node->name);
	if (*node->name && *node->type)
		text_append_char(&line, ' ');
	name_append_plain(&line, node->type);
	text_append(text, "  ");
	name_append_cut(text, line.bytes, style->width - 18, style);
	if (node->address)
		text_printf(text, "  %s0x%" PRIx64 "%s", style_dim(style), node->address,
			style_reset(style));
	text_append_char(text, '\n');
	if (line.failed)
		text->failed = true;
}

static void write_path(const struct object_path *path, const struct style *style, struct text *text)
{
	char own[24], retained[24];

	text_printf(
		text, "\n%s0x%" PRIx64 "%s ", style_bold(style), path->address, style_reset(style));
	name_append_plain(text, path->type);
	text_printf(text, ": %s, keeps %s\n", format_bytes(own, sizeof(own), path->bytes),
		format_bytes(retained, sizeof(retained), path->retained_bytes));
	if (!path->path.count)
		text_append(text, "  nothing keeps it: garbage that is not collected yet\n");
	for (uint32_t i = 0; i < path->path.count; i++) {
		if (path->path.skipped && i == path->path.skip_at)
			text_printf(text, "  %s (%" PRIu64 " more objects) %s\n",
				style_ellipsis(style), path->path.skipped, style_ellipsis(style));
		write_node(&path->path.nodes[i], i, style, text);
	}
}

struct error *paths_text(const struct paths *paths, const struct style *style, struct text *text)
{
	char count[24], retained[24];

	text_printf(text, "%s%s%s: %s %s, %s in all\n", style_bold(style), paths->subject,
		style_reset(style), format_count(count, sizeof(count), paths->object_count),
		paths->object_count == 1 ? "object keeps" : "objects keep",
		format_bytes(retained, sizeof(retained), paths->retained_bytes));
	for (uint32_t i = 0; i < paths->count; i++)
		write_path(&paths->list[i], style, text);
	return text->failed ? error_no_memory() : NULL;
}

static json_t *path_json(const struct object_path *path)
{
	json_t *nodes = json_array();

	for (uint32_t i = 0; i < path->path.count; i++) {
		const struct path_node *node = &path->path.nodes[i];
		nodes = json_array_with(nodes,
			json_pack("{s:s, s:s, s:s, s:I}", "kind", node->kind, "name", node->name,
				"type", node->type, "address", (json_int_t)node->address));
	}
	return json_pack("{s:I, s:s, s:I, s:I, s:o, s:i, s:I}", "address",
		(json_int_t)path->address, "type", path->type, "bytes", (json_int_t)path->bytes,
		"retained_bytes", (json_int_t)path->retained_bytes, "path", nodes, "skip_at",
		(int)path->path.skip_at, "skipped", (json_int_t)path->path.skipped);
}

struct error *paths_json(const struct paths *paths, struct text *text)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < paths->count; i++)
		list = json_array_with(list, path_json(&paths->list[i]));
	json_t *root = json_pack("{s:i, s:s, s:I, s:I, s:o}", "schema", 1, "subject",
		paths->subject, "objects", (json_int_t)paths->object_count, "retained_bytes",
		(json_int_t)paths->retained_bytes, "paths", list);
	return json_print(root, text);
}
