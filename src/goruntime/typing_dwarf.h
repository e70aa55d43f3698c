// Inside typing: what the target's debug information adds. Without DWARF nothing here is called.
#ifndef GORUNTIME_TYPING_DWARF_H
#define GORUNTIME_TYPING_DWARF_H

#include "goruntime/typing_claims.h"

struct typing_dwarf;

// Reads the debug information and names all globals with typing_add_global(). Types are unified
// with those of the table (DW_AT_go_runtime_type).
struct error *typing_dwarf_open(
	struct typing *typing, const struct goroutine_list *goroutines, struct typing_dwarf **out);

// Claims all globals and the locals of all frames (gated by `roots`: only stack words that are live
// by the stack maps), and tells the captures of closures. Does not propagate.
struct error *typing_dwarf_claim(struct typing_dwarf *dwarf, const struct roots *roots);
void typing_dwarf_destroy(struct typing_dwarf *dwarf); // accepts NULL

// The name of the local variable that the stack word `root` belongs to; it lives as long as
// `dwarf`.
bool typing_dwarf_local(
	const struct typing_dwarf *dwarf, const struct root *root, const char **name);

// As typing_local_parts().
size_t typing_dwarf_parts(
	struct typing_dwarf *dwarf, const struct root *root, struct local_part *out, size_t max);

#endif
