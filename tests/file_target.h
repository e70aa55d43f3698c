// An ELF file as a target: its segments lie in memory as a loader would put them, and nothing runs.
// For tests of what is read from executables, and for the generator of layout_table.c.
#ifndef TESTS_FILE_TARGET_H
#define TESTS_FILE_TARGET_H

#include "target/target.h"

// `bias` is added to every address; use 0 for executables that are not position independent.
struct error *file_target_open(const char *path, uint64_t bias, struct target **out);

#endif
