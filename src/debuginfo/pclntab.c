// Decoding Go's pclntab: the linker writes it (cmd/link/internal/ld/pcln.go), runtime/symtab.go
// reads it.
//
// The tables are views onto the target's bytes. Every offset in them is checked at the moment it is
// followed, so a damaged table costs answers, never memory safety; a loop over the tables consumes
// bytes of them or has a bound.
#include "debuginfo/pclntab.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "heapwhy/map.h"

enum {
	MAGIC_GO_1_18 = 0xfffffff0, // to 1.19
	MAGIC_GO_1_20 = 0xfffffff1,
	HEADER_BYTES = 16,
};

// No table of a real program comes near: the largest binaries have some hundreds of megabytes of
// them.
static const uint64_t TABLE_BYTES_MAX = UINT64_C(1) << 31;

// runtime._func, what the formats have in common, and how much longer the newer one is.
enum {
	FUNC_ENTRY = 0,
	FUNC_NAME = 4,
	FUNC_ARGS = 8,
	FUNC_DEFERRETURN = 12,
	FUNC_PCSP = 16,
	FUNC_PCFILE = 20,
	FUNC_PCLN = 24,
	FUNC_NPCDATA = 28,
	FUNC_CU = 32,
	FUNC_TAIL_GO_1_18 = 36, // funcID, flag, padding, nfuncdata
	FUNC_START_LINE = 36,   // 1.20 on
	FUNC_TAIL_GO_1_20 = 40,
	FUNC_TAIL_BYTES = 4,
};

// runtime.inlinedCall: {parent int16, funcID, _, file, line, func_, parentPc int32} to 1.19
// (runtime/symtab.go), and {funcID, [3]_, nameOff, parentPc, startLine int32} from 1.20 on
// (runtime/symtabinl.go). The positions of inlined calls come from the function's own line table in
// both, so only two of the fields matter.
struct inline_layout {
	uint8_t size, name, parent_pc;
};
static const struct inline_layout INLINE_GO_1_18 = {20, 12, 16};
static const struct inline_layout INLINE_GO_1_20 = {16, 4, 8};

struct bytes {
	const uint8_t *start;
	uint64_t size;
};

struct pclntab {
	struct pclntab_location at;
	struct bytes names, units, files, values, records, functions, funcdata;
	uint32_t function_count;
	uint32_t tail; // offset of {funcID, flag, _, nfuncdata} in a function's record
	uint32_t quantum;
	const struct inline_layout *inlined;
	struct hw_map *by_name; // FNV-1a of the name -> first index; NULL until asked for
};

static uint32_t load_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static bool bytes_hold(const struct bytes *bytes, uint64_t offset, uint64_t size)
{
	return offset <= bytes->size && size <= bytes->size - offset;
}

// Shortens a table of strings to end with a NUL: any offset inside then starts a terminated string.
static void bytes_trim_to_nul(struct bytes *bytes)
{
	while (bytes->size && bytes->start[bytes->size - 1])
		bytes->size--;
}

static struct error *bytes_map(struct target *target, const char *what, remote_addr address,
	uint64_t size, struct bytes *out)
{
	const void *start;
	struct error *err;

	if (!size) {
		*out = (struct bytes){NULL, 0};
		return NULL;
	}
	if (size > TABLE_BYTES_MAX || address > UINT64_MAX - size)
		return error_create(ERROR_TARGET, "pclntab: %s has an impossible size", what);
	err = target_map(target, address, size, &start);
	if (err)
		return error_wrap(err, "pclntab: %s", what);
	*out = (struct bytes){start, size};
	return NULL;
}

static struct error *pclntab_choose_format(struct pclntab *table, struct target *target)
{
	uint8_t header[HEADER_BYTES];
	struct error *err;

	err = target_read(target, table->at.header, header, sizeof(header));
	if (err)
		return error_wrap(err, "pclntab: header");
	if (header[4] || header[5] || !header[6] || header[6] > 4 || header[7] != 8)
		return error_create(ERROR_TARGET, "pclntab: the header is damaged");
	switch (load_u32(header)) {
	case MAGIC_GO_1_18:
		table->tail = FUNC_TAIL_GO_1_18;
		table->inlined = &INLINE_GO_1_18;
		break;
	case MAGIC_GO_1_20:
		table->tail = FUNC_TAIL_GO_1_20;
		table->inlined = &INLINE_GO_1_20;
		break;
	default:
		return error_create(ERROR_TARGET, "pclntab: unknown format %#x", load_u32(header));
	}
	table->quantum = header[6];
	return NULL;
}

