// duplicate-strings: the same text in memory many times over.
//
// All live strings are put into classes by a hash of what is certain to belong to them: a slot is bigger than its string
// and its end may hold anything, so only as many bytes count as any string in a slot of that size has. Then some members
// of the biggest classes are looked at closely, with their true lengths, which only those who refer to them know: texts may
// only begin alike. Of very many strings only those with certain hashes are counted, and the sum is multiplied. Whether the
// copies could be one string the program must know: suspected.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "base/units.h"
#include "heapwhy/map.h"
#include "rules/objects.h"

enum {
	SLOT_MIN = 24,   // bytes; smaller ones share slots
	SLOT_MAX = 1024, // what is bigger is no name that comes again and again
	CLASSES_MAX = 1 << 20,
	COPIES_MIN = 8,      // on average, in classes that have any
	SHARE_MIN = 4,       // copies have to be this part of all strings
	TESTED_CLASSES = 64, // of one slot size
	TESTED_COPIES = 3,
	SCANNED_MAX = 256 << 20, // bytes of those who refer to the tested ones
};

struct string_class {
	uint64_t hash;
	uint32_t count;
	uint32_t slot; // bytes
	object_id members[TESTED_COPIES];
};

struct strings {
	struct rule_run *run;
	struct heap_reader *reader;
	unsigned sampled;       // one of 2^sampled hashes is counted
	uint64_t total;         // strings in all
	uint64_t bytes;         // of those whose hash is counted
	uint64_t slot, certain; // the last slot size, and how many bytes any string in one has
	struct hw_map index;    // hash -> number in classes
	HW_VECTOR(struct string_class) classes;
	uint64_t scanned;
};

static void strings_deinit(struct strings *strings)
{
	heap_reader_destroy(strings->reader);
	hw_map_deinit(&strings->index);
	hw_vector_deinit(&strings->classes);
}

static bool string_pick(void *context, object_id object)
{
	const struct strings *strings = context;

	return !strcmp(object_type_name(strings->run, object), "string");
}

// The length of the shortest string that takes such a slot.
static uint64_t certain_bytes(struct strings *strings, uint64_t slot)
{
	const struct heap *heap = strings->run->analysis->heap;

	if (strings->slot != slot) {
		strings->slot = slot;
		strings->certain =
			1 + FIRST_WHERE(i, slot - 1, slot_bytes(heap, i + 1, true) >= slot);
	}
	return strings->certain;
}

static uint64_t hash_bytes(const uint8_t *bytes, uint64_t count, uint64_t hash)
{
	for (uint64_t i = 0; i < count; i += 8) {
		uint64_t word = 0;
		memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
	}
	return hash;
}

static struct error *string_classify(void *context, object_id object)
{
	struct strings *strings = context;
	const struct heap *heap = strings->run->analysis->heap;
	uint64_t slot = heap_size(heap, object);
	uint8_t bytes[SLOT_MAX];

	if (slot < SLOT_MIN || slot > SLOT_MAX)
		return NULL;
	uint64_t count = certain_bytes(strings, slot);
	if (!heap_read(strings->reader, heap_address(heap, object), bytes, count))
		return NULL;
	uint64_t hash = hash_bytes(bytes, count, slot);
	if (hash & ((UINT64_C(1) << strings->sampled) - 1) ||
		object_is_unseen(strings->run, object))
		return NULL;
	strings->bytes += slot;
	uint64_t *number = hw_map_at(&strings->index, hash, strings->classes.count);
	if (!number)
		return error_no_memory();
	if (*number == strings->classes.count &&
		!hw_vector_push(&strings->classes,
			(struct string_class){.hash = hash, .slot = (uint32_t)slot}))
		return error_no_memory();
	struct string_class *class = &strings->classes.items[*number];
	if (class->count < TESTED_COPIES)
		class->members[class->count] = object;
	class->count++;
	return NULL;
}

// ---- looking closely

struct reference_search {
	remote_addr address;
	uint64_t offset;
};

static bool reference_look(void *context, const struct word_group *group)
{
	struct reference_search *search = context;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);
		if (group->words[i] == search->address) {
			search->offset = group->offset + i * 8;
			return false;
		}
	}
	return true;
}

// The string's length, from the header that refers to it; 0 when that is not to be found.
static uint64_t string_length(struct strings *strings, object_id object)
{
	const struct analysis *analysis = strings->run->analysis;
	node_id parent = graph_parent(analysis->graph, object);
	struct reference_search search = {.address = heap_address(analysis->heap, object)};
	uint64_t length = 0;

	if (parent >= analysis->heap->object_count)
		return 0;
	bool missing = heap_scan_object(strings->reader, parent, reference_look, &search);
	strings->scanned += missing ? heap_size(analysis->heap, parent) : search.offset;
	if (missing || !heap_read(strings->reader,
			       heap_address(analysis->heap, parent) + search.offset + 8, &length,
			       sizeof(length)))
		return 0;
	return length <= heap_size(analysis->heap, object) ? length : 0;
}

enum equality { EQUALITY_UNKNOWN, DIFFERENT, EQUAL };

static enum equality strings_compare(struct strings *strings, object_id a, object_id b)
{
	const struct heap *heap = strings->run->analysis->heap;
	uint8_t one[SLOT_MAX], other[SLOT_MAX];
	uint64_t length = string_length(strings, a), other_length = string_length(strings, b);

