// A type for every live object, a name for every root.
//
// Types spread from what is known for certain (globals and locals by DWARF; interfaces, malloc
// headers, channels, maps, closures, allocation sites without it) along the typed pointer fields of
// typed objects. An exact claim is never overruled by a guess, guesses are marked as such, and what
// stays untyped is counted. docs/typing.md tells the steps and what each was measured to find.
#ifndef GORUNTIME_TYPING_H
#define GORUNTIME_TYPING_H

#include "goruntime/goroutine.h"
#include "goruntime/roots.h"
#include "goruntime/types.h"

struct typing;

enum type_source { TYPED_NOT, TYPED_EXACT, TYPED_GUESS };

struct object_type {
	const struct go_type *type; // of one element; NULL when untyped
	bool array;                 // a backing array: call it "[]T"
	enum type_source source;
};

struct typing_statistics {
	uint64_t exact_objects, exact_bytes;
	uint64_t guessed_objects, guessed_bytes;
	uint64_t untyped_objects, untyped_bytes;
};

// In two steps, because what the graph needs to group its roots by variable is known early:
// typing_open() reads the code and the debug information, after which typing_global_place()
// answers; typing_spread() types the objects whose bit is set in `live`, which must stay where it
// is. Both read the heap; afterwards only typing_edge() needs the target. TYPING_AS_STRIPPED: as if
// the executable had neither symbols nor DWARF (for the tests: both ways over one process).
enum typing_flags { TYPING_AS_STRIPPED = 1 };
struct error *typing_open(struct heap *heap, const struct roots *roots,
	const struct goroutine_list *goroutines, unsigned flags, struct typing **out);
struct error *typing_spread(struct typing *typing, const uint64_t *live);
void typing_destroy(struct typing *typing); // accepts NULL

void typing_of(const struct typing *typing, object_id id, struct object_type *out);

// How many elements an object in `span` that is of this type has: 1, or the length of a backing array.
uint64_t typing_elements(const struct object_type *type, const struct span *span);

// Is it a closure: a func value with what it captures?
bool typing_is_closure(const struct typing *typing, object_id id);

void typing_statistics(const struct typing *typing, struct typing_statistics *out);
struct type_table *typing_types(struct typing *typing);

// A dense number for each distinct thing that objects are reported as ("main.order", "[]uint8",
// "string bytes", the closure "main.serve.func1", "untyped 64 B"), and its name. For histograms.
uint32_t typing_label_of(const struct typing *typing, object_id id);
uint32_t typing_label_count(const struct typing *typing);
const char *typing_label_name(const struct typing *typing, uint32_t label);
enum type_source typing_label_source(const struct typing *typing, uint32_t label);

// Which labels objects [first, first + 64) have, `first` being a multiple of 64: bit l % 64 is set where a live one of
// them has label l. For whoever looks for few of the labels.
uint64_t typing_labels_near(const struct typing *typing, object_id first);

// What is alive of a label. Label 0 is that of everything else.
struct label_count {
	uint64_t objects, bytes;
	object_id first;
};
const struct label_count *typing_label_live(const struct typing *typing, uint32_t label);

// The global variable that covers `slot`: by symbol, by DWARF, or, in a stripped binary, named by
// the functions that refer to it ("global used by main.(*server).handle"). `start` and `size` bound
// the variable, so that slots of one variable can be grouped. Names live as long as the typing.
// `exact` is false for a name that is derived from code; `unnamed` is true when no code refers to it but that which
// initialises its package: then it is what some variable points to, var cache = &T{...}.
struct global_name {
	const char *name;
	const struct go_type *type; // NULL when unknown
	remote_addr start;
	uint64_t size;
	bool exact, unnamed;
};
bool typing_global(struct typing *typing, remote_addr slot, struct global_name *out);

// What lies at `slot`, which is in that variable: the byte at `offset` of a `type`. Also of what only a pointer tells
// that leads there: `var cache = &T{...}` is two variables, and the one without a name has the contents. After spreading.
bool typing_global_part(const struct typing *typing, const struct global_name *global,
	remote_addr slot, const struct go_type **type, uint64_t *offset);

// Where that variable starts, which is the same before and after spreading; `slot` when it is part
// of none that is known.
remote_addr typing_global_place(struct typing *typing, remote_addr slot);

// The local variable that the stack word `root` belongs to ("order" in main.handle), false without
// DWARF.
bool typing_local(struct typing *typing, const struct root *root, const char **name);

// What a stack word is by the debug information: the word at `offset` of a variable of this type. `words`: it and
// those behind it in the variable, which may lie elsewhere; the first `known` of them are kept.
struct local_part {
	const struct go_type *type;
	uint64_t offset;
	uint64_t words[3];
	unsigned known;
};

// One word is often a part of several variables (a slice and what it was cut from). Returns how many were written, 0 when
// nothing is known, or not of all: without DWARF, of more than `max`. Needs the target.
size_t typing_local_parts(
	struct typing *typing, const struct root *root, struct local_part *out, size_t max);

// A map whose header lies at `address` in a goroutine's frame, because the map does not leave the function that made it.
struct stack_map {
	remote_addr address;
	const struct go_type
		*header;  // as typing_of() tells of the object that another map points to
	object_id groups; // what the header points to: an array of groups, or of tables
};
const struct stack_map *typing_stack_maps(const struct typing *typing, size_t *count);

// How object `from` refers to object `to`: ".next", "[3].body", "key", "captured x". Re-reads
// `from`; so before the target is released. Writes "" when unknown.
void typing_edge(struct typing *typing, object_id from, object_id to, char *buffer, size_t size);

// The same for the word at `offset` bytes of the slot of `from`. Needs no target.
void typing_word(struct typing *typing, object_id from, uint64_t offset, char *buffer, size_t size);

#endif
