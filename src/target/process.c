// A live process as a target: checks before, the capture itself (keeper.h), and reading what was
// captured.
//
// A frozen copy is read through its /proc/PID/mem (process_vm_readv would make the kernel un-share
// every page it touches: a gigabyte for each gigabyte read). After CAPTURE_STOP pages come from our
// own memory and the rest, which the target had not changed, from the files it is mapped from.
#include "target/process.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "base/units.h"
#include "target/keeper.h"
#include "target/method.h"
#include "target/procfs.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// A mapped file, kept open so that it can be read after the process has gone and its files were
// replaced.
struct process_file {
	unsigned device_major, device_minor;
	uint64_t inode;
	int fd; // -1: could not be opened
};

// A process that maps more different files privately than this does not do it with libraries.
enum { FILES_MAX = 1024 };

struct process {
	struct target target;
	struct keeper *keeper;
	bool released;
	int exe_fd;
	struct process_file *files;
	size_t file_count;
	int *region_files; // for each region: an index into `files`, or -1
	char *maps;
};

static struct process *process_of(struct target *target)
{
	return (struct process *)target;
}

// Reading.

static size_t read_all(int fd, void *buffer, size_t size, uint64_t offset)
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

// The index of the first extent that ends above `address`.
static size_t extent_index(const struct keeper *keeper, remote_addr address)
{
	return FIRST_WHERE(i, keeper->result->extent_count,
		keeper->extents[i].start + keeper->extents[i].size > address);
}

// One contiguous piece from `address` on, from whichever source has it. Returns 0 when nothing has.
static size_t read_copied_piece(
	struct process *process, remote_addr address, void *buffer, size_t size)
{
	const struct keeper *keeper = process->keeper;
	const struct region *region = target_region(&process->target, address);
	size_t index = extent_index(keeper, address);
	const struct extent *extent =
		index < keeper->result->extent_count ? &keeper->extents[index] : NULL;

	if (!region || !region->readable)
		return 0;
	if (extent && extent->start <= address) {
		uint64_t offset = address - extent->start;

		if (size > extent->size - offset)
			size = extent->size - offset;
		memcpy(buffer, keeper->bytes + extent->offset + offset, size);
		return size;
	}
	if (size > region->end - address)
		size = region->end - address;
	if (extent && size > extent->start - address)
		size = extent->start - address;
	int file = process->region_files[region - process->target.regions];
	if (file >= 0)
		return read_all(process->files[file].fd, buffer, size,
			region->file_offset + (address - region->start));
	if (region->is_file || region->shared || !strncmp(region->path, "[v", 2))
		return 0; // a file that could not be opened, shared memory, [vvar] and the like
	memset(buffer, 0, size);
	return size;
}

static size_t process_read(struct target *target, remote_addr address, void *buffer, size_t size)
{
	struct process *process = process_of(target);
	size_t done = 0, part;

	if (process->released)
		return 0;
	if (process->keeper->memory_fd >= 0)
		return read_all(process->keeper->memory_fd, buffer, size, address);
	while (done < size && (part = read_copied_piece(process, address + done,
				       (char *)buffer + done, size - done)))
		done += part;
	return done;
}

// True when no page of the range was ever changed: it still is what the file says.
static bool process_is_file_data(struct target *target, remote_addr address, size_t size)
{
	struct keeper *keeper = process_of(target)->keeper;
	remote_addr at = address & ~(remote_addr)(PAGE_BYTES - 1);

	if (keeper->pagemap_fd < 0) {
		size_t index = extent_index(keeper, address);

		return index == keeper->result->extent_count ||
		       keeper->extents[index].start >= address + size;
	}
	while (at < address + size) {
		uint64_t entries[512];
		size_t wanted = (address + size - at + PAGE_BYTES - 1) / PAGE_BYTES;

		if (wanted > ARRAY_COUNT(entries))
			wanted = ARRAY_COUNT(entries);
		if (read_all(keeper->pagemap_fd, entries, wanted * sizeof(entries[0]),
			    at / PAGE_BYTES * sizeof(entries[0])) != wanted * sizeof(entries[0]))
			return false;
		for (size_t i = 0; i < wanted; i++) {
			bool present = entries[i] & PAGEMAP_PRESENT;

			if (entries[i] & PAGEMAP_SWAPPED ||
				(present && !(entries[i] & PAGEMAP_FILE)))
				return false;
		}
		at += wanted * PAGE_BYTES;
	}
	return true;
}

