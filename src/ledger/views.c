#include "ledger/views.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD_MAX = 1 << 16 };

struct views {
	pthread_mutex_t lock;
	struct view_table **tables; // by type's id
	uint32_t count;
};

// Stands for types without a table.
static struct view_table no_table;

struct views *views_create(struct type_table *types)
{
	struct views *views = calloc(1, sizeof(*views));

	if (!views)
		return NULL;
	views->count = type_table_count(types);
	views->tables = calloc((size_t)views->count + 1, sizeof(struct view_table *));
	if (!views->tables) {
		free(views);
		return NULL;
	}
	pthread_mutex_init(&views->lock, NULL);
	return views;
}

void views_destroy(struct views *views)
{
	if (!views)
		return;
	for (uint32_t i = 0; i < views->count; i++)
		if (views->tables[i] != &no_table)
			free(views->tables[i]);
	free((void *)views->tables);
	pthread_mutex_destroy(&views->lock);
	free(views);
}

// The runtime casts pointers to the heads and insides of its structures back and forth.
static bool is_runtime_type(const struct go_type *type)
{
	return !strcmp(type->package, "runtime") || !strncmp(type->package, "internal/", 9);
}

static struct view sized(enum view_kind kind, const struct go_type *elem)
{
	if (!elem || elem->size > UINT32_MAX)
		return (struct view){.kind = VIEW_UNKNOWN};
	if (kind == VIEW_POINTER && is_runtime_type(elem))
		return (struct view){.kind = VIEW_WHOLE};
	return (struct view){
		.kind = kind, .size = (uint32_t)elem->size, .head = elem->kind == GO_STRUCT};
}

static struct view leaf_view(const struct go_type *leaf)
{
	switch (leaf->kind) {
	case GO_POINTER:
		// In code that instances of a generic function share, go.shape.*uint8 is any pointer.
		if (!strncmp(leaf->name, "go.shape.", strlen("go.shape.")))
			return (struct view){.kind = VIEW_WHOLE};
		return sized(VIEW_POINTER, leaf->elem);
	case GO_SLICE:
		return sized(VIEW_SLICE, leaf->elem);
	case GO_STRING:
		return (struct view){.kind = VIEW_STRING, .size = 1};
	case GO_INTERFACE:
		return (struct view){.kind = VIEW_INTERFACE};
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
		return (struct view){.kind = VIEW_WHOLE};
	default:
		return (struct view){.kind = VIEW_UNKNOWN};
	}
}

static uint64_t leaf_words(const struct go_type *leaf)
{
	switch (leaf->kind) {
	case GO_SLICE:
		return 3;
	case GO_STRING:
	case GO_INTERFACE:
		return 2;
	default:
		return 1;
	}
}

static struct view_table *table_make(const struct go_type *type)
{
	uint64_t period = type->size / 8;
	struct type_walk walk;

	if (!period || period > PERIOD_MAX || type->size % 8)
		return &no_table;
	struct view_table *table = calloc(1, sizeof(*table) + period * sizeof(table->words[0]));
	if (!table)
		return &no_table;
	table->period = period;
	type_walk_begin(&walk, type);
	while (type_walk_next(&walk)) {
		uint64_t word = walk.offset / 8;
		if (walk.offset % 8 || word + leaf_words(walk.leaf) > period)
			continue;
		// An interface's first word is a type or an itab, no pointer into the heap.
		table->words[word + (walk.leaf->kind == GO_INTERFACE)] = leaf_view(walk.leaf);
	}
	return table;
}

const struct view_table *views_of(struct views *views, const struct go_type *type)
{
	while (type->kind == GO_ARRAY && type->elem)
		type = type->elem;
	if (type->id >= views->count)
		return NULL;
	struct view_table **place = &views->tables[type->id];
	struct view_table *table = __atomic_load_n(place, __ATOMIC_ACQUIRE);
	if (!table) {
		pthread_mutex_lock(&views->lock);
		table = *place;
		if (!table) {
			table = table_make(type);
			__atomic_store_n(place, table, __ATOMIC_RELEASE);
		}
		pthread_mutex_unlock(&views->lock);
	}
	return table == &no_table ? NULL : table;
}
