// The debug information of the executable: types, globals, functions and their local variables.
//
// Opened when first asked for. One pass over the top-level entries makes sorted indexes of
// functions, globals and names; everything else is read on demand. Only Go's own compilation units
// count: C code has no pointers that the collector follows. DWARF 4 (to go 1.24) and 5 (1.25 on),
// plain and compressed.
//
// The file may be damaged: what cannot be read is absent, never an error once the indexes exist.
// Addresses that go in and come out are the target's. Strings live as long as the executable. Not
// thread-safe.
//
//	struct dwarf *dwarf;
//	struct error *err = executable_dwarf(executable, &dwarf);
//	int64_t offset;
//	if (dwarf_field_offset(dwarf, "runtime.finblock", "finBlockHeader.cnt|cnt", &offset))
//		...
#ifndef DEBUGINFO_DWARF_H
#define DEBUGINFO_DWARF_H

#include "debuginfo/executable.h"

struct dwarf;

// Names an entry (DIE) of the debug information: a key for caches, unique for the executable. 0: none.
typedef uint64_t dwarf_ref;

// The executable owns the result and returns the same one every time. An error when there is no
// debug information, or none that can be read.
struct error *executable_dwarf(struct executable *executable, struct dwarf **out);

// --- Types

enum dwarf_kind {
	DWARF_BASE,     // numbers, booleans; whatever has nothing inside
	DWARF_POINTER,  // `elem`: what it points to, 0 for unsafe.Pointer
	DWARF_STRUCT,   // Go's structs; strings and slices, as the structs they are
	DWARF_ARRAY,    // `length` times `elem`
	DWARF_TYPEDEF,  // another name for `elem`; also interfaces, maps and channels
	DWARF_FUNCTION, // a func value's code, not the func value
};

struct dwarf_type {
	dwarf_ref ref;
	const char *name; // with the whole package path: "net/http.Server"; "" when it has none
	enum dwarf_kind kind;
	unsigned go_kind; // reflect.Kind's number (DW_AT_go_kind), 0 when it has none
	uint64_t size;    // bytes; 0 also when not given (typedefs, pointers in old versions)
	uint64_t length;  // array
	dwarf_ref elem;   // see the kinds
	dwarf_ref go_key, go_elem; // DW_AT_go_key, DW_AT_go_elem: of maps, channels, slices
	// Offset of its abi.Type from moduledata.types (a few entries of old versions: its address
	// in the file). 0: the program has no record of the type.
	uint64_t runtime_type;
};
bool dwarf_type(struct dwarf *dwarf, dwarf_ref ref, struct dwarf_type *out);

struct dwarf_field {
	const char *name;
	dwarf_ref type;
	uint64_t offset;
	bool embedded;
};

// Calls `visit` for each field of the struct in order, until it returns false.
typedef bool (*dwarf_field_visit)(void *context, const struct dwarf_field *field);
void dwarf_fields(struct dwarf *dwarf, dwarf_ref structure, dwarf_field_visit visit, void *context);

// The struct called `name`, 0 when there is none. Expected O(1).
dwarf_ref dwarf_struct(struct dwarf *dwarf, const char *name);

// Offset of a field: "a.b" descends into fields that are structs themselves, "a.b|c" tries one path
// after the other.
bool dwarf_field_offset(
	struct dwarf *dwarf, const char *structure, const char *path, int64_t *offset);
bool dwarf_struct_size(struct dwarf *dwarf, const char *structure, int64_t *size);

// An integer constant of a package.
bool dwarf_constant(struct dwarf *dwarf, const char *name, int64_t *value);

// --- Variables

struct dwarf_global {
	const char *name; // "net/http.DefaultClient"
	remote_addr address;
	dwarf_ref type;
};

// All package variables of Go, by address.
const struct dwarf_global *dwarf_globals(const struct dwarf *dwarf, size_t *count);

struct dwarf_function {
	remote_addr low, high; // [low, high)
	dwarf_ref ref;
};

// All functions of Go that have code, by address.
const struct dwarf_function *dwarf_functions(const struct dwarf *dwarf, size_t *count);

// The function whose code holds `pc`. O(log functions).
bool dwarf_function_at(const struct dwarf *dwarf, remote_addr pc, struct dwarf_function *out);

enum dwarf_place {
	PLACE_NONE,     // the value is not kept, or in a way that is not followed
	PLACE_STACK,    // at CFA + offset
	PLACE_REGISTER, // in DWARF register `reg`; known only in the frame that runs
};

// A part of a variable's value. The CFA is where the caller's stack pointer was before the call:
// the end of the frame, just above the return address.
struct dwarf_piece {
	enum dwarf_place place;
	uint64_t start, size; // within the value, in bytes; size 0: all of it
	int64_t offset;       // PLACE_STACK
	unsigned reg;         // PLACE_REGISTER
};

enum { DWARF_PIECES_MAX = 32 };

struct dwarf_variable {
	const char *name; // "&x" for the pointer to a variable that was moved to the heap
	dwarf_ref type;
	bool parameter;
	bool indirect; // the place holds the address of the variable
	bool moves;    // it is not in the same place all the time
	unsigned piece_count;
	struct dwarf_piece pieces[DWARF_PIECES_MAX];
};

// Calls `visit` for each variable of the function, and of the calls inlined into it, that has a place at `pc`, until it
// returns false.
//
// In a frame that waits for a call to return, `pc` lies inside the call instruction (return address - 1) and `resume`
// is the return address; otherwise 0. Go describes registers up to the end of the call that clobbers them, and the
// stack words they were saved to from there on: so a variable that is in a register at `pc` is taken from where it is
// at `resume`.
typedef bool (*dwarf_variable_visit)(void *context, const struct dwarf_variable *variable);
void dwarf_locals(struct dwarf *dwarf, remote_addr pc, remote_addr resume,
	dwarf_variable_visit visit, void *context);

// Calls `visit` for each variable that the closure whose code starts at `code` captured: `offset`
// is its place in the closure object. go 1.23 on; earlier versions do not tell.
void dwarf_captures(struct dwarf *dwarf, remote_addr code, dwarf_field_visit visit, void *context);

#endif
