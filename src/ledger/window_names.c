// What references are called: the place in the holder's type, not in the holder, so that all map
// values, or all elements of one field, have the same name.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "goruntime/positions.h"
#include "ledger/windows.h"

enum { NAME_MAX_BYTES = 512 };

// Maps are called like their type, not like the buckets that they are made of: "map.bucket[K]V" and
// "map.group[K]V" (1.24 on).
static void describe_map(const char *type, const char *word, char *buffer, size_t size)
{
	const char *bracket = strchr(type, '[');

	snprintf(buffer, size, "map%s%s", bracket ? bracket : "", word);
}

// All elements are one place: "shards[17].names" is "shards[*].names".
static void describe_elements(char *field)
{
	char *to = field;

	for (const char *from = field; *from;) {
		bool index = *from == '[' && isdigit((unsigned char)from[1]);
		*to++ = *from++;
		while (index && isdigit((unsigned char)*from))
			from++;
		if (index)
			*to++ = '*';
	}
	*to = '\0';
}

static void describe_object(
	struct analysis *analysis, const struct window *window, char *buffer, size_t size)
{
	struct object_type holder;
	char word[NAME_MAX_BYTES];

	typing_of(analysis->typing, window->holder, &holder);
	typing_word(
		analysis->typing, window->holder, 8 * (uint64_t)window->word, word, sizeof(word));
	if (holder.source != TYPED_EXACT)
		return;
	describe_elements(word);
	if (!strncmp(holder.type->name, "map.", 4) ||
		!strncmp(holder.type->name, "noalg.map.", 10)) {
		describe_map(holder.type->name, word, buffer, size);
		return;
	}
	const char *index_end = *word == '[' && holder.array ? strchr(word, ']') : NULL;
	const char *field = index_end ? index_end + 1 : word;
	snprintf(buffer, size, "%s%s%s", holder.array && !*field ? "[]" : "", holder.type->name,
		field);
}

static void describe_global(
	struct analysis *analysis, const struct root *root, char *buffer, size_t size)
{
	struct global_name global;
	const struct go_type *type;
	uint64_t offset;
	char field[NAME_MAX_BYTES] = "";

	if (!typing_global(analysis->typing, root->slot, &global))
		return;
	const char *name = global.name;
	if (typing_global_part(analysis->typing, &global, root->slot, &type, &offset)) {
		type_describe_offset(type, offset, field, sizeof(field));
		name = type == global.type ? name : type->name;
	}
	describe_elements(field);
	snprintf(buffer, size, "%s%s%s", name, *field && *field != '[' ? "." : "", field);
}

// "rows of main.(*worker).run"
static void describe_local(
	struct analysis *analysis, const struct root *root, char *buffer, size_t size)
{
	const struct goroutine_list *list = analysis->goroutines;
	const char *name;
	struct pcln_position position;

	if (!typing_local(analysis->typing, root, &name))
		return;
	uint32_t frame = list->goroutines[root->owner].first_frame + root->frame;
	if (frame_positions(list->runtime, &list->frames[frame], &position, 1))
		snprintf(buffer, size, "%s of %s", name, position.function);
}

const struct go_type *window_owner(struct analysis *analysis, const struct window *window)
{
	struct object_type holder;
	struct global_name global;
	const struct go_type *type;
	uint64_t offset;

	if (window->from_root) {
		const struct root *root = &analysis->roots.list.items[window->holder];
		return root->kind == ROOT_GLOBAL &&
				       typing_global(analysis->typing, root->slot, &global) &&
				       typing_global_part(analysis->typing, &global, root->slot,
					       &type, &offset)
			       ? type_owner_at(type, offset)
			       : NULL;
	}
	typing_of(analysis->typing, window->holder, &holder);
	offset = 8 * (uint64_t)window->word -
		 heap_span_of(analysis->heap, window->holder)->header_bytes;
	return holder.source == TYPED_EXACT ? type_owner_at(holder.type, offset) : NULL;
}

void window_describe(
	struct analysis *analysis, const struct window *window, char *buffer, size_t size)
{
	if (!size)
		return;
	buffer[0] = '\0';
	if (!window->from_root) {
		describe_object(analysis, window, buffer, size);
		return;
	}
	const struct root *root = &analysis->roots.list.items[window->holder];
	if (root->kind == ROOT_GLOBAL)
		describe_global(analysis, root, buffer, size);
	else if (root->kind == ROOT_STACK)
		describe_local(analysis, root, buffer, size);
}
