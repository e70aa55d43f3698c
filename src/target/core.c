// Reading core files.
//
// Segments (what memory there was) and mapped files (whose bytes it was) come as two lists of ranges.
// Both lists' ends cut the address space into pieces in which nothing changes: these are the regions,
// and each one's bytes come from the core, from the executable, or from nowhere. Such regions are not
// readable, however the process saw them.
#include "target/core_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/units.h"

enum {
	PAGE_BYTES = 4096,
	SEGMENTS_MAX = 1 << 22,
	NOTE_BYTES_MAX = 512 << 20,
};

static struct core *core_of(struct target *target)
{
	return (struct core *)target;
}

void core_note(struct core *core, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	sentences_add(&core->target.notes, format, arguments);
	va_end(arguments);
}

// Reading.

static size_t pread_most(int fd, void *buffer, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t part =
			pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			break;
		done += (size_t)part;
	}
	return done;
}

bool core_pread(int fd, void *buffer, size_t size, uint64_t offset)
{
	return pread_most(fd, buffer, size, offset) == size;
}

static size_t core_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	struct core *core = core_of(target);
	size_t done = 0;

	while (done < size && !core->released) {
		const struct region *region = target_region(target, address + done);

		if (!region || !region->readable)
			break;
		const struct core_source *source = &core->sources[region - target->regions];
		uint64_t skip = address + done - region->start;
		size_t wanted = region->end - region->start - skip;
		if (wanted > size - done)
			wanted = size - done;
		size_t part = pread_most(
			source->fd, (char *)buffer + done, wanted, source->offset + skip);
		done += part;
		if (part < wanted)
			break;
	}
	return done;
}

static bool core_map(struct target *target, struct target_piece *piece)
{
	struct core *core = core_of(target);
	const struct region *region = target_region(target, piece->address);

	if (core->released || !region || !region->readable || region->writable ||
		piece->size > region->end - piece->address)
		return false;
	const struct core_source *source = &core->sources[region - target->regions];
	uint64_t offset = source->offset + (piece->address - region->start);
	uint64_t skip = offset % PAGE_BYTES;
	struct stat stat;
	// Beyond the end of the file there is nothing to map.
	if (fstat(source->fd, &stat) || (uint64_t)stat.st_size < offset + piece->size)
		return false;
	void *mapping = mmap(NULL, piece->size + skip, PROT_READ, MAP_PRIVATE, source->fd,
		(off_t)(offset - skip));
	if (mapping == MAP_FAILED)
		return false;
	piece->mapping = mapping;
	piece->mapping_size = piece->size + skip;
	piece->bytes = (const char *)mapping + skip;
	return true;
}

static bool core_is_file_data(struct target *target, remote_addr address, size_t size)
{
	struct core *core = core_of(target);
	const struct region *region = target_region(target, address);

	return region && region->is_file && size <= region->end - address &&
	       core->sources[region - target->regions].fd != core->fd;
}

static int core_open_exe(struct target *target)
{
	char path[48];

	if (target->library) { // a core does not lead to the file of that
		errno = ENOENT;
		return -1;
	}
	// Opened anew, so that the caller has a file position of its own.
	snprintf(path, sizeof(path), "/proc/self/fd/%d", core_of(target)->exe_fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void core_release(struct target *target)
{
	core_of(target)->released = true;
}

static void core_destroy(struct target *target)
{
	struct core *core = core_of(target);

	cleanup_close(&core->fd);
	cleanup_close(&core->exe_fd);
	hw_vector_deinit(&core->segments);
	hw_vector_deinit(&core->mappings);
	free(core->note_bytes);
	free(core->sources);
	free(core->first_path);
	target_deinit(target);
	free(core);
}

static const struct target_ops core_ops = {
	.read = core_read,
	.map = core_map,
	.is_file_data = core_is_file_data,
	.open_exe = core_open_exe,
	.release = core_release,
	.destroy = core_destroy,
};

// Headers.

static struct error *header_check(struct core *core, const Elf64_Ehdr *header)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return error_create(
			ERROR_TARGET, "%s is neither a core file nor a snapshot", core->path);
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
		(header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64))
		return error_create(ERROR_TARGET,
			"%s is not of a 64-bit program for x86 or ARM; only those are supported",
			core->path);
	if (header->e_type == ET_EXEC || header->e_type == ET_DYN)
		return error_create(ERROR_TARGET,
			"%s is a program, not a core file; start it and give its process id",
			core->path);
	if (header->e_type != ET_CORE || header->e_phentsize != sizeof(Elf64_Phdr))
		return error_create(ERROR_TARGET, "%s is not a core file", core->path);
	return NULL;
}

