// Writing core files: ELF header, a segment for the notes and one for each range, the notes, and then
// the ranges' bytes, first those without which the others mean nothing.
#include "target/core_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/vector.h"
#include "target/core_format.h"
#include "target/resident.h"

enum {
	PAGE_BYTES = 4096,
	CHUNK_BYTES = 1 << 20,
	COMPRESSION = 3,
};

struct bytes {
	HW_VECTOR(uint8_t) data;
	bool failed; // out of memory
};

struct writer {
	const struct core_contents *contents;
	int fd;
	uint64_t offset; // in the core, uncompressed
	ZSTD_CCtx *zstd; // NULL: plain
	uint8_t *packed; // ZSTD_CStreamOutSize() bytes
	struct bytes headers, notes;
	uint64_t data_offset;
	size_t checksums_at; // in `notes`: the contents of that note
	uint32_t *checksums; // of plain cores, CORE_CHECKED bytes each
	uint64_t checksum_count;
};

// Bytes in memory.

static void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
	if (!hw_vector_reserve(&bytes->data, size)) {
		bytes->failed = true;
		return;
	}
	if (size)
		memcpy(bytes->data.items + bytes->data.count, data, size);
	bytes->data.count += size;
}

static void bytes_align(struct bytes *bytes)
{
	static const uint8_t zeros[4];

	bytes_append(bytes, zeros, -bytes->data.count % 4);
}

// Starts a note; its contents are appended by the caller, who tells their size beforehand.
static void note_begin(struct bytes *notes, const char *name, uint32_t type, size_t size)
{
	Elf64_Nhdr header = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};

	bytes_align(notes);
	bytes_append(notes, &header, sizeof(header));
	bytes_append(notes, name, header.n_namesz);
	bytes_align(notes);
}

static void note_add(
	struct bytes *notes, const char *name, uint32_t type, const void *contents, size_t size)
{
	note_begin(notes, name, type, size);
	bytes_append(notes, contents, size);
	bytes_align(notes);
}

// Notes.

// Neither arguments nor environment: they may hold passwords.
static void process_note(struct writer *writer)
{
	const struct target *target = writer->contents->target;
	const char *path = target->exe_path ? target->exe_path : "";
	const char *slash = strrchr(path, '/');
	struct core_prpsinfo info = {.pid = target->pid, .state_letter = 'R'};

	strncpy(info.name, slash ? slash + 1 : path, sizeof(info.name) - 1);
	strncpy(info.arguments, path, sizeof(info.arguments) - 1);
	note_add(&writer->notes, "CORE", NT_PRPSINFO, &info, sizeof(info));
	if (target->auxv_size)
		note_add(&writer->notes, "CORE", NT_AUXV, target->auxv, target->auxv_size);
}

static void files_note(struct writer *writer)
{
	const struct target *target = writer->contents->target;
	struct bytes table = {HW_VECTOR_INIT, false}, names = {HW_VECTOR_INIT, false};
	uint64_t head[2] = {0, PAGE_BYTES};

	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];
		uint64_t entry[] = {region->start, region->end, region->file_offset / PAGE_BYTES};

		if (!region->is_file)
			continue;
		head[0]++;
		bytes_append(&table, entry, sizeof(entry));
		bytes_append(&names, region->path, strlen(region->path) + 1);
	}
	size_t size = sizeof(head) + table.data.count + names.data.count;
	note_begin(&writer->notes, "CORE", NOTE_FILE, size);
	bytes_append(&writer->notes, head, sizeof(head));
	bytes_append(&writer->notes, table.data.items, table.data.count);
	bytes_append(&writer->notes, names.data.items, names.data.count);
	bytes_align(&writer->notes);
	writer->notes.failed |= table.failed | names.failed;
	hw_vector_deinit(&table.data);
	hw_vector_deinit(&names.data);
}

