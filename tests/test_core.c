// Core files and files of sections: written, read back, cut off, damaged.
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/sections.h"
#include "target/core.h"
#include "target/core_format.h"
#include "target/core_private.h"
#include "target/core_write.h"
#include "target/image.h"
#include "target/resident.h"

enum { PAGE = 4096, DATA_PAGES = 600, TABLE_PAGES = 4 };
static const remote_addr DATA = 0xc000000000, TABLE = 0x7f0000000000;

static void assert_failure(struct error *err)
{
	assert_non_null(err);
	error_destroy(err);
}

static struct target *image_make(void)
{
	struct region data = {.start = DATA, .end = DATA + DATA_PAGES * PAGE, .readable = true};
	struct region table = {.start = TABLE, .end = TABLE + TABLE_PAGES * PAGE, .readable = true};
	struct target_thread thread = {.tid = 7, .registers = {.pc = 0x401000, .sp = DATA + 64}};
	uint8_t *bytes = calloc(DATA_PAGES, PAGE);
	struct target *target;

	data.writable = table.writable = true;
	thread.registers.word_count = AMD64_GENERAL_WORDS + 5;
	for (unsigned i = 0; i < thread.registers.word_count; i++)
		thread.registers.words[i] = 1000 + i;
	// Every other page is zeros: a hole in the file.
	for (size_t i = 0; i < DATA_PAGES * PAGE; i += 8)
		if (i / PAGE % 2)
			memcpy(bytes + i, &i, sizeof(i));
	assert_success(image_create(&target));
	assert_success(image_add(target, &data, bytes));
	assert_success(image_add(target, &table, bytes + PAGE));
	assert_success(image_add_thread(target, &thread));
	target->clock_ns = 42;
	free(bytes);
	return target;
}

static int core_make(struct target *target, bool compressed)
{
	const struct core_range ranges[] = {
		{DATA, DATA + DATA_PAGES * PAGE, true},
		{TABLE, TABLE + TABLE_PAGES * PAGE, false},
	};
	struct core_contents contents = {
		.target = target, .ranges = ranges, .range_count = 2, .compressed = compressed};
	int fd = memfd_create("core", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_success(core_write(&contents, fd));
	return fd;
}

static struct target *core_read_back(int fd)
{
	struct core_options options = {.exe = NULL};
	struct target *target;

	assert_success(core_open_fd(dup(fd), "core", &options, &target));
	return target;
}

static void expect_same(
	struct target *expected, struct target *found, remote_addr start, size_t size)
{
	uint8_t *a = malloc(size), *b = malloc(size);

	assert_success(target_read(expected, start, a, size));
	assert_success(target_read(found, start, b, size));
	assert_memory_equal(a, b, size);
	free(a);
	free(b);
}

static void written_and_read(void **state)
{
	struct target *image = image_make();

	for (int compressed = 0; compressed < 2; compressed++) {
		int fd = core_make(image, compressed);
		struct target *core = core_read_back(fd);

		expect_same(image, core, DATA, DATA_PAGES * PAGE);
		expect_same(image, core, TABLE, TABLE_PAGES * PAGE);
		expect_same(image, core, DATA + 5000, 10000);
		assert_int_equal(core->thread_count, 1);
		assert_int_equal(core->threads[0].tid, 7);
		assert_memory_equal(&core->threads[0].registers, &image->threads[0].registers,
			sizeof(core->threads[0].registers));
		assert_int_equal(core->clock_ns, 42);
		assert_int_equal(target_absent(core, DATA - PAGE, DATA + PAGE), PAGE);
		target_destroy(core);
		close(fd);
	}
	target_destroy(image);
}

// What was to be lost first is gone, the rest is there.
static void cut_off(void **state)
{
	struct target *image = image_make();
	int fd = core_make(image, false);

	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - 100 * PAGE), 0);
	struct target *core = core_read_back(fd);
	expect_same(image, core, TABLE, TABLE_PAGES * PAGE);
	expect_same(image, core, DATA, (DATA_PAGES - 100) * PAGE);
	assert_int_equal(target_absent(core, DATA, DATA + DATA_PAGES * PAGE), 100 * PAGE);
	assert_non_null(strstr(core->notes, "cut off"));
	target_destroy(core);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_failure(core_open_fd(dup(fd), "core", &(struct core_options){NULL}, &core));
	close(fd);
	target_destroy(image);
}