// elf(5), PN_XNUM: more segments than fit into e_phnum are counted in the first section header.
static uint64_t segment_count(const struct core *core, const Elf64_Ehdr *header)
{
	Elf64_Shdr section;

	if (header->e_phnum != PN_XNUM)
		return header->e_phnum;
	if (!core_pread(core->fd, &section, sizeof(section), header->e_shoff))
		return 0;
	return section.sh_info;
}

static struct error *notes_take(struct core *core, const Elf64_Phdr *header)
{
	uint64_t size = header->p_filesz;

	if (header->p_offset >= core->size || core->note_bytes)
		return NULL;
	if (size > core->size - header->p_offset) {
		core->cut_bytes += size - (core->size - header->p_offset);
		size = core->size - header->p_offset;
	}
	if (size > NOTE_BYTES_MAX)
		return error_create(
			ERROR_TARGET, "%s: its notes claim %" PRIu64 " bytes", core->path, size);
	core->note_bytes = malloc(size + 1);
	if (!core->note_bytes)
		return error_no_memory();
	core->note_offset = header->p_offset;
	core->note_size = pread_most(core->fd, core->note_bytes, size, header->p_offset);
	return NULL;
}

static struct error *segment_take(struct core *core, const Elf64_Phdr *header)
{
	struct core_segment segment = {
		.start = header->p_vaddr,
		.end = header->p_vaddr + header->p_memsz,
		.size = header->p_filesz,
		.offset = header->p_offset,
		.flags = header->p_flags,
	};
	uint64_t left = segment.offset < core->size ? core->size - segment.offset : 0;

	// delve gives no size in memory.
	if (header->p_memsz < header->p_filesz)
		segment.end = segment.start + header->p_filesz;
	if (segment.end < segment.start) {
		core->overlapped++;
		return NULL;
	}
	if (segment.start == segment.end)
		return NULL;
	if (segment.size > left) {
		core->cut_bytes += segment.size - left;
		segment.size = left;
	}
	return hw_vector_push(&core->segments, segment) ? NULL : error_no_memory();
}