static void status_note(struct writer *writer, const struct target_thread *thread)
{
	bool arm = writer->contents->target->arch == ARCH_ARM64;
	const struct registers *registers = &thread->registers;
	struct core_prstatus status = {.pid = thread->tid};
	uint64_t general[ARM64_REGISTERS + 1] = {0}; // and pr_fpvalid
	size_t count = arm ? ARM64_REGISTERS : AMD64_REGISTERS;

	if (arm) {
		if (registers->word_count >= ARM64_GENERAL_WORDS)
			memcpy(general, registers->words, ARM64_GENERAL_WORDS * sizeof(uint64_t));
		general[ARM64_SP] = registers->sp;
		general[ARM64_PC] = registers->pc;
	} else {
		enum { USER_CS = 0x33, USER_SS = 0x2b };

		for (size_t i = 0; i < AMD64_GENERAL_WORDS; i++) {
			if (registers->word_count >= AMD64_GENERAL_WORDS)
				general[amd64_words[i]] = registers->words[i];
		}
		general[AMD64_RIP] = registers->pc;
		general[AMD64_RSP] = registers->sp;
		general[AMD64_CS] = USER_CS;
		general[AMD64_SS] = USER_SS;
		general[AMD64_ORIG_RAX] = UINT64_MAX; // in no system call
	}
	general[count] = 1;
	note_begin(&writer->notes, "CORE", NT_PRSTATUS, sizeof(status) + 8 * (count + 1));
	bytes_append(&writer->notes, &status, sizeof(status));
	bytes_append(&writer->notes, general, 8 * (count + 1));
}

static void thread_notes(struct writer *writer, const struct target_thread *thread)
{
	bool arm = writer->contents->target->arch == ARCH_ARM64;
	struct core_note_registers header = {(uint64_t)thread->tid, thread->registers.pc,
		thread->registers.sp, thread->registers.word_count};
	unsigned general = arm ? ARM64_GENERAL_WORDS : AMD64_GENERAL_WORDS;
	uint8_t area[FXSAVE_BYTES] = {0};

	if (writer->contents->redacted && header.count > general)
		header.count = general;
	status_note(writer, thread);
	if (!arm && header.count >= general + XSAVE_XMM_BYTES / 8) {
		memcpy(area + XSAVE_XMM, &thread->registers.words[general], XSAVE_XMM_BYTES);
		note_add(&writer->notes, "CORE", NT_FPREGSET, area, sizeof(area));
	}
	note_begin(&writer->notes, CORE_NOTE_NAME, CORE_NOTE_REGISTERS,
		sizeof(header) + header.count * 8);
	bytes_append(&writer->notes, &header, sizeof(header));
	bytes_append(&writer->notes, thread->registers.words, header.count * 8);
}

static void capture_note(struct writer *writer)
{
	const struct target *target = writer->contents->target;
	struct core_note_capture capture = {
		.version = CORE_NOTE_VERSION,
		.method = target->capture.method,
		.clock_ns = target->clock_ns,
		.pause_ns = target->capture.pause_ns,
		.total_ns = target->capture.total_ns,
		.redacted = writer->contents->redacted,
	};

	note_add(&writer->notes, CORE_NOTE_NAME, CORE_NOTE_CAPTURE, &capture, sizeof(capture));
}

