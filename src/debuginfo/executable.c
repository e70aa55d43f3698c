// The executable file, by libelf.
//
// The file is believed only after it has been compared with the target: its notes (which hold the
// build ids) are loaded with the program, so they lie, byte for byte, at the biased address in the
// target's memory. A file that was replaced since the program started, or a core opened beside the
// wrong binary, is refused here.
//
// libelf reads with pread, not mmap: a file that shrinks while we look at it must give an error,
// not SIGBUS.
#include "debuginfo/executable_private.h"

#include <gelf.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/dwarf_private.h"
#include "heapwhy/vector.h"

enum {
	NOTE_BYTES_MAX = 64 << 10,
	BUILD_ID_TEXT_MAX = 256,
	GO_NOTE_BUILD_ID = 4, // cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG
};

struct executable {
	int fd;
	Elf *elf;
	uint64_t bias;
	bool is_pie;
	bool has_dwarf;
	Elf_Scn *symtab; // NULL without symbols
	size_t strtab;   // section index of the names of `symtab`
	bool symbols_loaded;
	HW_VECTOR(struct symbol) symbols; // by address
	struct dwarf *dwarf;              // NULL until asked for
	char build_id[BUILD_ID_TEXT_MAX];
};

Elf *executable_elf(const struct executable *executable)
{
	return executable->elf;
}

bool executable_is_pie(const struct executable *executable)
{
	return executable->is_pie;
}

bool executable_has_symbols(const struct executable *executable)
{
	return executable->symtab != NULL;
}

bool executable_has_dwarf(const struct executable *executable)
{
	return executable->has_dwarf;
}

const char *executable_build_id(const struct executable *executable)
{
	return executable->build_id;
}

uint64_t executable_bias(const struct executable *executable)
{
	return executable->bias;
}

void executable_destroy(struct executable *executable)
{
	if (!executable)
		return;
	dwarf_close(executable->dwarf);
	hw_vector_deinit(&executable->symbols);
	elf_end(executable->elf);
	if (executable->fd >= 0)
		close(executable->fd);
	free(executable);
}

static void cleanup_executable(struct executable **executable)
{
	executable_destroy(*executable);
}

// Remembers the sections that matter. The section table is optional: without it there are simply no
// symbols.
static void sections_find(struct executable *executable)
{
	size_t names;
	Elf_Scn *section = NULL;

	if (elf_getshdrstrndx(executable->elf, &names) != 0)
		return;
	while ((section = elf_nextscn(executable->elf, section))) {
		GElf_Shdr header;
		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		if (header.sh_type == SHT_SYMTAB) {
			executable->symtab = section;
			executable->strtab = header.sh_link;
			continue;
		}
		const char *name = elf_strptr(executable->elf, names, header.sh_name);
		if (name && strcmp(name, ".debug_info") == 0)
			executable->has_dwarf = true;
	}
}

// The address in the target at which the file's byte `offset` is mapped, by the mapping that has
// the rights of `segment`. 0 when there is none.
static remote_addr mapped_at(const struct target *target, const GElf_Phdr *segment)
{
	const uint64_t page = 4096;
	uint64_t offset = segment->p_offset & ~(page - 1);

	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];
		uint64_t size = region->end - region->start;
		if (!region->is_exe || offset < region->file_offset ||
			offset - region->file_offset >= size)
			continue;
		if (!region->executable != !(segment->p_flags & PF_X))
			continue;
		return region->start + (offset - region->file_offset) +
		       (segment->p_offset & (page - 1));
	}
	return 0;
}

static struct error *bias_find(struct executable *executable, const struct target *target)
{
	size_t count;

	if (!executable->is_pie)
		return NULL;
	if (elf_getphdrnum(executable->elf, &count) != 0)
		return error_create(ERROR_TARGET, "damaged program headers: %s", elf_errmsg(-1));
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;
		if (!gelf_getphdr(executable->elf, i, &segment))
			break;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		remote_addr address = mapped_at(target, &segment);
		if (!address)
			continue;
		executable->bias = address - segment.p_vaddr;
		return NULL;
	}
	return error_create(ERROR_TARGET, "its code is not mapped in the target");
}

static void build_id_take(struct executable *executable, const GElf_Nhdr *note, const char *name,
	const unsigned char *bytes)
{
	size_t size = note->n_descsz;

	if (note->n_type == GO_NOTE_BUILD_ID && note->n_namesz == 4 &&
		memcmp(name, "Go\0", 4) == 0 && size > 0 && size < BUILD_ID_TEXT_MAX) {
		memcpy(executable->build_id, bytes, size);
		executable->build_id[size] = '\0';
	} else if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		   memcmp(name, "GNU", 4) == 0 && size < BUILD_ID_TEXT_MAX / 2 &&
		   !executable->build_id[0]) { // Go's own says more
		for (size_t i = 0; i < size; i++)
			snprintf(executable->build_id + 2 * i, 3, "%02x", bytes[i]);
	}
}

// Reads the build ids out of one PT_NOTE segment and compares it with the target's memory.
static struct error *notes_read(
	struct executable *executable, struct target *target, const GElf_Phdr *segment)
{
	if (segment->p_filesz == 0 || segment->p_filesz > NOTE_BYTES_MAX)
		return NULL;
	Elf_Data *data = elf_getdata_rawchunk(
		executable->elf, segment->p_offset, segment->p_filesz, ELF_T_NHDR);
	if (!data)
		return error_create(ERROR_TARGET, "damaged notes: %s", elf_errmsg(-1));

