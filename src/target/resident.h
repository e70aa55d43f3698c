// How much of a process's memory is really there, as the kernel sees it. A frozen copy knows as little
// about that as we do: the process itself is asked, after its copy was made. Our own cores tell what
// was said then; others do not.
//
//	err = resident_ask(target);
//	if (target->resident)
//		printf("%" PRIu64, resident_bytes(target->resident, start, end));
#ifndef TARGET_RESIDENT_H
#define TARGET_RESIDENT_H

#include "heapwhy/vector.h"
#include "target/target.h"

// A mapping of which something is in memory, as /proc/PID/smaps tells it.
struct resident_mapping {
	remote_addr start, end;
	uint64_t bytes; // in memory; pages of zeros that nobody wrote to are not counted
	bool is_file, shared;
	char *path; // "" when anonymous; owned
};

// Pages in memory; swapped-out ones are not.
struct resident_run {
	remote_addr start, end;
};

// Both lists are by address and disjoint. The mappings are one reading: they add up to what the process
// has in memory, but for what it does meanwhile.
struct resident {
	uint64_t
		total; // bytes in memory, shared pages included (smaps_rollup, or else statm); 0: unknown
	HW_VECTOR(struct resident_mapping) mappings; // empty: unknown
	HW_VECTOR(struct resident_run) runs;         // of the anonymous mappings
};

// Fills in target->resident of a process. That the kernel does not tell is no error.
struct error *resident_ask(struct target *target);
void resident_destroy(struct resident *resident); // accepts NULL

// These take what is given, by address; false: no memory.
bool resident_add_mapping(struct resident *resident, const struct resident_mapping *mapping,
	const char *path, size_t path_length);
bool resident_add_run(struct resident *resident, remote_addr start, remote_addr end);

// Bytes of [start, end) that are in memory.
uint64_t resident_bytes(const struct resident *resident, remote_addr start, remote_addr end);

#endif
