// duplicate-strings: the same text in memory many times over.
//
// All live strings are put into classes by a hash of what is certain to belong to them: a slot is bigger than its string
// and its end may hold anything, so only as many bytes count as any string in a slot of that size has. Then some members
// of the biggest classes are looked at closely, with their true lengths, which only those who refer to them know. Without
// nine tenths of these being equal nothing is said. Of very many strings only those with certain hashes are counted, and
// the sum is multiplied. Whether the copies could be one string the program must know: suspected.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "base/units.h"
#include "heapwhy/map.h"
#include "rules/objects.h"

enum {
	SLOT_MIN = 32,   // bytes; smaller ones cost little and are equal by chance
	SLOT_MAX = 1024, // what is bigger is no name that comes again and again
	CLASSES_MAX = 1 << 20,
	COPIES_MIN = 8, // on average, in classes that have any
	SHARE_MIN = 4,  // copies have to be this part of all strings
	TESTED_CLASSES = 64,
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
	strings->scanned += heap_size(analysis->heap, parent);
	if (strings->scanned > SCANNED_MAX ||
		heap_scan_object(strings->reader, parent, reference_look, &search) ||
		!heap_read(strings->reader,
			heap_address(analysis->heap, parent) + search.offset + 8, &length,
			sizeof(length)))
		return 0;
	return length <= heap_size(analysis->heap, object) ? length : 0;
}

static bool strings_equal(struct strings *strings, object_id a, object_id b)
{
	const struct heap *heap = strings->run->analysis->heap;
	uint8_t one[SLOT_MAX], other[SLOT_MAX];
	uint64_t length = string_length(strings, a);

	return length && string_length(strings, b) == length &&
	       heap_read(strings->reader, heap_address(heap, a), one, length) &&
	       heap_read(strings->reader, heap_address(heap, b), other, length) &&
	       !memcmp(one, other, length);
}

static uint64_t copies_bytes(const struct string_class *class)
{
	return (uint64_t)(class->count - 1) * class->slot;
}

static int class_compare(const void *a, const void *b)
{
	const struct string_class *one = a, *other = b;
	uint64_t left = copies_bytes(one), right = copies_bytes(other);

	if (left != right)
		return left < right ? 1 : -1;
	return one->hash < other->hash ? -1 : one->hash > other->hash;
}

// Are the members of the biggest classes what they seem to be? Each class counts by its bytes: where few texts make up
// everything, the rest are small ones that came together by chance.
static bool classes_hold(struct strings *strings)
{
	uint64_t tested = 0, equal = 0;

	for (size_t i = 0; i < strings->classes.count && i < TESTED_CLASSES; i++) {
		const struct string_class *class = &strings->classes.items[i];
		unsigned count = class->count < TESTED_COPIES ? class->count : TESTED_COPIES;
		for (unsigned k = 1; k < count && strings->scanned <= SCANNED_MAX; k++) {
			uint64_t bytes = copies_bytes(class) / (count - 1);
			tested += bytes;
			if (strings_equal(strings, class->members[0], class->members[k]))
				equal += bytes;
		}
	}
	return tested && equal >= tested / 10 * 9;
}

static struct error *strings_report(struct strings *strings)
{
	uint64_t bytes = 0, copies = 0, classes = 0;
	char count[24], held[24], texts[24];

	for (size_t i = 0; i < strings->classes.count; i++) {
		const struct string_class *class = &strings->classes.items[i];
		bytes += copies_bytes(class);
		copies += class->count - 1;
		classes += class->count > 1;
	}
	if (!classes || copies < classes * COPIES_MIN || bytes < strings->bytes / SHARE_MIN ||
		(bytes << strings->sampled) < strings->run->rule->least)
		return NULL;
	qsort(strings->classes.items, strings->classes.count, sizeof(*strings->classes.items),
		class_compare);
	if (!classes_hold(strings))
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
			format_count(texts, sizeof(texts), classes << strings->sampled)),
		.remedy = "keep one string of each text: look it up in a map[string]string where "
			  "it is read, or use "
			  "unique.Make (go 1.23)",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = strings->classes.items[0].members[0],
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
