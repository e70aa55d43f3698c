// Inside the type table: shared by types.c (the table), types_record.c (abi.Type records) and
// types_dynamic.c.
#ifndef GORUNTIME_TYPES_PRIVATE_H
#define GORUNTIME_TYPES_PRIVATE_H

#include "goruntime/types.h"
#include "heapwhy/arena.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// A copy of one module's [types, etypes), held while the table is built.
struct type_section {
	remote_addr start, end;
	uint8_t *bytes;
};

struct type_table {
	struct go_runtime *runtime;
	struct hw_arena arena;
	HW_VECTOR(struct go_type *) types; // by id
	HW_VECTOR(struct type_section) sections;
	struct hw_map by_address;       // abi.Type -> struct go_type, 0: looked at, is no type
	struct hw_map itabs;            // itab -> struct go_type, 0: is no itab
	struct hw_map by_name;          // hash of the full name -> struct go_type
	size_t named;                   // types[0 .. named) are in by_name
	struct hw_map pointers, slices; // elem's id -> struct go_type
	size_t derived;                 // types[0 .. derived) are in pointers and slices
	struct type_table_statistics statistics;
};

// The part that all abi.Type records begin with (internal/abi/type.go; runtime/type.go in 1.19; the
// same layout from 1.19 to 1.27 but for the meaning of the flags).
struct type_record {
	uint64_t size, pointer_bytes;
	uint32_t hash;
	uint8_t flags, align, field_align, kind;
	remote_addr gc_data;
	int32_t name; // offset in the module's types; negative: made by reflect
};

enum { RECORD_BYTES = 48, RECORD_BYTES_MAX = 136 };
enum { RECORD_UNCOMMON = 1, RECORD_EXTRA_STAR = 2, RECORD_NAMED = 4, RECORD_MASK_ON_DEMAND = 16 };

// Decodes and checks what can be checked without looking elsewhere.
bool record_decode(const struct layout *layout, const uint8_t *bytes, struct type_record *out);

// Bytes of a record of this kind up to its uncommon part.
uint64_t record_bytes(const struct layout *layout, enum go_kind kind);

// What the flags say about values in interfaces.
bool record_is_direct(const struct layout *layout, const uint8_t *bytes);

// Fills in what `record` says of itself (not name, elem, key, fields).
void record_apply(const struct layout *layout, const uint8_t *bytes,
	const struct type_record *record, struct go_type *type);

// Reads the types of one module into the table. The section stays in table->sections.
struct error *type_table_scan(struct type_table *table, const struct go_module *module);

// A type that reflect made at run time, or NULL.
const struct go_type *type_read_dynamic(struct type_table *table, remote_addr address);

// Reads from a section's copy, else from the target. False when unreadable.
bool type_table_read(struct type_table *table, remote_addr address, void *buffer, size_t size);

#endif
