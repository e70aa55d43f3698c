// Finding the executable of a core.
//
// The core names it, but may come from another machine, and the file may have been replaced since.
// Most writers keep the first page of each mapped program file, which holds its headers and build
// ids, or all of its constants: a file that differs there is not the one.
#include "target/core_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { PAGE_BYTES = 4096, PATH_BYTES = 4096 };

// Bytes that are in the core itself.
static size_t segment_read(const struct core *core, remote_addr address, void *buffer, size_t size)
{
	for (size_t i = 0; i < core->segments.count; i++) {
		const struct core_segment *segment = &core->segments.items[i];

		if (address < segment->start || address - segment->start >= segment->size)
			continue;
		uint64_t skip = address - segment->start;
		if (size > segment->size - skip)
			size = segment->size - skip;
		return core_pread(core->fd, buffer, size, segment->offset + skip) ? size : 0;
	}
	return 0;
}

static const struct core_mapping *mapping_at(const struct core *core, remote_addr address)
{
	for (size_t i = 0; address && i < core->mappings.count; i++) {
		const struct core_mapping *mapping = &core->mappings.items[i];

		if (mapping->start <= address && address < mapping->end)
			return mapping;
	}
	return NULL;
}

// What the core calls the program; "" when it does not tell.
static void exe_name(const struct core *core, char *name)
{
	static const char deleted[] = " (deleted)";
	const struct core_mapping *mapping = mapping_at(core, core_auxv(core, AT_PHDR));
	const char *path = core->first_path;
	size_t length;

	*name = '\0';
	if (!mapping)
		mapping = mapping_at(core, core_auxv(core, AT_ENTRY));
	if (!mapping && core_auxv(core, AT_EXECFN)) {
		length = segment_read(core, core_auxv(core, AT_EXECFN), name, PATH_BYTES - 1);
		name[length] = '\0';
		return;
	}
	// The program is what is mapped first, but for position-independent ones.
	if (!mapping && core->mappings.count)
		mapping = &core->mappings.items[0];
	if (mapping)
		path = mapping->path;
	snprintf(name, PATH_BYTES, "%s", path ? path : "");
	length = strlen(name);
	if (length > sizeof(deleted) && !strcmp(name + length - sizeof(deleted) + 1, deleted))
		name[length - sizeof(deleted) + 1] = '\0';
}

// The headers of a program for the core's machine, in a file or in the core's memory.
struct candidate {
	const struct core *core;
	int fd;           // -1: in memory
	remote_addr base; // ... from here on
	Elf64_Ehdr header;
	uint64_t bias;
};

static bool header_read(
	const struct candidate *candidate, void *buffer, size_t size, uint64_t offset)
{
	if (candidate->fd >= 0)
		return core_pread(candidate->fd, buffer, size, offset);
	return segment_read(candidate->core, candidate->base + offset, buffer, size) == size;
}

static bool segment_header(const struct candidate *candidate, unsigned index, Elf64_Phdr *out)
{
	return header_read(candidate, out, sizeof(*out),
		candidate->header.e_phoff + (uint64_t)index * sizeof(*out));
}

// The first segment of type `type`.
static bool segment_find(const struct candidate *candidate, uint32_t type, Elf64_Phdr *out)
{
	for (unsigned i = 0; i < candidate->header.e_phnum; i++) {
		if (segment_header(candidate, i, out) && out->p_type == type)
			return true;
	}
	return false;
}

static bool candidate_read(const struct core *core, int fd, struct candidate *out)
{
	uint16_t machine = core->target.arch == ARCH_ARM64 ? EM_AARCH64 : EM_X86_64;
	Elf64_Ehdr *header = &out->header;
	Elf64_Phdr segment;

	*out = (struct candidate){.core = core, .fd = fd};
	if (fd < 0)
		out->base = core_auxv(core, AT_PHDR) & -(uint64_t)PAGE_BYTES;
	if (!header_read(out, header, sizeof(*header), 0) ||
		memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
		header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != machine ||
		(header->e_type != ET_EXEC && header->e_type != ET_DYN) ||
		header->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	if (header->e_type == ET_DYN && segment_find(out, PT_PHDR, &segment))
		out->bias = core_auxv(core, AT_PHDR) - segment.p_vaddr;
	return true;
}

enum verdict { VERDICT_OTHER, VERDICT_UNKNOWN, VERDICT_SAME };

// Whether the core holds the same first page of what nobody writes to as the file.
static enum verdict candidate_judge(const struct core *core, const struct candidate *candidate)
{
	enum verdict verdict = VERDICT_UNKNOWN;
	uint8_t here[PAGE_BYTES], there[PAGE_BYTES];
	Elf64_Phdr segment;

	for (unsigned i = 0; i < candidate->header.e_phnum; i++) {
		if (!segment_header(candidate, i, &segment) || segment.p_type != PT_LOAD ||
			segment.p_flags & PF_W)
			continue;
		uint64_t slide = segment.p_offset % PAGE_BYTES;
		remote_addr first = segment.p_vaddr - slide + candidate->bias;
		size_t size = segment_read(core, first, there, sizeof(there));
		if (size > slide + segment.p_filesz)
			size = slide + segment.p_filesz;
		if (size < sizeof(Elf64_Ehdr))
			continue;
		if (!core_pread(candidate->fd, here, size, segment.p_offset - slide) ||
			memcmp(here, there, size) != 0)
			return VERDICT_OTHER;
		verdict = VERDICT_SAME;
	}
	return verdict;
}

static int exe_try(struct core *core, const char *path, enum verdict *verdict)
{
	struct candidate candidate;
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*verdict = VERDICT_UNKNOWN;
	if (fd < 0)
		return -1;
	errno = 0;
	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && candidate_read(core, fd, &candidate)) {
		*verdict = candidate_judge(core, &candidate);
		if (*verdict != VERDICT_OTHER)
			return fd;
	}
	close(fd);
	return -1;
}

