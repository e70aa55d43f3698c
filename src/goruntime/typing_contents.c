// Maps whose types nobody told, by what is in them.
//
// A program's maps are of the types that it has records of. Which of them one is shows in its groups (buckets up to
// 1.23): how large the array is, which of its words the collector follows, how many of its cells are in use, and what the
// keys and values in use lead to. What does not fit is excluded; a type is claimed when no other is left, or only such as
// look the same. An object, or a place in a frame, is taken for a map's own where code said so, or where all its groups
// together have just as many entries as it says.
#include <string.h>

#include "goruntime/runtime_private.h"
#include "goruntime/typing_private.h"

#define ALIKE_KEY (UINT64_C(2) << 32) // in typing->headers: beside maps and channels

enum {
	GROUP_SLOTS = 8,
	GROUP_BYTES_MAX = 4096,  // keys and values of more than 128 bytes are not in a group
	GROUPS_MAX = 1 << 17,    // are looked at of one map
	LOOKED_AT_MAX = 1 << 22, // groups in all
	CELLS_MAX = 64,          // whose keys and values are looked at
	// Of fewer, in something that nobody calls a map, it is chance that their number fits.
	ENTRIES_MIN = 8,
	STRING_MAX = 1 << 30,
	// runtime.hmap and its buckets (runtime/map.go, 1.19 to 1.23)
	HMAP_POINTERS = 0x2c, // words: buckets, oldbuckets, extra
	HMAP_B = 9,
	HMAP_BUCKETS = 2, // words
	HMAP_OLD_BUCKETS = 3,
	HMAP_B_MAX = 32,
	// From so many on there are overflow buckets in the array (makeBucketArray).
	B_PREALLOCATED = 4,
	CELL_EMPTY_REST = 0,
	CELL_EMPTY = 1,
	CELL_FULL_MIN = 5,
	// maps.Map, maps.table and their groups (internal/runtime/maps, 1.24 on)
	MAP_POINTERS = 0x4, // dirPtr
	MAP_DIRECTORY = 2,  // words
	MAP_DIRECTORY_LENGTH = 3,
	TABLE_GROUPS = 2,
	TABLE_LENGTH_MASK = 3,
	DIRECTORY_MAX = 1 << 24,
	SLOT_NOT_FULL = 0x80, // empty or deleted
};

struct search {
	struct typing *typing;
	struct map_candidates *all; // of the program
	uint64_t left; // groups that may still be looked at: hostile maps may share theirs
};

// A map that is being looked at, as one of the type `map`.
struct trial {
	struct search *search;
	struct typing *typing;
	const struct go_type *map;
	struct map_layout layout;
	uint64_t entries; // found in use
	uint64_t groups;  // looked at
	unsigned cells;   // keys and values looked at
	bool all;         // all groups were looked at
	bool told;        // by the type of its groups
};

static uint64_t word_at(const uint8_t *bytes, uint64_t index)
{
	uint64_t word;

	memcpy(&word, bytes + index * 8, sizeof(word));
	return word;
}

// The object behind a map whose type is not known.
static const struct go_type *plain_map(const struct typing *typing)
{
	return typing->heap->runtime->layout.maps == MAP_SWISS ? typing->known.swiss_map
							       : typing->known.hmap;
}

static bool looks_like_map(struct typing *typing, const struct span *span, object_id id)
{
	bool swiss = typing->heap->runtime->layout.maps == MAP_SWISS;

	return !span->noscan && span->elem_size == MAP_HEADER_BYTES &&
	       heap_pointer_bits(typing->reader, span, id, 0) ==
		       (swiss ? MAP_POINTERS : HMAP_POINTERS);
}

static bool is_code(const struct go_runtime *runtime, remote_addr address)
{
	for (unsigned i = 0; i < runtime->module_count; i++)
		if (address >= runtime->modules[i].text && address < runtime->modules[i].etext)
			return true;
	return false;
}

// ---- can these bytes be a value of that type?

