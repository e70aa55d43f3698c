// Packing reports. One table for each structure says which fields it has; packing and unpacking walk
// the tables. A field that is missing from its table is lost, so a structure that grows must be looked
// at here: the assertions see to that.
#include "output/report_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "output/clean.h"
#include "output/path_nodes.h"

enum field_kind {
	FIELD_U64,
	FIELD_U32, // and int
	FIELD_BOOL,
	FIELD_DOUBLE,
	FIELD_STRING,
	FIELD_CHARACTERS, // an array of them
	FIELD_STRUCT,
	FIELD_LIST,    // a pointer to structures, and how many there are
	FIELD_STRINGS, // a pointer to strings, and how many there are
};

struct field {
	enum field_kind kind;
	size_t offset, more; // more: the offset of a list's length, or how many characters
	const struct shape *shape;
};

struct shape {
	size_t size;
	unsigned count;
	const struct field *fields;
};

#define U64(structure, field)                                         \
	{                                                             \
		FIELD_U64, offsetof(struct structure, field), 0, NULL \
	}
#define U32(structure, field)                                         \
	{                                                             \
		FIELD_U32, offsetof(struct structure, field), 0, NULL \
	}
#define BOOL(structure, field)                                         \
	{                                                              \
		FIELD_BOOL, offsetof(struct structure, field), 0, NULL \
	}
#define DOUBLE(structure, field)                                         \
	{                                                                \
		FIELD_DOUBLE, offsetof(struct structure, field), 0, NULL \
	}
#define STRING(structure, field)                                         \
	{                                                                \
		FIELD_STRING, offsetof(struct structure, field), 0, NULL \
	}
#define CHARACTERS(structure, field)                                    \
	{                                                               \
		FIELD_CHARACTERS, offsetof(struct structure, field),    \
			sizeof(((struct structure *)NULL)->field), NULL \
	}
#define STRUCT(structure, field, shape)                                   \
	{                                                                 \
		FIELD_STRUCT, offsetof(struct structure, field), 0, shape \
	}
#define LIST(structure, field, length, shape)                                                      \
	{                                                                                          \
		FIELD_LIST, offsetof(struct structure, field), offsetof(struct structure, length), \
			shape                                                                      \
	}
#define STRINGS(structure, field, length)                         \
	{                                                         \
		FIELD_STRINGS, offsetof(struct structure, field), \
			offsetof(struct structure, length), NULL  \
	}