// Funcdata has no length of its own: it ends at the latest with the mapping it lies in. It is in
// .rodata up to 1.25 and beside the pclntab from 1.26 on (moduledata.gofunc,
// cmd/link/internal/ld/symtab.go).
static remote_addr pclntab_funcdata_end(const struct pclntab *table, struct target *target)
{
	const struct pclntab_location *at = &table->at;
	const struct region *region;

	if (at->rodata <= at->gofunc && at->gofunc < at->erodata)
		return at->erodata;
	region = target_region(target, at->gofunc);
	return region ? region->end : at->gofunc;
}

static struct error *pclntab_map(struct pclntab *table, struct target *target)
{
	const struct pclntab_location *at = &table->at;
	const struct {
		const char *what;
		remote_addr address;
		uint64_t size;
		struct bytes *out;
	} pieces[] = {
		{"function names", at->funcnametab, at->funcnametab_size, &table->names},
		{"compilation units", at->cutab, at->cutab_size, &table->units},
		{"file names", at->filetab, at->filetab_size, &table->files},
		{"pc-value tables", at->pctab, at->pctab_size, &table->values},
		{"function records", at->pclntable, at->pclntable_size, &table->records},
		// The last entry is the end of the last function and has no record.
		{"function table", at->ftab, at->ftab_count * 8 - 4, &table->functions},
		{"funcdata", at->gofunc, pclntab_funcdata_end(table, target) - at->gofunc,
			&table->funcdata},
	};

	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		struct error *err = bytes_map(
			target, pieces[i].what, pieces[i].address, pieces[i].size, pieces[i].out);
		if (err)
			return err;
	}
	bytes_trim_to_nul(&table->names);
	bytes_trim_to_nul(&table->files);
	return NULL;
}

struct error *pclntab_create(
	struct target *target, const struct pclntab_location *location, struct pclntab **out)
{
	struct pclntab *table;
	struct error *err;

	if (location->ftab_count < 2 || location->ftab_count > TABLE_BYTES_MAX / 8 ||
		location->min_pc < location->text || location->max_pc <= location->min_pc ||
		location->max_pc - location->text > UINT32_MAX)
		return error_create(ERROR_TARGET, "pclntab: the table of functions is damaged");
	table = calloc(1, sizeof(*table));
	if (!table)
		return error_no_memory();
	table->at = *location;
	table->function_count = (uint32_t)(location->ftab_count - 1);
	err = pclntab_choose_format(table, target);
	if (!err)
		err = pclntab_map(table, target);
	if (err) {
		pclntab_destroy(table);
		return err;
	}
	*out = table;
	return NULL;
}

void pclntab_destroy(struct pclntab *table)
{
	if (!table)
		return;
	if (table->by_name) {
		hw_map_deinit(table->by_name);
		free(table->by_name);
	}
	free(table);
}

uint32_t pclntab_count(const struct pclntab *table)
{
	return table->function_count;
}

static const char *pclntab_name(const struct pclntab *table, uint32_t offset)
{
	return offset < table->names.size ? (const char *)table->names.start + offset : NULL;
}

// The text offset of function `index`; of the end of the last one when `index` is the count.
static uint32_t ftab_entry(const struct pclntab *table, uint32_t index)
{
	return load_u32(table->functions.start + 8 * (uint64_t)index);
}

