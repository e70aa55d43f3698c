// What /proc says about a process. Nothing here allocates: the keeper (keeper.h) calls it while a
// process stands still.
#ifndef TARGET_PROCFS_H
#define TARGET_PROCFS_H

#include "target/target.h"

struct process_status {
	char state; // 'R', 'S', 'D', 'T', 't', 'Z', 'X', 'I'
	pid_t tgid, ppid, tracer;
	pid_t namespace_pid; // as the process sees itself
	int seccomp;         // 0 none, 1 strict, 2 filter
	bool kernel_thread;
	uint64_t anonymous_bytes; // resident and swapped out
};

// The file /proc/PID/NAME as a string, at most `size` - 1 bytes of it. Returns the length, or -1
// (errno).
ssize_t procfs_read(pid_t pid, const char *name, char *buffer, size_t size);

// The same for any file.
ssize_t file_read_text(const char *path, char *buffer, size_t size);

// False (errno) when the thread is not there. `tid` may equal `pid`.
bool procfs_status(pid_t pid, pid_t tid, struct process_status *out);

// A mapping as a line of /proc/PID/maps describes it. `path` is not terminated.
struct maps_line {
	struct region region; // without path and is_exe
	uint64_t inode;
	unsigned device_major, device_minor;
	const char *path;
	size_t path_length;
};

// Parses the line at `*cursor` and moves on to the next. False at the end or when the text makes no
// sense.
bool maps_next(const char **cursor, const char *end, struct maps_line *out);

// One entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61) // of a file, or shared memory

enum { PAGE_BYTES = 4096 };

#endif
