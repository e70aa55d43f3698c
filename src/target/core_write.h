// Writing a target as a core file that gdb, delve and heapwhy itself can open.
//
//	struct core_range ranges[] = {{0xc000000000, 0xc000400000, true}};
//	struct core_contents contents = {.target = target, .ranges = ranges, .range_count = 1};
//	struct error *err = core_write(&contents, fd);
#ifndef TARGET_CORE_WRITE_H
#define TARGET_CORE_WRITE_H

#include "target/target.h"

struct core_range {
	remote_addr start, end; // page aligned
	bool late; // may be lost when the file is cut off later: written behind all others
};

struct core_contents {
	struct target *target;
	const struct core_range *ranges; // by address, disjoint
	size_t range_count;
	bool compressed; // by zstd
	bool redacted;   // leaves vector registers out: they hold pieces of strings
	// Told of each piece before it is written, to change what nobody else may see. NULL: nothing.
	void (*redact)(void *context, remote_addr address, uint8_t *bytes, size_t size);
	void *context;
};

// Writes everything to `fd`, a new file. Pages of zeros become holes. What cannot be read is written
// as zeros.
struct error *core_write(const struct core_contents *contents, int fd);

#endif