static bool process_map(struct target *target, struct target_piece *piece)
{
	struct process *process = process_of(target);
	const struct region *region = target_region(target, piece->address);

	if (process->released || !region || region->writable || region->shared ||
		piece->size > region->end - piece->address)
		return false;
	int file = process->region_files[region - target->regions];
	if (file < 0 || !process_is_file_data(target, piece->address, piece->size))
		return false;

	uint64_t offset = region->file_offset + (piece->address - region->start);
	uint64_t skip = offset % PAGE_BYTES;
	struct stat stat;
	// Beyond the end of the file there is nothing to map.
	if (fstat(process->files[file].fd, &stat) || (uint64_t)stat.st_size < offset + piece->size)
		return false;
	void *mapping = mmap(NULL, piece->size + skip, PROT_READ, MAP_PRIVATE,
		process->files[file].fd, (off_t)(offset - skip));
	if (mapping == MAP_FAILED)
		return false;
	piece->mapping = mapping;
	piece->mapping_size = piece->size + skip;
	piece->bytes = (const char *)mapping + skip;
	return true;
}

static int process_open_exe(struct target *target)
{
	struct process *process = process_of(target);
	int fd = target->library ? -1 : process->exe_fd;
	char path[48];

	for (size_t i = 0; i < target->region_count && fd < 0; i++) {
		if (target->regions[i].is_exe && process->region_files[i] >= 0)
			fd = process->files[process->region_files[i]].fd;
	}
	// Opened anew, so that the caller has a file position of its own.
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void process_release(struct target *target)
{
	struct process *process = process_of(target);

	process->released = true;
	if (process->keeper)
		keeper_release(process->keeper);
}

static void process_destroy(struct target *target)
{
	struct process *process = process_of(target);

	keeper_destroy(process->keeper);
	for (size_t i = 0; i < process->file_count; i++)
		cleanup_close(&process->files[i].fd);
	cleanup_close(&process->exe_fd);
	free(process->files);
	free(process->region_files);
	free(process->maps);
	target_deinit(target);
	free(process);
}

static const struct target_ops process_ops = {
	.read = process_read,
	.map = process_map,
	.is_file_data = process_is_file_data,
	.open_exe = process_open_exe,
	.release = process_release,
	.destroy = process_destroy,
};

// What was captured: regions, files, threads.

// Opens the file behind a mapping: by the kernel's own link when we may use it, otherwise by its
// name, if the file there is still the same one.
static int open_mapped(struct process *process, const struct maps_line *line, const char *path)
{
	pid_t pid = process->target.pid;
	char name[4200];
	struct stat stat;

	snprintf(name, sizeof(name), "/proc/%d/map_files/%lx-%lx", pid, line->region.start,
		line->region.end);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && !strcmp(path, process->target.exe_path))
		fd = fcntl(process->exe_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), "/proc/%d/root%s", pid, path);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || stat.st_ino != line->inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int process_file(struct process *process, const struct maps_line *line, const char *path)
{
	for (size_t i = process->file_count; i-- > 0;) {
		struct process_file *file = &process->files[i];

		if (file->inode == line->inode && file->device_major == line->device_major &&
			file->device_minor == line->device_minor)
			return file->fd >= 0 ? (int)i : -1;
	}
	if (process->file_count == FILES_MAX)
		return -1;
	struct process_file *file = &process->files[process->file_count++];
	*file = (struct process_file){line->device_major, line->device_minor, line->inode,
		open_mapped(process, line, path)};
	return file->fd >= 0 ? (int)process->file_count - 1 : -1;
}

static struct error *read_maps(struct process *process, char **out, size_t *out_length)
{
	struct keeper *keeper = process->keeper;
	size_t length = 0, capacity = 64 * KIB;
	_cleanup_free_ char *text = NULL;

	if (keeper->maps_fd < 0) {
		length = keeper->result->maps_length;
		text = malloc(length + 1);
		if (!text)
			return error_no_memory();
		memcpy(text, keeper->maps, length);
	}
	while (keeper->maps_fd >= 0) {
		char *grown = realloc(text, capacity);

		if (!grown)
			return error_no_memory();
		text = grown;
		ssize_t part = read(keeper->maps_fd, text + length, capacity - length - 1);
		if (part < 0)
			return error_errno(ERROR_TARGET, "reading the mappings of process %d",
				process->target.pid);
		if (part == 0)
			break;
		length += (size_t)part;
		if (capacity - length < 8 * KIB)
			capacity *= 2;
	}
	text[length] = '\0';
	*out = take_pointer(text);
	*out_length = length;
	return NULL;
}