static void resident_note(struct writer *writer)
{
	const struct resident *resident = writer->contents->target->resident;
	struct bytes table = {HW_VECTOR_INIT, false}, names = {HW_VECTOR_INIT, false};

	if (!resident)
		return;
	struct core_note_resident header = {
		resident->total, resident->mappings.count, resident->runs.count};
	for (size_t i = 0; i < resident->mappings.count; i++) {
		const struct resident_mapping *mapping = &resident->mappings.items[i];
		struct core_note_mapping entry = {mapping->start, mapping->end, mapping->bytes,
			mapping->is_file, mapping->shared};

		bytes_append(&table, &entry, sizeof(entry));
		bytes_append(&names, mapping->path, strlen(mapping->path) + 1);
	}
	for (size_t i = 0; i < resident->runs.count; i++) {
		uint64_t run[] = {resident->runs.items[i].start, resident->runs.items[i].end};

		bytes_append(&table, run, sizeof(run));
	}
	note_begin(&writer->notes, CORE_NOTE_NAME, CORE_NOTE_RESIDENT,
		sizeof(header) + table.data.count + names.data.count);
	bytes_append(&writer->notes, &header, sizeof(header));
	bytes_append(&writer->notes, table.data.items, table.data.count);
	bytes_append(&writer->notes, names.data.items, names.data.count);
	bytes_align(&writer->notes);
	writer->notes.failed |= table.failed | names.failed;
	hw_vector_deinit(&table.data);
	hw_vector_deinit(&names.data);
}

static uint64_t ranges_size(const struct core_contents *contents)
{
	uint64_t size = 0;

	for (size_t i = 0; i < contents->range_count; i++)
		size += contents->ranges[i].end - contents->ranges[i].start;
	return size;
}

// Filled in when everything has been written. Of what is packed only the headers have one: the packing has its own.
static void checksums_note(struct writer *writer)
{
	struct core_note_checksums header = {0};

	if (!writer->zstd) {
		writer->checksum_count =
			(ranges_size(writer->contents) + CORE_CHECKED - 1) / CORE_CHECKED;
		writer->checksums = calloc(writer->checksum_count + 1, sizeof(uint32_t));
		writer->notes.failed |= !writer->checksums;
	}
	if (writer->notes.failed)
		return;
	size_t size = writer->checksum_count * sizeof(uint32_t);
	note_begin(&writer->notes, CORE_NOTE_NAME, CORE_NOTE_CHECKSUMS, sizeof(header) + size);
	writer->checksums_at = writer->notes.data.count;
	bytes_append(&writer->notes, &header, sizeof(header));
	bytes_append(&writer->notes, writer->checksums, size);
	bytes_align(&writer->notes);
}

static void notes_make(struct writer *writer)
{
	const struct target *target = writer->contents->target;

	capture_note(writer);
	process_note(writer);
	files_note(writer);
	resident_note(writer);
	// Debuggers show the first thread first.
	for (int first = 1; first >= 0; first--) {
		for (size_t i = 0; i < target->thread_count; i++) {
			if ((target->threads[i].tid == target->pid) == first)
				thread_notes(writer, &target->threads[i]);
		}
	}
	checksums_note(writer);
}

// Headers.

// The ranges lie in the file in this order: first pass, then second.
static bool range_in_pass(const struct core_range *range, int pass)
{
	return range->late == (pass == 1);
}

