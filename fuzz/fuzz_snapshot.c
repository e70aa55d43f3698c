// Snapshots of any bytes: the report in them, their tables, paths through them, and what has changed since the same one.
//
// Checksums would stop nearly every input at the door. So the input is the sections' contents, which
// are put into a file with checksums that fit; an input that is a snapshot itself is taken as it is.
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sections.h"
#include "diff/diff.h"
#include "output/report_json.h"
#include "output/report_text.h"
#include "output/rss_text.h"
#include "output/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct {
	const char *name;
	size_t item_size;
} sections[] = {
	{"report", 1},
	{"objects", sizeof(struct snapshot_object)},
	{"holders", sizeof(struct snapshot_holder)},
	{"groups", sizeof(struct snapshot_holder)},
	{"labels", sizeof(uint32_t)},
	{"edge_starts", sizeof(uint64_t)},
	{"edges", sizeof(uint32_t)},
	{"strings", 1},
	{"maps", sizeof(struct snapshot_map)},
};
enum { SECTION_COUNT = sizeof(sections) / sizeof(sections[0]) };

// The input begins with how many items each section has, in two bytes each.
static struct error *file_write(int fd, const uint8_t *bytes, size_t size)
{
	uint16_t counts[SECTION_COUNT] = {0};
	struct sections_writer writer;
	struct error *err = NULL;
	size_t at = sizeof(counts);

	if (sections_are_likely(bytes, size) || size < sizeof(counts))
		return write(fd, bytes, size) == (ssize_t)size
			       ? NULL
			       : error_errno(ERROR_INTERNAL, "write");
	memcpy(counts, bytes, sizeof(counts));
	sections_begin(&writer, fd);
	for (size_t i = 0; i < SECTION_COUNT && !err; i++) {
		uint64_t count = counts[i];

		if (count > (size - at) / sections[i].item_size)
			count = (size - at) / sections[i].item_size;
		err = sections_add(
			&writer, sections[i].name, bytes + at, sections[i].item_size, count);
		at += count * sections[i].item_size;
	}
	return err ? err : sections_end(&writer);
}

static void report_show(const struct snapshot *snapshot)
{
	struct style style = {.width = 100, .top = 10};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct report *report;
	struct error *err = snapshot_report(snapshot, &report);

	if (!err) {
		error_destroy(report_text(report, &style, &text));
		error_destroy(report_json(report, &text));
		error_destroy(rss_text(report, &style, &text));
		report_destroy(report);
	}
	error_destroy(err);
}

static void paths_show(struct snapshot *snapshot, const char *subject)
{
	struct style style = {.width = 100, .top = 10};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct paths *paths;
	struct error *err = snapshot_paths(snapshot, subject, 3, &paths);

	if (!err) {
		err = paths_text(paths, &style, &text);
		paths_destroy(paths);
	}
	error_destroy(err);
}

static void diff_show(struct snapshot *snapshot)
{
	struct style style = {.width = 100, .top = 10};
	struct snapshot *looks[] = {snapshot, snapshot, snapshot};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct diff *diff;
	struct error *err = diff_build(looks, 3, &diff);

	if (!err) {
		error_destroy(diff_text(diff, &style, &text));
		error_destroy(diff_json(diff, &text));
		diff_destroy(diff);
	}
	error_destroy(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct snapshot *snapshot;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	struct error *err = file_write(fd, bytes, size);
	if (err)
		close(fd);
	else
		err = snapshot_open_fd(fd, &snapshot);
	if (!err) {
		report_show(snapshot);
		paths_show(snapshot, "main.node");
		paths_show(snapshot, "0xc000010010");
		diff_show(snapshot);
		snapshot_close(snapshot);
	}
	error_destroy(err);
	return 0;
}
