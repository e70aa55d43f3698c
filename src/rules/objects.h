// What rules ask about objects.
#ifndef RULES_OBJECTS_H
#define RULES_OBJECTS_H

#include "rules/rule.h"

// What objects are called in a finding: "[]uint8", "main.order", "string".
const char *object_type_name(const struct rule_run *run, object_id object);

// The type of the word at `address` in a live object; NULL when it is not known.
const struct go_type *object_word_type(
	const struct analysis *analysis, object_id object, remote_addr address);

// Is it an element of a sync.Pool?
bool object_is_pooled(const struct rule_run *run, object_id object);

// Is it not seen whole, or does it hang below what is mostly not seen? Then the rules about windows speak of it.
bool object_is_unseen(const struct rule_run *run, object_id object);

// Calls visit() for each live object whose label pick() chooses, ascending. pick() is asked once for each label, with
// some object that has it: what is labelled alike has the same type.
typedef bool object_pick(void *context, object_id object);
typedef struct error *object_visit(void *context, object_id object);
struct error *objects_each(
	struct rule_run *run, object_pick *pick, object_visit *visit, void *context);

// How many that would be.
uint64_t objects_count(const struct rule_run *run, object_pick *pick, void *context);

// Live objects of one type, or arrays of it.
//
//	struct typed_objects elements = {0};
//	err = typed_objects_find(run, "container/list.Element", &elements);
//	for (size_t i = 0; i < elements.list.count; i++)
//		use(elements.list.items[i]);
//	typed_objects_deinit(&elements);
struct typed_objects {
	const struct go_type *type; // NULL: the program has no such type
	HW_VECTOR(object_id) list;  // ascending
};
struct error *typed_objects_find(struct rule_run *run, const char *name, struct typed_objects *out);

// Live objects whose label (typing_label_name) passes a test: also maps' parts and what is not a type of the program.
typedef bool label_test(const char *label);
struct error *labelled_objects_find(
	struct rule_run *run, label_test *test, struct typed_objects *out);
void typed_objects_deinit(struct typed_objects *objects);

// What only `object` keeps, and would keep no longer if of its references only those to `kept` were left. Takes time
// proportional to what the object retains; too much of it is not looked at and counts as nothing.
struct retained_part {
	uint64_t bytes, objects;
};
struct error *retained_without(struct rule_run *run, node_id object, const node_id *kept,
	size_t kept_count, struct retained_part *out);

#endif
