// The notes of a core file: threads, mapped files, the auxiliary vector, the process.
#include "target/core_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "target/core_format.h"

struct note {
	const char *name; // `name_size` bytes
	size_t name_size;
	uint32_t type;
	const uint8_t *bytes;
	size_t size;
};

static uint64_t align4(uint64_t size)
{
	return (size + 3) & ~UINT64_C(3);
}

// The note at `*at`; moves on to the next one. False at the end.
static bool note_next(const struct core *core, size_t *at, struct note *out)
{
	Elf64_Nhdr header;

	if (core->note_size - *at < sizeof(header))
		return false;
	memcpy(&header, core->note_bytes + *at, sizeof(header));
	uint64_t left = core->note_size - *at - sizeof(header);
	uint64_t name = align4(header.n_namesz), bytes = align4(header.n_descsz);
	if (name > left || header.n_descsz > left - name)
		return false;
	*out = (struct note){
		.name = (const char *)core->note_bytes + *at + sizeof(header),
		.name_size = header.n_namesz,
		.type = header.n_type,
		.bytes = core->note_bytes + *at + sizeof(header) + name,
		.size = header.n_descsz,
	};
	*at += sizeof(header) + name + (bytes < left - name ? bytes : left - name);
	return true;
}

static bool note_is(const struct note *note, const char *name)
{
	size_t length = strlen(name);

	// Some writers count the terminating zero, some do not, and delve leaves the name out.
	if (!note->name_size)
		return strcmp(name, CORE_NOTE_NAME) != 0;
	return note->name_size >= length && note->name_size <= length + 1 &&
	       !memcmp(note->name, name, length);
}

// Threads.

static size_t general_size(const struct core *core)
{
	return 8 * (core->target.arch == ARCH_ARM64 ? ARM64_REGISTERS : AMD64_REGISTERS);
}

static size_t threads_count(const struct core *core)
{
	struct note note;
	size_t count = 0;

	for (size_t at = 0; note_next(core, &at, &note);)
		count += note_is(&note, "CORE") && note.type == NT_PRSTATUS;
	return count;
}

static void thread_add(struct core *core, const struct note *note)
{
	struct target *target = &core->target;
	struct target_thread *thread = &target->threads[target->thread_count];
	struct registers *registers = &thread->registers;
	struct core_prstatus status;
	uint64_t general[ARM64_REGISTERS];

	if (note->size < sizeof(status) + general_size(core)) {
		core->threads_damaged = true;
		return;
	}
	memcpy(&status, note->bytes, sizeof(status));
	memcpy(general, note->bytes + sizeof(status), general_size(core));
	thread->tid = status.pid;
	if (target->arch == ARCH_ARM64) {
		registers->pc = general[ARM64_PC];
		registers->sp = general[ARM64_SP];
		registers->word_count = ARM64_GENERAL_WORDS;
		memcpy(registers->words, general, ARM64_GENERAL_WORDS * sizeof(uint64_t));
	} else {
		registers->pc = general[AMD64_RIP];
		registers->sp = general[AMD64_RSP];
		registers->word_count = AMD64_GENERAL_WORDS;
		for (size_t i = 0; i < AMD64_GENERAL_WORDS; i++)
			registers->words[i] = general[amd64_words[i]];
	}
	target->thread_count++;
}

// Appends [offset, offset + size) of a note to the last thread's words, as far as there is room.
static void thread_words(struct core *core, const struct note *note, size_t offset, size_t size)
{
	struct registers *registers =
		&core->target.threads[core->target.thread_count - 1].registers;
	size_t room = (REGISTER_WORDS_MAX - registers->word_count) * sizeof(uint64_t);

	if (offset >= note->size)
		return;
	if (size > note->size - offset)
		size = note->size - offset;
	if (size > room)
		size = room;
	memcpy(&registers->words[registers->word_count], note->bytes + offset, size & ~(size_t)7);
	registers->word_count += (unsigned)(size / sizeof(uint64_t));
}

// Which further components there are behind the header, and where, depends on the processor that
// wrote the core: all of it is taken.
static void thread_xstate(struct core *core, const struct note *note)
{
	core->target.threads[core->target.thread_count - 1].registers.word_count =
		AMD64_GENERAL_WORDS; // the same XMM registers are in NT_FPREGSET
	thread_words(core, note, XSAVE_XMM, XSAVE_XMM_BYTES);
	thread_words(core, note, XSAVE_MORE, note->size);
}

static void thread_float(struct core *core, const struct note *note)
{
	if (core->target.arch == ARCH_ARM64)
		thread_words(core, note, 0, note->size);
	else
		thread_words(core, note, XSAVE_XMM, XSAVE_XMM_BYTES);
}

// Our own note about a thread replaces what the others told.
static void thread_exact(struct core *core, const struct note *note)
{
	struct core_note_registers header;
	struct target *target = &core->target;
	struct target_thread *thread = &target->threads[target->thread_count - 1];

	if (note->size < sizeof(header))
		return;
	memcpy(&header, note->bytes, sizeof(header));
	if (header.tid != (uint64_t)thread->tid || header.count > REGISTER_WORDS_MAX ||
		header.count * sizeof(uint64_t) != note->size - sizeof(header)) {
		core->threads_damaged = true;
		return;
	}
	thread->registers.pc = header.pc;
	thread->registers.sp = header.sp;
	thread->registers.word_count = (unsigned)header.count;
	memcpy(thread->registers.words, note->bytes + sizeof(header), note->size - sizeof(header));
}

// Mapped files: count, page size, {start, end, offset in pages} of each, then their names.

