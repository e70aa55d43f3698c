// A Go runtime found in a target: which version, where its tables and variables lie.
//
// Everything is located by structure and cross-checked by decoding a few of the runtime's own
// instructions, so it works on stripped binaries; then it is verified (docs/go-versions.md). What
// cannot be verified is refused with a sentence, never guessed through.
#ifndef GORUNTIME_RUNTIME_H
#define GORUNTIME_RUNTIME_H

#include "goruntime/layout.h"
#include "target/memory.h"

struct pclntab;
struct pcln_function;
struct executable;

// One runtime.moduledata: the main program, or a plugin.
struct go_module {
	remote_addr address; // of the moduledata
	remote_addr text, etext, min_pc, max_pc;
	remote_addr noptrdata, data, edata, bss, ebss, noptrbss, enoptrbss;
	remote_addr variables, end; // all of these lie between, in whatever order they were linked
	remote_addr rodata, types, etypes, gofunc;
	remote_addr data_mask, bss_mask; // pointer bitmaps, a bit a word
	uint64_t data_mask_bits, bss_mask_bits;
	struct pclntab *pclntab;
};

enum gc_phase { GC_OFF = 0, GC_MARK = 1, GC_MARK_TERMINATION = 2 };

struct go_runtime {
	struct target *target;
	struct executable *executable; // NULL when the file is gone
	struct memory memory;          // the opening thread's view
	struct layout layout;
	char version[64];          // "go1.26.11"
	struct go_module *modules; // [0] is the main program
	unsigned module_count;

	// Addresses of the runtime's variables; 0 when the version has none or it was not found and
	// is not needed.
	remote_addr mheap;       // runtime.mheap_
	remote_addr allgs;       // runtime.allgs (the slice)
	remote_addr allfin;      // runtime.allfin
	remote_addr gc_cleanups; // runtime.gcCleanups (1.25 on)
	remote_addr gcphase;     // runtime.gcphase
	remote_addr memstats;    // runtime.memstats

	uint32_t sweepgen; // mheap_.sweepgen
	enum gc_phase gc_phase;
	uint32_t gc_count; // collections so far (memstats.numgc)
	uint64_t now_ns;   // Go's nanotime() at the capture (CLOCK_MONOTONIC), for waiting times; 0
			   // for a core
	char *notes;       // what the user should know about how it was found ("" when nothing)
};

// Takes the target's bytes as they are; the target must outlive the runtime. ERROR_TARGET with one
// sentence when it is not Go, not a supported version, or fails its self-check.
struct error *go_runtime_open(struct target *target, struct go_runtime **out);
void go_runtime_close(struct go_runtime *runtime); // accepts NULL

// The heapArena that describes `address`, or 0: then it is not the heap's. Reads through `memory`.
enum { ARENA_SHIFT = 26 }; // runtime/malloc.go, heapArenaBytes: 64 MiB on 64-bit Linux
remote_addr go_arena(const struct go_runtime *runtime, struct memory *memory, remote_addr address);

// Does the address lie in data or bss of any module?
bool go_in_data(const struct go_runtime *runtime, remote_addr address);

// The function whose code holds `pc`, in whichever module.
bool go_find_function(const struct go_runtime *runtime, remote_addr pc,
	const struct go_module **module, struct pcln_function *out);

#endif
