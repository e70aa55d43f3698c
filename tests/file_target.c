// A target that is an ELF file. See file_target.h.
#include "file_target.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { PAGE = 4096, SEGMENTS_MAX = 64 };

struct file_target {
	struct target target; // first: the pointer to it is the pointer to this
	int fd;
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

static void file_map(struct file_target *file, const Elf64_Phdr *segment, uint64_t bias)
{
	struct target *target = &file->target;
	uint64_t slide = segment->p_vaddr % PAGE;
	uint64_t bytes = (slide + segment->p_filesz + PAGE - 1) & ~(uint64_t)(PAGE - 1);

	if (segment->p_type != PT_LOAD || target->region_count == SEGMENTS_MAX || bytes == 0)
		return;
	file->regions[target->region_count++] = (struct region){
		.start = segment->p_vaddr - slide + bias,
		.end = segment->p_vaddr - slide + bias + bytes,
		.file_offset = segment->p_offset - slide,
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
	// A file that is damaged beyond this simply has no mappings.
	if (pread(file->fd, &header, sizeof(header), 0) == sizeof(header)) {
		for (unsigned i = 0; i < header.e_phnum; i++) {
			off_t at = (off_t)(header.e_phoff + i * sizeof(segment));
			if (pread(file->fd, &segment, sizeof(segment), at) == sizeof(segment))
				file_map(file, &segment, bias);
		}
	}
	*out = &file->target;
	return NULL;
}
