// A core file as a target: written by the kernel, by gdb's gcore, by delve, by qemu or by
// `heapwhy dump`; for amd64 or arm64; plain, or compressed with gzip or zstd.
//
// The file is read where it is asked for, never loaded whole. Bytes that it leaves out because they
// are those of the executable are taken from there, if the executable is found and is the right one.
// Whatever else is missing is not readable, and target->notes says how much it is.
//
//	struct core_options options = {.exe = NULL};
//	struct error *err = core_open("core.4711", &options, &target);
//	target_destroy(target);
#ifndef TARGET_CORE_H
#define TARGET_CORE_H

#include "target/target.h"

struct core_options {
	// The executable; NULL: looked for where the core says, beside the core, and by build id.
	const char *exe;
	// How many bytes, zeros aside, a core may have that must be unpacked or comes by a pipe; 0:
	// what the disk has room for.
	uint64_t unpacked_max;
};

struct error *core_open(const char *path, const struct core_options *options, struct target **out);

// The same for an open file, which is taken over; `path` is what messages call it. A pipe will do: it
// is copied first.
struct error *core_open_fd(
	int fd, const char *path, const struct core_options *options, struct target **out);

// Whether the file begins like something that core_open would read.
bool core_is_likely(const void *bytes, size_t size);

#endif