static struct error *process_regions(struct process *process)
{
	struct target *target = &process->target;
	struct maps_line line;
	size_t length, lines = 0, count = 0;
	struct error *err = read_maps(process, &process->maps, &length);

	if (err)
		return err;
	for (size_t i = 0; i < length; i++)
		lines += process->maps[i] == '\n';
	target->regions = calloc(lines + 1, sizeof(*target->regions));
	process->region_files = calloc(lines + 1, sizeof(*process->region_files));
	process->files = calloc(FILES_MAX, sizeof(*process->files));
	if (!target->regions || !process->region_files || !process->files)
		return error_no_memory();

	const char *at = process->maps, *end = at + length;
	while (count < lines && maps_next(&at, end, &line)) {
		struct region *region = &target->regions[count];
		char *path = process->maps + (line.path - process->maps);

		// In place of the newline.
		path[line.path_length] = '\0';
		*region = line.region;
		region->path = path;
		process->region_files[count] = -1;
		if (region->is_file && !region->shared && region->readable)
			process->region_files[count] = process_file(process, &line, path);
		count++;
	}
	target->region_count = count;
	target_sort_regions(target);
	target_set_library(target, NULL);
	return NULL;
}

static struct error *process_threads(struct process *process)
{
	struct target *target = &process->target;
	size_t count = process->keeper->result->thread_count;

	target->threads = calloc(count + 1, sizeof(*target->threads));
	if (!target->threads)
		return error_no_memory();
	memcpy(target->threads, process->keeper->threads, count * sizeof(*target->threads));
	target->thread_count = count;
	return NULL;
}

// Set when the program was started, and never changed by the kernel since. Dumps need it, and who compares two
// looks at one process.
static void process_auxv(struct target *target)
{
	enum { AUXV_MAX = 4096 };
	char *bytes = malloc(AUXV_MAX);
	ssize_t length = bytes ? procfs_read(target->pid, "auxv", bytes, AUXV_MAX) : -1;

	if (length <= 0) {
		free(bytes);
		return;
	}
	target->auxv = (uint8_t *)bytes;
	target->auxv_size = (size_t)length;
}

// Checks and preparations.

static struct error *check_exe(struct process *process)
{
	pid_t pid = process->target.pid;
	char path[48], link[4096];
	Elf64_Ehdr header;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	ssize_t length = readlink(path, link, sizeof(link) - 1);
	if (length >= 0)
		process->exe_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (process->exe_fd < 0 && (errno == EACCES || errno == EPERM))
		return error_create(ERROR_TARGET,
			"examining process %d is not permitted: run as its user or as root, in a "
			"container with CAP_SYS_PTRACE",
			pid);
	if (process->exe_fd < 0)
		return error_errno(ERROR_TARGET, "cannot open the program of process %d", pid);
	link[length] = '\0';
	process->target.exe_path = strdup(link);
	if (!process->target.exe_path)
		return error_no_memory();
	if (read_all(process->exe_fd, &header, sizeof(header), 0) != sizeof(header) ||
		memcmp(header.e_ident, ELFMAG, SELFMAG))
		return error_create(ERROR_TARGET, "process %d: %s is not an ELF file", pid, link);
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return error_create(ERROR_TARGET,
			"process %d (%s) is not a 64-bit x86 program; only those are supported",
			pid, link);
	return NULL;
}

static struct error *check_status(pid_t pid, struct process_status *status)
{
	if (pid <= 0 || !procfs_status(pid, pid, status))
		return error_create(ERROR_TARGET, "there is no process %d", pid);
	if (status->tgid != pid)
		return error_create(ERROR_TARGET, "%d is a thread of process %d; name the process",
			pid, status->tgid);
	if (status->state == 'X')
		return error_create(ERROR_TARGET, "process %d has exited", pid);
	if (status->state == 'Z' && status->kernel_thread)
		return error_create(ERROR_TARGET,
			"process %d has exited; its parent, process %d, has not noticed yet", pid,
			status->ppid);
	if (status->kernel_thread)
		return error_create(ERROR_TARGET, "process %d is a thread of the kernel", pid);
	if (status->tracer)
		return error_create(ERROR_TARGET,
			"process %d is already traced by process %d (a debugger or strace?); end "
			"that first",
			pid, status->tracer);
	if (pid == getpid())
		return error_create(ERROR_TARGET, "process %d is heapwhy itself", pid);
	return NULL;
}

static size_t count_threads(pid_t pid)
{
	char path[48];
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *directory = opendir(path);
	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count;
}

