// Finding runtime.firstmoduledata without symbols: the function table begins with a magic number,
// and the one word of the program's own memory that points to it and is followed by fields that
// agree with it starts the moduledata. Further modules (plugins) hang on it by moduledata.next.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/runtime_private.h"
#include "heapwhy/vector.h"

enum {
	SCAN_BYTES = 1 << 20,
	HEADERS_MAX = 64,
	MODULES_MAX = 256,
	MODULE_RECORD_MAX = 1024,
	MODULE_BYTES_MAX =
		1 << 30, // of a section; bounds what is read and mapped for a damaged moduledata
	FUNCTIONS_MAX = 1 << 26,
};

// runtime/symtab.go, pcHeader: magic uint32, two zero bytes, minLC (1 on amd64, 4 on arm64), ptrSize; nfunc
// int; nfiles uint; textStart uintptr; funcnameOffset uintptr. The magic is 0xfffffff0 in 1.19 and
// 0xfffffff1 from 1.20 on.
enum { HEADER_FUNCTIONS = 8, HEADER_NAMES = 32, HEADER_BYTES = 40 };
static const uint64_t header_magics[] = {
	UINT64_C(0x08010000fffffff0),
	UINT64_C(0x08010000fffffff1),
	UINT64_C(0x08040000fffffff0),
	UINT64_C(0x08040000fffffff1),
};

struct module_search {
	struct go_runtime *runtime;
	uint64_t *words; // SCAN_BYTES
	HW_VECTOR(remote_addr) headers;
	HW_VECTOR(remote_addr) found; // moduledata
	bool failed;                  // out of memory
};

typedef void (*word_visit)(struct module_search *search, remote_addr address, uint64_t word);

static void region_scan(struct module_search *search, const struct region *region, word_visit visit)
{
	for (remote_addr at = region->start; at < region->end; at += SCAN_BYTES) {
		size_t size = region->end - at < SCAN_BYTES ? region->end - at : SCAN_BYTES;

		target_read_sparse(search->runtime->target, at, search->words, size);
		for (size_t i = 0; i < size / 8; i++) {
			if (search->words[i])
				visit(search, at + i * 8, search->words[i]);
		}
	}
}

// Visits the nonzero words of the main executable's mappings: the table is read-only data, and the
// moduledata, being initialised by the linker, lies in a mapping of the file too.
static void program_scan(struct module_search *search, word_visit visit)
{
	const struct target *target = search->runtime->target;

	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		if (region->is_exe && region->readable)
			region_scan(search, region, visit);
	}
}

static void header_visit(struct module_search *search, remote_addr address, uint64_t word)
{
	for (size_t i = 0; i < ARRAY_COUNT(header_magics); i++) {
		if (word == header_magics[i] && search->headers.count < HEADERS_MAX &&
			!hw_vector_push(&search->headers, address))
			search->failed = true;
	}
}

static uint64_t record_word(const uint8_t *record, int32_t offset)
{
	uint64_t word = 0;

	if (offset >= 0 && offset <= MODULE_RECORD_MAX - 8)
		memcpy(&word, record + offset, sizeof(word));
	return word;
}

static bool range_is_good(remote_addr start, remote_addr end)
{
	return start <= end && end - start <= MODULE_BYTES_MAX;
}

static bool module_read(struct go_runtime *runtime, remote_addr address, uint8_t *record)
{
	int32_t size = runtime->layout.at.moduledata_size;

	memset(record, 0, MODULE_RECORD_MAX);
	return size > 0 && size <= MODULE_RECORD_MAX &&
	       memory_read(&runtime->memory, address, record, (size_t)size);
}

// Whether `record` is a moduledata whose function table starts at `header`.
static bool module_is_plausible(
	struct go_runtime *runtime, const uint8_t *record, remote_addr header)
{
	const struct layout_offsets *at = &runtime->layout.at;
	uint8_t bytes[HEADER_BYTES];

	if (record_word(record, at->moduledata_pcHeader) != header ||
		!memory_read(&runtime->memory, header, bytes, sizeof(bytes)))
		return false;
	uint64_t functions = record_word(bytes, HEADER_FUNCTIONS);
	remote_addr text = record_word(record, at->moduledata_text);
	remote_addr min_pc = record_word(record, at->moduledata_minpc);
	remote_addr max_pc = record_word(record, at->moduledata_maxpc);
	return functions && functions < FUNCTIONS_MAX &&
	       record_word(record, at->moduledata_ftab + 8) == functions + 1 &&
	       record_word(record, at->moduledata_funcnametab) ==
		       header + record_word(bytes, HEADER_NAMES) &&
	       text <= min_pc && min_pc < max_pc &&
	       max_pc <= record_word(record, at->moduledata_etext) && range_is_good(text, max_pc) &&
	       range_is_good(record_word(record, at->moduledata_noptrdata),
		       record_word(record, at->moduledata_end)) &&
	       range_is_good(record_word(record, at->moduledata_data),
		       record_word(record, at->moduledata_edata)) &&
	       range_is_good(record_word(record, at->moduledata_bss),
		       record_word(record, at->moduledata_ebss)) &&
	       range_is_good(record_word(record, at->moduledata_types),
		       record_word(record, at->moduledata_etypes));
}

static void module_visit(struct module_search *search, remote_addr address, uint64_t word)
{
	uint8_t record[MODULE_RECORD_MAX];

	for (size_t i = 0; i < search->headers.count; i++) {
		if (search->headers.items[i] != word)
			continue;
		remote_addr module =
			address - (uint32_t)search->runtime->layout.at.moduledata_pcHeader;
		if (module_read(search->runtime, module, record) &&
			module_is_plausible(search->runtime, record, word) &&
			!hw_vector_push(&search->found, module))
			search->failed = true;
		return;
	}
}

