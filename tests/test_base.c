// base/: errors, texts, units, cancelling, remarks.
#include "test.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/units.h"

static void error_carries_kind_and_message(void **state)
{
	struct error *err = error_create(ERROR_TARGET, "process %d is not there", 7);

	err = error_wrap(err, "capture");
	assert_int_equal(error_kind(err), ERROR_TARGET);
	assert_string_equal(error_message(err), "capture: process 7 is not there");
	error_destroy(err);

	errno = ENOENT;
	err = error_errno(ERROR_INTERNAL, "cannot open %s", "x");
	assert_string_equal(error_message(err), "cannot open x: No such file or directory");
	error_destroy(err);
	assert_null(error_wrap(NULL, "nothing"));
}

static void error_without_memory_is_static(void **state)
{
	struct error *err = error_wrap(error_no_memory(), "reading");

	assert_ptr_equal(err, error_no_memory());
	assert_int_equal(error_kind(err), ERROR_INTERNAL);
	error_destroy(err);
	assert_string_equal(error_message(err), "out of memory");
}

static void text_grows_and_is_terminated(void **state)
{
	struct text text = TEXT_INIT;

	assert_string_equal(text.bytes, "");
	for (int i = 0; i < 1000; i++)
		text_printf(&text, "%d,", i);
	assert_int_equal(text.length, strlen(text.bytes));
	assert_memory_equal(text.bytes, "0,1,2,3,", 8);
	text_clear(&text);
	assert_string_equal(text.bytes, "");
	text_append(&text, "kept");
	char *taken = text_take(&text);
	assert_string_equal(taken, "kept");
	assert_string_equal(text.bytes, "");
	free(taken);
	taken = text_take(&text);
	assert_string_equal(taken, "");
	free(taken);
	text_deinit(&text);
}

static void assert_escaped(const char *untrusted, size_t count, const char *expected)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	text_append_untrusted(&text, untrusted, count);
	assert_string_equal(text.bytes, expected);
}

static void untrusted_text_cannot_drive_a_terminal(void **state)
{
	assert_escaped("main.naïve·世", sizeof("main.naïve·世") - 1, "main.naïve·世");
	assert_escaped("a\x1b[31mb\n\t\x7f", 10, "a\\x1b[31mb\\n\\t\\x7f");
	assert_escaped("\0", 1, "\\x00");
	assert_escaped("\xc2\x9b", 2, "\\xc2\\x9b");                   // CSI as a C1 character
	assert_escaped("\xc0\xaf", 2, "\\xc0\\xaf");                   // overlong
	assert_escaped("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");          // a surrogate
	assert_escaped("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"); // past U+10FFFF
	assert_escaped("\xe4\xb8", 2, "\\xe4\\xb8");                   // cut short
}

static void units_read_well(void **state)
{
	char buffer[24];

	assert_string_equal(format_bytes(buffer, sizeof(buffer), 0), "0 B");
	assert_string_equal(format_bytes(buffer, sizeof(buffer), 1023), "1023 B");
	assert_string_equal(format_bytes(buffer, sizeof(buffer), MIB - 1), "1.0 MiB");
	assert_string_equal(format_bytes(buffer, sizeof(buffer), UINT64_MAX), "16.0 EiB");
	assert_string_equal(format_count(buffer, sizeof(buffer), 999), "999");
	assert_string_equal(format_count(buffer, sizeof(buffer), 1234567), "1,234,567");
	assert_string_equal(format_duration(buffer, sizeof(buffer), 840), "840 ns");
	assert_string_equal(format_duration(buffer, sizeof(buffer), 2400000), "2.4 ms");
	assert_string_equal(
		format_duration(buffer, sizeof(buffer), UINT64_C(192000000000)), "3m12s");
	assert_string_equal(
		format_duration(buffer, sizeof(buffer), UINT64_C(525600000000000)), "6d02h");
}

static void bytes_are_parsed_strictly(void **state)
{
	uint64_t bytes = 7;

	assert_int_equal(parse_bytes("64", &bytes), 0);
	assert_int_equal(bytes, 64);
	assert_int_equal(parse_bytes("64K", &bytes), 0);
	assert_int_equal(bytes, 64 * KIB);
	assert_int_equal(parse_bytes("1.5MiB", &bytes), 0);
	assert_int_equal(bytes, MIB + MIB / 2);
	assert_int_equal(parse_bytes("2 GB", &bytes), 0);
	assert_int_equal(bytes, 2 * GIB);
	bytes = 7;
	static const char *const bad[] = {
		"", "K", "-1", "+1", "1x", "1KiBB", "1e400", "nan", "1 2"};
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(parse_bytes(bad[i], &bytes), -1);
	assert_int_equal(bytes, 7);
}

static void cancel_remembers_the_first_signal(void **state)
{
	assert_false(cancel_requested());
	assert_int_equal(cancel_signal(), 0);
	cancel_request(SIGINT);
	cancel_request(SIGTERM);
	assert_true(cancel_requested());
	assert_int_equal(cancel_signal(), SIGINT);
	struct error *err = error_cancelled();
	assert_int_equal(error_kind(err), ERROR_CANCELLED);
	error_destroy(err);
}

static void keep_line(void *context, const char *line)
{
	snprintf(context, 64, "%.60s", line);
}

static void remarks_go_to_the_sink(void **state)
{
	char seen[64] = "";

	log_remark("nobody %s", "listens");
	log_set_sink(keep_line, seen);
	log_remark("%d edges", 12);
	log_set_sink(NULL, NULL);
	log_remark("gone");
	assert_string_equal(seen, "12 edges");
}

static void keep_phase(void *context, const char *phase, uint64_t bytes)
{
	snprintf(context, 64, "%.40s %" PRIu64, phase, bytes);
}

static void progress_needs_nobody(void **state)
{
	char seen[64] = "";
	struct progress progress = {.show = keep_phase, .context = seen};

	progress_phase(NULL, "unseen", 0);
	progress_phase(&progress, "reading", 5);
	assert_string_equal(seen, "reading 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_carries_kind_and_message),
		cmocka_unit_test(error_without_memory_is_static),
		cmocka_unit_test(text_grows_and_is_terminated),
		cmocka_unit_test(untrusted_text_cannot_drive_a_terminal),
		cmocka_unit_test(units_read_well),
		cmocka_unit_test(bytes_are_parsed_strictly),
		cmocka_unit_test(cancel_remembers_the_first_signal),
		cmocka_unit_test(remarks_go_to_the_sink),
		cmocka_unit_test(progress_needs_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
