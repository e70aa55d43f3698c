// What the words of a type see: for each word of its values, how much of an object a pointer there
// shows.
//
//	const struct view_table *table = views_of(views, type);    // NULL: nothing is known
//	if (table)
//		use(table->words[offset / 8 % table->period]);
//
// Tables are made when first asked for; several threads may ask at once.
#ifndef LEDGER_VIEWS_H
#define LEDGER_VIEWS_H

#include "goruntime/types.h"

enum view_kind {
	VIEW_UNKNOWN, // unsafe.Pointer, or no pointer by the type: whatever it leads to may be seen whole
	VIEW_UNTYPED, // the same, where nothing is known of the holder: what follows may tell a slice
	VIEW_WHOLE,   // a map, channel, closure, or a type of the runtime: sees the object whole
	VIEW_POINTER,   // sees `size` bytes; see view.head
	VIEW_SLICE,     // length and capacity follow, in elements of `size` bytes
	VIEW_STRING,    // the length follows
	VIEW_INTERFACE, // the data word; the type is in the word before
};

struct view {
	uint32_t size;
	uint8_t kind;
	bool head; // a pointer to a struct: at an object's start it may be the head of something larger
};

struct view_table {
	uint64_t period; // words of one value; values follow each other
	struct view words[];
};

struct views;

// `types` may not change while there are views of it. NULL when out of memory.
struct views *views_create(struct type_table *types);
void views_destroy(struct views *views); // accepts NULL

// NULL when the type is not a whole number of words, too large to be listed, or out of memory.
const struct view_table *views_of(struct views *views, const struct go_type *type);

#endif
