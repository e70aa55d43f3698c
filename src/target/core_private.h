// Inside the reader of core files.
#ifndef TARGET_CORE_PRIVATE_H
#define TARGET_CORE_PRIVATE_H

#include "target/core.h"

#include <elf.h>

#include "heapwhy/vector.h"

// A PT_LOAD: [start, end), of which [start, start + size) lies at `offset` of the core.
struct core_segment {
	remote_addr start, end;
	uint64_t size, offset;
	unsigned flags; // PF_*
};

// A file that was mapped.
struct core_mapping {
	remote_addr start, end;
	uint64_t offset;
	const char *path; // in core.note_bytes or target.exe_path
};

struct core {
	struct target target; // first: the target's functions find the rest by it
	const char *path;     // for messages; only while opening
	int fd, exe_fd;
	uint64_t size; // of the file
	bool released;
	HW_VECTOR(struct core_segment) segments; // by address, disjoint
	HW_VECTOR(struct core_mapping) mappings; // by address, disjoint
	uint8_t *note_bytes;
	size_t note_size;
	uint64_t note_offset;        // in the file
	struct core_source *sources; // for each region
	char *first_path;            // what the notes say that the program is called, or NULL

	// What is not there.
	bool cut_compressed;    // the compressed file ends early or is damaged
	uint64_t cut_bytes;     // that segments have beyond the end of the file
	uint64_t overlapped;    // segments that contradict others
	uint64_t damaged_bytes; // whose checksums are wrong
	bool checked;           // it is one of our own, and had its checksums
	bool exe_unverified;    // nothing in the core proves that it is the right one
	bool threads_damaged;   // notes of threads that make no sense
};

// Where a region's bytes are.
struct core_source {
	int fd; // of the core or the executable; -1: nowhere
	uint64_t offset;
};

// Reads exactly `size` bytes of the file, or fails.
bool core_pread(int fd, void *buffer, size_t size, uint64_t offset);

// core_notes.c: threads, mapped files, the auxiliary vector, and what our own cores add, out of
// note_bytes.
struct error *core_read_notes(struct core *core);

// core_resident.c: a note of our own about what was in memory, as target.resident; one that makes no
// sense, or for which there is no memory, tells nothing.
struct error *core_read_resident(struct core *core, const uint8_t *note, size_t size);

// core_check.c: compares the file with the checksums in a note of our own, and takes out of the
// segments what has changed. An error when the headers have.
struct error *core_check(struct core *core, const uint8_t *note, size_t size);

// The value of AT_* `type`, 0 when it is not known.
uint64_t core_auxv(const struct core *core, uint64_t type);

// core_exe.c: finds the executable, makes sure that it is the right one, and opens it as exe_fd. Adds
// the mappings that the core does not tell of.
struct error *core_find_exe(struct core *core, const char *wanted);

// core_spool.c: turns a compressed file or a pipe into a plain, unlinked one. *fd is closed and
// replaced. `most` as in core_options. `cut`: it ended early.
struct error *core_spool(int *fd, const char *path, uint64_t most, bool *cut);

void core_note(struct core *core, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
