// How a report looks: a hand-made one against the files in tests/golden. After a wanted change,
// write them anew with
//
//	HEAPWHY_UPDATE_GOLDEN=1 meson test -C build report
//
// and look at the difference before committing it.
#include "test.h"

#include <locale.h>

#include "output/names.h"
#include "output/path_nodes.h"
#include "output/report_json.h"
#include "output/report_text.h"
#include "output/table.h"

#define MB(n) ((uint64_t)(n) << 20)

static struct report_step cache_path[] = {
	{.kind = "global",
		.name = "main.cache",
		.type = "map[string]*main.session",
		.count = 1,
		.bytes = MB(640)},
	{.kind = "object",
		.name = "",
		.type = "[]map.group[string]*main.session",
		.internal = true,
		.count = 1171,
		.bytes = MB(639)},
	{.kind = "object",
		.name = "value",
		.type = "*main.session",
		.count = 8192,
		.bytes = MB(602)},
	{.kind = "object",
		.name = ".body",
		.type = "[]uint8",
		.count = 8192,
		.bytes = MB(598),
		.at_least = true},
};

static struct report_step worker_path[] = {
	{.kind = "goroutine",
		.name = "goroutines in main.worker",
		.type = "",
		.count = 1000,
		.bytes = MB(64)},
	{.kind = "object", .name = "job", .type = "*main.job", .count = 1000, .bytes = MB(60)},
};

static struct report_step shared_path[] = {
	{.kind = "object", .name = "", .type = "tsdb.Head", .count = 40, .bytes = MB(2)},
	{.kind = "object", .name = ".series", .type = "[]uint8", .count = 40, .bytes = MB(1)},
};

static struct report_holder holders[] = {
	{.name = "main.cache",
		.kind = "global",
		.type = "map[string]*main.session",
		.name_exact = true,
		.retained_bytes = MB(640),
		.objects = 1200000,
		.path = cache_path,
		.path_count = ARRAY_COUNT(cache_path)},
	{.name = "1,000 goroutines in main.worker",
		.kind = "goroutine",
		.type = "",
		.name_exact = true,
		.retained_bytes = MB(64),
		.objects = 5000,
		.path = worker_path,
		.path_count = ARRAY_COUNT(worker_path)},
	{.name = "global used by "
		 "github.com/prometheus/prometheus/tsdb/chunkenc.(*XORChunk).Appender",
		.kind = "global",
		.type = "*github.com/prometheus/prometheus/tsdb/index.MemPostings",
		.retained_bytes = 70000,
		.objects = 12},
	{
		.name = "40 shared tsdb.Head",
		.kind = "other",
		.type = "tsdb.Head",
		.name_exact = true,
		.retained_bytes = MB(2),
		.objects = 400,
		.shared = 40,
		.held_by = (const char *[]){"goroutine 1 in main.main", "main.database"},
		.held_by_count = 2,
		.held_by_more = 7,
		.path = shared_path,
		.path_count = ARRAY_COUNT(shared_path),
	},
	{.name = "finalizers",
		.kind = "finalizer",
		.type = "",
		.name_exact = true,
		.retained_bytes = 0},
};

static struct report_type types[] = {
	{.name = "[]uint8", .objects = 8300, .bytes = MB(600), .retained_bytes = MB(600)},
	{.name = "main.session", .objects = 8192, .bytes = MB(4), .retained_bytes = MB(602)},
	{.name = "sync/atomic.Pointer[github.com/example/deep/path/of.Entry]",
		.objects = 3,
		.bytes = 96,
		.retained_bytes = 96,
		.guessed = true},
	{.name = "untyped 64 B", .objects = 1, .bytes = 64, .retained_bytes = 64, .untyped = true},
};

static struct report_frame worker_stack[] = {
	{"runtime.gopark", "/usr/lib/go/src/runtime/proc.go", 425},
	{"runtime.chansend1", "/usr/lib/go/src/runtime/chan.go", 157},
	{"main.worker", "/src/shop/worker.go", 41},
};

static struct report_frame main_stack[] = {
	{"runtime.gopark", "/usr/lib/go/src/runtime/proc.go", 425},
	{"main.main", "", 0},
};

static struct report_goroutines goroutines[] = {
	{.state = "chan send",
		.count = 1000,
		.retained_bytes = MB(64),
		.longest_wait_ns = UINT64_C(11100000000000),
		.first_id = 18,
		.stack = {.frames = worker_stack,
			.count = ARRAY_COUNT(worker_stack),
			.created_by = {"main.main", "/src/shop/main.go", 17}}},
	{.state = "sleep",
		.count = 1,
		.retained_bytes = 4096,
		.first_id = 1,
		.stack = {.frames = main_stack,
			.count = ARRAY_COUNT(main_stack),
			.created_by = {"", "", 0}}},
	{.state = "GC worker (idle)",
		.count = 4,
		.first_id = 5,
		.system = true,
		.stack = {.created_by = {"runtime.gcBgMarkStartWorkers", "", 0}}},
};

