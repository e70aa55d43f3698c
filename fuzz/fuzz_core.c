// Core files of any bytes: opened, and then read wherever they say that there is something.
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "goruntime/runtime.h"
#include "target/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { READ_MAX = 64 << 10, REGIONS_MAX = 256 };

static void regions_read(struct target *target)
{
	static uint8_t buffer[READ_MAX];
	const void *mapped;

	for (size_t i = 0; i < target->region_count && i < REGIONS_MAX; i++) {
		const struct region *region = &target->regions[i];
		size_t length = region->end - region->start;

		if (length > READ_MAX)
			length = READ_MAX;
		BUG_ON(region->start >= region->end);
		BUG_ON(i && region[-1].end > region->start);
		BUG_ON(region->readable && target_absent(target, region->start, region->end));
		target_read_sparse(target, region->start, buffer, length);
		error_destroy(target_map(target, region->start, length, &mapped));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct core_options options = {.exe = NULL};
	struct go_runtime *runtime;
	struct target *target;
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	struct error *err = core_open_fd(fd, "core", &options, &target);
	if (!err) {
		regions_read(target);
		err = go_runtime_open(target, &runtime);
		if (!err)
			go_runtime_close(runtime);
		target_destroy(target);
	}
	error_destroy(err);
	return 0;
}
