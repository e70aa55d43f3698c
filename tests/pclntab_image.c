// See pclntab_image.h.
#include "pclntab_image.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "target/image.h"

enum {
	LOCATION_NUMBERS = 20,
	IMAGE_BYTES = 0x800,
	ARGS_MAP = 0,
	LOCALS_MAP = 16,
	INLINE_TREE = 32
};

struct builder {
	uint8_t bytes[IMAGE_BYTES];
	size_t size;
};

static uint32_t put(struct builder *builder, const void *bytes, size_t size)
{
	size_t at = builder->size;

	memcpy(builder->bytes + at, bytes, size);
	builder->size += size;
	return (uint32_t)at;
}

static void put_u32(struct builder *builder, uint32_t value)
{
	put(builder, &value, sizeof(value));
}

static void align(struct builder *builder)
{
	builder->size = (builder->size + 15) & ~(size_t)15;
}

// A pc-value table that starts at byte `at` of the table of tables. `values` are {value, pc up to
// which it holds}.
static uint32_t put_values(
	struct builder *builder, uint32_t start, const int32_t (*values)[2], size_t count)
{
	int32_t value = -1, pc = 0;
	uint32_t offset = (uint32_t)builder->size - start;

	for (size_t i = 0; i < count; i++) {
		int32_t delta = values[i][0] - value;
		uint8_t pair[2] = {
			(uint8_t)(delta << 1 ^ delta >> 31), (uint8_t)(values[i][1] - pc)};
		put(builder, pair, sizeof(pair));
		value = values[i][0];
		pc = values[i][1];
	}
	put(builder, "", 1);
	return offset;
}

#define PUT_VALUES(builder, start, ...)                             \
	put_values(builder, start, (const int32_t[][2])__VA_ARGS__, \
		ARRAY_COUNT(((const int32_t[][2])__VA_ARGS__)))

// The offsets of the pieces that records refer to.
struct pieces {
	uint32_t outer, inner, innermost, goexit;       // names
	uint32_t frame, leaf, file, line, inlined, map; // pc-value tables
};

static void put_tail(
	struct builder *builder, bool go_1_20, int32_t start_line, uint8_t flag, uint8_t nfuncdata)
{
	uint8_t tail[4] = {0, flag, 0, nfuncdata};

	if (go_1_20)
		put_u32(builder, (uint32_t)start_line);
	put(builder, tail, sizeof(tail));
}

static void put_outer(struct builder *builder, bool go_1_20, const struct pieces *pieces)
{
	const uint32_t head[] = {
		0, pieces->outer, 8, 0x30, pieces->frame, pieces->file, pieces->line, 3, 0};
	const uint32_t data[] = {
		0, pieces->map, pieces->inlined, ARGS_MAP, LOCALS_MAP, UINT32_MAX, INLINE_TREE};

	put(builder, head, sizeof(head));
	put_tail(builder, go_1_20, 9, 0, 4);
	put(builder, data, sizeof(data));
}

static void put_goexit(struct builder *builder, bool go_1_20, const struct pieces *pieces)
{
	const uint32_t head[] = {
		0x40, pieces->goexit, 0, 0, pieces->leaf, pieces->file, pieces->line, 0, 0};

	put(builder, head, sizeof(head));
	put_tail(builder, go_1_20, 1, FUNC_FLAG_TOP_FRAME | FUNC_FLAG_ASM, 0);
}

static void put_inlined(
	struct builder *builder, bool go_1_20, int16_t parent, uint32_t name, uint32_t parent_pc)
{
	if (go_1_20) {
		const uint32_t call[] = {0, name, parent_pc, 1};
		put(builder, call, sizeof(call));
	} else {
		const uint32_t call[] = {(uint16_t)parent, 0, 0, name, parent_pc};
		put(builder, call, sizeof(call));
	}
}

