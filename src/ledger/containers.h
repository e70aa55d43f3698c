// What the containers of libheapwhy in a C program hold, read from outside: the register that the library keeps
// (include/heapwhy/registry.h) tells where each container is and which of its fields mean what.
//
//	struct containers containers;
//	struct error *err = containers_read(target, &containers);
//	for (size_t i = 0; i < containers.list.count; i++)
//		use(containers.list.items[i].name, containers.list.items[i].sums[HW_HELD_BYTES]);
//	containers_deinit(&containers);
#ifndef LEDGER_CONTAINERS_H
#define LEDGER_CONTAINERS_H

#include "base/error.h"
#include "heapwhy/arena.h"
#include "heapwhy/registry.h"
#include "heapwhy/vector.h"
#include "target/target.h"

enum { CONTAINER_SUMS = HW_STALLED_READERS + 1 };

// One container. A sum that its kind does not measure is 0.
struct container {
	const char *kind;              // "node pool"
	const char *name;              // what the program calls it, or ""
	remote_addr address, creator;  // the container; who called its init function
	uint64_t sums[CONTAINER_SUMS]; // by enum hw_what
	bool measures[CONTAINER_SUMS];
};

struct containers {
	struct hw_arena arena;            // names: bytes of the target, not cleaned
	HW_VECTOR(struct container) list; // by held bytes, largest first
	uint64_t missed;                  // containers that the full register did not take
	uint64_t damaged;                 // entries that make no sense
};

// ERROR_TARGET when there is no register: the program does not use the library.
struct error *containers_read(struct target *target, struct containers *out);
void containers_deinit(struct containers *containers);

#endif