// A wrong bit: its megabyte is left out; in the headers: nothing is believed.
static void damaged(void **state)
{
	struct target *image = image_make();
	int fd = core_make(image, false);
	off_t at = lseek(fd, 0, SEEK_END) - 100 * PAGE + 17;
	struct target *core;
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	core = core_read_back(fd);
	uint64_t absent = target_absent(core, DATA, DATA + DATA_PAGES * PAGE);
	assert_true(absent > 0 && absent <= 1 << 20);
	assert_int_equal(target_absent(core, TABLE, TABLE + TABLE_PAGES * PAGE), 0);
	assert_non_null(strstr(core->notes, "checksum"));
	target_destroy(core);

	assert_int_equal(pread(fd, &byte, 1, 64 + 40), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 64 + 40), 1);
	assert_failure(core_open_fd(dup(fd), "core", &(struct core_options){NULL}, &core));
	close(fd);
	target_destroy(image);
}

// A wrong bit in the notes in front of the checksums, or in the head of theirs: nothing can be trusted then, and the core is not
// taken for somebody else's either, who has no such notes.
static void damaged_notes(void **state)
{
	struct {
		uint32_t type;
		char name[sizeof(CORE_NOTE_NAME)];
	} start = {CORE_NOTE_CHECKSUMS, CORE_NOTE_NAME};
	struct target *image = image_make(), *core;
	int fd = core_make(image, false);
	uint8_t bytes[PAGE];

	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	const uint8_t *sums = memmem(bytes, sizeof(bytes), &start, sizeof(start));
	assert_non_null(sums);
	for (off_t at = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
		at < sums - bytes + (off_t)sizeof(start); at++) {
		uint8_t bad = bytes[at] ^ 8;

		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_failure(core_open_fd(dup(fd), "core", &(struct core_options){NULL}, &core));
		assert_int_equal(pwrite(fd, bytes + at, 1, at), 1);
	}
	target_destroy(core_read_back(fd));
	close(fd);
	target_destroy(image);
}

// A wrong bit in a compressed core: what is read is what was written, wherever it is.
static void damaged_compressed(void **state)
{
	struct target *image = image_make(), *core;
	int fd = core_make(image, true);
	off_t size = lseek(fd, 0, SEEK_END);
	unsigned opened = 0;

	for (off_t at = 0; at < size; at += size / 50) {
		uint8_t good, bad;

		assert_int_equal(pread(fd, &good, 1, at), 1);
		bad = good ^ 0x10;
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		struct error *err =
			core_open_fd(dup(fd), "core", &(struct core_options){NULL}, &core);
		if (!err) {
			uint64_t absent = target_absent(core, DATA, DATA + DATA_PAGES * PAGE);

			expect_same(image, core, DATA, DATA_PAGES * PAGE - absent);
			opened++;
			target_destroy(core);
		}
		error_destroy(err);
		assert_int_equal(pwrite(fd, &good, 1, at), 1);
	}
	assert_true(opened >= 10 && opened < 50); // headers and tables are in the first megabyte
	close(fd);
	target_destroy(image);
}

static int sections_make(const uint32_t *numbers, size_t count)
{
	struct sections_writer writer;
	int fd = memfd_create("sections", MFD_CLOEXEC);

	assert_true(fd >= 0);
	sections_begin(&writer, fd);
	assert_success(sections_add(&writer, "numbers", numbers, sizeof(*numbers), count));
	assert_success(sections_add(&writer, "nothing", "", 1, 0));
	assert_success(sections_end(&writer));
	return fd;
}

// Every bit of the file counts, but for the padding between sections.
static void sections_of_a_file(void **state)
{
	const uint32_t numbers[] = {1, 2, 3, 5, 8};
	int fd = sections_make(numbers, 5);
	off_t size = lseek(fd, 0, SEEK_END);
	struct sections *sections;
	const void *items;
	uint64_t count;

	assert_success(sections_open_fd(dup(fd), &sections));
	assert_success(sections_get(sections, "numbers", sizeof(*numbers), &items, &count));
	assert_int_equal(count, 5);
	assert_memory_equal(items, numbers, sizeof(numbers));
	assert_success(sections_get(sections, "nothing", 1, &items, &count));
	assert_int_equal(count, 0);
	assert_failure(sections_get(sections, "numbers", 8, &items, &count));
	assert_failure(sections_get(sections, "others", 4, &items, &count));
	sections_close(sections);

	for (off_t at = 0; at < size; at++) {
		uint8_t good, bad;

		assert_int_equal(pread(fd, &good, 1, at), 1);
		bad = good ^ 0x10;
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		struct error *err = sections_open_fd(dup(fd), &sections);
		if (!err) {
			err = sections_get(sections, "numbers", sizeof(*numbers), &items, &count);
			if (!err)
				assert_memory_equal(items, numbers, sizeof(numbers));
			sections_close(sections);
		}
		error_destroy(err);
		assert_int_equal(pwrite(fd, &good, 1, at), 1);
	}
	for (off_t length = 0; length < size; length += 7) {
		int cut = sections_make(numbers, 5);

		assert_int_equal(ftruncate(cut, length), 0);
		assert_failure(sections_open_fd(cut, &sections));
	}
	close(fd);
}