// Does a value of one of the types begin with one of the other?
static bool begins_with(const struct go_type *type, const struct go_type *inner)
{
	for (unsigned depth = 0; depth < TYPE_DEPTH_MAX && type; depth++) {
		if (type == inner || !strcmp(type->name, inner->name))
			return true;
		if (type->kind == GO_STRUCT && type->field_count && !type->fields[0].offset)
			type = type->fields[0].type;
		else if (type->kind == GO_ARRAY)
			type = type->elem;
		else
			return false;
	}
	return false;
}

// What an object is known to be speaks only for its start, and not against names that say less.
static bool claim_allows(const struct typing *typing, object_id id, const struct go_type *type)
{
	uint32_t claim = typing->claims[id];
	const struct go_type *known = typing_object_type(typing, id);

	if (!known || claim & CLAIM_MIXED || known->synthetic ||
		typing_type_is_vague(typing, known) || typing_type_is_vague(typing, type))
		return true;
	return begins_with(known, type) || begins_with(type, known);
}

// Has the collector no pointers in these bytes of an object? True where it keeps no bits about objects.
static bool is_pointer_free(struct typing *typing, const struct span *span, object_id id,
	uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / 8, words = (offset + bytes + 7) / 8 - first;

	if (span->noscan || !words || !span_has_pointer_bits(typing->heap, span))
		return true;
	uint64_t pointers = heap_pointer_bits(typing->reader, span, id, first);
	return !(words < 64 ? pointers & ((UINT64_C(1) << words) - 1) : pointers);
}

// May a pointer with the value `word` lead to `count` values of `type`?
static bool target_fits(
	struct typing *typing, uint64_t word, const struct go_type *type, uint64_t count)
{
	const struct span *span;

	if (!heap_span(typing->heap, word))
		return true;
	object_id id = typing_find(typing, word, &span);
	if (id == OBJECT_NONE)
		return false;
	uint64_t object = span_object(span, id), start = object + span->header_bytes;
	uint64_t room = object + span->elem_size - word;
	if (word < start || (type->size && count > room / type->size))
		return false;
	if (!type->pointer_bytes)
		return is_pointer_free(typing, span, id, word - object, count * type->size);
	return !count ||
	       (!span->noscan && typing_mask_allows(typing, span, id, word - start, type, count) &&
		       (word != start || claim_allows(typing, id, type)));
}

// Closures begin with their code, maps and channels are objects of their own.
static bool shaped_fits(struct typing *typing, const struct go_type *type, uint64_t word)
{
	const struct span *span;

	if (!word)
		return true;
	object_id id = typing_find(typing, word, &span);
	if (type->kind == GO_FUNC)
		return is_code(typing->heap->runtime, memory_u64(&typing->memory, word));
	if (id == OBJECT_NONE)
		return !heap_span(typing->heap, word);
	const struct go_type *known = typing_object_type(typing, id);
	if (word != span_object(span, id))
		return false;
	// All channels are known by now.
	if (type->kind == GO_CHAN)
		return known &&
		       (known == typing->known.hchan || known == typing->known.plain_chan ||
			       known == typing_chan_header(typing, type->elem));
	return looks_like_map(typing, span, id) &&
	       (!known || known == plain_map(typing) || known == typing_map_header(typing, type));
}

static bool leaf_fits(struct typing *typing, const struct go_type *leaf, const uint8_t *bytes)
{
	uint64_t word = word_at(bytes, 0);
	const struct span *span;

	switch (leaf->kind) {
	case GO_POINTER:
		return !word || !leaf->elem || target_fits(typing, word, leaf->elem, 1);
	case GO_SLICE: {
		uint64_t length = word_at(bytes, 1), capacity = word_at(bytes, 2);
		return length <= capacity && capacity <= INT64_MAX && (word || !capacity) &&
		       target_fits(typing, word, leaf->elem, capacity);
	}
	case GO_STRING: {
		uint64_t length = word_at(bytes, 1);
		if (length > STRING_MAX || (!word && length))
			return false;
		object_id id = length ? typing_find(typing, word, &span) : OBJECT_NONE;
		return id == OBJECT_NONE ||
		       (span->noscan && length <= span_object(span, id) + span->elem_size - word);
	}
	case GO_FUNC:
	case GO_CHAN:
	case GO_MAP:
		return shaped_fits(typing, leaf, word);
	case GO_INTERFACE:
		return !word || type_of_itab(typing->types, word);
	default:
		return true;
	}
}