static struct path_node cache_value_path[] = {
	{"global", "main.cache", "map[string]*main.session", 0x5a1000},
	{"object", "value", "*main.session", 0xc000100000},
	{"object", ".body", "[]uint8", 0xc000200000},
};

static struct report_frame body_stack[] = {
	{"io.ReadAll", "/usr/lib/go/src/io/io.go", 709},
	{"main.readBody", "/src/shop/server.go", 41},
};

static struct report_finding findings[] = {
	{.rule = "subslice-pin",
		.account = "pinned",
		.bytes = MB(590),
		.objects = 8192,
		.type = "[]uint8",
		.proven = true,
		.what = "8,192 slices see 40.0 KiB of arrays that take 590.0 MiB",
		.remedy = "copy what is needed with bytes.Clone",
		.condition = "",
		.remedy_bytes = MB(590),
		.path = cache_value_path,
		.path_count = ARRAY_COUNT(cache_value_path),
		.allocated_at = body_stack,
		.allocated_at_count = ARRAY_COUNT(body_stack),
		.state = "",
		.stack = {.created_by = {"", "", 0}}},
	{.rule = "goroutine-pileup",
		.account = "stacks",
		.bytes = MB(64),
		.objects = 1000,
		.type = "",
		.what = "1,000 goroutines have waited in main.worker (chan send), the longest for "
			"3h05m",
		.remedy = "find out why nobody receives",
		.condition = "",
		.remedy_bytes = MB(60),
		.state = "chan send",
		.longest_wait_ns = UINT64_C(11100000000000),
		.stack = {.frames = worker_stack,
			.count = ARRAY_COUNT(worker_stack),
			.created_by = {"main.main", "/src/shop/main.go", 17}}},
};

static struct report_account ledger[] = {
	{"viewed", MB(812)},
	{"garbage", MB(210)},
	{"free slots", MB(90)},
	{"idle spans", MB(100)},
	{"stacks", MB(8)},
	{"other mappings", MB(230)},
};

static const struct report sample = {
	.target_kind = "process",
	.pid = 4711,
	.exe = "/opt/shop/bin/shop",
	.go_version = "go1.26.11",
	.arch = "amd64",
	.stripped = false,
	.pie = true,
	.debug_info = true,
	.build_id = "0123abcd",
	.capture_method = "fork",
	.capture_reason = "",
	.pause_ns = 2400000,
	.threads = 8,
	.goroutine_count = 1005,
	.agreement = {.comparable = true, .marked = 1234567, .reached = 1234567},
	.resident_bytes = MB(1450),
	.ledger = ledger,
	.ledger_count = ARRAY_COUNT(ledger),
	.heap = {.live_bytes = MB(812),
		.live_objects = 1234567,
		.garbage_bytes = MB(210),
		.garbage_objects = 99,
		.typed_bytes = MB(810),
		.typed_objects = 1234000,
		.guessed_bytes = MB(1),
		.guessed_objects = 500,
		.free_slot_bytes = MB(90),
		.edges = 2345678},
	.types = types,
	.type_count = ARRAY_COUNT(types),
	.holders = holders,
	.holder_count = ARRAY_COUNT(holders),
	.findings = findings,
	.finding_count = ARRAY_COUNT(findings),
	.finding_bytes = MB(654),
	.goroutines = goroutines,
	.goroutines_count = ARRAY_COUNT(goroutines),
	.notes = "",
	.timings = {.capture = 6.25,
		.read = 12,
		.graph = 400.5,
		.mark = 80,
		.typing = 300,
		.dominators = 170,
		.total = 890},
	.peak_memory_bytes = MB(120),
};

static char *read_file(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	static char bytes[1 << 16];
	size_t length = file ? fread(bytes, 1, sizeof(bytes) - 1, file) : 0;

	bytes[length] = '\0';
	return bytes;
}

static void assert_golden(const char *name, const struct text *text)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", GOLDEN_DIRECTORY, name) > 0);
	if (getenv("HEAPWHY_UPDATE_GOLDEN")) {
		_cleanup_fclose_ FILE *file = fopen(path, "we");
		assert_non_null(file);
		fputs(text->bytes, file);
	} else {
		assert_string_equal(text->bytes, read_file(path));
	}
}