static int segment_compare(const void *a, const void *b)
{
	const struct core_segment *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

// Of two segments that contradict each other the first is believed.
static void segments_sort(struct core *core)
{
	struct core_segment *segments = core->segments.items;
	size_t kept = 0;

	if (core->segments.count)
		qsort(segments, core->segments.count, sizeof(*segments), segment_compare);
	for (size_t i = 0; i < core->segments.count; i++) {
		if (kept && segments[kept - 1].end > segments[i].start)
			core->overlapped++;
		else
			segments[kept++] = segments[i];
	}
	core->segments.count = kept;
}

static struct error *headers_read(struct core *core)
{
	Elf64_Ehdr header;
	struct error *err = NULL;

	if (!core_pread(core->fd, &header, sizeof(header), 0))
		return error_create(ERROR_TARGET, "%s is cut off within its header", core->path);
	err = header_check(core, &header);
	if (err)
		return err;
	core->target.arch = header.e_machine == EM_AARCH64 ? ARCH_ARM64 : ARCH_AMD64;
	uint64_t count = segment_count(core, &header);
	if (!count || count > SEGMENTS_MAX || header.e_phoff >= core->size ||
		count > (core->size - header.e_phoff) / sizeof(Elf64_Phdr))
		return error_create(ERROR_TARGET,
			"%s is damaged: it claims %" PRIu64 " segments, which do not fit into it",
			core->path, count);
	for (uint64_t i = 0; i < count && !err; i++) {
		Elf64_Phdr segment;

		if (!core_pread(core->fd, &segment, sizeof(segment),
			    header.e_phoff + i * sizeof(segment)))
			return error_errno(ERROR_TARGET, "cannot read %s", core->path);
		if (segment.p_type == PT_NOTE)
			err = notes_take(core, &segment);
		else if (segment.p_type == PT_LOAD)
			err = segment_take(core, &segment);
	}
	segments_sort(core);
	return err;
}

// Regions.

struct cuts {
	HW_VECTOR(remote_addr) at;
	bool failed;
};

static void cut(struct cuts *cuts, remote_addr at)
{
	if (!hw_vector_push(&cuts->at, at))
		cuts->failed = true;
}

static int address_compare(const void *a, const void *b)
{
	const remote_addr *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static bool cuts_collect(const struct core *core, struct cuts *cuts)
{
	for (size_t i = 0; i < core->segments.count; i++) {
		const struct core_segment *segment = &core->segments.items[i];

		cut(cuts, segment->start);
		cut(cuts, segment->start + segment->size);
		cut(cuts, segment->end);
	}
	for (size_t i = 0; i < core->mappings.count; i++) {
		cut(cuts, core->mappings.items[i].start);
		cut(cuts, core->mappings.items[i].end);
	}
	if (cuts->at.count)
		qsort(cuts->at.items, cuts->at.count, sizeof(remote_addr), address_compare);
	return !cuts->failed;
}

// What the two lists say of the piece [start, end), in which neither changes.
static void region_make(struct core *core, const struct core_segment *segment,
	const struct core_mapping *mapping, remote_addr start, remote_addr end)
{
	struct target *target = &core->target;
	struct region *region = &target->regions[target->region_count];
	struct core_source source = {.fd = -1};
	const struct region *before = target->region_count ? region - 1 : NULL;

	*region = (struct region){.start = start, .end = end, .path = ""};
	if (mapping) {
		region->is_file = true;
		region->path = mapping->path;
		region->file_offset = mapping->offset + (start - mapping->start);
		region->is_exe = !strcmp(mapping->path, target->exe_path);
		if (region->is_exe && core->exe_fd >= 0)
			source = (struct core_source){core->exe_fd, region->file_offset};
	} else {
		// bss lies right behind the data, in a mapping without a name.
		region->is_exe = before && before->is_exe && before->end == start;
	}
	if (segment) {
		region->writable = segment->flags & PF_W;
		region->executable = segment->flags & PF_X;
		if (start - segment->start < segment->size)
			source = (struct core_source){
				core->fd, segment->offset + (start - segment->start)};
		else if (region->writable)
			source.fd = -1; // it may have been written to
	}
	region->readable = source.fd >= 0;
	core->sources[target->region_count++] = source;
}

static struct error *regions_make(struct core *core)
{
	struct cuts cuts = {HW_VECTOR_INIT, false};
	struct target *target = &core->target;
	size_t segment = 0, mapping = 0;
	bool collected = cuts_collect(core, &cuts);

	target->regions = calloc(cuts.at.count + 1, sizeof(*target->regions));
	core->sources = calloc(cuts.at.count + 1, sizeof(*core->sources));
	if (!collected || !target->regions || !core->sources) {
		hw_vector_deinit(&cuts.at);
		return error_no_memory();
	}
	for (size_t i = 0; i + 1 < cuts.at.count; i++) {
		remote_addr start = cuts.at.items[i], end = cuts.at.items[i + 1];

		if (start == end)
			continue;
		while (segment < core->segments.count && core->segments.items[segment].end <= start)
			segment++;
		while (mapping < core->mappings.count && core->mappings.items[mapping].end <= start)
			mapping++;
		bool in_segment = segment < core->segments.count &&
				  core->segments.items[segment].start <= start;
		bool in_mapping = mapping < core->mappings.count &&
				  core->mappings.items[mapping].start <= start;
		if (in_segment || in_mapping)
			region_make(core, in_segment ? &core->segments.items[segment] : NULL,
				in_mapping ? &core->mappings.items[mapping] : NULL, start, end);
	}
	hw_vector_deinit(&cuts.at);
	return NULL;
}

// Where a region has no segment the file's own headers tell which part of it is code.
static void exe_rights(struct core *core)
{
	struct target *target = &core->target;
	Elf64_Ehdr header;

	if (core->exe_fd < 0 || !core_pread(core->exe_fd, &header, sizeof(header), 0))
		return;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;

		if (!core_pread(core->exe_fd, &segment, sizeof(segment),
			    header.e_phoff + i * sizeof(segment)))
			return;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		for (size_t r = 0; r < target->region_count; r++) {
			struct region *region = &target->regions[r];

			if (region->is_exe && region->is_file &&
				region->file_offset >= (segment.p_offset & -(uint64_t)PAGE_BYTES) &&
				region->file_offset < segment.p_offset + segment.p_filesz)
				region->executable = true;
		}
	}
}

static void shortcomings_note(struct core *core)
{
	char bytes[24];

	if (core->cut_compressed)
		core_note(core, "The compressed core ends early or is damaged.");
	if (core->cut_bytes)
		core_note(core, "The core is cut off: %s that it should hold are not there.",
			format_bytes(bytes, sizeof(bytes), core->cut_bytes));
	if (core->damaged_bytes)
		core_note(core, "The core is damaged: %s have the wrong checksum and are left out.",
			format_bytes(bytes, sizeof(bytes), core->damaged_bytes));
	if (core->overlapped)
		core_note(core,
			"The core contradicts itself: %" PRIu64 " of its segments are left out.",
			core->overlapped);
	if (core->threads_damaged)
		core_note(core, "Some of the core's notes about threads make no sense.");
	if (core->exe_unverified)
		core_note(core,
			"Nothing in the core tells whether %s is the program that wrote it.",
			core->target.exe_path);
}

static struct error *core_load(struct core *core, const struct core_options *options)
{
	struct error *err =
		core_spool(&core->fd, core->path, options->unpacked_max, &core->cut_compressed);
	struct stat stat;

	if (err)
		return err;
	if (fstat(core->fd, &stat))
		return error_errno(ERROR_TARGET, "cannot read %s", core->path);
	core->size = (uint64_t)stat.st_size;
	err = headers_read(core);
	if (!err)
		err = core_read_notes(core);
	segments_sort(core); // checking may have split some
	if (!err)
		err = core_find_exe(core, options->exe);
	if (!err)
		err = regions_make(core);
	if (err)
		return err;
	exe_rights(core);
	shortcomings_note(core);
	return NULL;
}

struct error *core_open_fd(
	int fd, const char *path, const struct core_options *options, struct target **out)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core) {
		close(fd);
		return error_no_memory();
	}
	core->target.ops = &core_ops;
	core->target.kind = TARGET_CORE;
	core->target.capture.method = CAPTURE_CORE;
	core->path = path;
	core->fd = fd;
	core->exe_fd = -1;
	struct error *err = core_load(core, options);
	core->path = NULL;
	if (err) {
		core_destroy(&core->target);
		return err;
	}
	*out = &core->target;
	return NULL;
}

struct error *core_open(const char *path, const struct core_options *options, struct target **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat stat;

	if (fd < 0)
		return error_errno(ERROR_TARGET, "cannot open %s", path);
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		close(fd);
		return error_create(ERROR_TARGET, "%s is not a file", path);
	}
	return core_open_fd(fd, path, options, out);
}