static void headers_make(struct writer *writer)
{
	const struct core_contents *contents = writer->contents;
	size_t count = contents->range_count + 1;
	uint64_t table = sizeof(Elf64_Ehdr) + count * sizeof(Elf64_Phdr) +
			 (count >= PN_XNUM ? sizeof(Elf64_Shdr) : 0);
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = contents->target->arch == ARCH_ARM64 ? EM_AARCH64 : EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = count >= PN_XNUM ? PN_XNUM : (uint16_t)count,
	};
	Elf64_Shdr section = {.sh_type = SHT_NULL, .sh_size = 1, .sh_info = (uint32_t)count};
	Elf64_Phdr notes = {
		.p_type = PT_NOTE,
		.p_flags = PF_R,
		.p_offset = table,
		.p_filesz = writer->notes.data.count,
		.p_align = 4,
	};
	_cleanup_free_ Elf64_Phdr *segments = calloc(count, sizeof(*segments));

	if (!segments) {
		writer->headers.failed = true;
		return;
	}
	if (count >= PN_XNUM) {
		header.e_shoff = table - sizeof(section);
		header.e_shentsize = sizeof(section);
		header.e_shnum = 1;
	}
	writer->data_offset =
		(table + writer->notes.data.count + PAGE_BYTES - 1) & -(uint64_t)PAGE_BYTES;
	uint64_t offset = writer->data_offset;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < contents->range_count; i++) {
			const struct core_range *range = &contents->ranges[i];
			const struct region *region = target_region(contents->target, range->start);

			if (!range_in_pass(range, pass))
				continue;
			segments[i] = (Elf64_Phdr){
				.p_type = PT_LOAD,
				.p_flags = PF_R | (region && region->writable ? PF_W : 0) |
					   (region && region->executable ? PF_X : 0),
				.p_offset = offset,
				.p_vaddr = range->start,
				.p_filesz = range->end - range->start,
				.p_memsz = range->end - range->start,
				.p_align = PAGE_BYTES,
			};
			offset += range->end - range->start;
		}
	}
	bytes_append(&writer->headers, &header, sizeof(header));
	bytes_append(&writer->headers, &notes, sizeof(notes));
	bytes_append(&writer->headers, segments, contents->range_count * sizeof(*segments));
	if (count >= PN_XNUM)
		bytes_append(&writer->headers, &section, sizeof(section));
}

// Output.

static struct error *write_error(void)
{
	return error_errno(ERROR_INTERNAL, "cannot write the core");
}

static struct error *write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t part =
			pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return write_error();
		done += (size_t)part;
	}
	return NULL;
}