#define SHAPE(structure, bytes)                                                                  \
	static const struct shape structure##_shape = {sizeof(struct structure),                 \
		sizeof(structure##_fields) / sizeof(structure##_fields[0]), structure##_fields}; \
	_Static_assert(sizeof(struct structure) == (bytes),                                      \
		"struct " #structure " has changed: bring its table here up to date")

static const struct field agreement_fields[] = {
	BOOL(agreement, comparable),
	U64(agreement, marked),
	U64(agreement, reached),
	U64(agreement, missing),
	U64(agreement, extra),
	U64(agreement, impossible),
	CHARACTERS(agreement, why),
};
SHAPE(agreement, 248);

static const struct field report_account_fields[] = {
	STRING(report_account, name),
	U64(report_account, bytes),
};
SHAPE(report_account, 16);

static const struct field runtime_counters_fields[] = {
	BOOL(runtime_counters, heap_known),
	U64(runtime_counters, in_use),
	U64(runtime_counters, idle),
	U64(runtime_counters, released),
	BOOL(runtime_counters, others_known),
	U64(runtime_counters, spans),
	U64(runtime_counters, caches),
	U64(runtime_counters, profile),
	U64(runtime_counters, gc),
	U64(runtime_counters, other),
};
SHAPE(runtime_counters, 80);

static const struct field report_heap_fields[] = {
	U64(report_heap, live_bytes),
	U64(report_heap, live_objects),
	U64(report_heap, garbage_bytes),
	U64(report_heap, garbage_objects),
	U64(report_heap, typed_bytes),
	U64(report_heap, typed_objects),
	U64(report_heap, guessed_bytes),
	U64(report_heap, guessed_objects),
	U64(report_heap, free_slot_bytes),
	U64(report_heap, unswept_bytes),
	U64(report_heap, in_use_bytes),
	U64(report_heap, pinned_bytes),
	U64(report_heap, spare_bytes),
	U64(report_heap, slack_bytes),
	U64(report_heap, unjudged_bytes),
	U64(report_heap, edges),
};
SHAPE(report_heap, 128);

static const struct field report_type_fields[] = {
	STRING(report_type, name),
	U64(report_type, objects),
	U64(report_type, bytes),
	U64(report_type, retained_bytes),
	BOOL(report_type, guessed),
	BOOL(report_type, untyped),
};
SHAPE(report_type, 40);

static const struct field report_step_fields[] = {
	STRING(report_step, kind),
	STRING(report_step, name),
	STRING(report_step, type),
	U64(report_step, count),
	U64(report_step, bytes),
	BOOL(report_step, at_least),
	BOOL(report_step, internal),
};
SHAPE(report_step, 48);

static const struct field report_holder_fields[] = {
	STRING(report_holder, name),
	STRING(report_holder, kind),
	STRING(report_holder, type),
	BOOL(report_holder, name_exact),
	U64(report_holder, shared),
	STRINGS(report_holder, held_by, held_by_count),
	U64(report_holder, held_by_more),
	U64(report_holder, retained_bytes),
	U64(report_holder, objects),
	LIST(report_holder, path, path_count, &report_step_shape),
};
SHAPE(report_holder, 96);

static const struct field report_frame_fields[] = {
	STRING(report_frame, function),
	STRING(report_frame, file),
	U32(report_frame, line),
};
SHAPE(report_frame, 24);

static const struct field report_stack_fields[] = {
	LIST(report_stack, frames, count, &report_frame_shape),
	STRUCT(report_stack, created_by, &report_frame_shape),
};
SHAPE(report_stack, 40);

static const struct field report_goroutines_fields[] = {
	STRING(report_goroutines, state),
	U64(report_goroutines, count),
	U64(report_goroutines, retained_bytes),
	U64(report_goroutines, longest_wait_ns),
	U64(report_goroutines, first_id),
	BOOL(report_goroutines, system),
	STRUCT(report_goroutines, stack, &report_stack_shape),
};
SHAPE(report_goroutines, 88);

static const struct field path_node_fields[] = {
	STRING(path_node, kind),
	STRING(path_node, name),
	STRING(path_node, type),
	U64(path_node, address),
};
SHAPE(path_node, 32);

static const struct field report_finding_fields[] = {
	STRING(report_finding, rule),
	STRING(report_finding, account),
	U64(report_finding, bytes),
	U64(report_finding, objects),
	STRING(report_finding, type),
	BOOL(report_finding, proven),
	STRING(report_finding, what),
	STRING(report_finding, remedy),
	STRING(report_finding, condition),
	U64(report_finding, remedy_bytes),
	LIST(report_finding, path, path_count, &path_node_shape),
	LIST(report_finding, allocated_at, allocated_at_count, &report_frame_shape),
	STRUCT(report_finding, stack, &report_stack_shape),
	STRING(report_finding, state),
	U64(report_finding, longest_wait_ns),
};
SHAPE(report_finding, 168);

static const struct field report_timings_fields[] = {
	DOUBLE(report_timings, capture),
	DOUBLE(report_timings, read),
	DOUBLE(report_timings, graph),
	DOUBLE(report_timings, mark),
	DOUBLE(report_timings, typing),
	DOUBLE(report_timings, dominators),
	DOUBLE(report_timings, rules),
	DOUBLE(report_timings, total),
};
SHAPE(report_timings, 64);

static const struct field report_fields[] = {
	STRING(report, target_kind),
	U32(report, pid),
	STRING(report, exe),
	STRING(report, go_version),
	STRING(report, arch),
	BOOL(report, stripped),
	BOOL(report, pie),
	BOOL(report, debug_info),
	STRING(report, build_id),
	U64(report, run_id),
	U64(report, clock_ns),
	STRING(report, capture_method),
	STRING(report, capture_reason),
	U64(report, pause_ns),
	U64(report, threads),
	U64(report, goroutine_count),
	STRUCT(report, agreement, &agreement_shape),
	U64(report, resident_bytes),
	LIST(report, ledger, ledger_count, &report_account_shape),
	STRUCT(report, counters, &runtime_counters_shape),
	STRUCT(report, heap, &report_heap_shape),
	LIST(report, types, type_count, &report_type_shape),
	LIST(report, holders, holder_count, &report_holder_shape),
	U64(report, holders_left_out),
	LIST(report, goroutines, goroutines_count, &report_goroutines_shape),
	LIST(report, findings, finding_count, &report_finding_shape),
	U64(report, finding_bytes),
	U64(report, findings_left_out),
	STRING(report, notes),
	STRUCT(report, timings, &report_timings_shape),
	U64(report, peak_memory_bytes),
};
SHAPE(report, 864);

// Packing.

static void pack_number(struct text *out, uint64_t value)
{
	text_append_bytes(out, &value, sizeof(value));
}

static void pack_string(struct text *out, const char *string)
{
	size_t length = string ? strlen(string) : 0;

	pack_number(out, length);
	text_append_bytes(out, string ? string : "", length);
}

static void pack_struct(struct text *out, const struct shape *shape, const char *object);

static void pack_field(struct text *out, const struct field *field, const char *object)
{
	const char *at = object + field->offset;
	uint32_t count;

	switch (field->kind) {
	case FIELD_U64:
	case FIELD_DOUBLE:
		text_append_bytes(out, at, sizeof(uint64_t));
		return;
	case FIELD_U32:
		text_append_bytes(out, at, sizeof(uint32_t));
		return;
	case FIELD_BOOL:
		text_append_char(out, (char)*(const bool *)at);
		return;
	case FIELD_STRING:
		pack_string(out, *(const char *const *)at);
		return;
	case FIELD_CHARACTERS:
		pack_string(out, at);
		return;
	case FIELD_STRUCT:
		pack_struct(out, field->shape, at);
		return;
	case FIELD_LIST:
	case FIELD_STRINGS:
		memcpy(&count, object + field->more, sizeof(count));
		pack_number(out, count);
		for (uint32_t i = 0; i < count; i++) {
			if (field->kind == FIELD_LIST)
				pack_struct(out, field->shape,
					*(const char *const *)at + i * field->shape->size);
			else
				pack_string(out, (*(const char *const *const *)at)[i]);
		}
		return;
	}
}

// As deep as the tables are: lists of lists of frames.
static void pack_struct(struct text *out, const struct shape *shape, const char *object)
{
	for (unsigned i = 0; i < shape->count; i++)
		pack_field(out, &shape->fields[i], object);
}

void report_pack(const struct report *report, struct text *out)
{
	pack_struct(out, &report_shape, (const char *)report);
}

// Unpacking. Every length is compared with what is left before memory is taken for it.

struct unpacking {
	const uint8_t *at, *end;
	struct hw_arena *arena;
	bool wrong, failed; // makes no sense; out of memory
};

static void take(struct unpacking *from, void *to, size_t size)
{
	if ((size_t)(from->end - from->at) < size) {
		from->wrong = true;
		memset(to, 0, size);
		return;
	}
	memcpy(to, from->at, size);
	from->at += size;
}

// How many things of at least one byte follow.
static uint64_t take_count(struct unpacking *from)
{
	uint64_t count;

	take(from, &count, sizeof(count));
	if (count <= (uint64_t)(from->end - from->at) && count <= UINT32_MAX)
		return count;
	from->wrong = true;
	return 0;
}

// A time in milliseconds, of a century at most: readers turn it into whole nanoseconds.
static void take_double(struct unpacking *from, double *to)
{
	static const double most = 3.2e12;

	take(from, to, sizeof(*to));
	if (*to >= 0 && *to <= most)
		return;
	*to = 0;
	from->wrong = true;
}

// Clean whatever the file says: it may come from anywhere.
static const char *take_string(struct unpacking *from)
{
	uint64_t length = take_count(from);
	_cleanup_text_ struct text clean = TEXT_INIT;

	text_append_untrusted(&clean, from->at, length);
	from->at += length;
	const char *string =
		clean.failed ? NULL : hw_arena_strndup(from->arena, clean.bytes, clean.length);
	from->failed |= !string;
	return string ? string : "";
}

static void take_struct(struct unpacking *from, const struct shape *shape, char *object);

static void take_list(struct unpacking *from, const struct field *field, char *object)
{
	uint32_t count = (uint32_t)take_count(from);
	unsigned least = field->kind == FIELD_LIST ? field->shape->count : sizeof(uint64_t);
	size_t size = field->kind == FIELD_LIST ? field->shape->size : sizeof(char *);

	// A field takes a byte at least.
	if (count > (uint64_t)(from->end - from->at) / least) {
		from->wrong = true;
		return;
	}
	char *items = hw_arena_calloc(from->arena, count ? count : 1, size);
	if (!items) {
		from->failed = true;
		return;
	}
	*(void **)(object + field->offset) = items;
	memcpy(object + field->more, &count, sizeof(count));
	for (uint32_t i = 0; i < count && !from->failed && !from->wrong; i++) {
		if (field->kind == FIELD_LIST)
			take_struct(from, field->shape, items + i * size);
		else
			((const char **)items)[i] = take_string(from);
	}
}

static void take_field(struct unpacking *from, const struct field *field, char *object)
{
	char *at = object + field->offset;
	uint8_t byte;

	switch (field->kind) {
	case FIELD_U64:
		take(from, at, sizeof(uint64_t));
		return;
	case FIELD_DOUBLE:
		take_double(from, (double *)at);
		return;
	case FIELD_U32:
		take(from, at, sizeof(uint32_t));
		return;
	case FIELD_BOOL:
		take(from, &byte, sizeof(byte));
		*(bool *)at = byte != 0;
		return;
	case FIELD_STRING:
		*(const char **)at = take_string(from);
		return;
	case FIELD_CHARACTERS:
		strncpy(at, take_string(from), field->more - 1);
		return;
	case FIELD_STRUCT:
		take_struct(from, field->shape, at);
		return;
	case FIELD_LIST:
	case FIELD_STRINGS:
		take_list(from, field, object);
		return;
	}
}

static void take_struct(struct unpacking *from, const struct shape *shape, char *object)
{
	for (unsigned i = 0; i < shape->count; i++)
		take_field(from, &shape->fields[i], object);
}

// Readers show accounts as parts of the whole.
static bool accounts_add_up(const struct report *report)
{
	uint64_t left = report->resident_bytes;

	for (uint32_t i = 0; i < report->ledger_count; i++) {
		if (report->ledger[i].bytes > left)
			return false;
		left -= report->ledger[i].bytes;
	}
	return !report->ledger_count || !left;
}

struct error *report_unpack(const void *bytes, size_t size, struct report **out)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return error_no_memory();
	hw_arena_init(&report->arena, 0);
	struct unpacking from = {
		bytes, (const uint8_t *)bytes + size, &report->arena, false, false};
	take_struct(&from, &report_shape, (char *)report);
	if (!from.wrong && !from.failed && from.at == from.end && accounts_add_up(report)) {
		*out = report;
		return NULL;
	}
	report_destroy(report);
	return from.failed ? error_no_memory()
			   : error_create(ERROR_TARGET,
				     "the snapshot is damaged: its report makes no sense");
}