static bool value_fits(struct typing *typing, const struct go_type *type, const uint8_t *bytes)
{
	struct type_walk walk;

	type_walk_begin(&walk, type);
	while (type_walk_next(&walk))
		if (!leaf_fits(typing, walk.leaf, bytes + walk.offset))
			return false;
	return true;
}

// A key or value, which may lie elsewhere.
static bool item_fits(
	struct typing *typing, const struct go_type *type, bool indirect, const uint8_t *bytes)
{
	return indirect ? target_fits(typing, word_at(bytes, 0), type, 1)
			: value_fits(typing, type, bytes);
}

// ---- groups

static bool cell_fits(struct trial *trial, const uint8_t *group, unsigned cell)
{
	const struct map_layout *layout = &trial->layout;

	trial->entries++;
	if (trial->cells >= CELLS_MAX)
		return true;
	trial->cells++;
	return item_fits(trial->typing, trial->map->key, layout->indirect_key,
		       group + layout->keys + cell * layout->key_stride) &&
	       item_fits(trial->typing, trial->map->elem, layout->indirect_elem,
		       group + layout->elems + cell * layout->elem_stride);
}

// One group; its control bytes say which cells are in use. Cells between 2 and 4 have moved to larger buckets.
static bool group_fits(struct trial *trial, const uint8_t *group, bool old)
{
	bool swiss = trial->typing->heap->runtime->layout.maps == MAP_SWISS, rest = false;

	for (unsigned i = 0; i < GROUP_SLOTS; i++) {
		uint8_t control = group[i];
		bool full = swiss ? !(control & SLOT_NOT_FULL) : control >= CELL_FULL_MIN;

		if (!swiss && ((rest && control) || (!old && control > CELL_EMPTY && !full)))
			return false;
		rest = control == CELL_EMPTY_REST;
		if (full && !cell_fits(trial, group, i))
			return false;
	}
	return true;
}

// A bucket and those behind it.
static bool chain_fits(struct trial *trial, remote_addr bucket, bool old)
{
	struct typing *typing = trial->typing;
	uint64_t size = trial->layout.group->size;
	uint8_t bytes[GROUP_BYTES_MAX];

	while (bucket) {
		if (trial->groups++ > UINT64_C(2) * GROUPS_MAX || !trial->search->left ||
			heap_find(typing->heap, bucket) == OBJECT_NONE ||
			!memory_read(&typing->memory, bucket, bytes, size) ||
			!group_fits(trial, bytes, old))
			return false;
		trial->search->left--;
		bucket = typing->heap->runtime->layout.maps == MAP_SWISS
				 ? 0
				 : word_at(bytes + trial->layout.overflow, 0);
	}
	return true;
}

// Can the object at `address` be an array made for so many groups?
static bool array_fits(struct trial *trial, remote_addr address, uint64_t count)
{
	struct typing *typing = trial->typing;
	const struct go_type *group = trial->layout.group;
	const struct span *span;
	object_id id = typing_find(typing, address, &span);

	if (id == OBJECT_NONE || address != span_object(span, id) + span->header_bytes ||
		span->noscan != !group->pointer_bytes ||
		slot_bytes(typing->heap, count * group->size, span->noscan) != span->elem_size)
		return false;
	trial->told |= typing_object_type(typing, id) == group;
	return claim_allows(typing, id, group) &&
	       (span->noscan || typing_mask_allows(typing, span, id, 0, group, count));
}