static struct error *module_search(struct go_runtime *runtime, remote_addr *out)
{
	struct module_search search = {.runtime = runtime, .words = malloc(SCAN_BYTES)};
	struct error *err = NULL;

	if (search.words)
		program_scan(&search, header_visit);
	if (search.headers.count)
		program_scan(&search, module_visit);
	if (!search.words || search.failed)
		err = error_no_memory();
	else if (!search.headers.count)
		err = error_create(ERROR_TARGET,
			"built with %s, but its table of functions is not in memory",
			runtime->version);
	else if (search.found.count != 1)
		err = error_create(ERROR_TARGET,
			"built with %s, but %s describes its modules as that version does",
			runtime->version,
			search.found.count ? "more than one structure" : "no structure in memory");
	else
		*out = search.found.items[0];
	free(search.words);
	hw_vector_deinit(&search.headers);
	hw_vector_deinit(&search.found);
	return err;
}

static uint64_t mask_bits(const uint8_t *record, int32_t offset, remote_addr start, remote_addr end)
{
	uint64_t bits = (uint32_t)record_word(
		record, offset); // runtime.bitvector: n int32, bytedata *uint8
	uint64_t words = (end - start) / 8;

	return bits < words ? bits : words;
}

// Go's own linker puts .noptrdata first, that of C, which links programs with cgo, .data.
static remote_addr variables_start(const struct go_module *module)
{
	const remote_addr sections[] = {module->data, module->bss, module->noptrbss};
	remote_addr start = module->noptrdata;

	for (size_t i = 0; i < ARRAY_COUNT(sections); i++)
		if (sections[i] && sections[i] < start && range_is_good(sections[i], module->end))
			start = sections[i];
	return start;
}

static struct error *module_open(struct go_runtime *runtime, remote_addr address,
	const uint8_t *record, struct go_module *module)
{
	const struct layout_offsets *at = &runtime->layout.at;

	*module = (struct go_module){
		.address = address,
		.text = record_word(record, at->moduledata_text),
		.etext = record_word(record, at->moduledata_etext),
		.min_pc = record_word(record, at->moduledata_minpc),
		.max_pc = record_word(record, at->moduledata_maxpc),
		.noptrdata = record_word(record, at->moduledata_noptrdata),
		.data = record_word(record, at->moduledata_data),
		.edata = record_word(record, at->moduledata_edata),
		.bss = record_word(record, at->moduledata_bss),
		.ebss = record_word(record, at->moduledata_ebss),
		.noptrbss = record_word(record, at->moduledata_noptrbss),
		.enoptrbss = record_word(record, at->moduledata_enoptrbss),
		.end = record_word(record, at->moduledata_end),
		.rodata = record_word(record, at->moduledata_rodata),
		.types = record_word(record, at->moduledata_types),
		.etypes = record_word(record, at->moduledata_etypes),
		.gofunc = record_word(record, at->moduledata_gofunc),
		.data_mask = record_word(record, at->moduledata_gcdatamask + 8),
		.bss_mask = record_word(record, at->moduledata_gcbssmask + 8),
	};
	module->variables = variables_start(module);
	module->data_mask_bits =
		mask_bits(record, at->moduledata_gcdatamask, module->data, module->edata);
	module->bss_mask_bits =
		mask_bits(record, at->moduledata_gcbssmask, module->bss, module->ebss);

	const struct region *rodata = target_region(runtime->target, module->gofunc);
	struct pclntab_location location = {
		.header = record_word(record, at->moduledata_pcHeader),
		.text = module->text,
		.etext = module->etext,
		.min_pc = module->min_pc,
		.max_pc = module->max_pc,
		.funcnametab = record_word(record, at->moduledata_funcnametab),
		.funcnametab_size = record_word(record, at->moduledata_funcnametab + 8),
		.cutab = record_word(record, at->moduledata_cutab),
		.cutab_size = record_word(record, at->moduledata_cutab + 8) * 4,
		.filetab = record_word(record, at->moduledata_filetab),
		.filetab_size = record_word(record, at->moduledata_filetab + 8),
		.pctab = record_word(record, at->moduledata_pctab),
		.pctab_size = record_word(record, at->moduledata_pctab + 8),
		.pclntable = record_word(record, at->moduledata_pclntable),
		.pclntable_size = record_word(record, at->moduledata_pclntable + 8),
		.ftab = record_word(record, at->moduledata_ftab),
		.ftab_count = record_word(record, at->moduledata_ftab + 8),
		.gofunc = module->gofunc,
		.rodata = module->rodata,
		.erodata = rodata ? rodata->end : module->etypes,
	};
	return pclntab_create(runtime->target, &location, &module->pclntab);
}

struct error *modules_locate(struct go_runtime *runtime)
{
	uint8_t record[MODULE_RECORD_MAX];
	remote_addr address;
	struct error *err = module_search(runtime, &address);

	if (err)
		return err;
	runtime->modules = calloc(MODULES_MAX, sizeof(*runtime->modules));
	if (!runtime->modules)
		return error_no_memory();
	struct list_guard guard = {0};
	for (; address && runtime->module_count < MODULES_MAX && list_guard_step(&guard, address);
		address = record_word(record, runtime->layout.at.moduledata_next)) {
		if (!module_read(runtime, address, record) ||
			!module_is_plausible(runtime, record,
				record_word(record, runtime->layout.at.moduledata_pcHeader)))
			return error_create(ERROR_TARGET,
				"module %u of the program, at 0x%" PRIx64 ", is damaged",
				runtime->module_count, address);
		err = module_open(
			runtime, address, record, &runtime->modules[runtime->module_count]);
		if (err)
			return error_wrap(
				err, "the function table of module %u", runtime->module_count);
		runtime->module_count++;
	}
	return NULL;
}
