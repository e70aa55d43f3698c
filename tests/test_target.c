// target/: the interface over an in-memory image: regions, reading, mapping, caching.
#include "test.h"

#include "target/image.h"
#include "target/memory.h"
#include "target/procfs.h"

// Three regions: 0x1000..0x3000 and 0x3000..0x4800 adjoin, 0x9000..0xa000 may not be read,
// 0xb000..0xc000 may. Every readable byte is the low byte of (address * 7).
static uint8_t byte_at(remote_addr address)
{
	return (uint8_t)(address * 7);
}

static void add_region(struct target *target, remote_addr start, remote_addr end, bool readable)
{
	struct region region = {.start = start, .end = end, .readable = readable, .path = "[test]"};
	_cleanup_free_ uint8_t *bytes = malloc(end - start);

	for (remote_addr at = start; at < end; at++)
		bytes[at - start] = byte_at(at);
	assert_success(image_add(target, &region, bytes));
}

static struct target *image(void)
{
	struct target *target;

	assert_success(image_create(&target));
	add_region(target, 0xb000, 0xc000, true);
	add_region(target, 0x1000, 0x3000, true);
	add_region(target, 0x9000, 0xa000, false);
	add_region(target, 0x3000, 0x4800, true);
	return target;
}

static void assert_bytes(const uint8_t *bytes, remote_addr address, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], byte_at(address + i));
}

static void regions_are_sorted_and_found(void **state)
{
	struct target *target = image();

	assert_int_equal(target->region_count, 4);
	for (size_t i = 1; i < target->region_count; i++)
		assert_true(target->regions[i - 1].end <= target->regions[i].start);
	assert_null(target_region(target, 0xfff));
	assert_int_equal(target_region(target, 0x1000)->start, 0x1000);
	assert_int_equal(target_region(target, 0x2fff)->start, 0x1000);
	assert_int_equal(target_region(target, 0x3000)->start, 0x3000);
	assert_null(target_region(target, 0x4800));
	assert_null(target_region(target, UINT64_MAX));
	assert_string_equal(target_region(target, 0xb000)->path, "[test]");

	struct error *err = image_add(
		target, &(struct region){.start = 0x2000, .end = 0x2001, .path = ""}, "x");
	assert_non_null(err);
	error_destroy(err);
	target_destroy(target);
}

static void reading_is_exact_or_fails(void **state)
{
	struct target *target = image();
	uint8_t bytes[0x5000];

	assert_success(target_read(target, 0x2ff0, bytes, 0x20));
	assert_bytes(bytes, 0x2ff0, 0x20);
	assert_int_equal(target->bytes_read, 0x20);

	struct error *err = target_read(target, 0x47f0, bytes, 0x20);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	assert_string_equal(error_message(err), "memory at 0x4800 is not readable");
	error_destroy(err);
	assert_int_equal(target->faults, 1);
	target_destroy(target);
}

static void sparse_reading_skips_holes(void **state)
{
	struct target *target = image();
	size_t size = 0xc000;
	_cleanup_free_ uint8_t *bytes = malloc(size);

	memset(bytes, 0xee, size);
	assert_int_equal(
		target_read_sparse(target, 0x800, bytes, size), size - 0x2000 - 0x1800 - 0x1000);
	for (size_t i = 0; i < size; i++) {
		remote_addr at = 0x800 + i;
		bool readable = (at >= 0x1000 && at < 0x4800) || (at >= 0xb000 && at < 0xc000);

		assert_int_equal(bytes[i], readable ? byte_at(at) : 0);
	}
	assert_int_equal(target_read_sparse(target, UINT64_MAX - 15, bytes, 32), 32);
	target_destroy(target);
}