// What unpacks to whole buffers ends where the buffer does, and is complete all the same.
static void unpacked_to_the_last_byte(void **state)
{
	static const size_t sizes[] = {1 << 20, (1 << 20) + 1, 3 << 20};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t room = ZSTD_compressBound(sizes[i]);
		uint8_t *bytes = malloc(sizes[i]), *packed = malloc(room);
		int fd = memfd_create("core.zst", MFD_CLOEXEC);
		bool cut = true;

		assert_non_null(bytes);
		assert_non_null(packed);
		for (size_t k = 0; k < sizes[i]; k++)
			bytes[k] = (uint8_t)(k * 2654435761u >> 13);
		size_t length = ZSTD_compress(packed, room, bytes, sizes[i], 1);
		assert_int_equal(write(fd, packed, length), length);
		assert_success(core_spool(&fd, "core.zst", 0, &cut));
		assert_false(cut);
		assert_int_equal(lseek(fd, 0, SEEK_END), sizes[i]);
		assert_int_equal(pread(fd, packed, 100, (off_t)sizes[i] - 100), 100);
		assert_memory_equal(packed, bytes + sizes[i] - 100, 100);
		close(fd);
		free(bytes);
		free(packed);
	}
}

static void resident_add(struct target *target, remote_addr start, remote_addr end, uint64_t bytes)
{
	struct resident_mapping mapping = {.start = start, .end = end, .bytes = bytes};

	assert_true(resident_add_mapping(target->resident, &mapping, "[anon: Go: heap]", 6));
}

// What was in memory comes back as it was told, and not at all where it makes no sense.
static void what_was_in_memory(void **state)
{
	struct target *image = image_make(), *core;

	image->resident = calloc(1, sizeof(*image->resident));
	image->resident->total = 99 * PAGE;
	resident_add(image, DATA, DATA + 10 * PAGE, 7 * PAGE);
	resident_add(image, TABLE, TABLE + PAGE, PAGE);
	assert_true(resident_add_run(image->resident, DATA, DATA + PAGE));
	assert_true(resident_add_run(image->resident, DATA + PAGE, DATA + 2 * PAGE));
	assert_true(resident_add_run(image->resident, DATA + 5 * PAGE, DATA + 9 * PAGE));
	for (int compressed = 0; compressed < 2; compressed++) {
		int fd = core_make(image, compressed);

		core = core_read_back(fd);
		const struct resident *found = core->resident;
		assert_non_null(found);
		assert_int_equal(found->total, 99 * PAGE);
		assert_int_equal(found->mappings.count, 2);
		assert_int_equal(found->mappings.items[0].bytes, 7 * PAGE);
		assert_string_equal(found->mappings.items[1].path, "[anon:");
		assert_int_equal(found->runs.count, 2);
		assert_int_equal(resident_bytes(found, DATA, DATA + 10 * PAGE), 6 * PAGE);
		assert_int_equal(
			resident_bytes(found, DATA + 100, DATA + 5 * PAGE + 1), 2 * PAGE - 99);
		target_destroy(core);
		close(fd);
	}
	resident_add(image, DATA, DATA + PAGE, PAGE); // below what came before
	int fd = core_make(image, false);
	core = core_read_back(fd);
	assert_null(core->resident);
	target_destroy(core);
	close(fd);
	target_destroy(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_and_read),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(damaged),
		cmocka_unit_test(damaged_notes),
		cmocka_unit_test(damaged_compressed),
		cmocka_unit_test(sections_of_a_file),
		cmocka_unit_test(unpacked_to_the_last_byte),
		cmocka_unit_test(what_was_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