static bool groups_fit(struct trial *trial, remote_addr address, uint64_t count, bool old)
{
	if (count > GROUPS_MAX)
		trial->all = false;
	for (uint64_t i = 0; i < count && i < GROUPS_MAX; i++)
		if (!chain_fits(trial, address + i * trial->layout.group->size, old))
			return false;
	return true;
}

// ---- both kinds of maps

static bool buckets_fit(struct trial *trial, const uint8_t *header)
{
	uint8_t b = header[HMAP_B];

	if (b > HMAP_B_MAX)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		remote_addr address = word_at(header, i ? HMAP_OLD_BUCKETS : HMAP_BUCKETS);
		// The old ones are half as many, or as many where they were only tidied up.
		for (unsigned tidied = 0; address && tidied <= i; tidied++) {
			unsigned bits = i && !tidied && b ? b - 1u : b;
			uint64_t count = UINT64_C(1) << bits, made = count;

			if (bits >= B_PREALLOCATED)
				made += count >> B_PREALLOCATED;
			if (array_fits(trial, address, made)) {
				if (!groups_fit(trial, address, count, i))
					return false;
				break;
			}
			if (tidied == i)
				return false;
		}
	}
	return true;
}

static bool table_fits(struct trial *trial, remote_addr table)
{
	remote_addr groups = memory_u64(&trial->typing->memory, table + TABLE_GROUPS * 8);
	uint64_t mask = memory_u64(&trial->typing->memory, table + TABLE_LENGTH_MASK * 8);

	return mask < GROUPS_MAX && array_fits(trial, groups, mask + 1) &&
	       groups_fit(trial, groups, mask + 1, false);
}

static bool tables_fit(struct trial *trial, const uint8_t *header)
{
	struct typing *typing = trial->typing;
	remote_addr directory = word_at(header, MAP_DIRECTORY), last = 0;
	uint64_t length = word_at(header, MAP_DIRECTORY_LENGTH);
	const struct span *span;

	if (!length)
		return array_fits(trial, directory, 1) && groups_fit(trial, directory, 1, false);
	object_id id = typing_find(typing, directory, &span);
	if (id == OBJECT_NONE || span->noscan || length > DIRECTORY_MAX ||
		(length & (length - 1)) ||
		directory != span_object(span, id) + span->header_bytes ||
		slot_bytes(typing->heap, length * 8, false) != span->elem_size)
		return false;
	// Neighbours in the directory may be one table.
	for (uint64_t i = 0; i < length && trial->all; i++) {
		remote_addr table = memory_u64(&typing->memory, directory + i * 8);
		if (!trial->search->left || (table != last && !table_fits(trial, table)))
			return false;
		trial->search->left--;
		trial->all = trial->groups < GROUPS_MAX;
		last = table;
	}
	return true;
}

// Is a map with this header, which somebody calls a map or nobody does, one of the type?
static bool map_fits(
	struct search *search, const struct go_type *map, const uint8_t *header, bool called_map)
{
	struct typing *typing = search->typing;
	struct trial trial = {.search = search, .typing = typing, .map = map, .all = true};

	if (!type_map_layout(typing->types, map, &trial.layout) ||
		trial.layout.group->size > GROUP_BYTES_MAX)
		return false;
	if (!(typing->heap->runtime->layout.maps == MAP_SWISS ? tables_fit(&trial, header)
							      : buckets_fit(&trial, header)))
		return false;
	if (trial.all && trial.entries != word_at(header, 0))
		return false;
	return (trial.all && trial.entries) || called_map || trial.told;
}

// ---- types that cannot be told apart

static bool is_number(const struct go_type *type)
{
	return type->kind >= GO_INT && type->kind <= GO_COMPLEX128;
}

static bool leaves_alike(const struct go_type *one, const struct go_type *other)
{
	if (is_number(one) && is_number(other))
		return one->size == other->size;
	return one->kind == other->kind && one->elem == other->elem && one->key == other->key;
}

