// The bytes being examined, behind one interface: a frozen copy of a live process, a stopped
// process, a core file, or an image in memory (tests).
//
// A target's bytes, regions and registers never change while it is open. Reading is thread-safe;
// everything else belongs to the thread that opened it. Addresses of the target are remote_addr:
// never cast one to a pointer.
//
//	struct target *target;
//	struct error *err = process_capture(pid, &options, &target);
//	err = target_read(target, address, &word, sizeof(word));
//	target_destroy(target);                 // lets the target go, also after errors
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;

typedef uint64_t remote_addr;

enum target_kind { TARGET_PROCESS, TARGET_CORE, TARGET_IMAGE };

enum target_arch { ARCH_AMD64, ARCH_ARM64 };

// A mapping. Neighbours are not merged.
struct region {
	remote_addr start, end;
	uint64_t file_offset; // of `start`, when `path` is a file
	bool readable, writable, executable, shared;
	bool is_file;     // backed by a file: `path` names it
	bool is_exe;      // ... which is the program that is examined: see target_set_library()
	const char *path; // as the kernel names it ("" when anonymous); the target owns it
};

// A thread's registers as the goroutine unwinder needs them: pc and sp by name, and every general
// and vector register once more as plain words, for conservative scanning.
//
// On amd64 words[0 .. AMD64_GENERAL_WORDS) are rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15, the base of
// fs, and the flags; then come XMM0 .. XMM15. On arm64 words[0 .. ARM64_GENERAL_WORDS) are x0 .. x30,
// then come V0 .. V31. A thread whose registers could not be had has fewer words than that.
enum { REGISTER_WORDS_MAX = 320, AMD64_GENERAL_WORDS = 18, ARM64_GENERAL_WORDS = 31 };
struct registers {
	remote_addr pc, sp;
	unsigned word_count;
	uint64_t words[REGISTER_WORDS_MAX];
};

struct target_thread {
	pid_t tid;
	struct registers registers;
};

enum capture_method { CAPTURE_AUTO, CAPTURE_FORK, CAPTURE_STOP, CAPTURE_CORE };

// How the bytes were obtained; part of the report.
struct capture {
	enum capture_method method; // never CAPTURE_AUTO
	uint64_t pause_ns;          // the target stood still for this long, measured; 0 for a core
	uint64_t total_ns;          // from attach to resume, attaching included
	char reason[160];           // why this method was chosen over the usual one, or ""
};

// A stretch of the target in our memory, made by target_map.
struct target_piece {
	struct target_piece *next;
	remote_addr address;
	size_t size;
	const void *bytes;
	void *mapping; // to be unmapped, when not NULL
	size_t mapping_size;
	void *copy; // to be freed, when not NULL
};

struct target {
	const struct target_ops *ops;
	enum target_kind kind;
	enum target_arch arch;
	pid_t pid;              // 0 when there is none
	char *exe_path;         // as the target calls it; may no longer exist
	const char *library;    // see target_set_library(); NULL: the main executable is examined
	struct region *regions; // by address, disjoint
	size_t region_count;
	struct target_thread *threads;
	size_t thread_count;
	struct capture capture;
	uint64_t clock_ns; // CLOCK_MONOTONIC there, at the capture; 0: unknown
	char *notes;       // what is missing or in doubt, in sentences; NULL: nothing
	uint8_t *auxv;     // the kernel's auxiliary vector as it is, NULL: unknown
	size_t auxv_size;
	struct resident
		*resident; // what of it is in memory (resident.h), NULL: not asked, or unknown
	struct target_piece *pieces; // what target_map handed out
	_Atomic uint64_t bytes_read;
	_Atomic uint64_t faults; // reads that met an unreadable byte
};

struct target_ops {
	// Copies bytes from `address` on and returns how many of the first `size` could be read
	// before the first unreadable one. Thread-safe. Never un-shares a page of a frozen copy
	// (so: pread of its mem file).
	size_t (*read)(struct target *target, remote_addr address, void *buffer, size_t size);
	// Fills `bytes` (and `mapping`) of a piece whose address and size are given, without
	// copying; false when that cannot be done. The range lies within readable regions.
	// Optional.
	bool (*map)(struct target *target, struct target_piece *piece);
	// Whether a range within one region that names a file still holds what that file holds.
	// Optional: unknown is no.
	bool (*is_file_data)(struct target *target, remote_addr address, size_t size);
	// A file descriptor on the file of what is examined, to be closed by the caller, or -1
	// (errno).
	int (*open_exe)(struct target *target);
	// The bytes are needed no longer: lets the process go (kills and reaps the copy, or
	// resumes). Idempotent. Reads fail from now on; regions, threads and mapped pieces
	// (target_map) stay valid.
	void (*release)(struct target *target);
	void (*destroy)(struct target *target);
};

// Reads exactly `size` bytes or fails with the address in the message.
struct error *target_read(struct target *target, remote_addr address, void *buffer, size_t size);

// Reads what can be read; unreadable pages become zeros. Returns the number of bytes that were not
// readable.
size_t target_read_sparse(struct target *target, remote_addr address, void *buffer, size_t size);

// A pointer to a stable private copy (or read-only file mapping) of [address, address + size), good
// until target_destroy. Meant for tables that are decoded at random: pclntab, type data, text.
// Read-only file-backed ranges are mapped from the file instead of copied.
struct error *target_map(struct target *target, remote_addr address, size_t size, const void **out);

// The region that contains `address`, or NULL. O(log regions).
const struct region *target_region(const struct target *target, remote_addr address);

// Bytes of [start, end) that no readable region holds.
uint64_t target_absent(const struct target *target, remote_addr start, remote_addr end);

// For those who implement a target: the region table must be sorted before anything is read, and what the fields of
// struct target point to is freed by destroy() with this.
void target_sort_regions(struct target *target);
void target_deinit(struct target *target);

// Takes a shared library that the program has loaded for the program itself, from here on: its mappings, with the bss
// behind them, are those of the executable, and target_open_exe() opens it. `path`: one of the regions'; NULL goes
// back to the main executable.
void target_set_library(struct target *target, const char *path);

int target_open_exe(struct target *target);
void target_release(struct target *target);
void target_destroy(struct target *target); // accepts NULL

#endif
