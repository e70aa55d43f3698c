// What executable.c shares with dwarf*.c, and with nobody else: here, and only here, libelf's types
// show.
#ifndef DEBUGINFO_EXECUTABLE_PRIVATE_H
#define DEBUGINFO_EXECUTABLE_PRIVATE_H

#include <libelf.h>

#include "debuginfo/executable.h"

// The descriptor stays open for as long as the executable: libelf reads sections when they are
// first asked for.
Elf *executable_elf(const struct executable *executable);

#endif
