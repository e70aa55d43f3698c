// Go's types as one model, whatever told us of them: the abi.Type records that every binary
// carries, or DWARF.
//
// A type table owns its types; a struct go_type is immutable once published and lives as long as
// the table. Types from both sources are unified: a DWARF type that names its runtime type
// (DW_AT_go_runtime_type) is that type.
#ifndef GORUNTIME_TYPES_H
#define GORUNTIME_TYPES_H

#include "goruntime/runtime.h"

enum go_kind { // reflect.Kind's numbers
	GO_INVALID,
	GO_BOOL,
	GO_INT,
	GO_INT8,
	GO_INT16,
	GO_INT32,
	GO_INT64,
	GO_UINT,
	GO_UINT8,
	GO_UINT16,
	GO_UINT32,
	GO_UINT64,
	GO_UINTPTR,
	GO_FLOAT32,
	GO_FLOAT64,
	GO_COMPLEX64,
	GO_COMPLEX128,
	GO_ARRAY,
	GO_CHAN,
	GO_FUNC,
	GO_INTERFACE,
	GO_MAP,
	GO_POINTER,
	GO_SLICE,
	GO_STRING,
	GO_STRUCT,
	GO_UNSAFE_POINTER,
};

struct go_type;

struct go_field {
	const char *name;
	const struct go_type *type;
	uint64_t offset;
	bool embedded;
};

struct go_type {
	const char *name; // "main.order", "[]*main.order", "map[string]int"; with the full package
			  // path's last element, as Go prints it
	const char *package; // full import path, "" when none or unknown
	enum go_kind kind;
	uint64_t size;
	uint64_t pointer_bytes; // size of the prefix that can hold pointers
	bool direct; // pointer-shaped: an interface holds the value itself in its second word
	remote_addr runtime_type;      // its abi.Type, 0 when known from DWARF or code alone
	const struct go_type *elem;    // array, chan, map (value), pointer, slice
	const struct go_type *key;     // map
	const struct go_type *group;   // map: bucket (MAP_BUCKETS) or group (MAP_SWISS)
	uint64_t length;               // array
	const struct go_field *fields; // struct; a closure's captured variables
	uint32_t field_count;
	uint32_t id;          // dense, for arrays indexed by type
	uint32_t hash;        // abi.Type.Hash; itabs repeat it. 0 when it has no record
	bool empty_interface; // interface without methods: its first word is a type, not an itab
	bool synthetic; // made up by heapwhy: a closure's captures, a map's internals, a channel
			// with buffer
	const uint64_t *mask; // a bit a word of pointer_bytes: pointer words; NULL for none. Built
			      // on demand: ask type_mask()
};

struct type_table;

// Reads every abi.Type in the modules' [types, etypes). Types that do not validate are skipped and
// counted.
struct error *type_table_create(struct go_runtime *runtime, struct type_table **out);
void type_table_destroy(struct type_table *table); // accepts NULL

uint32_t type_table_count(const struct type_table *table);
const struct go_type *type_by_id(const struct type_table *table, uint32_t id);

// The type whose abi.Type is at `address`, or NULL. Also types that reflect made at run time, on
// the heap.
const struct go_type *type_by_address(struct type_table *table, remote_addr address);

// Like type_by_address, but only what was read already. Several threads may ask while nobody changes the table.
const struct go_type *type_known(const struct type_table *table, remote_addr address);

// The named type with this full name: package path and name ("net/http.Server", "main.list[int]"),
// or a predeclared or unnamed type as Go prints it. NULL when the program has none. An index is
// built on first use.
const struct go_type *type_by_name(struct type_table *table, const char *name);

// The concrete type behind an interface's first word: a type word or an itab. NULL when it is
// neither.
const struct go_type *type_of_itab(struct type_table *table, remote_addr itab);

// Pointer words of the type, a bit a word; NULL when it has none.
const uint64_t *type_mask(struct type_table *table, const struct go_type *type);

// "field.sub[3].x" of the word at `offset` in `type`; writes at most `size` bytes. Returns the type
// of that word's innermost field, or NULL.
const struct go_type *type_describe_offset(
	const struct go_type *type, uint64_t offset, char *buffer, size_t size);

// The innermost struct of which the word at `offset` is a field, in a `type` or an array of them; NULL when it is none's.
const struct go_type *type_owner_at(const struct go_type *type, uint64_t offset);

// For those who know types from elsewhere (DWARF, code): a new type with an id, all zero, owned by
// the table. Fill it in before anybody else sees it; types may refer to each other in circles. NULL
// when out of memory.
struct go_type *type_create(struct type_table *table);

// Gives a struct its fields. They are checked: ascending, disjoint, within `type`, whose size must
// be set; what comes after the first that does not fit is left out. `fields` must live as long as
// the table.
void type_set_fields(struct go_type *type, struct go_field *fields, uint32_t count);

// Memory that lives as long as the table (names, fields); cleared. NULL when out of memory.
void *type_alloc(struct type_table *table, size_t bytes);

// The pointer type to `elem` and a slice of it, made up when the program itself has no record of
// it. NULL when out of memory.
const struct go_type *type_pointer_to(struct type_table *table, const struct go_type *elem);
const struct go_type *type_slice_of(struct type_table *table, const struct go_type *elem);

// How the maps of this type are laid out in memory. False when the type is no map or its group is
// unknown.
struct map_layout {
	const struct go_type *group; // bucket or group
	uint64_t keys, key_stride;   // offset of key 0 in the group, distance to the next
	uint64_t elems, elem_stride;
	uint64_t overflow; // MAP_BUCKETS: offset of the pointer to the overflow bucket
	bool indirect_key, indirect_elem; // the group holds pointers to them
};
bool type_map_layout(struct type_table *table, const struct go_type *map, struct map_layout *out);

// Walks the words of a value that can hold pointers: the leaves of its structs and arrays, by
// ascending offset. A leaf is never a struct or array, and has pointer_bytes > 0.
//
//	struct type_walk walk;
//	type_walk_begin(&walk, type);
//	while (type_walk_next(&walk))
//		use(walk.leaf, walk.offset);
enum { TYPE_DEPTH_MAX = 64 }; // structs and arrays within each other; what lies deeper is left out
struct type_walk {
	const struct go_type *leaf;
	uint64_t offset;
	unsigned depth;
	struct {
		const struct go_type *type;
		uint64_t offset, next;
	} stack[TYPE_DEPTH_MAX];
};
void type_walk_begin(struct type_walk *walk, const struct go_type *type);
bool type_walk_next(struct type_walk *walk);

// Counts of the scan, for tests and notes.
struct type_table_statistics {
	uint64_t accepted,
		rejected; // rejected: looked like a type at first sight, did not validate
	uint64_t bytes;   // of [types, etypes)
};
void type_table_statistics(const struct type_table *table, struct type_table_statistics *out);

#endif