bool pclntab_function(const struct pclntab *table, uint32_t index, struct pcln_function *out)
{
	const uint8_t *record, *tail;
	uint32_t entry, end, offset, npcdata;
	const char *name;

	if (index >= table->function_count)
		return false;
	entry = ftab_entry(table, index);
	end = ftab_entry(table, index + 1);
	offset = load_u32(table->functions.start + 8 * (uint64_t)index + 4);
	if (end <= entry || !bytes_hold(&table->records, offset, table->tail + FUNC_TAIL_BYTES))
		return false;
	record = table->records.start + offset;
	tail = record + table->tail;
	npcdata = load_u32(record + FUNC_NPCDATA);
	if (!bytes_hold(&table->records, (uint64_t)offset + table->tail + FUNC_TAIL_BYTES,
		    4 * ((uint64_t)npcdata + tail[3])))
		return false;
	name = pclntab_name(table, load_u32(record + FUNC_NAME));
	if (!name || load_u32(record + FUNC_ENTRY) != entry)
		return false;

	*out = (struct pcln_function){
		.index = index,
		.entry = table->at.text + entry,
		.end = table->at.text + end,
		.name = name,
		.args = (int32_t)load_u32(record + FUNC_ARGS),
		.deferreturn = load_u32(record + FUNC_DEFERRETURN),
		.pcsp = load_u32(record + FUNC_PCSP),
		.pcfile = load_u32(record + FUNC_PCFILE),
		.pcln = load_u32(record + FUNC_PCLN),
		.npcdata = npcdata,
		.cu_offset = load_u32(record + FUNC_CU),
		.start_line = table->tail == FUNC_TAIL_GO_1_20
				      ? (int32_t)load_u32(record + FUNC_START_LINE)
				      : 0,
		.func_id = tail[0],
		.flag = tail[1],
		.nfuncdata = tail[3],
		.record = offset,
	};
	return true;
}

bool pclntab_find(const struct pclntab *table, remote_addr pc, struct pcln_function *out)
{
	if (pc < table->at.min_pc || pc >= table->at.max_pc)
		return false;
	uint32_t offset = (uint32_t)(pc - table->at.text);
	// Behind the last function's entry is its end.
	uint32_t next = (uint32_t)FIRST_WHERE(
		i, table->function_count, ftab_entry(table, (uint32_t)i) > offset);
	return next && offset < ftab_entry(table, next) && pclntab_function(table, next - 1, out);
}

static uint64_t name_hash(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return hash;
}

// The index only speeds things up: without memory for it there is none, and the search is linear.
static void pclntab_index_names(struct pclntab *table)
{
	struct hw_map *map = malloc(sizeof(*map));

	if (!map)
		return;
	hw_map_init(map);
	for (uint32_t i = 0; i < table->function_count; i++) {
		struct pcln_function function;
		if (pclntab_function(table, i, &function) &&
			!hw_map_at(map, name_hash(function.name), i)) {
			hw_map_deinit(map);
			free(map);
			return;
		}
	}
	table->by_name = map;
}

bool pclntab_find_name(struct pclntab *table, const char *name, struct pcln_function *out)
{
	struct pcln_function function;
	uint64_t index;

	if (!table->by_name)
		pclntab_index_names(table);
	if (table->by_name) {
		if (!hw_map_get(table->by_name, name_hash(name), &index))
			return false;
		// Not the name we look for: a hash collision. Real tables have none, damaged ones
		// may.
		if (pclntab_function(table, (uint32_t)index, &function) &&
			!strcmp(function.name, name)) {
			*out = function;
			return true;
		}
	}
	for (uint32_t i = 0; i < table->function_count; i++) {
		if (pclntab_function(table, i, &function) && !strcmp(function.name, name)) {
			*out = function;
			return true;
		}
	}
	return false;
}

// Little-endian base-128 number at *at, which moves on; false at the table's end. More than 32 bits
// wrap as in Go.
static bool read_varint(const uint8_t **at, const uint8_t *end, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned shift = 0; *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		if (shift < 32)
			value |= (uint32_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = value;
			return true;
		}
	}
	return false;
}

// runtime.pcvalue and runtime.step (symtab.go): pairs of a zigzag delta of the value and a delta of
// the pc up to which that value holds. A zero delta of the value ends the table, except in the
// first pair.
bool pclntab_value(const struct pclntab *table, uint32_t offset,
	const struct pcln_function *function, remote_addr pc, int32_t *value)
{
	const uint8_t *at, *end = table->values.start + table->values.size;
	remote_addr until = function->entry;
	uint32_t current = UINT32_MAX; // -1
	bool first = true;

	if (!offset || offset >= table->values.size)
		return false;
	for (at = table->values.start + offset; first || *at; first = false) {
		uint32_t value_delta, pc_delta;
		if (!read_varint(&at, end, &value_delta) || !read_varint(&at, end, &pc_delta))
			return false;
		current += (value_delta >> 1) ^ -(value_delta & 1);
		until += (uint64_t)pc_delta * table->quantum;
		if (pc < until) {
			*value = (int32_t)current;
			return true;
		}
		if (at == end)
			return false;
	}
	return false;
}