	if (!length || !other_length ||
		!heap_read(strings->reader, heap_address(heap, a), one, length) ||
		!heap_read(strings->reader, heap_address(heap, b), other, other_length))
		return EQUALITY_UNKNOWN;
	return length == other_length && !memcmp(one, other, length) ? EQUAL : DIFFERENT;
}

static uint64_t copies_bytes(const struct string_class *class)
{
	return (uint64_t)(class->count - 1) * class->slot;
}

// By slot size, those with most copies first.
static int class_compare(const void *a, const void *b)
{
	const struct string_class *one = a, *other = b;

	if (one->slot != other->slot)
		return one->slot < other->slot ? -1 : 1;
	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return one->hash < other->hash ? -1 : one->hash > other->hash;
}

// Are its members what they seem to be?
static enum equality class_test(struct strings *strings, const struct string_class *class)
{
	unsigned members = class->count < TESTED_COPIES ? class->count : TESTED_COPIES;
	enum equality all = EQUALITY_UNKNOWN;

	for (unsigned k = 1; k < members && all != DIFFERENT; k++) {
		enum equality pair = strings_compare(strings, class->members[0], class->members[k]);
		all = pair == EQUALITY_UNKNOWN ? all : pair;
	}
	return all;
}

// Only classes with copies stay.
static void singles_drop(struct strings *strings)
{
	struct string_class *list = strings->classes.items;
	size_t kept = 0;

	for (size_t i = 0; i < strings->classes.count; i++)
		if (list[i].count > 1)
			list[kept++] = list[i];
	strings->classes.count = kept;
}

// Only classes that hold stay. Of one slot size the biggest are tested, and the rest are believed where nearly all of that
// held, by bytes: where few texts make up everything, the rest are small ones that came together by chance.
static void chances_drop(struct strings *strings)
{
	struct string_class *list = strings->classes.items;
	size_t count = strings->classes.count, kept = 0;
	uint64_t tested = 0, equal = 0;

	qsort(list, count, sizeof(*list), class_compare);
	for (size_t i = 0, first = 0; i < count; i++) {
		enum equality found = EQUALITY_UNKNOWN;
		if (list[i].slot != list[first].slot) {
			first = i;
			tested = equal = 0;
		}
		if (i - first < TESTED_CLASSES && strings->scanned <= SCANNED_MAX)
			found = class_test(strings, &list[i]);
		if (found != EQUALITY_UNKNOWN)
			tested += copies_bytes(&list[i]);
		if (found == EQUAL)
			equal += copies_bytes(&list[i]);
		if (found == EQUAL ||
			(found == EQUALITY_UNKNOWN && tested && equal >= tested / 10 * 9))
			list[kept++] = list[i];
	}
	strings->classes.count = kept;
}

// What is left: bytes and number of copies, and the class with most bytes. False: not worth a word.
static bool classes_sum(const struct strings *strings, uint64_t *bytes, uint64_t *copies,
	const struct string_class **most)
{
	*bytes = *copies = 0;
	*most = strings->classes.items;
	for (size_t i = 0; i < strings->classes.count; i++) {
		const struct string_class *class = &strings->classes.items[i];
		*bytes += copies_bytes(class);
		*copies += class->count - 1;
		if (copies_bytes(class) > copies_bytes(*most))
			*most = class;
	}
	return *copies && *bytes >= strings->bytes / SHARE_MIN &&
	       *bytes << strings->sampled >= strings->run->rule->least;
}

static struct error *strings_report(struct strings *strings)
{
	const struct string_class *most;
	uint64_t bytes, copies;
	char count[24], held[24], texts[24];

	singles_drop(strings);
	if (!classes_sum(strings, &bytes, &copies, &most))
		return NULL;
	chances_drop(strings);
	if (!classes_sum(strings, &bytes, &copies, &most) ||
		copies < strings->classes.count * COPIES_MIN)
		return NULL;
	bytes <<= strings->sampled;
	copies <<= strings->sampled;
	struct finding finding = {
		.bytes = bytes,
		.objects = copies,
		.type = "string",
		.what = finding_text(strings->run,
			"%s strings, %s, are copies of others: of %s texts there are many each",
			format_count(count, sizeof(count), copies),
			format_bytes(held, sizeof(held), bytes),
			format_count(
				texts, sizeof(texts), strings->classes.count << strings->sampled)),
		.remedy = "keep one string of each text: look it up in a map[string]string where "
			  "it is read, or use "
			  "unique.Make (go 1.23)",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = most->members[0],
		.goroutine = UINT32_MAX,
	};
	return finding_add(strings->run, &finding);
}

struct error *rule_duplicate_strings(struct rule_run *run)
{
	_cleanup_(strings_deinit) struct strings strings = {.run = run};

	hw_map_init(&strings.index);
	struct error *err = heap_reader_create(run->analysis->heap, &strings.reader);
	for (uint64_t count = objects_count(run, string_pick, &strings); count > CLASSES_MAX;
		count /= 2)
		strings.sampled++;
	if (!err)
		err = objects_each(run, string_pick, string_classify, &strings);
	return err ? err : strings_report(&strings);
}