static void pieces_outlive_release(void **state)
{
	struct target *target = image();
	const void *inside, *across, *again;
	uint8_t byte;

	assert_success(target_map(target, 0x1100, 0x100, &inside));
	assert_success(target_map(target, 0x2f00, 0x200, &across));
	assert_success(target_map(target, 0x2f80, 0x80, &again));
	assert_ptr_equal(again, (const char *)across + 0x80);

	// A size from a damaged structure is refused before anything is allocated for it.
	struct error *err = target_map(target, 0x1000, SIZE_MAX, &again);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	error_destroy(err);

	target_release(target);
	target_release(target);
	err = target_read(target, 0x1100, &byte, 1);
	assert_non_null(err);
	error_destroy(err);
	assert_bytes(inside, 0x1100, 0x100);
	assert_bytes(across, 0x2f00, 0x200);
	target_destroy(target);
	target_destroy(NULL);
}

static void memory_caches_blocks(void **state)
{
	struct target *target = image();
	struct memory memory;
	uint8_t bytes[0x3800];

	// Two blocks only, so that they are replaced.
	assert_success(memory_init(&memory, target, 8192));
	for (remote_addr at = 0x1000; at + 8 <= 0x4800; at += 3) {
		uint64_t word = memory_u64(&memory, at);

		assert_bytes((const uint8_t *)&word, at, 8);
	}
	assert_int_equal(memory_u8(&memory, 0x47ff), byte_at(0x47ff));
	assert_int_equal(memory_u16(&memory, 0x2fff), byte_at(0x2fff) | byte_at(0x3000) << 8);
	assert_true(memory_read(&memory, 0x1000, bytes, sizeof(bytes)));
	assert_bytes(bytes, 0x1000, sizeof(bytes));
	assert_int_equal(memory.faults, 0);

	assert_int_equal(memory_u32(&memory, 0x47fe), 0);
	assert_int_equal(memory_u64(&memory, 0x9000), 0);
	assert_int_equal(memory_u64(&memory, UINT64_MAX - 3), 0);
	assert_int_equal(memory.faults, 3);
	assert_int_equal(memory_u64(&memory, 1), 0);
	assert_int_equal(memory_u8(&memory, 0x4000), byte_at(0x4000));
	memory_deinit(&memory);
	target_destroy(target);
}

static void maps_are_parsed(void **state)
{
	static const char text[] = "00400000-0052a000 r-xp 00001000 fd:00 1234567                  "
				   "  /opt/a b/app (deleted)\n"
				   "c000000000-c000400000 rw-p 00000000 00:00 0 \n"
				   "7ffff7fc1000-7ffff7fc3000 r--s 00000000 103:0a 42   [vvar]\n"
				   "nonsense\n";
	const char *at = text, *end = text + sizeof(text) - 1;
	struct maps_line line;

	assert_true(maps_next(&at, end, &line));
	assert_int_equal(line.region.start, 0x400000);
	assert_int_equal(line.region.end, 0x52a000);
	assert_int_equal(line.region.file_offset, 0x1000);
	assert_true(line.region.readable && line.region.executable && line.region.is_file);
	assert_false(line.region.writable || line.region.shared);
	assert_int_equal(line.device_major, 0xfd);
	assert_int_equal(line.inode, 1234567);
	assert_int_equal(line.path_length, strlen("/opt/a b/app (deleted)"));
	assert_memory_equal(line.path, "/opt/a b/app (deleted)", line.path_length);
	assert_true(maps_next(&at, end, &line));
	assert_int_equal(line.region.end, 0xc000400000);
	assert_true(line.region.writable && !line.region.is_file);
	assert_int_equal(line.path_length, 0);
	assert_true(maps_next(&at, end, &line));
	assert_true(line.region.shared);
	assert_int_equal(line.device_minor, 0xa);
	assert_false(maps_next(&at, end, &line));
	// However the text is cut, nothing behind its end is looked at.
	for (size_t length = 0; length < sizeof(text); length++) {
		_cleanup_free_ char *cut = malloc(length + 1);

		memcpy(cut, text, length);
		for (at = cut; maps_next(&at, cut + length, &line);)
			continue;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_sorted_and_found),
		cmocka_unit_test(reading_is_exact_or_fails),
		cmocka_unit_test(sparse_reading_skips_holes),
		cmocka_unit_test(pieces_outlive_release),
		cmocka_unit_test(memory_caches_blocks),
		cmocka_unit_test(maps_are_parsed),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