// Do values of these types look the same: numbers, and pointers to the same things?
static bool types_alike(const struct go_type *one, const struct go_type *other)
{
	struct type_walk walk, others;
	bool more, same;

	if (one->size != other->size)
		return false;
	type_walk_begin(&walk, one);
	type_walk_begin(&others, other);
	do {
		more = type_walk_next(&walk);
		same = type_walk_next(&others) == more &&
		       (!more || (walk.offset == others.offset &&
					 leaves_alike(walk.leaf, others.leaf)));
	} while (more && same);
	return same;
}

static struct go_type *type_alike(struct typing *typing, const struct go_type *like)
{
	static const char suffix[] = " or alike";
	struct go_type *type = type_create(typing->types);
	size_t length = strlen(like->name);
	char *name = typing_alloc(typing, length + sizeof(suffix));

	if (!type || !name) {
		typing->no_memory = true;
		return NULL;
	}
	uint32_t id = type->id;
	*type = *like;
	type->id = id;
	type->mask = NULL;
	type->runtime_type = 0;
	type->synthetic = true;
	memcpy(name, like->name, length);
	memcpy(name + length, suffix, sizeof(suffix));
	type->name = name;
	return type;
}

// A map of the type, or of another that looks the same.
static const struct go_type *map_alike(struct typing *typing, const struct go_type *map)
{
	uint64_t *known = hw_map_at(&typing->headers, (uint64_t)map->id | ALIKE_KEY, 0);

	if (known && *known)
		return (const struct go_type *)(uintptr_t)*known;
	struct go_type *alike = type_alike(typing, map);
	struct go_type *group = type_alike(typing, map->group);
	if (!known || !alike || !group) {
		typing->no_memory = true;
		return NULL;
	}
	alike->group = group;
	*known = (uintptr_t)alike;
	return alike;
}

bool map_candidates_have(const struct map_candidates *candidates, const struct go_type *type)
{
	for (uint32_t i = 0; i < candidates->count; i++)
		if (candidates->types[i] == type)
			return true;
	return false;
}

// The type of the map with this header, or NULL. `least`: it must have so many entries.
static const struct go_type *map_recognise(struct search *search,
	const struct map_candidates *candidates, const uint8_t *header, uint64_t least,
	bool called_map)
{
	const struct go_type *found = NULL;
	bool several = false;

	uint64_t entries = word_at(header, 0);
	if (entries < least || entries > search->typing->heap->in_use_bytes)
		return NULL;
	for (uint32_t i = 0; i < candidates->count; i++) {
		const struct go_type *map = candidates->types[i];
		if (!map_fits(search, map, header, called_map))
			continue;
		if (found &&
			!(types_alike(found->key, map->key) && types_alike(found->elem, map->elem)))
			return NULL;
		several = found;
		if (!found)
			found = map;
	}
	if (several)
		found = map_alike(search->typing, found);
	return search->left ? found : NULL;
}

static void map_tell(struct search *search, remote_addr address, bool called_map)
{
	struct typing *typing = search->typing;
	uint8_t header[MAP_HEADER_BYTES];

	if (!memory_read(&typing->memory, address, header, sizeof(header)))
		return;
	const struct go_type *map = map_recognise(
		search, search->all, header, called_map ? 1 : ENTRIES_MIN, called_map);
	if (map)
		typing_claim_as(typing, CLAIM_WHOLE, address, typing_map_header(typing, map), 1);
}

static void heap_maps_tell(struct search *search)
{
	struct typing *typing = search->typing;
	const struct heap *heap = typing->heap;

	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];
		if (!span->count || span->elem_size != MAP_HEADER_BYTES)
			continue;
		for (object_id id = span->first; id < span->first + span->count; id++) {
			const struct go_type *known = typing_object_type(typing, id);
			if ((!known || known == plain_map(typing)) && typing_is_live(typing, id) &&
				looks_like_map(typing, span, id))
				map_tell(search, span_object(span, id), known);
		}
	}
}

