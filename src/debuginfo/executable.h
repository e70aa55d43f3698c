// The executable file: what it is and what it still says about itself.
#ifndef DEBUGINFO_EXECUTABLE_H
#define DEBUGINFO_EXECUTABLE_H

#include "target/target.h"

struct executable; // libelf and libdw are seen only inside this room

// Opens the target's executable by its own descriptor (never by a path that may lead elsewhere). A
// target whose file is gone or damaged gets an error; callers go on without, the file is optional
// for everything but DWARF and symbols.
struct error *executable_open(struct target *target, struct executable **out);
void executable_destroy(struct executable *executable); // accepts NULL

bool executable_is_pie(const struct executable *executable);
bool executable_has_symbols(const struct executable *executable); // .symtab
bool executable_has_dwarf(const struct executable *executable);

// Go's own build id, else GNU's as hexadecimal digits; "" when it has none.
const char *executable_build_id(const struct executable *executable);

// What is added to the file's addresses to get the target's.
uint64_t executable_bias(const struct executable *executable);

// The symbol that covers `address` (a target address): name (owned by the executable), start and
// size. False without symbols. O(log symbols).
struct symbol {
	const char *name;
	remote_addr address;
	uint64_t size;
};
bool executable_symbol(struct executable *executable, remote_addr address, struct symbol *out);

// The symbol called `name`. O(symbols).
bool executable_symbol_by_name(struct executable *executable, const char *name, struct symbol *out);

#endif