static struct error *pack(
	struct writer *writer, const void *bytes, size_t size, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {bytes, size, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {writer->packed, ZSTD_CStreamOutSize(), 0};

		left = ZSTD_compressStream2(writer->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return error_create(ERROR_INTERNAL, "cannot compress the core: %s",
				ZSTD_getErrorName(left));
		for (size_t done = 0; done < out.pos;) {
			ssize_t part = write(writer->fd, writer->packed + done, out.pos - done);

			if (part < 0 && errno == EINTR)
				continue;
			if (part <= 0)
				return write_error();
			done += (size_t)part;
		}
	} while (how == ZSTD_e_end ? left : in.pos < in.size);
	return NULL;
}

// The file's next bytes; `size` is whole pages, but for the headers.
static struct error *emit(struct writer *writer, const uint8_t *bytes, size_t size)
{
	static const uint8_t zeros[PAGE_BYTES];
	struct error *err = NULL;

	if (writer->zstd) {
		// Frames of their own have checksums of their own: all is good in front of damage.
		bool full = writer->offset / CORE_CHECKED != (writer->offset + size) / CORE_CHECKED;

		err = pack(writer, bytes, size, full ? ZSTD_e_end : ZSTD_e_continue);
		writer->offset += size;
		return err;
	}
	for (size_t at = 0; at < size && !err;) {
		size_t end = at;

		while (end < size && size - end >= PAGE_BYTES &&
			memcmp(bytes + end, zeros, PAGE_BYTES) != 0)
			end += PAGE_BYTES;
		if (size - end < PAGE_BYTES)
			end = size;
		if (end > at)
			err = write_at(writer->fd, bytes + at, end - at, writer->offset + at);
		at = end < size ? end + PAGE_BYTES : end; // a hole
	}
	writer->offset += size;
	return err;
}

// Continues the checksums over the next `size` bytes of the data.
static void checksums_update(struct writer *writer, const uint8_t *bytes, size_t size)
{
	uint64_t at = writer->offset - writer->data_offset;

	while (size && writer->checksums) {
		size_t part = CORE_CHECKED - at % CORE_CHECKED;
		uint32_t *sum = &writer->checksums[at / CORE_CHECKED];

		if (part > size)
			part = size;
		*sum = (uint32_t)crc32(*sum, bytes, (unsigned)part);
		bytes += part;
		at += part;
		size -= part;
	}
}

static struct error *range_write(
	struct writer *writer, const struct core_range *range, uint8_t *buffer)
{
	const struct core_contents *contents = writer->contents;
	struct error *err = NULL;

	for (remote_addr at = range->start; at < range->end && !err; at += CHUNK_BYTES) {
		size_t size = range->end - at < CHUNK_BYTES ? range->end - at : CHUNK_BYTES;

		if (cancel_requested())
			return error_cancelled();
		target_read_sparse(contents->target, at, buffer, size);
		if (contents->redact)
			contents->redact(contents->context, at, buffer, size);
		checksums_update(writer, buffer, size);
		err = emit(writer, buffer, size);
	}
	return err;
}

static uint32_t headers_checksum(const struct writer *writer)
{
	const struct bytes *headers = &writer->headers, *notes = &writer->notes;
	uLong sum = crc32(0, headers->data.items, (unsigned)headers->data.count);

	return (uint32_t)crc32(sum, notes->data.items, (unsigned)writer->checksums_at);
}

static struct error *checksums_write(struct writer *writer)
{
	struct core_note_checksums header = {
		.header = headers_checksum(writer),
		.offset = writer->data_offset,
		.size = writer->offset - writer->data_offset,
		.count = writer->checksum_count,
	};
	uint64_t at = writer->headers.data.count + writer->checksums_at;
	struct error *err = write_at(writer->fd, &header, sizeof(header), at);
	if (!err)
		err = write_at(writer->fd, writer->checksums,
			writer->checksum_count * sizeof(uint32_t), at + sizeof(header));
	return err;
}

static struct error *write_all(struct writer *writer, uint8_t *buffer)
{
	const struct core_contents *contents = writer->contents;
	struct error *err;

	notes_make(writer);
	headers_make(writer);
	if (writer->headers.failed || writer->notes.failed)
		return error_no_memory();
	if (writer->zstd) {
		struct core_note_checksums header = {.header = headers_checksum(writer)};

		memcpy(writer->notes.data.items + writer->checksums_at, &header, sizeof(header));
	}
	size_t padding =
		writer->data_offset - writer->headers.data.count - writer->notes.data.count;
	err = emit(writer, writer->headers.data.items, writer->headers.data.count);
	if (!err)
		err = emit(writer, writer->notes.data.items, writer->notes.data.count);
	memset(buffer, 0, PAGE_BYTES);
	if (!err)
		err = emit(writer, buffer, padding);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < contents->range_count && !err; i++) {
			if (range_in_pass(&contents->ranges[i], pass))
				err = range_write(writer, &contents->ranges[i], buffer);
		}
	}
	if (err)
		return err;
	if (writer->zstd)
		return pack(writer, NULL, 0, ZSTD_e_end);
	// The last page may be a hole.
	if (ftruncate(writer->fd, (off_t)writer->offset))
		return write_error();
	return checksums_write(writer);
}

struct error *core_write(const struct core_contents *contents, int fd)
{
	struct writer writer = {.contents = contents, .fd = fd};
	_cleanup_free_ uint8_t *buffer = malloc(CHUNK_BYTES);
	struct error *err = NULL;

	if (contents->compressed) {
		writer.zstd = ZSTD_createCCtx();
		writer.packed = malloc(ZSTD_CStreamOutSize());
	}
	if (!buffer || (contents->compressed && (!writer.zstd || !writer.packed))) {
		err = error_no_memory();
	} else {
		if (writer.zstd) {
			ZSTD_CCtx_setParameter(writer.zstd, ZSTD_c_compressionLevel, COMPRESSION);
			ZSTD_CCtx_setParameter(writer.zstd, ZSTD_c_checksumFlag, 1);
		}
		err = write_all(&writer, buffer);
	}
	ZSTD_freeCCtx(writer.zstd);
	free(writer.packed);
	free(writer.checksums);
	hw_vector_deinit(&writer.headers.data);
	hw_vector_deinit(&writer.notes.data);
	return err;
}
