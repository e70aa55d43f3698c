// What of a Go program must be in a core so that it can be analysed: spans in use, the runtime's own
// memory, stacks, global variables; not reserved address space, and not what the executable holds.
//
//	struct dump_options options = {.compressed = true};
//	struct error *err = dump_write(target, &options, fd);
#ifndef GORUNTIME_DUMP_H
#define GORUNTIME_DUMP_H

#include <stdbool.h>

struct error;
struct target;

struct dump_options {
	bool compressed;
	// Zeroes what nobody else may see: heap objects without pointers, free slots, and the
	// arguments and environment of the process.
	bool redacted;
	// Also what the executable's file holds, so that the core can be analysed without it.
	bool program;
};

// Writes a core of `target` to `fd`, a new file.
struct error *dump_write(struct target *target, const struct dump_options *options, int fd);

#endif