// GNU's build id in the core's copy of the program's first page, as distributions name files by it:
// "xx/yyyy...".
static bool build_id_path(const struct core *core, const char *name, char *out)
{
	enum { ID_MIN = 8, ID_MAX = 64 };
	uint8_t page[PAGE_BYTES];
	Elf64_Nhdr header;
	size_t size = 0;

	for (size_t i = 0; i < core->mappings.count && !size; i++) {
		const struct core_mapping *mapping = &core->mappings.items[i];

		if (!mapping->offset && !strcmp(mapping->path, name))
			size = segment_read(core, mapping->start, page, sizeof(page));
	}
	for (size_t at = 0; at + sizeof(header) + 4 + ID_MAX <= size; at += 4) {
		memcpy(&header, page + at, sizeof(header));
		if (header.n_namesz != 4 || header.n_type != NT_GNU_BUILD_ID ||
			header.n_descsz < ID_MIN || header.n_descsz > ID_MAX ||
			memcmp(page + at + sizeof(header), "GNU", 4) != 0)
			continue;
		char *to = out;
		for (size_t i = 0; i < header.n_descsz; i++)
			to += sprintf(
				to, i == 1 ? "/%02x" : "%02x", page[at + sizeof(header) + 4 + i]);
		return true;
	}
	return false;
}

// Tries the places where the program may be. `wrong` becomes a file that was there but is another
// one.
static int exe_search(struct core *core, const char *name, enum verdict *verdict, bool *wrong)
{
	char id[160], path[2 * PATH_BYTES];
	const char *slash = strrchr(core->path, '/'), *base = strrchr(name, '/');
	bool has_id = build_id_path(core, name, id);
	const struct {
		bool wanted;
		const char *format;
		int first_length;
		const char *first, *second;
	} places[] = {
		{*name == '/', "%.*s%s", 0, "", name},
		// Beside the core, where whoever moved it will have put it.
		{base && slash, "%.*s%s", slash ? (int)(slash - core->path) : 0, core->path, base},
		{base && !slash, "%.*s%s", 1, ".", base},
		{has_id, "%.*s%s", 23, "/usr/lib/debug/.build-id/", id},
		{has_id, "%.*s%s", 17, "/usr/lib/.build-id/", id},
	};

	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		if (!places[i].wanted)
			continue;
		snprintf(path, sizeof(path), places[i].format, places[i].first_length,
			places[i].first, places[i].second);
		int fd = exe_try(core, path, verdict);
		if (fd >= 0)
			return fd;
		*wrong |= *verdict == VERDICT_OTHER;
	}
	return -1;
}

// Cores without a list of mapped files (qemu's, delve's): the program's own headers tell where it
// was, and lie in memory, too.
static struct error *exe_mappings_add(struct core *core)
{
	struct candidate candidate;

	for (size_t i = 0; i < core->mappings.count; i++) {
		if (!strcmp(core->mappings.items[i].path, core->target.exe_path))
			return NULL;
	}
	if (!candidate_read(core, core->exe_fd, &candidate))
		return NULL;
	core->mappings.count = 0;
	for (unsigned i = 0; i < candidate.header.e_phnum; i++) {
		Elf64_Phdr segment;

		if (!segment_header(&candidate, i, &segment) || segment.p_type != PT_LOAD)
			continue;
		uint64_t slide = segment.p_vaddr % PAGE_BYTES;
		struct core_mapping mapping = {
			.start = segment.p_vaddr - slide + candidate.bias,
			.end = (segment.p_vaddr + segment.p_filesz + candidate.bias + PAGE_BYTES -
				       1) &
			       -(uint64_t)PAGE_BYTES,
			.offset = segment.p_offset - slide,
			.path = core->target.exe_path,
		};
		const struct core_mapping *last =
			core->mappings.count ? &core->mappings.items[core->mappings.count - 1]
					     : NULL;
		// A program's segments ascend; one that does not is damaged.
		if (mapping.start >= mapping.end || (last && mapping.start < last->end))
			continue;
		if (!hw_vector_push(&core->mappings, mapping))
			return error_no_memory();
	}
	return NULL;
}

struct error *core_find_exe(struct core *core, const char *wanted)
{
	enum verdict verdict = VERDICT_UNKNOWN;
	char name[PATH_BYTES];
	bool wrong = false;

	exe_name(core, name);
	core->target.exe_path = strdup(*name || !wanted ? name : wanted);
	if (!core->target.exe_path)
		return error_no_memory();
	if (wanted) {
		core->exe_fd = exe_try(core, wanted, &verdict);
		if (core->exe_fd < 0 && verdict == VERDICT_OTHER)
			return error_create(ERROR_TARGET, "%s is not the program that wrote %s",
				wanted, core->path);
		if (core->exe_fd < 0)
			return error_create(ERROR_TARGET, "%s: %s", wanted,
				errno ? strerror(errno) : "it is not a program for that machine");
	} else {
		core->exe_fd = exe_search(core, name, &verdict, &wrong);
	}
	if (core->exe_fd < 0) {
		core_note(core, "%s%s%s; name it with --exe.",
			wrong ? "The file that is now " : "The program ",
			*name ? name : "that wrote the core",
			wrong ? " is not the program that wrote the core" : " was not found");
		return exe_mappings_add(core);
	}
	core->exe_unverified = verdict == VERDICT_UNKNOWN;
	return exe_mappings_add(core);
}