uint8_t *pclntab_image(bool go_1_20, size_t *size)
{
	static const uint8_t args_map[16] = {2, 0, 0, 0, 1, 0, 0, 0, 1, 0};
	static const uint8_t locals_map[16] = {2, 0, 0, 0, 3, 0, 0, 0, 5, 2};
	struct builder builder = {.size = 0};
	struct pieces pieces;
	const uint32_t header[] = {go_1_20 ? 0xfffffff1 : 0xfffffff0, 0x08010000, 2, 0};
	uint32_t names, units, files, values, records, funcdata, second;

	put(&builder, header, sizeof(header));
	align(&builder);
	names = put(&builder, "", 1);
	pieces.outer = put(&builder, "main.outer", 11) - names;
	pieces.inner = put(&builder, "main.inner", 11) - names;
	pieces.innermost = put(&builder, "main.innermost", 15) - names;
	pieces.goexit = put(&builder, "runtime.goexit", 15) - names;
	align(&builder);
	units = (uint32_t)builder.size;
	put_u32(&builder, 0);
	put_u32(&builder, 8);
	align(&builder);
	files = put(&builder, "/main.go\0/in.go", 16);
	builder.bytes[units + 4] = 9;
	align(&builder);
	values = put(&builder, "", 1);
	pieces.frame = PUT_VALUES(&builder, values, {{0, 8}, {40, 0x40}});
	pieces.leaf = PUT_VALUES(&builder, values, {{0, 0x10}});
	pieces.file = PUT_VALUES(&builder, values, {{0, 0x10}, {1, 0x20}, {0, 0x40}});
	pieces.line =
		PUT_VALUES(&builder, values, {{10, 0x10}, {20, 0x18}, {30, 0x20}, {11, 0x40}});
	pieces.inlined =
		PUT_VALUES(&builder, values, {{-1, 0x10}, {0, 0x18}, {1, 0x20}, {-1, 0x40}});
	pieces.map = PUT_VALUES(&builder, values, {{-1, 8}, {0, 0x18}, {1, 0x40}});
	align(&builder);
	// The function table: {entry, record} twice, and the end of the text.
	records = (uint32_t)builder.size;
	put_u32(&builder, 0);
	put_u32(&builder, 32);
	put_u32(&builder, 0x40);
	put_u32(&builder, 0);
	put_u32(&builder, 0x50);
	align(&builder);
	put_outer(&builder, go_1_20, &pieces);
	align(&builder);
	second = (uint32_t)builder.size - records;
	memcpy(builder.bytes + records + 12, &second, sizeof(second));
	put_goexit(&builder, go_1_20, &pieces);
	align(&builder);
	funcdata = put(&builder, args_map, sizeof(args_map));
	put(&builder, locals_map, sizeof(locals_map));
	// The instruction at +0xc stands for the call of main.inner, the one at +0x14 for its call
	// of main.innermost.
	put_inlined(&builder, go_1_20, -1, pieces.inner, 0xc);
	put_inlined(&builder, go_1_20, 0, pieces.innermost, 0x14);
	align(&builder);

	const uint32_t text = (uint32_t)(PCLNTAB_IMAGE_TEXT - PCLNTAB_IMAGE_BASE);
	const uint32_t location[LOCATION_NUMBERS] = {0, text, text + 0x50, text, text + 0x50, names,
		units, files, values, records, records, units - names, files - units,
		values - files, records - values, funcdata - records, 3, funcdata, funcdata,
		(uint32_t)builder.size};
	uint8_t *bytes = malloc(sizeof(location) + builder.size);

	if (bytes) {
		memcpy(bytes, location, sizeof(location));
		memcpy(bytes + sizeof(location), builder.bytes, builder.size);
		*size = sizeof(location) + builder.size;
	}
	return bytes;
}

bool pclntab_image_open(const uint8_t *bytes, size_t size, struct target **target,
	struct pclntab_location *location)
{
	uint32_t numbers[LOCATION_NUMBERS];
	struct region region = {
		.start = PCLNTAB_IMAGE_BASE,
		.end = PCLNTAB_IMAGE_BASE + size - sizeof(numbers),
		.readable = true,
		.path = "[image]",
	};
	struct error *err;

	if (size <= sizeof(numbers))
		return false;
	memcpy(numbers, bytes, sizeof(numbers));
	err = image_create(target);
	if (!err) {
		err = image_add(*target, &region, bytes + sizeof(numbers));
		if (err)
			target_destroy(*target);
	}
	if (err) {
		error_destroy(err);
		return false;
	}
	*location = (struct pclntab_location){
		.header = PCLNTAB_IMAGE_BASE + numbers[0],
		.text = PCLNTAB_IMAGE_BASE + numbers[1],
		.etext = PCLNTAB_IMAGE_BASE + numbers[2],
		.min_pc = PCLNTAB_IMAGE_BASE + numbers[3],
		.max_pc = PCLNTAB_IMAGE_BASE + numbers[4],
		.funcnametab = PCLNTAB_IMAGE_BASE + numbers[5],
		.cutab = PCLNTAB_IMAGE_BASE + numbers[6],
		.filetab = PCLNTAB_IMAGE_BASE + numbers[7],
		.pctab = PCLNTAB_IMAGE_BASE + numbers[8],
		.pclntable = PCLNTAB_IMAGE_BASE + numbers[9],
		.ftab = PCLNTAB_IMAGE_BASE + numbers[10],
		.funcnametab_size = numbers[11],
		.cutab_size = numbers[12],
		.filetab_size = numbers[13],
		.pctab_size = numbers[14],
		.pclntable_size = numbers[15],
		.ftab_count = numbers[16],
		.gofunc = PCLNTAB_IMAGE_BASE + numbers[17],
		.rodata = PCLNTAB_IMAGE_BASE + numbers[18],
		.erodata = PCLNTAB_IMAGE_BASE + numbers[19],
	};
	return true;
}
