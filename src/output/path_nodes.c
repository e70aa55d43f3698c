// See path_nodes.h.
#include "output/path_nodes.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "output/clean.h"
#include "output/holder_names.h"

static bool holder_node_fill(struct hw_arena *arena, const struct analysis *analysis,
	const struct holder *holder, remote_addr address, struct path_node *out)
{
	const struct go_type *type = holder->named ? holder->global.type : NULL;
	_cleanup_text_ struct text name = TEXT_INIT;

	holder_name_append(&name, analysis, holder);
	*out = (struct path_node){
		.kind = holder_kind_name(holder->kind),
		.name = clean_string(arena, name.bytes),
		.type = clean_string(arena, type ? type->name : ""),
		.address = address,
	};
	return !name.failed && out->name && out->type;
}

static bool fine_node_fill(struct hw_arena *arena, const struct analysis *analysis, node_id node,
	struct path_node *out)
{
	const struct root_holder *fine =
		&analysis->root_holders[node - graph_holder_node(analysis->graph, 0)];
	remote_addr address = fine->goroutine == UINT32_MAX
				      ? analysis->roots.list.items[fine->first_root].slot
				      : 0;

	return holder_node_fill(arena, analysis, &analysis->holders[fine->holder], address, out);
}

static bool object_node_fill(struct hw_arena *arena, const struct analysis *analysis, node_id from,
	object_id object, struct path_node *out)
{
	char edge[200] = "";

	if (from == NODE_NONE)
		; // left out
	else if (from < analysis->heap->object_count)
		typing_edge(analysis->typing, from, object, edge, sizeof(edge));
	else
		holder_edge_name(analysis, from, object, edge, sizeof(edge));
	*out = (struct path_node){
		.kind = "object",
		.name = clean_string(arena, edge),
		.type = clean_string(arena, typing_label_name(analysis->typing,
						    typing_label_of(analysis->typing, object))),
		.address = heap_address(analysis->heap, object),
	};
	return out->name && out->type;
}

static struct error *group_path_find(struct hw_arena *arena, const struct analysis *analysis,
	uint32_t group, struct node_path *out)
{
	struct path_node *node = hw_arena_calloc(arena, 1, sizeof(*node));

	if (!node || !holder_node_fill(arena, analysis, &analysis->holders[group], 0, node))
		return error_no_memory();
	*out = (struct node_path){.nodes = node, .count = 1};
	return NULL;
}

struct error *node_path_find(struct hw_arena *arena, struct analysis *analysis, node_id node,
	uint32_t most, struct node_path *out)
{
	node_id first_group = graph_group_node(analysis->graph, 0);
	size_t skipped = 0;

	if (node >= first_group && node - first_group < analysis->holder_count)
		return group_path_find(arena, analysis, node - first_group, out);
	_cleanup_free_ node_id *nodes = calloc(most, sizeof(*nodes));
	if (!nodes)
		return error_no_memory();
	size_t count = graph_path(analysis->graph, node, nodes, most, &skipped);
	struct node_path path = {
		.nodes = hw_arena_calloc(arena, count, sizeof(*path.nodes)),
		.count = (uint32_t)count,
		.skip_at = skipped ? most / 2 : 0,
		.skipped = skipped,
	};
	bool done = path.nodes;
	for (size_t i = 0; i < count && done; i++) {
		node_id from = i == path.skip_at && skipped ? NODE_NONE : i ? nodes[i - 1] : 0;
		done = i ? object_node_fill(arena, analysis, from, nodes[i], &path.nodes[i])
			 : fine_node_fill(arena, analysis, nodes[0], &path.nodes[0]);
	}
	if (!done)
		return error_no_memory();
	*out = path;
	return NULL;
}
