// What the dwarf*.c files share: here, and only here, libdw's types show.
#ifndef DEBUGINFO_DWARF_PRIVATE_H
#define DEBUGINFO_DWARF_PRIVATE_H

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "debuginfo/dwarf.h"
#include "heapwhy/vector.h"

// Go's own attributes (cmd/internal/dwarf/dwarf.go).
enum {
	DW_AT_go_kind = 0x2900,
	DW_AT_go_key = 0x2901,
	DW_AT_go_elem = 0x2902,
	DW_AT_go_embedded_field = 0x2903,
	DW_AT_go_runtime_type = 0x2904,
	DW_AT_go_closure_offset = 0x2907, // go 1.23 on
};

// A name that can be looked up: of a struct or a constant.
struct dwarf_name {
	uint64_t hash;
	dwarf_ref ref;
};

struct dwarf {
	Dwarf *dw;
	uint64_t bias;
	HW_VECTOR(struct dwarf_function) functions; // by address
	HW_VECTOR(struct dwarf_global) globals;     // by address
	HW_VECTOR(struct dwarf_name) names;         // by hash
};

struct error *dwarf_open(const struct executable *executable, struct dwarf **out);
void dwarf_close(struct dwarf *dwarf); // accepts NULL

// The entry behind a reference. False when there is none.
bool dwarf_entry(const struct dwarf *dwarf, dwarf_ref ref, Dwarf_Die *out);

// Attributes of an entry, its abstract origin's included; false or 0 when absent or damaged.
bool entry_number(Dwarf_Die *entry, unsigned attribute, uint64_t *out);
dwarf_ref entry_reference(Dwarf_Die *entry, unsigned attribute);

// The entry of this tag, of a struct or a constant, called `name`.
bool dwarf_find(struct dwarf *dwarf, const char *name, int tag, Dwarf_Die *out);

#endif
