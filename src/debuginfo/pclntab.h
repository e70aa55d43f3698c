// Go's table of functions and program counters, read from the target's own copy: it is there in
// stripped binaries.
//
// Two formats (magic F0FFFFFF: go 1.18-1.19; F1FFFFFF: go 1.20 on) differ in the record that
// describes a function. Everything is bounded: a damaged table yields "not found", never a wild
// read.
#ifndef DEBUGINFO_PCLNTAB_H
#define DEBUGINFO_PCLNTAB_H

#include "target/target.h"

struct pclntab;

// Where the tables lie, from runtime.moduledata. All sizes are in bytes (the slice cutab counts
// words of 4 bytes).
struct pclntab_location {
	remote_addr header;      // pcHeader
	remote_addr text, etext; // moduledata.text: the header's own textStart is 0 from 1.26 on
	remote_addr min_pc, max_pc;
	remote_addr funcnametab, cutab, filetab, pctab, pclntable, ftab;
	uint64_t funcnametab_size, cutab_size, filetab_size, pctab_size, pclntable_size;
	uint64_t ftab_count;         // nfunc + 1
	remote_addr gofunc;          // base of funcdata offsets
	remote_addr rodata, erodata; // bounds for funcdata (erodata: end of the read-only mapping)
};

struct pcln_function {
	uint32_t index;         // in ftab, stable for the life of the table
	remote_addr entry, end; // [entry, end)
	const char *name;       // NUL-terminated, owned by the table
	int32_t args;           // bytes of arguments; INT32_MIN when variable
	uint32_t deferreturn;   // offset of the deferreturn call, or 0
	uint32_t pcsp, pcfile, pcln, npcdata, cu_offset;
	int32_t start_line; // 1.20 on, else 0
	uint8_t func_id, flag, nfuncdata;
	uint32_t record; // offset of the record in pclntable
};

enum { FUNC_FLAG_TOP_FRAME = 1, FUNC_FLAG_SP_WRITE = 2, FUNC_FLAG_ASM = 4 };
enum pcln_data { PCDATA_UNSAFE_POINT = 0, PCDATA_STACK_MAP_INDEX = 1, PCDATA_INL_TREE_INDEX = 2 };
enum pcln_funcdata {
	FUNCDATA_ARGS_POINTER_MAPS = 0,
	FUNCDATA_LOCALS_POINTER_MAPS = 1,
	FUNCDATA_STACK_OBJECTS = 2,
	FUNCDATA_INL_TREE = 3,
};

struct error *pclntab_create(
	struct target *target, const struct pclntab_location *location, struct pclntab **out);
void pclntab_destroy(struct pclntab *table); // accepts NULL

uint32_t pclntab_count(const struct pclntab *table);
bool pclntab_function(const struct pclntab *table, uint32_t index, struct pcln_function *out);

// The function whose code holds `pc`. O(log functions).
bool pclntab_find(const struct pclntab *table, remote_addr pc, struct pcln_function *out);

// The first function called `name` (there may be wrappers of the same name). A hash index is built
// on first use.
bool pclntab_find_name(struct pclntab *table, const char *name, struct pcln_function *out);

// The value that the pc-value table at `offset` of pctab holds for `pc`; false when the table is
// damaged or ends.
bool pclntab_value(const struct pclntab *table, uint32_t offset,
	const struct pcln_function *function, remote_addr pc, int32_t *value);

// PCDATA table `kind` at `pc`; -1 when the function has none (that is Go's own default).
int32_t pclntab_data(const struct pclntab *table, const struct pcln_function *function,
	enum pcln_data kind, remote_addr pc);

// Address of FUNCDATA `kind`, or 0.
remote_addr pclntab_funcdata(
	const struct pclntab *table, const struct pcln_function *function, enum pcln_funcdata kind);

// The bytes of a funcdata structure, good until target_destroy; NULL when [address, address + size)
// leaves the funcdata.
const void *pclntab_funcdata_bytes(const struct pclntab *table, remote_addr address, uint64_t size);

// Bytes of the frame below the return address at `pc` (pcsp), or -1.
int32_t pclntab_frame_size(
	const struct pclntab *table, const struct pcln_function *function, remote_addr pc);

// Source positions at `pc`, innermost inlined call first; the physical function is the last.
// Returns how many were written (at most `max`), 0 when unknown. `pc` is the address of an
// instruction: pass return address - 1.
struct pcln_position {
	const char *function; // full name
	const char *file;     // "" when unknown
	int32_t line;         // 0 when unknown
};
size_t pclntab_positions(const struct pclntab *table, const struct pcln_function *function,
	remote_addr pc, struct pcln_position *out, size_t max);

#endif
