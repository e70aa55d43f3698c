// A target that is an ELF file. See file_target.h.
#include "file_target.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { SEGMENTS_MAX = 64 };
static const uint64_t PAGE = 4096;

struct file_target {
	struct target target; // first: the pointer to it is the pointer to this
	int fd;
	uint64_t size;
	struct region regions[SEGMENTS_MAX];
};

static size_t file_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	struct file_target *file = (struct file_target *)target;
	size_t done = 0;

	for (size_t i = 0; i < target->region_count && done < size; i++) {
		const struct region *region = &target->regions[i];
		if (address + done < region->start || address + done >= region->end)
			continue;
		size_t part = region->end - (address + done);
		if (part > size - done)
			part = size - done;
		ssize_t count = pread(file->fd, (char *)buffer + done, part,
			(off_t)(region->file_offset + (address + done - region->start)));
		if (count <= 0)
			break;
		done += (size_t)count;
	}
	return done;
}

static int file_open_exe(struct target *target)
{
	return open(target->exe_path, O_RDONLY | O_CLOEXEC);
}

static void file_release(struct target *target)
{
}

static void file_destroy(struct target *target)
{
	struct file_target *file = (struct file_target *)target;

	close(file->fd);
	free(target->exe_path);
	free(file);
}

static const struct target_ops file_ops = {
	.read = file_read,
	.open_exe = file_open_exe,
	.release = file_release,
	.destroy = file_destroy,
};

static bool overlaps(const struct target *target, remote_addr start, remote_addr end)
{
	for (size_t i = 0; i < target->region_count; i++) {
		if (start < target->regions[i].end && target->regions[i].start < end)
			return true;
	}
	return false;
}

// Maps one segment, as far as the file reaches.
static void file_map(struct file_target *file, const Elf64_Phdr *segment, uint64_t bias)
{
	struct target *target = &file->target;
	uint64_t slide = segment->p_vaddr % PAGE;
	uint64_t offset = segment->p_offset - slide, end = (file->size + PAGE - 1) & -PAGE;
	uint64_t bytes = (slide + segment->p_filesz + PAGE - 1) & -PAGE;
	remote_addr start = segment->p_vaddr - slide + bias;

	if (segment->p_type != PT_LOAD || target->region_count == SEGMENTS_MAX ||
		segment->p_offset % PAGE != slide || offset >= end)
		return;
	if (bytes > end - offset)
		bytes = end - offset;
	if (bytes == 0 || start + bytes <= start || overlaps(target, start, start + bytes))
		return;
	file->regions[target->region_count++] = (struct region){
		.start = start,
		.end = start + bytes,
		.file_offset = offset,
		.readable = true,
		.writable = segment->p_flags & PF_W,
		.executable = segment->p_flags & PF_X,
		.is_file = true,
		.is_exe = true,
		.path = target->exe_path,
	};
}

struct error *file_target_open(const char *path, uint64_t bias, struct target **out)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	struct file_target *file = calloc(1, sizeof(*file));

	if (!file)
		return error_no_memory();
	file->target.ops = &file_ops;
	file->target.kind = TARGET_IMAGE;
	file->target.regions = file->regions;
	file->target.exe_path = strdup(path);
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file->fd < 0) {
		struct error *err = error_errno(ERROR_TARGET, "%s", path);
		file_destroy(&file->target);
		return err;
	}
	off_t size = lseek(file->fd, 0, SEEK_END);
	file->size = size < 0 ? 0 : (uint64_t)size;
	// A file that is damaged beyond this simply has no mappings.
	if (pread(file->fd, &header, sizeof(header), 0) == sizeof(header)) {
		for (unsigned i = 0; i < header.e_phnum; i++) {
			off_t at = (off_t)(header.e_phoff + i * sizeof(segment));
			if (pread(file->fd, &segment, sizeof(segment), at) == sizeof(segment))
				file_map(file, &segment, bias);
		}
	}
	target_sort_regions(&file->target);
	*out = &file->target;
	return NULL;
}