static void text_looks_as_agreed(void **state)
{
	static const struct {
		const char *name;
		struct style style;
	} cases[] = {
		{"report-100.txt", {.width = 100, .utf8 = true, .top = 10}},
		{"report-160.txt", {.width = 160, .utf8 = true, .top = 10}},
		{"report-ascii-70.txt", {.width = 70, .top = 2}},
		{"report-color.txt", {.width = 100, .utf8 = true, .color = true, .top = 10}},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		_cleanup_text_ struct text text = TEXT_INIT;
		assert_success(report_text(&sample, &cases[i].style, &text));
		assert_golden(cases[i].name, &text);
	}
}

// The words that matter when something is wrong.
static void text_admits_what_it_does_not_know(void **state)
{
	struct report report = sample;
	struct style style = {.width = 100, .utf8 = true, .top = 10};
	_cleanup_text_ struct text text = TEXT_INIT;

	report.agreement =
		(struct agreement){.comparable = false, .why = "a collection is running"};
	report.holder_count = report.type_count = report.goroutines_count = 0;
	report.finding_count = 0;
	report.finding_bytes = 0;
	report.resident_bytes = 0;
	report.ledger_count = 0;
	report.heap = (struct report_heap){0};
	report.capture_method = "stop";
	report.capture_reason = "a seccomp filter is in force";
	report.notes = "no cross-check by decoding was possible";
	assert_success(report_text(&report, &style, &text));
	assert_golden("report-empty.txt", &text);
}

// When nobody in particular is the largest holder, it is said who holds it together.
static void text_names_those_who_share(void **state)
{
	struct report report = sample;
	struct style style = {.width = 100, .utf8 = true, .top = 10};
	_cleanup_text_ struct text text = TEXT_INIT;

	report.holders = holders + 3;
	report.holder_count = 1;
	assert_success(report_text(&report, &style, &text));
	assert_golden("report-shared.txt", &text);
}

static void json_is_schema_1(void **state)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	assert_success(report_json(&sample, &text));
	assert_golden("report.json", &text);
}

// No line is wider than it may be, whatever the width.
static void text_keeps_to_its_width(void **state)
{
	for (unsigned width = STYLE_NARROWEST; width <= STYLE_WIDEST; width++) {
		_cleanup_text_ struct text text = TEXT_INIT;
		struct style style = {.width = width, .utf8 = width % 2, .top = 10};
		assert_success(report_text(&sample, &style, &text));
		unsigned number = 0;
		for (char *line = text.bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			number++;
			if (display_width(line) > width)
				fail_msg("width %u, line %u: \"%s\"", width, number, line);
		}
	}
}

static void assert_plain(const char *name, const char *expected)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	name_append_plain(&text, name);
	assert_string_equal(text.bytes, expected);
}

static void names_lose_their_directories(void **state)
{
	assert_plain("main.worker", "main.worker");
	assert_plain("github.com/a/b/tsdb.(*Head).add.func1", "tsdb.(*Head).add.func1");
	assert_plain("map[github.com/a/b.Key]*c/d.Value", "map[b.Key]*d.Value");
	assert_plain("x/y.List[int,a/b.T]", "y.List[int,b.T]");
	assert_plain("func(net/http.ResponseWriter, *net/http.Request)",
		"func(http.ResponseWriter, *http.Request)");
	assert_plain("[]go.shape.7ef79b8109ca7a73e057574e4a0af0be1984d8606fab799593577d67d88dffe0",
		"[]go.shape.7ef79b81");
	assert_plain("", "");
	assert_plain("/", "");
}

static void assert_cut(const char *string, unsigned width, bool utf8, const char *expected)
{
	_cleanup_text_ struct text text = TEXT_INIT;
	struct style style = {.utf8 = utf8};

	name_append_cut(&text, string, width, &style);
	assert_string_equal(text.bytes, expected);
	assert_true(display_width(text.bytes) <= width);
}

static void names_are_cut_in_the_middle(void **state)
{
	assert_cut("main.worker", 11, true, "main.worker");
	assert_cut("main.worker", 10, true, "mai…worker");
	assert_cut("main.worker", 10, false, "ma...orker");
	assert_cut("main.worker", 2, true, "ma");
	assert_cut("main.worker", 0, true, "");
	assert_cut("世界世界世界", 7, true, "世…世界");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_looks_as_agreed),
		cmocka_unit_test(text_admits_what_it_does_not_know),
		cmocka_unit_test(text_names_those_who_share),
		cmocka_unit_test(json_is_schema_1),
		cmocka_unit_test(text_keeps_to_its_width),
		cmocka_unit_test(names_lose_their_directories),
		cmocka_unit_test(names_are_cut_in_the_middle),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
