// Types of the debug information as types of the table.
//
// A DWARF type that names a runtime type is that type; so is one without whose name the table
// knows. Only what the program has no record of is made up from DWARF: types that exist but never
// meet an allocation, an interface or reflection.
#ifndef GORUNTIME_TYPES_DWARF_H
#define GORUNTIME_TYPES_DWARF_H

#include "debuginfo/dwarf.h"
#include "goruntime/types.h"

struct dwarf_types;

// `table` and `dwarf` must outlive it; the types that it makes belong to the table.
struct error *dwarf_types_create(struct type_table *table, const struct go_runtime *runtime,
	struct dwarf *dwarf, struct dwarf_types **out);
void dwarf_types_destroy(struct dwarf_types *types); // accepts NULL

// NULL when the entry is no type that Go has, or out of memory.
const struct go_type *dwarf_types_get(struct dwarf_types *types, dwarf_ref ref);

#endif
