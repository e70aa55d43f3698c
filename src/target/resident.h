// How much of a process's memory is really there, as the kernel sees it.
#ifndef TARGET_RESIDENT_H
#define TARGET_RESIDENT_H

#include "target/target.h"

// Bytes in memory now, shared pages included, as the kernel counts them for this process
// (smaps_rollup, or else statm); 0 when it does not tell.
uint64_t resident_total(pid_t pid);

// A mapping of which something is in memory, as /proc/PID/smaps tells it.
struct resident_mapping {
	remote_addr start, end;
	uint64_t bytes; // in memory; pages of zeros that nobody wrote to are not counted
	bool is_file, shared, writable;
	char *path; // "" when anonymous; owned
};

// By address. One reading: the mappings add up to what the process has in memory, but for what it
// does meanwhile.
struct resident_mappings {
	struct resident_mapping *items;
	size_t count;
};

// ERROR_TARGET when the kernel does not tell.
struct error *resident_mappings_read(pid_t pid, struct resident_mappings *out);
void resident_mappings_deinit(struct resident_mappings *mappings);

enum { RESIDENT_PAGE = 4096 };

// Which pages of a range are in memory: a bit a page from `start` on.
struct resident_range {
	remote_addr start, end;
	uint64_t *bits;
};

// Ranges, ascending and disjoint. Swapped-out pages are not in memory.
struct resident_map {
	struct resident_range *ranges;
	size_t count;
};

// Adds [start, end), page aligned and above all ranges so far. ERROR_TARGET when the kernel does
// not tell.
struct error *resident_map_add(
	struct resident_map *map, pid_t pid, remote_addr start, remote_addr end);
void resident_map_deinit(struct resident_map *map);

// Bytes of [start, end) that are in memory; what no range covers is not.
uint64_t resident_bytes(const struct resident_map *map, remote_addr start, remote_addr end);

#endif