// ---- maps whose header lies in a frame, for they do not leave the function that made them

// Could the object at `groups` be what a header refers to that says so many buckets or tables? Most words of frames go
// here. *least: so many entries must be there for that to be no chance; in many groups none.
static bool frame_map_plausible(
	const struct typing *typing, const uint8_t *header, object_id groups, uint64_t *least)
{
	uint64_t size = heap_size(typing->heap, groups);
	uint8_t b = header[HMAP_B];

	if (typing->heap->runtime->layout.maps != MAP_SWISS) {
		*least = b >= B_PREALLOCATED ? 0 : ENTRIES_MIN;
		return b <= HMAP_B_MAX && size >> b >= GROUP_SLOTS;
	}
	uint64_t tables = word_at(header, MAP_DIRECTORY_LENGTH);
	*least = tables > 1 ? 0 : ENTRIES_MIN;
	return tables && tables <= size / 8;
}

// The types of the maps that the function works with in whose frame the root is, or NULL.
static const struct map_candidates *frame_candidates(
	const struct typing *typing, const struct root *root)
{
	const struct goroutine_list *list = typing->goroutines;
	uint64_t found;

	if (!list || root->owner >= list->count ||
		root->frame >= list->goroutines[root->owner].frame_count)
		return NULL;
	uint32_t frame = list->goroutines[root->owner].first_frame + root->frame;
	return hw_map_get(&typing->frame_maps, list->frames[frame].pc, &found)
		       ? (const struct map_candidates *)(uintptr_t)found
		       : NULL;
}

// The type of the map whose header may lie at `address`: one that the function works with, if the contents do not
// contradict; else by its contents alone.
static const struct go_type *frame_map_type(
	struct search *search, const struct root *root, remote_addr address, object_id groups)
{
	const struct map_candidates *candidates = frame_candidates(search->typing, root);
	const struct go_type *map = NULL;
	uint8_t header[MAP_HEADER_BYTES];
	uint64_t least;

	if (!memory_read(&search->typing->memory, address, header, sizeof(header)) ||
		!frame_map_plausible(search->typing, header, groups, &least))
		return NULL;
	if (candidates)
		map = map_recognise(search, candidates, header, 0, true);
	return map ? map : map_recognise(search, search->all, header, least, false);
}

// `root` may be what leads to a map's groups.
static void frame_map_tell(struct search *search, const struct root *root)
{
	struct typing *typing = search->typing;
	struct stack_map map = {
		.address = root->slot - MAP_DIRECTORY * 8,
		.groups = heap_find(typing->heap, root->value),
	};

	if (map.groups == OBJECT_NONE)
		return;
	const struct go_type *type = frame_map_type(search, root, map.address, map.groups);
	map.header = type ? typing_map_header(typing, type) : NULL;
	if (!map.header)
		return;
	typing_claim_memory(typing, map.address, map.header, 1);
	if (!hw_vector_push(&typing->stack_maps, map))
		typing->no_memory = true;
}

void typing_claim_maps(struct typing *typing)
{
	uint32_t types = type_table_count(typing->types);
	struct search search = {.typing = typing, .left = LOOKED_AT_MAX};
	const struct roots *roots = typing->roots;

	search.all =
		typing_alloc(typing, sizeof(*search.all) + types * sizeof(search.all->types[0]));
	for (uint32_t i = 0; i < types && search.all; i++) {
		const struct go_type *type = type_by_id(typing->types, i);
		if (type->kind == GO_MAP && type->group && type->group->size)
			search.all->types[search.all->count++] = type;
	}
	if (!search.all || !search.all->count)
		return;
	heap_maps_tell(&search);
	for (size_t i = 0; roots && i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		if (root->kind == ROOT_STACK && root->precise && root->slot)
			frame_map_tell(&search, root);
	}
}