static int mapping_compare(const void *a, const void *b)
{
	const struct core_mapping *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

static void mappings_sort(struct core *core)
{
	struct core_mapping *mappings = core->mappings.items;
	size_t kept = 0;

	if (core->mappings.count)
		qsort(mappings, core->mappings.count, sizeof(*mappings), mapping_compare);
	for (size_t i = 0; i < core->mappings.count; i++) {
		if (!kept || mappings[kept - 1].end <= mappings[i].start)
			mappings[kept++] = mappings[i];
	}
	core->mappings.count = kept;
}

static struct error *files_read(struct core *core, const struct note *note)
{
	uint64_t head[2], entry[3];
	const uint8_t *end = note->bytes + note->size;

	if (note->size < sizeof(head) || core->mappings.count)
		return NULL;
	memcpy(head, note->bytes, sizeof(head));
	if (head[0] > (note->size - sizeof(head)) / sizeof(entry))
		return NULL;
	const uint8_t *at = note->bytes + sizeof(head);
	const uint8_t *name = at + head[0] * sizeof(entry);
	for (uint64_t i = 0; i < head[0]; i++, at += sizeof(entry)) {
		const uint8_t *zero = memchr(name, 0, (size_t)(end - name));

		memcpy(entry, at, sizeof(entry));
		if (!zero)
			break;
		struct core_mapping mapping = {
			entry[0], entry[1], entry[2] * head[1], (const char *)name};
		if (mapping.start < mapping.end && !hw_vector_push(&core->mappings, mapping))
			return error_no_memory();
		name = zero + 1;
	}
	mappings_sort(core);
	return NULL;
}

static struct error *auxv_read(struct core *core, const struct note *note)
{
	if (core->target.auxv || !note->size)
		return NULL;
	core->target.auxv = malloc(note->size);
	if (!core->target.auxv)
		return error_no_memory();
	memcpy(core->target.auxv, note->bytes, note->size);
	core->target.auxv_size = note->size;
	return NULL;
}

uint64_t core_auxv(const struct core *core, uint64_t type)
{
	uint64_t entry[2];

	for (size_t at = 0; at + sizeof(entry) <= core->target.auxv_size; at += sizeof(entry)) {
		memcpy(entry, core->target.auxv + at, sizeof(entry));
		if (entry[0] == type)
			return entry[1];
	}
	return 0;
}

// The process's id, and the first word of its command line.
static struct error *process_read(struct core *core, const struct note *note)
{
	struct core_prpsinfo info;

	if (note->size < sizeof(info) || core->first_path)
		return NULL;
	memcpy(&info, note->bytes, sizeof(info));
	core->target.pid = info.pid > 0 ? info.pid : 0;
	size_t length = strnlen(info.arguments, sizeof(info.arguments));
	const char *blank = memchr(info.arguments, ' ', length);
	core->first_path =
		strndup(info.arguments, blank ? (size_t)(blank - info.arguments) : length);
	return core->first_path ? NULL : error_no_memory();
}

static void capture_read(struct core *core, const struct note *note)
{
	struct core_note_capture capture;

	if (note->size < sizeof(capture))
		return;
	memcpy(&capture, note->bytes, sizeof(capture));
	if (capture.version != CORE_NOTE_VERSION)
		return;
	core->target.clock_ns = capture.clock_ns;
	core->target.capture.pause_ns = capture.pause_ns;
	core->target.capture.total_ns = capture.total_ns;
}

static struct error *note_read(struct core *core, const struct note *note)
{
	if (note_is(note, "LINUX") && note->type == NT_X86_XSTATE) {
		if (core->target.thread_count)
			thread_xstate(core, note);
		return NULL;
	}
	if (note_is(note, "CORE")) {
		switch (note->type) {
		case NT_PRSTATUS:
			thread_add(core, note);
			return NULL;
		case NT_PRPSINFO:
			return process_read(core, note);
		case NT_AUXV:
			return auxv_read(core, note);
		case NOTE_FILE:
			return files_read(core, note);
		case NT_FPREGSET:
			if (core->target.thread_count)
				thread_float(core, note);
			return NULL;
		default:
			return NULL;
		}
	}
	if (!note_is(note, CORE_NOTE_NAME))
		return NULL;
	if (note->type == CORE_NOTE_CAPTURE)
		capture_read(core, note);
	else if (note->type == CORE_NOTE_REGISTERS && core->target.thread_count)
		thread_exact(core, note);
	else if (note->type == CORE_NOTE_CHECKSUMS)
		return core_check(core, note->bytes, note->size);
	else if (note->type == CORE_NOTE_RESIDENT)
		return core_read_resident(core, note->bytes, note->size);
	return NULL;
}

// Is there a note of ours, even where damage keeps it from being found?
static bool is_own(const struct core *core)
{
	struct {
		uint32_t type;
		char name[sizeof(CORE_NOTE_NAME)];
	} start = {.name = CORE_NOTE_NAME};

	for (start.type = CORE_NOTE_CAPTURE; core->note_size && start.type <= CORE_NOTE_RESIDENT;
		start.type++)
		if (memmem(core->note_bytes, core->note_size, &start, sizeof(start)))
			return true;
	return false;
}

struct error *core_read_notes(struct core *core)
{
	struct error *err = NULL;
	struct note note;

	core->target.threads = calloc(threads_count(core) + 1, sizeof(*core->target.threads));
	if (!core->target.threads)
		return error_no_memory();
	for (size_t at = 0; !err && note_next(core, &at, &note);)
		err = note_read(core, &note);
	// Our own cores end their notes with checksums: something before them is not as it was written.
	if (!err && !core->checked && is_own(core))
		err = error_create(ERROR_TARGET,
			"%s is damaged: its notes make no sense, or are cut off", core->path);
	return err;
}