static uint32_t pclntab_tail_word(
	const struct pclntab *table, const struct pcln_function *function, uint64_t index)
{
	return load_u32(table->records.start + function->record + table->tail + FUNC_TAIL_BYTES +
			4 * index);
}

int32_t pclntab_data(const struct pclntab *table, const struct pcln_function *function,
	enum pcln_data kind, remote_addr pc)
{
	int32_t value;

	if ((uint32_t)kind >= function->npcdata ||
		!pclntab_value(
			table, pclntab_tail_word(table, function, kind), function, pc, &value))
		return -1;
	return value;
}

remote_addr pclntab_funcdata(
	const struct pclntab *table, const struct pcln_function *function, enum pcln_funcdata kind)
{
	uint32_t offset;

	if ((uint32_t)kind >= function->nfuncdata)
		return 0;
	offset = pclntab_tail_word(table, function, (uint64_t)function->npcdata + kind);
	return offset < table->funcdata.size ? table->at.gofunc + offset : 0;
}

const void *pclntab_funcdata_bytes(const struct pclntab *table, remote_addr address, uint64_t size)
{
	if (address < table->at.gofunc ||
		!bytes_hold(&table->funcdata, address - table->at.gofunc, size))
		return NULL;
	return table->funcdata.start + (address - table->at.gofunc);
}

int32_t pclntab_frame_size(
	const struct pclntab *table, const struct pcln_function *function, remote_addr pc)
{
	int32_t size;

	if (!pclntab_value(table, function->pcsp, function, pc, &size) || size < 0 || size % 8)
		return -1;
	return size;
}

// runtime.funcline1 and funcfile (symtab.go).
static void pclntab_line(const struct pclntab *table, const struct pcln_function *function,
	remote_addr pc, struct pcln_position *out)
{
	int32_t file, line;
	uint64_t unit;

	out->file = "";
	out->line = 0;
	if (!pclntab_value(table, function->pcfile, function, pc, &file) ||
		!pclntab_value(table, function->pcln, function, pc, &line) || file < 0 || line < 0)
		return;
	out->line = line;
	unit = 4 * ((uint64_t)function->cu_offset + (uint32_t)file);
	if (bytes_hold(&table->units, unit, 4)) {
		uint32_t offset = load_u32(table->units.start + unit);
		if (offset < table->files.size)
			out->file = (const char *)table->files.start + offset;
	}
}

// runtime.inlineUnwinder (symtabinl.go), and what traceback.go did in its place up to 1.20: the
// record of the inlined call at `pc` says which instruction of the function stands for the call
// site; go on from there until an instruction is the function's own.
size_t pclntab_positions(const struct pclntab *table, const struct pcln_function *function,
	remote_addr pc, struct pcln_position *out, size_t max)
{
	remote_addr tree = pclntab_funcdata(table, function, FUNCDATA_INL_TREE);
	size_t count = 0;

	if (pc < function->entry || pc >= function->end)
		return 0;
	while (count < max) {
		const struct inline_layout *layout = table->inlined;
		struct pcln_position *position = &out[count++];
		const uint8_t *call = NULL;
		uint32_t parent_pc;
		int32_t index =
			tree ? pclntab_data(table, function, PCDATA_INL_TREE_INDEX, pc) : -1;

		if (index >= 0)
			call = pclntab_funcdata_bytes(
				table, tree + (uint64_t)index * layout->size, layout->size);
		position->function =
			call ? pclntab_name(table, load_u32(call + layout->name)) : NULL;
		pclntab_line(table, function, pc, position);
		if (!position->function) {
			position->function = function->name;
			break;
		}
		parent_pc = load_u32(call + layout->parent_pc);
		if (parent_pc >= function->end - function->entry)
			break;
		pc = function->entry + parent_pc;
	}
	return count;
}
