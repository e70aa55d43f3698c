// Inside typing: what the target's debug information adds. Without DWARF nothing here is called.
#ifndef GORUNTIME_TYPING_DWARF_H
#define GORUNTIME_TYPING_DWARF_H

#include "goruntime/typing_claims.h"

struct typing_dwarf;

// Claims all globals (and names them with typing_add_global), the locals of all frames (gated by
// `roots`: only stack words that are live by the stack maps), and tells the captures of closures.
// Types are unified with those of the table (DW_AT_go_runtime_type). Does not propagate.
struct error *typing_dwarf_claim(struct typing *typing, const struct roots *roots,
	const struct goroutine_list *goroutines, struct typing_dwarf **out);
void typing_dwarf_destroy(struct typing_dwarf *dwarf); // accepts NULL

// The name of the local variable that the stack word `root` belongs to; it lives as long as
// `dwarf`.
bool typing_dwarf_local(
	const struct typing_dwarf *dwarf, const struct root *root, const char **name);

#endif
