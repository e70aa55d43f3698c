// What is in a core file's notes, as the kernel lays it out (fs/binfmt_elf.c), and what
// `heapwhy dump` adds. Reader and writer share it.
#ifndef TARGET_CORE_FORMAT_H
#define TARGET_CORE_FORMAT_H

#include <elf.h>
#include <stdint.h>

// struct elf_prstatus: 112 bytes, the general registers, and a word.
struct core_prstatus {
	int32_t signal_number, signal_code, signal_error;
	int16_t current_signal;
	uint64_t pending, held;
	int32_t pid, parent, group, session;
	uint64_t times[8];
};
_Static_assert(sizeof(struct core_prstatus) == 112, "struct elf_prstatus");

// struct user_regs_struct of amd64, struct user_pt_regs of arm64.
enum {
	AMD64_R15,
	AMD64_R14,
	AMD64_R13,
	AMD64_R12,
	AMD64_RBP,
	AMD64_RBX,
	AMD64_R11,
	AMD64_R10,
	AMD64_R9,
	AMD64_R8,
	AMD64_RAX,
	AMD64_RCX,
	AMD64_RDX,
	AMD64_RSI,
	AMD64_RDI,
	AMD64_ORIG_RAX,
	AMD64_RIP,
	AMD64_CS,
	AMD64_EFLAGS,
	AMD64_RSP,
	AMD64_SS,
	AMD64_FS_BASE,
	AMD64_GS_BASE,
	AMD64_DS,
	AMD64_ES,
	AMD64_FS,
	AMD64_GS,
	AMD64_REGISTERS,
	ARM64_SP = 31,
	ARM64_PC,
	ARM64_PSTATE,
	ARM64_REGISTERS,
};

// Where target.h's words come from: words[i] is register amd64_words[i].
static const uint8_t amd64_words[] = {AMD64_RAX, AMD64_RBX, AMD64_RCX, AMD64_RDX, AMD64_RSI,
	AMD64_RDI, AMD64_RBP, AMD64_RSP, AMD64_R8, AMD64_R9, AMD64_R10, AMD64_R11, AMD64_R12,
	AMD64_R13, AMD64_R14, AMD64_R15, AMD64_FS_BASE, AMD64_EFLAGS};

// struct elf_prpsinfo on 64-bit machines.
struct core_prpsinfo {
	uint8_t state, state_letter, zombie, nice;
	uint64_t flags;
	uint32_t user, group;
	int32_t pid, parent, process_group, session;
	char name[16], arguments[80];
};
_Static_assert(sizeof(struct core_prpsinfo) == 136, "struct elf_prpsinfo");

// The XSAVE area (Intel's manual, volume 1, 13.4): the old FXSAVE area, a header, and then further
// components, where depends on the processor.
enum {
	XSAVE_XMM = 160,
	XSAVE_XMM_BYTES = 256,
	XSAVE_MORE = 576,
	FXSAVE_BYTES = 512,
};

enum { NOTE_FILE = 0x46494c45 }; // NT_FILE

// Our own notes. delve looks at the numbers only, so they must be nobody else's.
#define CORE_NOTE_NAME "heapwhy"
enum core_note {
	CORE_NOTE_CAPTURE = 0x48570001, // struct core_note_capture
	CORE_NOTE_REGISTERS,            // struct core_note_registers
	CORE_NOTE_CHECKSUMS,            // struct core_note_checksums
	CORE_NOTE_RESIDENT,             // struct core_note_resident
};

// How the memory was captured, and what the process was like.
struct core_note_capture {
	uint32_t version; // CORE_NOTE_VERSION
	uint32_t method;  // enum capture_method
	uint64_t clock_ns, pause_ns, total_ns;
	uint32_t redacted, unused;
};
enum { CORE_NOTE_VERSION = 1 };

// A thread's registers as heapwhy keeps them: `count` words follow.
struct core_note_registers {
	uint64_t tid, pc, sp, count;
};

// What was in memory (resident.h). After it come `mappings` of struct core_note_mapping, `runs` pairs of
// start and end, and for each mapping its name and a zero.
struct core_note_resident {
	uint64_t total, mappings, runs;
};
struct core_note_mapping {
	uint64_t start, end, bytes;
	uint32_t is_file, shared;
};

// Checksums by zlib's crc32, so that damage is noticed: `header` is that of the file up to this note's
// contents; after it come `count` uint32_t, one for each CORE_CHECKED bytes of the file from `offset`
// on (and for what is left of them at the end). The last note of a plain core; a compressed one is
// frames of about as many bytes, with checksums of their own.
struct core_note_checksums {
	uint64_t offset, size, count;
	uint32_t header, unused;
};
enum { CORE_CHECKED = 1 << 20 };

#endif