static remote_addr find_syscall_in(int memory_fd, const struct region *region)
{
	enum { CHUNK = 65536, LIMIT = 64 << 20 };
	_cleanup_free_ uint8_t *bytes = malloc(CHUNK);

	for (remote_addr at = region->start;
		bytes && at < region->end && at - region->start < LIMIT; at += CHUNK) {
		size_t size = region->end - at < CHUNK ? region->end - at : CHUNK;
		size_t length = read_all(memory_fd, bytes, size, at);

		for (size_t i = 0; i + 1 < length; i++) {
			if (bytes[i] == 0x0f && bytes[i + 1] == 0x05)
				return at + i;
		}
	}
	return 0;
}

// Any `syscall` instruction will do, also one that is part of another: only these two bytes are
// executed. The vdso has one practically always, every Go program has.
static remote_addr find_syscall(pid_t pid)
{
	char path[48];
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	remote_addr found = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	_cleanup_close_ int memory_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	_cleanup_fclose_ FILE *maps = fopen(path, "re");
	ssize_t length;
	while (memory_fd >= 0 && maps && !found && (length = getline(&line, &capacity, maps)) > 0) {
		const char *at = line;
		struct maps_line mapping;

		if (maps_next(&at, line + length, &mapping) && mapping.region.readable &&
			mapping.region.executable && !mapping.region.shared)
			found = find_syscall_in(memory_fd, &mapping.region);
	}
	return found;
}

// When memory runs out, whoever examines should go before whoever is examined.
static void volunteer_for_oom(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1000", 4) < 0)
		return; // not permitted: as before
}

// The size must be settled before the process stops. It may grow until then.
static struct error *capture_stopped(struct process *process, struct keeper_request *request)
{
	enum keeper_refusal refusal = REFUSAL_NONE;
	pid_t pid = request->pid;
	uint64_t slack = 64 * MIB;
	struct error *err = NULL;

	request->method = CAPTURE_STOP;
	for (int attempt = 0; attempt < 3; attempt++, slack *= 4) {
		struct process_status status;

		error_destroy(err);
		if (!procfs_status(pid, pid, &status))
			return error_create(ERROR_TARGET, "process %d has exited", pid);
		request->copy_bytes = status.anonymous_bytes + status.anonymous_bytes / 8 + slack;
		err = keeper_start(request, &process->keeper, &refusal);
		if (refusal != REFUSAL_GROWN)
			break;
	}
	return err;
}

static struct error *run_keeper(struct process *process, const struct capture_options *options,
	const struct process_status *status)
{
	struct capture *capture = &process->target.capture;
	pid_t pid = process->target.pid;
	struct keeper_request request = {
		.pid = pid, .method = options->method, .thread_count = count_threads(pid)};
	enum keeper_refusal refusal = REFUSAL_NONE;

	if (request.method == CAPTURE_AUTO)
		request.method =
			method_choose(pid, status, capture->reason, sizeof(capture->reason));
	capture->method = request.method;
	if (request.method == CAPTURE_STOP)
		return capture_stopped(process, &request);

	request.syscall_address = find_syscall(pid);
	struct error *err = keeper_start(&request, &process->keeper, &refusal);
	if (refusal != REFUSAL_FORK || options->method != CAPTURE_AUTO)
		return err;
	snprintf(capture->reason, sizeof(capture->reason), "%s", error_message(err));
	error_destroy(err);
	capture->method = CAPTURE_STOP;
	return capture_stopped(process, &request);
}

struct error *process_capture(pid_t pid, const struct capture_options *options, struct target **out)
{
	struct process_status status;
	struct error *err = check_status(pid, &status);

	if (err)
		return err;
	struct process *process = calloc(1, sizeof(*process));
	if (!process)
		return error_no_memory();
	struct target *target = &process->target;
	target->ops = &process_ops;
	target->kind = TARGET_PROCESS;
	target->arch = ARCH_AMD64;
	target->pid = pid;
	process->exe_fd = -1;

	volunteer_for_oom();
	process_auxv(target);
	err = check_exe(process);
	if (!err)
		err = run_keeper(process, options, &status);
	if (!err)
		err = process_regions(process);
	if (!err)
		err = process_threads(process);
	if (err) {
		target_destroy(target);
		return err;
	}
	target->capture.pause_ns = process->keeper->result->pause_ns;
	target->capture.total_ns = process->keeper->result->total_ns;
	target->clock_ns = clock_ns();
	*out = target;
	return NULL;
}
