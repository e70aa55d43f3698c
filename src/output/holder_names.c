// What holders are called. See holder_names.h.
#include "output/holder_names.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "goruntime/positions.h"

void holder_name_append(
	struct text *text, const struct analysis *analysis, const struct holder *holder)
{
	char count[24];

	switch (holder->kind) {
	case HOLDER_GLOBAL:
		if (holder->named)
			text_append(text, holder->global.name);
		else
			text_printf(text, "global at 0x%" PRIx64, holder->global.start);
		break;
	case HOLDER_GOROUTINE:
		if (holder->goroutines == 1)
			text_printf(text, "goroutine %" PRIu64,
				analysis->goroutines->goroutines[holder->first_goroutine].id);
		else
			text_printf(text, "%s goroutines",
				format_count(count, sizeof(count), holder->goroutines));
		text_printf(text, " in %s",
			goroutine_function(analysis->goroutines, holder->first_goroutine));
		break;
	case HOLDER_FINALIZER:
		text_append(text, "finalizers and cleanups");
		break;
	case HOLDER_QUEUE:
		text_append(text, "finalizers and cleanups waiting to run");
		break;
	case HOLDER_RUNTIME:
		text_append(text, "the runtime itself");
		break;
	}
}

const char *holder_kind_name(enum holder_kind kind)
{
	static const char *const names[] = {
		[HOLDER_GLOBAL] = "global",
		[HOLDER_GOROUTINE] = "goroutine",
		[HOLDER_FINALIZER] = "finalizer",
		[HOLDER_QUEUE] = "finalizer",
		[HOLDER_RUNTIME] = "other",
	};

	return names[kind];
}

// A goroutine has many roots: the first one that points to `to`. NULL when there is none.
static const struct root *holder_root(
	const struct analysis *analysis, const struct root_holder *fine, object_id to)
{
	const struct roots *roots = &analysis->roots;

	if (fine->first_root == UINT32_MAX)
		return NULL;
	const struct root *first = &roots->list.items[fine->first_root];
	for (const struct root *root = first; root < roots->list.items + roots->list.count; root++)
		if (root->kind == first->kind && root->owner == first->owner &&
			heap_find(analysis->heap, root->value) == to)
			return root;
	return NULL;
}

void holder_edge_name(
	const struct analysis *analysis, node_id from, object_id to, char *buffer, size_t size)
{
	const struct root_holder *fine =
		&analysis->root_holders[from - graph_holder_node(analysis->graph, 0)];
	const struct holder *holder = &analysis->holders[fine->holder];
	const struct root *root = holder_root(analysis, fine, to);
	const char *name;

	*buffer = '\0';
	if (!root)
		return;
	if (root->kind == ROOT_STACK && typing_local(analysis->typing, root, &name))
		snprintf(buffer, size, "%s", name);
	else if (holder->kind == HOLDER_GLOBAL && holder->named && holder->global.type)
		type_describe_offset(
			holder->global.type, root->slot - holder->global.start, buffer, size);
}