	_cleanup_free_ char *loaded = malloc(data->d_size);
	if (!loaded)
		return error_no_memory();
	// A core may lack the page: then there is nothing to compare with.
	size_t unread = target_read_sparse(
		target, segment->p_vaddr + executable->bias, loaded, data->d_size);
	if (unread == 0 && memcmp(loaded, data->d_buf, data->d_size) != 0)
		return error_create(ERROR_TARGET,
			"it is not the program that runs in the target (replaced since?)");

	GElf_Nhdr note;
	size_t name, desc;
	for (size_t at = 0, next; (next = gelf_getnote(data, at, &note, &name, &desc)) > 0;
		at = next) {
		const char *bytes = data->d_buf;
		build_id_take(executable, &note, bytes + name, (const unsigned char *)bytes + desc);
	}
	return NULL;
}

static struct error *notes_check(struct executable *executable, struct target *target)
{
	size_t count;

	if (elf_getphdrnum(executable->elf, &count) != 0)
		return error_create(ERROR_TARGET, "damaged program headers: %s", elf_errmsg(-1));
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;
		if (!gelf_getphdr(executable->elf, i, &segment) || segment.p_type != PT_NOTE)
			continue;
		struct error *err = notes_read(executable, target, &segment);
		if (err)
			return err;
	}
	return NULL;
}

static struct error *executable_load(struct executable *executable, struct target *target)
{
	GElf_Ehdr header;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return error_create(ERROR_INTERNAL, "libelf: %s", elf_errmsg(-1));
	executable->elf = elf_begin(executable->fd, ELF_C_READ, NULL);
	if (!executable->elf)
		return error_create(ERROR_TARGET, "%s", elf_errmsg(-1));
	if (elf_kind(executable->elf) != ELF_K_ELF ||
		gelf_getclass(executable->elf) != ELFCLASS64 ||
		!gelf_getehdr(executable->elf, &header))
		return error_create(ERROR_TARGET, "not a 64-bit ELF file");
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return error_create(ERROR_TARGET, "not an executable (ELF type %u)", header.e_type);
	executable->is_pie = header.e_type == ET_DYN;
	sections_find(executable);

	struct error *err = bias_find(executable, target);
	if (!err)
		err = notes_check(executable, target);
	return err;
}

struct error *executable_open(struct target *target, struct executable **out)
{
	_cleanup_(cleanup_executable) struct executable *executable =
		calloc(1, sizeof(*executable));

	if (!executable)
		return error_no_memory();
	executable->fd = target_open_exe(target);
	if (executable->fd < 0)
		return error_errno(ERROR_TARGET, "cannot open the executable %s",
			target->exe_path ? target->exe_path : "(unknown)");
	struct error *err = executable_load(executable, target);
	if (err)
		return error_wrap(
			err, "executable %s", target->exe_path ? target->exe_path : "(unknown)");
	*out = take_pointer(executable);
	return NULL;
}

static int symbol_compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	// The larger one last: a search from above meets it first.
	return x->size < y->size ? -1 : x->size > y->size;
}

// A damaged symbol table gives fewer symbols, or none.
static void symbols_load(struct executable *executable)
{
	if (executable->symbols_loaded)
		return;
	executable->symbols_loaded = true;
	if (!executable->symtab)
		return;
	Elf_Data *data = elf_getdata(executable->symtab, NULL);
	if (!data)
		return;
	size_t count = data->d_size / sizeof(Elf64_Sym);
	if (!hw_vector_reserve(&executable->symbols, count))
		return;
	for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
		GElf_Sym entry;
		if (!gelf_getsym(data, (int)i, &entry) || entry.st_shndx == SHN_UNDEF ||
			entry.st_shndx == SHN_ABS)
			continue;
		unsigned type = GELF_ST_TYPE(entry.st_info);
		if (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE)
			continue;
		const char *name = elf_strptr(executable->elf, executable->strtab, entry.st_name);
		if (!name || !name[0])
			continue;
		struct symbol symbol = {name, entry.st_value + executable->bias, entry.st_size};
		if (!hw_vector_push(&executable->symbols, symbol))
			break;
	}
	qsort(executable->symbols.items, executable->symbols.count,
		sizeof(*executable->symbols.items), symbol_compare);
}

bool executable_symbol(struct executable *executable, remote_addr address, struct symbol *out)
{
	symbols_load(executable);

	const struct symbol *symbols = executable->symbols.items;
	size_t at = FIRST_WHERE(i, executable->symbols.count, symbols[i].address > address);

	if (at == 0 || address - symbols[at - 1].address >= symbols[at - 1].size)
		return false;
	*out = symbols[at - 1];
	return true;
}

bool executable_symbol_by_name(struct executable *executable, const char *name, struct symbol *out)
{
	symbols_load(executable);

	for (size_t i = 0; i < executable->symbols.count; i++) {
		if (strcmp(executable->symbols.items[i].name, name) == 0) {
			*out = executable->symbols.items[i];
			return true;
		}
	}
	return false;
}

struct error *executable_dwarf(struct executable *executable, struct dwarf **out)
{
	if (!executable->dwarf) {
		struct error *err = dwarf_open(executable, &executable->dwarf);
		if (err)
			return err;
	}
	*out = executable->dwarf;
	return NULL;
}
